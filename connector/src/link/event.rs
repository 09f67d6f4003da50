//! What an attached agent posts: one event of a turn.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fields::{BadField, Fields};
use crate::agent::{AttachmentKind, Say};

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Posted {
    /// Its number within the turn, from 1 on.
    pub(super) seq: u64,
    /// The `attempt` of the line it answers, where the agent says so.
    pub(super) attempt: Option<u64>,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    Typing,
    /// The agent has the turn for good: if it goes away it goes on by itself, and pushes what it says.
    Adopted,
    /// The words so far, from their beginning.
    Partial(String),
    /// `block` and `final`: something is said.
    Say(Vec<Say>),
    /// The turn ends, and the agent could not answer.
    Error(String),
    /// The turn ends.
    Done,
}

/// Files of one event.
const FILES: usize = 20;
const TYPES: &str = "one of typing, adopted, partial, block, final, error, done";

impl Posted {
    pub(super) fn parse(body: &[u8]) -> Result<Self, BadField> {
        let mut fields = Fields::body(body)?;
        let kind = fields.take("type");
        let seq = fields.number("seq")?;
        let seq = seq.ok_or_else(|| BadField::new("seq", None, "a whole number from 1 on"))?;
        let attempt = fields.number("attempt")?;
        let what = match kind.as_ref().and_then(Value::as_str) {
            Some("typing") => What::Typing,
            Some("adopted") => What::Adopted,
            Some("partial") => What::Partial(fields.needed("text")?),
            Some("block" | "final") => What::Say(says(&mut fields)?),
            Some("error") => What::Error(fields.needed("message")?),
            Some("done") => What::Done,
            _ => return Err(BadField::new("type", kind.as_ref(), TYPES)),
        };
        fields.end()?;
        Ok(Self { seq, attempt, what })
    }
}

/// Words, files, or both; the words come first.
fn says(fields: &mut Fields) -> Result<Vec<Say>, BadField> {
    let mut says: Vec<Say> = fields.text("text")?.map(Say::of_words).into_iter().collect();
    match fields.take("media") {
        None => {}
        Some(Value::Array(list)) if list.len() <= FILES => {
            for (index, value) in list.into_iter().enumerate() {
                says.push(file(value, &format!("media[{index}]"))?);
            }
        }
        Some(value @ Value::Object(_)) => says.push(file(value, "media")?),
        Some(other) => {
            let allowed = format!("an object with path, or a list of at most {FILES}");
            return Err(BadField::new("media", Some(&other), allowed));
        }
    }
    if says.is_empty() {
        return Err(BadField::new("text", None, "a text, or media"));
    }
    Ok(says)
}

/// A file of this machine: `path`, and if they should be others than the path tells, `kind` and `name`.
pub(super) fn file(value: Value, field: &str) -> Result<Say, BadField> {
    let mut fields = Fields::of(value, field)?;
    let path = PathBuf::from(fields.needed("path")?);
    let kind = fields.take("kind");
    let name = fields.text("name")?;
    let bad_path = || {
        let value = Value::from(path.to_string_lossy());
        BadField::new(&format!("{field}.path"), Some(&value), "the absolute path of a file")
    };
    if !path.is_absolute() {
        return Err(bad_path());
    }
    let last = path.file_name().ok_or_else(bad_path)?.to_string_lossy().into_owned();
    let kind = match kind.as_ref().map(|kind| (kind, kind.as_str())) {
        None => kind_of(&last),
        Some((_, Some("picture"))) => AttachmentKind::Picture,
        Some((_, Some("audio"))) => AttachmentKind::Audio,
        Some((_, Some("video"))) => AttachmentKind::Video,
        Some((_, Some("file"))) => AttachmentKind::File,
        Some((kind, _)) => {
            let allowed = "one of picture, audio, video, file";
            return Err(BadField::new(&format!("{field}.kind"), Some(kind), allowed));
        }
    };
    fields.end()?;
    Ok(Say::File { kind, path, name: name.unwrap_or(last) })
}

fn kind_of(name: &str) -> AttachmentKind {
    let extension = Path::new(name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("jpg" | "jpeg" | "png" | "gif" | "bmp") => AttachmentKind::Picture,
        _ => AttachmentKind::File,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::protocol::RobotMessage;

    fn parse(value: &Value) -> Result<Posted, BadField> {
        Posted::parse(value.to_string().as_bytes())
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (body, problem) in [
            (json!([]), "body is []; give one JSON object"),
            (json!({}), "seq is missing; give a whole number from 1 on"),
            (json!({ "v": 2 }), "v is 2; give 1"),
            (json!({ "seq": 0 }), "seq is 0; give a whole number from 1 on"),
            (
                json!({ "seq": 1, "type": "say" }),
                r#"type is "say"; give one of typing, adopted, partial, block, final, error, done"#,
            ),
            (json!({ "seq": 1, "type": "block" }), "text is missing; give a text, or media"),
            (json!({ "seq": 1, "type": "block", "text": 7 }), "text is 7; give a text, not empty"),
            (
                json!({ "seq": 1, "type": "done", "txt": "x" }),
                r#"txt is "x"; give only v, type, seq, attempt"#,
            ),
            (json!({ "seq": 1, "type": "error" }), "message is missing; give a text, not empty"),
            (
                json!({ "seq": 1, "type": "final", "media": { "path": "a.png" } }),
                r#"media.path is "a.png"; give the absolute path of a file"#,
            ),
            (
                json!({ "seq": 1, "type": "final", "media": [{ "path": "/a", "kind": "image" }] }),
                r#"media[0].kind is "image"; give one of picture, audio, video, file"#,
            ),
        ] {
            assert_eq!(parse(&body).unwrap_err().to_string(), problem);
        }
        let problem = Posted::parse(b"{").unwrap_err().to_string();
        assert!(problem.starts_with("body is no JSON ("), "{problem}");
    }

    #[test]
    fn words_and_files_of_an_event_keep_their_order() {
        let body = json!({
            "v": 1, "type": "block", "seq": 3, "attempt": 2, "text": "two files",
            "media": [{ "path": "/x/a.PNG" }, { "path": "/x/b.ogg", "kind": "audio", "name": "c.ogg" }],
        });
        let file =
            |kind, path: &str, name: &str| Say::File { kind, path: path.into(), name: name.into() };
        let posted = parse(&body).unwrap();
        assert_eq!((posted.seq, posted.attempt), (3, Some(2)));
        let says = vec![
            Say::text("two files"),
            file(AttachmentKind::Picture, "/x/a.PNG", "a.PNG"),
            file(AttachmentKind::Audio, "/x/b.ogg", "c.ogg"),
        ];
        assert_eq!(posted.what, What::Say(says));
    }

    #[test]
    fn markdown_is_told_from_plain_text_and_has_a_title() {
        assert_eq!(
            Say::of_words("one\ntwo, 3 - 2 = 1".to_owned()),
            Say::text("one\ntwo, 3 - 2 = 1")
        );
        for (text, title) in [("## Plan\n* a", "Plan"), ("- 早上好", "早上好"), ("**\n", "…")]
        {
            let title = title.to_owned();
            let message = RobotMessage::Markdown { title, text: text.to_owned() };
            assert_eq!(Say::of_words(text.to_owned()), Say::Message(message));
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200), n in any::<i64>(), text in ".*") {
            let _ = Posted::parse(&body);
            for kind in ["typing", "partial", "block", "final", "error", "done", &text] {
                for media in [json!(null), json!({ "path": text }), json!([text]), json!([{ "path": "/", "kind": n }])] {
                    let body = json!({ "type": kind, "seq": n, "text": text, "media": media, "message": n });
                    let _ = parse(&body);
                }
            }
        }
    }
}
