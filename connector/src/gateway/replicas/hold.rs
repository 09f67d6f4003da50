//! Order among replicas: messages of one chat that came to different processes within an instant.
//!
//! DingTalk spreads messages over connections, so that two of one chat may reach the database in either order.
//! Where more than one replica lives each waits a moment, counted from when this process knows of it, and those
//! that wait stand in the order they were written: by `createAt`, and by their number where that is the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::ConversationId;
use crate::store::InboxId;

/// How long a message waits for an older one. A message that needs longer to the database is answered when it
/// comes.
pub(in crate::gateway) const HOLD: Duration = Duration::from_millis(150);

/// By what messages of a chat are ordered: when it was written, in milliseconds since 1970 UTC, and its number.
pub(in crate::gateway) type Written = (i64, InboxId);

/// Messages that wait for older ones. Pure: it is told the time.
#[derive(Debug)]
pub(in crate::gateway) struct Hold<T> {
    chats: HashMap<ConversationId, BTreeMap<Written, Held<T>>>,
    /// When the first one of each chat may go: a look at what is next costs the same however many wait.
    first: BTreeSet<(Instant, ConversationId)>,
    /// Nothing leaves before.
    not_before: Option<Instant>,
    len: usize,
}

#[derive(Debug)]
struct Held<T> {
    until: Instant,
    item: T,
}

impl<T> Default for Hold<T> {
    fn default() -> Self {
        Self { chats: HashMap::new(), first: BTreeSet::new(), not_before: None, len: 0 }
    }
}

impl<T> Hold<T> {
    /// Takes a message that is known from `now` on.
    pub(in crate::gateway) fn add(
        &mut self,
        chat: ConversationId,
        written: Written,
        now: Instant,
        item: T,
    ) {
        let held = Held { until: now + HOLD, item };
        let waiting = self.chats.entry(chat.clone()).or_default();
        let before = until(waiting);
        if waiting.insert(written, held).is_none() {
            self.len += 1;
        }
        changed(&mut self.first, chat, before, until(waiting));
    }

    /// Lets nothing go before a moment: others are about to tell what came to them meanwhile.
    pub(in crate::gateway) fn not_before(&mut self, moment: Instant) {
        self.not_before = self.not_before.max(Some(moment));
    }

    /// How many wait.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.len
    }

    /// When the next one may go.
    pub(in crate::gateway) fn next(&self) -> Option<Instant> {
        let first = self.first.first()?.0;
        Some(self.not_before.map_or(first, |not_before| first.max(not_before)))
    }

    /// Takes those that may go, each chat's in order: none goes before an older one that waits.
    pub(in crate::gateway) fn due(&mut self, now: Instant) -> Vec<(ConversationId, Written, T)> {
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return Vec::new();
        }
        self.not_before = None;
        let mut due = Vec::new();
        while self.first.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, id)) = self.first.pop_first()
        {
            let Some(chat) = self.chats.get_mut(&id) else { continue };
            while let Some(first) = chat.first_entry()
                && first.get().until <= now
            {
                let (written, held) = first.remove_entry();
                due.push((id.clone(), written, held.item));
            }
            if let Some(until) = until(chat) {
                self.first.insert((until, id));
            } else {
                self.chats.remove(&id);
            }
        }
        self.len -= due.len();
        due
    }

    /// Takes out what is `unwanted`, in order for each chat.
    pub(in crate::gateway) fn take_out(
        &mut self,
        of: impl Fn(&ConversationId) -> bool,
        unwanted: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        let mut out = Vec::new();
        let first = &mut self.first;
        self.chats.retain(|id, chat| {
            if of(id) {
                let before = until(chat);
                let taken = chat.extract_if(.., |_, held| unwanted(&held.item));
                out.extend(taken.map(|(_, held)| held.item));
                changed(first, id.clone(), before, until(chat));
            }
            !chat.is_empty()
        });
        self.len -= out.len();
        out
    }
}

/// When the first one of a chat may go.
fn until<T>(chat: &BTreeMap<Written, Held<T>>) -> Option<Instant> {
    chat.values().next().map(|held| held.until)
}

/// Notes when the first one of a chat may go.
fn changed(
    first: &mut BTreeSet<(Instant, ConversationId)>,
    chat: ConversationId,
    before: Option<Instant>,
    after: Option<Instant>,
) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        first.remove(&(before, chat.clone()));
    }
    first.extend(after.map(|after| (after, chat)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(at: i64, id: i64) -> Written {
        (at, InboxId::of(id))
    }

    fn chat(name: &str) -> ConversationId {
        ConversationId::new(name)
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_was_written_first_goes_first_though_it_became_known_later() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        assert_eq!(hold.next(), None);
        hold.add(chat("a"), written(20, 1), start, "second");
        hold.add(chat("b"), written(1, 9), start + MS, "other");
        hold.add(chat("a"), written(10, 2), start + 100 * MS, "first");
        assert!(hold.due(start + 149 * MS).is_empty());
        assert_eq!(hold.next(), Some(start + 151 * MS), "the second waits for the first");
        let firsts = |hold: &Hold<_>| hold.first.len();
        assert_eq!(firsts(&hold), 2, "one of each chat");
        let texts = |due: Vec<(ConversationId, Written, &'static str)>| -> Vec<_> {
            due.into_iter().map(|(.., text)| text).collect()
        };
        assert_eq!(texts(hold.due(start + 151 * MS)), ["other"]);
        assert_eq!(texts(hold.due(start + 250 * MS)), ["first", "second"]);
        assert_eq!((hold.len(), hold.next(), firsts(&hold)), (0, None, 0));
    }

    #[test]
    fn messages_of_one_instant_go_by_their_number() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        for id in [3, 1, 2] {
            hold.add(chat("a"), written(7, id), start, id);
        }
        let due: Vec<i64> = hold.due(start + HOLD).into_iter().map(|(.., id)| id).collect();
        assert_eq!(due, [1, 2, 3]);
    }

    #[test]
    fn after_an_outage_nothing_goes_before_others_have_told() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        hold.add(chat("a"), written(1, 1), start, ());
        hold.not_before(start + 1_000 * MS);
        hold.not_before(start + 10 * MS);
        assert_eq!(hold.next(), Some(start + 1_000 * MS));
        assert!(hold.due(start + 999 * MS).is_empty());
        assert_eq!(hold.due(start + 1_000 * MS).len(), 1);
    }

    #[test]
    fn what_is_taken_out_never_goes() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        for id in 1..=4 {
            hold.add(chat("a"), written(id, id), start, id);
        }
        hold.add(chat("b"), written(1, 5), start, 5);
        let of_a = chat("a");
        assert_eq!(hold.take_out(|chat| *chat == of_a, |id| id % 2 == 0), [2, 4]);
        assert_eq!(hold.len(), 3);
        assert_eq!(hold.take_out(|_| true, |id| *id == 5), [5]);
        let due: Vec<i64> = hold.due(start + HOLD).into_iter().map(|(.., id)| id).collect();
        assert_eq!(due, [1, 3]);
        hold.add(chat("a"), written(1, 6), start, 6);
        hold.add(chat("a"), written(2, 7), start + 10 * MS, 7);
        assert_eq!(hold.take_out(|_| true, |id| *id == 6), [6]);
        assert_eq!(hold.next(), Some(start + 10 * MS + HOLD), "the next one is the first now");
        assert!(hold.due(start + HOLD).is_empty());
    }

    proptest! {
        #[test]
        fn what_becomes_known_within_the_hold_goes_in_the_order_it_was_written(
            // When each was written, and how much later it became known.
            messages in proptest::collection::vec((0..2_000_u32, 0..150_u32, 0..3_u8), 1..100),
        ) {
            let start = Instant::now();
            let mut news: Vec<_> = messages.iter().zip(1..).map(|((at, late, chat), id)| {
                (start + MS * (at + late), i64::from(*at), id, chat.to_string())
            }).collect();
            news.sort();
            let mut hold = Hold::default();
            let (mut gone, mut longest) = (Vec::new(), Duration::ZERO);
            let end = start + MS * 3_000;
            let mut news = news.into_iter().peekable();
            let mut known_at = HashMap::new();
            loop {
                let next = news.peek().map(|(at, ..)| *at).into_iter().chain(hold.next()).min();
                let Some(now) = next else { break };
                prop_assert!(now < end);
                while let Some((at, written_at, id, name)) = news.next_if(|(at, ..)| *at <= now) {
                    known_at.insert(id, at);
                    hold.add(chat(&name), written(written_at, id), at, id);
                }
                for (chat, written, id) in hold.due(now) {
                    longest = longest.max(now - known_at[&id]);
                    gone.push((chat, written));
                }
            }
            prop_assert_eq!(gone.len(), messages.len());
            let mut last: HashMap<ConversationId, Written> = HashMap::new();
            for (chat, written) in gone {
                if let Some(before) = last.insert(chat, written) {
                    prop_assert!(before < written);
                }
            }
            prop_assert!(longest <= 2 * HOLD);
        }
    }
}
