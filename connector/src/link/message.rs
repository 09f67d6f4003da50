//! A push as it is posted, and what is answered.

use serde_json::{Value, json};

use super::event::file;
use super::fields::{BadField, Fields};
use crate::agent::{AttachmentKind, Say};
use crate::gateway::push::{
    Deliveries, Delivery, Outcome, Push, RECIPIENTS, Target, TargetError, What,
};
use crate::protocol::RobotMessage;

/// The longest `key`, in bytes.
const KEY: usize = 256;
const ONE_OF: &str = "exactly one of text, markdown, card, image, file";

fn shown_as(kind: AttachmentKind, say: Say) -> Say {
    match say {
        Say::File { path, name, .. } => Say::File { kind, path, name },
        other => other,
    }
}

/// Reads `{"to", "text" | "markdown" | "card" | "image" | "file", "key"?, "clientId"?}`; returns the `clientId`, too.
pub(super) fn parse(body: &[u8]) -> Result<(Option<String>, Push), BadField> {
    let mut fields = Fields::body(body)?;
    let to = targets(fields.take("to").as_ref())?;
    let given = [
        fields.text("text")?.map(|text| Ok(What::Say(Say::text(text)))),
        fields.take("markdown").map(|value| markdown(value).map(What::Say)),
        fields.text("card")?.map(|text| Ok(What::Card(text))),
        fields.take("image").map(|value| {
            file(value, "image").map(|say| shown_as(AttachmentKind::Picture, say)).map(What::Say)
        }),
        fields.take("file").map(|value| {
            file(value, "file").map(|say| shown_as(AttachmentKind::File, say)).map(What::Say)
        }),
    ];
    let key = fields.text("key")?;
    if let Some(long) = key.as_ref().filter(|key| key.len() > KEY) {
        let value = Value::from(long.as_str());
        return Err(BadField::new("key", Some(&value), format!("at most {KEY} bytes")));
    }
    let client_id = fields.text("clientId")?;
    fields.end()?;
    let mut given = given.into_iter().flatten();
    let (Some(what), None) = (given.next(), given.next()) else {
        return Err(BadField {
            field: "the message".to_owned(),
            value: "none or more than one".to_owned(),
            allowed: ONE_OF.to_owned(),
        });
    };
    Ok((client_id, Push { to, what: what?, key }))
}

/// `"…"` or `{"title"?, "text"}`.
fn markdown(value: Value) -> Result<Say, BadField> {
    let (title, text) = match value {
        Value::String(text) if !text.trim().is_empty() => (None, text),
        Value::Object(_) => {
            let mut fields = Fields::of(value, "markdown")?;
            let (title, text) = (fields.text("title")?, fields.needed("text")?);
            fields.end()?;
            (title, text)
        }
        other => {
            return Err(BadField::new("markdown", Some(&other), "a text, or an object with text"));
        }
    };
    Ok(match (title, Say::of_words(text)) {
        (
            Some(title),
            Say::Message(RobotMessage::Text(text) | RobotMessage::Markdown { text, .. }),
        ) => Say::Message(RobotMessage::Markdown { title, text }),
        (_, say) => say,
    })
}

fn targets(value: Option<&Value>) -> Result<Vec<Target>, BadField> {
    let one = |field: &str, value: &Value| {
        let target = value.as_str().ok_or(TargetError).and_then(str::parse);
        target.map_err(|e| BadField {
            allowed: e.to_string().trim_start_matches("give ").to_owned(),
            ..BadField::new(field, Some(value), "")
        })
    };
    match value {
        Some(Value::Array(list)) if (1..=RECIPIENTS).contains(&list.len()) => {
            let named = list.iter().enumerate();
            named.map(|(index, value)| one(&format!("to[{index}]"), value)).collect()
        }
        Some(text @ Value::String(_)) => Ok(vec![one("to", text)?]),
        other => {
            let allowed = format!("a recipient, or a list of 1 to {RECIPIENTS} of them");
            Err(BadField::new("to", other, allowed))
        }
    }
}

/// The answer.
pub(super) fn results(deliveries: &Deliveries) -> Value {
    let results: Vec<_> = deliveries.iter().map(result).collect();
    json!({ "v": 1, "results": results })
}

fn result(delivery: &Delivery) -> Value {
    let Delivery { to, outcome, process_query_keys: keys, parts } = delivery;
    let mut row = match outcome {
        Outcome::Delivered { out_track_id: Some(id) } => {
            json!({ "status": "delivered", "outTrackId": id })
        }
        Outcome::Delivered { out_track_id: None } => json!({ "status": "delivered" }),
        Outcome::Invalid => {
            json!({ "status": "invalid", "reason": "DingTalk does not know this recipient" })
        }
        Outcome::FlowControlled => {
            let reason = "DingTalk sends no more to this recipient for now";
            json!({ "status": "flowControlled", "reason": reason })
        }
        Outcome::Limited { retry_after } => {
            let milliseconds = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            // Told to wait for less, it would come too early.
            let milliseconds = milliseconds.saturating_add(1);
            let reason = format!(
                "20 messages a minute are what one recipient gets; try again in {milliseconds} ms"
            );
            json!({ "status": "limited", "reason": reason, "retryAfterMs": milliseconds })
        }
        Outcome::Failed { reason, may_have_arrived, .. } => {
            json!({ "status": "failed", "reason": reason, "mayHaveArrived": may_have_arrived })
        }
    };
    row["to"] = to.to_string().into();
    if let Some(key) = keys.first() {
        row["processQueryKey"] = key.as_str().into();
    }
    if *parts > 1 {
        row["parts"] = json!({ "of": parts, "arrived": keys.len(), "processQueryKeys": keys });
    }
    row
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (body, problem) in [
            (
                json!({ "text": "x" }),
                "to is missing; give a recipient, or a list of 1 to 1000 of them",
            ),
            (
                json!({ "to": [], "text": "x" }),
                "to is []; give a recipient, or a list of 1 to 1000 of them",
            ),
            (
                json!({ "to": ["a", "group:b"], "text": "x" }),
                r#"to[1] is "group:b"; give a staffId, user:STAFFID or chat:OPENCONVERSATIONID, each with ddingtalk: before it or not"#,
            ),
            (
                json!({ "to": "a" }),
                "the message is none or more than one; give exactly one of text, markdown, card, image, file",
            ),
            (
                json!({ "to": "a", "text": "x", "image": { "path": "/x.png" } }),
                "the message is none or more than one; give exactly one of text, markdown, card, image, file",
            ),
            (json!({ "to": "a", "image": "/x.png" }), r#"image is "/x.png"; give an object"#),
            (
                json!({ "to": "a", "markdown": { "title": "t" } }),
                "markdown.text is missing; give a text, not empty",
            ),
            (
                json!({ "to": "a", "text": "x", "cart": {} }),
                "cart is {}; give only v, to, text, markdown, card, image, file, key, clientId",
            ),
        ] {
            assert_eq!(parse(body.to_string().as_bytes()).unwrap_err().to_string(), problem);
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = parse(&body);
            for value in [json!(text), json!({ "path": text, "text": text }), json!([text]), json!(1)] {
                for name in ["text", "markdown", "card", "image", "file", &text] {
                    let _ = parse(json!({ "to": value, name: value, "key": text }).to_string().as_bytes());
                }
            }
        }
    }
}
