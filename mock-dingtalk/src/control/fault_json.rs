//! Faults as JSON: `{"when":"open","times":2,"action":{"type":"status","status":503}}`.

use serde_json::{Value, json};

use super::fields::Fields;
use crate::core::{Action, Cut, ErrorBody, Fault, FaultRow, Times, VerbError, When};

/// Reads a fault. `when` is `"open"`, `"upgrade"` or `{"path":"/…"}`; `times` is a number or
/// `"always"`, 1 if not given.
pub(crate) fn read(mut fields: Fields) -> Result<Fault, VerbError> {
    let when = read_when(&mut fields)?;
    let times = match fields.take("times") {
        None => Times::First(1),
        Some(Value::String(word)) if word == "always" => Times::Always,
        Some(value) => match value.as_u64().and_then(|times| u32::try_from(times).ok()) {
            Some(times) if times > 0 => Times::First(times),
            _ => return Err(fields.wrong("times", &value, "a number from 1, or \"always\"")),
        },
    };
    let action = match fields.object("action")? {
        Some(action) => read_action(action)?,
        None => return Err(fields.missing("action", "an object with a type")),
    };
    fields.finish()?;
    Ok(Fault { when, times, action })
}

fn read_when(fields: &mut Fields) -> Result<When, VerbError> {
    const ALLOWED: &str = "\"open\", \"upgrade\" or {\"path\":\"/...\"}";
    match fields.take("when") {
        Some(Value::String(word)) if word == "open" => Ok(When::Open),
        Some(Value::String(word)) if word == "upgrade" => Ok(When::Upgrade),
        Some(Value::Object(members)) => match members.get("path").and_then(Value::as_str) {
            Some(path) if members.len() == 1 && path.starts_with('/') => {
                Ok(When::Path(path.to_owned()))
            }
            _ => Err(fields.wrong("when", &Value::Object(members), ALLOWED)),
        },
        Some(other) => Err(fields.wrong("when", &other, ALLOWED)),
        None => Err(fields.missing("when", ALLOWED)),
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
}

fn read_action(mut fields: Fields) -> Result<Action, VerbError> {
    let kinds = [
        ("status", Kind::Status),
        ("empty", Kind::Empty),
        ("hang", Kind::Hang),
        ("delay", Kind::Delay),
        ("drop", Kind::Drop),
        ("acceptThenCut", Kind::AcceptThenCut),
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
    };
    fields.finish()?;
    Ok(action)
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
        When::Path(path) => json!({ "path": path }),
    };
    let times = match row.fault.times {
        Times::First(times) => json!(times),
        Times::Always => json!("always"),
    };
    let action = match &row.fault.action {
        Action::Status(status, body) => json!({ "type": "status", "status": status, "body": body }),
        Action::EmptyObject => json!({ "type": "empty" }),
        Action::Hang => json!({ "type": "hang" }),
        Action::Delay(by) => json!({ "type": "delay", "for": format!("{}ms", by.as_millis()) }),
        Action::Drop(how) => json!({ "type": "drop", "how": write_cut(how) }),
        Action::AcceptThenCut(how) => json!({ "type": "acceptThenCut", "how": write_cut(how) }),
    };
    json!({
        "id": row.id,
        "when": when,
        "times": times,
        "action": action,
        "hits": row.hits,
        "left": row.left,
    })
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
            r#"{"when":"open","times":1,"action":{"type":"hang"}}"#,
            r#"{"when":"open","times":1,"action":{"type":"empty"}}"#,
            r#"{"when":"open","times":1,"action":{"type":"drop","how":{"type":"fin"}}}"#,
        ];
        for text in texts {
            let fault = read(Fields::parse(text.as_bytes()).unwrap()).unwrap();
            let mut written = write(&FaultRow { id: 1, fault: fault.clone(), hits: 0, left: None });
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
