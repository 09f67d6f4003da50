//! The statements of [`HeardStore`].

use rusqlite::{OptionalExtension, named_params};

use super::SqliteStore;
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::heard::HeardStore;

impl HeardStore for SqliteStore {
    fn heard_until(&self, client_id: &ClientId) -> Pending<Option<i64>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.query_row(
                "SELECT until FROM heard WHERE client_id = :client_id",
                named_params! { ":client_id": client_id.as_str() },
                |row| row.get(0),
            )
            .optional()
        })
    }

    fn keep_heard(&self, client_id: &ClientId, until: i64) -> Pending<()> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.prepare_cached(
                "INSERT INTO heard (client_id, until) VALUES (:client_id, :until)
                 ON CONFLICT DO UPDATE SET until = excluded.until",
            )?
            .execute(named_params! { ":client_id": client_id.as_str(), ":until": until })?;
            Ok(())
        })
    }
}
