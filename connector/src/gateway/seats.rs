//! Seats of a waiting room: each chat has its share of them, so that none can fill the room for everybody.
//!
//! What was let in before has a seat in any case: what a restart finds, and what other processes took in or left. A
//! chat that has more than its share lets no new message in here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::ConversationId;

/// Messages of one chat that may wait for their turn.
pub(super) const OF_ONE: usize = 500;
/// So many more may wait of those that overtake the others: `/stop` and what is answered beside turns.
pub(super) const RESERVED: usize = 20;

/// Who sits where.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<ConversationId, Chat>>>);

#[derive(Debug, Default)]
struct Chat {
    taken: usize,
    /// That it has no room was said, and somebody has waited ever since.
    complained: bool,
}

/// A message's seat, from when it is let in until it waits no more. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    chat: ConversationId,
}

impl Seats {
    /// Takes a seat for a message that is new.
    pub(super) fn take(&self, chat: &ConversationId, overtakes: bool) -> Result<Seat, Full> {
        let at_most = if overtakes { OF_ONE + RESERVED } else { OF_ONE };
        let mut chats = self.lock();
        if let Some(chat) = chats.get_mut(chat)
            && chat.taken >= at_most
        {
            return Err(Full { is_news: !std::mem::replace(&mut chat.complained, true) });
        }
        Ok(self.sit(&mut chats, chat))
    }

    /// Takes a seat for a message that was let in before.
    pub(super) fn take_again(&self, chat: &ConversationId) -> Seat {
        self.sit(&mut self.lock(), chat)
    }

    fn sit(&self, chats: &mut HashMap<ConversationId, Chat>, chat: &ConversationId) -> Seat {
        chats.entry(chat.clone()).or_default().taken += 1;
        Seat { seats: self.clone(), chat: chat.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Chat>> {
        // No panic can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chat has no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// It was not said yet.
    pub(super) is_news: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut chats = self.seats.lock();
        if let Some(chat) = chats.get_mut(&self.chat) {
            chat.taken -= 1;
            if chat.taken == 0 {
                chats.remove(&self.chat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chat(n: usize) -> ConversationId {
        ConversationId::new(format!("cid{n}"))
    }

    #[test]
    fn a_full_chat_takes_what_overtakes_and_is_complained_of_once_until_it_is_empty() {
        let seats = Seats::default();
        let crowd =
            || (0..OF_ONE).map(|_| seats.take(&chat(1), false).unwrap()).collect::<Vec<_>>();
        let full = |overtakes| seats.take(&chat(1), overtakes).map(drop);
        let mut taken = crowd();
        assert_eq!(full(false), Err(Full { is_news: true }));
        assert_eq!(full(false), Err(Full { is_news: false }));
        let reserved: Vec<_> = (0..RESERVED).map(|_| seats.take(&chat(1), true).unwrap()).collect();
        assert_eq!(full(true), Err(Full { is_news: false }));
        drop(reserved);
        taken.pop();
        assert_eq!(full(false), Ok(()), "one has gone");
        taken.push(seats.take_again(&chat(1)));
        taken.push(seats.take_again(&chat(1)));
        assert_eq!(full(false), Err(Full { is_news: false }), "more than there are");
        drop(taken);
        drop(crowd());
        let _taken = crowd();
        assert_eq!(full(false), Err(Full { is_news: true }));
    }

    proptest! {
        /// Whoever comes and goes: none has more than its share, and nobody's share depends on others.
        #[test]
        fn no_chat_has_more_than_its_share(
            steps in proptest::collection::vec((0..3_usize, any::<bool>(), 1..400_usize, any::<bool>()), 1..40),
        ) {
            let seats = Seats::default();
            let mut taken: [Vec<Seat>; 3] = Default::default();
            for (of, comes, count, overtakes) in steps {
                let share = if overtakes { OF_ONE + RESERVED } else { OF_ONE };
                for _ in 0..count {
                    if comes {
                        let had = taken[of].len();
                        match seats.take(&chat(of), overtakes) {
                            Ok(seat) => {
                                prop_assert!(had < share);
                                taken[of].push(seat);
                            }
                            Err(_) => prop_assert!(had >= share),
                        }
                    } else {
                        taken[of].pop();
                    }
                }
            }
            drop(taken);
            prop_assert!(seats.lock().is_empty(), "nothing is left of those who went");
        }
    }
}
