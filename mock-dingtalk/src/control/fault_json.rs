//! Faults as JSON: `{"when":"open","times":2,"action":{"type":"status","status":503}}`.

use serde_json::{Value, json};

use super::fields::Fields;
use crate::core::{
    Action, Cut, ErrorBody, Fault, FaultRow, FrameSelector, Times, VerbError, When, quoted,
};

/// Reads a fault. `when` is `"open"`, `"upgrade"`, `"connected"`, `"ack"`, `{"path":"/…"}` or
/// `{"frame":{"type"?,"topic"?,"connection"?}}`; `times` is 1 if not given.
pub(crate) fn read(mut fields: Fields) -> Result<Fault, VerbError> {
    let when = read_when(&mut fields)?;
    let times = read_times(&mut fields)?;
    let action = match fields.object("action")? {
        Some(action) => read_action(action)?,
        None => return Err(fields.missing("action", "an object with a type")),
    };
    fields.finish()?;
    Ok(Fault { when, times, action })
}

/// A number, `"always"`, `{"nth":3}`, `{"every":2}`, `{"for":"10s"}` or `{"percent":30,"seed":7}`.
fn read_times(fields: &mut Fields) -> Result<Times, VerbError> {
    const ALLOWED: &str = "a number from 1, or \"always\", {\"nth\":3}, {\"every\":2}, \
                           {\"for\":\"10s\"} or {\"percent\":30,\"seed\":7}";
    let value = match fields.take("times") {
        None => return Ok(Times::First(1)),
        Some(Value::String(word)) if word == "always" => return Ok(Times::Always),
        Some(value) => value,
    };
    let count =
        |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let Value::Object(members) = &value else {
        return count(&value)
            .map(Times::First)
            .ok_or_else(|| fields.wrong("times", &value, ALLOWED));
    };
    let wrong = || VerbError::invalid("times", quoted(&value.to_string()), ALLOWED);
    let mut inner = Fields::within("times", members.clone());
    let times = match (
        inner.take("nth"),
        inner.take("every"),
        inner.duration("for")?,
        inner.number("percent")?,
        inner.number("seed")?,
    ) {
        (Some(nth), None, None, None, None) => Times::Nth(count(&nth).ok_or_else(wrong)?),
        (None, Some(step), None, None, None) => Times::Every(count(&step).ok_or_else(wrong)?),
        (None, None, Some(time), None, None) => Times::For(time),
        (None, None, None, Some(percent), Some(seed)) => {
            let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
            Times::Chance { percent: percent.ok_or_else(wrong)?, seed }
        }
        _ => return Err(wrong()),
    };
    inner.finish()?;
    Ok(times)
}

fn read_when(fields: &mut Fields) -> Result<When, VerbError> {
    const ALLOWED: &str = "\"open\", \"upgrade\", \"connected\", \"ack\", {\"path\":\"/...\"} or \
                           {\"frame\":{\"type\"?,\"topic\"?,\"connection\"?}}";
    let Some(value) = fields.take("when") else { return Err(fields.missing("when", ALLOWED)) };
    match &value {
        Value::String(word) => {
            let words = [
                ("open", When::Open),
                ("upgrade", When::Upgrade),
                ("connected", When::Connected),
                ("ack", When::Ack),
            ];
            let found = words.into_iter().find(|(known, _)| known == word);
            found.map(|(_, when)| when).ok_or_else(|| fields.wrong("when", &value, ALLOWED))
        }
        Value::Object(members) if members.len() == 1 => {
            let mut inner = Fields::within("when", members.clone());
            if let Some(mut frame) = inner.object("frame")? {
                let selector = FrameSelector {
                    kind: frame.word(
                        "type",
                        &["CALLBACK", "EVENT", "SYSTEM"].map(|k| (k, k.to_owned())),
                    )?,
                    topic: frame.string("topic")?,
                    connection: frame.string("connection")?,
                };
                frame.finish()?;
                return Ok(When::Frame(selector));
            }
            match inner.string("path")? {
                Some(path) if path.starts_with('/') => Ok(When::Path(path)),
                _ => Err(fields.wrong("when", &value, ALLOWED)),
            }
        }
        other => Err(fields.wrong("when", other, ALLOWED)),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Status,
    Empty,
    Hang,
    Delay,
    Drop,
    AcceptThenCut,
    Code,
    Truncate,
    Lose,
    Duplicate,
    Late,
    Reorder,
    Raw,
    Oversize,
    MessageId,
    Redeliver,
    CutAtFrame,
    Disconnect,
    CutAtOnce,
    Mute,
    Unroute,
    LoseFirst,
    RequireShape,
}

fn read_action(mut fields: Fields) -> Result<Action, VerbError> {
    let kinds = [
        ("status", Kind::Status),
        ("empty", Kind::Empty),
        ("hang", Kind::Hang),
        ("delay", Kind::Delay),
        ("drop", Kind::Drop),
        ("acceptThenCut", Kind::AcceptThenCut),
        ("code", Kind::Code),
        ("truncate", Kind::Truncate),
        ("lose", Kind::Lose),
        ("duplicate", Kind::Duplicate),
        ("late", Kind::Late),
        ("reorder", Kind::Reorder),
        ("raw", Kind::Raw),
        ("oversize", Kind::Oversize),
        ("messageId", Kind::MessageId),
        ("redeliver", Kind::Redeliver),
        ("cutAtFrame", Kind::CutAtFrame),
        ("disconnect", Kind::Disconnect),
        ("cut", Kind::CutAtOnce),
        ("mute", Kind::Mute),
        ("unroute", Kind::Unroute),
        ("loseFirst", Kind::LoseFirst),
        ("requireShape", Kind::RequireShape),
    ];
    let kind = fields.word("type", &kinds)?;
    let action = match kind.ok_or_else(|| fields.missing("type", "the name of an action"))? {
        Kind::Status => {
            let status = fields.number("status")?;
            let status = status.ok_or_else(|| fields.missing("status", "an HTTP status"))?;
            let status = u16::try_from(status)
                .map_err(|_| fields.wrong("status", &status.into(), "an HTTP status"))?;
            let bodies =
                [("json", ErrorBody::Json), ("html", ErrorBody::Html), ("empty", ErrorBody::Empty)];
            Action::Status(status, fields.word("body", &bodies)?.unwrap_or(ErrorBody::Json))
        }
        Kind::Empty => Action::EmptyObject,
        Kind::Hang => Action::Hang,
        Kind::Delay => {
            let by = fields.duration("for")?;
            Action::Delay(by.ok_or_else(|| fields.missing("for", "a duration such as \"2s\""))?)
        }
        Kind::Drop => Action::Drop(read_how(&mut fields)?),
        Kind::AcceptThenCut => Action::AcceptThenCut(read_how(&mut fields)?),
        other => read_more(&mut fields, other)?,
    };
    fields.finish()?;
    Ok(action)
}

/// The actions on frames and connections, and those with a body of their own.
fn read_more(fields: &mut Fields, kind: Kind) -> Result<Action, VerbError> {
    let after = |fields: &mut Fields| {
        let by = fields.duration("for")?;
        by.ok_or_else(|| fields.missing("for", "a duration such as \"2s\""))
    };
    Ok(match kind {
        Kind::Code => {
            let status = fields.number("status")?.unwrap_or(400);
            let status = u16::try_from(status).ok().filter(|s| (200..=599).contains(s));
            let allowed = "a status from 200 to 599";
            let status = status.ok_or_else(|| fields.missing("status", allowed))?;
            let code = fields.required_string("code")?;
            let message = fields.string("message")?.unwrap_or_else(|| code.clone());
            Action::Code { status, code, message }
        }
        Kind::Truncate => Action::Truncate,
        Kind::Lose => Action::Lose,
        Kind::Duplicate => {
            let copies = fields.number("copies")?.unwrap_or(1);
            Action::Duplicate(u32::try_from(copies).unwrap_or(u32::MAX))
        }
        Kind::Late => Action::Late(after(fields)?),
        Kind::Redeliver => Action::Redeliver(after(fields)?),
        Kind::Reorder => Action::Reorder,
        Kind::Raw => Action::Raw(fields.required_string("text")?),
        Kind::Oversize => {
            let bytes = fields.number("bytes")?;
            let bytes = bytes.ok_or_else(|| fields.missing("bytes", "a number of bytes"))?;
            Action::Oversize(usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        Kind::MessageId => Action::MessageId(fields.required_string("messageId")?),
        Kind::CutAtFrame => Action::CutAtFrame(read_how(fields)?),
        Kind::CutAtOnce => Action::CutAtOnce(read_how(fields)?),
        Kind::Disconnect => Action::Disconnect { closes: fields.bool("closes")?.unwrap_or(true) },
        Kind::Mute => Action::Mute,
        Kind::Unroute => Action::Unroute,
        Kind::LoseFirst => Action::LoseFirst,
        Kind::RequireShape => Action::RequireShape,
        Kind::Status
        | Kind::Empty
        | Kind::Hang
        | Kind::Delay
        | Kind::Drop
        | Kind::AcceptThenCut => unreachable!("the caller reads these"),
    })
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
    let cut = cut.ok_or_else(|| fields.missing("type", "rst, fin, close or blackhole"))?;
    let Cut::Close { .. } = cut else { return Ok(cut) };
    let code = fields.number("code")?.unwrap_or(1000);
    let code = u16::try_from(code)
        .map_err(|_| fields.wrong("code", &code.into(), "a close code, 1000 to 4999"))?;
    Ok(Cut::Close { code, reason: fields.string("reason")?.unwrap_or_default() })
}

/// Writes a rule as `read` takes it, with its id and what became of it.
pub(crate) fn write(row: &FaultRow) -> Value {
    let when = match &row.fault.when {
        When::Open => json!("open"),
        When::Upgrade => json!("upgrade"),
        When::Connected => json!("connected"),
        When::Ack => json!("ack"),
        When::Path(path) => json!({ "path": path }),
        When::Frame(FrameSelector { kind, topic, connection }) => {
            json!({ "frame": { "type": kind, "topic": topic, "connection": connection } })
        }
    };
    let times = match row.fault.times {
        Times::First(times) => json!(times),
        Times::Always => json!("always"),
        Times::Nth(nth) => json!({ "nth": nth }),
        Times::Every(step) => json!({ "every": step }),
        Times::For(time) => json!({ "for": format!("{}ms", time.as_millis()) }),
        Times::Chance { percent, seed } => json!({ "percent": percent, "seed": seed }),
    };
    let action = write_action(&row.fault.action);
    json!({
        "id": row.id,
        "when": when,
        "times": times,
        "action": action,
        "hits": row.hits,
        "left": row.left,
    })
}

fn write_action(action: &Action) -> Value {
    let ms = |by: &std::time::Duration| format!("{}ms", by.as_millis());
    match action {
        Action::Status(status, body) => json!({ "type": "status", "status": status, "body": body }),
        Action::EmptyObject => json!({ "type": "empty" }),
        Action::Hang => json!({ "type": "hang" }),
        Action::Delay(by) => json!({ "type": "delay", "for": ms(by) }),
        Action::Drop(how) => json!({ "type": "drop", "how": write_cut(how) }),
        Action::AcceptThenCut(how) => json!({ "type": "acceptThenCut", "how": write_cut(how) }),
        Action::Code { status, code, message } => {
            json!({ "type": "code", "status": status, "code": code, "message": message })
        }
        Action::Truncate => json!({ "type": "truncate" }),
        Action::Lose => json!({ "type": "lose" }),
        Action::Duplicate(copies) => json!({ "type": "duplicate", "copies": copies }),
        Action::Late(by) => json!({ "type": "late", "for": ms(by) }),
        Action::Redeliver(by) => json!({ "type": "redeliver", "for": ms(by) }),
        Action::Reorder => json!({ "type": "reorder" }),
        Action::Raw(text) => json!({ "type": "raw", "text": text }),
        Action::Oversize(bytes) => json!({ "type": "oversize", "bytes": bytes }),
        Action::MessageId(id) => json!({ "type": "messageId", "messageId": id }),
        Action::CutAtFrame(how) => json!({ "type": "cutAtFrame", "how": write_cut(how) }),
        Action::CutAtOnce(how) => json!({ "type": "cut", "how": write_cut(how) }),
        Action::Disconnect { closes } => json!({ "type": "disconnect", "closes": closes }),
        Action::Mute => json!({ "type": "mute" }),
        Action::Unroute => json!({ "type": "unroute" }),
        Action::LoseFirst => json!({ "type": "loseFirst" }),
        Action::RequireShape => json!({ "type": "requireShape" }),
    }
}

fn write_cut(cut: &Cut) -> Value {
    match cut {
        Cut::Rst => json!({ "type": "rst" }),
        Cut::Fin => json!({ "type": "fin" }),
        Cut::BlackHole => json!({ "type": "blackhole" }),
        Cut::Close { code, reason } => json!({ "type": "close", "code": code, "reason": reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, read, write};
    use crate::core::FaultRow;

    #[test]
    fn what_is_written_can_be_read_again() {
        let texts = [
            r#"{"when":"open","times":2,"action":{"type":"status","status":503,"body":"html"}}"#,
            r#"{"when":{"path":"/gettoken"},"times":"always","action":{"type":"delay","for":"2000ms"}}"#,
            r#"{"when":"upgrade","times":1,"action":{"type":"acceptThenCut","how":{"type":"close","code":1001,"reason":"x"}}}"#,
            r#"{"when":{"frame":{"type":"CALLBACK"}},"times":{"nth":3},"action":{"type":"lose"}}"#,
            r#"{"when":{"frame":{}},"times":{"every":2},"action":{"type":"duplicate","copies":2}}"#,
            r#"{"when":{"frame":{"topic":"*"}},"times":{"for":"9s"},"action":{"type":"late","for":"2s"}}"#,
            r#"{"when":{"frame":{}},"times":{"percent":9,"seed":1},"action":{"type":"reorder"}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"raw","text":"{"}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"oversize","bytes":9}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"messageId","messageId":"x"}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"redeliver","for":"1s"}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"cutAtFrame"}}"#,
            r#"{"when":"connected","action":{"type":"disconnect","closes":false}}"#,
            r#"{"when":"connected","action":{"type":"cut","how":{"type":"blackhole"}}}"#,
            r#"{"when":"connected","action":{"type":"mute"}}"#,
            r#"{"when":"connected","action":{"type":"unroute"}}"#,
            r#"{"when":"connected","action":{"type":"loseFirst"}}"#,
            r#"{"when":"ack","times":"always","action":{"type":"requireShape"}}"#,
            r#"{"when":{"path":"/x"},"action":{"type":"code","status":403,"code":"a","message":"b"}}"#,
            r#"{"when":{"path":"/x"},"action":{"type":"truncate"}}"#,
            r#"{"when":"open","times":1,"action":{"type":"hang"}}"#,
            r#"{"when":"open","times":1,"action":{"type":"empty"}}"#,
            r#"{"when":"open","times":1,"action":{"type":"drop","how":{"type":"fin"}}}"#,
        ];
        for text in texts {
            let fault = read(Fields::parse(text.as_bytes()).unwrap()).unwrap();
            let mut written = write(&FaultRow {
                id: 1,
                fault: fault.clone(),
                hits: 0,
                left: None,
                seen: 0,
                until: None,
            });
            for extra in ["id", "hits", "left"] {
                written.as_object_mut().unwrap().remove(extra);
            }
            let again = read(Fields::parse(written.to_string().as_bytes()).unwrap()).unwrap();
            assert_eq!(fault, again, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            ("{}", "`when` is missing"),
            (r#"{"when":"nope"}"#, "`when` is \"nope\""),
            (r#"{"when":"open"}"#, "`action` is missing"),
            (r#"{"when":"open","action":{"type":"explode"}}"#, "`action.type` is \"explode\""),
            (r#"{"when":"open","times":0,"action":{"type":"hang"}}"#, "`times` is 0"),
            (r#"{"when":"open","action":{"type":"delay"}}"#, "`action.for` is missing"),
            (r#"{"when":"open","action":{"type":"hang","x":1}}"#, "`action.x` is 1"),
        ];
        for (text, start) in cases {
            let error = read(Fields::parse(text.as_bytes()).unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }
}
