//! The statements of [`HeardStore`].

use super::{SqlStore, params};
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::heard::HeardStore;

impl<D> HeardStore for SqlStore<D> {
    fn heard_until(&self, client_id: &ClientId) -> Pending<Option<i64>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.first(
                "SELECT until FROM heard WHERE client_id = :client_id",
                params! { ":client_id": client_id.as_str() },
                |row| row.get(0),
            )
        })
    }

    fn keep_heard(&self, client_id: &ClientId, until: i64) -> Pending<()> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.later(
                "INSERT INTO heard (client_id, until) VALUES (:client_id, :until)
                 ON CONFLICT (client_id) DO UPDATE SET until = excluded.until",
                params! { ":client_id": client_id.as_str(), ":until": until },
            )
        })
    }
}
