//! A chat completion, put together from its pieces. Pure.

use serde_json::Value;

use super::reasoning;
use crate::store::sessions::Tokens;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) text: String,
    pub(super) tokens: Tokens,
    pub(super) ending: Ending,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As the model wanted.
    Whole,
    /// At a limit of its length.
    CutOff,
    /// At a filter of the endpoint's.
    Filtered,
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
    /// All that was written, with what the model thought aloud.
    text: String,
    /// Length of the answer that was shown last, in bytes.
    shown: usize,
    tokens: Tokens,
    finish_reason: Option<String>,
    done: bool,
}

/// Bytes of an answer at most.
const LONGEST: usize = 1 << 20;

impl Reader {
    /// The answer so far, if it is another one than at the last call.
    pub(super) fn news(&mut self) -> Option<String> {
        let answer = reasoning::answer(&self.text, false);
        let before = std::mem::replace(&mut self.shown, answer.len());
        (before != answer.len() && !answer.trim().is_empty()).then(|| answer.to_owned())
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
        // Some servers have a form of their own for errors.
        if let (None, Some(message)) = (json.get("choices"), json["message"].as_str()) {
            return Err(Problem::InStream(message.to_owned()));
        }
        let choice = &json["choices"][0];
        if let Some(delta) = choice.get(part).filter(|delta| !delta.is_null()) {
            add_words(&mut self.text, delta);
        } else if let Some(message) = choice.get("message") {
            // All of it, once more or at once.
            let mut whole = String::new();
            add_words(&mut whole, message);
            if !whole.is_empty() {
                self.text = whole;
            }
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
        let answer = reasoning::answer(&self.text, true);
        if answer.trim().is_empty() {
            let finish_reason = self.finish_reason.unwrap_or_else(|| "none".to_owned());
            return Err(Problem::Empty { finish_reason });
        }
        let ending = match self.finish_reason.as_deref() {
            Some("length") => Ending::CutOff,
            Some("content_filter") => Ending::Filtered,
            _ => Ending::Whole,
        };
        Ok(Completion { text: answer.to_owned(), tokens: self.tokens, ending })
    }
}

/// Adds the words of a `delta` or a `message`. A refusal is an answer; `reasoning_content` is none.
fn add_words(text: &mut String, message: &Value) {
    match &message["content"] {
        Value::String(words) => text.push_str(words),
        // Some servers answer in parts, as questions may be asked.
        Value::Array(parts) => parts
            .iter()
            .filter(|part| matches!(part["type"].as_str(), None | Some("text")))
            .filter_map(|part| part["text"].as_str())
            .for_each(|words| text.push_str(words)),
        _ => {}
    }
    if let Some(refusal) = message["refusal"].as_str() {
        text.push_str(refusal);
    }
}

/// The words of an `error`, an object or a text.
pub(super) fn error_message(error: &Value) -> Option<String> {
    match error {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
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
        let expected = Completion { text: "你好".to_owned(), tokens, ending: Ending::CutOff };
        assert_eq!(whole, expected);
        let bare = read(&[&a, "", &b]).unwrap();
        assert_eq!((bare.text.as_str(), bare.ending), ("你好", Ending::Whole));
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let error = json!({ "error": { "message": "overloaded", "type": "x" } }).to_string();
        assert_eq!(read(&[&delta("a"), &error]), Err(Problem::InStream("overloaded".to_owned())));
        let own = r#"{"code":"InvalidParameter","message":"no such model"}"#;
        assert_eq!(read(&[own]), Err(Problem::InStream("no such model".to_owned())));
        let filtered = json!({ "choices": [{ "finish_reason": "content_filter" }] }).to_string();
        let empty = |reason: &str| Err(Problem::Empty { finish_reason: reason.to_owned() });
        assert_eq!(read(&[&filtered, "[DONE]"]), empty("content_filter"));
        assert_eq!(read(&[]), empty("none"));
        assert!(matches!(read(&["<html>"]), Err(Problem::Odd(_))));
        let long = delta(&"x".repeat(LONGEST / 2 + 1));
        assert_eq!(read(&[&long, &long]), Err(Problem::TooLong { limit: LONGEST }));
    }

    #[test]
    fn thoughts_are_no_answer_and_tools_and_repeats_do_no_harm() {
        let event = |delta: Value| json!({ "choices": [{ "delta": delta }] }).to_string();
        let thought =
            event(json!({ "content": null, "reasoning_content": "hm", "reasoning": "hm" }));
        let tool = event(json!({ "tool_calls": [{ "index": 0, "function": { "name": "f" } }] }));
        let parts = event(json!({ "content": [
            { "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }], "text": "hm" },
            { "type": "text", "text": "yes" },
        ] }));
        let whole = json!({ "choices": [{ "message": { "content": "yes" } }] }).to_string();
        assert_eq!(read(&[&thought, &tool, &parts, &whole]).unwrap().text, "yes");
        let empty = Err(Problem::Empty { finish_reason: "none".to_owned() });
        assert_eq!(read(&[&thought, &tool]), empty);
        assert_eq!(read(&[&event(json!({ "refusal": "I cannot" }))]).unwrap().text, "I cannot");
        for odd in [
            "null",
            "[]",
            "7",
            "{}",
            "{\"choices\":7}",
            "{\"error\":\"\"}",
            "{\"choices\":[{\"delta\":[]}]}",
        ] {
            assert_eq!(read(&[odd, &delta("a")]).unwrap().text, "a", "{odd}");
        }
        let mut reader = Reader::default();
        let mut news = |piece: &str| {
            reader.event(&delta(piece)).unwrap();
            reader.news()
        };
        for piece in ["<", "thi", "nk>hm", "</think", ">", "\n\n"] {
            assert_eq!(news(piece), None, "{piece}");
        }
        assert_eq!(news("yes"), Some("yes".to_owned()));
        assert_eq!(news(""), None);
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
