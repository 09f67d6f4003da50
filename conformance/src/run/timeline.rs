//! What happened in a case: the end of its journal, without secrets.

use std::fmt;

use mock_dingtalk::{Entry, Stage};
use serde::{Deserialize, Serialize};

/// How many entries are kept, from the end.
const KEPT: usize = 200;
/// Characters of a body that are kept.
const MAX_BODY: usize = 4_000;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Happening {
    /// Milliseconds of the app's clock since its first entry; that clock may be turned.
    pub after_ms: i64,
    /// What sort of thing it is: `frame-out`, `frame-in`, `http`, `connection`, `sent`, `control`
    /// or `fault`.
    pub kind: String,
    /// One line for people.
    pub text: String,
    /// The connection that it was on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The frame, or the request's body; its first 4000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The response's body; its first 4000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What the mock found wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} ms {}", self.after_ms, self.text)?;
        if let Some(status) = self.status {
            write!(f, " -> {status}")?;
        }
        Ok(())
    }
}

/// The end of an app's journal. That of a mock that has gone is empty.
pub(super) async fn of(stage: &Stage) -> Vec<Happening> {
    let Ok(lines) = stage.journal().await else { return Vec::new() };
    // The first line says what the export is.
    let entries: Vec<Entry> =
        lines.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect();
    let start = entries.first().map_or(0, |entry| entry.at);
    let kept = entries.len().saturating_sub(KEPT);
    entries[kept..].iter().map(|entry| happening(entry, start)).collect()
}

fn happening(entry: &Entry, start: i64) -> Happening {
    let kind = serde_json::to_value(entry.kind).unwrap_or_default();
    Happening {
        after_ms: entry.at.saturating_sub(start),
        kind: kind.as_str().unwrap_or_default().to_owned(),
        text: entry.text.clone(),
        connection_id: entry.connection_id.as_deref().map(str::to_owned),
        status: entry.status,
        body: entry.body.as_deref().map(cut),
        answer: entry.answer.as_deref().map(cut),
        problem: entry.diagnosis.as_ref().map(|diagnosis| diagnosis.problem.clone()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_BODY) {
        Some((at, _)) => format!("{} [{} bytes more]", &text[..at], text.len() - at),
        None => text.to_owned(),
    }
}

/// An entry for tests, all of whose words are these.
#[cfg(test)]
pub(super) fn sample(text: &str) -> Happening {
    Happening {
        after_ms: 5,
        kind: "frame-in".to_owned(),
        text: text.to_owned(),
        connection_id: Some(text.to_owned()),
        status: Some(200),
        body: Some(text.to_owned()),
        answer: Some(text.to_owned()),
        problem: Some(text.to_owned()),
    }
}
