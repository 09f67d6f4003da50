//! The statements of push keys.

use super::{SqlStore, params};
use crate::credential::ClientId;
use crate::store::Pending;
use crate::store::pushes::{KEY_LIFE_MS, KeptPush, NewPush, PushStore};

impl<D> PushStore for SqlStore<D> {
    fn begin_push(&self, push: NewPush) -> Pending<Option<KeptPush>> {
        self.work(move |db| {
            let old = push.at.saturating_sub(KEY_LIFE_MS);
            db.later("DELETE FROM push WHERE begun_at <= :old", params! { ":old": old })?;
            let client_id = push.client_id.as_str();
            let inserted = db.execute(
                "INSERT INTO push (client_id, key, digest, begun_at)
                 VALUES (:client_id, :key, :digest, :at) ON CONFLICT (client_id, key) DO NOTHING",
                params! {
                    ":client_id": client_id,
                    ":key": push.key,
                    ":digest": push.digest,
                    ":at": push.at,
                },
            )?;
            if inserted > 0 {
                return Ok(None);
            }
            db.first(
                "SELECT digest, outcomes FROM push WHERE client_id = :client_id AND key = :key",
                params! { ":client_id": client_id, ":key": push.key },
                |row| Ok(KeptPush { digest: row.get(0)?, outcomes: row.get(1)? }),
            )
        })
    }

    fn end_push(&self, client_id: &ClientId, key: &str, outcomes: String) -> Pending<()> {
        let (client_id, key) = (client_id.clone(), key.to_owned());
        self.work(move |db| {
            db.later(
                "UPDATE push SET outcomes = :outcomes WHERE client_id = :client_id AND key = :key",
                params! { ":outcomes": outcomes, ":client_id": client_id.as_str(), ":key": key },
            )
        })
    }
}
