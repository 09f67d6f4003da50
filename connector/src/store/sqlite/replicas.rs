//! One process has the file for itself: every bucket is its own, and nobody else tells it anything.

use std::future::ready;

use rusqlite::named_params;
use tokio::sync::mpsc;

use super::{SqliteStore, queries};
use crate::credential::ClientId;
use crate::protocol::ConversationId;
use crate::store::replicas::{Bucket, ReplicaStore, Share, SharedToken, Wake};
use crate::store::{Pending, Unfinished};

impl ReplicaStore for SqliteStore {
    fn beat(&self, _: &ClientId, _: Vec<Bucket>) -> Pending<Share> {
        Box::pin(ready(Ok(Share::alone())))
    }

    fn leave(&self, _: &ClientId) -> Pending<()> {
        Box::pin(ready(Ok(())))
    }

    fn unfinished_of(
        &self,
        client_id: &ClientId,
        buckets: Vec<Bucket>,
        taken_over: bool,
    ) -> Pending<Vec<Unfinished>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            if taken_over {
                queries::count_cut_off(db, &client_id)?;
            }
            let params = named_params! { ":client_id": client_id.as_str() };
            let mut unfinished = queries::unfinished(db, "client_id = :client_id", params)?;
            let mut chat = db.prepare_cached("SELECT conversation_id FROM inbox WHERE id = :id")?;
            let mut of_buckets = Vec::new();
            for message in unfinished.drain(..) {
                let chat: String =
                    chat.query_row(named_params! { ":id": message.id.0 }, |row| row.get(0))?;
                if buckets.contains(&Bucket::of(&ConversationId::new(chat))) {
                    of_buckets.push(message);
                }
            }
            Ok(of_buckets)
        })
    }

    fn wakes(&self, _: &ClientId) -> Option<mpsc::Receiver<Wake>> {
        None
    }

    fn shared_token(&self, _: &ClientId) -> Pending<Option<SharedToken>> {
        Box::pin(ready(Ok(None)))
    }

    fn share_token(&self, _: &ClientId, _: SharedToken) -> Pending<()> {
        Box::pin(ready(Ok(())))
    }
}
