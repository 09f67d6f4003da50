//! What is counted before and after: time of processors, transactions, bytes of the log.

use std::fs;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::gateways::Gateways;
use super::{Fallible, within};

/// A statement is answered by then.
const ANSWER: Duration = Duration::from_secs(60);
/// Parts of a second that `/proc/PID/stat` counts in: `USER_HZ` of Linux, on all processors that we build for.
const TICKS: u32 = 100;

/// A look at all counters.
pub(crate) struct Counters {
    at: Instant,
    /// User and system time, of all gateways together.
    gateways: Duration,
    /// Of all processes of the database, those that have ended included.
    postgres: Duration,
    /// Of this process.
    load: Duration,
    /// Transactions that wrote.
    commits: u64,
    /// Bytes of the write-ahead log.
    log: u64,
    /// Whole pages in it: the first change of each after a checkpoint.
    pages: u64,
}

/// What was counted meanwhile.
pub(crate) struct Spent {
    pub(crate) took: Duration,
    pub(crate) gateways: Duration,
    pub(crate) postgres: Duration,
    pub(crate) load: Duration,
    pub(crate) commits: u64,
    pub(crate) log: u64,
    pub(crate) pages: u64,
}

impl Counters {
    pub(crate) async fn read(database: &Database, gateways: &Gateways) -> Fallible<Self> {
        // Each transaction that writes takes one number.
        let commits =
            "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)";
        let log = "SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS bigint)";
        Ok(Self {
            at: Instant::now(),
            gateways: gateways.pids().map(|pid| Ok(Stat::of(pid)?.own)).sum::<Fallible<_>>()?,
            postgres: database.processor_time()?,
            load: Stat::of(std::process::id())?.own,
            commits: database.number(commits).await?,
            log: database.number(log).await?,
            pages: database.number("SELECT wal_fpi FROM pg_stat_wal").await?,
        })
    }

    pub(crate) fn since(&self, before: &Self) -> Spent {
        Spent {
            took: self.at - before.at,
            gateways: self.gateways.saturating_sub(before.gateways),
            postgres: self.postgres.saturating_sub(before.postgres),
            load: self.load.saturating_sub(before.load),
            commits: self.commits - before.commits,
            log: self.log - before.log,
            pages: self.pages.saturating_sub(before.pages),
        }
    }
}

/// A process as `/proc` has it.
struct Stat {
    parent: u32,
    /// Its own time.
    own: Duration,
    /// That of its children that have ended and were waited for.
    ended: Duration,
}

impl Stat {
    fn of(pid: u32) -> Fallible<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name before may have blanks in it.
        let (_, fields) = text.rsplit_once(") ").ok_or("no name")?;
        let fields: Vec<_> = fields.split(' ').collect();
        let number = |at: usize| -> Fallible<u32> { Ok(fields.get(at).ok_or("short")?.parse()?) };
        let time = |at| Ok::<_, super::Failure>(Duration::from_secs(1) * number(at)? / TICKS);
        Ok(Self { parent: number(1)?, own: time(11)? + time(12)?, ended: time(13)? + time(14)? })
    }
}

/// A connection for what is counted.
pub(crate) struct Database {
    client: Client,
    /// The process that all others of the server are children of.
    postmaster: u32,
}

impl Database {
    pub(crate) async fn connect(url: &str) -> Fallible<Self> {
        let connected = tokio_postgres::connect(url, NoTls);
        let (client, connection) =
            within("a connection to the database", ANSWER, connected).await??;
        tokio::spawn(connection);
        let mut database = Self { client, postmaster: 0 };
        let me = u32::try_from(database.number("SELECT CAST(pg_backend_pid() AS bigint)").await?)?;
        database.postmaster = Stat::of(me)?.parent;
        Ok(database)
    }

    /// The number that a statement gives, a `bigint`.
    pub(crate) async fn number(&self, statement: &str) -> Fallible<u64> {
        let asked = self.client.query_one(statement, &[]);
        let row = within(&format!("the answer to {statement}"), ANSWER, asked).await??;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
    }

    /// Does statements that may take long.
    pub(crate) async fn run(&self, statements: &str, at_most: Duration) -> Fallible<()> {
        let done = self.client.batch_execute(statements);
        within(statements.lines().next().unwrap_or_default(), at_most, done).await??;
        Ok(())
    }

    fn processor_time(&self) -> Fallible<Duration> {
        let postmaster = Stat::of(self.postmaster)?;
        let mut time = postmaster.own + postmaster.ended;
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended by now.
            if let Ok(stat) = Stat::of(pid)
                && stat.parent == self.postmaster
            {
                time += stat.own;
            }
        }
        Ok(time)
    }
}
