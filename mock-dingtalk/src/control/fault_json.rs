//! Faults as JSON: `{"when":"open","times":2,"action":{"type":"status","status":503}}`.

use serde_json::{Value, json};

use super::{
    action_json::{read_action, write_action},
    fields::Fields,
};
use crate::core::{
    Fault, FaultRow, FrameSelector, Happening, METHODS, Times, VerbError, When, quoted,
};

/// What `until` waits for.
pub(super) const HAPPENINGS: [(&str, Happening); 4] = [
    ("opened", Happening::Opened),
    ("connected", Happening::Connected),
    ("acked", Happening::Acked),
    ("sent", Happening::Sent),
];

/// The places without anything to select.
const PLACES: [(&str, When); 6] = [
    ("open", When::Open),
    ("upgrade", When::Upgrade),
    ("connected", When::Connected),
    ("ack", When::Ack),
    ("accept", When::Accept),
    ("tlsHandshake", When::TlsHandshake),
];

/// Reads a fault. `when` is a word, `{"path":"/…","method"?}` or
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

/// A number, `"always"`, `{"nth":3}`, `{"every":2}`, `{"for":"10s"}`, `{"percent":30,"seed":7}` or
/// `{"until":"connected"}`.
fn read_times(fields: &mut Fields) -> Result<Times, VerbError> {
    const ALLOWED: &str = "a number from 1, or \"always\", {\"nth\":3}, {\"every\":2}, \
                           {\"for\":\"10s\"}, {\"percent\":30,\"seed\":7} or {\"until\":\"opened\"}, \
                           until connected, acked or sent";
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
        inner.word("until", &HAPPENINGS)?,
    ) {
        (Some(nth), None, None, None, None, None) => Times::Nth(count(&nth).ok_or_else(wrong)?),
        (None, Some(step), None, None, None, None) => Times::Every(count(&step).ok_or_else(wrong)?),
        (None, None, Some(time), None, None, None) => Times::For(time),
        (None, None, None, Some(percent), Some(seed), None) => {
            let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
            Times::Chance { percent: percent.ok_or_else(wrong)?, seed }
        }
        (None, None, None, None, None, Some(happening)) => Times::Until(happening),
        _ => return Err(wrong()),
    };
    inner.finish()?;
    Ok(times)
}

fn read_when(fields: &mut Fields) -> Result<When, VerbError> {
    const ALLOWED: &str = "\"open\", \"upgrade\", \"connected\", \"ack\", {\"path\":\"/...\",\"method\"?}, \
                           {\"frame\":{\"type\"?,\"topic\"?,\"connection\"?}}, or for tcp-faults \
                           \"accept\" and \"tlsHandshake\"";
    let Some(value) = fields.take("when") else { return Err(fields.missing("when", ALLOWED)) };
    let wrong = || Err(VerbError::invalid("when", quoted(&value.to_string()), ALLOWED));
    if let Value::String(word) = &value {
        let found = PLACES.into_iter().find(|(known, _)| known == word);
        return found.map(|(_, when)| when).ok_or_else(|| fields.wrong("when", &value, ALLOWED));
    }
    let Value::Object(members) = &value else { return wrong() };
    let mut inner = Fields::within("when", members.clone());
    let (frame, path) = (inner.object("frame")?, inner.string("path")?);
    let method = inner.word("method", &METHODS.map(|method| (method, method.to_owned())))?;
    let when = match (frame, path, method) {
        (Some(mut frame), None, None) => {
            let kinds = ["CALLBACK", "EVENT", "SYSTEM"].map(|kind| (kind, kind.to_owned()));
            let selector = FrameSelector {
                kind: frame.word("type", &kinds)?,
                topic: frame.string("topic")?,
                connection: frame.string("connection")?,
            };
            frame.finish()?;
            When::Frame(selector)
        }
        (None, Some(path), None) => When::Path(path),
        (None, Some(path), Some(method)) => When::Call { method, path },
        _ => return wrong(),
    };
    inner.finish()?;
    Ok(when)
}

/// Writes a rule as `read` takes it, with its id and what became of it.
pub(crate) fn write(row: &FaultRow) -> Value {
    let when = match &row.fault.when {
        When::Call { method, path } => json!({ "method": method, "path": path }),
        When::Path(path) => json!({ "path": path }),
        When::Frame(FrameSelector { kind, topic, connection }) => {
            json!({ "frame": { "type": kind, "topic": topic, "connection": connection } })
        }
        place => json!(PLACES.iter().find(|(_, known)| known == place).map(|(word, _)| word)),
    };
    let times = match row.fault.times {
        Times::First(times) => json!(times),
        Times::Always => json!("always"),
        Times::Nth(nth) => json!({ "nth": nth }),
        Times::Every(step) => json!({ "every": step }),
        Times::For(time) => json!({ "for": format!("{}ms", time.as_millis()) }),
        Times::Until(happening) => {
            let word = HAPPENINGS.iter().find(|(_, known)| *known == happening);
            json!({ "until": word.map(|(word, _)| word) })
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Fields, read, write};
    use crate::{
        control::action_json::ACTIONS,
        core::{AppOptions, FaultRow, Fleet, Moment},
    };

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
            r#"{"when":{"path":"/v1.0/card/*","method":"PUT"},"times":{"until":"sent"},"action":{"type":"slowBody","for":"9s"}}"#,
            r#"{"when":{"path":"/*"},"times":{"until":"opened"},"action":{"type":"hangAfterHead"}}"#,
            r#"{"when":"open","times":{"until":"connected"},"action":{"type":"cutBody"}}"#,
            r#"{"when":{"path":"/robot-files/*"},"action":{"type":"largeBody","bytes":9,"announced":false}}"#,
            r#"{"when":{"path":"/robot-files/*"},"action":{"type":"redirect"}}"#,
            r#"{"when":{"path":"/robot-files/*"},"action":{"type":"redirect","to":"file:///etc/passwd"}}"#,
            r#"{"when":{"path":"/v1.0/robot/messageFiles/download"},"action":{"type":"downloadUrl"}}"#,
            r#"{"when":{"path":"/v1.0/robot/messageFiles/download"},"action":{"type":"downloadUrl","url":"http://x/"}}"#,
            r#"{"when":"connected","times":{"until":"acked"},"action":{"type":"dribble","bytes":3,"every":"1s"}}"#,
            r#"{"when":"connected","action":{"type":"noPong"}}"#,
            r#"{"when":"connected","action":{"type":"cut","how":{"type":"blackhole","direction":"toBot"}}}"#,
            r#"{"when":"connected","action":{"type":"cut","how":{"type":"blackhole","direction":"fromBot"}}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"fragment","pieces":5}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"badFrame","how":"masked"}}"#,
            r#"{"when":"accept","times":3,"action":{"type":"drop"}}"#,
            r#"{"when":"tlsHandshake","times":{"nth":2},"action":{"type":"alert"}}"#,
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
            (r#"{"when":{"path":"/x","method":"put"}}"#, "`when.method` is \"put\""),
            (r#"{"when":{"method":"PUT"}}"#, "`when` is \"{"),
            (r#"{"when":{"path":"/x","frame":{}}}"#, "`when` is \"{"),
            (r#"{"when":"open","times":{"until":"noon"}}"#, "`times.until` is \"noon\""),
            (r#"{"when":"open","times":{"until":"sent","nth":1}}"#, "`times` is"),
            (r#"{"when":"open","action":{"type":"dribble"}}"#, "`action.bytes` is missing"),
            (
                r#"{"when":"open","action":{"type":"drop","how":{"type":"rst","direction":"both"}}}"#,
                "`action.how.direction` is",
            ),
        ];
        for (text, start) in cases {
            let error = read(Fields::parse(text.as_bytes()).unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }

    /// Values that stand somewhere in a fault, and some that stand nowhere.
    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            prop::sample::select(vec![
                json!("rst"),
                json!("1s"),
                json!("always"),
                json!("/v1.0/*"),
                json!("http://169.254.169.254/latest"),
                json!("PUT"),
                json!("sent"),
                json!("masked"),
                json!("json"),
                json!({"type": "close", "code": 1000}),
                json!({"type": "blackhole", "direction": "toBot"}),
                json!(503),
                json!(0),
                json!(true),
            ]),
            any::<u64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ]
    }

    fn any_fault() -> impl Strategy<Value = Value> {
        let when = prop_oneof![
            prop::sample::select(super::PLACES.map(|(word, _)| json!(word)).to_vec()),
            Just(json!({"frame": {"type": "CALLBACK"}})),
            Just(json!({"path": "/v1.0/*", "method": "PUT"})),
            Just(json!({"path": "/v1.0/robot/messageFiles/download"})),
            any_value(),
        ];
        let times = prop_oneof![
            Just(Value::Null),
            (1..9_u32).prop_map(Value::from),
            Just(json!({"until": "acked"})),
            (prop::sample::select(vec!["nth", "every", "for", "until", "percent"]), any_value())
                .prop_map(|(name, value)| json!({ name: value })),
            any_value(),
        ];
        let members = vec![
            "status",
            "code",
            "message",
            "body",
            "for",
            "how",
            "bytes",
            "every",
            "copies",
            "pieces",
            "text",
            "closes",
            "messageId",
            "announced",
            "to",
            "url",
            "x",
        ];
        let names = prop::sample::select(ACTIONS.map(|(name, _)| name).to_vec());
        let beside = prop::collection::vec((prop::sample::select(members), any_value()), 0..3);
        (when, times, names, beside).prop_map(|(when, times, name, beside)| {
            let mut action = json!({ "type": name });
            for (member, value) in beside {
                action[member] = value;
            }
            json!({ "when": when, "times": times, "action": action })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Whatever is asked for, it is refused or it is a rule, and a rule can be shown.
        #[test]
        fn any_fault_is_refused_or_becomes_a_rule(fault in any_fault()) {
            let Ok(fault) = read(Fields::parse(fault.to_string().as_bytes()).unwrap()) else {
                return Ok(());
            };
            let now = Moment { since_start: std::time::Duration::ZERO, unix_ms: 0 };
            let mut fleet = Fleet::new(1);
            let id = fleet.mint_app(now, AppOptions::default()).unwrap().client_id;
            let of_app = fleet.act(now, &id, |app, cx| app.add_fault(cx, fault.clone()));
            let of_mock = fleet.add_tcp_fault(now, fault.clone());
            prop_assert_eq!(fleet.app(&id).unwrap().faults.rows().len(), usize::from(of_app.is_ok()));
            prop_assert_eq!(fleet.tcp_faults().len(), usize::from(of_mock.is_ok()));
            prop_assert!(of_app.is_err() || of_mock.is_err());
            if let Ok(row) = of_app.or(of_mock) {
                let mut written = write(&row);
                for extra in ["id", "hits", "left"] {
                    written.as_object_mut().unwrap().remove(extra);
                }
                let again = read(Fields::parse(written.to_string().as_bytes()).unwrap());
                prop_assert_eq!(again, Ok(fault));
            }
        }
    }
}
