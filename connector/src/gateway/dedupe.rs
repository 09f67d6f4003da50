//! Recognises a message that came before.
//!
//! A redelivery carries the same `msgId` in a frame whose `messageId` may be new or the same; either
//! one recognises it. This is the index in memory; what it holds is made again at start from the
//! store, so that the memory of 24 h outlives the process. Where several processes share the store, the index
//! has what came to this one since its start, and the store tells what came to others.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::protocol::{MessageId, MsgId};

/// The ids seen.
#[derive(Debug)]
pub(super) struct Dedupe {
    /// Each with the number under which it stands in `order`.
    seen: HashMap<Print, u64>,
    /// The newest has the number `last`, and those before it the numbers before it.
    order: VecDeque<(Instant, Print)>,
    last: u64,
    keep: Duration,
    limit: usize,
    /// Nobody can make two ids that look alike without knowing these.
    secrets: [RandomState; 2],
}

/// What stands for an id: 128 bits, so that a memory of some 100,000 holds no two alike, and takes a third of the
/// room.
type Print = u128;

impl Dedupe {
    /// Keeps ids for `keep`, and no more than `limit` of them.
    pub(super) fn new(keep: Duration, limit: usize) -> Self {
        let secrets = [RandomState::new(), RandomState::new()];
        Self { seen: HashMap::new(), order: VecDeque::new(), last: 0, keep, limit, secrets }
    }

    /// Remembers a message; `false` when it was there before. Then nothing is added yet, since what it
    /// repeats may turn out not to be kept: see [`remember`](Self::remember).
    pub(super) fn is_new(
        &mut self,
        msg_id: Option<&MsgId>,
        message_id: Option<&MessageId>,
        now: Instant,
    ) -> bool {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.keep)
        {
            self.forget_oldest();
        }
        let known = |print: Print| self.seen.contains_key(&print);
        let new = !self.prints(msg_id, message_id).into_iter().flatten().any(known);
        if new {
            self.remember(msg_id, message_id, now);
        }
        new
    }

    /// Remembers ids: those of a repeat, once what it repeats is durable.
    pub(super) fn remember(
        &mut self,
        msg_id: Option<&MsgId>,
        message_id: Option<&MessageId>,
        now: Instant,
    ) {
        for print in self.prints(msg_id, message_id).into_iter().flatten() {
            if self.seen.contains_key(&print) {
                continue;
            }
            self.last += 1;
            self.seen.insert(print, self.last);
            self.order.push_back((now, print));
        }
        while self.order.len() > self.limit {
            self.forget_oldest();
        }
    }

    /// Forgets a message that could not be kept, so that it is new when it comes again.
    pub(super) fn forget(&mut self, msg_id: Option<&MsgId>, message_id: Option<&MessageId>) {
        for print in self.prints(msg_id, message_id).into_iter().flatten() {
            self.seen.remove(&print);
        }
    }

    fn forget_oldest(&mut self) {
        let number = self.last + 1 - self.order.len() as u64;
        if let Some((_, print)) = self.order.pop_front()
            && self.seen.get(&print) == Some(&number)
        {
            self.seen.remove(&print);
        }
    }

    /// Of a message and of its frame.
    fn prints(&self, msg_id: Option<&MsgId>, message_id: Option<&MessageId>) -> [Option<Print>; 2] {
        let print = |kind: u8, id: &str| {
            let [high, low] = self.secrets.each_ref().map(|secret| secret.hash_one((kind, id)));
            (Print::from(high) << 64) | Print::from(low)
        };
        [msg_id.map(|id| print(0, id.as_str())), message_id.map(|id| print(1, id.as_str()))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(msg: &str, frame: &str) -> (Option<MsgId>, Option<MessageId>) {
        let some = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        (some(msg).map(MsgId::new), some(frame).map(MessageId::new))
    }

    #[test]
    fn either_id_recognises_a_message() {
        let mut dedupe = Dedupe::new(Duration::from_secs(60), 100);
        let now = Instant::now();
        for (msg, frame, expected) in [
            ("a", "1", true),
            ("a", "1", false),
            ("a", "2", false),
            ("", "2", false),
            ("b", "3", true),
            ("", "4", true),
            ("", "4", false),
            ("", "", true),
            ("", "", true),
        ] {
            let (msg_id, message_id) = ids(msg, frame);
            let new = dedupe.is_new(msg_id.as_ref(), message_id.as_ref(), now);
            assert_eq!(new, expected, "{msg} {frame}");
            if !new {
                dedupe.remember(msg_id.as_ref(), message_id.as_ref(), now);
            }
        }
    }

    #[test]
    fn a_repeat_of_what_could_not_be_kept_leaves_nothing_behind() {
        let mut dedupe = Dedupe::new(Duration::from_secs(60), 100);
        let now = Instant::now();
        let (msg_id, first) = ids("a", "1");
        let (_, second) = ids("a", "2");
        assert!(dedupe.is_new(msg_id.as_ref(), first.as_ref(), now));
        assert!(!dedupe.is_new(msg_id.as_ref(), second.as_ref(), now));
        dedupe.forget(msg_id.as_ref(), first.as_ref());
        assert!(dedupe.is_new(msg_id.as_ref(), second.as_ref(), now), "by either of its ids");
    }

    #[test]
    fn memory_ends_with_time_and_with_the_limit() {
        let start = Instant::now();
        let mut dedupe = Dedupe::new(Duration::from_secs(60), 3);
        let seen = |dedupe: &mut Dedupe, msg: &str, s: u64| {
            !dedupe.is_new(Some(&MsgId::new(msg)), None, start + Duration::from_secs(s))
        };
        assert!(!seen(&mut dedupe, "a", 0));
        assert!(seen(&mut dedupe, "a", 59));
        assert!(!seen(&mut dedupe, "a", 60));
        for msg in ["b", "c", "d"] {
            assert!(!seen(&mut dedupe, msg, 61));
        }
        assert!(!seen(&mut dedupe, "a", 61), "pushed out by three newer ones");
        assert!(seen(&mut dedupe, "d", 61));
    }

    #[test]
    fn what_was_forgotten_is_new_and_then_remembered_for_the_whole_time() {
        let start = Instant::now();
        let mut dedupe = Dedupe::new(Duration::from_secs(60), 100);
        let (msg_id, message_id) = ids("a", "1");
        let is_new = |dedupe: &mut Dedupe, s| {
            let at = start + Duration::from_secs(s);
            dedupe.is_new(msg_id.as_ref(), message_id.as_ref(), at)
        };
        assert!(is_new(&mut dedupe, 0));
        dedupe.forget(msg_id.as_ref(), message_id.as_ref());
        assert!(is_new(&mut dedupe, 30));
        assert!(!is_new(&mut dedupe, 70), "the first time's end does not count");
        assert!(is_new(&mut dedupe, 90));
    }

    #[test]
    fn a_message_and_a_frame_of_one_name_are_two() {
        let mut dedupe = Dedupe::new(Duration::from_secs(60), 100);
        let now = Instant::now();
        assert!(dedupe.is_new(Some(&MsgId::new("a")), None, now));
        assert!(dedupe.is_new(None, Some(&MessageId::new("a")), now));
        assert!(!dedupe.is_new(None, Some(&MessageId::new("a")), now));
    }

    #[test]
    fn of_very_many_each_is_known_and_no_other() {
        let (now, count) = (Instant::now(), 20_000);
        let mut dedupe = Dedupe::new(Duration::from_secs(60), count);
        let id = |n: usize| MsgId::new(format!("msg{n}"));
        assert!((0..count).all(|n| dedupe.is_new(Some(&id(n)), None, now)));
        assert!((0..count).all(|n| !dedupe.is_new(Some(&id(n)), None, now)));
        assert!((count..2 * count).all(|n| dedupe.is_new(Some(&id(n)), None, now)));
        assert_eq!((dedupe.seen.len(), dedupe.order.len()), (count, count));
    }
}
