//! The statements of push keys.

use rusqlite::{OptionalExtension, named_params};

use super::SqliteStore;
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::pushes::{KEY_LIFE_MS, KeptPush, NewPush, PushStore};

impl PushStore for SqliteStore {
    fn begin_push(&self, push: NewPush) -> Pending<Option<KeptPush>> {
        self.work(move |db| {
            let old = push.at.saturating_sub(KEY_LIFE_MS);
            db.prepare_cached("DELETE FROM push WHERE begun_at <= :old")?
                .execute(named_params! { ":old": old })?;
            let client_id = push.client_id.as_str();
            let kept = db
                .prepare_cached(
                    "SELECT digest, outcomes FROM push WHERE client_id = :client_id AND key = :key",
                )?
                .query_row(named_params! { ":client_id": client_id, ":key": push.key }, |row| {
                    Ok(KeptPush { digest: row.get(0)?, outcomes: row.get(1)? })
                })
                .optional()?;
            if kept.is_none() {
                db.prepare_cached(
                    "INSERT INTO push (client_id, key, digest, begun_at)
                     VALUES (:client_id, :key, :digest, :at)",
                )?
                .execute(named_params! {
                    ":client_id": client_id,
                    ":key": push.key,
                    ":digest": push.digest,
                    ":at": push.at,
                })?;
            }
            Ok(kept)
        })
    }

    fn end_push(&self, client_id: &ClientId, key: &str, outcomes: String) -> Pending<()> {
        let (client_id, key) = (client_id.clone(), key.to_owned());
        self.work(move |db| {
            db.prepare_cached(
                "UPDATE push SET outcomes = :outcomes WHERE client_id = :client_id AND key = :key",
            )?
            .execute(named_params! {
                ":outcomes": outcomes, ":client_id": client_id.as_str(), ":key": key,
            })?;
            Ok(())
        })
    }
}
