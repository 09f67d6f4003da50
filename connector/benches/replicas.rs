//! What several processes on one PostgreSQL bring, and what a message costs as the tables grow.
//!
//! ```sh
//! cargo bench -p dingtalk-connector --bench replicas                        # one, two, three replicas
//! BENCH_ROWS=10000000 cargo bench -p dingtalk-connector --bench replicas    # cost while the tables grow to that
//! BENCH_ROUND_TRIP_MS=2 cargo bench -p dingtalk-connector --bench replicas  # the database is so far away
//! BENCH_ROBOTS=100 cargo bench -p dingtalk-connector --bench replicas       # robots of one process, nobody writes
//! ```
//!
//! The load is this process: it answers `connections/open`, takes the connections, spreads messages over them, and
//! takes the answers of the echo agent at `sessionWebhook`. It keeps so many messages in flight that the wait for
//! older messages of other processes (150 ms) does not bound it; the times of the table follow from that (2,048 in
//! flight at 2,000 a second are one second each), and say nothing of how long people wait.
//!
//! Everything runs on one machine and competes for it, the load included: compare rows of one run, by their ratios.
//! What carries over to other machines is the time of processors for a message: `gateway`, `database` (all its
//! processes) and `load` are user and system time, in microseconds, from `/proc`. `WAL` are bytes of the
//! write-ahead log for a message; `pages` is how many whole pages are in that (the first change of each page after a
//! checkpoint), `per commit` how many messages share a transaction that writes. PostgreSQL has the settings that it
//! comes with, `fsync` included.
//!
//! As the tables grow each row is measured right after a checkpoint and a restart of the database, so that `pages` is
//! as bad as it gets: ids are random, so that each message is the first since to change its page of their index. On a
//! machine with other work compare the times of processors, not the rates: `BENCH_ROWS=0` measures four times the same,
//! and shows how much these differ by themselves.
//!
//! A wait that takes too long ends the run, and says what did not come, with the ends of the gateways' logs.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]

#[path = "../tests/postgres/cluster.rs"]
mod cluster;
#[path = "replicas/counters.rs"]
mod counters;
#[path = "replicas/distance.rs"]
mod distance;
#[path = "replicas/gateways.rs"]
mod gateways;
#[path = "replicas/load.rs"]
mod load;
#[path = "replicas/robots.rs"]
mod robots;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::cluster::{Cluster, database_of};
use self::counters::{Counters, Database, Spent};
use self::gateways::Gateways;
use self::load::Load;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Fallible<T> = Result<T, Failure>;

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(8);
/// Before it is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// Messages that are not answered yet.
const IN_FLIGHT: usize = 2_048;
/// The gateways are connected by then, and have shared the conversations out.
const TOGETHER: Duration = Duration::from_secs(60);
/// Some message is answered within this.
const STALLED: Duration = Duration::from_secs(15);
/// Rows are filled in by then, half a million at a time, or indexes cleaned.
const FILLED: Duration = Duration::from_secs(900);
/// How often it is looked whether something has come.
const LOOK: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> ExitCode {
    let Err(e) = asked_for().await else { return ExitCode::SUCCESS };
    println!("{e}");
    ExitCode::FAILURE
}

async fn asked_for() -> Fallible<()> {
    if let Some(rows) = number("BENCH_ROWS")? {
        return growing(rows).await;
    }
    if let Some(millis) = number("BENCH_ROUND_TRIP_MS")? {
        return distance::far(millis).await;
    }
    match number("BENCH_ROBOTS")? {
        Some(robots) => robots::idle(usize::try_from(robots)?).await,
        None => side_by_side().await,
    }
}

/// A variable of the environment.
fn number(name: &str) -> Fallible<Option<u64>> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    let number = text.parse();
    number.map(Some).map_err(|e| format!("{name}={text} has to be a number: {e}").into())
}

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(
    what: &str,
    at_most: Duration,
    coming: impl Future<Output = T>,
) -> Fallible<T> {
    let came = tokio::time::timeout(at_most, coming).await;
    came.map_err(|_| format!("{what} did not come within {} s", at_most.as_secs()).into())
}

/// A database in a server that keeps what it says is kept, which tests do without; its address.
fn database(cluster: &Cluster) -> String {
    cluster.sql("postgres", "ALTER SYSTEM SET fsync = on");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    let url = cluster.database();
    println!("PostgreSQL on port {}, database {}, with fsync", cluster.port(), database_of(&url));
    url
}

/// Throughput of one, two and three processes.
async fn side_by_side() -> Fallible<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    database(cluster);
    println!("{:>8} {}", "replicas", Row::HEAD);
    let mut first = None;
    for replicas in 1..=3 {
        let row = measure(&cluster.database(), replicas, IN_FLIGHT).await?;
        println!("{replicas:>8} {}", row.line(&mut first));
    }
    Ok(())
}

/// Cost of a message as the tables grow.
async fn growing(rows: u64) -> Fallible<()> {
    let Some(mut cluster) = Cluster::start() else { return Ok(()) };
    let url = database(&cluster);
    // The schema is made by whoever comes first.
    measure(&url, 1, IN_FLIGHT).await?;
    println!(
        "{:>10} {} {:>9} {:>9} {:>9} {:>9}",
        "rows",
        Row::HEAD,
        "start ms",
        "MB",
        "of index",
        "bytes/row"
    );
    let (mut there, mut first) = (0, None);
    for step in [0, rows / 100, rows / 10, rows] {
        let database = Database::connect(&url).await?;
        fill(&database, there, step).await?;
        there = step;
        database.run("CHECKPOINT", FILLED).await?;
        drop(database);
        // Nothing of it is in the server's own memory.
        cluster.start_again();
        let row = measure(&url, 1, IN_FLIGHT).await?;
        let database = Database::connect(&url).await?;
        let (all, indexes, count) = size(&database).await?;
        println!(
            "{step:>10} {} {:>9} {:>9} {:>9} {:>9}",
            row.line(&mut first),
            row.start.as_millis(),
            all / 1_000_000,
            indexes / 1_000_000,
            all / count.max(1),
        );
    }
    Ok(())
}

/// Bytes of messages and answers, those of their indexes among them, and how many messages there are.
async fn size(database: &Database) -> Fallible<(u64, u64, u64)> {
    let sum = |function: &str| {
        format!(
            "SELECT CAST({function}('ddingtalk.inbox') + {function}('ddingtalk.outbox') AS bigint)"
        )
    };
    Ok((
        database.number(&sum("pg_total_relation_size")).await?,
        database.number(&sum("pg_indexes_size")).await?,
        database.number("SELECT count(*) FROM ddingtalk.inbox").await?,
    ))
}

/// Finished messages of two apps, with one answer each, from the last six days.
async fn fill(database: &Database, from: u64, to: u64) -> Fallible<()> {
    const AT_ONCE: u64 = 500_000;
    let mut next = from;
    while next < to {
        let (first, last) = (next + 1, to.min(next + AT_ONCE));
        let statement = include_str!("replicas/fill.sql");
        let statement =
            statement.replace(":first", &first.to_string()).replace(":last", &last.to_string());
        database.run(&statement, FILLED).await?;
        next = last;
    }
    if to > from {
        database.run("VACUUM ANALYZE", FILLED).await?;
    }
    Ok(())
}

/// Answers in a while.
async fn measure(url: &str, replicas: usize, in_flight: usize) -> Fallible<Row> {
    let mut load = Load::start().await?;
    let mut gateways = Gateways::start(&load, APP, url, replicas)?;
    let measured = measured(url, &mut load, &mut gateways, (replicas, in_flight)).await;
    let row = measured.map_err(|e| format!("{e}; {}\n{}", load.account(), gateways.logs()))?;
    gateways.stop().await?;
    Ok(row)
}

/// Names the robot; `fill.sql` does so, too.
const APP: &str = "dingbench";

async fn measured(
    url: &str,
    load: &mut Load,
    gateways: &mut Gateways,
    (replicas, in_flight): (usize, usize),
) -> Fallible<Row> {
    let start = connected(load, gateways, replicas).await?;
    let database = Database::connect(url).await?;
    let shared_out = async {
        let fair = 64_usize.div_ceil(replicas);
        let fair = format!(
            "SELECT CASE WHEN sum(n) = 64 AND max(n) <= {fair} THEN count(*) ELSE 0 END FROM (
                 SELECT count(*) AS n FROM ddingtalk.bucket
                 WHERE client_id = '{APP}' AND replica IS NOT NULL GROUP BY replica) AS owned"
        );
        while database.number(&fair).await? != u64::try_from(replicas)? {
            gateways.check()?;
            tokio::time::sleep(LOOK).await;
        }
        Fallible::Ok(())
    };
    within("a part of the conversations for each gateway", TOGETHER, shared_out).await??;
    load.begin(in_flight)?;
    watch(load, gateways, WARM_UP).await?;
    let before = Counters::read(&database, gateways).await?;
    load.times();
    watch(load, gateways, SPAN).await?;
    let mut times = load.times();
    let spent = Counters::read(&database, gateways).await?.since(&before);
    load.end().await?;
    times.sort_unstable();
    Ok(Row { times, spent, start })
}

/// Waits for so many connections of processes that were just started; how long that took.
async fn connected(load: &Load, gateways: &mut Gateways, count: usize) -> Fallible<Duration> {
    let begin = Instant::now();
    let connected = async {
        while load.connections() < count {
            gateways.check()?;
            tokio::time::sleep(LOOK).await;
        }
        Fallible::Ok(())
    };
    within(&format!("{count} connections"), TOGETHER, connected).await??;
    Ok(begin.elapsed())
}

/// Lets the load go on for a while, as long as it does.
async fn watch(load: &Load, gateways: &mut Gateways, span: Duration) -> Fallible<()> {
    let begin = Instant::now();
    let (mut answered, mut at) = (load.answered(), begin);
    while begin.elapsed() < span {
        gateways.check()?;
        tokio::time::sleep(LOOK.min(span.saturating_sub(begin.elapsed()))).await;
        let now = load.answered();
        if now != answered {
            (answered, at) = (now, Instant::now());
        } else if at.elapsed() > STALLED {
            return Err(format!("no message was answered for {} s", STALLED.as_secs()).into());
        }
    }
    Ok(())
}

/// What was measured.
struct Row {
    /// From a message to its answer, shortest first.
    times: Vec<Duration>,
    spent: Spent,
    /// From the start of the processes to their connections.
    start: Duration,
}

impl Row {
    const HEAD: &str = "answers/s  ratio   p50 ms   p99 ms commits/s per commit  gateway database     load      WAL  pages";

    fn answers(&self) -> f64 {
        real(self.times.len().max(1))
    }

    /// So many of a hundred answers took no longer, in milliseconds.
    fn millis(&self, share: usize) -> f64 {
        let at = self.times.len().saturating_sub(1) * share / 100;
        self.times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    }

    /// As [`Row::HEAD`] has it. `first` is the rate that it is compared with: this one, if there was none before.
    fn line(&self, first: &mut Option<f64>) -> String {
        let Spent { took, gateways, postgres, load, commits, log, pages } = &self.spent;
        let seconds = took.as_secs_f64();
        let rate = self.answers() / seconds;
        let micros = |time: &Duration| time.as_secs_f64() * 1e6 / self.answers();
        let commits = real(*commits);
        format!(
            "{rate:>9.0} {:>6.2} {:>8.0} {:>8.0} {:>9.0} {:>10.1} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>6.2}",
            rate / *first.get_or_insert(rate),
            self.millis(50),
            self.millis(99),
            commits / seconds,
            self.answers() / commits.max(1.0),
            micros(gateways),
            micros(postgres),
            micros(load),
            real(*log) / self.answers(),
            real(*pages) / self.answers(),
        )
    }
}

/// Counts of this program are far below what this holds.
fn real(count: impl TryInto<u32>) -> f64 {
    count.try_into().map_or(f64::NAN, f64::from)
}
