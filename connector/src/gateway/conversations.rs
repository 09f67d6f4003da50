//! Order: one queue per conversation, one turn of each at a time, many conversations at once.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::protocol::ConversationId;

/// The queues. Pure: it says what may start, somebody else does it.
#[derive(Debug)]
pub(super) struct Conversations<T> {
    waiting: HashMap<ConversationId, VecDeque<T>>,
    /// Conversations with something waiting and nothing running, in the order they came to be so.
    ready: VecDeque<ConversationId>,
    running: HashSet<ConversationId>,
    at_once: usize,
    waiting_total: usize,
}

impl<T> Conversations<T> {
    /// Lets `at_once` conversations run at the same time.
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            running: HashSet::new(),
            at_once,
            waiting_total: 0,
        }
    }

    /// Queues an item behind those of its conversation.
    pub(super) fn push(&mut self, conversation: ConversationId, item: T) {
        let queue = self.waiting.entry(conversation.clone()).or_default();
        queue.push_back(item);
        self.waiting_total += 1;
        if queue.len() == 1 && !self.running.contains(&conversation) {
            self.ready.push_back(conversation);
        }
    }

    /// Queues an item before all others of its conversation.
    pub(super) fn push_first(&mut self, conversation: ConversationId, item: T) {
        let queue = self.waiting.entry(conversation.clone()).or_default();
        queue.push_front(item);
        self.waiting_total += 1;
        if queue.len() == 1 && !self.running.contains(&conversation) {
            self.ready.push_back(conversation);
        }
    }

    /// Takes what waits in a conversation and is `unwanted` out of its queue.
    pub(super) fn take_out(
        &mut self,
        conversation: &ConversationId,
        unwanted: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        let Some(queue) = self.waiting.remove(conversation) else { return Vec::new() };
        let (out, stay): (Vec<_>, Vec<_>) = queue.into_iter().partition(unwanted);
        self.waiting_total -= out.len();
        if stay.is_empty() {
            self.ready.retain(|ready| ready != conversation);
        } else {
            self.waiting.insert(conversation.clone(), stay.into());
        }
        out
    }

    /// Takes the next item that may start; its conversation runs until [`finished`](Self::finished).
    pub(super) fn start(&mut self) -> Option<(ConversationId, T)> {
        if self.running.len() >= self.at_once {
            return None;
        }
        let conversation = self.ready.pop_front()?;
        let queue = self.waiting.get_mut(&conversation).expect("a ready conversation has a queue");
        let item = queue.pop_front().expect("a ready conversation has something waiting");
        if queue.is_empty() {
            self.waiting.remove(&conversation);
        }
        self.waiting_total -= 1;
        self.running.insert(conversation.clone());
        Some((conversation, item))
    }

    /// A conversation's turn is over.
    pub(super) fn finished(&mut self, conversation: &ConversationId) {
        if self.running.remove(conversation) && self.waiting.contains_key(conversation) {
            self.ready.push_back(conversation.clone());
        }
    }

    /// How many items wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting_total
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting_total == 0 && self.running.is_empty()
    }

    /// How many items wait or run.
    pub(super) fn unfinished(&self) -> usize {
        self.waiting_total + self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_taken_out_never_starts_and_what_comes_first_starts_first() {
        let mut conversations = Conversations::new(2);
        let (a, b) = (ConversationId::new("a"), ConversationId::new("b"));
        for n in 1..=5 {
            conversations.push(a.clone(), n);
        }
        conversations.push(b.clone(), 6);
        assert_eq!(conversations.start(), Some((a.clone(), 1)));
        assert_eq!(conversations.take_out(&a, |n| n % 2 == 0), [2, 4]);
        assert_eq!(conversations.take_out(&b, |_| true), [6]);
        assert_eq!(conversations.start(), None, "b has nothing left");
        conversations.push_first(a.clone(), 7);
        conversations.push_first(b.clone(), 8);
        assert_eq!(conversations.start(), Some((b, 8)));
        for n in [7, 3, 5] {
            conversations.finished(&a);
            assert_eq!(conversations.start(), Some((a.clone(), n)));
        }
        conversations.finished(&a);
        assert_eq!((conversations.waiting(), conversations.unfinished()), (0, 1));
    }

    proptest! {
        #[test]
        fn items_of_one_conversation_run_one_at_a_time_in_order_and_none_is_lost(
            pushes in proptest::collection::vec(0..5_u8, 0..200),
            picks in proptest::collection::vec(any::<(bool, usize)>(), 0..600),
            at_once in 1..4_usize,
        ) {
            let mut conversations = Conversations::new(at_once);
            let mut pushes = pushes.into_iter().enumerate();
            let mut running: Vec<ConversationId> = Vec::new();
            let mut done: HashMap<ConversationId, usize> = HashMap::new();
            let mut pushed = 0;
            let mut started = 0;
            // Ample finishing steps at the end, so that everything can run out.
            for (push, pick) in picks.into_iter().chain((0..2_000).map(|n| (false, n))) {
                if push && let Some((n, c)) = pushes.next() {
                    conversations.push(ConversationId::new(c.to_string()), n);
                    pushed += 1;
                } else if !running.is_empty() {
                    let conversation = running.remove(pick % running.len());
                    conversations.finished(&conversation);
                }
                while let Some((conversation, n)) = conversations.start() {
                    prop_assert!(!running.contains(&conversation));
                    if let Some(before) = done.insert(conversation.clone(), n) {
                        prop_assert!(before < n, "order is kept");
                    }
                    running.push(conversation);
                    started += 1;
                }
                prop_assert!(running.len() <= at_once);
                prop_assert_eq!(conversations.unfinished(), pushed - started + running.len());
            }
            prop_assert_eq!(started, pushed);
            prop_assert!(conversations.is_idle());
        }
    }
}
