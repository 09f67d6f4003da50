//! The file of a scenario.

use serde_json::{Value, json};

use super::{
    clock, components, count, faults, flag, object, people, reference, text, texts, words,
};
use crate::{
    core::{Profile, RULES, Severity},
    scenario::MAX_BURST,
};

/// The JSON Schema of a scenario file, which needs no other document.
pub(crate) fn scenario() -> Value {
    let app = object(
        &[],
        json!({
            "profile": words(&Profile::NAMES),
            "sameMessageId": flag(),
            "ghostFor": reference("Duration"),
            "lenient": flag(),
        }),
    );
    let mut schema = object(
        &["title", "patience", "steps"],
        json!({
            "$schema": text(),
            "title": described(text(), "what it shows, in one sentence"),
            "checks": described(texts(), "slugs of the requirements that it checks"),
            "needs": described(texts(), "what a bot must be able to do beside echoing texts"),
            "patience": described(
                reference("Duration"),
                "how long each expectation may take in real time, at most 10m",
            ),
            "app": described(app, "what the app is minted with"),
            "model": described(model(), "what the model behind the bot says"),
            "steps": { "type": "array", "items": { "anyOf": steps() } },
        }),
    );
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "A scenario for bots on DingTalk's Stream mode".into();
    schema["components"] = json!({ "schemas": components() });
    schema
}

fn described(mut schema: Value, about: &str) -> Value {
    schema["description"] = about.into();
    schema
}

/// Each step has one act or one expectation.
fn steps() -> Vec<Value> {
    let nothing = || object(&[], json!({}));
    let data = json!({ "type": "object" });
    let burst = object(
        &["from", "text", "count"],
        json!({
            "from": text(),
            "text": described(text(), "each message ends in a blank and its number, from 1"),
            "count": { "type": "integer", "minimum": 1, "maximum": MAX_BURST },
            "conversation": people::conversation(),
        }),
    );
    let hit = object(
        &["of"],
        json!({
            "of": described(text(), "the fault, by its `as`"),
            "times": described(count(), "at least; 1 if not given"),
            "within": reference("Duration"),
        }),
    );
    let answered = object(&[], json!({ "within": reference("Duration") }));
    let acts = [
        ("message", people::message()),
        ("burst", burst),
        (
            "event",
            object(&["eventType"], json!({ "eventType": text(), "data": data, "eventId": text() })),
        ),
        ("callback", object(&["topic", "data"], json!({ "topic": text(), "data": data }))),
        ("press", press()),
        ("frame", faults::raw()),
        ("disconnect", faults::disconnect()),
        ("cut", reference("Cut")),
        ("fault", faults::fault()),
        ("clearFaults", nothing()),
        ("revokeToken", nothing()),
        ("clock", clock()),
        ("restart", nothing()),
        ("peer", nothing()),
        ("peersLeave", nothing()),
        (
            "stop",
            object(
                &[],
                json!({
                    "status": described(count(), "that it ends with; 0 if not given"),
                    "within": reference("Duration"),
                }),
            ),
        ),
        ("push", push()),
        ("release", object(&["hold"], json!({ "hold": text() }))),
    ];
    let expectations = [
        ("acked", acked()),
        ("sent", sent()),
        ("cards", cards()),
        ("asked", asked()),
        ("connections", connections()),
        ("allAnswered", answered),
        ("hit", hit),
        ("noFindings", no_findings()),
    ];
    let step = |(name, schema): (&str, Value)| {
        let mut properties = json!({});
        if NAMED.contains(&name) {
            properties["as"] = described(text(), "what later steps call it");
        }
        properties[name] = schema;
        object(&[name], properties)
    };
    acts.into_iter().chain(expectations).map(step).collect()
}

/// Acts that later steps can refer to.
const NAMED: [&str; 8] =
    ["message", "burst", "event", "callback", "press", "frame", "fault", "push"];

fn acked() -> Value {
    object(
        &["of"],
        json!({
            "of": described(text(), "the push, by its `as`"),
            "code": described(count(), "200 if not given"),
            "atMost": described(reference("Duration"), "on the app's clock"),
            "attempts": described(count(), "the push was made so often"),
            "times": described(count(), "so many answers came"),
            "dataHas": described(texts(), "members of the JSON in `data` of the answer"),
            "within": reference("Duration"),
        }),
    )
}

/// A press; without `outTrackId` on the card that was shown last.
fn press() -> Value {
    let mut schema = people::press();
    for form in schema["anyOf"].as_array_mut().into_iter().flatten() {
        if let Some(required) = form["required"].as_array_mut() {
            required.retain(|name| name != "outTrackId");
        }
    }
    described(schema, "without `outTrackId`: on the card that was shown last")
}

fn push() -> Value {
    let properties = |to: &str| {
        object(
            &[to],
            json!({
                to: text(),
                "text": text(),
                "media": reference("Media"),
                "refused": described(flag(), "the command is to fail"),
                "within": reference("Duration"),
            }),
        )
    };
    let to = described(properties("to"), "`to` is user:USERID or chat:CONVERSATIONID");
    json!({ "anyOf": [to, described(properties("chatOf"), "to the group of this push")] })
}

fn model() -> Value {
    let piece = json!({ "anyOf": [
        text(),
        described(object(&["hold"], json!({ "hold": text() })), "waits for `release`"),
        described(object(&["numbers"], json!({ "numbers": count() })), "0 1 2 and so on"),
    ] });
    let to = || described(text(), "only to a question that contains this");
    let always = || described(flag(), "to each such question, not only the first");
    let say = object(
        &["say"],
        json!({
            "to": to(),
            "always": always(),
            "say": { "anyOf": [text(), { "type": "array", "items": piece }] },
            "ending": { "enum": ["stop", "length", "content_filter", "error"] },
        }),
    );
    let refuse = object(
        &["status"],
        json!({
            "to": to(),
            "always": always(),
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "retryAfter": described(count(), "seconds"),
        }),
    );
    object(
        &[],
        json!({
            "models": described(texts(), "that it lists; the first is the bot's"),
            "lines": described(
                json!({ "type": "array", "items": { "anyOf": [say, refuse] } }),
                "the first that fits a question is its answer; without one the question is",
            ),
        }),
    )
}

fn asked() -> Value {
    object(
        &[],
        json!({
            "times": described(count(), "so many questions in all"),
            "contains": described(texts(), "words of the last question, history included"),
            "lacks": described(texts(), "no words of it"),
            "messages": count(),
            "pictures": described(count(), "of its last message"),
            "model": text(),
            "effort": described(text(), "reasoning_effort; empty where there is to be none"),
            "left": described(count(), "so many answers were not listened to until their end"),
            "within": reference("Duration"),
        }),
    )
}

fn cards() -> Value {
    object(
        &[],
        json!({
            "shows": described(text(), "a part of what one of them shows"),
            "finished": described(flag(), "that one is final, or is not"),
            "made": described(count(), "in all"),
            "open": described(count(), "are not final"),
            "updates": described(count(), "no more calls streamed words to them"),
            "to": described(text(), "only in the chat of this push"),
            "within": reference("Duration"),
        }),
    )
}

fn sent() -> Value {
    let file = object(
        &["of"],
        json!({
            "of": described(text(), "the step that brought it, by its `as`"),
            "index": described(count(), "which of its files; 0 if not given"),
            "as": described(texts(), "one of these msgtypes"),
            "name": described(text(), "the name that it is shown with"),
        }),
    );
    object(
        &[],
        json!({
            "texts": texts(),
            "files": described(
                json!({ "type": "array", "items": file }),
                "byte for byte what earlier steps brought",
            ),
            "numbers": described(count(), "numbers among the words count up to this, in order"),
            "atLeast": described(count(), "so many messages"),
            "parts": described(flag(), "each text is a part of a message, not all of it"),
            "only": described(flag(), "nothing else was said, and nothing twice"),
            "once": described(flag(), "each was said so often as it is listed"),
            "inOrder": flag(),
            "via": described(texts(), "each came by one of these ways"),
            "to": described(text(), "only in the chat of this push"),
            "within": reference("Duration"),
        }),
    )
}

fn connections() -> Value {
    object(
        &[],
        json!({
            "open": count(),
            "draining": count(),
            "made": described(count(), "in all, those that ended included"),
            "atMost": described(count(), "no more were made"),
            "fresh": described(
                count(),
                "no fewer were made since the last cut, disconnect or preset",
            ),
            "subscribed": described(texts(), "each open one has these: TYPE TOPIC"),
            "overlapping": described(flag(), "none ended before the next one was open"),
            "ponged": described(flag(), "each open one answered a SYSTEM ping"),
            "within": reference("Duration"),
        }),
    )
}

fn no_findings() -> Value {
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.slug).collect();
    let rules = json!({ "type": "array", "items": { "enum": rules } });
    object(
        &[],
        json!({
            "rules": described(rules, "all if not given"),
            "severity": described(words(&Severity::NAMES), "at least; remark if not given"),
            "within": reference("Duration"),
        }),
    )
}
