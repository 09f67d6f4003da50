//! A line of the journal as it is kept: its texts in one block, as most of them are short.

use std::{borrow::Cow, sync::Arc};

use super::{Diagnosis, Entry, EntryKind};
use crate::core::{memory::block, ring::PLACE};

/// An [`Entry`] without its number and its app, which its ring has.
#[derive(Debug)]
pub(super) struct Kept {
    at: i64,
    connection_id: Option<Arc<str>>,
    /// Text, body, answer, problem and what was expected, one behind the other.
    texts: Box<str>,
    /// Where the first four of them end; `None` where there is none.
    ends: [Option<u32>; 4],
    /// The document that the diagnosis names.
    see: Option<Cow<'static, str>>,
    kind: EntryKind,
    status: Option<u16>,
    truncated: bool,
}

impl Kept {
    pub(super) fn new(entry: &Entry) -> Self {
        let diagnosis = entry.diagnosis.as_ref();
        let mut texts = String::new();
        let pieces = [
            Some(entry.text.as_str()),
            entry.body.as_deref(),
            entry.answer.as_deref(),
            diagnosis.map(|why| why.problem.as_str()),
        ];
        let expected = diagnosis.map_or("", |why| &why.expected);
        texts.reserve_exact(
            pieces.iter().flatten().map(|p| p.len()).sum::<usize>() + expected.len(),
        );
        let ends = pieces.map(|piece| {
            texts.push_str(piece?);
            u32::try_from(texts.len()).ok()
        });
        texts.push_str(expected);
        Self {
            at: entry.at,
            connection_id: entry.connection_id.clone(),
            texts: texts.into(),
            ends,
            see: diagnosis.map(|why| why.see.clone()),
            kind: entry.kind,
            status: entry.status,
            truncated: entry.truncated,
        }
    }

    /// The entry that it was, under its number and in its app.
    pub(super) fn entry(&self, seq: u64, app: Option<&Arc<str>>) -> Entry {
        let mut start = 0;
        let pieces = self.ends.map(|end| {
            let end = usize::try_from(end?).ok()?;
            let piece = self.texts.get(start..end)?;
            start = end;
            Some(piece)
        });
        let [text, body, answer, problem] = pieces;
        let expected = self.texts.get(start..).unwrap_or_default();
        Entry {
            seq,
            at: self.at,
            app: app.map(Arc::clone),
            kind: self.kind,
            connection_id: self.connection_id.clone(),
            text: text.unwrap_or_default().to_owned(),
            status: self.status,
            body: body.map(Into::into),
            answer: answer.map(Into::into),
            truncated: self.truncated,
            diagnosis: problem.zip(self.see.clone()).map(|(problem, see)| Diagnosis {
                problem: problem.to_owned(),
                expected: expected.to_owned(),
                see,
                rule: None,
            }),
        }
    }

    /// The memory that it takes. The connection's id is the connection's.
    pub(super) fn bytes(&self) -> usize {
        block(size_of::<Self>()) + block(self.texts.len()) + PLACE
    }
}
