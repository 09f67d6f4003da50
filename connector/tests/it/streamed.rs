//! The program with an agent that streams: cards of its answers, whatever becomes of the process.

use std::time::Duration;

use mock_dingtalk::{Action, EntryKind, Fault, Permission, SentRow, Times, When};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use crate::cards::{CREATE, STREAMING};
use crate::link_client::Link;
use crate::model::{Model, slow_answer};
use crate::support::{Running, World, eventually};

const WEBHOOK: &str = "/robot/sendBySession";
/// How the program says that it repeats a send that may have arrived.
const COUNTED: &str = "a send that may have arrived is repeated";
const HOUR: Duration = Duration::from_secs(3_600);

/// The program with a model.
struct Chat {
    // Dropped before its directory.
    running: Running,
    model: Model,
    world: World,
}

impl Chat {
    async fn new() -> Self {
        let (world, model) = (World::new().await, Model::start().await);
        let running = model.start_gateway(&world, &[]).await;
        Self { running, model, world }
    }

    /// Asks, lets the model say this, and waits until a card shows it.
    async fn stream(&self, words: &str) -> crate::model::Lead {
        let lead = self.model.lead();
        self.world.app.say("user0001", "a question").await.unwrap();
        lead.words(words);
        wait_row(&self.world, |row| row.via == "card" && row.text == words && !row.finished).await;
        lead
    }

    /// Returns how many sends the killed process repeated and counted.
    async fn kill_and_start(&mut self) -> usize {
        self.running.kill_now();
        let counted = self.running.log().matches(COUNTED).count();
        self.world.wait_disconnected().await;
        self.world.app.clear_faults().unwrap();
        self.running = self.model.start_gateway(&self.world, &[]).await;
        counted
    }

    /// The answer to one more message, which comes behind everything that is left to be said.
    async fn sent_before_one_more(&self) -> Vec<SentRow> {
        self.model.words(&["the last one"]);
        self.world.app.say("user0001", "one more").await.unwrap();
        wait_row(&self.world, |row| row.text == "the last one").await;
        let mut sent = self.world.app.sent().unwrap();
        sent.retain(|row| row.text != "the last one");
        assert!(sent.iter().all(|row| row.via != "card" || row.finished), "{sent:#?}");
        sent
    }
}

async fn wait_row(world: &World, wanted: impl Fn(&SentRow) -> bool) -> SentRow {
    let what = || format!("a row; there are {:#?}", world.app.sent().unwrap());
    eventually(what, || world.app.sent().unwrap().into_iter().find(|row| wanted(row))).await
}

fn calls(world: &World, path: &str) -> usize {
    let journal = world.app.journal().unwrap();
    let is_path = |part: &str| part.trim_end_matches(':') == path;
    let is_call = |text: &str| text.split(' ').any(is_path);
    journal.iter().filter(|entry| entry.kind == EntryKind::Http && is_call(&entry.text)).count()
}

fn texts(sent: &[SentRow]) -> Vec<&str> {
    sent.iter().map(|row| row.text.as_str()).collect()
}

#[tokio::test]
async fn an_answer_of_the_model_grows_in_one_card() {
    let chat = Chat::new().await;
    let lead = chat.stream("half of").await;
    lead.words(" it, and");
    wait_row(&chat.world, |row| row.text == "half of it, and" && !row.finished).await;
    lead.words(" the rest");
    lead.end();
    wait_row(&chat.world, |row| row.finished).await;
    assert_eq!(texts(&chat.sent_before_one_more().await), ["half of it, and the rest"]);
}

#[tokio::test]
async fn words_that_come_fast_are_shown_though_nothing_follows_them() {
    let chat = Chat::new().await;
    let lead = chat.model.lead();
    chat.world.app.say("user0001", "a question").await.unwrap();
    for n in 0..50 {
        lead.words(&format!("{n} "));
    }
    wait_row(&chat.world, |row| row.text.ends_with("49 ") && !row.finished).await;
    lead.end();
    wait_row(&chat.world, |row| row.finished).await;
    assert!(calls(&chat.world, STREAMING) <= 5);
}

#[tokio::test]
async fn without_the_permission_for_cards_the_answer_is_one_markdown_message() {
    for permission in [Permission::CardInstanceWrite, Permission::CardStreamingWrite] {
        let chat = Chat::new().await;
        chat.world.app.revoke(&[permission]).unwrap();
        let lead = chat.model.lead();
        chat.world.app.say("user0001", "a question").await.unwrap();
        lead.words("half of");
        chat.running.wait_log("cards are refused", 1).await;
        lead.words(" it");
        lead.end();
        let answer = wait_row(&chat.world, |row| row.text == "half of it").await;
        assert_eq!((answer.via == "card", answer.msgtype.as_str()), (false, "markdown"));
        let mut sent = chat.sent_before_one_more().await;
        sent.retain(|row| row.via == "card");
        // One that was made before the refusal points to the answer.
        assert!(sent.iter().all(|row| row.text.contains("below")), "{sent:#?}");
        assert_eq!(sent.len(), usize::from(permission == Permission::CardStreamingWrite));
        assert_eq!(chat.running.lines("cards are refused").len(), 1);
    }
}

#[tokio::test]
async fn a_stop_mid_answer_leaves_the_card_final_and_it_says_so() {
    let chat = Chat::new().await;
    let _lead = chat.stream("half of").await;
    chat.world.app.say("user0001", "/stop").await.unwrap();
    let card = wait_row(&chat.world, |row| row.via == "card" && row.finished).await;
    assert!(card.text.starts_with("half of") && card.text.ends_with("Stopped"), "{}", card.text);
    wait_row(&chat.world, |row| row.via != "card" && row.text.ends_with("Stopped.")).await;
    assert_eq!(chat.sent_before_one_more().await.len(), 2);
}

#[tokio::test]
async fn a_kill_mid_stream_leaves_one_card_with_one_answer() {
    let mut chat = Chat::new().await;
    let _lead = chat.stream("half of").await;
    let second = chat.model.lead();
    chat.kill_and_start().await;
    second.words("once more");
    wait_row(&chat.world, |row| row.text == "once more" && !row.finished).await;
    second.words(", and all of it");
    second.end();
    wait_row(&chat.world, |row| row.finished).await;
    assert_eq!(texts(&chat.sent_before_one_more().await), ["once more, and all of it"]);
    assert_eq!(calls(&chat.world, CREATE), 1);
}

#[tokio::test]
async fn a_kill_while_the_last_words_of_a_card_have_arrived_says_nothing_twice() {
    let mut chat = Chat::new().await;
    let lead = chat.stream("half of").await;
    let when = When::Path(STREAMING.to_owned());
    let withheld = Fault { when, times: Times::Always, action: Action::Delay(HOUR) };
    chat.world.app.fault(withheld).unwrap();
    lead.words(" it");
    lead.end();
    wait_row(&chat.world, |row| row.finished && row.text == "half of it").await;
    chat.kill_and_start().await;
    assert_eq!(texts(&chat.sent_before_one_more().await), ["half of it"]);
    assert_eq!(chat.running.log().matches(COUNTED).count(), 0, "a repeated call counts once");
    assert_eq!(chat.model.asked().len(), 2, "the question and the one more");
}

#[tokio::test]
async fn a_kill_between_the_parts_of_a_long_answer_sends_the_rest() {
    let mut chat = Chat::new().await;
    let lead = chat.stream("0 ").await;
    // The card takes the first part; the second message arrives, and nobody hears of it.
    let when = When::Path(WEBHOOK.to_owned());
    let withheld = Fault { when, times: Times::Nth(2), action: Action::Delay(HOUR) };
    chat.world.app.fault(withheld).unwrap();
    let numbers: Vec<_> = (0..16_000).map(|n| n.to_string()).collect();
    lead.words(&numbers[1..].join(" "));
    lead.end();
    let hit = || chat.world.app.faults().unwrap().iter().any(|row| row.hits == 1).then_some(());
    eventually(|| "the second message".to_owned(), hit).await;
    chat.kill_and_start().await;
    let sent = chat.sent_before_one_more().await;
    let mut said: Vec<&str> = Vec::new();
    let mut twice = 0;
    let mut before = "";
    for row in &sent {
        if row.text == before {
            twice += 1;
            continue;
        }
        before = &row.text;
        said.extend(row.text.split_whitespace());
    }
    assert_eq!(said, numbers, "every word, in order");
    assert_eq!((sent[0].via, twice), ("card", 1), "what had arrived, and was not recorded");
    assert_eq!(chat.running.log().matches(COUNTED).count(), 1);
}

#[tokio::test]
async fn sigterm_mid_stream_leaves_a_final_card_and_the_answer_to_the_next_start() {
    let mut chat = Chat::new().await;
    let _lead = chat.stream("half of").await;
    chat.running.terminate();
    chat.running.ended().await;
    let sent = chat.world.app.sent().unwrap();
    assert!(sent.len() == 1 && sent[0].finished, "{sent:#?}");
    assert!(sent[0].text.starts_with("half of") && sent[0].text.contains("Restarting"));
    chat.running = chat.model.start_gateway(&chat.world, &[]).await;
    wait_row(&chat.world, |row| row.text == "answer 2").await;
    assert_eq!(chat.sent_before_one_more().await.len(), 2);
}

#[tokio::test]
async fn words_of_a_model_that_fails_midway_stay_and_are_apologised_for() {
    let chat = Chat::new().await;
    let lead = chat.stream("half of").await;
    lead.fail();
    wait_row(&chat.world, |row| row.text.contains("Sorry")).await;
    let sent = chat.sent_before_one_more().await;
    assert_eq!((sent[0].via, sent[0].text.as_str(), sent.len()), ("card", "half of", 2));
    assert!(sent[1].text.contains("Sorry"), "{sent:#?}");
}

#[tokio::test]
async fn an_attached_agent_that_streams_gets_a_card_for_each_turn_and_over_a_kill() {
    let world = World::new().await;
    let open = ["--agent", "attach", "--dm-policy", "open", "--group-policy", "open"];
    let running = world.start(&open);
    world.app.wait_connections(1).await.unwrap();
    let link = Link::of(&world);
    let mut turns = link.attach().await;
    let partial = |seq: u64, text: &str| json!({ "type": "partial", "seq": seq, "text": text });
    let shown = async |words: &str| {
        wait_row(&world, |row| row.via == "card" && row.text == words && !row.finished).await
    };
    for n in ["one", "two"] {
        world.app.say("user0001", n).await.unwrap();
    }
    // Both are open at the same time, in one conversation.
    let (one, two) = (turns.turn().await, turns.turn().await);
    link.event(&one, &partial(1, "to one")).await;
    link.event(&two, &partial(1, "to two")).await;
    shown("to one").await;
    shown("to two").await;
    let last = json!({ "type": "final", "seq": 2, "text": "all to two" });
    link.event(&two, &last).await;
    link.event(&two, &json!({ "type": "done", "seq": 3 })).await;
    wait_row(&world, |row| row.finished && row.text == "all to two").await;
    running.kill();
    world.wait_disconnected().await;

    let _running = world.start(&open);
    world.app.wait_connections(1).await.unwrap();
    let mut turns = link.attach().await;
    let again = turns.turn().await;
    assert_eq!(
        (&again["id"], &again["attempt"], &again["seq"]),
        (&one["id"], &2.into(), &0.into())
    );
    link.event(&again, &partial(1, "to one, again")).await;
    shown("to one, again").await;
    let last = json!({ "type": "final", "seq": 2, "text": "all to one" });
    link.event(&again, &last).await;
    link.event(&again, &json!({ "type": "done", "seq": 3 })).await;
    wait_row(&world, |row| row.finished && row.text == "all to one").await;
    assert_eq!((world.app.sent().unwrap().len(), calls(&world, CREATE)), (2, 2));
}

#[tokio::test]
async fn kills_at_random_moments_of_streamed_answers_lose_none_and_leave_no_card_open() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut chat = Chat::new().await;
    chat.model.slow_down(Duration::from_millis(120));
    let (mut said, mut counted) = (Vec::new(), 0);
    for round in 0..12 {
        for n in 0..random.random_range(1..4) {
            let text = format!("question {round}.{n}");
            let said_now = chat.world.app.say(&format!("user000{n}"), &text).await.unwrap();
            said.push((said_now.msg_id, slow_answer(&text)));
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_200))).await;
        counted += chat.kill_and_start().await;
    }
    let deliveries = chat.world.app.deliveries().unwrap();
    said.retain(|(msg_id, _)| {
        let delivery = deliveries.iter().find(|row| row.msg_id.as_ref() == Some(msg_id));
        delivery.is_some_and(|row| row.ack.is_some())
    });
    let settled = || {
        let sent = chat.world.app.sent().unwrap();
        let is_answer =
            |row: &SentRow, answer: &str| row.text == answer && (row.via != "card" || row.finished);
        let whole = said.iter().all(|(_, answer)| sent.iter().any(|row| is_answer(row, answer)));
        let final_cards = sent.iter().all(|row| row.via != "card" || row.finished);
        (whole && final_cards).then_some(sent)
    };
    let what = || format!("every answer, seed {seed}; {:#?}", chat.world.app.sent().unwrap());
    let sent = eventually(what, settled).await;
    counted += chat.running.log().matches(COUNTED).count();
    let answers = |answer: &str| sent.iter().filter(|row| row.text == answer).count();
    let twice: usize = said.iter().map(|(_, answer)| answers(answer) - 1).sum();
    assert!(twice <= counted, "seed {seed}: {twice} second answers, {counted} counted; {sent:#?}");
    assert!(said.len() > 6 && sent.iter().any(|row| row.via == "card"), "seed {seed}");
}
