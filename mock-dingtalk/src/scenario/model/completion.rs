//! What a model answers with: events of a stream, or one body.

use serde_json::{Value, json};

use super::Ending;

/// Tokens that any answer costs; nothing is counted.
fn usage() -> Value {
    json!({ "prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13 })
}

const ERROR: &str = "the script has the answer fail here";

fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Stop | Ending::Error => "stop",
        Ending::Length => "length",
        Ending::ContentFilter => "content_filter",
    }
}

/// The event that brings words.
pub(super) fn piece(model: &str, words: &str) -> String {
    event(&chunk(model, &json!({ "content": words }), None))
}

/// The events behind the last words.
pub(super) fn ending(model: &str, ending: Ending) -> String {
    if ending == Ending::Error {
        return event(&json!({ "error": { "message": ERROR, "type": "server_error" } }));
    }
    let stop = event(&chunk(model, &json!({}), Some(reason(ending))));
    let mut last = chunk(model, &json!({}), None);
    last["choices"] = json!([]);
    last["usage"] = usage();
    format!("{stop}{}data: [DONE]\n\n", event(&last))
}

/// An answer that is not streamed; nothing where it fails.
pub(super) fn whole(model: &str, words: &str, ending: Ending) -> Option<Value> {
    (ending != Ending::Error).then(|| {
        json!({
            "id": ID,
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": words },
                "finish_reason": reason(ending),
            }],
            "usage": usage(),
        })
    })
}

/// As errors are written that stand instead of an answer.
pub(super) fn error(message: &str) -> Value {
    json!({ "error": { "message": message, "type": "invalid_request_error" } })
}

const ID: &str = "chatcmpl-scripted";

fn chunk(model: &str, delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": ID,
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
    })
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
