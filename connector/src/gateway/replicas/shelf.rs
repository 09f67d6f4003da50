//! The access token in the store, for the other processes of an app.

use std::pin::Pin;
use std::sync::Arc;

use crate::credential::ClientId;
use crate::openapi::{Expiring, TokenShelf};
use crate::redact::Secret;
use crate::store::replicas::{ReplicaStore, SharedToken};

/// One app's token.
#[derive(Debug)]
pub(in crate::gateway) struct Shelf {
    client_id: ClientId,
    store: Arc<dyn ReplicaStore>,
}

impl Shelf {
    pub(in crate::gateway) fn new(client_id: ClientId, store: Arc<dyn ReplicaStore>) -> Self {
        Self { client_id, store }
    }
}

impl TokenShelf for Shelf {
    fn take(&self) -> Pin<Box<dyn Future<Output = Option<Expiring>> + Send + '_>> {
        let found = self.store.shared_token(&self.client_id);
        // Without the store each process has a token of its own.
        Box::pin(async {
            let SharedToken { token, expires_at } = found.await.ok()??;
            Some((token, expires_at))
        })
    }

    fn put(&self, token: Secret, expires_at: i64) {
        drop(self.store.share_token(&self.client_id, SharedToken { token, expires_at }));
    }
}
