//! The journal as JSON lines, for people to send around and for `replay`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    fleet::Fleet,
    journal::Entry,
    redact::{Kind, Redactor},
    verb_error::VerbError,
};

/// The first line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    /// What the file is: [`FORMAT`].
    pub(crate) format: String,
    pub(crate) version: u32,
    /// The app whose journal it is, unless it is of all.
    pub(crate) app: Option<String>,
    /// Whether secrets are replaced by marks.
    pub(crate) redacted: bool,
    /// Older entries that the mock had forgotten.
    pub(crate) dropped: u64,
    /// The entries that follow.
    pub(crate) entries: usize,
    /// Whether there were more than asked for.
    pub(crate) more: bool,
}

/// The name of the format.
pub(crate) const FORMAT: &str = "mock-dingtalk journal";
/// Its version.
pub(crate) const VERSION: u32 = 1;

/// An export, to be written line by line.
#[derive(Debug)]
pub(crate) struct Export {
    head: Head,
    entries: Vec<Arc<Entry>>,
    redactor: Option<Redactor>,
}

/// What to export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) app: Option<&'a str>,
    pub(crate) after: u64,
    pub(crate) limit: usize,
}

/// The entries of an export, and the secrets that are known besides.
#[derive(Debug)]
pub(crate) struct Excerpt {
    head: Head,
    entries: Vec<Arc<Entry>>,
    known: Vec<(Kind, String)>,
}

impl Fleet {
    /// Takes out what an export needs; the work that is left needs no lock.
    pub(crate) fn excerpt(
        &self,
        selection: Selection<'_>,
        redacted: bool,
    ) -> Result<Excerpt, VerbError> {
        let limit = selection.limit.saturating_add(1);
        let (mut entries, dropped) = self.journal(selection.app, selection.after, limit)?;
        let more = entries.len() > selection.limit;
        entries.truncate(selection.limit);
        let head = Head {
            format: FORMAT.to_owned(),
            version: VERSION,
            app: selection.app.map(str::to_owned),
            redacted,
            dropped,
            entries: entries.len(),
            more,
        };
        let known = if redacted { self.secrets() } else { Vec::new() };
        Ok(Excerpt { head, entries, known })
    }
}

impl Excerpt {
    pub(crate) fn export(self) -> Export {
        let entries = self.entries;
        let redactor = self
            .head
            .redacted
            .then(|| Redactor::new(entries.iter().map(|entry| &**entry), self.known));
        Export { head: self.head, entries, redactor }
    }
}

impl Export {
    /// Each line, with its newline.
    pub(crate) fn lines(self) -> impl Iterator<Item = String> + Send + use<> {
        let head = line(&self.head);
        let redactor = self.redactor;
        let entries = self.entries.into_iter().map(move |entry| match &redactor {
            Some(redactor) => line(&redactor.entry(&entry)),
            None => line(&*entry),
        });
        std::iter::once(head).chain(entries)
    }
}

fn line<T: Serialize>(row: &T) -> String {
    let mut line = serde_json::to_string(row).expect("rows are strings and numbers");
    line.push('\n');
    line
}
