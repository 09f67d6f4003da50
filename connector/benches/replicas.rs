//! What several processes on one PostgreSQL bring, and what a message costs as the tables grow.
//!
//! ```sh
//! cargo bench -p dingtalk-connector --bench replicas                        # one, two, three replicas
//! BENCH_ROWS=10000000 cargo bench -p dingtalk-connector --bench replicas    # cost while the tables grow to that
//! ```
//!
//! The load is this process: it answers `connections/open`, takes the connections, spreads messages over them, and
//! takes the answers of the echo agent at `sessionWebhook`. It keeps so many messages in flight that the wait for
//! older messages of other processes (150 ms) does not bound it. Everything runs on one machine: compare rows of
//! one run, by their ratios.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

#[path = "replicas/load.rs"]
mod load;

#[path = "../tests/postgres/cluster.rs"]
mod cluster;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use self::cluster::{Cluster, database_of};
use self::load::{Load, Row};

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(8);
/// Before it is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// Messages that are not answered yet.
const IN_FLIGHT: usize = 4_096;
/// The processes have come together by then: they beat every 0.8 s.
const TOGETHER: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() {
    match std::env::var("BENCH_ROWS") {
        Ok(rows) => growing(rows.parse().unwrap()).await,
        Err(_) => side_by_side().await,
    }
}

/// As where it matters: what tests do without.
fn durable(cluster: &Cluster) {
    cluster.sql("postgres", "ALTER SYSTEM SET fsync = on");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    println!("PostgreSQL on port {}, with fsync", cluster.port());
}

/// Throughput of one, two and three processes.
async fn side_by_side() {
    let Some(cluster) = Cluster::shared() else { return };
    durable(cluster);
    println!(
        "{:>8} {:>11} {:>7} {:>9} {:>9} {:>12} {:>12}",
        "replicas", "answers/s", "ratio", "p50 ms", "p99 ms", "commits/s", "per commit"
    );
    let mut first = None;
    for replicas in 1..=3 {
        let app = format!("dingbench{replicas}");
        let row = measure(cluster, &cluster.database(), &app, replicas).await;
        let per_second = row.per_second();
        let first = *first.get_or_insert(per_second);
        println!(
            "{replicas:>8} {per_second:>11.0} {:>7.2} {:>9.1} {:>9.1} {:>12.0} {:>12.1}",
            per_second / first,
            row.millis(50),
            row.millis(99),
            row.commits / row.took.as_secs_f64(),
            f64::from(u32::try_from(row.times.len()).unwrap()) / row.commits.max(1.0),
        );
    }
}

/// Cost of a message as the tables grow.
async fn growing(rows: u64) {
    let Some(mut cluster) = Cluster::start() else { return };
    durable(&cluster);
    let database = cluster.database();
    // The schema is made by whoever comes first.
    measure(&cluster, &database, "dingbench", 1).await;
    println!(
        "{:>10} {:>11} {:>7} {:>9} {:>9} {:>9}",
        "rows", "answers/s", "ratio", "p50 ms", "p99 ms", "MB"
    );
    let (mut there, mut first) = (0, None);
    for step in [0, rows / 100, rows / 10, rows] {
        fill(&cluster, &database, there, step);
        there = step;
        // Nothing of it is in the server's memory.
        cluster.start_again();
        let row = measure(&cluster, &database, &format!("dingbench{step}"), 1).await;
        let per_second = row.per_second();
        let first = *first.get_or_insert(per_second);
        let size = "SELECT pg_database_size(current_database()) / 1000000";
        let size = cluster.sql(database_of(&database), size).concat();
        println!(
            "{step:>10} {per_second:>11.0} {:>7.2} {:>9.1} {:>9.1} {size:>9}",
            per_second / first,
            row.millis(50),
            row.millis(99),
        );
    }
}

/// Finished messages of an app of their own, with one answer each, from the last six days.
fn fill(cluster: &Cluster, database: &str, from: u64, to: u64) {
    const AT_ONCE: u64 = 500_000;
    let mut next = from;
    while next < to {
        let (first, last) = (next + 1, to.min(next + AT_ONCE));
        let statement = include_str!("replicas/fill.sql");
        let statement =
            statement.replace(":first", &first.to_string()).replace(":last", &last.to_string());
        cluster.sql(database_of(database), &statement);
        next = last;
    }
    if to > from {
        cluster.sql(database_of(database), "VACUUM ANALYZE");
    }
}

/// Answers in a while.
async fn measure(cluster: &Cluster, database: &str, app: &str, replicas: usize) -> Row {
    let dir = tempfile::tempdir().unwrap();
    let load = Load::start().await;
    let mut running = Vec::new();
    for n in 0..replicas {
        running.push(Running(start(&load, app, database, &dir.path().join(n.to_string()))));
    }
    load.wait_connections(replicas).await;
    tokio::time::sleep(TOGETHER).await;
    load.run(IN_FLIGHT, WARM_UP).await;
    let commits = || -> f64 {
        let count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        cluster.sql(database_of(database), count).concat().parse().unwrap()
    };
    let (before, begin) = (commits(), Instant::now());
    let mut row = load.run(IN_FLIGHT, SPAN).await;
    row.took = begin.elapsed();
    row.commits = commits() - before;
    row
}

fn start(load: &Load, app: &str, store: &str, dir: &Path) -> Child {
    std::fs::create_dir_all(dir).unwrap();
    Command::new(env!("CARGO_BIN_EXE_ddingtalk"))
        .args(["gateway", "--agent", "echo", "--dm-policy", "open", "--group-policy", "open"])
        .args(["--suspect-after", "120s", "--ping-interval", "30s", "--no-thinking"])
        .env_clear()
        .env("DINGTALK_CLIENT_ID", app)
        .env("DINGTALK_CLIENT_SECRET", "secret")
        .env("DINGTALK_OPENAPI_ENDPOINT", load.url())
        .env("DINGTALK_OAPI_ENDPOINT", load.url())
        .env("DINGTALK_STORE", store)
        .env("OPENCLAW_STATE_DIR", dir)
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
