//! What has to become of the cards that a bot shows.

use serde_json::Value;

use super::{
    expectation::size,
    rows::{Fits, Seen, never, not_yet},
};
use crate::{
    control::Fields,
    core::{Said, SentRow, VerbError},
};

/// The call that streams words to a card.
const STREAMING: &str = "PUT /v1.0/card/streaming";

#[derive(Debug, Clone)]
pub(super) struct Cards {
    /// One of them shows this.
    shows: Option<String>,
    /// It is final, or it is not.
    pub(super) finished: Option<bool>,
    /// So many were made in all.
    made: Option<usize>,
    /// So many are not final.
    open: Option<usize>,
    /// No more calls than so many streamed their words.
    updates: Option<usize>,
    /// Only in the chat of this push.
    pub(super) to: Option<String>,
}

impl Cards {
    pub(super) fn read(mut fields: Fields) -> Result<Self, VerbError> {
        let cards = Self {
            shows: fields.string("shows")?,
            finished: fields.bool("finished")?,
            made: size(&mut fields, "made")?,
            open: size(&mut fields, "open")?,
            updates: size(&mut fields, "updates")?,
            to: fields.string("to")?,
        };
        fields.finish()?;
        Ok(cards)
    }

    pub(super) fn fits(&self, app: &dyn Seen, chat: Option<&Said>) -> Fits {
        let mut rows = app.sent_rows();
        rows.retain(|row| row.via == "card");
        if let Some(said) = chat {
            rows.retain(|row| row.conversation_id == said.conversation_id);
        }
        let shown: Vec<_> = rows.iter().map(describe).collect();
        let seen = format!("the cards are [{}]", shown.join(", "));
        if self.made.is_some_and(|made| rows.len() > made) {
            return never(format!("more cards than {:?}: {seen}", self.made));
        }
        let open = rows.iter().filter(|row| !row.finished).count();
        if self.made.is_some_and(|made| rows.len() < made)
            || self.open.is_some_and(|wanted| wanted != open)
        {
            return not_yet(seen);
        }
        let is_wanted = |row: &&SentRow| {
            self.shows.as_ref().is_none_or(|part| row.text.contains(part.as_str()))
                && self.finished.is_none_or(|finished| row.finished == finished)
        };
        let any = self.shows.is_some() || self.finished.is_some();
        if any && !rows.iter().any(|row| is_wanted(&row)) {
            let state = match self.finished {
                None => "",
                Some(true) => ", and is final",
                Some(false) => ", and is not final",
            };
            let part = self.shows.as_deref().unwrap_or_default();
            return not_yet(format!("no card shows {part:?}{state}; {seen}"));
        }
        Ok(())
    }

    pub(super) fn counts_updates(&self) -> bool {
        self.updates.is_some()
    }

    /// Whether more calls than there may be streamed words.
    pub(super) fn too_many(&self, updates: usize) -> Option<String> {
        let most = self.updates?;
        (updates > most).then(|| format!("{updates} calls streamed words to cards, not {most}"))
    }
}

/// How many calls streamed words to cards, by the lines of an exported journal.
pub(super) fn updates(journal: &str) -> usize {
    let is_update = |line: &&str| {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        let text = entry["text"].as_str().unwrap_or_default();
        entry["kind"] == "http" && text.starts_with(STREAMING)
    };
    journal.lines().filter(is_update).count()
}

fn describe(row: &SentRow) -> String {
    let state = if row.finished { "final" } else { "open" };
    format!("{:?} ({state})", row.text.chars().take(60).collect::<String>())
}
