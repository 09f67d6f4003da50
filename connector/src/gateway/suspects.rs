//! Messages whose turns may have ended the process: each begins alone, and is parked if it does so again.
//!
//! Which of the turns that were under way ended a process cannot be known afterwards. So those that were under
//! way twice run one after the other the next time, and the count of each is kept before it begins.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{InboxId, SUSPECT, Unfinished};

/// A message that was cut off so often gets no answer any more.
const PARKED: u32 = 10;
/// A turn that the process has outlived by so much is not what ends it.
const INNOCENT: Duration = Duration::from_secs(60);

/// The suspects of one start.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// How often each was cut off.
    waiting: HashMap<InboxId, u32>,
    /// The one that runs, and when it is cleared.
    alone: Option<(InboxId, Instant)>,
}

/// What becomes of a message that an earlier process left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    GoesOn,
    /// It gets no answer, for this reason.
    Parked(String),
}

impl Suspects {
    /// Judges a message that is found unfinished.
    pub(super) fn judge(&mut self, left: &Unfinished) -> Verdict {
        if left.ended || left.cut_off < SUSPECT {
            return Verdict::GoesOn;
        }
        if left.cut_off >= PARKED {
            let times = left.cut_off;
            return Verdict::Parked(format!(
                "parked: the process ended {times} times while this message was answered"
            ));
        }
        self.waiting.insert(left.id, left.cut_off);
        Verdict::GoesOn
    }

    /// Whether turns have to run one after the other.
    pub(super) fn are_there(&self) -> bool {
        !self.waiting.is_empty() || self.alone.is_some()
    }

    /// Whether a message is one whose turn has not begun.
    pub(super) fn waits(&self, message: InboxId) -> bool {
        self.waiting.contains_key(&message)
    }

    /// A turn begins; returns the count to keep before, if it is a suspect's.
    pub(super) fn begins(&mut self, message: InboxId, now: Instant) -> Option<u32> {
        let times = self.waiting.remove(&message)? + 1;
        self.alone = Some((message, now + INNOCENT));
        Some(times)
    }

    /// A message needs no turn any more, however that came.
    pub(super) fn ended(&mut self, message: InboxId) {
        if self.alone.is_some_and(|(alone, _)| alone == message) {
            self.alone = None;
        }
        self.waiting.remove(&message);
    }

    /// When the one that runs is cleared.
    pub(super) fn clears_at(&self) -> Option<Instant> {
        self.alone.map(|(_, at)| at)
    }

    /// Clears the one that runs.
    pub(super) fn clear(&mut self) -> Option<InboxId> {
        self.alone.take().map(|(message, _)| message)
    }
}
