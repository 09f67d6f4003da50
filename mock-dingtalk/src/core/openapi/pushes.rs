//! Messages that have a `processQueryKey`: who got them, who read them, what was recalled.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::core::{
    Moment, lifetime,
    memory::{block, hashed, texts},
    ring::{PLACE, Ring, Size},
};

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
        let ids = [&self.key, &self.key, &self.conversation_id];
        let people = self.to.iter().chain(self.read.keys());
        block(size_of::<Self>())
            + texts(ids.into_iter().chain(people).map(String::as_str))
            + block(self.to.capacity() * size_of::<String>())
            + block(self.seqs.capacity() * size_of::<u64>())
            + self.read.len().div_ceil(IN_A_NODE) * block(NODE)
            + PLACE
            + hashed::<(String, u64)>()
    }

    pub(super) fn is_open(&self, now: Moment) -> bool {
        now.since_start.saturating_sub(self.at) < OPEN_FOR
    }
}

/// A node of the map of readers has places for eleven, and is about half full.
const NODE: usize = 11 * size_of::<(String, i64)>() + 16;
const IN_A_NODE: usize = 6;

/// The messages of one app, by key.
#[derive(Debug, Clone)]
pub(crate) struct Pushes {
    ring: Ring<Push>,
    by_key: HashMap<String, u64>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            ring: Ring::new(lifetime::ROWS_PER_APP, lifetime::APP_BYTES),
            by_key: HashMap::new(),
        }
    }
}

impl Pushes {
    pub(crate) fn size(&self) -> Size {
        self.ring.size()
    }

    pub(crate) fn forget_oldest(&mut self) {
        let by_key = &mut self.by_key;
        self.ring.forget_oldest(|old| {
            by_key.remove(&old.key);
        });
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
