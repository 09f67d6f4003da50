//! What a person sends, as JSON: `{"from","text"}`, or with `conversation`, `msgtype`, `content`,
//! `media`, `quote`, `variants` and `lenient`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::fields::Fields;
use crate::core::{
    Content, ConversationKind, MAX_DEPTH, MAX_PARTS, Media, MsgType, Quote, QuoteForm, Sample,
    SayConversation, Speech, StaffId, Variants, VerbError, quoted,
};

/// The largest body of `messages`: the largest file in base64, and something around it.
pub(crate) const MAX_BODY: usize = 32 << 20;
/// DingTalk's own limit is not documented; frames stay below what every SDK takes.
const MAX_TEXT: usize = 200_000;

/// Reads it. Every complaint names the field.
pub(crate) fn read(mut fields: Fields) -> Result<Speech, VerbError> {
    let from = fields.required_string("from")?;
    let content = read_content(&mut fields)?;
    let mut speech = Speech::new(from, content);
    speech.conversation = read_conversation(&mut fields)?;
    if let Some(quote) = fields.object("quote")? {
        speech.quote = Some(read_quote(quote, 1)?);
    }
    if let Some(variants) = fields.object("variants")? {
        speech.variants = read_variants(variants)?;
    }
    speech.lenient = fields.bool("lenient")?.unwrap_or(false);
    fields.finish()?;
    Ok(speech)
}

pub(crate) fn read_conversation(fields: &mut Fields) -> Result<Option<SayConversation>, VerbError> {
    let Some(mut inner) = fields.object("conversation")? else { return Ok(None) };
    let kinds = [("1", ConversationKind::Direct), ("2", ConversationKind::Group)];
    let kind = inner.word("type", &kinds)?;
    let kind = kind.ok_or_else(|| inner.missing("type", "\"1\" or \"2\""))?;
    let conversation =
        SayConversation { kind, id: inner.string("id")?, title: inner.string("title")? };
    inner.finish()?;
    Ok(Some(conversation))
}

/// A group, whose type need not be given.
pub(super) fn read_group(mut fields: Fields) -> Result<SayConversation, VerbError> {
    fields.word("type", &[("2", ConversationKind::Group)])?;
    let kind = ConversationKind::Group;
    let group = SayConversation { kind, id: fields.string("id")?, title: fields.string("title")? };
    fields.finish()?;
    Ok(group)
}

/// `msgtype`, `text`, `content` and `media`. `content` is an object with members of the wire's
/// `content`, for words also a string, for `richText` also the array of parts.
fn read_content(fields: &mut Fields) -> Result<Content, VerbError> {
    let msgtype = fields.word("msgtype", &MsgType::NAMES)?.unwrap_or(MsgType::Text);
    let mut content = Content::of(msgtype);
    content.text = fields.string("text")?;
    match fields.take("content") {
        None => {}
        Some(Value::String(words)) if content.text.is_none() => content.text = Some(words),
        Some(Value::Array(parts)) if msgtype == MsgType::RichText => {
            content = content.with("richText", parts);
        }
        Some(Value::Object(members)) if msgtype == MsgType::Text => {
            return Err(fields.wrong("content", &Value::Object(members), "a string"));
        }
        Some(Value::Object(members)) => content.members = members,
        Some(other) => {
            let allowed = "an object, or a string unless there is `text`";
            return Err(fields.wrong("content", &other, allowed));
        }
    }
    if msgtype == MsgType::Text && content.text.is_none() {
        return Err(fields.missing("text", "a string"));
    }
    check_parts(&content)?;
    let length = content.text.as_ref().map_or(0, String::len)
        + content.members.values().map(|value| value.to_string().len()).sum::<usize>();
    if length > MAX_TEXT {
        let value = format!("{length} bytes long");
        return Err(VerbError::invalid("text", value, format!("at most {MAX_TEXT} bytes")));
    }
    content.media = match fields.take("media") {
        None => Vec::new(),
        Some(Value::Array(all)) if all.len() <= MAX_PARTS => {
            all.into_iter().map(|one| read_media(fields, one)).collect::<Result<_, _>>()?
        }
        Some(one) => vec![read_media(fields, one)?],
    };
    Ok(content)
}

fn check_parts(content: &Content) -> Result<(), VerbError> {
    if content.msgtype != MsgType::RichText {
        return Ok(());
    }
    let allowed = format!("an array of at most {MAX_PARTS} objects");
    match content.members.get("richText") {
        None => Ok(()),
        Some(Value::Array(parts)) if parts.len() <= MAX_PARTS => {
            match parts.iter().find(|part| !part.is_object()) {
                None => Ok(()),
                Some(part) => {
                    let value = quoted(&part.to_string());
                    Err(VerbError::invalid("content.richText", value, allowed))
                }
            }
        }
        Some(other) => {
            let value = quoted(&other.to_string());
            Err(VerbError::invalid("content.richText", value, allowed))
        }
    }
}

/// `{"base64","name"?,"mimeType"?}` or `{"sample":"png","name"?}`.
pub(crate) fn read_media(fields: &Fields, value: Value) -> Result<Media, VerbError> {
    let mut inner = match value {
        Value::Object(members) => Fields::within("media", members),
        other => {
            let allowed = "an object, or an array of at most 100 of them";
            return Err(fields.wrong("media", &other, allowed));
        }
    };
    let mut media = match (inner.word("sample", &Sample::NAMES)?, inner.string("base64")?) {
        (Some(sample), None) => sample.media(),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(&text).map_err(|error| {
                let allowed = format!("standard base64 with padding ({error})");
                VerbError::invalid("media.base64", quoted(&text), allowed)
            })?;
            Media::new("file.bin", "application/octet-stream", bytes)
        }
        _ => {
            return Err(VerbError::invalid(
                "media",
                "an object with none or both of them",
                "either `base64` or `sample`",
            ));
        }
    };
    if let Some(name) = inner.string("name")? {
        media.name = name;
    }
    if let Some(mime_type) = inner.string("mimeType")? {
        media.mime_type = mime_type;
    }
    inner.finish()?;
    Ok(media)
}

fn read_quote(mut fields: Fields, depth: usize) -> Result<Quote, VerbError> {
    let key = fields.string("processQueryKey")?;
    let mut quote = match key {
        Some(key) => Quote::of_robot(key),
        None => Quote::of(read_content(&mut fields)?),
    };
    quote.msg_id = fields.string("msgId")?;
    quote.from = fields.string("from")?;
    quote.created_at = match fields.number("createdAt")? {
        None => None,
        Some(ms) => Some(
            i64::try_from(ms)
                .map_err(|_| fields.wrong("createdAt", &ms.into(), "milliseconds since 1970"))?,
        ),
    };
    quote.form = fields.word("form", &QuoteForm::NAMES)?.unwrap_or_default();
    quote.content_as_string = as_string(&mut fields, "contentAs", "object")?.unwrap_or(false);
    if let Some(inner) = fields.object("quote")? {
        if depth >= MAX_DEPTH {
            let allowed = format!("at most {MAX_DEPTH} quotes within each other");
            return Err(VerbError::invalid("quote.quote", "deeper", allowed));
        }
        quote.inner = Some(Box::new(read_quote(inner, depth + 1)?));
    }
    fields.finish()?;
    Ok(quote)
}

fn read_variants(mut fields: Fields) -> Result<Variants, VerbError> {
    let staff =
        [("present", StaffId::Present), ("missing", StaffId::Missing), ("empty", StaffId::Empty)];
    let topics = [("bot", false), ("delegate", true)];
    let variants = Variants {
        times_as_strings: as_string(&mut fields, "times", "number")?.unwrap_or(false),
        duration_as_string: as_string(&mut fields, "duration", "number")?,
        content_as_string: as_string(&mut fields, "content", "object")?.unwrap_or(false),
        staff_id: fields.word("senderStaffId", &staff)?.unwrap_or_default(),
        delegate: fields.word("topic", &topics)?.unwrap_or(false),
        quota_exhausted: fields.bool("quotaExhausted")?.unwrap_or(false),
    };
    fields.finish()?;
    Ok(variants)
}

/// A field that says `string` or the other form.
fn as_string(
    fields: &mut Fields,
    name: &'static str,
    other: &str,
) -> Result<Option<bool>, VerbError> {
    fields.word(name, &[("string", true), (other, false)])
}
