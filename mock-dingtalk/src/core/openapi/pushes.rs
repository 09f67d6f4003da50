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
    pub(super) fn is_open(&self, now: Moment) -> bool {
        now.since_start.saturating_sub(self.at) < OPEN_FOR
    }
}

/// The messages of one app, by key.
#[derive(Debug, Clone)]
pub(crate) struct Pushes {
    ring: Ring<Push>,
    by_key: HashMap<String, u64>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self { ring: Ring::new(lifetime::ROWS_PER_APP, usize::MAX), by_key: HashMap::new() }
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
        self.ring.push(number, 0, push, |old| {
            by_key.remove(&old.key);
        });
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Push> {
        let number = *self.by_key.get(key)?;
        self.ring.get_mut(number)
    }

    /// Somebody reads a message. False if the key is unknown.
    pub(crate) fn read(&mut self, key: &str, user_id: &str, at: i64) -> bool {
        let push = self.get_mut(key);
        let known = push.is_some();
        if let Some(push) = push {
            push.read.entry(user_id.to_owned()).or_insert(at);
        }
        known
    }
}
