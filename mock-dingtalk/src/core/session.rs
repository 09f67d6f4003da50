//! The sessions behind `sessionWebhook`: who a reply goes to, and until when.

use std::{collections::HashMap, time::Duration};

use super::{
    lifetime,
    memory::{block, hashed, texts},
    ring::{PLACE, Ring, Size},
};

/// What a robot may reply to.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) conversation_id: String,
    /// The person in a direct chat; the conversation in a group.
    pub(crate) to: String,
    /// The message that it came with.
    pub(crate) msg_id: String,
    /// On the clock's steady hand.
    pub(crate) expires: Duration,
    /// Hashes of the bodies that it was answered with, the first few.
    pub(crate) answers: Vec<u64>,
}

impl Session {
    /// The memory that it takes, more or less. The id stands in the index too.
    fn bytes(&self) -> usize {
        let all = [&self.id, &self.id, &self.conversation_id, &self.to, &self.msg_id];
        block(size_of::<Self>())
            + texts(all.map(String::as_str))
            + block(ANSWERS)
            + PLACE
            + hashed::<(String, u64)>()
    }
}

/// The most that the hashes of answers take.
const ANSWERS: usize = 64;

/// The sessions of one app. Expired ones stay for a while, so that a late reply can be told from
/// a wrong one.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    ring: Ring<Session>,
    by_id: HashMap<String, u64>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { ring: Ring::new(lifetime::ROWS_PER_APP, lifetime::APP_BYTES), by_id: HashMap::new() }
    }
}

impl Sessions {
    pub(crate) fn add(&mut self, session: Session) {
        let number = self.ring.next_number();
        self.by_id.insert(session.id.clone(), number);
        let by_id = &mut self.by_id;
        let bytes = session.bytes();
        self.ring.push(number, bytes, session, |old| {
            by_id.remove(&old.id);
        });
    }

    /// All that were opened so far are over.
    pub(crate) fn expire_all(&mut self, now: Duration) {
        let numbers: Vec<u64> = self.by_id.values().copied().collect();
        for number in numbers {
            if let Some(session) = self.ring.get_mut(number) {
                session.expires = session.expires.min(now);
            }
        }
    }

    pub(crate) fn size(&self) -> Size {
        self.ring.size()
    }

    pub(crate) fn forget_oldest(&mut self) {
        let by_id = &mut self.by_id;
        self.ring.forget_oldest(|old| {
            by_id.remove(&old.id);
        });
    }

    pub(crate) fn get(&mut self, id: &str) -> Option<&Session> {
        let number = *self.by_id.get(id)?;
        self.ring.get_mut(number).map(|session| &*session)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        let number = *self.by_id.get(id)?;
        self.ring.get_mut(number)
    }
}
