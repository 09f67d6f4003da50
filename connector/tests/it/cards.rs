//! Answers that an agent streams: shown on a card that always ends, and said once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dingtalk_connector::agent::{Agent, AgentError, Answer, Attempt, Commands, Say, Speaker, Turn};
use dingtalk_connector::gateway::access::{AccessPolicy, DmPolicy};
use dingtalk_connector::gateway::cards::CardConfig;
use dingtalk_connector::gateway::{Gateway, GatewayConfig};
use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use mock_dingtalk::{
    Action, Callback, CardPress, Cut, EntryKind, Fault, Finding, FrameSelector, Preset, SentRow,
    Times, When,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::support::{World, eventually, fixed};

pub(crate) const STREAMING: &str = "/v1.0/card/streaming";
pub(crate) const CREATE: &str = "/v1.0/card/instances/createAndDeliver";

/// What the agent is to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Partial(String),
    Say(Say),
    End,
    /// It fails.
    Fail,
}

/// Does what the test tells it, turn after turn.
#[derive(Debug)]
pub(crate) struct Scripted {
    steps: tokio::sync::Mutex<mpsc::UnboundedReceiver<Step>>,
    pub(crate) asked: Mutex<Vec<(Attempt, String)>>,
}

impl Agent for Scripted {
    fn commands(&self) -> Commands<'_> {
        Commands::Ours(None)
    }

    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        self.asked.lock().unwrap().push((attempt, turn.text));
        Box::pin(async move {
            let mut steps = self.steps.lock().await;
            while let Some(step) = steps.recv().await {
                match step {
                    Step::Partial(words) => speaker.partial(words).await,
                    Step::Say(say) => speaker.say(say).await,
                    Step::End => return Ok(()),
                    Step::Fail => return Err(AgentError("as it was told".to_owned())),
                }
            }
            Ok(())
        })
    }
}

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) agent: Arc<Scripted>,
    steps: mpsc::UnboundedSender<Step>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (steps, script) = mpsc::unbounded_channel();
        let agent = Scripted { steps: tokio::sync::Mutex::new(script), asked: Mutex::default() };
        Self { world: World::new().await, agent: Arc::new(agent), steps }
    }

    pub(crate) fn config(&self) -> GatewayConfig {
        let cards = CardConfig { interval: Duration::from_millis(100), ..CardConfig::default() };
        let agent = Arc::clone(&self.agent) as Arc<dyn Agent>;
        GatewayConfig { cards, ..self.world.gateway_config(agent) }
    }

    pub(crate) fn store(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(&self.world.dir.path().join(FILE)).unwrap())
    }

    pub(crate) async fn start(&self) -> Gateway {
        self.start_with(self.config()).await
    }

    pub(crate) async fn start_with(&self, config: GatewayConfig) -> Gateway {
        let gateway = Gateway::start(config, self.store()).await.unwrap();
        self.world.app.wait_connections(1).await.unwrap();
        gateway
    }

    pub(crate) fn do_now(&self, step: Step) {
        self.steps.send(step).unwrap();
    }

    pub(crate) fn partial(&self, words: &str) {
        self.do_now(Step::Partial(words.to_owned()));
    }

    /// Says it, and ends the turn.
    pub(crate) fn say(&self, text: &str) {
        self.do_now(Step::Say(Say::markdown(text)));
        self.do_now(Step::End);
    }

    /// Asks, streams, and waits until that is seen on a card.
    pub(crate) async fn stream(&self, words: &str) -> SentRow {
        self.world.app.say("user0001", "a question").await.unwrap();
        self.partial(words);
        self.wait_row(|row| row.via == "card" && row.text == words && !row.finished).await
    }

    pub(crate) async fn wait_row(&self, wanted: impl Fn(&SentRow) -> bool) -> SentRow {
        let what = || format!("a row; there are {:#?}", self.world.app.sent().unwrap());
        eventually(what, || self.world.app.sent().unwrap().into_iter().find(|row| wanted(row)))
            .await
    }

    /// Bodies of the calls to this path.
    pub(crate) fn calls(&self, path: &str) -> Vec<Value> {
        let journal = self.world.app.journal().unwrap();
        let calls = journal.iter().filter(|entry| {
            let is_path = |part: &str| part.trim_end_matches(':') == path;
            entry.kind == EntryKind::Http && entry.text.split(' ').any(is_path)
        });
        calls.map(|call| serde_json::from_str(call.body.as_ref().unwrap()).unwrap()).collect()
    }

    /// Waits for so many calls that finish a card, and returns their bodies.
    pub(crate) async fn last_words(&self, count: usize) -> Vec<Value> {
        let calls = || {
            let mut calls = self.calls(STREAMING);
            calls.retain(|call| call["isFinalize"] == true);
            (calls.len() >= count).then_some(calls)
        };
        let calls = eventually(|| format!("{count} calls that finish a card"), calls).await;
        assert_eq!(calls.len(), count);
        calls
    }

    pub(crate) fn fault(&self, path: &str, times: Times, action: Action) {
        self.world.app.fault(Fault { when: When::Path(path.into()), times, action }).unwrap();
    }

    /// The robot's one answer, a card with exactly these words.
    pub(crate) async fn only_card(&self, words: &str) {
        self.wait_row(|row| row.finished && row.text == words).await;
        let sent = self.world.app.sent().unwrap();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        assert_eq!(sent[0].via, "card");
    }

    /// A whole answer went as a message, and a card that is final says nothing of it.
    pub(crate) async fn message_and_final_card(&self, answer: &str) {
        self.wait_row(|row| row.via != "card" && row.text == answer).await;
        // It may have held the answer for a moment, where that arrived without anybody's knowing.
        let says_so =
            |row: &SentRow| row.via == "card" && row.finished && row.text.contains("below");
        let card = self.wait_row(says_so).await;
        assert!(!card.text.contains(answer), "{}", card.text);
        assert_eq!(self.world.app.sent().unwrap().len(), 2);
    }
}

pub(crate) fn code(status: u16, code: &str) -> Action {
    Action::Code {
        status,
        code: code.to_owned(),
        message: String::new(),
        required_scopes: Vec::new(),
    }
}

#[tokio::test]
async fn a_streamed_answer_is_one_card_with_few_updates() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    let app = &stage.world.app;
    for (n, in_group) in [(1, false), (2, true)] {
        let begun = Instant::now();
        let before = stage.calls(STREAMING).len();
        if in_group {
            app.say_in_group("user0001", "Group", "a question").await.unwrap();
        } else {
            app.say("user0001", "a question").await.unwrap();
        }
        // A word every few milliseconds, as models speak.
        let mut words = String::new();
        for word in 0..200 {
            words = format!("{words}{word} ");
            stage.partial(&words);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.say("**the whole answer**");
        let sent = app.wait_sent(n).await.unwrap();
        assert_eq!((sent[n - 1].via, sent[n - 1].text.as_str()), ("card", "**the whole answer**"));
        let calls = stage.calls(STREAMING).len() - before;
        let most = usize::try_from(begun.elapsed().as_millis() / 100).unwrap() + 2;
        assert!((3..=most).contains(&calls), "{calls} calls, at most {most}");
    }
    assert_eq!(app.sent().unwrap().len(), 2, "and nothing but the cards");
    let creates = stage.calls(CREATE);
    assert_eq!(creates[0]["openSpaceId"], "dtv1.card//IM_ROBOT.user0001");
    assert!(creates[1]["openSpaceId"].as_str().unwrap().starts_with("dtv1.card//IM_GROUP.cid"));
    let findings = app.findings().unwrap();
    let about_cards = |finding: &&Finding| format!("{finding:?}").contains("card");
    assert_eq!(findings.iter().find(about_cards), None);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn what_is_said_at_once_or_with_cards_off_is_a_message() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.world.app.say("user0001", "a question").await.unwrap();
    stage.partial("sho");
    stage.say("short");
    let sent = stage.world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].via == "card", sent[0].text.as_str()), (false, "short"));
    gateway.stop().await;

    let mut config = stage.config();
    config.cards.mode = dingtalk_connector::gateway::cards::CardMode::Off;
    let gateway = stage.start_with(config).await;
    stage.world.app.say("user0001", "a question").await.unwrap();
    stage.partial("long");
    tokio::time::sleep(Duration::from_millis(600)).await;
    stage.say("longer");
    let sent = stage.world.app.wait_sent(2).await.unwrap();
    assert_eq!(sent[1].text, "longer");
    assert!(stage.calls(CREATE).is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn refused_cards_are_not_asked_for_again() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    let denied = "Forbidden.AccessDenied.AccessTokenPermissionDenied";
    stage.fault(CREATE, Times::Always, code(403, denied));
    for n in 1..=2 {
        stage.world.app.say("user0001", "a question").await.unwrap();
        stage.partial("words");
        if n == 1 {
            let asked = || (!stage.calls(CREATE).is_empty()).then_some(());
            eventually(|| "the refusal".to_owned(), asked).await;
        } else {
            // Longer than it takes until a card is asked for.
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        stage.say("an answer");
        let sent = stage.world.app.wait_sent(n).await.unwrap();
        assert_eq!((sent[n - 1].via == "card", sent[n - 1].text.as_str()), (false, "an answer"));
    }
    assert_eq!(gateway.stop().await, 0);
    assert_eq!(stage.calls(CREATE).len(), 1);
    assert!(stage.calls(STREAMING).is_empty(), "there is no card to make final");
}

#[tokio::test]
async fn a_card_that_meets_the_rate_limit_is_finished_all_the_same() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("first").await;
    stage.world.app.preset(Preset::CardQps403).unwrap();
    stage.partial("first, second");
    stage.say("first, second, third");
    stage.only_card("first, second, third").await;
    assert_eq!(gateway.stop().await, 0);
    // So is one that meets it before it has shown anything.
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.fault(CREATE, Times::First(1), code(429, "system.busy"));
    stage.stream("again").await;
    stage.say("again and again");
    stage.only_card("again and again").await;
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn last_words_whose_answer_is_lost_are_the_same_call_again() {
    for lost in [Action::CutBody, Action::Drop(Cut::Rst), Action::Truncate] {
        let stage = Stage::new().await;
        let gateway = stage.start().await;
        stage.stream("so far").await;
        stage.fault(STREAMING, Times::First(1), lost);
        stage.say("so far, so good");
        let last = stage.last_words(2).await;
        assert_eq!(last[0], last[1], "the guid, too");
        stage.only_card("so far, so good").await;
        assert_eq!(gateway.stop().await, 0);
    }
}

#[tokio::test]
async fn an_answer_that_its_card_does_not_take_is_a_message_and_the_card_says_so() {
    for (status, refusal) in [(400, "param.stream.content"), (500, "unknownError")] {
        let stage = Stage::new().await;
        let gateway = stage.start().await;
        stage.stream("so far").await;
        stage.fault(STREAMING, Times::Always, code(status, refusal));
        stage.say("so far, so good");
        stage.message_and_final_card("so far, so good").await;
        assert_eq!(gateway.stop().await, 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_a_card_goes_on_in_messages() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("so far").await;
    let long = "long ".repeat(3_100);
    stage.partial(&long);
    stage.say(long.trim());
    let rest = stage.wait_row(|row| row.via != "card").await;
    let begun = stage.wait_row(|row| row.via == "card" && row.finished).await;
    let words = |text: &str| text.split_whitespace().count();
    assert_eq!(words(&begun.text) + words(&rest.text), words(&long));
    assert_eq!(stage.world.app.sent().unwrap().len(), 2);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_card_whose_turn_says_nothing_more_is_final() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("just a thought").await;
    stage.do_now(Step::End);
    stage.only_card("just a thought").await;
    assert_eq!(gateway.stop().await, 0);
}

/// Ends a robot as `kill -9` does: nothing of it runs on, nothing is tidied up.
pub(crate) struct Doomed {
    runtime: tokio::runtime::Runtime,
    store: std::sync::Weak<SqliteStore>,
}

impl Doomed {
    pub(crate) async fn start(stage: &Stage) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let store = stage.store();
        let weak = Arc::downgrade(&store);
        let starting = runtime.spawn(Gateway::start(stage.config(), store));
        // Its tasks go on without it.
        drop(starting.await.unwrap().unwrap());
        stage.world.app.wait_connections(1).await.unwrap();
        Self { runtime, store: weak }
    }

    pub(crate) async fn kill(self) {
        self.runtime.shutdown_background();
        let gone = || (self.store.strong_count() == 0).then_some(());
        eventually(|| "the end of its tasks".to_owned(), gone).await;
    }
}

#[tokio::test]
async fn a_card_of_a_killed_process_gets_the_answer_of_the_next() {
    let stage = Stage::new().await;
    let doomed = Doomed::start(&stage).await;
    stage.stream("half of").await;
    doomed.kill().await;
    let gateway = stage.start().await;
    let asked = || (stage.agent.asked.lock().unwrap().len() == 2).then_some(());
    eventually(|| "the turn to come again".to_owned(), asked).await;
    assert!(stage.agent.asked.lock().unwrap()[1].0.resumed);
    stage.partial("half of it, and");
    stage.wait_row(|row| row.text == "half of it, and").await;
    stage.say("half of it, and the rest");
    stage.only_card("half of it, and the rest").await;
    assert_eq!(stage.calls(CREATE).len(), 1, "the same card");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn last_words_that_arrived_before_a_crash_are_not_said_again() {
    let stage = Stage::new().await;
    let doomed = Doomed::start(&stage).await;
    stage.stream("half of").await;
    stage.fault(STREAMING, Times::First(1), Action::Delay(Duration::from_secs(3_600)));
    stage.say("all of it");
    // It is there; that it is, is not recorded.
    stage.wait_row(|row| row.finished).await;
    doomed.kill().await;
    let gateway = stage.start().await;
    let last = stage.last_words(2).await;
    assert_eq!(last[0], last[1], "the guid, too");
    assert_eq!(gateway.stop().await, 0);
    stage.only_card("all of it").await;
    assert_eq!(stage.agent.asked.lock().unwrap().len(), 1, "all was said");
}

#[tokio::test]
async fn a_card_that_was_kept_and_never_made_is_made_by_the_next_process() {
    let stage = Stage::new().await;
    stage.fault(CREATE, Times::First(1), Action::Hang);
    let doomed = Doomed::start(&stage).await;
    stage.world.app.say("user0001", "a question").await.unwrap();
    stage.partial("half of");
    let hit = || stage.world.app.faults().unwrap().iter().any(|row| row.hits == 1).then_some(());
    eventually(|| "the call".to_owned(), hit).await;
    doomed.kill().await;
    let gateway = stage.start().await;
    stage.partial("half of it");
    stage.wait_row(|row| row.text == "half of it").await;
    stage.say("all of it");
    stage.only_card("all of it").await;
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_card_whose_message_is_not_answered_any_more_is_final() {
    let stage = Stage::new().await;
    let doomed = Doomed::start(&stage).await;
    stage.stream("half of").await;
    doomed.kill().await;
    let access = AccessPolicy { dm: DmPolicy::Disabled, ..AccessPolicy::open() };
    let config = GatewayConfig { access: fixed(access), ..stage.config() };
    let gateway = stage.start_with(config).await;
    let card = stage.wait_row(|row| row.finished).await;
    assert!(card.text.contains("interrupted"), "{}", card.text);
    let unmarked = || stage.world.app.reactions().unwrap().is_empty().then_some(());
    eventually(|| "the end of its mark".to_owned(), unmarked).await;
    assert_eq!(gateway.stop().await, 0);
    assert_eq!(stage.world.app.sent().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stop_leaves_no_card_spinning_and_the_answer_follows() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("half of").await;
    let begun = Instant::now();
    assert_eq!(gateway.stop().await, 1, "the turn is left to the next start");
    assert!(begun.elapsed() < Duration::from_secs(11));
    let sent = stage.world.app.sent().unwrap();
    assert!(sent.len() == 1 && sent[0].finished, "{sent:#?}");
    assert!(sent[0].text.starts_with("half of") && sent[0].text.contains("Restarting"));
    let gateway = stage.start().await;
    stage.partial("once");
    stage.wait_row(|row| row.text == "once" && !row.finished).await;
    stage.say("once more");
    let sent = stage.world.app.wait_sent(2).await.unwrap();
    assert_eq!((sent[1].via, sent[1].text.as_str()), ("card", "once more"));
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_press_with_words_is_a_message_of_whoever_pressed() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    let app = &stage.world.app;
    stage.stream("which").await;
    stage.say("which one?");
    let card = app.wait_sent(1).await.unwrap()[0].clone();
    let out_track_id = stage.calls(CREATE)[0]["outTrackId"].as_str().unwrap().to_owned();
    // It comes twice, and is answered once.
    let selector = FrameSelector {
        topic: Some("/v1.0/card/instances/callback".to_owned()),
        ..FrameSelector::default()
    };
    let when = When::Frame(selector);
    app.fault(Fault { when, times: Times::First(1), action: Action::Duplicate(1) }).unwrap();
    let mut params = Map::new();
    params.insert("text".to_owned(), json!("the second"));
    let press = CardPress::new(&out_track_id, "user0001", "choose").params(params);
    app.press(&press).await.unwrap();
    stage.say("the second it is");
    let sent = app.wait_sent(2).await.unwrap();
    assert_eq!((sent[1].to.as_str(), sent[1].text.as_str()), ("user0001", "the second it is"));
    assert_eq!(card.to, "user0001");
    // Presses that say nothing, and those on foreign cards, are acked and left.
    app.press(&CardPress::new(&out_track_id, "user0001", "like")).await.unwrap();
    let foreign = json!({
        "type": "actionCallback", "outTrackId": "foreign", "userId": "user0001",
        "content": r#"{"cardPrivateData":{"actionIds":["a"],"params":{"text":"hello"}}}"#,
    });
    let topic = "/v1.0/card/instances/callback";
    let Value::Object(foreign) = foreign else { unreachable!("it was made as an object") };
    app.callback(&Callback::new(topic, foreign)).unwrap();
    let acked = app.wait_acked(4).await.unwrap();
    assert!(acked.iter().all(|row| row.ack.as_ref().is_some_and(|ack| ack.code == Some(200))));
    let turns: Vec<_> = stage.agent.asked.lock().unwrap().iter().map(|a| a.1.clone()).collect();
    assert_eq!(turns, ["a question", "the second"]);
    assert_eq!(gateway.stop().await, 0);
}
