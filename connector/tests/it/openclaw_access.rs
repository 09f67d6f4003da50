//! With OpenClaw every message is a turn, and OpenClaw decides. What the connector does by itself it does for those
//! whom the account's own rules admit, or for whom OpenClaw has worked before.

use mock_dingtalk::{Content, MsgType, Sample, Speech};
use serde_json::{Value, json};

use crate::link::done;
use crate::link_client::{Link, Turns};
use crate::support::{Running, World, eventually};

async fn start(args: &[&str]) -> (World, Running, Link, Turns) {
    let world = World::new().await;
    let (running, link, turns) = again(&world, args).await;
    (world, running, link, turns)
}

async fn again(world: &World, args: &[&str]) -> (Running, Link, Turns) {
    let running = world.start(&[&["--agent", "openclaw"], args].concat());
    world.app.wait_connections(1).await.expect("the connector connects");
    let link = Link::of(world);
    let turns = link.attach().await;
    (running, link, turns)
}

fn final_text(seq: u64, text: &str) -> Value {
    json!({ "type": "final", "seq": seq, "text": text })
}

fn sticker(user: &str) -> Speech {
    Speech::new(user, Content::of(MsgType::Unknown))
}

/// The agent fails at a turn, and the connector knows it.
async fn fail(link: &Link, turn: &Value, seq: u64) {
    let error = json!({ "type": "error", "seq": seq, "message": "no" });
    assert_eq!(link.event(turn, &error).await.0, 200);
}

fn texts(world: &World) -> Vec<String> {
    world.app.sent().unwrap().into_iter().map(|row| row.text).collect()
}

#[tokio::test]
async fn whom_the_rules_refuse_hears_nothing_of_the_connector_itself() {
    let (world, running, link, mut turns) =
        start(&["--dm-policy", "disabled", "--group-policy", "disabled"]).await;
    world.app.speak(&sticker("user0001")).await.unwrap();
    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    let turn = turns.turn().await;
    let picture = &turn["attachments"][0];
    assert_eq!(picture["path"], Value::Null, "{picture}");
    assert!(picture["missing"].as_str().unwrap().contains("can be sent again"), "{picture}");
    fail(&link, &turn, 1).await;
    world.app.say_in_group("user0002", "Team", "@robot hi").await.unwrap();
    let turn = turns.turn().await;
    fail(&link, &turn, 1).await;
    let lines = running.wait_log("decision=\"left to OpenClaw\"", 3).await;
    assert!(lines[0].contains("rule=\"dmPolicy=disabled\""), "{lines:?}");
    // OpenClaw may admit whom it will, and is heard.
    world.app.say("user0001", "hello").await.unwrap();
    let turn = turns.turn().await;
    link.event(&turn, &final_text(1, "from OpenClaw")).await;
    link.event(&turn, &done(2)).await;
    world.app.wait_sent(1).await.unwrap();
    assert_eq!(texts(&world), ["from OpenClaw"]);
    let journal = world.app.journal().unwrap();
    let calls = |path: &str| journal.iter().filter(|entry| entry.text.contains(path)).count();
    assert_eq!((calls("emotion/reply"), calls("messageFiles/download")), (0, 0));
}

#[tokio::test]
async fn whom_openclaw_works_for_is_known_from_then_on_over_restarts_too() {
    let (world, running, link, mut turns) = start(&[]).await;
    world.app.say("user0001", "who are you?").await.unwrap();
    let turn = turns.turn().await;
    // A code for a stranger is no work.
    link.event(&turn, &final_text(1, "your code is K7QXM2PA")).await;
    fail(&link, &turn, 2).await;
    world.app.speak(&sticker("user0001")).await.unwrap();
    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    let turn = turns.turn().await;
    assert_eq!(turn["attachments"][0]["path"], Value::Null, "{turn}");
    link.event(&turn, &json!({ "type": "typing", "seq": 1 })).await;
    fail(&link, &turn, 2).await;
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!(sent[0].text, "your code is K7QXM2PA");
    assert!(sent[1].text.contains("出错了"), "{}", sent[1].text);

    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    let turn = turns.turn().await;
    assert!(turn["attachments"][0]["path"].is_string(), "{turn}");
    let marks = || world.app.reactions().unwrap().len();
    eventually(|| "the mark".to_owned(), || (marks() == 1).then_some(())).await;
    link.event(&turn, &done(1)).await;
    world.app.speak(&sticker("user0001")).await.unwrap();
    assert!(world.app.wait_sent(3).await.unwrap()[2].text.contains("读不了"));

    running.kill();
    world.wait_disconnected().await;
    let (_running, link, mut turns) = again(&world, &[]).await;
    world.app.say_picture("user0002", Sample::Png.media()).await.unwrap();
    let turn = turns.turn().await;
    assert_eq!(turn["attachments"][0]["path"], Value::Null, "another person: {turn}");
    link.event(&turn, &done(1)).await;
    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    let turn = turns.turn().await;
    assert!(turn["attachments"][0]["path"].is_string(), "{turn}");
    link.event(&turn, &done(1)).await;
}
