//! The agent link over its socket: turns out, events in, across reconnects and `kill -9`.

use std::time::Duration;

use dingtalk_connector::tls;
use mock_dingtalk::{Action, Fault, Sample, Times, When};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::link_client::{Link, Turns};
use crate::support::{Running, World, eventually};

pub(crate) const OPEN: [&str; 6] =
    ["--agent", "attach", "--dm-policy", "open", "--group-policy", "open"];
const WEBHOOK: &str = "/robot/sendBySession";
/// How the program says that it repeats a send that may have arrived.
const COUNTED: &str = "a send that may have arrived is repeated";

async fn start(world: &World) -> Running {
    let running = world.start(&OPEN);
    world.app.wait_connections(1).await.expect("the connector connects");
    running
}

pub(crate) async fn attached() -> (World, Running, Link, Turns) {
    let world = World::new().await;
    let running = start(&world).await;
    let link = Link::of(&world);
    let turns = link.attach().await;
    (world, running, link, turns)
}

pub(crate) fn block(seq: u64, text: &str) -> Value {
    json!({ "v": 1, "type": "block", "seq": seq, "text": text })
}

pub(crate) fn done(seq: u64) -> Value {
    json!({ "type": "done", "seq": seq })
}

fn texts(sent: &[mock_dingtalk::SentRow]) -> Vec<&str> {
    sent.iter().map(|row| row.text.as_str()).collect()
}

#[tokio::test]
async fn an_attached_agent_answers_and_each_event_counts_once() {
    let world = World::new().await;
    // Whether what it says after a partial becomes a card depends on the machine.
    let _running = world.start(&[&OPEN[..], &["--cards", "off"]].concat());
    world.app.wait_connections(1).await.unwrap();
    let link = Link::of(&world);
    let mut turns = link.attach().await;
    let said = world.app.say_in_group("user0001", "Team", "/new hello").await.unwrap();
    let turn = turns.turn().await;
    assert_eq!((&turn["v"], &turn["attempt"], &turn["seq"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(turn["text"], "/new hello", "commands are the agent's own");
    assert_eq!(turn["commandAuthorized"], true);
    assert_eq!(turn["clientId"], world.app.client_id());
    assert_eq!(turn["msgId"], said.msg_id);
    assert_eq!(turn["sender"]["staffId"], "user0001");
    let conversation = &turn["conversation"];
    assert_eq!((&conversation["type"], &conversation["title"]), (&json!("group"), &json!("Team")));
    assert_eq!(conversation["target"], format!("chat:{}", said.conversation_id));

    let ok = |seq: u64| (200, json!({ "v": 1, "seq": seq }));
    let repeat = |seq: u64| (200, json!({ "v": 1, "seq": seq, "repeat": true }));
    assert_eq!(link.event(&turn, &json!({ "type": "typing", "seq": 1 })).await, ok(1));
    let partial = json!({ "type": "partial", "seq": 2, "text": "on" });
    assert_eq!(link.event(&turn, &partial).await, ok(2));
    assert_eq!(link.event(&turn, &block(3, "one")).await, ok(3));
    assert_eq!(link.event(&turn, &block(3, "one")).await, repeat(3));
    let (status, gap) = link.event(&turn, &block(5, "three")).await;
    assert_eq!((status, &gap["expected"]), (409, &json!(4)), "{gap}");
    let last = json!({ "type": "final", "seq": 4, "text": "**two**" });
    assert_eq!(link.event(&turn, &last).await, ok(4));
    assert_eq!(link.event(&turn, &done(5)).await, ok(5));
    assert_eq!(link.event(&turn, &done(5)).await, repeat(5));
    let (status, problem) = link.event(&turn, &block(6, "late")).await;
    assert_eq!((status, problem["error"].as_str()), (409, Some("the turn has ended")));

    // The next answer of the chat comes behind whatever was said before.
    world.app.say_in_group("user0001", "Team", "more").await.unwrap();
    let next = turns.turn().await;
    link.event(&next, &block(1, "last")).await;
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!(texts(&sent), ["one", "**two**", "last"]);
    assert_eq!((sent[0].msgtype.as_str(), sent[1].msgtype.as_str()), ("text", "markdown"));
}

#[tokio::test]
async fn turns_are_offered_in_order_without_waiting_for_the_one_before() {
    let (world, _running, link, mut turns) = attached().await;
    // Its picture has to be fetched first; what comes behind it does not overtake it.
    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    for n in 1..4 {
        world.app.say("user0001", &n.to_string()).await.unwrap();
    }
    let mut offered = Vec::new();
    for _ in 0..4 {
        offered.push(turns.turn().await);
    }
    let told: Vec<_> = offered.iter().map(|turn| turn["text"].as_str().unwrap()).collect();
    assert_eq!(told, ["[picture 1]", "1", "2", "3"]);
    let picture = &offered[0]["attachments"][0];
    let path = picture["path"].as_str().expect("it was fetched");
    assert_eq!(std::fs::read(path).unwrap(), Sample::Png.media().bytes);
    // Each answer goes its own way.
    link.event(&offered[2], &block(1, "to 2")).await;
    world.app.wait_sent(1).await.unwrap();
    link.event(&offered[1], &block(1, "to 1")).await;
    world.app.wait_sent(2).await.unwrap();
    link.event(&offered[2], &block(2, "more to 2")).await;
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!(texts(&sent), ["to 2", "to 1", "more to 2"]);
    let (_, status) = link.get("/v1/status").await;
    assert_eq!(
        (&status["robots"][0]["openTurns"], &status["robots"][0]["attached"]),
        (&json!(4), &json!(true))
    );
}

#[tokio::test]
async fn one_conversation_has_no_more_than_its_share_open() {
    let (world, _running, link, mut turns) = attached().await;
    for n in 0..33 {
        world.app.say("user0001", &n.to_string()).await.unwrap();
    }
    world.app.wait_acked(33).await.unwrap();
    let mut first = Value::Null;
    for n in 0..32 {
        let turn = turns.turn().await;
        assert_eq!(turn["text"], n.to_string());
        if n == 0 {
            first = turn;
        }
    }
    // Another chat is not in its way, and what it brings comes before the 33rd.
    world.app.say("user0002", "and I").await.unwrap();
    assert_eq!(turns.turn().await["text"], "and I");
    link.event(&first, &done(1)).await;
    assert_eq!(turns.turn().await["text"], "32");
}

#[tokio::test]
async fn after_a_reconnect_every_unfinished_turn_comes_again() {
    let (world, _running, link, mut turns) = attached().await;
    for text in ["a", "b", "c"] {
        world.app.say("user0001", text).await.unwrap();
    }
    let (a, b, c) = (turns.turn().await, turns.turn().await, turns.turn().await);
    link.event(&a, &block(1, "to a")).await;
    link.event(&b, &done(1)).await;
    drop(turns);
    let mut turns = link.attach().await;
    for (before, seq) in [(a, 1), (c, 0)] {
        let again = turns.turn().await;
        assert_eq!((&again["id"], &again["text"]), (&before["id"], &before["text"]));
        assert_eq!((&again["attempt"], &again["seq"]), (&json!(2), &json!(seq)));
        assert_eq!(link.event(&again, &done(seq + 1)).await.0, 200);
    }
    assert_eq!(texts(&world.app.wait_sent(1).await.unwrap()), ["to a"]);
}

#[tokio::test]
async fn a_second_agent_replaces_the_first() {
    let (world, _running, link, mut first) = attached().await;
    world.app.say("user0001", "hi").await.unwrap();
    let offered = first.turn().await;
    let mut second = link.attach().await;
    assert_eq!(first.next().await.expect("a last line")["type"], "replaced");
    assert_eq!(first.next().await, None);
    let again = second.turn().await;
    assert_eq!((&again["id"], &again["attempt"]), (&offered["id"], &json!(2)));
    // What the first one still has to say is not taken for the second one's.
    let mut stale = block(1, "from the first");
    stale["attempt"] = offered["attempt"].clone();
    let (status, problem) = link.event(&offered, &stale).await;
    assert_eq!((status, &problem["attempt"]), (409, &json!(2)), "{problem}");
    let mut fresh = block(1, "from the second");
    fresh["attempt"] = again["attempt"].clone();
    assert_eq!(link.event(&again, &fresh).await.0, 200);
    assert_eq!(texts(&world.app.wait_sent(1).await.unwrap()), ["from the second"]);
}

#[tokio::test]
async fn an_agent_that_fails_or_falls_silent_is_told_to_the_user() {
    let world = World::new().await;
    let args: Vec<_> = OPEN.into_iter().chain(["--agent-timeout", "400ms"]).collect();
    let running = world.start(&args);
    world.app.wait_connections(1).await.unwrap();
    let link = Link::of(&world);
    let mut turns = link.attach().await;
    world.app.say("user0001", "fail").await.unwrap();
    let turn = turns.turn().await;
    let failure = json!({ "type": "error", "seq": 1, "message": "no model" });
    assert_eq!(link.event(&turn, &failure).await.0, 200);
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].text.contains("something went wrong") && !sent[0].text.contains("no model"));
    assert_eq!(running.lines("the agent failed: no model").len(), 1);
    world.app.say("user0001", "be silent").await.unwrap();
    let turn = turns.turn().await;
    let ended = turns.next().await.expect("a line");
    assert_eq!(ended, json!({ "v": 1, "type": "ended", "id": turn["id"] }));
    assert_eq!(link.event(&turn, &block(1, "late")).await.0, 409);
    let sent = world.app.wait_sent(2).await.unwrap();
    assert!(sent[1].text.contains("something went wrong"), "{sent:?}");
    assert_eq!(running.lines("nothing came from the attached agent for 400ms").len(), 1);
}

#[tokio::test]
async fn an_event_that_waits_for_dingtalk_is_no_silence_of_the_agent() {
    // The first one is more parts than may wait, so that the second one has to.
    const LONG: usize = 1_000_000;
    let world = World::new().await;
    let args: Vec<_> = OPEN.into_iter().chain(["--agent-timeout", "1s"]).collect();
    let running = world.start(&args);
    world.app.wait_connections(1).await.unwrap();
    let busy = Action::code(200, "-1", "busy");
    let path = When::Path(WEBHOOK.to_owned());
    world.app.fault(Fault { when: path, times: Times::Always, action: busy }).unwrap();
    let link = Link::of(&world);
    let mut turns = link.attach().await;
    world.app.say("user0001", "much").await.unwrap();
    let turn = turns.turn().await;
    let speaking = tokio::spawn({
        let link = link.clone();
        async move {
            for event in [block(1, &"x".repeat(LONG)), done(2)] {
                assert_eq!(link.event(&turn, &event).await.0, 200);
            }
        }
    });
    // Four pauses before five tries take longer than the agent may be silent.
    let tries = || {
        let tries: u64 = world.app.faults().unwrap().iter().map(|row| row.hits).sum();
        (tries >= 5).then_some(())
    };
    eventually(|| "five tries".to_owned(), tries).await;
    assert!(!speaking.is_finished(), "what cannot be sent holds the agent back");
    world.app.clear_faults().unwrap();
    speaking.await.unwrap();
    let parts = LONG.div_ceil(15_000);
    let sent = world.app.wait_sent(parts).await.unwrap();
    let letters: usize = sent.iter().map(|row| row.text.matches('x').count()).sum();
    assert_eq!(letters, LONG);
    drop(running);
}

#[tokio::test]
async fn kill_in_the_middle_of_a_turn_and_nothing_is_said_twice() {
    let (world, running, link, mut turns) = attached().await;
    // Nothing arrives before the kill.
    let hang =
        Fault { when: When::Path(WEBHOOK.to_owned()), times: Times::Always, action: Action::Hang };
    world.app.fault(hang).unwrap();
    world.app.say("user0001", "hi").await.unwrap();
    let turn = turns.turn().await;
    link.event(&turn, &json!({ "type": "typing", "seq": 1 })).await;
    assert_eq!(link.event(&turn, &block(2, "one")).await.0, 200);
    link.event(&turn, &json!({ "type": "typing", "seq": 3 })).await;
    running.kill();
    assert_eq!(turns.next().await, None);
    world.app.clear_faults().unwrap();
    let _running = world.start(&OPEN);
    let mut turns = link.attach().await;
    let again = turns.turn().await;
    assert_eq!((&again["id"], &again["attempt"]), (&turn["id"], &json!(2)));
    assert_eq!(again["seq"], 2, "what is kept counts, what was shown in passing is gone");
    let (status, answer) = link.event(&again, &block(2, "one")).await;
    assert_eq!((status, &answer["repeat"]), (200, &json!(true)));
    assert_eq!(link.event(&again, &block(3, "two")).await.0, 200);
    assert_eq!(link.event(&again, &done(4)).await.0, 200);
    world.app.say("user0001", "and now?").await.unwrap();
    let next = turns.turn().await;
    assert_eq!(next["text"], "and now?");
    world.app.wait_sent(2).await.unwrap();
    link.event(&next, &block(1, "three")).await;
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!(texts(&sent), ["one", "two", "three"]);
}

/// Posts an event until it is taken, as an agent does that asks one thing after the other.
async fn insist(link: &Link, path: &str, mut event: Value) -> u64 {
    loop {
        let answer = link.post_raw(path, event.to_string().as_bytes()).await;
        match answer {
            Some((200, answer)) => return answer["seq"].as_u64().unwrap(),
            Some((409, answer)) if answer["expected"].is_u64() => {
                event["seq"] = answer["expected"].clone();
            }
            // The turn is not open again yet, or the program is away.
            Some((409, _)) | None => tokio::time::sleep(Duration::from_millis(5)).await,
            Some(other) => panic!("{other:?}"),
        }
    }
}

const EVENTS: usize = 80;
/// A tenth one in a row would have the message parked.
const KILLS: usize = 7;

fn said(n: usize) -> String {
    format!("number {n}")
}

#[tokio::test]
async fn kill_at_random_points_and_every_event_that_was_taken_is_said_once_and_in_order() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (world, mut running, link, mut turns) = attached().await;
    world.app.say("user0001", "count").await.unwrap();
    let path = Link::events(&turns.turn().await);
    let mut counted = 0;
    let (taken, mut progress) = watch::channel(0);
    let speaking = tokio::spawn({
        let (link, path) = (link.clone(), path.clone());
        async move {
            let mut seq = 0;
            for n in 0..EVENTS {
                seq = insist(&link, &path, block(seq + 1, &said(n))).await;
                taken.send_replace(n);
            }
            seq
        }
    });
    for kill in 1..=KILLS {
        let some = kill * EVENTS / (KILLS + 1);
        progress.wait_for(|taken| *taken >= some).await.unwrap();
        // Anywhere in what happens next.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..4_000))).await;
        counted += running.kill().matches(COUNTED).count();
        running = world.start(&OPEN);
    }
    let seq = speaking.await.unwrap();
    assert_eq!(link.post(&path, &done(seq + 1)).await.0, 200);
    let all = || {
        let sent = world.app.sent().expect("the app exists");
        sent.iter().any(|row| row.text == said(EVENTS - 1)).then_some(sent)
    };
    let sent = eventually(|| running.log(), all).await;
    counted += running.log().matches(COUNTED).count();
    let mut heard: Vec<_> = texts(&sent);
    let before = heard.len();
    heard.dedup();
    let expected: Vec<_> = (0..EVENTS).map(said).collect();
    assert_eq!(heard, expected, "each one, in order, repeats aside");
    assert!(
        before - heard.len() <= counted,
        "{} second ones, {counted} counted",
        before - heard.len()
    );
}

#[tokio::test]
async fn wrong_requests_are_told_what_would_be_right() {
    let (world, _running, link, mut turns) = attached().await;
    world.app.say("user0001", "hi").await.unwrap();
    let turn = turns.turn().await;
    let events = Link::events(&turn);
    let missing = json!({ "type": "block", "seq": 1, "media": { "path": "/no/such/file" } });
    for (path, body, status, part) in [
        (
            events.as_str(),
            json!({ "seq": 1, "type": "say" }),
            400,
            r#"type is "say"; give one of typing"#,
        ),
        (&events, missing, 400, r#"path is "/no/such/file"; give a regular file that is there"#),
        ("/v1/agent/turns/none/events", block(1, "x"), 409, "no such turn is open"),
        ("/v1/agent/turns/99999/events", block(1, "x"), 409, "no such turn is open"),
        (
            "/v1/agent/turns/1/events?clientId=other",
            block(1, "x"),
            409,
            r#"clientId is "other"; give one of "#,
        ),
        (
            "/v1/messages",
            json!({ "to": "user:", "text": "x" }),
            400,
            r#"to is "user:"; give a staffId"#,
        ),
        (
            "/v1/messages",
            json!({ "to": "a", "text": "x", "clientId": "other" }),
            400,
            r#"clientId is "other"; give one of "#,
        ),
        (
            "/v1/messages",
            json!({ "to": "a", "card": "x".repeat(15_001) }),
            400,
            "card has 15001 bytes; give at most 15000",
        ),
        ("/v2", json!({}), 404, "there is GET /v1/agent/turns"),
        ("/v1/status", json!({}), 405, "there is GET /v1/agent/turns"),
    ] {
        let (found, answer) = link.post(path, &body).await;
        assert_eq!(found, status, "{path} {answer}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{path} {answer}");
    }
    for path in [&events, "/v1/messages"] {
        let (status, answer) = link.post_raw(path, &vec![b' '; 7 << 20]).await.expect("an answer");
        assert_eq!(status, 413, "{answer}");
        assert_eq!(answer["error"], "the body is too large; give at most 1048576 bytes");
    }
    let (status, health) = link.get("/v1/health").await;
    assert_eq!((status, &health["v"], &health["ok"]), (200, &json!(1), &json!(true)));
    // None of it counted.
    assert_eq!(link.event(&turn, &done(1)).await.0, 200);
}

#[tokio::test]
async fn a_robot_with_an_agent_of_its_own_gives_no_turns_away() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    let link = Link::of(&world);
    let (status, answer) = link.get("/v1/agent/turns").await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("--agent attach"), "{answer}");
    let (_, status) = link.get("/v1/status").await;
    let robot = &status["robots"][0];
    assert_eq!((&robot["agent"], &robot["stream"]), (&json!("echo"), &json!("connected")));
}

#[tokio::test]
async fn on_a_port_it_wants_the_token_of_a_private_file() {
    let world = World::new().await;
    let args: Vec<_> = OPEN.into_iter().chain(["--agent-listen", "127.0.0.1:0"]).collect();
    let running = world.start(&args);
    world.app.wait_connections(1).await.unwrap();
    let file = world.dir.path().join("ddingtalk/agent.json");
    let known: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (url, token) = (known["url"].as_str().unwrap(), known["token"].as_str().unwrap());
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls::no_trust()).clone())
        .no_proxy()
        .build()
        .unwrap();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    let health = format!("{url}/v1/health");
    assert_eq!(status(http.get(&health)).await, 401);
    assert_eq!(status(http.get(&health).bearer_auth("wrong")).await, 401);
    assert_eq!(status(http.get(&health).bearer_auth(token)).await, 200);
    assert!(running.lines(token).is_empty(), "the token is not logged");
    assert!(!Link::of(&world).exists());
}
