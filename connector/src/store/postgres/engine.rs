//! The connection that writes: transactions, and what becomes of them when the link breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
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
    /// A transaction that may have been committed, by its number.
    unknown: Option<String>,
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
            unknown: None,
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
            hub.everything();
        }
    }

    fn attempt(&self, link: &Link, work: &mut dyn FnMut(&dyn Db) -> Done<()>) -> (Attempt, String) {
        let client = &link.client;
        let begun = async {
            let number = client.query_one("SELECT CAST(pg_current_xact_id() AS text)", &[]);
            let (begun, number) = join(client.batch_execute("BEGIN"), number).await;
            begun?;
            Ok(number?.get::<_, String>(0))
        };
        let number = match self.runtime.block_on(answered(begun)) {
            Ok(number) => number,
            Err(Trouble::Away(reason)) => return (Attempt::Away(reason), String::new()),
            Err(Trouble::Refused(e)) => {
                return (Attempt::Ended(Err(Failure::Transaction(e))), String::new());
            }
        };
        let statements = Statements::new(link, &self.runtime, &self.me);
        let worked = work(&statements).and_then(|()| statements.tell_elsewhere());
        if let Some(reason) = statements.broken() {
            return (Attempt::Away(reason), number);
        }
        let ended = match worked {
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
        };
        (ended, number)
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
            let reason = "it is not known yet what became of the last transaction".to_owned();
            return Err(Failure::Transaction(StoreError::Unreachable { reason }));
        }
        loop {
            self.stand().map_err(Failure::Transaction)?;
            let Some(link) = self.link.take() else {
                return Err(Failure::Transaction(StoreError::Closed));
            };
            let (attempt, number) = self.attempt(&link, work);
            self.link = Some(link);
            match attempt {
                Attempt::Ended(Err(Failure::Unknown)) => {
                    self.lose();
                    self.unknown = Some(number);
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
        let Some(number) = self.unknown.clone() else { return Settled::Lost };
        if self.stand().is_err() {
            return Settled::NotYet;
        }
        let Some(link) = &self.link else { return Settled::NotYet };
        let status = self.runtime.block_on(answered(
            link.client
                .query_one("SELECT pg_xact_status(CAST(CAST($1 AS text) AS xid8))", &[&number]),
        ));
        let settled = match status.map(|row| row.get::<_, Option<String>>(0)) {
            Ok(Some(status)) if status == "committed" => Settled::Committed,
            Ok(Some(status)) if status == "in progress" => return Settled::NotYet,
            // A new primary that has never heard of it refuses the number.
            Ok(_) | Err(Trouble::Refused(_)) => Settled::Lost,
            Err(Trouble::Away(_)) => {
                self.lose();
                return Settled::NotYet;
            }
        };
        self.answered_at = Some(Instant::now());
        self.unknown = None;
        settled
    }

    fn prune(&mut self, now: i64) -> Done<bool> {
        let mut more = false;
        let pruned = self.transaction(&mut |db| {
            let lock = "SELECT pg_try_advisory_xact_lock(:key)";
            more = db.one(lock, params! { ":key": PRUNING }, |row| row.get::<bool>(0))?
                && prune(db, now)?;
            Ok(())
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
