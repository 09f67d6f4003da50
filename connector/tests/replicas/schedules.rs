//! What is due is sent once, whichever process leads, and whoever is killed meanwhile.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::process::{PATIENCE, Replica, Site};
use super::storm::wait_shared;

/// Schedules, one due each second.
const SCHEDULES: usize = 16;
/// How often the process that leads is killed.
const KILLS: usize = 3;

pub(crate) async fn play() -> Result<(), String> {
    let cluster = Cluster::shared().ok_or("there is no PostgreSQL")?;
    let site = Site::new(cluster).await;
    let mut replicas = Vec::new();
    for n in 0..3 {
        let mut replica = Replica::new(&site, &format!("r{n}")).await;
        replica.start(&site);
        replicas.push(replica);
    }
    wait_shared(&site, &replicas).await?;
    for n in 0..SCHEDULES {
        let (at, text) = (format!("{}s", n + 3), format!("schedule {n}"));
        let add = ["cron", "add", "--at", &at, "--to", "user:user0001", "--text", &text];
        let asked = &replicas[n % replicas.len()];
        let output = asked.ask(&site, &add).await;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    let mut killed = 0;
    let start = Instant::now();
    let mut next_kill = Duration::from_secs(4);
    while start.elapsed() < Duration::from_secs(u64::try_from(SCHEDULES).unwrap() + 3) {
        if killed < KILLS && start.elapsed() >= next_kill {
            if let Some(leader) = leader(&site, &replicas).await {
                replicas[leader].kill()?;
                tokio::time::sleep(Duration::from_millis(500)).await;
                replicas[leader].start(&site);
                killed += 1;
            }
            next_kill = start.elapsed() + Duration::from_secs(5);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    wait_shared(&site, &replicas).await?;
    let ended = |rows: &[serde_json::Value]| {
        let ended = |row: &&serde_json::Value| row["state"] != "running";
        rows.iter().filter(ended).count() == SCHEDULES
    };
    let start = Instant::now();
    let runs = loop {
        let runs = runs(&site, &replicas[0]).await;
        if ended(&runs) {
            break runs;
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("not every schedule has run once: {runs:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut sent: HashMap<String, usize> = HashMap::new();
    for row in site.app.sent().unwrap() {
        *sent.entry(row.text).or_default() += 1;
    }
    let twice: Vec<_> = sent.iter().filter(|(_, count)| **count > 1).collect();
    let failed = runs.iter().filter(|run| run["state"] != "done").count();
    let missing = SCHEDULES - sent.len();
    println!(
        "{SCHEDULES} schedules at three replicas, the leading one killed {killed} times: {} sent once, {} twice, \
         {missing} cut off while they were sent",
        sent.len() - twice.len(),
        twice.len(),
    );
    if !twice.is_empty() || missing > failed || killed != KILLS {
        return Err(format!("{twice:?}, {missing} missing, {failed} failed: {runs:?}"));
    }
    Ok(())
}

/// Which process leads.
async fn leader(site: &Site, replicas: &[Replica]) -> Option<usize> {
    for (n, replica) in replicas.iter().enumerate() {
        if replica.status(site).await["robots"][0]["replicas"]["leads"] == true {
            return Some(n);
        }
    }
    None
}

/// The runs of all schedules.
async fn runs(site: &Site, replica: &Replica) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    for id in 1..=SCHEDULES {
        let output = replica.ask(site, &["cron", "history", &id.to_string(), "--json"]).await;
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let rows = rows.as_array().or_else(|| rows["runs"].as_array()).cloned();
        all.extend(rows.unwrap_or_default());
    }
    all
}
