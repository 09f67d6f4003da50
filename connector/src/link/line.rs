//! The lines that an attached agent reads.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::turns::Offer;
use crate::agent::{Attachment, AttachmentKind, Quoted, TurnId};
use crate::credential::ClientId;
use crate::protocol::{ConversationType, MsgId, ProcessQueryKey, SenderId, SenderStaffId};

/// One line.
#[derive(Debug)]
pub(super) enum Line {
    /// The first one.
    Attached,
    /// A turn to be answered.
    Turn(Box<Offer>),
    /// A turn that is over without the agent having ended it.
    Ended(TurnId),
    /// Another agent attached; this is the last line.
    Replaced,
}

impl Line {
    /// As it is written, its end included.
    pub(super) fn ndjson(&self, client_id: &ClientId) -> Bytes {
        let value = match self {
            Self::Attached => json!({ "v": 1, "type": "attached", "clientId": client_id.as_str() }),
            Self::Turn(offer) => turn(offer, client_id),
            Self::Ended(id) => json!({ "v": 1, "type": "ended", "id": id.0.to_string() }),
            Self::Replaced => json!({ "v": 1, "type": "replaced" }),
        };
        format!("{value}\n").into()
    }
}

fn turn(offer: &Offer, client_id: &ClientId) -> Value {
    let Offer { id, attempt, seq, said, adopted, turn } = offer;
    let staff_id = turn.sender_staff_id.as_ref().map(SenderStaffId::as_str);
    let conversation_id = turn.conversation_id.as_str();
    let (kind, target) = match &turn.conversation_type {
        ConversationType::Direct => ("direct", staff_id.map(|id| format!("user:{id}"))),
        ConversationType::Group => ("group", Some(format!("chat:{conversation_id}"))),
        ConversationType::Unknown(kind) => (kind.as_str(), None),
    };
    json!({
        "v": 1,
        "type": "turn",
        "id": id.0.to_string(),
        "attempt": attempt,
        "seq": seq,
        "said": said,
        "adopted": adopted,
        "clientId": client_id.as_str(),
        "conversation": present([
            ("id", Some(conversation_id.into())),
            ("type", Some(kind.into())),
            ("title", turn.conversation_title.as_deref().map(Value::from)),
            ("target", target.map(Value::from)),
        ]),
        "sender": present([
            ("staffId", staff_id.map(Value::from)),
            ("id", turn.sender_id.as_ref().map(SenderId::as_str).map(Value::from)),
            ("nick", turn.sender_nick.as_deref().map(Value::from)),
        ]),
        "msgId": turn.msg_id.as_ref().map(MsgId::as_str),
        "mentioned": turn.mentioned,
        "text": turn.text,
        "hasWords": turn.has_words,
        "attachments": turn.attachments.iter().map(attachment).collect::<Vec<_>>(),
        "quote": turn.quote.as_ref().map(quote),
        "commandAuthorized": turn.command_authorized,
    })
}

fn attachment(Attachment { kind, media, file }: &Attachment) -> Value {
    let kind = match kind {
        AttachmentKind::Picture => "picture",
        AttachmentKind::Audio => "audio",
        AttachmentKind::Video => "video",
        AttachmentKind::File => "file",
    };
    let (path, missing) = match file {
        Some(Ok(path)) => (Some(path), None),
        Some(Err(missing)) => (None, Some(missing.to_string())),
        None => (None, Some("it was not fetched".to_owned())),
    };
    let stored = path.and_then(|path| path.file_name());
    let name = media.file_name.clone().or_else(|| stored.map(|n| n.to_string_lossy().into_owned()));
    Value::Object(present([
        ("kind", Some(kind.into())),
        ("path", path.map(|path| path.to_string_lossy().into())),
        ("name", name.map(Value::from)),
        ("missing", missing.map(Value::from)),
    ]))
}

fn quote(quoted: &Quoted) -> Value {
    let key = quoted.process_query_key.as_ref().map(ProcessQueryKey::as_str);
    Value::Object(present([
        ("msgId", quoted.msg_id.as_ref().map(|id| id.as_str().into())),
        ("processQueryKey", key.map(Value::from)),
        ("nick", quoted.sender_nick.as_deref().map(Value::from)),
        ("text", Some(quoted.text.as_str().into())),
        ("quote", quoted.quote.as_deref().map(quote)),
    ]))
}

/// What is known; what is not is left out.
fn present<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let fields = fields.into_iter();
    fields.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::agent::{Missing, Standing, Turn};
    use crate::protocol::{ConversationId, Media};

    #[test]
    fn a_turn_is_one_line_with_everything_that_is_known() {
        let file =
            |file_name: &str| Media { file_name: Some(file_name.to_owned()), ..Media::default() };
        let turn = Turn {
            msg_id: Some(MsgId::new("msg1")),
            command_authorized: true,
            standing: Standing::Admitted,
            conversation_id: ConversationId::new("cidA=="),
            conversation_type: ConversationType::Group,
            conversation_title: Some("Team".to_owned()),
            mentioned: true,
            sender_staff_id: Some(SenderStaffId::new("User01")),
            sender_id: Some(SenderId::new("$:LWCP_v1:$x")),
            sender_nick: Some("小明".to_owned()),
            text: "look\n[picture 1]".to_owned(),
            has_words: true,
            attachments: vec![
                Attachment {
                    kind: AttachmentKind::Picture,
                    media: Media::default(),
                    file: Some(Ok("/state/media/a.png".into())),
                },
                Attachment {
                    kind: AttachmentKind::File,
                    media: file("plan.pdf"),
                    file: Some(Err(Missing::TooLarge)),
                },
            ],
            quote: Some(Quoted {
                msg_id: Some(MsgId::new("msg0")),
                process_query_key: None,
                sender_nick: None,
                text: "earlier".to_owned(),
                quote: None,
            }),
        };
        let offer = Offer {
            id: TurnId(7),
            attempt: 2,
            seq: 3,
            said: 1,
            adopted: true,
            turn: Arc::new(turn),
        };
        let line = Line::Turn(Box::new(offer)).ndjson(&ClientId::new("ding1"));
        let text = std::str::from_utf8(&line).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "a line end within is escaped");
        let value: Value = serde_json::from_str(text).unwrap();
        insta::assert_json_snapshot!(value);
    }
}
