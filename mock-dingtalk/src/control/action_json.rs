//! What a fault does, as JSON: `{"type":"status","status":503}`.

use std::time::Duration;

use serde_json::{Value, json};

use super::fields::Fields;
use crate::core::{Action, BadFrame, Cut, Direction, ErrorBody, VerbError};

/// Reads what stands beside `type`.
pub(super) type Read = fn(&mut Fields) -> Result<Action, VerbError>;

/// Every action by its name.
pub(super) const ACTIONS: [(&str, Read); 34] = [
    ("status", |fields| {
        let status = read_status(fields)?.ok_or_else(|| fields.missing("status", STATUS))?;
        Ok(Action::Status(status, fields.word("body", &BODIES)?.unwrap_or(ErrorBody::Json)))
    }),
    ("code", |fields| {
        let status = read_status(fields)?.unwrap_or(400);
        let code = fields.required_string("code")?;
        let message = fields.string("message")?.unwrap_or_else(|| code.clone());
        let required_scopes = fields.strings("requiredScopes")?.unwrap_or_default();
        Ok(Action::Code { status, code, message, required_scopes })
    }),
    ("empty", |_| Ok(Action::EmptyObject)),
    ("hang", |_| Ok(Action::Hang)),
    ("delay", |fields| Ok(Action::Delay(read_time(fields, "for")?))),
    ("drop", |fields| Ok(Action::Drop(read_how(fields)?))),
    ("acceptThenCut", |fields| Ok(Action::AcceptThenCut(read_how(fields)?))),
    ("truncate", |_| Ok(Action::Truncate)),
    ("slowBody", |fields| Ok(Action::SlowBody(read_time(fields, "for")?))),
    ("hangAfterHead", |_| Ok(Action::HangAfterHead)),
    ("cutBody", |_| Ok(Action::CutBody)),
    ("dribble", |fields| {
        let bytes = read_size(fields, "bytes")?;
        Ok(Action::Dribble { bytes, every: read_time(fields, "every")? })
    }),
    ("largeBody", |fields| {
        let bytes = fields.number("bytes")?;
        let bytes = bytes.ok_or_else(|| fields.missing("bytes", "a number of bytes"))?;
        Ok(Action::LargeBody { bytes, announced: fields.bool("announced")?.unwrap_or(true) })
    }),
    ("redirect", |fields| Ok(Action::Redirect(fields.string("to")?))),
    ("downloadUrl", |fields| Ok(Action::DownloadUrl(fields.string("url")?))),
    ("lose", |_| Ok(Action::Lose)),
    ("duplicate", |fields| {
        let copies = fields.number("copies")?.unwrap_or(1);
        Ok(Action::Duplicate(u32::try_from(copies).unwrap_or(u32::MAX)))
    }),
    ("late", |fields| Ok(Action::Late(read_time(fields, "for")?))),
    ("redeliver", |fields| Ok(Action::Redeliver(read_time(fields, "for")?))),
    ("reorder", |_| Ok(Action::Reorder)),
    ("raw", |fields| Ok(Action::Raw(fields.required_string("text")?))),
    ("oversize", |fields| Ok(Action::Oversize(read_size(fields, "bytes")?))),
    ("messageId", |fields| Ok(Action::MessageId(fields.required_string("messageId")?))),
    ("cutAtFrame", |fields| Ok(Action::CutAtFrame(read_how(fields)?))),
    ("fragment", |fields| {
        let pieces = fields.number("pieces")?.unwrap_or(3);
        Ok(Action::Fragment(u32::try_from(pieces).unwrap_or(u32::MAX)))
    }),
    ("badFrame", |fields| {
        let how = fields.word("how", &BAD_FRAMES)?;
        Ok(Action::BadFrame(how.unwrap_or(BadFrame::ReservedBits)))
    }),
    ("disconnect", |fields| {
        Ok(Action::Disconnect { closes: fields.bool("closes")?.unwrap_or(true) })
    }),
    ("cut", |fields| Ok(Action::CutAtOnce(read_how(fields)?))),
    ("mute", |_| Ok(Action::Mute)),
    ("noPong", |_| Ok(Action::NoPong)),
    ("unroute", |_| Ok(Action::Unroute)),
    ("loseFirst", |_| Ok(Action::LoseFirst)),
    ("requireShape", |_| Ok(Action::RequireShape)),
    ("alert", |_| Ok(Action::Alert)),
];

const BODIES: [(&str, ErrorBody); 4] = [
    ("json", ErrorBody::Json),
    ("html", ErrorBody::Html),
    ("empty", ErrorBody::Empty),
    ("blocked", ErrorBody::Blocked),
];

pub(super) const BAD_FRAMES: [(&str, BadFrame); 8] = [
    ("reservedBits", BadFrame::ReservedBits),
    ("opcode", BadFrame::Opcode),
    ("masked", BadFrame::Masked),
    ("continuation", BadFrame::Continuation),
    ("interleaved", BadFrame::Interleaved),
    ("fragmentedPing", BadFrame::FragmentedPing),
    ("longPing", BadFrame::LongPing),
    ("utf8", BadFrame::Utf8),
];

const STATUS: &str = "a status from 200 to 599";

/// Reads an action; whether it fits its place is judged later.
pub(super) fn read_action(mut fields: Fields) -> Result<Action, VerbError> {
    let Some(read) = fields.word("type", &ACTIONS)? else {
        let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
        return Err(fields.missing("type", &format!("one of {}", names.join(", "))));
    };
    let action = read(&mut fields)?;
    fields.finish()?;
    Ok(action)
}

fn read_status(fields: &mut Fields) -> Result<Option<u16>, VerbError> {
    let Some(status) = fields.number("status")? else { return Ok(None) };
    let fits = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
    fits.map(Some).ok_or_else(|| fields.wrong("status", &status.into(), STATUS))
}

fn read_time(fields: &mut Fields, name: &'static str) -> Result<Duration, VerbError> {
    let time = fields.duration(name)?;
    time.ok_or_else(|| fields.missing(name, "a duration such as \"2s\""))
}

fn read_size(fields: &mut Fields, name: &'static str) -> Result<usize, VerbError> {
    let size = fields.number(name)?.ok_or_else(|| fields.missing(name, "a number of bytes"))?;
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// The optional `how` of an action; a reset if not given.
fn read_how(fields: &mut Fields) -> Result<Cut, VerbError> {
    let Some(mut how) = fields.object("how")? else { return Ok(Cut::Rst) };
    let cut = read_cut(&mut how)?;
    how.finish()?;
    Ok(cut)
}

/// Reads the fields of a cut.
pub(crate) fn read_cut(fields: &mut Fields) -> Result<Cut, VerbError> {
    let kinds = [
        ("rst", Cut::Rst),
        ("fin", Cut::Fin),
        ("blackhole", Cut::BlackHole),
        ("close", Cut::Close { code: 1000, reason: String::new() }),
    ];
    let cut = fields.word("type", &kinds)?;
    match cut.ok_or_else(|| fields.missing("type", "rst, fin, close or blackhole"))? {
        Cut::BlackHole => {
            let directions = [
                ("both", Cut::BlackHole),
                ("toBot", Cut::OneWay(Direction::ToBot)),
                ("fromBot", Cut::OneWay(Direction::FromBot)),
            ];
            Ok(fields.word("direction", &directions)?.unwrap_or(Cut::BlackHole))
        }
        Cut::Close { .. } => {
            let code = fields.number("code")?.unwrap_or(1000);
            let code = u16::try_from(code)
                .map_err(|_| fields.wrong("code", &code.into(), "a close code, 1000 to 4999"))?;
            Ok(Cut::Close { code, reason: fields.string("reason")?.unwrap_or_default() })
        }
        cut => Ok(cut),
    }
}

/// Writes an action as [`read_action`] takes it.
pub(super) fn write_action(action: &Action) -> Value {
    let ms = |by: &Duration| format!("{}ms", by.as_millis());
    match action {
        Action::Status(status, body) => json!({ "type": "status", "status": status, "body": body }),
        Action::EmptyObject => json!({ "type": "empty" }),
        Action::Hang => json!({ "type": "hang" }),
        Action::Delay(by) => json!({ "type": "delay", "for": ms(by) }),
        Action::Drop(how) => json!({ "type": "drop", "how": write_cut(how) }),
        Action::AcceptThenCut(how) => json!({ "type": "acceptThenCut", "how": write_cut(how) }),
        Action::Code { status, code, message, required_scopes } => {
            let mut code =
                json!({ "type": "code", "status": status, "code": code, "message": message });
            if !required_scopes.is_empty() {
                code["requiredScopes"] = json!(required_scopes);
            }
            code
        }
        Action::Truncate => json!({ "type": "truncate" }),
        Action::SlowBody(over) => json!({ "type": "slowBody", "for": ms(over) }),
        Action::HangAfterHead => json!({ "type": "hangAfterHead" }),
        Action::CutBody => json!({ "type": "cutBody" }),
        Action::Dribble { bytes, every } => {
            json!({ "type": "dribble", "bytes": bytes, "every": ms(every) })
        }
        Action::LargeBody { bytes, announced } => {
            json!({ "type": "largeBody", "bytes": bytes, "announced": announced })
        }
        Action::Redirect(to) => led("redirect", "to", to.as_deref()),
        Action::DownloadUrl(url) => led("downloadUrl", "url", url.as_deref()),
        Action::Lose => json!({ "type": "lose" }),
        Action::Duplicate(copies) => json!({ "type": "duplicate", "copies": copies }),
        Action::Late(by) => json!({ "type": "late", "for": ms(by) }),
        Action::Redeliver(by) => json!({ "type": "redeliver", "for": ms(by) }),
        Action::Reorder => json!({ "type": "reorder" }),
        Action::Raw(text) => json!({ "type": "raw", "text": text }),
        Action::Oversize(bytes) => json!({ "type": "oversize", "bytes": bytes }),
        Action::MessageId(id) => json!({ "type": "messageId", "messageId": id }),
        Action::CutAtFrame(how) => json!({ "type": "cutAtFrame", "how": write_cut(how) }),
        Action::Fragment(pieces) => json!({ "type": "fragment", "pieces": pieces }),
        Action::BadFrame(how) => {
            let word = BAD_FRAMES.iter().find(|(_, known)| known == how).map(|(word, _)| word);
            json!({ "type": "badFrame", "how": word })
        }
        Action::CutAtOnce(how) => json!({ "type": "cut", "how": write_cut(how) }),
        Action::Disconnect { closes } => json!({ "type": "disconnect", "closes": closes }),
        Action::Mute => json!({ "type": "mute" }),
        Action::NoPong => json!({ "type": "noPong" }),
        Action::Unroute => json!({ "type": "unroute" }),
        Action::LoseFirst => json!({ "type": "loseFirst" }),
        Action::RequireShape => json!({ "type": "requireShape" }),
        Action::Alert => json!({ "type": "alert" }),
    }
}

fn led(kind: &str, member: &str, to: Option<&str>) -> Value {
    let mut action = json!({ "type": kind });
    if let Some(to) = to {
        action[member] = to.into();
    }
    action
}

fn write_cut(cut: &Cut) -> Value {
    match cut {
        Cut::Rst => json!({ "type": "rst" }),
        Cut::Fin => json!({ "type": "fin" }),
        Cut::BlackHole => json!({ "type": "blackhole" }),
        Cut::OneWay(Direction::ToBot) => json!({ "type": "blackhole", "direction": "toBot" }),
        Cut::OneWay(Direction::FromBot) => json!({ "type": "blackhole", "direction": "fromBot" }),
        Cut::Close { code, reason } => json!({ "type": "close", "code": code, "reason": reason }),
    }
}
