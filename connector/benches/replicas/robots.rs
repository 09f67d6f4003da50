//! What robots cost that nobody writes to.

use std::fs;
use std::time::Duration;

use super::cluster::Cluster;
use super::counters::{Counters, Database, Spent};
use super::gateways::Gateways;
use super::load::Load;
use super::{Fallible, connected, database, real};

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(20);
/// What comes with a start is over by then.
const CALM: Duration = Duration::from_secs(5);
/// Connections of the database that are ours: the gateway's, but not this program's.
const CONNECTIONS: &str = "SELECT count(*) - 1 FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend'";

/// One process with one robot, with a tenth of them, and with all.
pub(super) async fn idle(robots: usize) -> Fallible<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    database(cluster);
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>11} {:>12} {:>12} {:>9} {:>11}",
        "robots",
        "start ms",
        "MiB",
        "KiB each",
        "connections",
        "gateway ms/s",
        "database ms/s",
        "commits/s",
        "WAL bytes/s"
    );
    let mut first = None;
    for robots in [1, robots / 10, robots] {
        let load = Load::start().await?;
        let url = cluster.database();
        let mut gateway = Gateways::of_robots(&load, &url, robots)?;
        let row = measured(&url, &load, &mut gateway, robots).await;
        let row = row.map_err(|e| format!("{e}; {}\n{}", load.account(), gateway.logs()))?;
        let alone = *first.get_or_insert(row.memory);
        let each = row.memory.saturating_sub(alone) / u64::try_from(robots.max(2) - 1)?;
        let Spent { took, gateways, postgres, commits, log, .. } = row.spent;
        let seconds = took.as_secs_f64();
        let millis = |time: Duration| time.as_secs_f64() * 1e3 / seconds;
        println!(
            "{robots:>8} {:>9} {:>9} {each:>9} {:>11} {:>12.1} {:>12.1} {:>9.1} {:>11.0}",
            row.start.as_millis(),
            row.memory / 1_024,
            row.connections,
            millis(gateways),
            millis(postgres),
            real(commits) / seconds,
            real(log) / seconds,
        );
        gateway.stop().await?;
    }
    Ok(())
}

struct Row {
    /// From the start of the process to the connection of its last robot.
    start: Duration,
    /// Resident, in KiB.
    memory: u64,
    connections: u64,
    spent: Spent,
}

async fn measured(url: &str, load: &Load, gateway: &mut Gateways, robots: usize) -> Fallible<Row> {
    let start = connected(load, gateway, robots).await?;
    let database = Database::connect(url).await?;
    tokio::time::sleep(CALM).await;
    let before = Counters::read(&database, gateway).await?;
    tokio::time::sleep(SPAN).await;
    let spent = Counters::read(&database, gateway).await?.since(&before);
    gateway.check()?;
    let memory = gateway.pids().map(resident).sum::<Fallible<u64>>()?;
    let connections = database.number(CONNECTIONS).await?;
    Ok(Row { start, memory, connections, spent })
}

/// Memory of a process, in KiB.
fn resident(pid: u32) -> Fallible<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
