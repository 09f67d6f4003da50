//! The connection that writes: transactions, and what becomes of them when the link breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tracing::{info, warn};

use super::super::StoreError;
use super::super::sql::{Db, Done, Engine, Failure, Settled, params, prune};
use super::link::{ANSWER, Connector, Link, Trouble, answered, trouble};
use super::listener::Hub;
use super::statements::Statements;
use super::{Me, schema};

/// A server is given up for now when nothing was answered for so long; what is asked then fails.
const AWAY: Duration = Duration::from_secs(5);
/// Pauses between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Of the processes that share a database one prunes at a time: key of its advisory lock.
const PRUNING: i64 = 0x4444_544b_0002;

/// A server, and the link to it while there is one.
pub(super) struct Server {
    runtime: Runtime,
    connector: Connector,
    me: Arc<Me>,
    link: Option<Link>,
    /// Who hears that the link was away.
    hub: Option<Arc<Hub>>,
    /// The schema is that of this release.
    is_fit: bool,
    /// The link broke; what the server called the last one.
    lost: Option<(i32, String)>,
    /// The number of the last transaction: what this process has written last in the database.
    number: i64,
    /// A transaction that may have been committed.
    unknown: Option<i64>,
    /// Why it is not known yet what became of that.
    why_unknown: Option<String>,
    /// When it last did; never, at first.
    answered_at: Option<Instant>,
    next_try: Instant,
    pause: Duration,
}

/// What came of a transaction.
enum Attempt {
    Ended(Result<(), Failure>),
    /// The link broke before anything was committed.
    Away(String),
}

impl Server {
    /// Connects once.
    pub(super) fn open(connector: Connector, me: Arc<Me>, hub: Option<Arc<Hub>>) -> Done<Self> {
        let runtime = runtime()?;
        let link = Link::connect(&runtime, &connector).map_err(Trouble::error)?;
        let now = Instant::now();
        Ok(Self {
            link: Some(link),
            answered_at: Some(now),
            ..Self::new(runtime, connector, me, hub)
        })
    }

    /// Connects when there is something to do, and then brings the schema up to date.
    pub(super) fn later(connector: Connector, me: Arc<Me>, hub: Option<Arc<Hub>>) -> Done<Self> {
        Ok(Self::new(runtime()?, connector, me, hub))
    }

    fn new(runtime: Runtime, connector: Connector, me: Arc<Me>, hub: Option<Arc<Hub>>) -> Self {
        Self {
            runtime,
            connector,
            me,
            link: None,
            hub,
            is_fit: false,
            lost: None,
            number: 0,
            unknown: None,
            why_unknown: None,
            answered_at: None,
            next_try: Instant::now(),
            pause: PAUSES.0,
        }
    }

    /// Brings the schema up to date.
    pub(super) fn migrate(&mut self) -> Done<()> {
        let place = self.connector.address().to_string();
        let link = self.link.as_ref().ok_or(StoreError::Closed)?;
        self.runtime.block_on(schema::migrate(&link.client, &place))?;
        self.is_fit = true;
        Ok(())
    }

    /// Fails unless the schema is that of this release.
    pub(super) fn check(&mut self) -> Done<()> {
        let place = self.connector.address().to_string();
        let link = self.link.as_ref().ok_or(StoreError::Closed)?;
        self.runtime.block_on(schema::check(&link.client, &place))?;
        self.is_fit = true;
        Ok(())
    }

    /// Whether it has been away for so long that what is asked fails.
    fn is_away(&self) -> bool {
        self.answered_at.is_none_or(|at| at.elapsed() >= AWAY)
    }

    /// Sees to it that there is a link, and tries until nothing was answered for [`AWAY`], but at least once.
    fn stand(&mut self) -> Done<()> {
        if self.link.as_ref().is_some_and(|link| !link.client.is_closed()) {
            return Ok(());
        }
        self.lose();
        loop {
            std::thread::sleep(self.next_try.saturating_duration_since(Instant::now()));
            match Link::connect(&self.runtime, &self.connector) {
                Ok(link) => {
                    self.pause = PAUSES.0;
                    self.stands_again(&link);
                    self.link = Some(link);
                    // A newer release may have changed it since it was looked at, which does no harm.
                    if self.is_fit {
                        return Ok(());
                    }
                    let fit = self.migrate();
                    if fit.is_err() {
                        self.link = None;
                    }
                    return fit;
                }
                Err(trouble) => {
                    self.next_try = Instant::now() + self.pause;
                    self.pause = (self.pause * 2).min(PAUSES.1);
                    if self.is_away() {
                        // What it refuses now it may take once somebody has mended it.
                        let reason = match trouble {
                            Trouble::Away(reason) => reason,
                            Trouble::Refused(error) => error.to_string(),
                        };
                        return Err(StoreError::Unreachable { reason });
                    }
                }
            }
        }
    }

    /// Lets go of the link.
    fn lose(&mut self) {
        if let Some(link) = self.link.take() {
            warn!("the link to the database broke");
            self.lost = Some(link.backend);
        }
    }

    /// Ends what the old link may still be doing over there, which holds locks, and tells of the gap.
    fn stands_again(&mut self, link: &Link) {
        let Some((pid, since)) = self.lost.take() else { return };
        let ended = self.runtime.block_on(answered(link.client.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid = $1 AND CAST(backend_start AS text) = $2",
            &[&pid, &since],
        )));
        if let Err(trouble) = ended {
            warn!(
                "what the broken link left to the database could not be ended: {}",
                trouble.error()
            );
        }
        info!("the database is linked again");
        if let Some(hub) = &self.hub {
            hub.after_outage();
        }
    }

    fn attempt(&self, link: &Link, work: &mut dyn FnMut(&dyn Db) -> Done<()>) -> Attempt {
        let client = &link.client;
        match self.runtime.block_on(answered(client.batch_execute("BEGIN"))) {
            Ok(()) => {}
            Err(Trouble::Away(reason)) => return Attempt::Away(reason),
            Err(Trouble::Refused(e)) => return Attempt::Ended(Err(Failure::Transaction(e))),
        }
        let statements = Statements::new(link, &self.runtime, &self.me);
        let marked = if self.writes() { self.mark(&statements) } else { Ok(()) };
        let worked =
            marked.and_then(|()| work(&statements)).and_then(|()| statements.tell_elsewhere());
        if let Some(reason) = statements.broken() {
            return Attempt::Away(reason);
        }
        match worked {
            Ok(()) => self.commit(link, &statements),
            Err(e) => {
                let before = statements.outstanding();
                let back = async {
                    join_all(before).await;
                    client.batch_execute("ROLLBACK").await
                };
                match self.runtime.block_on(answered(back)) {
                    Ok(()) | Err(Trouble::Refused(_)) => Attempt::Ended(Err(Failure::Job(e))),
                    Err(Trouble::Away(reason)) => Attempt::Away(reason),
                }
            }
        }
    }

    /// Whether it writes, and so is among those that share the database.
    fn writes(&self) -> bool {
        self.hub.is_some()
    }

    /// What is there once the transaction holds, and only then. A number of the server's own would not do: after a
    /// failover another transaction may have it.
    fn mark(&self, db: &dyn Db) -> Done<()> {
        db.later(
            "INSERT INTO writer (id, number, at) VALUES (:me, :number, clock_timestamp())
             ON CONFLICT (id) DO UPDATE SET number = excluded.number, at = excluded.at",
            params! { ":me": self.me.id.as_str(), ":number": self.number },
        )
    }

    fn commit(&self, link: &Link, statements: &Statements<'_>) -> Attempt {
        let before = statements.outstanding();
        let mut commit = Box::pin(link.client.batch_execute("COMMIT"));
        let all = async {
            // It is sent before anything is waited for. If something before it has failed it takes all back.
            let early = (&mut commit).now_or_never();
            let failed = join_all(before).await.into_iter().find_map(Result::err);
            let commit = match early {
                Some(early) => early,
                None => commit.await,
            };
            (failed, commit)
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(ANSWER, all).await });
        let Ok((failed, commit)) = answer else { return Attempt::Ended(Err(Failure::Unknown)) };
        let (error, is_job) = match (failed, commit) {
            (None, Ok(())) => return Attempt::Ended(Ok(())),
            (Some(e), _) => (e, true),
            (None, Err(e)) => (e, false),
        };
        Attempt::Ended(Err(match (trouble(&error), is_job) {
            (Trouble::Away(_), _) => Failure::Unknown,
            (Trouble::Refused(e), true) => Failure::Job(e),
            (Trouble::Refused(e), false) => Failure::Transaction(e),
        }))
    }
}

fn runtime() -> Done<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| StoreError::Failed(format!("no runtime for it: {e}")))
}

impl Engine for Server {
    fn transaction(&mut self, work: &mut dyn FnMut(&dyn Db) -> Done<()>) -> Result<(), Failure> {
        if self.unknown.is_some() {
            // What is not settled may stand before this.
            let unknown = || "it is not known yet what became of the last transaction".to_owned();
            let reason = self.why_unknown.clone().unwrap_or_else(unknown);
            return Err(Failure::Transaction(StoreError::Unreachable { reason }));
        }
        loop {
            self.stand().map_err(Failure::Transaction)?;
            let Some(link) = self.link.take() else {
                return Err(Failure::Transaction(StoreError::Closed));
            };
            self.number += 1;
            let attempt = self.attempt(&link, work);
            self.link = Some(link);
            match attempt {
                Attempt::Ended(Err(Failure::Unknown)) => {
                    self.lose();
                    self.unknown = Some(self.number);
                    return Err(Failure::Unknown);
                }
                Attempt::Ended(ended) => {
                    self.answered_at = Some(Instant::now());
                    return ended;
                }
                Attempt::Away(reason) => {
                    self.lose();
                    if self.is_away() {
                        return Err(Failure::Transaction(StoreError::Unreachable { reason }));
                    }
                }
            }
        }
    }

    fn settle(&mut self) -> Settled {
        let Some(number) = self.unknown else { return Settled::Lost };
        match self.stand() {
            Ok(()) => {}
            Err(StoreError::Unreachable { reason }) => {
                self.why_unknown = Some(reason);
                return Settled::NotYet;
            }
            Err(e) => {
                self.why_unknown = Some(e.to_string());
                return Settled::NotYet;
            }
        }
        let Some(link) = &self.link else { return Settled::NotYet };
        // It waits for what the old link may still be doing, and is committed itself: where commits wait for a
        // standby, what is found is over there, too, once this is answered.
        let last = self.runtime.block_on(answered(link.client.query_one(
            "INSERT INTO writer (id, number, at) VALUES ($1, 0, clock_timestamp())
             ON CONFLICT (id) DO UPDATE SET at = excluded.at RETURNING number",
            &[&self.me.id.as_str()],
        )));
        let settled = match last.map(|row| row.get::<_, i64>(0)) {
            Ok(last) if last == number => Settled::Committed,
            Ok(_) => Settled::Lost,
            Err(Trouble::Refused(e)) => {
                self.why_unknown = Some(e.to_string());
                return Settled::NotYet;
            }
            Err(Trouble::Away(reason)) => {
                self.why_unknown = Some(reason);
                self.lose();
                return Settled::NotYet;
            }
        };
        self.answered_at = Some(Instant::now());
        (self.unknown, self.why_unknown) = (None, None);
        settled
    }

    fn prune(&mut self, now: i64) -> Done<bool> {
        let mut more = false;
        let pruned = self.transaction(&mut |db| {
            let lock = "SELECT pg_try_advisory_xact_lock(:key)";
            more = db.one(lock, params! { ":key": PRUNING }, |row| row.get::<bool>(0))?
                && prune(db, now)?;
            // Of processes that have ended.
            db.later(
                "DELETE FROM writer WHERE at < clock_timestamp() - INTERVAL '1 day'",
                params! {},
            )
        });
        match pruned {
            Ok(()) => Ok(more),
            Err(Failure::Job(e) | Failure::Transaction(e)) => Err(e),
            Err(Failure::Unknown) => {
                // Nobody waits for it.
                self.unknown = None;
                Err(StoreError::Unreachable { reason: "the link to it broke".to_owned() })
            }
        }
    }
}
