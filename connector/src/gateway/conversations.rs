//! Order: one queue per conversation, its turns begun one after the other, many conversations at once.

use std::collections::{HashMap, VecDeque};

use crate::protocol::ConversationId;

/// The queues. Pure: it says what may start, somebody else does it.
#[derive(Debug)]
pub(super) struct Conversations<T> {
    waiting: HashMap<ConversationId, VecDeque<T>>,
    /// Conversations with something waiting that may start, in the order they came to be so.
    ready: VecDeque<ConversationId>,
    running: HashMap<ConversationId, Running>,
    limits: Limits,
    running_total: usize,
    waiting_total: usize,
    last_serial: u64,
}

/// How much may run at the same time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Items of all conversations.
    pub(super) in_all: usize,
    /// Items of one conversation; 1 means one after the other.
    pub(super) of_one: usize,
}

/// What runs of one conversation.
#[derive(Debug, Default)]
struct Running {
    count: usize,
    /// The one that was started last, until it is [`opened`](Conversations::opened).
    opening: Option<u64>,
}

/// An item that runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ticket {
    conversation: ConversationId,
    serial: u64,
}

impl Ticket {
    /// Where it belongs.
    pub(super) fn conversation(&self) -> &ConversationId {
        &self.conversation
    }
}

impl<T> Conversations<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            running: HashMap::new(),
            limits,
            running_total: 0,
            waiting_total: 0,
            last_serial: 0,
        }
    }

    /// From now on so many items of all conversations may run at the same time.
    pub(super) fn limit(&mut self, in_all: usize) {
        self.limits.in_all = in_all;
    }

    /// How many items run.
    pub(super) fn running(&self) -> usize {
        self.running_total
    }

    /// Queues an item behind those of its conversation.
    pub(super) fn push(&mut self, conversation: ConversationId, item: T) {
        self.queue(conversation, |queue| queue.push_back(item));
    }

    /// Queues an item where it belongs: behind those of its conversation that wait, but for the last ones that
    /// come `after` it.
    pub(super) fn push_before(
        &mut self,
        conversation: ConversationId,
        item: T,
        after: impl Fn(&T) -> bool,
    ) {
        let Some(queue) = self.waiting.get_mut(&conversation) else {
            return self.push(conversation, item);
        };
        let place = queue.iter().rposition(|waits| !after(waits)).map_or(0, |at| at + 1);
        queue.insert(place, item);
        self.waiting_total += 1;
    }

    /// Queues an item before all others of its conversation.
    pub(super) fn push_first(&mut self, conversation: ConversationId, item: T) {
        self.queue(conversation, |queue| queue.push_front(item));
    }

    fn queue(&mut self, conversation: ConversationId, put: impl FnOnce(&mut VecDeque<T>)) {
        let may_start = self.may_start(&conversation);
        let queue = self.waiting.entry(conversation.clone()).or_default();
        put(queue);
        self.waiting_total += 1;
        if queue.len() == 1 && may_start {
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

    /// Takes what waits and is `unwanted` out of all queues.
    pub(super) fn take_out_all(&mut self, unwanted: impl Fn(&T) -> bool) -> Vec<T> {
        let holds = |queue: &VecDeque<T>| queue.iter().any(&unwanted);
        let waiting = self.waiting.iter().filter(|(_, queue)| holds(queue));
        let conversations: Vec<_> = waiting.map(|(conversation, _)| conversation.clone()).collect();
        conversations
            .iter()
            .flat_map(|conversation| self.take_out(conversation, &unwanted))
            .collect()
    }

    /// Takes one item out of its queue, wherever it waits.
    pub(super) fn take_one(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let holds = |queue: &VecDeque<T>| queue.iter().any(&is_it);
        let conversation = self.waiting.iter().find(|(_, queue)| holds(queue))?.0.clone();
        self.take_out(&conversation, is_it).pop()
    }

    /// Takes the next item that may start.
    #[cfg(test)]
    pub(super) fn start(&mut self) -> Option<(Ticket, T)> {
        self.start_where(|_| true)
    }

    /// Takes the next item that may start, and of which that is true besides. The next one of its conversation may do so
    /// when this one is [`opened`](Self::opened), where more than one may run, or [`finished`](Self::finished).
    pub(super) fn start_where(&mut self, may: impl Fn(&T) -> bool) -> Option<(Ticket, T)> {
        if self.running_total >= self.limits.in_all {
            return None;
        }
        let first = |id| self.waiting.get(id).and_then(VecDeque::front);
        let at = self.ready.iter().position(|id| first(id).is_some_and(&may))?;
        let conversation = self.ready.remove(at)?;
        let queue = self.waiting.get_mut(&conversation).expect("a ready conversation has a queue");
        let item = queue.pop_front().expect("a ready conversation has something waiting");
        if queue.is_empty() {
            self.waiting.remove(&conversation);
        }
        self.waiting_total -= 1;
        self.running_total += 1;
        self.last_serial += 1;
        let running = self.running.entry(conversation.clone()).or_default();
        running.count += 1;
        running.opening = Some(self.last_serial);
        Some((Ticket { conversation, serial: self.last_serial }, item))
    }

    /// The agent has an item: what follows it cannot overtake it any more.
    pub(super) fn opened(&mut self, ticket: &Ticket) {
        self.change(ticket, |running| running.open(ticket.serial));
    }

    /// An item is done.
    pub(super) fn finished(&mut self, ticket: &Ticket) {
        let mut counted = 0;
        self.change(ticket, |running| {
            running.open(ticket.serial);
            running.count -= 1;
            counted = 1;
        });
        self.running_total -= counted;
        if self.running.get(&ticket.conversation).is_some_and(|running| running.count == 0) {
            self.running.remove(&ticket.conversation);
        }
    }

    /// Changes what runs of a conversation, which may let the next item start.
    fn change(&mut self, Ticket { conversation, .. }: &Ticket, change: impl FnOnce(&mut Running)) {
        let could_start = self.may_start(conversation);
        let Some(running) = self.running.get_mut(conversation) else { return };
        change(running);
        let waits = self.waiting.contains_key(conversation);
        if !could_start && waits && self.may_start(conversation) {
            self.ready.push_back(conversation.clone());
        }
    }

    fn may_start(&self, conversation: &ConversationId) -> bool {
        self.running
            .get(conversation)
            .is_none_or(|running| running.count < self.limits.of_one && running.opening.is_none())
    }

    /// An item that waits in a conversation, and how many of that come before it, those that run included.
    pub(super) fn find(
        &self,
        conversation: &ConversationId,
        is_it: impl Fn(&T) -> bool,
    ) -> Option<(usize, &T)> {
        let queue = self.waiting.get(conversation)?;
        let index = queue.iter().position(is_it)?;
        let running = self.running.get(conversation).map_or(0, |running| running.count);
        Some((running + index, &queue[index]))
    }

    /// Whether nothing of a conversation waits or runs.
    pub(super) fn is_over(&self, conversation: &ConversationId) -> bool {
        !self.waiting.contains_key(conversation) && !self.running.contains_key(conversation)
    }

    /// How many items wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting_total
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished() == 0
    }

    /// How many items wait or run.
    pub(super) fn unfinished(&self) -> usize {
        self.waiting_total + self.running_total
    }
}

impl Running {
    fn open(&mut self, serial: u64) {
        if self.opening == Some(serial) {
            self.opening = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_taken_out_never_starts_and_what_comes_first_starts_first() {
        let mut conversations = Conversations::new(Limits { in_all: 2, of_one: 1 });
        let (a, b) = (ConversationId::new("a"), ConversationId::new("b"));
        for n in 1..=5 {
            conversations.push(a.clone(), n);
        }
        conversations.push(b.clone(), 6);
        let (mut of_a, first) = conversations.start().unwrap();
        assert_eq!((of_a.conversation(), first), (&a, 1));
        assert_eq!(conversations.take_out(&a, |n| n % 2 == 0), [2, 4]);
        assert_eq!(conversations.take_out(&b, |_| true), [6]);
        assert_eq!(conversations.start(), None, "b has nothing left");
        conversations.push_first(a.clone(), 7);
        conversations.push_first(b.clone(), 8);
        assert_eq!(conversations.start().unwrap().1, 8);
        for n in [7, 3, 5] {
            conversations.finished(&of_a);
            let (ticket, started) = conversations.start().unwrap();
            assert_eq!((ticket.conversation(), started), (&a, n));
            of_a = ticket;
        }
        conversations.finished(&of_a);
        assert_eq!((conversations.waiting(), conversations.unfinished()), (0, 1));
    }

    #[test]
    fn an_item_is_queued_where_it_belongs_and_unwanted_ones_leave_all_queues() {
        let mut conversations = Conversations::new(Limits { in_all: 9, of_one: 1 });
        let (a, b) = (ConversationId::new("a"), ConversationId::new("b"));
        for n in [3, 1, 4, 2] {
            conversations.push_before(a.clone(), n, |waits| *waits > n);
        }
        conversations.push(b.clone(), 9);
        assert_eq!(conversations.waiting(), 5);
        let (ticket, first) = conversations.start().unwrap();
        assert_eq!((ticket.conversation(), first), (&a, 1));
        conversations.push_before(a.clone(), 0, |waits| *waits > 0);
        let mut out = conversations.take_out_all(|n| n % 3 == 0);
        out.sort_unstable();
        assert_eq!(out, [0, 3, 9]);
        assert_eq!(conversations.waiting(), 2);
        conversations.finished(&ticket);
        assert_eq!(conversations.start().unwrap().1, 2);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Push,
        Open(usize),
        Finish(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Push),
            any::<usize>().prop_map(Step::Open),
            any::<usize>().prop_map(Step::Finish),
        ]
    }

    proptest! {
        #[test]
        fn items_of_one_conversation_start_in_order_within_the_limits_and_none_is_lost(
            pushes in proptest::collection::vec(0..5_u8, 0..200),
            steps in proptest::collection::vec(step(), 0..600),
            in_all in 1..8_usize,
            of_one in 1..4_usize,
        ) {
            let mut conversations = Conversations::new(Limits { in_all, of_one });
            let mut pushes = pushes.into_iter().enumerate();
            let mut running: Vec<(Ticket, bool)> = Vec::new();
            let mut last: HashMap<ConversationId, usize> = HashMap::new();
            let mut pushed = 0;
            let mut started = 0;
            // Ample finishing steps at the end, so that everything can run out.
            for step in steps.into_iter().chain((0..2_000).map(|_| Step::Finish(0))) {
                match step {
                    Step::Push => if let Some((n, c)) = pushes.next() {
                        conversations.push(ConversationId::new(c.to_string()), n);
                        pushed += 1;
                    },
                    Step::Open(pick) if !running.is_empty() => {
                        let pick = pick % running.len();
                        running[pick].1 = true;
                        conversations.opened(&running[pick].0);
                    }
                    Step::Finish(pick) if !running.is_empty() => {
                        let (ticket, _) = running.remove(pick % running.len());
                        conversations.finished(&ticket);
                        // News of what is over changes nothing.
                        conversations.opened(&ticket);
                    }
                    Step::Open(_) | Step::Finish(_) => {}
                }
                while let Some((ticket, n)) = conversations.start() {
                    let same = running.iter().filter(|(r, _)| r.conversation == ticket.conversation);
                    let same: Vec<_> = same.collect();
                    prop_assert!(same.len() < of_one);
                    prop_assert!(same.iter().all(|(_, opened)| *opened), "one is opened at a time");
                    if let Some(before) = last.insert(ticket.conversation.clone(), n) {
                        prop_assert!(before < n, "order is kept");
                    }
                    running.push((ticket, false));
                    started += 1;
                }
                prop_assert!(running.len() <= in_all);
                prop_assert_eq!(conversations.unfinished(), pushed - started + running.len());
                prop_assert_eq!(conversations.waiting(), pushed - started);
                // Nothing waits that may start.
                if running.len() < in_all && running.iter().all(|(_, opened)| *opened) && of_one > running.len() {
                    prop_assert_eq!(conversations.waiting(), 0);
                }
            }
            prop_assert_eq!(started, pushed);
            prop_assert!(conversations.is_idle());
        }
    }
}
