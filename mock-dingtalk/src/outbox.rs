//! What waits for a socket's writer: a channel that costs nothing while it is empty.
//!
//! The channels of tokio allocate room for 32 orders at once, which is more than all the rest of
//! an idle connection.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::core::{Cut, Ill, Outgoing};

/// What a socket's writer shall do, in order.
#[derive(Debug)]
pub(crate) enum Order {
    Send(Outgoing),
    Cut(Cut),
    Sicken(Ill),
}

impl Order {
    fn bytes(&self) -> usize {
        match self {
            Self::Send(
                Outgoing::Text(text) | Outgoing::Fragments(text, _) | Outgoing::Bad(text, _),
            ) => text.len(),
            Self::Send(Outgoing::Binary(bytes)) => bytes.len(),
            Self::Cut(_) | Self::Sicken(_) => 0,
        }
    }
}

/// Orders that may wait for a writer. A bot that reads nothing for so long is cut off.
pub(crate) const MAX_ORDERS: usize = 65_536;

/// Bytes that may wait for a writer, unless they are those of one order.
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// More than [`MAX_ORDERS`] or [`MAX_BYTES`] wait.
#[derive(Debug)]
pub(crate) struct Full;

/// The hub's end. The writer finds out when it is dropped.
#[derive(Debug)]
pub(crate) struct Orders(Arc<Shared>);

/// The socket's end.
#[derive(Debug)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// For the writer.
    added: Notify,
    /// For whoever waits for the end.
    ending: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Order>,
    /// Of what waits.
    bytes: usize,
    ends: bool,
    closed: bool,
}

/// Both ends of a new outbox.
pub(crate) fn new() -> (Orders, Outbox) {
    let shared = Arc::default();
    (Orders(Arc::clone(&shared)), Outbox(shared))
}

impl Orders {
    /// Adds an order behind those that wait. One that ends the socket is told to
    /// [`Outbox::ends`] at once, in case the writer is stuck.
    pub(crate) fn give(&self, order: Order) -> Result<(), Full> {
        let ends = matches!(&order, Order::Cut(how) if how.ends());
        {
            let mut state = self.0.lock();
            if ends {
                state.ends = true;
                self.0.ending.notify_one();
            }
            let bytes = order.bytes();
            let too_large = !state.waiting.is_empty() && state.bytes + bytes > MAX_BYTES;
            if state.waiting.len() >= MAX_ORDERS || too_large {
                return Err(Full);
            }
            state.bytes += bytes;
            state.waiting.push_back(order);
        }
        self.0.added.notify_one();
        Ok(())
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.added.notify_one();
    }
}

impl Outbox {
    /// The next order, or `None` when nobody is left to give one.
    pub(crate) async fn next(&self) -> Option<Order> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(order) = state.waiting.pop_front() {
                    state.bytes -= order.bytes();
                    if state.waiting.is_empty() {
                        // Room for a burst is not kept for ever.
                        state.waiting.shrink_to(4);
                    }
                    return Some(order);
                }
                if state.closed {
                    return None;
                }
            }
            self.0.added.notified().await;
        }
    }

    /// Takes what nobody will write any more: texts, in order.
    pub(crate) fn unwritten(&self) -> Vec<Arc<str>> {
        let mut state = self.0.lock();
        let waiting = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        let texts = waiting.into_iter().filter_map(|order| match order {
            Order::Send(Outgoing::Text(text)) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    /// Waits until an order to end the socket was given.
    pub(crate) async fn ends(&self) {
        while !self.0.lock().ends {
            self.0.ending.notified().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, MAX_BYTES, MAX_ORDERS, Order, new};
    use crate::core::{Cut, Outgoing};

    #[tokio::test]
    async fn what_is_never_written_is_taken_back() {
        let (orders, outbox) = new();
        let text = |text: &str| Order::Send(Outgoing::Text(text.into()));
        for order in [text("a"), Order::Cut(Cut::BlackHole), text("b")] {
            orders.give(order).unwrap();
        }
        assert_eq!(outbox.unwritten(), ["a".into(), "b".into()]);
        assert!(outbox.unwritten().is_empty());
        drop(orders);
        assert!(outbox.next().await.is_none());
    }

    #[tokio::test]
    async fn orders_come_in_order_and_then_the_end() {
        let (orders, outbox) = new();
        orders.give(Order::Send(Outgoing::Text("a".into()))).unwrap();
        orders.give(Order::Cut(Cut::BlackHole)).unwrap();
        let waiter = tokio::spawn(async move {
            let first = outbox.next().await;
            let second = outbox.next().await;
            (first, second, outbox.next().await)
        });
        tokio::task::yield_now().await;
        drop(orders);
        let (first, second, third) = waiter.await.unwrap();
        assert!(matches!(first, Some(Order::Send(Outgoing::Text(text))) if &*text == "a"));
        assert!(matches!(second, Some(Order::Cut(Cut::BlackHole))));
        assert!(third.is_none());
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_large_order_passes() {
        let (orders, outbox) = new();
        let text = |bytes: usize| Order::Send(Outgoing::Text("x".repeat(bytes).into()));
        orders.give(text(MAX_BYTES + 1)).unwrap();
        assert!(matches!(orders.give(text(1)), Err(Full)));
        outbox.next().await.unwrap();
        orders.give(text(MAX_BYTES / 2)).unwrap();
        orders.give(text(MAX_BYTES / 2)).unwrap();
        assert!(matches!(orders.give(text(1)), Err(Full)));
    }

    #[tokio::test]
    async fn the_end_is_told_although_the_outbox_is_full() {
        let (orders, outbox) = new();
        for _ in 0..MAX_ORDERS {
            orders.give(Order::Cut(Cut::BlackHole)).unwrap();
        }
        assert!(matches!(orders.give(Order::Cut(Cut::Rst)), Err(Full)));
        outbox.ends().await;
    }
}
