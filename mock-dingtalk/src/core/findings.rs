//! The bot lint: what a bot does that works here and will not do with DingTalk.
//!
//! The store is bounded and has one row for each rule and place. Whoever knows of something calls
//! [`Findings::add`]; what a call shows is judged in `calls`, what frames show in `frames`.

mod calls;
mod frames;
mod rule;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::known;

pub use self::rule::FindingRule;
pub(crate) use self::{
    calls::{NEAR_EXPIRY, Secrets},
    rule::{RULES, Rule},
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, and could be better.
    Remark,
    /// It works here, and may not with DingTalk.
    Warning,
    /// People miss something, or get it twice; or DingTalk refuses it.
    Error,
}

impl Severity {
    /// Their names.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("remark", Self::Remark), ("warning", Self::Warning), ("error", Self::Error)];

    #[cfg(test)]
    fn badge(self) -> &'static str {
        match self {
            Self::Remark => "**Remark.**",
            Self::Warning => "**Warning.**",
            Self::Error => "**Error.**",
        }
    }
}

/// One thing that a bot does, however often. `docs/findings.md` describes each `rule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Finding {
    /// Names it among the app's findings, from 1.
    pub id: u64,
    /// Grows with everything that is found: the value of the last time it was.
    pub seq: u64,
    /// The rule, as in `docs/findings.md`.
    #[serde(deserialize_with = "known::rule")]
    pub rule: known::Word,
    /// How bad it is.
    pub severity: Severity,
    /// How often it was found.
    pub count: u64,
    /// When first, in milliseconds since 1970.
    pub first_at: i64,
    /// When last.
    pub last_at: i64,
    /// What was seen the last time, with the ids that it was seen by.
    pub message: String,
    /// What would have been right.
    pub expected: String,
    /// The document that says so.
    pub see: Cow<'static, str>,
    /// `seq` of the journal entries of the last times, at most 16.
    pub journal: Vec<u64>,
}

/// What was seen, before it has its place among the findings.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) rule: Rule,
    /// What makes it the same finding when it is seen again: a path, a topic, an id.
    pub(crate) place: String,
    pub(crate) message: String,
    pub(crate) expected: String,
    /// The rule's own, unless there is a better one.
    pub(crate) see: Option<Cow<'static, str>>,
}

impl Seen {
    pub(crate) fn new(
        rule: Rule,
        place: impl Into<String>,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (place, message, expected) = (place.into(), message.into(), expected.into());
        Self { rule, place, message, expected, see: None }
    }
}

/// Findings kept; of more only the number is known.
const MAX_FINDINGS: usize = 1_000;
/// Characters of a message or a place; bots choose parts of them.
const MAX_TEXT: usize = 500;
/// Journal entries named by one finding.
const MAX_ENTRIES: usize = 16;

/// The findings of one app, or of what belongs to none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    rows: Vec<Finding>,
    by_place: BTreeMap<(Rule, String), usize>,
    seq: u64,
    dropped: u64,
    watch: Watch,
}

/// What rules remember.
#[derive(Debug, Clone, Default)]
struct Watch {
    /// When the token was fetched without need.
    fetches: Vec<Duration>,
    /// When connections were opened.
    opens: Vec<Duration>,
    /// Deliveries up to this one are judged.
    judged: u64,
    /// Ids of frames that were pushed as they stand or undone by a restore, newest last.
    verbatim: Vec<String>,
    /// The answer to the call at hand is broken by a fault: that it is called again is right.
    broken_answer: bool,
}

impl Findings {
    /// Whether a fault breaks the answer to the call that is about to be answered.
    pub(crate) fn answer_is_broken(&mut self, broken: bool) {
        self.watch.broken_answer = broken;
    }

    /// Books what was seen. `entry` is the journal entry that shows it.
    pub(crate) fn add(&mut self, at: i64, entry: u64, seen: Seen) {
        let row = seen.rule.row();
        self.seq += 1;
        let place = cut(seen.place);
        let key = (seen.rule, place);
        if let Some(finding) = self.by_place.get(&key).and_then(|index| self.rows.get_mut(*index)) {
            finding.seq = self.seq;
            finding.count += 1;
            finding.last_at = at;
            finding.message = cut(seen.message);
            finding.expected = cut(seen.expected);
            if finding.journal.len() >= MAX_ENTRIES {
                finding.journal.remove(0);
            }
            finding.journal.push(entry);
            return;
        }
        if self.rows.len() >= MAX_FINDINGS {
            self.dropped += 1;
            return;
        }
        self.by_place.insert(key, self.rows.len());
        self.rows.push(Finding {
            id: self.rows.len() as u64 + 1,
            seq: self.seq,
            rule: row.slug,
            severity: row.severity,
            count: 1,
            first_at: at,
            last_at: at,
            message: cut(seen.message),
            expected: cut(seen.expected),
            see: seen.see.unwrap_or(Cow::Borrowed(row.see)),
            journal: vec![entry],
        });
    }

    /// Findings that were seen since `after`, of at least this severity, in the order of their ids.
    pub(crate) fn rows(&self, after: u64, least: Severity) -> Vec<Finding> {
        let wanted = |row: &&Finding| row.seq > after && row.severity >= least;
        self.rows.iter().filter(wanted).cloned().collect()
    }

    /// How many were found when there was no place left.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets what was found, and says how much it was. What rules remember stays, and so does
    /// the count behind `seq`.
    pub(crate) fn clear(&mut self) -> usize {
        self.by_place.clear();
        self.dropped = 0;
        std::mem::take(&mut self.rows).len()
    }
}

fn cut(mut text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => {
            // It stays, and was made with room to grow.
            text.shrink_to_fit();
            text
        }
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Remembers a time among those of the last while, and says how many they are.
fn recent(times: &mut Vec<Duration>, now: Duration, within: Duration) -> usize {
    times.retain(|then| now.saturating_sub(*then) < within);
    // More than any rule counts to.
    if times.len() >= 64 {
        times.remove(0);
    }
    times.push(now);
    times.len()
}

/// As much of a secret as tells it from others.
pub(crate) fn hint(secret: &str) -> String {
    let shown: String = secret.chars().take(8).collect();
    if shown.len() < secret.len() { format!("{shown}…") } else { "…".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Findings, MAX_FINDINGS, Rule, Seen, Severity};

    #[test]
    fn one_row_for_each_place_and_no_more_than_there_is_room_for() {
        let mut findings = Findings::default();
        for turn in 0..20_u64 {
            let seen = Seen::new(Rule::AckLate, "EVENT", format!("turn {turn}"), "sooner");
            findings.add(turn.cast_signed(), turn + 100, seen);
        }
        let rows = findings.rows(0, Severity::Remark);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].count, rows[0].first_at, rows[0].last_at), (20, 0, 19));
        assert_eq!(rows[0].message, "turn 19");
        assert_eq!(rows[0].journal, (104..120).collect::<Vec<_>>());
        for n in 0..MAX_FINDINGS {
            findings.add(0, 0, Seen::new(Rule::PathCase, n.to_string(), "x".repeat(9_999), ""));
        }
        let rows = findings.rows(0, Severity::Remark);
        assert_eq!(rows.len(), MAX_FINDINGS);
        assert_eq!(findings.dropped(), 1);
        assert!(rows.iter().all(|row| row.message.len() < 600));
        assert!(findings.rows(rows[999].seq, Severity::Remark).is_empty());
        assert_eq!(findings.rows(0, Severity::Error).len(), MAX_FINDINGS - 1);
        assert_eq!(findings.clear(), MAX_FINDINGS);
        assert!(findings.rows(0, Severity::Remark).is_empty());
    }
}
