//! `gateway restart` on PostgreSQL while people write: of one process again and again, and of three, one after the
//! other.

use mock_dingtalk::{AppOptions, ConnectionRow, DeliveryRules, MockDingtalk, Profile};
use serde_json::Value;

use super::cluster::Cluster;
use super::ledger::{Figures, Ledger};
use super::load::{Load, PAUSE};
use super::process::{Replica, Site};
use super::storm::wait_shared;

/// Messages that are said after each restart, before the next one.
const AFTER: usize = 20;
/// How often each process is restarted: one process, and each of three.
const RESTARTS: (usize, usize) = (4, 2);

/// One process, restarted again and again.
pub(crate) async fn one_sent_once() -> Result<(), String> {
    play("one process, sent once", 1, Profile::Documented).await
}

/// The same where what is not acked comes again.
pub(crate) async fn one_sent_again() -> Result<(), String> {
    play("one process, sent again", 1, Profile::Observed60s).await
}

/// Three, one after the other.
pub(crate) async fn rolling_sent_once() -> Result<(), String> {
    play("three processes in turn, sent once", 3, Profile::Documented).await
}

/// The same where what is not acked comes again, to another one.
pub(crate) async fn rolling_sent_again() -> Result<(), String> {
    play("three processes in turn, sent again", 3, Profile::Observed60s).await
}

async fn play(name: &str, count: usize, profile: Profile) -> Result<(), String> {
    let cluster = Cluster::shared().ok_or("there is no PostgreSQL")?;
    let rules = DeliveryRules { profile, ..DeliveryRules::default() };
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let site = Site { mock, app, dir, database: (cluster.database(), cluster.port()) };
    let mut replicas = Vec::new();
    for n in 0..count {
        let mut replica = Replica::new(&site, &format!("r{n}")).await;
        replica.start(&site);
        replicas.push(replica);
    }
    wait_shared(&site, &replicas).await?;
    let mut load = Load { site, replicas, ledger: Ledger::default(), profile };
    let given = std::env::var("REPLICAS_RESTARTS").ok().map(|text| text.parse().unwrap());
    let rounds = given.unwrap_or(if count == 1 { RESTARTS.0 } else { RESTARTS.1 });
    let mut told = Vec::new();
    for _ in 0..rounds {
        for n in 0..count {
            told.push(load.restart(n).await?);
        }
    }
    let figures = load.settle(false).await?;
    load.judge(name, &told, &figures)
}

impl Load {
    /// Restarts one, with messages before, meanwhile and after; what is told of that.
    async fn restart(&mut self, n: usize) -> Result<Value, String> {
        let mut command = self.replicas[n].command(&self.site, &["gateway", "restart", "--json"]);
        let mut restart = tokio::task::spawn_blocking(move || command.output().unwrap());
        // Where several take messages in, what is acked late is not looked at for order.
        let pause = PAUSE * u32::try_from(self.replicas.len()).unwrap();
        let (mut after, mut output) = (0, None);
        while after < AFTER {
            self.say().await?;
            let pause = tokio::time::sleep(pause);
            tokio::select! {
                ended = &mut restart, if output.is_none() => output = Some(ended.unwrap()),
                () = pause => {}
            }
            after += usize::from(output.is_some());
        }
        self.ledger.note(&self.site.app);
        let output = output.unwrap();
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("it was not restarted: {why}\n{}", self.logs()))
    }

    fn judge(mut self, name: &str, told: &[Value], figures: &Figures) -> Result<(), String> {
        let connections = self.site.app.connections().unwrap();
        let (uncovered, fewest) = gap(&connections, self.replicas.len());
        let longest = self.ledger.times().iter().map(|(said, at)| at - said).max().unwrap_or(0);
        let each = |name: &str| {
            told.iter().map(|told| told[name].to_string()).collect::<Vec<_>>().join(", ")
        };
        println!(
            "{name}, {} restarts: {} messages said, answered once and in order in {} chats, {} of them not acked, \
             {} not looked at for order; gap {} ms, both connected {} ms, turns waited at most {} ms; by the mock \
             nobody was connected for {uncovered} ms, and {fewest} at least; half of the answers within {} ms, \
             the last within {longest} ms",
            told.len(),
            figures.said,
            figures.chats,
            figures.unacked,
            figures.late,
            each("gapMs"),
            each("overlapMs"),
            each("waitedMs"),
            self.ledger.median_ms(),
        );
        if told.iter().any(|told| told["gapMs"] != 0) || fewest < self.replicas.len() {
            return Err(format!("there was a gap: {told:?}, {connections:?}"));
        }
        self.end()
    }
}

/// For how many milliseconds nobody was connected once `count` processes were, and how many connections there were
/// at least.
fn gap(connections: &[ConnectionRow], count: usize) -> (i64, usize) {
    let mut opened: Vec<_> = connections.iter().map(|row| row.opened_at).collect();
    opened.sort_unstable();
    let from = opened[count - 1];
    let closed = connections.iter().filter_map(|row| row.closed_at.filter(|at| *at >= from));
    let open_at = |at: i64| {
        let is_open =
            |row: &&ConnectionRow| row.opened_at <= at && row.closed_at.is_none_or(|end| end > at);
        connections.iter().filter(is_open).count()
    };
    let mut fewest = count;
    let mut nobody = 0;
    for end in closed {
        fewest = fewest.min(open_at(end));
        if open_at(end) == 0 {
            let next = opened.iter().find(|at| **at > end).copied();
            nobody += next.map_or(0, |next| next - end);
        }
    }
    (nobody, fewest)
}
