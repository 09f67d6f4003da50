//! Messages that have a `processQueryKey`: who got them, who read them, what was recalled.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::core::{Moment, lifetime, ring::Ring};

/// Within this time a message can be recalled and its readers asked for (KB 0720, KB 0723).
pub(super) const OPEN_FOR: Duration = Duration::from_hours(24);

/// Where a message went; each kind has recall and read status of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// People, each in their chat with the robot.
    Direct,
    /// A group.
    Group,
    /// A chat between two people.
    Private,
}

/// One `processQueryKey`.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    pub(super) key: String,
    pub(super) aim: Aim,
    /// The chat, but for direct messages.
    pub(super) conversation_id: String,
    /// Who got it, for direct messages.
    pub(super) to: Vec<String>,
    /// Rows of `sent`.
    pub(super) seqs: Vec<u64>,
    pub(super) at: Duration,
    pub(super) recalled: bool,
    /// Who read it, and when, in milliseconds since 1970.
    pub(super) read: BTreeMap<String, i64>,
}

impl Push {
    /// The memory that it takes, more or less.
    fn bytes(&self) -> usize {
        let people = self.to.iter().map(|id| id.len() + PERSON).sum::<usize>();
        let read = self.read.keys().map(|id| id.len() + PERSON).sum::<usize>();
        // The key stands in the index too.
        size_of::<Self>() + 2 * self.key.len() + self.conversation_id.len() + people + read + 150
    }

    pub(super) fn is_open(&self, now: Moment) -> bool {
        now.since_start.saturating_sub(self.at) < OPEN_FOR
    }
}

/// What the id of a person takes beside its letters.
const PERSON: usize = 40;

/// The messages of one app, by key.
#[derive(Debug, Clone)]
pub(crate) struct Pushes {
    ring: Ring<Push>,
    by_key: HashMap<String, u64>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            ring: Ring::new(lifetime::ROWS_PER_APP, lifetime::INDEX_BYTES_PER_APP),
            by_key: HashMap::new(),
        }
    }
}

impl Pushes {
    /// Messages, and who got or read them.
    pub(super) fn rows(&self) -> usize {
        self.ring.after(0).map(|(_, push)| 1 + push.to.len() + push.read.len()).sum()
    }

    pub(super) fn add(&mut self, push: Push) {
        let number = self.ring.next_number();
        self.by_key.insert(push.key.clone(), number);
        let by_key = &mut self.by_key;
        let bytes = push.bytes();
        self.ring.push(number, bytes, push, |old| {
            by_key.remove(&old.key);
        });
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Push> {
        let number = *self.by_key.get(key)?;
        self.ring.get_mut(number)
    }

    /// Somebody reads a message. False if the key is unknown.
    pub(crate) fn read(&mut self, key: &str, user_id: &str, at: i64) -> bool {
        let Some(number) = self.by_key.get(key).copied() else { return false };
        let Some(push) = self.ring.get_mut(number) else { return false };
        push.read.entry(user_id.to_owned()).or_insert(at);
        let (bytes, by_key) = (push.bytes(), &mut self.by_key);
        self.ring.reweigh(number, bytes, |old| {
            by_key.remove(&old.key);
        });
        true
    }
}
