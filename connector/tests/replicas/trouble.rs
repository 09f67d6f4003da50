//! What an operator sees when the database makes trouble: status, log line, exit code.

use std::fmt::Write as _;
use std::process::Output;
use std::time::{Duration, Instant};

use mock_dingtalk::{AppOptions, DeliveryRules, MockDingtalk, Profile};

use super::cluster::{Cluster, database_of};
use super::process::{PATIENCE, Replica, Site};

/// One process and its database.
struct Place {
    site: Site,
    cluster: Cluster,
    replica: Replica,
    /// What was seen.
    seen: String,
}

impl Place {
    async fn new() -> Result<Self, String> {
        let cluster = Cluster::start().ok_or("there is no PostgreSQL")?;
        let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
        let mock = MockDingtalk::start().await.unwrap();
        let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let database = (cluster.url("postgres"), cluster.port());
        let site = Site { mock, app, dir, database };
        let mut replica = Replica::new(&site, "r0").await;
        replica.is_direct = true;
        Ok(Self { site, cluster, replica, seen: String::new() })
    }

    /// Notes what the log says, from the first line on that has `part`.
    async fn see_log(&mut self, part: &str) -> Result<(), String> {
        self.replica.wait_log(part).await?;
        let log = self.replica.log();
        let line = log.lines().find(|line| line.contains(part)).unwrap_or_default();
        // Without its time.
        let line = line.split_once("  ").map_or(line, |(_, line)| line).trim();
        writeln!(self.seen, "log: {line}").unwrap();
        Ok(())
    }

    /// Notes what commands say.
    async fn see_commands(&mut self) {
        self.seen += &commands(&self.site, &self.replica).await;
    }

    fn note(&mut self, words: &str) {
        writeln!(self.seen, "-- {words}").unwrap();
    }

    /// Waits until `health --ready` says yes, or no.
    async fn wait_ready(&self, ready: bool) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let output = self.replica.ask(&self.site, &["health", "--ready"]).await;
            if output.status.success() == ready && output.status.code() != Some(14) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("never ready={ready}:\n{}", self.replica.log()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until something is so of its robot's status.
    async fn wait_status(&self, is_so: impl Fn(&serde_json::Value) -> bool) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let status = self.replica.status(&self.site).await;
            if is_so(&status["robots"][0]) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("its status stays {status}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What was seen, without what differs from run to run.
    fn steady(&self) -> String {
        steady(&self.seen, &self.site, &self.replica, &[self.cluster.port()])
    }
}

/// What was seen of a process, without what differs from run to run. `ports` are those of its databases.
pub(crate) fn steady(seen: &str, site: &Site, replica: &Replica, ports: &[u16]) -> String {
    let mut text = seen.replace(&replica.dir().display().to_string(), "DIR");
    for (n, port) in ports.iter().enumerate() {
        let name = if n == 0 { "PORT".to_owned() } else { format!("PORT{}", n + 1) };
        text = text.replace(&port.to_string(), &name);
    }
    let text = text.replace(site.app.client_id(), "CLIENT");
    let line = |line: &str| -> String {
        let words: Vec<_> = line.split(' ').map(steady_word).collect();
        words.join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Numbers, times and lengths of time, and the like, by their kind.
fn steady_word(word: &str) -> String {
    let core = word.trim_end_matches([',', ':', ';', ')']);
    let rest = &word[core.len()..];
    let is_span = |text: &str| {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        unit.len() < text.len() && ["s", "m", "ms", "min"].contains(&unit)
    };
    if core.len() > 19 && core.starts_with("20") && core.ends_with('Z') {
        return format!("TIME{rest}");
    }
    if is_span(core) {
        return format!("SPAN{rest}");
    }
    match core.strip_prefix("seconds=") {
        Some(_) => format!("seconds=N{rest}"),
        None if !core.is_empty() && core.bytes().all(|b| b.is_ascii_digit()) && core.len() > 2 => {
            format!("N{rest}")
        }
        None => word.to_owned(),
    }
}

/// What commands say of a process.
pub(crate) async fn commands(site: &Site, replica: &Replica) -> String {
    let mut seen = String::new();
    for args in [&["gateway", "status"][..], &["health"], &["health", "--ready"]] {
        let output = replica.ask(site, args).await;
        writeln!(seen, "$ ddingtalk {}\n{}", args.join(" "), shown(&output)).unwrap();
    }
    seen
}

/// What a command has said, and how it ended.
pub(crate) fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let parts = [text(&output.stdout), text(&output.stderr), format!("exit code {code}")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The database is away at the start, and comes.
pub(crate) async fn at_start() -> Result<(), String> {
    let mut place = Place::new().await?;
    place.cluster.stop();
    place.replica.start(&place.site);
    place.see_log("cannot be reached").await?;
    place.wait_ready(false).await?;
    place.see_commands().await;
    place.note("it is told to stop");
    let code = place.replica.end()?;
    writeln!(place.seen, "exit code {code:?}").unwrap();
    place.note("it is started again, and then the database is");
    place.replica.start(&place.site);
    place.replica.wait_log("cannot be reached").await?;
    place.cluster.start_again();
    place.wait_ready(true).await?;
    place.see_log("the robot was started again").await?;
    place.site.app.say("user0001", "hello").await.unwrap();
    place.site.app.wait_sent(1).await.map_err(|e| format!("{e}\n{}", place.replica.log()))?;
    place.note("it answers");
    insta::assert_snapshot!("away_at_start", place.steady());
    Ok(())
}

/// The database goes while the robot works, and another primary comes in its place.
pub(crate) async fn in_the_middle() -> Result<(), String> {
    let mut place = Place::new().await?;
    let alert = ["--alert-to", "user:user0003", "--alert-after", "2s"];
    place.replica.start_with(&place.site, &alert);
    place.wait_ready(true).await?;
    place.site.app.say("user0001", "before").await.unwrap();
    place.site.app.wait_sent(1).await.map_err(|e| e.to_string())?;
    place.wait_status(|robot| robot["queue"]["running"] == 0).await?;
    place.cluster.stop();
    place.see_log("nothing can be kept").await?;
    let said = place.site.app.say("user0001", "meanwhile").await.unwrap();
    place.see_log("messages cannot be kept").await?;
    place.wait_ready(false).await?;
    let is_refused = |robot: &serde_json::Value| {
        robot["databaseAway"]["reason"].as_str().is_some_and(|reason| reason.contains("refused"))
    };
    place.wait_status(is_refused).await?;
    place.see_commands().await;
    let connections = place.site.app.connections().unwrap();
    let open = connections.iter().filter(|row| row.state == mock_dingtalk::ConnectionState::Open);
    if open.count() != 1 || connections.len() != 1 {
        return Err(format!("it gave its connection up: {connections:?}"));
    }
    let is_acked = |msg_id: &str| {
        let rows = place.site.app.deliveries().unwrap();
        rows.iter().any(|row| row.msg_id.as_deref() == Some(msg_id) && row.ack.is_some())
    };
    if is_acked(&said.msg_id) {
        return Err("what is not kept was acked".to_owned());
    }
    place.note("the database comes back");
    place.cluster.start_again();
    place.wait_ready(true).await?;
    place.see_log("the database answers again").await?;
    place.see_log("the outage of the database was told").await?;
    place.site.mock.clock().advance(Duration::from_secs(61));
    let sent = place.site.app.wait_sent(3).await.map_err(|e| e.to_string())?;
    let count = |text: &str| sent.iter().filter(|row| row.text == text).count();
    let alerts: Vec<_> = sent.iter().filter(|row| row.to == "user0003").collect();
    if (count("before"), count("meanwhile"), alerts.len()) != (1, 1, 1) {
        return Err(format!("{sent:?}"));
    }
    if !alerts[0].text.contains("could not reach its database") {
        return Err(format!("{alerts:?}"));
    }
    place.note("what came meanwhile comes again, and is answered once; the administrator is told");
    let code = place.replica.end()?;
    writeln!(place.seen, "exit code {code:?}").unwrap();
    insta::assert_snapshot!("away_in_the_middle", place.steady());
    Ok(())
}

/// The database takes its time: nothing is acked early, nothing is lost, and the robot takes no more than it can
/// hold.
pub(crate) async fn slow() -> Result<(), String> {
    const MESSAGES: usize = 1_500;
    let mut place = Place::new().await?;
    place.replica.start(&place.site);
    place.wait_ready(true).await?;
    let lock = "BEGIN; LOCK TABLE ddingtalk.inbox; SELECT pg_sleep(1.5); COMMIT";
    let cluster = place.cluster;
    let holds = tokio::task::spawn_blocking(move || {
        cluster.sql("postgres", lock);
        cluster
    });
    for n in 0..MESSAGES {
        place.site.app.say(&format!("user{:04}", n % 50), &format!("m{n}")).await.unwrap();
    }
    place.cluster = holds.await.unwrap();
    let patience = Duration::from_secs(60);
    let sent = place.site.app.wait_sent_within(MESSAGES, patience).await;
    let sent = sent.map_err(|e| format!("{e}\n{}", place.replica.log()))?;
    let rows = place.site.app.deliveries().unwrap();
    let unacked = rows.iter().filter(|row| row.ack.is_none()).count();
    if sent.len() != MESSAGES || unacked > 0 {
        return Err(format!("{} answers, {unacked} without an ack", sent.len()));
    }
    Ok(())
}

/// The database belongs to a newer release, or is not what the URL says.
pub(crate) async fn unfit() -> Result<(), String> {
    let mut place = Place::new().await?;
    place.replica.start(&place.site);
    place.wait_ready(true).await?;
    place.replica.end()?;
    let database = database_of(&place.site.database.0).to_owned();
    place.cluster.sql(&database, "UPDATE ddingtalk.version SET version = 99");
    let args = ["gateway", "--dm-policy", "open"];
    let output = place.replica.ask(&place.site, &args).await;
    place.note("a newer release has written the database");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = log.lines().last().unwrap_or_default();
    writeln!(place.seen, "{last}\nexit code {:?}", output.status.code()).unwrap();
    insta::assert_snapshot!("unfit", place.steady());
    Ok(())
}
