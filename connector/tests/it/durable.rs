//! `kill -9`: what was acked is answered, in order, and not twice but for the one known window.
//!
//! That window lies between a send that arrived and its record. The program counts what it sends
//! again because of it, and the tests allow no more second answers than were counted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mock_dingtalk::{Action, AppOptions, DeliveryRules, Fault, Profile, SaidState, Times, When};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::chats::numbered;
use crate::relay::Relay;
use crate::support::{Running, World, eventually};

/// How the program says that it repeats a send that may have arrived.
const COUNTED: &str = "a send that may have arrived is repeated";
const WEBHOOK: &str = "/robot/sendBySession";

/// People who write, and what they wrote.
struct Talk {
    world: World,
    said: Vec<(String, String)>,
    /// Sends that the killed processes repeated and counted.
    counted: usize,
}

impl Talk {
    async fn new() -> Self {
        let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
        let world = World::with(AppOptions::default().delivery(rules)).await;
        Self { world, said: Vec::new(), counted: 0 }
    }

    async fn start(&self) -> Running {
        let running = self.world.start_open();
        self.world.app.wait_connections(1).await.expect("the connector connects");
        running
    }

    /// One more message in a chat; even numbers are direct chats, odd ones groups. What reaches
    /// nobody was never said.
    async fn say(&mut self, chat: usize) -> SaidState {
        let say = numbered(chat, self.said.len());
        let said = self.world.app.say_with(&say).await.expect("the app exists");
        if said.state == SaidState::Pushed {
            self.said.push((said.msg_id, say.text));
        }
        said.state
    }

    /// Kills it, and waits until the mock has noticed.
    async fn kill(&mut self, running: Running) {
        self.counted += running.kill().matches(COUNTED).count();
        self.world.wait_disconnected().await;
    }

    fn acked(&self) -> usize {
        let rows = self.world.app.deliveries().expect("the app exists");
        rows.iter().filter(|row| row.ack.is_some()).count()
    }

    fn hits(&self) -> u64 {
        self.world.app.faults().expect("the app exists").iter().map(|row| row.hits).sum()
    }

    /// Runs the program once more, lets what was not acked come again, and checks every promise.
    async fn settle(&mut self, what: &str) -> Outcome {
        self.world.app.clear_faults().expect("the app exists");
        let running = self.start().await;
        self.world.mock.clock().advance(Duration::from_secs(61));
        let app = &self.world.app;
        let answered = || {
            let sent = app.sent().expect("the app exists");
            let acked = app.deliveries().expect("the app exists");
            let open = acked.iter().any(|row| row.ack.is_none() && row.attempts.len() < 2);
            let missing = acked
                .iter()
                .filter(|row| row.ack.is_some())
                .filter_map(|row| self.said.iter().find(|(id, _)| row.msg_id.as_ref() == Some(id)))
                .any(|(_, text)| sent.iter().all(|row| row.text != *text));
            (!open && !missing).then_some(sent)
        };
        let log = || format!("every acked message's answer ({what}); {}", running.log());
        eventually(log, answered).await;
        // A last message: when it is answered nothing of its conversation is left, and the program
        // has nothing else to do.
        assert_eq!(self.say(2).await, SaidState::Pushed);
        let last = self.said.last().expect("it was just said").1.clone();
        let app = &self.world.app;
        let said_last = || {
            let sent = app.sent().expect("the app exists");
            sent.iter().any(|row| row.text == last).then_some(sent)
        };
        let sent = eventually(|| format!("the last answer ({what})"), said_last).await;
        self.counted += running.log().matches(COUNTED).count();
        drop(running);
        self.check(&sent, what)
    }

    fn check(&self, sent: &[mock_dingtalk::SentRow], what: &str) -> Outcome {
        let deliveries = self.world.app.deliveries().expect("the app exists");
        let mut answers: HashMap<&str, usize> = HashMap::new();
        for row in sent {
            *answers.entry(row.text.as_str()).or_default() += 1;
        }
        let twice: usize = answers.values().map(|times| times - 1).sum();
        assert!(twice <= self.counted, "{what}: {twice} second answers, {} counted", self.counted);
        // Order: of messages that were acked when they first came.
        let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut acked = 0;
        for (msg_id, text) in &self.said {
            let delivery = deliveries.iter().find(|row| row.msg_id.as_ref() == Some(msg_id));
            let delivery = delivery.expect("each push is listed");
            if delivery.ack.is_none() {
                continue;
            }
            acked += 1;
            let at = sent.iter().position(|row| row.text == *text);
            let at = at.unwrap_or_else(|| panic!("{what}: acked and not answered: {text}"));
            if delivery.attempts.len() == 1 {
                let chat = text.split(" message").next().unwrap_or_default();
                positions.entry(chat).or_default().push(at);
            }
        }
        for (chat, at) in positions {
            assert!(at.is_sorted(), "{what}: order in {chat}: {at:?}");
        }
        Outcome { said: self.said.len(), acked, twice, counted: self.counted }
    }
}

#[derive(Debug)]
struct Outcome {
    said: usize,
    acked: usize,
    twice: usize,
    counted: usize,
}

/// A fault for each call to a path that matters, until it is cleared.
fn stuck(path: &str, action: Action) -> Fault {
    Fault { when: When::Path(path.to_owned()), times: Times::Always, action }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn kill_as_soon_as_frames_are_written() {
    let mut talk = Talk::new().await;
    let running = talk.start().await;
    for n in 0..20 {
        talk.say(n % 4).await;
    }
    talk.kill(running).await;
    println!("{:?}", talk.settle("frames written").await);
}

#[tokio::test]
async fn kill_when_the_first_and_when_the_last_ack_was_read() {
    for wanted in [1, 20] {
        let mut talk = Talk::new().await;
        // No answer gets through before the kill, so that all depends on what was kept.
        talk.world.app.fault(stuck(WEBHOOK, Action::Hang)).unwrap();
        let running = talk.start().await;
        for n in 0..20 {
            talk.say(n % 4).await;
        }
        talk.world.app.wait_acked(wanted).await.unwrap();
        talk.kill(running).await;
        let outcome = talk.settle("acks read").await;
        assert!(outcome.acked >= wanted);
        assert_eq!(outcome.twice, 0, "nothing had arrived");
        println!("{outcome:?}");
    }
}

#[tokio::test]
async fn kill_while_an_answer_has_arrived_and_its_reply_is_withheld() {
    let mut talk = Talk::new().await;
    talk.world.app.fault(stuck(WEBHOOK, Action::Delay(HOUR))).unwrap();
    let running = talk.start().await;
    for n in 0..4 {
        talk.say(n).await;
    }
    eventually(|| "four sends".to_owned(), || (talk.hits() == 4).then_some(())).await;
    talk.kill(running).await;
    let outcome = talk.settle("reply withheld").await;
    // The one window: each of the four had arrived, and none was recorded.
    assert_eq!((outcome.twice, outcome.counted), (4, 4));
}

#[tokio::test]
async fn kill_while_a_send_is_refused_for_now() {
    let mut talk = Talk::new().await;
    let busy = Action::code(200, "-1", "busy");
    talk.world.app.fault(stuck(WEBHOOK, busy)).unwrap();
    let running = talk.start().await;
    for n in 0..4 {
        talk.say(n).await;
    }
    eventually(|| "four sends".to_owned(), || (talk.hits() >= 4).then_some(())).await;
    talk.kill(running).await;
    assert_eq!(talk.settle("refused for now").await.twice, 0);
}

#[tokio::test]
async fn kill_on_the_way_through_the_robot_api() {
    for path in ["/v1.0/oauth2/accessToken", "/v1.0/robot/oToMessages/batchSend"] {
        let mut talk = Talk::new().await;
        // The webhook is dead, so that answers need a token and the robot API.
        let gone = Action::code(200, "300001", "gone");
        talk.world.app.fault(stuck(WEBHOOK, gone)).unwrap();
        talk.world.app.fault(stuck(path, Action::Hang)).unwrap();
        let running = talk.start().await;
        talk.say(0).await;
        talk.say(2).await;
        eventually(|| path.to_owned(), || (talk.hits() >= 3).then_some(())).await;
        talk.kill(running).await;
        assert_eq!(talk.settle(path).await.twice, 0);
    }
}

#[tokio::test]
async fn kill_when_half_of_the_answers_are_out() {
    let mut talk = Talk::new().await;
    let running = talk.start().await;
    for n in 0..40 {
        talk.say(n % 4).await;
    }
    talk.world.app.wait_sent(20).await.unwrap();
    talk.kill(running).await;
    println!("{:?}", talk.settle("half of the answers").await);
}

#[tokio::test]
async fn kill_between_the_parts_of_one_answer() {
    let world = World::new().await;
    let running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    let lines: Vec<_> = (0..3_000).map(|n| format!("line {n} of a long answer")).collect();
    // The third part gets no further than the door, since the second is on record before it goes.
    let third =
        Fault { when: When::Path(WEBHOOK.to_owned()), times: Times::Nth(3), action: Action::Hang };
    world.app.fault(third).unwrap();
    world.app.say("user0001", &lines.join("\n")).await.unwrap();
    let stuck = || (world.app.faults().unwrap()[0].hits == 1).then_some(());
    eventually(|| "the third part".to_owned(), stuck).await;
    running.kill();
    world.wait_disconnected().await;
    assert_eq!(world.app.sent().unwrap().len(), 2);
    world.app.clear_faults().unwrap();

    let running = world.start_open();
    let last = || {
        let sent = world.app.sent().unwrap();
        let ended = sent.last().is_some_and(|row| row.text.ends_with("line 2999 of a long answer"));
        ended.then_some(sent)
    };
    let sent = eventually(|| format!("the last part; {}", running.log()), last).await;
    assert!(sent.len() > 4, "{} parts", sent.len());
    let arrived: Vec<_> = sent.iter().flat_map(|row| row.text.lines()).collect();
    assert_eq!(arrived, lines, "each line once, in order");
}

/// Eight messages are acked, and none of their answers gets through.
async fn eight_acked() -> (Talk, Running) {
    let mut talk = Talk::new().await;
    let running = talk.start().await;
    talk.world.app.fault(stuck(WEBHOOK, Action::Hang)).unwrap();
    for n in 0..8 {
        talk.say(n % 4).await;
    }
    talk.world.app.wait_acked(8).await.unwrap();
    (talk, running)
}

#[tokio::test]
async fn kill_between_disconnect_and_the_next_connection() {
    let (mut talk, running) = eight_acked().await;
    talk.world.app.fault(Fault::always(When::Open, Action::Hang)).unwrap();
    talk.world.app.disconnect("all", "rotation").unwrap();
    running.wait_log("announced disconnect", 1).await;
    talk.kill(running).await;
    assert_eq!(talk.settle("disconnect").await.twice, 0);
}

#[tokio::test]
async fn kill_while_it_drains_after_sigterm() {
    let (mut talk, running) = eight_acked().await;
    running.terminate();
    running.wait_log("the stream stops", 1).await;
    talk.kill(running).await;
    assert_eq!(talk.settle("draining").await.twice, 0);
}

#[tokio::test]
async fn kill_before_the_first_connection_stands() {
    let mut talk = Talk::new().await;
    talk.world.app.fault(stuck(WEBHOOK, Action::Hang)).unwrap();
    let running = talk.start().await;
    for n in 0..4 {
        talk.say(n).await;
    }
    talk.world.app.wait_acked(4).await.unwrap();
    talk.kill(running).await;
    // The next process finds its work, and dies before DingTalk lets it in.
    talk.world.app.fault(Fault::always(When::Open, Action::Hang)).unwrap();
    let running = talk.world.start_open();
    running.wait_log("left messages to be answered", 1).await;
    talk.kill(running).await;
    let outcome = talk.settle("no connection").await;
    assert_eq!((outcome.acked, outcome.twice), (5, 0));
}

#[tokio::test]
async fn answers_outlive_an_outage_that_a_restart_falls_into() {
    let talk = Talk::new().await;
    let to = talk.world.mock.url().trim_start_matches("http://").parse().expect("an address");
    let mut relay = Relay::new(to).await;
    let start = |relay: &Relay| {
        let mut command = talk.world.command(&["--dm-policy", "open", "--group-policy", "open"]);
        command.env("DINGTALK_OPENAPI_ENDPOINT", relay.url());
        command.env("DINGTALK_OAPI_ENDPOINT", relay.url());
        talk.world.start_command(command)
    };
    let running = start(&relay);
    talk.world.app.wait_connections(1).await.expect("the connector connects");
    talk.world.app.fault(stuck(WEBHOOK, Action::Hang)).unwrap();
    for n in 0..4 {
        let text = format!("message {n}");
        talk.world.app.say(&format!("user{n:04}"), &text).await.unwrap();
    }
    talk.world.app.wait_acked(4).await.unwrap();
    eventually(|| "four sends".to_owned(), || (talk.hits() == 4).then_some(())).await;
    relay.down().await;
    talk.world.app.clear_faults().unwrap();
    drop(running);
    let running = start(&relay);
    // Four times four failures: what might have arrived would have been given up by now.
    running.wait_log("an answer waits", 4 * 4).await;
    assert!(running.lines("did not arrive").is_empty());
    relay.up().await;
    let sent = talk.world.app.wait_sent(4).await.unwrap();
    let mut texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["message 0", "message 1", "message 2", "message 3"]);
    // Once each: another answer comes after them, and nothing else.
    let patience = Duration::from_secs(60);
    talk.world.app.wait_connections_within(1, patience).await.expect("it connects again");
    talk.world.app.say("user0009", "the last").await.unwrap();
    assert_eq!(talk.world.app.wait_sent(5).await.unwrap().len(), 5);
}

#[tokio::test]
async fn fifty_kills_at_random_moments() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut talk = Talk::new().await;
    for round in 0..50 {
        let running = talk.start().await;
        // What the last process left unacked comes again.
        talk.world.mock.clock().advance(Duration::from_secs(61));
        let (acked, sent) = (talk.acked(), talk.world.app.sent().unwrap().len());
        for _ in 0..random.random_range(1..12) {
            talk.say(random.random_range(0..5)).await;
        }
        let more = random.random_range(0..12);
        let by_acks = random.random_bool(0.5);
        // As many more acks or answers as there may be, or the next moment if there are not.
        let reached = async {
            let patience = Duration::from_millis(40);
            let app = &talk.world.app;
            if by_acks {
                drop(app.wait_acked_within(acked + more, patience).await);
            } else {
                drop(app.wait_sent_within(sent + more, patience).await);
            }
        };
        reached.await;
        talk.kill(running).await;
        assert!(talk.said.len() > round / 2, "the connector is there most of the time");
    }
    let outcome = talk.settle(&format!("random, seed {seed}")).await;
    println!("{outcome:?}");
    assert!(outcome.acked > 50 && outcome.acked <= outcome.said);
}

#[tokio::test]
async fn a_message_that_comes_again_after_a_restart_is_recognised() {
    let mut talk = Talk::new().await;
    let mut running = talk.start().await;
    talk.say(0).await;
    talk.world.app.wait_sent(1).await.unwrap();
    // In order, so that the answer is recorded.
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
    let running = talk.start().await;
    // The same frame once more, as a gateway sends it that lost the ack.
    let journal = talk.world.app.journal().unwrap();
    let frame = journal.iter().find(|entry| entry.text.contains("/v1.0/im/bot/messages/get"));
    let frame = frame.and_then(|entry| entry.body.clone()).expect("the push is in the journal");
    talk.world.app.push_raw(&frame).unwrap();
    running.wait_log("a message came again", 1).await;
    talk.say(0).await;
    let sent = talk.world.app.wait_sent(2).await.unwrap();
    assert_eq!(sent.len(), 2, "{sent:?}");
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let talk = Talk::new().await;
    let _first = talk.start().await;
    let output = talk.world.command(&[]).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(11));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("another ddingtalk works with the state directory"), "{stderr}");
}
