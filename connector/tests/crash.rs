//! Kills the program with SIGKILL at random moments while people write in fifty chats, and checks the ledger.
//!
//! ```sh
//! cargo test -p dingtalk-connector --test crash                        # short: 12 kills for each profile
//! CRASH_KILLS=200 cargo test -p dingtalk-connector --test crash        # long
//! CRASH_KILLS=200 CRASH_SEED=7 cargo test -p dingtalk-connector --test crash documented
//! ```
//!
//! What must hold, for each delivery profile: every message that was acked is answered, answers of a chat come
//! in the order of its messages, no answer comes twice but through the one window that the program counts (it
//! arrived, and its record did not reach the disk), and nothing is left in the store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]
#![expect(clippy::print_stdout, reason = "figures for people are what the long form is for")]

#[path = "it/chats.rs"]
mod chats;
#[path = "it/ledger.rs"]
mod ledger;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dingtalk_connector::credential::ClientId;
use dingtalk_connector::store::Store;
use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use libtest_mimic::{Arguments, Failed, Trial};
use mock_dingtalk::{
    App, AppOptions, ConnectionState, DeliveryRules, MockDingtalk, Profile, SaidState,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::chats::numbered;
use self::ledger::{Figures, Ledger};

/// Chats that people write in; even numbers are direct ones, odd ones groups.
const CHATS: usize = 50;
/// Kills of the short form.
const SHORT: usize = 12;
/// How the program says that it repeats a send that may have arrived.
const COUNTED: &str = "a send that may have arrived is repeated";
/// How it says that it gives a message up.
const PARKED: &str = "parked:";
/// How long anything may take that should happen soon, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments = Arguments::from_args();
    let trials = [("observed_60s", Profile::Observed60s), ("documented", Profile::Documented)];
    let trials = trials.map(|(name, profile)| {
        Trial::test(name, move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(play(name, profile)).map_err(Failed::from)
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Everything of one run.
struct Run {
    mock: MockDingtalk,
    app: App,
    dir: tempfile::TempDir,
    ledger: Ledger,
    /// Repeated sends that the killed processes counted.
    counted: usize,
    starts: usize,
}

/// A running program; killed when dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn kill(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Run {
    fn start(&mut self) -> Running {
        self.starts += 1;
        let log = self.dir.path().join(format!("log-{}.txt", self.starts));
        let child = Command::new(env!("CARGO_BIN_EXE_ddingtalk"))
            .args(["gateway", "--dm-policy", "open", "--group-policy", "open"])
            .env_clear()
            .env("DINGTALK_CLIENT_ID", self.app.client_id())
            .env("DINGTALK_CLIENT_SECRET", self.app.client_secret())
            .env("DINGTALK_OPENAPI_ENDPOINT", self.mock.url())
            .env("DINGTALK_OAPI_ENDPOINT", self.mock.url())
            .env("OPENCLAW_STATE_DIR", self.dir.path())
            .env("RUST_LOG", "info,audit=off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running { child, log }
    }

    /// One more numbered message; what reaches nobody was never said.
    async fn say(&mut self, chat: usize) -> SaidState {
        let say = numbered(chat, self.ledger.said.len());
        self.ledger.say(&self.app, chat, &say).await
    }

    /// Waits until the mock has noticed that a killed program is gone.
    async fn wait_disconnected(&self) {
        let start = Instant::now();
        while self.app.connections().unwrap().iter().any(|row| row.state != ConnectionState::Closed)
        {
            assert!(start.elapsed() < PATIENCE, "the mock does not notice the end of a connection");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Kills it, and counts what it said of itself.
    async fn kill(&mut self, running: &mut Running) -> Result<(), String> {
        let log = running.kill();
        self.counted += log.matches(COUNTED).count();
        self.wait_disconnected().await;
        self.ledger.note(&self.app);
        if log.contains(PARKED) || log.contains("panicked") {
            return Err(format!("a message was given up, or something panicked:\n{log}"));
        }
        Ok(())
    }
}

async fn play(name: &str, profile: Profile) -> Result<(), String> {
    let kills = number("CRASH_KILLS").map_or(SHORT, |kills| usize::try_from(kills).unwrap());
    let seed = number("CRASH_SEED").unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let rules = DeliveryRules { profile, ..DeliveryRules::default() };
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run { mock, app, dir, ledger: Ledger::default(), counted: 0, starts: 0 };
    let begin = Instant::now();
    let mut unconnected = 0;
    for _ in 0..kills {
        let mut running = run.start();
        // From before it can be connected to well into its work.
        let end = Instant::now() + Duration::from_millis(random.random_range(5..400));
        let before = run.ledger.said.len();
        // The mock remembers more than one process brings.
        let most = before + 40;
        while Instant::now() < end && run.ledger.said.len() < most {
            let first = run.ledger.said.len() == before;
            match run.say(random.random_range(0..CHATS)).await {
                SaidState::Lost => tokio::time::sleep(Duration::from_millis(1)).await,
                // It is connected: what the last process left unacked comes again.
                _ if first => run.mock.clock().advance(Duration::from_secs(61)),
                _ => {}
            }
            if random.random_bool(0.3) {
                tokio::time::sleep(Duration::from_micros(random.random_range(0..6_000))).await;
            }
        }
        tokio::time::sleep_until(end.into()).await;
        unconnected += usize::from(run.ledger.said.len() == before);
        run.kill(&mut running).await.map_err(|e| format!("seed {seed}: {e}"))?;
    }
    settle(&mut run, profile, seed).await?;
    run.ledger.note(&run.app);
    let found = run.ledger.check(run.counted, None).map_err(|e| format!("seed {seed}: {e}"))?;
    let figures = words(&found, run.counted);
    println!(
        "{name}: {kills} kills ({unconnected} before a message) in {} s, {figures}, half of the answers within {} ms, \
         seed {seed}",
        begin.elapsed().as_secs(),
        run.ledger.median_ms(),
    );
    Ok(())
}

/// Runs the program once more until nothing is open, ends it in order, and looks into its store.
async fn settle(run: &mut Run, profile: Profile, seed: u64) -> Result<(), String> {
    let mut running = run.start();
    // A long queue takes its time: once sessionWebhooks are over, an app has 20 calls in a second.
    let (mut progress, mut fewest) = (Instant::now(), usize::MAX);
    let mut advanced = Instant::now();
    loop {
        let open = run.ledger.open(&run.app, profile);
        if open == 0 {
            break;
        }
        if open < fewest {
            (progress, fewest) = (Instant::now(), open);
        }
        if progress.elapsed() > PATIENCE {
            let log = running.kill();
            return Err(format!("seed {seed}: {open} messages are stuck; {log}"));
        }
        if advanced.elapsed() > Duration::from_secs(1) {
            run.mock.clock().advance(Duration::from_secs(61));
            advanced = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A last message in each chat: when all are answered nothing of them is left.
    for chat in 0..CHATS {
        while run.say(chat).await == SaidState::Lost {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let start = Instant::now();
    let last: Vec<String> = run.ledger.said[run.ledger.said.len() - CHATS..]
        .iter()
        .map(|said| said.text.clone())
        .collect();
    let answered = |run: &Run| {
        let sent = run.app.sent().unwrap();
        last.iter().all(|text| sent.iter().any(|row| row.text == *text))
    };
    while !answered(run) {
        if start.elapsed() > PATIENCE {
            return Err(format!("seed {seed}: a last message is stuck; {}", running.kill()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = running.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = running.child.wait().unwrap();
    let log = running.kill();
    run.counted += log.matches(COUNTED).count();
    if !status.success() || log.contains(PARKED) {
        return Err(format!("seed {seed}: the last process ended with {status}; {log}"));
    }
    let path = run.dir.path().join("ddingtalk").join(FILE);
    let store = SqliteStore::open(&path).map_err(|e| e.to_string())?;
    let left = store.recover(&ClientId::new(run.app.client_id()), 0, 9).await.unwrap().unfinished;
    if left.is_empty() { Ok(()) } else { Err(format!("seed {seed}: the store has {left:?}")) }
}

fn words(found: &Figures, counted: usize) -> String {
    let Figures { said, acked, unacked, unanswered, twice, chats, late: _ } = found;
    format!(
        "{said} messages said, {acked} acked and answered, {unacked} never acked ({unanswered} of these not answered), \
         {twice} answered twice, {counted} repeats counted, {chats} chats in order"
    )
}
