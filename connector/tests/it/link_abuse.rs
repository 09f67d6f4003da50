//! The agent link under abuse: agents that loop, crowd in, or name what is no file; and what status tells.

use mock_dingtalk::SentRow;
use serde_json::{Value, json};

use dingtalk_connector::agent::Say;

use crate::link::{OPEN, attached, block, done};
use crate::scripted::Scripted;
use crate::support::World;

fn texts(sent: &[SentRow]) -> Vec<&str> {
    sent.iter().map(|row| row.text.as_str()).collect()
}

#[tokio::test]
async fn an_agent_that_says_a_hundred_things_is_slowed_down_and_told() {
    let (world, running, link, mut turns) = attached().await;
    world.app.say("user0001", "go on").await.unwrap();
    let turn = turns.turn().await;
    for seq in 1..=40 {
        assert_eq!(link.event(&turn, &block(seq, &seq.to_string())).await.0, 200, "{seq}");
    }
    for _ in 0..60 {
        let (status, answer) = link.event(&turn, &block(41, "more")).await;
        assert_eq!(status, 429, "{answer}");
        assert!((1..=60_001).contains(&answer["retryAfterMs"].as_u64().unwrap()), "{answer}");
    }
    assert_eq!(running.lines("does it loop?").len(), 1, "the operator is told, once");
    // The recipient's limit is one, whoever writes.
    let push = json!({ "to": "user0001", "text": "and a push" });
    let (_, answer) = link.post("/v1/messages", &push).await;
    assert_eq!(answer["results"][0]["status"], "limited");
    // What is refused does not count, and the turn can end; the next answer is not held back.
    assert_eq!(link.event(&turn, &done(41)).await.0, 200);
    world.app.say("user0001", "and now?").await.unwrap();
    let next = turns.turn().await;
    assert_eq!(link.event(&next, &block(1, "here")).await.0, 200);
    let sent = world.app.wait_sent(41).await.unwrap();
    let said: Vec<_> = (1..=40).map(|n: u64| n.to_string()).chain(["here".to_owned()]).collect();
    assert_eq!(texts(&sent), said);
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_hangs_nothing() {
    let (world, _running, link, mut turns) = attached().await;
    world.app.say("user0001", "hi").await.unwrap();
    let turn = turns.turn().await;
    let pipe = world.dir.path().join("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let link_to_it = world.dir.path().join("link.png");
    std::os::unix::fs::symlink(&pipe, &link_to_it).unwrap();
    let paths = [pipe.as_path(), &link_to_it, "/dev/zero".as_ref(), world.dir.path()];
    for path in paths {
        let file = json!({ "path": path });
        let event = json!({ "type": "block", "seq": 1, "media": file });
        let (status, answer) = link.event(&turn, &event).await;
        assert_eq!(status, 400, "{answer}");
        let (status, answer) =
            link.post("/v1/messages", &json!({ "to": "user0001", "file": file })).await;
        assert_eq!(status, 400, "{answer}");
    }
}

#[tokio::test]
async fn agents_that_attach_at_once_leave_one_with_the_turns() {
    let (world, _running, link, mut first) = attached().await;
    world.app.say("user0001", "hi").await.unwrap();
    assert_eq!(first.turn().await["attempt"], 1);
    let attaching: Vec<_> = (0..20)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move {
                let mut turns = link.attach().await;
                let mut lines = Vec::new();
                while let Some(line) = turns.next().await {
                    let last = line["type"] == "replaced";
                    lines.push(line);
                    if last {
                        break;
                    }
                    if lines.len() == 1 && lines[0]["attempt"].as_u64() == Some(21) {
                        break;
                    }
                }
                (turns, lines)
            })
        })
        .collect();
    let (mut replaced, mut last) = (0, Value::Null);
    let mut open = Vec::new();
    for agent in attaching {
        let (turns, lines) = agent.await.unwrap();
        open.push(turns);
        if lines.last().unwrap()["type"] == "replaced" {
            replaced += 1;
        } else {
            last = lines[0].clone();
        }
    }
    assert_eq!(replaced, 19, "all but one");
    assert_eq!(last["text"], "hi");
    let stale =
        json!({ "type": "done", "seq": 1, "attempt": last["attempt"].as_u64().unwrap() - 1 });
    assert_eq!(link.event(&last, &stale).await.0, 409);
    assert_eq!(link.event(&last, &done(1)).await.0, 200);
}

#[tokio::test]
async fn status_tells_how_a_robot_is_doing_and_counts_calls_across_restarts() {
    let (world, running, link, mut turns) = attached().await;
    world.app.say("user0001", "hi").await.unwrap();
    turns.turn().await;
    link.post("/v1/messages", &json!({ "to": "user0001", "text": "a call" })).await;
    let (_, status) = link.get("/v1/status").await;
    let robot = &status["robots"][0];
    assert_eq!((&robot["stream"], &robot["agent"]), (&json!("connected"), &json!("attach")));
    assert_eq!((&robot["attached"], &robot["openTurns"]), (&json!(true), &json!(1)));
    assert_eq!(robot["queue"], json!({ "waiting": 0, "running": 1 }));
    assert_eq!((&robot["possibleDuplicates"], &robot["openCards"]), (&json!(0), &json!(0)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let since = robot["streamSince"].as_u64().unwrap();
    assert!((since..since + 60_000).contains(&u64::try_from(now.as_millis()).unwrap()), "{robot}");
    let calls = &robot["calls"];
    assert_eq!((&calls["perSecond"], &calls["strained"]), (&json!(20), &json!(false)));
    let counted = calls["thisMonth"].as_u64().unwrap();
    assert!(counted >= 1, "{robot}");
    assert!(!status.to_string().contains(world.app.client_secret()));
    let mut running = running;
    link.event(&json!({ "id": "1" }), &done(1)).await;
    running.terminate();
    running.ended().await;
    world.wait_disconnected().await;
    let _running = world.start(&OPEN);
    world.app.wait_connections(1).await.unwrap();
    let (_, status) = link.get("/v1/status").await;
    let after = status["robots"][0]["calls"]["thisMonth"].as_u64().unwrap();
    assert!(after >= counted, "{after} of {counted}");
}

#[tokio::test]
async fn an_agent_within_that_says_a_hundred_things_waits_and_none_is_lost_or_said_twice() {
    let world = World::new().await;
    let says = || (1..=100).map(|n| Say::text(n.to_string())).collect();
    let numbers = |last: usize| (1..=last).map(|n| n.to_string()).collect::<Vec<_>>();
    let gateway = world.start_with(Scripted::new([("count", says())])).await;
    world.app.say("user0001", "count").await.unwrap();
    assert_eq!(texts(&world.app.wait_sent(40).await.unwrap()), numbers(40));
    assert_eq!(gateway.stop().await, 1, "the rest waits");
    assert_eq!(texts(&world.app.sent().unwrap()), numbers(40));
    // The next process has counted nothing yet, but knows what was said.
    let gateway = world.start_with(Scripted::new([("count", says())])).await;
    assert_eq!(texts(&world.app.wait_sent(60).await.unwrap()), numbers(60));
    gateway.abort();
}

#[tokio::test]
async fn what_cannot_be_read_of_a_path_or_query_is_refused_in_json() {
    let (_world, _running, link, _turns) = attached().await;
    for path in [
        "/v1/schedules/one/runs",
        "/v1/schedules/1/runs?limit=many",
        "/v1/schedules/1/runs?limit=-1",
        "/v1/messages/%FF/read",
        "/v1/agent/turns/%FF/events",
    ] {
        let (status, answer) = link.get(path).await;
        // A turn is only written to.
        let expected = if path.ends_with("events") { 405 } else { 400 };
        assert_eq!((status, &answer["v"]), (expected, &json!(1)), "{path}: {answer}");
        assert!(answer["error"].is_string(), "{path}: {answer}");
    }
    for path in ["/v1/inbox/one/retry", "/v1/inbox/1e3/drop", "/v1/schedules/%20/run"] {
        let (status, answer) = link.post(path, &json!({})).await;
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("give numbers"), "{path}: {answer}");
    }
}
