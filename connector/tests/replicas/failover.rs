//! A new primary: a standby takes the place of a primary that was killed, or that takes no writes any more.

use std::process::Command;
use std::time::{Duration, Instant};

use mock_dingtalk::{AppOptions, DeliveryRules, MockDingtalk, Profile};

use super::cluster::Cluster;
use super::ledger::Ledger;
use super::load::{Load, PAUSE};
use super::process::{PATIENCE, Replica, Site};
use super::storm::wait_shared;
use super::trouble::{commands, steady};

/// Processes at the robot.
const REPLICAS: usize = 2;
/// Messages before the primary goes, and after another one is there.
const MESSAGES: usize = 200;
/// While there is none people write less.
const SLOWLY: Duration = Duration::from_millis(60);

/// SIGKILL, in the midst of its work.
pub(crate) async fn killed() -> Result<(), String> {
    play("killed", Cluster::kill).await
}

/// As before a change of primaries that somebody has planned.
pub(crate) async fn read_only() -> Result<(), String> {
    play("read_only", |primary| primary.set("default_transaction_read_only", "on")).await
}

async fn play(how: &str, end: impl Fn(&Cluster)) -> Result<(), String> {
    let primary = Cluster::start().ok_or("there is no PostgreSQL")?;
    let standby = primary.standby();
    // A commit is answered once the standby has it. What the standby has of its own says otherwise.
    primary.set("synchronous_standby_names", "*");
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ports = [primary.port(), standby.port()];
    let url = format!(
        "postgres://tester@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable&target_session_attrs=read-write",
        ports[0], ports[1]
    );
    let site = Site { mock, app, dir, database: (url, ports[0]) };
    let mut replicas = Vec::new();
    for n in 0..REPLICAS {
        let mut replica = Replica::new(&site, &format!("r{n}")).await;
        replica.is_direct = true;
        replica.start(&site);
        replicas.push(replica);
    }
    wait_shared(&site, &replicas).await?;
    let profile = Profile::Observed60s;
    let mut load = Load { site, replicas, ledger: Ledger::default(), profile };
    for _ in 0..MESSAGES {
        load.say().await?;
        tokio::time::sleep(PAUSE).await;
    }
    let gone = Instant::now();
    end(&primary);
    // Both know that none takes writes; meanwhile people go on.
    for n in 0..REPLICAS {
        load.wait(n, |robot| {
            robot["databaseAway"]["reason"].as_str().is_some_and(|why| why.contains("allow writes"))
        })
        .await?;
    }
    let seen = commands(&load.site, &load.replicas[0]).await;
    // What is under way, and where, differs.
    let differs = |line: &&str| ["  queue: ", "  replicas: "].iter().any(|it| line.starts_with(it));
    let seen: Vec<_> = seen.lines().filter(|line| !differs(line)).collect();
    let without = gone.elapsed();
    let promoted = Instant::now();
    standby.promote();
    let took = promoted.elapsed();
    for n in 0..REPLICAS {
        load.wait(n, |robot| robot["databaseAway"].is_null()).await?;
    }
    let again = promoted.elapsed();
    for _ in 0..MESSAGES {
        load.say().await?;
        tokio::time::sleep(PAUSE).await;
    }
    wait_shared(&load.site, &load.replicas).await?;
    let figures = load.settle(true).await?;
    let kept = standby.sql("postgres", "SELECT count(*) FROM ddingtalk.inbox");
    println!(
        "the primary {how}, {} ms without one, promoted within {} ms, all at work with the new one {} ms after it was \
         told to be: {} messages said, {} acked and answered, {} never acked ({} of these not answered), {} answered \
         twice, {} repeats counted, {} chats in order ({} messages acked late or again), {} kept",
        without.as_millis(),
        took.as_millis(),
        again.as_millis(),
        figures.said,
        figures.acked,
        figures.unacked,
        figures.unanswered,
        figures.twice,
        load.counted(),
        figures.chats,
        figures.late,
        kept.concat(),
    );
    insta::assert_snapshot!(
        format!("failover_{how}"),
        steady(&seen.join("\n"), &load.site, &load.replicas[0], &ports)
    );
    load.end()
}

impl Cluster {
    /// Ends the server with SIGKILL; its processes notice, and end too.
    fn kill(&self) {
        let file = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        let mut kill = Command::new("kill");
        kill.arg("-9").arg(file.lines().next().unwrap());
        assert!(kill.status().unwrap().success());
    }
}

impl Load {
    /// People write slowly until something is so of a process's robot.
    async fn wait(
        &mut self,
        n: usize,
        is_so: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let status = self.replicas[n].status(&self.site).await;
            if !status["robots"][0].is_null() && is_so(&status["robots"][0]) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("its status stays {status}\n{}", self.logs()));
            }
            self.say().await?;
            tokio::time::sleep(SLOWLY).await;
        }
    }
}
