//! What was expected and what was seen, side by side.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    expectation::{Acked, Expectation},
    rows::{Seen, is_push_of},
};
use crate::core::{ConnectionState, Finding, Said, SentRow};

/// An expectation that was not met, and what there was instead, in the same words.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// The step, as it stands in its file.
    pub expected: Value,
    /// The same members as they were; of some words, what there was of their kind.
    pub seen: Value,
}

impl Evidence {
    /// Of an expectation whose body is `body`.
    pub(super) fn of(
        wanted: &Expectation,
        body: &Value,
        seen: &dyn Seen,
        findings: &[Finding],
        pushes: &BTreeMap<String, Said>,
    ) -> Self {
        let said = wanted.push().and_then(|name| pushes.get(name));
        let mut expected = body.as_object().cloned().unwrap_or_default();
        expected.remove("within");
        let facts = match wanted {
            Expectation::Acked(acked) => {
                expected.entry("code").or_insert_with(|| acked.code.into());
                acked_facts(acked, seen, said)
            }
            Expectation::Sent(_) => sent_facts(seen, said, &expected),
            Expectation::Cards(_) => card_facts(seen, said),
            // Of these there are no rows that could be shown; the reason says what is missing.
            Expectation::Asked(_) | Expectation::AllAnswered | Expectation::Hit(_) => Value::Null,
            Expectation::Connections(_) => connection_facts(seen, &expected),
            Expectation::NoFindings(_) => {
                let lines = findings.iter().map(|found| {
                    format!("{} ({} times): {}", found.rule, found.count, found.message)
                });
                json!({ "found": lines.collect::<Vec<_>>() })
            }
        };
        Self { expected: expected.into(), seen: facts }
    }
}

fn acked_facts(acked: &Acked, seen: &dyn Seen, said: Option<&Said>) -> Value {
    let rows = seen.delivery_rows();
    let row = said.and_then(|said| rows.iter().find(|row| is_push_of(row, said)));
    let Some(row) = row else { return json!({ "of": acked.of, "state": "not kept" }) };
    let mut facts = json!({ "of": acked.of, "state": row.state });
    if acked.attempts.is_some() {
        facts["attempts"] = row.attempts.len().into();
    }
    if acked.times.is_some() {
        facts["times"] = row.acks.into();
    }
    if let Some(ack) = &row.ack {
        facts["code"] = ack.code.into();
        facts["onOtherConnection"] = ack.on_other_connection.into();
        if acked.at_most.is_some() {
            facts["after"] = format!("{}ms", ack.after_ms).into();
        }
        if !acked.data_has.is_empty() {
            facts["data"] = ack.data.clone().into();
        }
    }
    facts
}

fn sent_facts(seen: &dyn Seen, said: Option<&Said>, expected: &Map<String, Value>) -> Value {
    let mut rows = seen.sent_rows();
    if let Some(said) = said {
        rows.retain(|row| row.conversation_id == said.conversation_id);
    }
    let texts: Vec<&str> = rows.iter().map(|row| row.text.trim()).collect();
    let mut facts = json!({ "texts": texts });
    if expected.contains_key("via") {
        facts["via"] = rows.iter().map(|row| row.via).collect();
    }
    // These say how texts are compared.
    for name in ["to", "parts", "once", "only", "inOrder"] {
        if let Some(value) = expected.get(name) {
            facts[name] = value.clone();
        }
    }
    facts
}

fn card_facts(seen: &dyn Seen, said: Option<&Said>) -> Value {
    let mut rows = seen.sent_rows();
    rows.retain(|row| {
        row.via == "card" && said.is_none_or(|said| row.conversation_id == said.conversation_id)
    });
    let card = |row: &SentRow| json!({ "shows": row.text, "finished": row.finished });
    json!({ "cards": rows.iter().map(card).collect::<Vec<_>>() })
}

fn connection_facts(seen: &dyn Seen, expected: &Map<String, Value>) -> Value {
    let rows = seen.connection_rows();
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let mut facts = json!({
        "open": count(ConnectionState::Open),
        "draining": count(ConnectionState::Draining),
        "made": rows.len(),
    });
    let open = || rows.iter().filter(|row| row.state == ConnectionState::Open);
    if expected.contains_key("subscribed") {
        facts["subscribed"] = open().flat_map(|row| row.subscriptions.clone()).collect();
    }
    if expected.contains_key("ponged") {
        let silent = open().any(|row| row.last_pong_at.is_none());
        facts["ponged"] = (!silent && open().next().is_some()).into();
    }
    let ends = rows.iter().filter_map(|row| row.close_reason.clone());
    facts["ended"] = ends.collect();
    facts
}
