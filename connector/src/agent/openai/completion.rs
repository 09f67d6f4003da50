//! A chat completion, put together from its pieces. Pure.

use serde_json::Value;

use crate::store::sessions::Tokens;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) text: String,
    pub(super) tokens: Tokens,
    /// The model was cut off at a limit of its length.
    pub(super) cut_off: bool,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    InStream(String),
    Odd(String),
    Empty { finish_reason: String },
    TooLong { limit: usize },
}

/// Reads `chat.completion.chunk` objects.
#[derive(Debug, Default)]
pub(super) struct Reader {
    text: String,
    seen: usize,
    tokens: Tokens,
    finish_reason: Option<String>,
    done: bool,
}

/// Bytes of an answer at most.
const LONGEST: usize = 1 << 20;

impl Reader {
    /// The words so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether there are more words than at the last call.
    pub(super) fn grew(&mut self) -> bool {
        std::mem::replace(&mut self.seen, self.text.len()) < self.text.len()
    }

    /// `[DONE]` has come.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the data of an event.
    pub(super) fn event(&mut self, data: &str) -> Result<(), Problem> {
        match data.trim() {
            "" => Ok(()),
            "[DONE]" => {
                self.done = true;
                Ok(())
            }
            _ if self.done => Ok(()),
            data => self.take(data.as_bytes(), "delta"),
        }
    }

    /// Takes an answer that was not streamed.
    pub(super) fn whole(&mut self, body: &[u8]) -> Result<(), Problem> {
        self.take(body, "message")
    }

    fn take(&mut self, json: &[u8], part: &str) -> Result<(), Problem> {
        let json: Value = serde_json::from_slice(json)
            .map_err(|e| Problem::Odd(format!("a piece of an answer that is no JSON ({e})")))?;
        if let Some(message) = error_message(&json["error"]) {
            return Err(Problem::InStream(message));
        }
        let choice = &json["choices"][0];
        match choice.get(part).or_else(|| choice.get("message")).map(|words| &words["content"]) {
            Some(Value::String(words)) => self.text.push_str(words),
            // Some servers answer in parts, as questions may be asked.
            Some(Value::Array(parts)) => {
                parts.iter().filter_map(|p| p["text"].as_str()).for_each(|t| self.text.push_str(t));
            }
            _ => {}
        }
        if self.text.len() > LONGEST {
            return Err(Problem::TooLong { limit: LONGEST });
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish_reason = Some(reason.to_owned());
        }
        if let Some(usage) = json["usage"].as_object() {
            let count = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or(0);
            let (prompt, completion) = (count("prompt_tokens"), count("completion_tokens"));
            self.tokens = Tokens { prompt, completion };
        }
        Ok(())
    }

    /// Nothing follows. Servers that leave out `[DONE]` are believed.
    pub(super) fn end(self) -> Result<Completion, Problem> {
        if self.text.trim().is_empty() {
            let finish_reason = self.finish_reason.unwrap_or_else(|| "none".to_owned());
            return Err(Problem::Empty { finish_reason });
        }
        let cut_off = self.finish_reason.as_deref() == Some("length");
        Ok(Completion { text: self.text, tokens: self.tokens, cut_off })
    }
}

/// The words of an `error`, an object or a text.
pub(super) fn error_message(error: &Value) -> Option<String> {
    match error {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        error => Some(error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(events: &[&str]) -> Result<Completion, Problem> {
        let mut reader = Reader::default();
        for event in events {
            reader.event(event)?;
        }
        reader.end()
    }

    fn delta(content: &str) -> String {
        json!({ "choices": [{ "index": 0, "delta": { "content": content } }] }).to_string()
    }

    #[test]
    fn pieces_make_an_answer_with_and_without_done() {
        let role = json!({ "choices": [{ "delta": { "role": "assistant", "content": null } }] });
        let stop = json!({ "choices": [{ "delta": {}, "finish_reason": "length" }] }).to_string();
        let usage = json!({
            "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 2 },
        });
        let (role, usage) = (role.to_string(), usage.to_string());
        let (a, b, late) = (delta("你"), delta("好"), delta("too late"));
        let whole = read(&[&role, &a, &b, &stop, &usage, "[DONE]", &late]).unwrap();
        let tokens = Tokens { prompt: 7, completion: 2 };
        assert_eq!(whole, Completion { text: "你好".to_owned(), tokens, cut_off: true });
        let bare = read(&[&a, "", &b]).unwrap();
        assert_eq!((bare.text.as_str(), bare.cut_off), ("你好", false));
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let error = json!({ "error": { "message": "overloaded", "type": "x" } }).to_string();
        assert_eq!(read(&[&delta("a"), &error]), Err(Problem::InStream("overloaded".to_owned())));
        let filtered = json!({ "choices": [{ "finish_reason": "content_filter" }] }).to_string();
        let empty = |reason: &str| Err(Problem::Empty { finish_reason: reason.to_owned() });
        assert_eq!(read(&[&filtered, "[DONE]"]), empty("content_filter"));
        assert_eq!(read(&[]), empty("none"));
        assert!(matches!(read(&["<html>"]), Err(Problem::Odd(_))));
        let long = delta(&"x".repeat(LONGEST / 2 + 1));
        assert_eq!(read(&[&long, &long]), Err(Problem::TooLong { limit: LONGEST }));
    }

    #[test]
    fn an_answer_that_was_not_streamed_is_read_whole() {
        let body = json!({ "choices": [{ "message": { "content": [
            { "type": "text", "text": "a" }, { "type": "text", "text": "b" },
        ] } }] });
        let mut reader = Reader::default();
        reader.whole(body.to_string().as_bytes()).unwrap();
        assert_eq!(reader.end().unwrap().text, "ab");
    }
}
