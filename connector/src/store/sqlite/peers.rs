//! The statements of peers.

use rusqlite::named_params;

use super::SqliteStore;
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::peers::{Peer, PeerStore};

impl PeerStore for SqliteStore {
    fn met(&self, peer: Peer) -> Pending<()> {
        self.work(move |db| {
            db.prepare_cached(
                "INSERT INTO peer (client_id, is_group, id, name)
                 VALUES (:client_id, :is_group, :id, :name)
                 ON CONFLICT DO UPDATE SET name = coalesce(excluded.name, name)",
            )?
            .execute(named_params! {
                ":client_id": peer.client_id.as_str(),
                ":is_group": peer.is_group,
                ":id": peer.id,
                ":name": peer.name,
            })?;
            Ok(())
        })
    }

    fn peers_like(&self, client_id: &ClientId, is_group: bool, id: &str) -> Pending<Vec<String>> {
        let (client_id, id) = (client_id.clone(), id.to_owned());
        self.work(move |db| {
            db.prepare_cached(
                "SELECT id FROM peer
                 WHERE client_id = :client_id AND is_group = :is_group AND id = :id COLLATE NOCASE
                 LIMIT 2",
            )?
            .query_map(
                named_params! {
                    ":client_id": client_id.as_str(), ":is_group": is_group, ":id": id,
                },
                |row| row.get(0),
            )?
            .collect()
        })
    }
}
