//! The statements of call counts.

use super::{SqlStore, params};
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::calls::CallStore;

impl<D> CallStore for SqlStore<D> {
    fn calls(&self, client_id: &ClientId, month: i64) -> Pending<u64> {
        let client_id = client_id.clone();
        self.work(move |db| {
            let calls: Option<i64> = db.first(
                "SELECT calls FROM calls WHERE client_id = :client_id AND month = :month",
                params! { ":client_id": client_id.as_str(), ":month": month },
                |row| row.get(0),
            )?;
            Ok(calls.and_then(|calls| u64::try_from(calls).ok()).unwrap_or(0))
        })
    }

    fn keep_calls(&self, client_id: &ClientId, month: i64, calls: u64) -> Pending<()> {
        let client_id = client_id.clone();
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        self.work(move |db| {
            db.later(
                "DELETE FROM calls WHERE client_id = :client_id AND month < :month",
                params! { ":client_id": client_id.as_str(), ":month": month },
            )?;
            db.later(
                "INSERT INTO calls (client_id, month, calls) VALUES (:client_id, :month, :calls)
                 ON CONFLICT (client_id, month) DO UPDATE SET calls = excluded.calls
                 WHERE excluded.calls > calls.calls",
                params! { ":client_id": client_id.as_str(), ":month": month, ":calls": calls },
            )
        })
    }
}
