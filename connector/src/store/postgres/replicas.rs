//! Who works on what: leases and buckets.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::sql::{
    Db, Dialect, Done, SqlStore, count_cut_off, not_begun, params, unfinished,
};
use super::{Me, Postgres};
use crate::credential::ClientId;
use crate::redact::Secret;
use crate::store::replicas::{
    Aim, BUCKETS, Bucket, GRACE, LEASE, ReplicaStore, Share, SharedToken, Wake, Wanted,
};
use crate::store::{InboxId, Pending, StoreError, Unfinished};
use crate::unix_time::now_ms;

/// First key of the advisory lock under which an app's buckets are shared out.
const SHARING: i64 = 0x4444_544b;
/// Messages of some buckets of an app. One text whichever they are: the server keeps each statement that it was told.
const OF_BUCKETS: &str = "client_id = :client_id
    AND bucket = ANY (CAST(string_to_array(:buckets, ',') AS smallint[]))";
/// The same, but for some, which are compared by their hashes.
const BUT: &str = "client_id = :client_id
    AND bucket = ANY (CAST(string_to_array(:buckets, ',') AS smallint[]))
    AND id NOT IN (SELECT CAST(unnest(string_to_array(:ids, ',')) AS bigint))";
/// Some messages. Each is found by its number, even while the server believes that hardly anything is unfinished, and
/// that all which is may as well be read.
const AMONG: &str = "unnest(CAST(string_to_array(:ids, ',') AS bigint[])) AS named (number)
    CROSS JOIN LATERAL (SELECT * FROM inbox WHERE id = named.number OFFSET 0) AS inbox";

impl Dialect for Postgres {
    fn replicas(store: Arc<SqlStore<Self>>) -> Option<Arc<dyn ReplicaStore>> {
        Some(store)
    }
}

impl ReplicaStore for SqlStore<Postgres> {
    fn beat(&self, client_id: &ClientId, aim: Aim) -> Pending<Share> {
        let me = Arc::clone(&self.dialect.me);
        me.joined.store(true, Ordering::Release);
        let (app, owned) = (client_id.clone(), Arc::clone(&self.dialect.owned));
        let beaten = {
            let app = app.clone();
            self.work_first(move |db| beat(db, &me, &app, aim))
        };
        Box::pin(async move {
            let (live, fair, mine) = beaten.await?;
            // No panic can leave it half changed.
            let mut owned = owned.lock().unwrap_or_else(PoisonError::into_inner);
            let before = owned.insert(app, mine.clone()).unwrap_or_default();
            Ok(share((live, fair), &before, &mine))
        })
    }

    fn give_away(&self, client_id: &ClientId, idle: Vec<Bucket>, aim: Aim) -> Pending<()> {
        let (me, client_id) = (Arc::clone(&self.dialect.me), client_id.clone());
        let idle = listed(idle.into_iter().map(Bucket::number));
        self.work_alone(move |db| give_away(db, &me, &client_id, &idle, aim))
    }

    fn leave(&self, client_id: &ClientId) -> Pending<()> {
        let (me, client_id) = (Arc::clone(&self.dialect.me), client_id.clone());
        self.work_alone(move |db| {
            lock(db, &client_id)?;
            // Free they are in any case, and this says that nothing was cut off. What holds one may wait for another.
            db.later(
                "UPDATE bucket SET replica = NULL WHERE client_id = :client_id AND number IN (
                     SELECT number FROM bucket WHERE client_id = :client_id AND replica = :me
                     FOR UPDATE SKIP LOCKED)",
                params! { ":client_id": client_id.as_str(), ":me": me.id.as_str() },
            )?;
            db.later(
                "DELETE FROM replica WHERE client_id = :client_id AND id = :me",
                params! { ":client_id": client_id.as_str(), ":me": me.id.as_str() },
            )
        })
    }

    fn unfinished_of(&self, client_id: &ClientId, wanted: Wanted) -> Pending<Vec<Unfinished>> {
        let client_id = client_id.clone();
        match wanted {
            Wanted::TakenOver(buckets) => {
                let buckets = listed(buckets.into_iter().map(Bucket::number));
                self.work(move |db| {
                    let of = params! { ":client_id": client_id.as_str(), ":buckets": buckets };
                    not_begun(db, OF_BUCKETS, of)?;
                    unfinished(db, "inbox", OF_BUCKETS, of)
                })
            }
            Wanted::But { of, known } => {
                let buckets = listed(of.into_iter().map(Bucket::number));
                let ids = listed(known.into_iter().map(InboxId::number));
                self.work(move |db| {
                    let client_id = client_id.as_str();
                    let but = params! { ":client_id": client_id, ":buckets": buckets, ":ids": ids };
                    unfinished(db, "inbox", BUT, but)
                })
            }
            Wanted::Among(named) => {
                let ids = listed(named.into_values().flatten().map(InboxId::number));
                self.work(move |db| {
                    let among = params! { ":client_id": client_id.as_str(), ":ids": ids };
                    unfinished(db, AMONG, "client_id = :client_id", among)
                })
            }
        }
    }

    fn wakes(&self, client_id: &ClientId) -> mpsc::Receiver<Wake> {
        self.dialect.listener.hear(client_id)
    }

    fn shared_token(&self, client_id: &ClientId) -> Pending<Option<SharedToken>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.first(
                "SELECT token, expires_at FROM access_token WHERE client_id = :client_id",
                params! { ":client_id": client_id.as_str() },
                |row| {
                    let token = Secret::new(row.get::<String>(0)?);
                    Ok(SharedToken { token, expires_at: row.get(1)? })
                },
            )
        })
    }

    fn share_token(&self, client_id: &ClientId, token: SharedToken) -> Pending<()> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.later(
                "INSERT INTO access_token (client_id, token, expires_at)
                 VALUES (:client_id, :token, :expires_at) ON CONFLICT (client_id) DO UPDATE
                 SET token = excluded.token, expires_at = excluded.expires_at",
                params! {
                    ":client_id": client_id.as_str(),
                    ":token": token.token.expose(),
                    ":expires_at": token.expires_at,
                },
            )
        })
    }
}

/// Numbers as one parameter.
fn listed(numbers: impl Iterator<Item = impl ToString>) -> String {
    let numbers: Vec<_> = numbers.map(|number| number.to_string()).collect();
    numbers.join(",")
}

/// One process of an app at a time.
fn lock(db: &dyn Db, client_id: &ClientId) -> Done<()> {
    // Two apps with the same key wait for each other, which does no harm.
    db.later(
        "SELECT pg_advisory_xact_lock(CAST(:sharing AS int), hashtext(:client_id))",
        params! { ":sharing": SHARING, ":client_id": client_id.as_str() },
    )
}

/// How many processes live, what a fair share is, and which buckets are this one's now, each with how often it had changed
/// its owner.
fn beat(
    db: &dyn Db,
    me: &Me,
    client_id: &ClientId,
    aim: Aim,
) -> Done<(u32, usize, BTreeMap<Bucket, i64>)> {
    lock(db, client_id)?;
    let (app, id) = (client_id.as_str(), me.id.as_str());
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    // If this one lives, and yet nobody holds a lease, nobody could beat: the database was away. Whoever beats first
    // waits for the others as if they had just beaten.
    db.later(
        "UPDATE replica SET alive_until = clock_timestamp() + CAST(:lease AS bigint) * INTERVAL '1 millisecond'
         WHERE client_id = :client_id
         AND EXISTS (SELECT 1 FROM replica WHERE client_id = :client_id AND id = :me)
         AND NOT EXISTS (
             SELECT 1 FROM replica WHERE client_id = :client_id AND alive_until > clock_timestamp())",
        params! { ":client_id": app, ":me": id, ":lease": millis(LEASE) },
    )?;
    db.later(
        "INSERT INTO replica (client_id, id, host, leaves, is_full, alive_until)
         VALUES (:client_id, :me, :host, :leaves, :is_full,
             clock_timestamp() + CAST(:lease AS bigint) * INTERVAL '1 millisecond')
         ON CONFLICT (client_id, id) DO UPDATE SET alive_until = excluded.alive_until,
             leaves = excluded.leaves, is_full = excluded.is_full",
        params! {
            ":client_id": app,
            ":me": id,
            ":host": host(),
            ":leaves": aim == Aim::Leave,
            ":is_full": aim == Aim::StayFull,
            ":lease": millis(LEASE),
        },
    )?;
    // Whose lease is over for long is dead; what it had is free.
    db.later(
        "DELETE FROM replica WHERE client_id = :client_id
         AND alive_until < clock_timestamp() - CAST(:grace AS bigint) * INTERVAL '1 millisecond'",
        params! { ":client_id": app, ":grace": millis(GRACE) },
    )?;
    db.later(
        "INSERT INTO bucket (client_id, number)
         SELECT :client_id, number FROM generate_series(0, :buckets - 1) AS number
         WHERE NOT EXISTS (SELECT 1 FROM bucket WHERE client_id = :client_id)
         ON CONFLICT DO NOTHING",
        params! { ":client_id": app, ":buckets": u32::from(BUCKETS) },
    )?;
    let (live, stay) = alive(db, app)?;
    let mut mine = owned(db, app, id)?;
    let fair = fair(stay);
    if mine.len() < fair && aim != Aim::Leave {
        let more = i64::try_from(fair - mine.len()).unwrap_or(i64::MAX);
        // One that a stalled transaction of its last owner holds is taken at another beat.
        let taken = db.all(
            "UPDATE bucket SET replica = :me, taken = taken + 1 FROM (
                 SELECT number AS free, replica AS former FROM bucket
                 WHERE client_id = :client_id AND NOT EXISTS (
                     SELECT 1 FROM replica
                     WHERE replica.client_id = bucket.client_id AND replica.id = bucket.replica)
                 ORDER BY number LIMIT :more FOR UPDATE OF bucket SKIP LOCKED) AS found
             WHERE client_id = :client_id AND number = free RETURNING number, former IS NOT NULL",
            params! { ":client_id": app, ":me": id, ":more": more },
            |row| Ok((row.get::<u32>(0)?, row.get::<bool>(1)?)),
        )?;
        let dead: Vec<_> = taken.iter().filter(|(_, has_died)| *has_died).collect();
        if !dead.is_empty() {
            // Who has left in order has cut nothing off. What came after the last beat of whoever had them has
            // waited since, unless it says otherwise.
            let since = now_ms().saturating_sub(millis(LEASE + GRACE));
            let dead = listed(dead.iter().map(|(number, _)| *number));
            let of_dead = params! { ":client_id": app, ":buckets": dead.as_str() };
            count_cut_off(db, OF_BUCKETS, since, of_dead)?;
        }
        mine = owned(db, app, id)?;
    }
    // Others that leave, too, take nothing of whoever leaves.
    Ok((if aim == Aim::Leave { stay + 1 } else { live }, fair, mine))
}

/// How many processes live, and how many of them are to stay.
fn alive(db: &dyn Db, app: &str) -> Done<(u32, u32)> {
    db.one(
        "SELECT count(*), count(*) FILTER (WHERE NOT leaves) FROM replica
         WHERE client_id = :client_id",
        params! { ":client_id": app },
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How many buckets are a fair share.
fn fair(stay: u32) -> usize {
    usize::from(BUCKETS).div_ceil(usize::try_from(stay).unwrap_or(1).max(1))
}

fn give_away(db: &dyn Db, me: &Me, client_id: &ClientId, idle: &str, aim: Aim) -> Done<()> {
    lock(db, client_id)?;
    let (app, id) = (client_id.as_str(), me.id.as_str());
    let (_, stay) = alive(db, app)?;
    let surplus = match aim {
        Aim::Leave if stay > 0 => usize::from(BUCKETS),
        // Nobody would take it.
        Aim::Leave => 0,
        Aim::Stay | Aim::StayFull => owned(db, app, id)?.len().saturating_sub(fair(stay)),
    };
    // One that somebody takes a message in for stays for now.
    db.later(
        "UPDATE bucket SET replica = NULL WHERE client_id = :client_id AND number IN (
             SELECT number FROM bucket WHERE client_id = :client_id AND replica = :me
             AND number = ANY (CAST(string_to_array(:idle, ',') AS smallint[]))
             ORDER BY number DESC LIMIT :surplus FOR UPDATE SKIP LOCKED)",
        params! {
            ":client_id": app,
            ":me": id,
            ":idle": idle,
            ":surplus": i64::try_from(surplus).unwrap_or(i64::MAX),
        },
    )
}

fn owned(db: &dyn Db, app: &str, id: &str) -> Done<BTreeMap<Bucket, i64>> {
    let owned = db.all(
        "SELECT number, taken FROM bucket WHERE client_id = :client_id AND replica = :me",
        params! { ":client_id": app, ":me": id },
        |row| Ok((row.get::<u32>(0)?, row.get(1)?)),
    )?;
    let odd = || StoreError::Failed("a bucket has a number that none has".to_owned());
    owned
        .into_iter()
        .map(|(number, taken)| {
            let bucket = u16::try_from(number).ok().and_then(Bucket::numbered).ok_or_else(odd)?;
            Ok((bucket, taken))
        })
        .collect()
}

/// What changed since the beat before. A bucket that was another's meanwhile is lost and gained.
fn share(
    (live, fair): (u32, usize),
    before: &BTreeMap<Bucket, i64>,
    mine: &BTreeMap<Bucket, i64>,
) -> Share {
    let not_in = |these: &BTreeMap<Bucket, i64>, those: &BTreeMap<Bucket, i64>| {
        let changed = these.iter().filter(|(bucket, taken)| those.get(bucket) != Some(taken));
        changed.map(|(bucket, _)| *bucket).collect()
    };
    Share {
        live,
        fair,
        mine: mine.keys().copied().collect(),
        gained: not_in(mine, before),
        lost: not_in(before, mine),
        leads: mine.contains_key(&Bucket::LEADER),
    }
}

/// The name of this machine, for people.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_was_anothers_meanwhile_is_lost_and_gained() {
        let bucket = |n| Bucket::numbered(n).unwrap();
        let owned = |of: &[(u16, i64)]| of.iter().map(|(n, taken)| (bucket(*n), *taken)).collect();
        let share =
            share((2, 32), &owned(&[(0, 1), (1, 1), (2, 1)]), &owned(&[(1, 1), (2, 3), (5, 1)]));
        assert_eq!(share.mine, [1, 2, 5].map(bucket).into());
        assert_eq!(share.gained, [2, 5].map(bucket));
        assert_eq!(share.lost, [0, 2].map(bucket));
        assert!(!share.leads);
    }
}
