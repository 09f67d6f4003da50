//! What a model is asked.

use serde_json::Value;

/// A request for a completion, as far as a scenario looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) model: String,
    /// Words of all messages, each behind its role.
    pub(crate) words: String,
    /// How many messages there are.
    pub(crate) messages: usize,
    /// Words of the last message.
    pub(crate) last: String,
    /// Pictures of the last message: addresses, mostly `data:` ones.
    pub(crate) pictures: Vec<String>,
    /// `reasoning_effort`; empty where there is none.
    pub(crate) effort: String,
    /// Whether the answer is to be streamed.
    pub(crate) stream: bool,
}

impl Question {
    /// Reads a body. The error says what an OpenAI-compatible endpoint would not take.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("the body is no JSON: {error}"))?;
        let model = body["model"].as_str().ok_or("`model` is no string")?.to_owned();
        let messages = body["messages"].as_array().filter(|all| !all.is_empty());
        let messages = messages.ok_or("`messages` is no array with at least one message")?;
        let mut words = String::new();
        let (mut last, mut pictures) = (String::new(), Vec::new());
        for message in messages {
            let role = message["role"].as_str();
            let role = role.filter(|role| ROLES.contains(role)).ok_or_else(|| {
                format!("`role` is {}; it is one of {}", message["role"], ROLES.join(", "))
            })?;
            (last, pictures) = read_content(&message["content"])?;
            words.push_str(role);
            words.push_str(": ");
            words.push_str(&last);
            words.push('\n');
        }
        let stream = body["stream"].as_bool().unwrap_or(false);
        let effort = body["reasoning_effort"].as_str().unwrap_or_default().to_owned();
        Ok(Self { model, words, messages: messages.len(), last, pictures, effort, stream })
    }
}

const ROLES: [&str; 5] = ["assistant", "developer", "system", "tool", "user"];

fn read_content(content: &Value) -> Result<(String, Vec<String>), String> {
    let parts = match content {
        Value::String(words) => return Ok((words.clone(), Vec::new())),
        Value::Array(parts) => parts,
        other => return Err(format!("`content` is {other}; it is a string or an array of parts")),
    };
    let (mut words, mut pictures) = (Vec::new(), Vec::new());
    for part in parts {
        let unreadable = || format!("a part of `content` is {part}; it is text or image_url");
        match part["type"].as_str() {
            Some("text") => words.push(part["text"].as_str().ok_or_else(unreadable)?.to_owned()),
            Some("image_url") => {
                let url = part["image_url"]["url"].as_str().ok_or_else(unreadable)?;
                pictures.push(url.to_owned());
            }
            _ => return Err(unreadable()),
        }
    }
    Ok((words.join("\n"), pictures))
}
