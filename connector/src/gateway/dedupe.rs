//! Recognises a message that came before.
//!
//! A redelivery carries the same `msgId` in a frame whose `messageId` may be new or the same; either
//! one recognises it. The memory is this process's, for 24 h and a bounded number of messages.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::protocol::{MessageId, MsgId};

/// The ids seen.
#[derive(Debug)]
pub(super) struct Dedupe {
    seen: HashSet<Key>,
    order: VecDeque<(Instant, Key)>,
    keep: Duration,
    limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Message(MsgId),
    Frame(MessageId),
}

impl Dedupe {
    /// Keeps ids for `keep`, and no more than `limit` of them.
    pub(super) fn new(keep: Duration, limit: usize) -> Self {
        Self { seen: HashSet::new(), order: VecDeque::new(), keep, limit }
    }

    /// Remembers a message; `false` when it was there before.
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
        let keys = [msg_id.cloned().map(Key::Message), message_id.cloned().map(Key::Frame)];
        let known = keys.iter().flatten().any(|key| self.seen.contains(key));
        for key in keys.into_iter().flatten() {
            if self.seen.insert(key.clone()) {
                self.order.push_back((now, key));
            }
        }
        while self.order.len() > self.limit {
            self.forget_oldest();
        }
        !known
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.seen.remove(&key);
        }
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
        }
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
}
