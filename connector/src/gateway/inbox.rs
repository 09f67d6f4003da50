//! What an operator does with messages while a robot works: a new try, an end.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::credential::ClientId;
use crate::store::inbox::Change;
use crate::store::{InboxId, Store, StoreError, Unfinished};

/// The messages of one robot.
#[derive(Debug)]
pub struct Inbox {
    client_id: ClientId,
    store: Arc<dyn Store>,
    orders: mpsc::Sender<Order>,
}

/// What the robot's loop is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// A message is to be worked on again.
    Again(Box<Unfinished>),
    /// A message is not to be worked on any more.
    Leave {
        message: InboxId,
        /// Hears when it is so.
        left: oneshot::Sender<()>,
    },
}

/// Orders that may wait for the loop.
const ORDERS: usize = 16;

impl Inbox {
    /// One, and where its orders come out.
    pub(super) fn new(
        client_id: ClientId,
        store: Arc<dyn Store>,
    ) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(ORDERS);
        (Arc::new(Self { client_id, store, orders }), receiver)
    }

    /// Works on a message again that failed or was ended.
    pub async fn retry(&self, id: InboxId) -> Result<Change<()>, StoreError> {
        Ok(match self.store.retry(Some(&self.client_id), id).await? {
            Change::Made(left) => {
                // A robot that is stopping leaves it to the next start.
                let _ = self.orders.send(Order::Again(left)).await;
                Change::Made(())
            }
            Change::Unfit(state) => Change::Unfit(state),
            Change::Unknown => Change::Unknown,
        })
    }

    /// Ends a message that waits, is worked on, or has failed. A part of its answer that is being sent may
    /// arrive all the same.
    pub async fn end(&self, id: InboxId, reason: String) -> Result<Change<()>, StoreError> {
        let (left, is_left) = oneshot::channel();
        if self.orders.send(Order::Leave { message: id, left }).await.is_ok() {
            // A robot that is stopping leaves every message by itself.
            let _ = is_left.await;
        }
        self.store.end(Some(&self.client_id), id, reason).await
    }
}
