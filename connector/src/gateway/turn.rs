//! What the agent gets of a message: words, and what came with them.
//!
//! Words say where in them a file stood, as `[picture 1]`; the number is that of the attachment.

use crate::agent::{Attachment, AttachmentKind, Quoted, Standing, Turn};
use crate::protocol::{BotMessage, Content, Media, Part, Quote};

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The agent can do something with it.
    Turn(Box<Turn>),
    /// Nothing was written, such as an "@robot" with nothing behind it.
    Nothing,
    /// Its words were withheld, since the organisation's quota is used up.
    QuotaExhausted,
    /// It has a `msgtype` or a form without a reader.
    Unreadable(String),
}

/// Reads a message for the agent.
pub(super) fn read(message: &BotMessage) -> Reading {
    let mut attachments = Vec::new();
    let text = match &message.content {
        Content::QuotaExhausted => return Reading::QuotaExhausted,
        Content::Unsupported { msgtype, .. } => return Reading::Unreadable(msgtype.clone()),
        content => words(content, &mut attachments),
    };
    let quote = message.quote.as_ref().map(|quote| quoted(quote, &mut attachments));
    if text.is_empty() && attachments.is_empty() && quote.is_none() {
        return Reading::Nothing;
    }
    Reading::Turn(Box::new(Turn {
        msg_id: message.msg_id.clone(),
        // Who may is not written in the message.
        command_authorized: false,
        standing: Standing::Admitted,
        conversation_id: message.conversation_id.clone(),
        conversation_type: message.conversation_type.clone(),
        conversation_title: message.conversation_title.clone(),
        mentioned: message.mentions_robot(),
        sender_staff_id: message.sender_staff_id.clone(),
        sender_id: message.sender_id.clone(),
        sender_nick: message.sender_nick.clone(),
        has_words: has_words(&message.content),
        text,
        attachments,
        quote,
    }))
}

/// Whether a body has words besides what can be downloaded.
fn has_words(content: &Content) -> bool {
    match content {
        Content::Text(text) | Content::Markdown(text) => !text.trim().is_empty(),
        Content::RichText(parts) => parts.iter().any(|part| match part {
            Part::Text(text) => !text.trim().is_empty(),
            Part::At(_) | Part::Named(_) => true,
            Part::Picture(_) | Part::Audio(_) | Part::Video(_) | Part::File(_) => false,
        }),
        Content::Picture(_) | Content::Video(_) | Content::File(_) => false,
        Content::Audio { recognition, .. } => recognition.is_some(),
        _ => true,
    }
}

fn quoted(quote: &Quote, attachments: &mut Vec<Attachment>) -> Quoted {
    Quoted {
        msg_id: quote.msg_id.clone(),
        process_query_key: quote.process_query_key.clone(),
        sender_nick: quote.sender_nick.clone(),
        text: quote.content.as_ref().map_or_else(String::new, |content| match content {
            Content::Unsupported { msgtype, note } => unreadable(msgtype, note.as_deref()),
            content => words(content, attachments),
        }),
        quote: quote.quote.as_ref().map(|inner| Box::new(quoted(inner, attachments))),
    }
}

/// What stands for a quoted message that cannot be read. DingTalk says `unknownMsgType` of what it hands to
/// no robot, such as the files of a group.
fn unreadable(msgtype: &str, note: Option<&str>) -> String {
    match (msgtype, note) {
        (_, Some(note)) => format!("[a message that cannot be read: {}]", in_one_line(note)),
        ("" | "unknownMsgType", None) => {
            "[a message that cannot be read, such as a file]".to_owned()
        }
        (msgtype, None) => {
            format!("[a message that cannot be read, of type {}]", in_one_line(msgtype))
        }
    }
}

/// Characters of a name that stand in the words.
const NAME: usize = 200;

/// What somebody chose cannot be taken for words of ours: it has no line of its own, and an end.
fn in_one_line(name: &str) -> String {
    let visible = name.chars().map(|c| if c.is_control() || c == '\u{2028}' { ' ' } else { c });
    visible.take(NAME).collect()
}

/// The words of a body; what can be downloaded is added to `attachments`.
fn words(content: &Content, attachments: &mut Vec<Attachment>) -> String {
    let mut mark = |kind, media: &Media| {
        let mark = match &media.file_name {
            Some(name) => {
                format!("[{} {}: {}]", kind_word(kind), attachments.len() + 1, in_one_line(name))
            }
            None => format!("[{} {}]", kind_word(kind), attachments.len() + 1),
        };
        attachments.push(Attachment { kind, media: media.clone(), file: None });
        mark
    };
    match content {
        Content::Text(text) => text.clone(),
        Content::Markdown(text) => text.trim().to_owned(),
        Content::RichText(parts) => {
            let text: String = parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::At(name) => format!("@{name} "),
                    // Emojis bring their brackets.
                    Part::Named(name) if name.starts_with('[') => name.clone(),
                    Part::Named(name) => format!("[{name}]"),
                    Part::Picture(media) => mark(AttachmentKind::Picture, media),
                    Part::Audio(media) => mark(AttachmentKind::Audio, media),
                    Part::Video(media) => mark(AttachmentKind::Video, media),
                    Part::File(media) => mark(AttachmentKind::File, media),
                })
                .collect();
            text.trim().to_owned()
        }
        Content::Picture(media) => mark(AttachmentKind::Picture, media),
        // The words are what was said; the recording comes beside them.
        Content::Audio { media, recognition: Some(words) } => {
            if *media != Media::default() {
                mark(AttachmentKind::Audio, media);
            }
            words.clone()
        }
        Content::Audio { media, recognition: None } => mark(AttachmentKind::Audio, media),
        Content::Video(media) => mark(AttachmentKind::Video, media),
        Content::File(media) => mark(AttachmentKind::File, media),
        Content::ActionCard { title, text, urls } => {
            let lines = title.iter().chain(text).chain(urls).map(|line| line.trim());
            lines.collect::<Vec<_>>().join("\n")
        }
        Content::Document { url, place: Some(place) } => {
            let media = Media { place: Some(place.clone()), ..Media::default() };
            format!("{} {url}", mark(AttachmentKind::File, &media))
        }
        Content::Document { url, place: None } => url.clone(),
        Content::ChatRecord { title, summary, entries } => {
            let mut lines: Vec<String> = title.iter().cloned().collect();
            if entries.is_empty() {
                lines.extend(summary.clone());
            }
            lines.extend(entries.iter().map(|entry| match &entry.sender {
                Some(sender) => format!("{sender}: {}", entry.text),
                None => entry.text.clone(),
            }));
            lines.join("\n")
        }
        Content::QuotaExhausted | Content::Unsupported { .. } => String::new(),
    }
}

fn kind_word(kind: AttachmentKind) -> &'static str {
    match kind {
        AttachmentKind::Picture => "picture",
        AttachmentKind::Audio => "audio",
        AttachmentKind::Video => "video",
        AttachmentKind::File => "file",
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use dingtalk_conformance::fixtures::FixtureDir;
    use serde_json::Value;

    use super::{Attachment, Quoted, Reading, read};
    use crate::agent::{Agent, Attempt, Echo, Say, Speaker, TurnId, Utterance};
    use crate::protocol::{BotMessage, DataFrame};

    fn show(out: &mut String, reading: &Reading) {
        let Reading::Turn(turn) = reading else {
            writeln!(out, "{reading:?}").unwrap();
            return;
        };
        writeln!(out, "text: {:?}", turn.text).unwrap();
        for (Attachment { kind, media, .. }, number) in turn.attachments.iter().zip(1..) {
            writeln!(out, "{number}: {kind:?} {media:?}").unwrap();
        }
        let (mut quote, mut depth) = (turn.quote.as_ref(), 0);
        while let Some(Quoted { msg_id, process_query_key, sender_nick, text, quote: next }) = quote
        {
            depth += 1;
            writeln!(
                out,
                "quote {depth}: {text:?} msg_id={} key={} nick={}",
                msg_id.as_ref().map_or("-", |id| id.as_str()),
                process_query_key.as_ref().map_or("-", |key| key.as_str()),
                sender_nick.as_deref().unwrap_or("-"),
            )
            .unwrap();
            quote = next.as_deref();
        }
    }

    fn turn(data: &Value) -> super::Turn {
        match read(&BotMessage::parse(&data.to_string()).unwrap()) {
            Reading::Turn(turn) => *turn,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_voice_without_a_recording_is_its_words() {
        let turn = turn(&serde_json::json!({
            "conversationId": "c", "msgtype": "audio", "content": { "recognition": "good morning" },
        }));
        assert_eq!((turn.text.as_str(), turn.has_words), ("good morning", true));
        assert!(turn.attachments.is_empty());
    }

    #[test]
    fn the_name_of_a_file_is_no_line_of_ours() {
        let turn = turn(&serde_json::json!({
            "conversationId": "c", "msgtype": "file",
            "content": { "downloadCode": "code", "fileName": "a]\n[picture 2]\r\n\0.pdf" },
        }));
        assert_eq!(turn.text, "[file 1: a] [picture 2]   .pdf]");
    }

    #[tokio::test]
    async fn the_echo_of_a_quoted_picture_without_words_is_the_picture() {
        let mut turn = turn(&serde_json::json!({
            "conversationId": "c", "msgtype": "text",
            "text": {
                "content": " ", "isReplyMsg": true,
                "repliedMsg": {
                    "msgId": "m", "msgType": "picture", "content": { "downloadCode": "code" },
                },
            },
        }));
        assert_eq!((turn.text.as_str(), turn.has_words), ("", false));
        assert_eq!(turn.attachments.len(), 1);
        turn.attachments[0].file = Some(Ok("a.png".into()));
        let (speaker, mut heard) = Speaker::new();
        let attempt = Attempt { turn: TurnId(1), resumed: false, said: 0, seq: 0 };
        Echo.turn(attempt, turn, speaker).await.unwrap();
        assert!(matches!(heard.recv().await, Some(Utterance::Say(Say::File { .. }))));
        assert_eq!(heard.recv().await, None);
    }

    /// Every shape and variant of a message that is known, written to the robot alone and in a group.
    #[test]
    fn the_agent_gets_the_same_turn_of_every_shape_alone_and_in_a_group() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        let fixtures = FixtureDir::open(root).unwrap().fixtures().unwrap();
        let (mut shown, mut count) = (String::new(), 0);
        for fixture in &fixtures {
            let name = fixture.name();
            if !(name.starts_with("stream/callback_bot_")
                || name == "stream/callback_delegate_text")
            {
                continue;
            }
            count += 1;
            let text = String::from_utf8(fixture.message().unwrap()).unwrap();
            let frame = DataFrame::parse(&text).unwrap();
            let mut data: Value = serde_json::from_str(&frame.data).unwrap();
            let mut turn = |kind: &str| {
                data["conversationType"] = kind.into();
                let mut out = String::new();
                show(&mut out, &read(&BotMessage::parse(&data.to_string()).unwrap()));
                out
            };
            let (alone, group) = (turn("1"), turn("2"));
            assert_eq!(alone, group, "{name}");
            write!(shown, "== {name}\n{alone}").unwrap();
        }
        assert_eq!(count, 43, "a new shape needs a look at its turn");
        insta::assert_snapshot!(shown);
    }
}
