//! People write in a hundred chats while processes are killed, cut off, and the database begins anew.

use std::time::{Duration, Instant};

use mock_dingtalk::{AppOptions, DeliveryRules, MockDingtalk, Profile, SaidState};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::chats::numbered;
use super::cluster::Cluster;
use super::ledger::{Figures, Ledger};
use super::process::{PATIENCE, Replica, Site};

/// Chats that people write in; even numbers are direct ones, odd ones groups.
const CHATS: usize = 100;
/// Processes at the robot.
const REPLICAS: usize = 3;
/// The short form.
const SHORT: (usize, Duration) = (1_500, Duration::from_secs(26));
/// How long one process is cut off.
const CUT: Duration = Duration::from_secs(10);
/// A killed process is started again after this.
const DOWN: Duration = Duration::from_secs(1);
/// Messages of one chat are at least so far apart: what people write in one millisecond has no order.
const APART: Duration = Duration::from_millis(3);
/// A message that is acked within this many milliseconds is in time for its place among its chat's: a process
/// waits longer for others'.
const PROMPTLY: u64 = 100;
/// No takeover may take longer, in milliseconds.
const TAKEOVER_MS: i64 = 5_000;
/// A kill is a clean one if nothing happened to the database for so long around it.
const CLEAN: Duration = Duration::from_secs(6);
/// Acked and not answered: more are not said meanwhile, so that the mock remembers all.
const OPEN: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Kill(usize),
    Start(usize),
    Cut(usize),
    Mend(usize),
    Restart,
}

/// What happens when.
fn events(random: &mut StdRng, span: Duration) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    let (cut, restart) = (span * 2 / 5, span * 17 / 20);
    let victim = random.random_range(0..REPLICAS);
    events.extend([(cut, Event::Cut(victim)), (cut + CUT, Event::Mend(victim))]);
    events.push((restart, Event::Restart));
    let mut at = Duration::from_secs(3);
    while at + DOWN < span {
        let killed = random.random_range(0..REPLICAS);
        events.extend([(at, Event::Kill(killed)), (at + DOWN, Event::Start(killed))]);
        at += Duration::from_millis(random.random_range(4_500..6_500));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// When something happened, in the mock's milliseconds since 1970 UTC.
struct Happened {
    at: i64,
    event: Event,
}

pub(crate) async fn play() -> Result<(), String> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let messages = number("REPLICAS_MESSAGES").map_or(SHORT.0, |n| usize::try_from(n).unwrap());
    let span = number("REPLICAS_SECONDS").map_or(SHORT.1, Duration::from_secs);
    let seed = number("REPLICAS_SEED").unwrap_or_else(rand::random);
    let told = |e: String| format!("seed {seed}: {e}");
    let cluster = Cluster::start().ok_or("there is no PostgreSQL")?;
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let database = (cluster.url("postgres"), cluster.port());
    let site = Site { mock, app, dir, database };
    let mut replicas = Vec::new();
    for n in 0..REPLICAS {
        let mut replica = Replica::new(&site, &format!("r{n}")).await;
        replica.start(&site);
        replicas.push(replica);
    }
    wait_shared(&site, &replicas).await.map_err(told)?;
    let mut storm = Storm {
        site,
        cluster: Some(cluster),
        replicas,
        ledger: Ledger::default(),
        random: StdRng::seed_from_u64(seed),
        happened: Vec::new(),
        last_said: vec![None; CHATS],
    };
    let begin = Instant::now();
    storm.blow(messages, span).await.map_err(told)?;
    let blown = begin.elapsed();
    storm.settle().await.map_err(told)?;
    let counted: usize = storm.replicas.iter().map(Replica::counted).sum();
    let found = storm.ledger.check(counted, Some(PROMPTLY)).map_err(told)?;
    let Figures { said, acked, unacked, unanswered, twice, chats, late } = found;
    let kills = storm.happened.iter().filter(|one| matches!(one.event, Event::Kill(_))).count();
    let takeovers = storm.takeovers();
    println!(
        "{REPLICAS} replicas, {kills} kills, one cut off for {} s, the primary restarted once, {} s: {said} messages \
         said, {acked} acked and answered, {unacked} never acked ({unanswered} of these not answered), {twice} answered twice, {counted} repeats counted, \
         {chats} chats in order ({late} messages acked late or again), half of the answers within {} ms, \
         takeovers {takeovers:?} ms, seed {seed}",
        CUT.as_secs(),
        blown.as_secs(),
        storm.ledger.median_ms(),
    );
    match takeovers.iter().max() {
        None => Err(told("no kill was a clean one".to_owned())),
        Some(longest) if *longest >= TAKEOVER_MS => {
            Err(told(format!("a takeover took {longest} ms")))
        }
        Some(_) => Ok(()),
    }
}

/// Waits until all processes are connected, and know of each other.
pub(crate) async fn wait_shared(site: &Site, replicas: &[Replica]) -> Result<(), String> {
    let start = Instant::now();
    let live = u64::try_from(replicas.len()).unwrap();
    loop {
        let mut buckets = 0;
        let mut all = true;
        for replica in replicas {
            let status = replica.status(site).await;
            let robot = &status["robots"][0];
            all &= robot["stream"] == "connected" && robot["replicas"]["live"] == live;
            buckets += robot["replicas"]["buckets"].as_u64().unwrap_or(0);
        }
        if all && buckets == 64 {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            let logs: Vec<_> = replicas.iter().map(Replica::log).collect();
            return Err(format!("the processes do not come together: {}", logs.join("\n---\n")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Storm {
    site: Site,
    /// Elsewhere while it is started again.
    cluster: Option<Cluster>,
    replicas: Vec<Replica>,
    ledger: Ledger,
    random: StdRng,
    happened: Vec<Happened>,
    /// When each chat's last message was said.
    last_said: Vec<Option<Instant>>,
}

impl Storm {
    async fn blow(&mut self, messages: usize, span: Duration) -> Result<(), String> {
        let mut events = events(&mut self.random, span).into_iter().peekable();
        let (begin, mut said) = (Instant::now(), 0_u32);
        // What is open is counted now and then: all that was said since may be.
        let (mut noted, mut open) = (Instant::now(), 0);
        let messages = u32::try_from(messages).unwrap();
        while said < messages || events.peek().is_some() {
            while let Some((_, event)) = events.next_if(|(at, _)| *at <= begin.elapsed()) {
                self.happen(event).await?;
            }
            if noted.elapsed() > Duration::from_millis(200) {
                self.ledger.note(&self.site.app);
                (noted, open) = (Instant::now(), self.ledger.owed().len());
            }
            let due = span.mul_f64(f64::from(said) / f64::from(messages));
            if said < messages && due <= begin.elapsed() && open < OPEN {
                if self.say().await == SaidState::Pushed {
                    said += 1;
                    open += 1;
                }
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    async fn say(&mut self) -> SaidState {
        let chat = self.random.random_range(0..CHATS);
        if let Some(last) = self.last_said[chat] {
            tokio::time::sleep_until((last + APART).into()).await;
        }
        let say = numbered(chat, self.ledger.said.len());
        let state = self.ledger.say(&self.site.app, chat, &say).await;
        self.last_said[chat] = Some(Instant::now());
        state
    }

    async fn happen(&mut self, event: Event) -> Result<(), String> {
        self.happened.push(Happened { at: self.site.app.clock().unix_ms(), event });
        match event {
            Event::Kill(n) => self.replicas[n].kill()?,
            Event::Start(n) => self.replicas[n].start(&self.site),
            Event::Cut(n) => self.replicas[n].proxy.cut(),
            Event::Mend(n) => self.replicas[n].proxy.mend(),
            Event::Restart => {
                let mut cluster = self.cluster.take().unwrap();
                let again = move || {
                    cluster.start_again();
                    cluster
                };
                self.cluster = Some(tokio::task::spawn_blocking(again).await.unwrap());
            }
        }
        Ok(())
    }

    /// Goes on until nothing is open, says a last message in each chat, ends all in order, and looks at what is
    /// left.
    async fn settle(&mut self) -> Result<(), String> {
        wait_shared(&self.site, &self.replicas).await?;
        let (mut progress, mut fewest) = (Instant::now(), usize::MAX);
        let mut advanced = Instant::now();
        loop {
            let open = self.ledger.open(&self.site.app, Profile::Observed60s);
            if open == 0 {
                break;
            }
            if open < fewest {
                (progress, fewest) = (Instant::now(), open);
            }
            if progress.elapsed() > PATIENCE {
                let logs: Vec<_> = self.replicas.iter().map(Replica::log).collect();
                let owed = self.ledger.owed();
                return Err(format!("stuck: {open}, {owed:?}\n{}", logs.join("\n---\n")));
            }
            if advanced.elapsed() > Duration::from_secs(2) {
                self.site.mock.clock().advance(Duration::from_secs(61));
                advanced = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for chat in 0..CHATS {
            let say = numbered(chat, self.ledger.said.len());
            let state = self.ledger.say(&self.site.app, chat, &say).await;
            if state != SaidState::Pushed {
                return Err("a last message reaches nobody".to_owned());
            }
        }
        let start = Instant::now();
        while self.ledger.open(&self.site.app, Profile::Observed60s) > 0 {
            if start.elapsed() > PATIENCE {
                return Err(format!("a last message is stuck: {:?}", self.ledger.owed()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What is not finished, and what has failed.
        let left = self.replicas[0].ask(&self.site, &["inbox", "list", "--json"]).await;
        let rows: serde_json::Value = serde_json::from_slice(&left.stdout).unwrap_or_default();
        let rows = rows.as_array().or_else(|| rows["messages"].as_array()).map(Vec::len);
        if rows != Some(0) {
            return Err(format!("the store has {}", String::from_utf8_lossy(&left.stdout)));
        }
        for replica in &mut self.replicas {
            let code = replica.end()?;
            if code != Some(0) {
                return Err(format!("it ended with {code:?}: {}", replica.log()));
            }
        }
        Ok(())
    }

    /// How long the longest wait was after each clean kill, in milliseconds: from the kill, or from a later
    /// message, to its answer.
    fn takeovers(&self) -> Vec<i64> {
        let clean = i64::try_from(CLEAN.as_millis()).unwrap();
        let troubles: Vec<i64> = self
            .happened
            .iter()
            .filter(|one| !matches!(one.event, Event::Kill(_) | Event::Start(_)))
            .map(|one| one.at)
            .collect();
        let kills = self.happened.iter().filter(|one| matches!(one.event, Event::Kill(_)));
        let is_clean = |at: i64| {
            let near = troubles.iter().any(|trouble| (trouble - at).abs() < clean);
            let cut = troubles.first().zip(troubles.get(1));
            !near && cut.is_none_or(|(from, to)| !(*from..*to).contains(&at))
        };
        let times = self.ledger.times();
        let longest = |at: i64| {
            let waited =
                times.iter().filter(|(said, answered)| *said < at + 3_000 && *answered > at);
            waited.map(|(said, answered)| answered - at.max(*said)).max().unwrap_or(0)
        };
        kills.filter(|one| is_clean(one.at)).map(|one| longest(one.at)).collect()
    }
}
