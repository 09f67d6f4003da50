//! One process has the file for itself: every bucket is its own, and nobody else tells it anything.

use std::collections::HashMap;
use std::future::ready;

use tokio::sync::mpsc;

use super::Sqlite;
use crate::credential::ClientId;
use crate::protocol::ConversationId;
use crate::store::replicas::{Bucket, ReplicaStore, Share, SharedToken, Wake};
use crate::store::sql::{SqlStore, count_cut_off, not_begun, params, unfinished};
use crate::store::{InboxId, Pending, Unfinished};

impl ReplicaStore for SqlStore<Sqlite> {
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
            let of_app = params! { ":client_id": client_id.as_str() };
            if taken_over {
                count_cut_off(db, "client_id = :client_id", i64::MAX, of_app)?;
                not_begun(db, "client_id = :client_id", of_app)?;
            }
            let chats: HashMap<InboxId, Bucket> = db
                .all(
                    "SELECT id, conversation_id FROM inbox
                     WHERE finished_at IS NULL AND client_id = :client_id",
                    of_app,
                    |row| {
                        let chat = ConversationId::new(row.get::<String>(1)?);
                        Ok((InboxId::of(row.get(0)?), Bucket::of(&chat)))
                    },
                )?
                .into_iter()
                .collect();
            let mut messages = unfinished(db, "client_id = :client_id", of_app)?;
            messages.retain(|message| {
                chats.get(&message.id).is_some_and(|bucket| buckets.contains(bucket))
            });
            Ok(messages)
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
