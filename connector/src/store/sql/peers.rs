//! The statements of peers.

use super::{SqlStore, params};
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::peers::{Peer, PeerStore};

impl<D> PeerStore for SqlStore<D> {
    fn met(&self, peer: Peer) -> Pending<()> {
        self.work(move |db| {
            db.later(
                "INSERT INTO peer (client_id, is_group, id, name)
                 VALUES (:client_id, :is_group, :id, :name)
                 ON CONFLICT (client_id, is_group, id)
                 DO UPDATE SET name = coalesce(excluded.name, peer.name)",
                params! {
                    ":client_id": peer.client_id.as_str(),
                    ":is_group": peer.is_group,
                    ":id": peer.id,
                    ":name": peer.name,
                },
            )
        })
    }

    fn peers_like(&self, client_id: &ClientId, is_group: bool, id: &str) -> Pending<Vec<String>> {
        let (client_id, id) = (client_id.clone(), id.to_owned());
        self.work(move |db| {
            let same = db.words().same_id_any_case;
            db.all(
                &format!(
                    "SELECT id FROM peer
                     WHERE client_id = :client_id AND is_group = :is_group AND {same} LIMIT 2"
                ),
                params! { ":client_id": client_id.as_str(), ":is_group": is_group, ":id": id },
                |row| row.get(0),
            )
        })
    }
}
