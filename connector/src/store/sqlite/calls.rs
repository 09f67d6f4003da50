//! The statements of call counts.

use rusqlite::{OptionalExtension, named_params};

use super::SqliteStore;
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::calls::CallStore;

impl CallStore for SqliteStore {
    fn calls(&self, client_id: &ClientId, month: i64) -> Pending<u64> {
        let client_id = client_id.clone();
        self.work(move |db| {
            let calls = db
                .prepare_cached(
                    "SELECT calls FROM calls WHERE client_id = :client_id AND month = :month",
                )?
                .query_row(
                    named_params! { ":client_id": client_id.as_str(), ":month": month },
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            Ok(calls.and_then(|calls| u64::try_from(calls).ok()).unwrap_or(0))
        })
    }

    fn keep_calls(&self, client_id: &ClientId, month: i64, calls: u64) -> Pending<()> {
        let client_id = client_id.clone();
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        self.work(move |db| {
            db.prepare_cached("DELETE FROM calls WHERE client_id = :client_id AND month < :month")?
                .execute(named_params! { ":client_id": client_id.as_str(), ":month": month })?;
            db.prepare_cached(
                "INSERT INTO calls (client_id, month, calls) VALUES (:client_id, :month, :calls)
                 ON CONFLICT DO UPDATE SET calls = max(calls, excluded.calls)",
            )?
            .execute(named_params! {
                ":client_id": client_id.as_str(), ":month": month, ":calls": calls,
            })?;
            Ok(())
        })
    }
}
