//! The journal: everything sent and received, in order, one ring for each app.

mod kept;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::kept::Kept;
use super::{
    app::AppNumber,
    findings::Rule,
    lifetime,
    ring::{Ring, Size},
};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Entry {
    /// Position in the order of everything that happened in this mock, from 1.
    pub seq: u64,
    /// When, in milliseconds since 1970, on the app's clock.
    pub at: i64,
    /// The app's `clientId`; absent where a call could not be told to belong to one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    #[serde(default, deserialize_with = "text_back")]
    pub app: Option<Arc<str>>,
    /// What sort of thing happened.
    pub kind: EntryKind,
    /// The connection it happened on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    #[serde(default, deserialize_with = "text_back")]
    pub connection_id: Option<Arc<str>>,
    /// One line for people, at most 2 KiB of it.
    pub text: String,
    /// HTTP status of the answer, for [`EntryKind::Http`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The frame or the request's body, at most 64 KiB of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    #[serde(default, deserialize_with = "text_back")]
    pub body: Option<Arc<str>>,
    /// The response's body, for [`EntryKind::Http`].
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    #[serde(default, deserialize_with = "text_back")]
    pub answer: Option<Arc<str>>,
    /// True when a body was longer than what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What was wrong with a request, and what would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// The sort of a journal entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EntryKind {
    /// A frame went to a bot.
    FrameOut,
    /// A message came from a bot.
    FrameIn,
    /// A bot called one of DingTalk's HTTP APIs.
    Http,
    /// A connection opened, drained or ended.
    Connection,
    /// The robot said something to people.
    Sent,
    /// Somebody used a verb of the control API or the library.
    Control,
    /// A fault rule acted.
    Fault,
}

/// Why a request was wrong, for the people who wrote the bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Diagnosis {
    /// What was wrong.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// The document that says so.
    pub see: Cow<'static, str>,
    /// The finding that it is, where it is a particular one.
    #[serde(skip)]
    pub(crate) rule: Option<Rule>,
}

impl Diagnosis {
    pub(crate) fn new(
        problem: impl Into<String>,
        expected: impl Into<String>,
        see: &'static str,
    ) -> Self {
        let (problem, expected) = (problem.into(), expected.into());
        Self { problem, expected, see: Cow::Borrowed(see), rule: None }
    }

    /// Names the finding that it is.
    pub(crate) fn of(self, rule: Rule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// One line, printable ASCII only and of bounded length, so that it fits into a header.
    pub(crate) fn header(&self) -> String {
        let line = format!("{}; expected {}; see {}", self.problem, self.expected, self.see);
        let mut ascii = String::with_capacity(line.len());
        for c in line.chars().take(800) {
            match c {
                '✓' => ascii.push_str("ok"),
                '✗' => ascii.push_str("no"),
                c if c == ' ' || c.is_ascii_graphic() => ascii.push(c),
                _ => ascii.push('?'),
            }
        }
        ascii
    }
}

/// An entry before it has its place in the journal.
#[derive(Debug)]
pub(crate) struct Draft {
    kind: EntryKind,
    text: String,
    connection_id: Option<Arc<str>>,
    status: Option<u16>,
    body: Option<Arc<str>>,
    answer: Option<Arc<str>>,
    diagnosis: Option<Diagnosis>,
}

impl Draft {
    pub(crate) fn new(kind: EntryKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            connection_id: None,
            status: None,
            body: None,
            answer: None,
            diagnosis: None,
        }
    }

    pub(crate) fn on(mut self, connection_id: &Arc<str>) -> Self {
        self.connection_id = Some(Arc::clone(connection_id));
        self
    }

    pub(crate) fn body(mut self, body: Arc<str>) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn answered(mut self, status: u16, answer: Arc<str>) -> Self {
        self.status = Some(status);
        self.answer = Some(answer);
        self
    }

    pub(crate) fn diagnosis(mut self, diagnosis: Option<Diagnosis>) -> Self {
        self.diagnosis = diagnosis;
        self
    }
}

/// All journals of a mock. Their entries share one order.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    last: u64,
    /// `None` holds the calls that belong to no app.
    journals: BTreeMap<Option<AppNumber>, Journal>,
}

/// The journal of one app, or of nobody.
#[derive(Debug)]
struct Journal {
    /// The app's `clientId`.
    app: Option<Arc<str>>,
    ring: Ring<Kept>,
}

impl Journal {
    fn new(app: Option<&Arc<str>>) -> Self {
        let bytes =
            if app.is_some() { lifetime::APP_BYTES } else { lifetime::NOBODYS_JOURNAL_BYTES };
        Self { app: app.cloned(), ring: Ring::new(lifetime::JOURNAL_ENTRIES, bytes) }
    }

    fn after(&self, after: u64, limit: usize) -> impl Iterator<Item = Arc<Entry>> {
        let rows = self.ring.after(after).take(limit);
        rows.map(|(seq, kept)| Arc::new(kept.entry(seq, self.app.as_ref())))
    }
}

impl Journals {
    pub(crate) fn add(
        &mut self,
        at: i64,
        app: Option<(AppNumber, &Arc<str>)>,
        draft: Draft,
    ) -> Arc<Entry> {
        self.last += 1;
        let mut truncated = false;
        let mut keep = |body: Option<Arc<str>>| {
            body.map(|body| {
                let kept = cut(body);
                truncated |= kept.1;
                kept.0
            })
        };
        let body = keep(draft.body);
        let answer = keep(draft.answer);
        let mut keep_text = |text: String| {
            let kept = cut_text(text);
            truncated |= kept.1;
            kept.0
        };
        let text = keep_text(draft.text);
        let diagnosis = draft.diagnosis.map(|diagnosis| Diagnosis {
            problem: keep_text(diagnosis.problem),
            expected: keep_text(diagnosis.expected),
            ..diagnosis
        });
        let entry = Arc::new(Entry {
            seq: self.last,
            at,
            app: app.map(|(_, client_id)| Arc::clone(client_id)),
            kind: draft.kind,
            connection_id: draft.connection_id,
            text,
            status: draft.status,
            body,
            answer,
            truncated,
            diagnosis,
        });
        let kept = Kept::new(&entry);
        self.journals
            .entry(app.map(|(number, _)| number))
            .or_insert_with(|| Journal::new(app.map(|(_, client_id)| client_id)))
            .ring
            .push(self.last, kept.bytes(), kept, drop);
        entry
    }

    /// The `seq` of the entry that is added next.
    pub(crate) fn next_seq(&self) -> u64 {
        self.last + 1
    }

    pub(crate) fn forget(&mut self, app: AppNumber) {
        self.journals.remove(&Some(app));
    }

    pub(crate) fn clear(&mut self) {
        self.journals.clear();
    }

    pub(crate) fn size_of(&self, app: AppNumber) -> Size {
        self.journals.get(&Some(app)).map_or(Size::default(), |journal| journal.ring.size())
    }

    /// Drops the oldest entry of an app.
    pub(crate) fn forget_oldest(&mut self, app: AppNumber) {
        if let Some(journal) = self.journals.get_mut(&Some(app)) {
            journal.ring.forget_oldest(drop);
        }
    }

    /// Entries of one app, and how many older ones were dropped.
    pub(crate) fn of(&self, app: AppNumber, after: u64, limit: usize) -> (Vec<Arc<Entry>>, u64) {
        self.journals.get(&Some(app)).map_or((Vec::new(), 0), |journal| {
            (journal.after(after, limit).collect(), journal.ring.dropped())
        })
    }

    /// Entries of all apps in their common order.
    pub(crate) fn all(&self, after: u64, limit: usize) -> (Vec<Arc<Entry>>, u64) {
        let journals = self.journals.values();
        let mut rows: Vec<Arc<Entry>> =
            journals.clone().flat_map(|journal| journal.after(after, limit)).collect();
        rows.sort_unstable_by_key(|entry| entry.seq);
        rows.truncate(limit);
        (rows, journals.map(|journal| journal.ring.dropped()).sum())
    }
}

/// Cuts a body to what the journal keeps, at a character's border.
fn cut(body: Arc<str>) -> (Arc<str>, bool) {
    if body.len() <= lifetime::JOURNAL_BODY {
        return (body, false);
    }
    let end = body.floor_char_boundary(lifetime::JOURNAL_BODY);
    (format!("{} [{} bytes more]", &body[..end], body.len() - end).into(), true)
}

/// The same for a line.
fn cut_text(text: String) -> (String, bool) {
    if text.len() <= lifetime::JOURNAL_TEXT {
        return (text, false);
    }
    let end = text.floor_char_boundary(lifetime::JOURNAL_TEXT);
    (format!("{} [{} bytes more]", &text[..end], text.len() - end), true)
}

#[expect(clippy::ref_option, reason = "serde hands a reference to the field")]
fn text<S: Serializer>(body: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    match body {
        Some(text) => to.serialize_some(&**text),
        None => to.serialize_none(),
    }
}

fn text_back<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<str>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Into::into))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Diagnosis, Draft, EntryKind, Journals};
    use crate::core::{app::AppNumber, lifetime};

    #[test]
    fn a_long_body_is_cut_with_a_mark() {
        let mut journals = Journals::default();
        let body: Arc<str> = "ä".repeat(lifetime::JOURNAL_BODY).into();
        let entry = journals.add(0, None, Draft::new(EntryKind::FrameIn, "x").body(body));
        assert!(entry.truncated);
        let kept = entry.body.as_deref().unwrap();
        assert!(kept.len() < lifetime::JOURNAL_BODY + 40);
        assert!(kept.ends_with(" bytes more]"));
    }

    #[test]
    fn lines_and_diagnoses_are_cut_and_counted() {
        let mut journals = Journals::default();
        let long = "ä".repeat(50_000);
        for _ in 0..lifetime::JOURNAL_ENTRIES {
            let why = Diagnosis::new(long.as_str(), long.as_str(), "c");
            let draft = Draft::new(EntryKind::Http, long.as_str()).diagnosis(Some(why));
            let entry = journals.add(0, None, draft);
            assert!(entry.truncated && entry.text.ends_with(" bytes more]"));
        }
        let (kept, _) = journals.all(0, usize::MAX);
        let bytes = kept.iter().map(|entry| {
            let why = entry.diagnosis.as_ref().unwrap();
            entry.text.len() + why.problem.len() + why.expected.len()
        });
        assert!(bytes.sum::<usize>() <= lifetime::NOBODYS_JOURNAL_BYTES);
    }

    #[test]
    fn apps_share_the_order_and_nothing_else() {
        let mut journals = Journals::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        for turn in 0..4 {
            let app = if turn % 2 == 0 { (AppNumber(1), &a) } else { (AppNumber(2), &b) };
            journals.add(turn, Some(app), Draft::new(EntryKind::Control, "x"));
        }
        let seqs = |rows: Vec<Arc<super::Entry>>| rows.iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(seqs(journals.of(AppNumber(1), 0, 10).0), [1, 3]);
        assert_eq!(seqs(journals.of(AppNumber(2), 2, 10).0), [4]);
        assert_eq!(seqs(journals.all(1, 2).0), [2, 3]);
    }

    #[test]
    fn an_entry_is_kept_and_read_back_as_it_was_written() {
        let mut journals = Journals::default();
        let id: Arc<str> = "c1".into();
        let draft = Draft::new(EntryKind::Http, "GET /x").on(&id).body("{}".into());
        let draft = draft.answered(400, "no".into());
        let full = draft.diagnosis(Some(Diagnosis::new("a", "b", "c")));
        for draft in [full, Draft::new(EntryKind::FrameOut, "y")] {
            let entry = journals.add(7, Some((AppNumber(1), &id)), draft);
            let written = serde_json::to_string(&*entry).unwrap();
            let read: super::Entry = serde_json::from_str(&written).unwrap();
            assert_eq!(read, *entry, "{written}");
            let (kept, _) = journals.of(AppNumber(1), entry.seq - 1, 1);
            assert_eq!(kept, [entry]);
        }
    }

    #[test]
    fn a_diagnosis_fits_into_a_header_whatever_it_quotes() {
        let diagnosis = Diagnosis::new("ä\r\n\u{0}".repeat(1000), "b", "c");
        let header = diagnosis.header();
        assert!(header.len() <= 800);
        assert!(header.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
    }
}
