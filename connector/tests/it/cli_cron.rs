//! `ddingtalk cron` beside a gateway that runs: what is scheduled is sent, once.

use std::time::Duration;

use mock_dingtalk::{Action, Fault, When};
use serde_json::{Value, json};

use crate::link_client::Link;
use crate::support::{Running, World, eventually, steady};

async fn start(agent: &str) -> (World, Running) {
    let world = World::new().await;
    let running = again(&world, agent).await;
    (world, running)
}

async fn again(world: &World, agent: &str) -> Running {
    let running = world.start(&["--agent", agent, "--dm-policy", "open", "--group-policy", "open"]);
    running.wait_log("agents can attach", 1).await;
    running
}

#[tokio::test]
async fn words_are_sent_when_their_time_has_come() {
    let (world, running) = start("none").await;
    let add = ["cron", "add", "--at", "1s", "--to", "user0001", "--text", "**time** is up"];
    let added = world.ask(&add).await;
    insta::assert_snapshot!(steady(&added, &[]), @r"
    exit code: 0
    --- stdout
    1 next TIME at TIME user:user0001 text: **time** is up
    --- stderr
    ");
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].to.as_str(), sent[0].text.as_str()), ("user0001", "**time** is up"));
    running.wait_log("a schedule was run", 1).await;
    insta::assert_snapshot!(steady(&world.ask(&["cron", "list"]).await, &[]), @r"
    exit code: 0
    --- stdout
    1 over at TIME user:user0001 text: **time** is up
    --- stderr
    ");
    // It is recorded a moment after it is logged.
    let history = world.ask_until(&["cron", "history", "1"], "done").await;
    insta::assert_snapshot!(steady(&history, &[]), @r"
    exit code: 0
    --- stdout
    done due TIME begun TIME ended TIME
    --- stderr
    ");
    assert_eq!(world.app.sent().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_killed_gateway_was_to_send_the_next_one_sends_once() {
    let (world, mut running) = start("none").await;
    let add = ["cron", "add", "--at", "1s", "--to", "user0001", "--text", "after all"];
    assert!(world.ask(&add).await.starts_with("exit code: 0\n"));
    let pattern = ["cron", "add", "--cron", "0 9 * * 1-5", "--tz", "Asia/Shanghai", "--to"];
    let pattern = [&pattern[..], &["chat:cidTeam", "--text", "hi", "--name", "daily"]].concat();
    insta::assert_snapshot!(steady(&world.ask(&pattern).await, &[]), @r"
    exit code: 0
    --- stdout
    2 next TIME cron 0 9 * * 1-5 Asia/Shanghai chat:cidTeam text: hi daily
    --- stderr
    ");
    let list = world.ask(&["cron", "list", "--json"]).await;
    running.kill_now();
    let _running = again(&world, "none").await;
    world.app.wait_sent(1).await.unwrap();
    let texts: Vec<_> = world.app.sent().unwrap().into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["after all"]);
    let row = |list: &str| {
        let list: Value = serde_json::from_str(list.lines().nth(2).unwrap()).unwrap();
        list["schedules"][1].clone()
    };
    let kept = row(&world.ask(&["cron", "list", "--json"]).await);
    assert_eq!(kept, row(&list));
    assert_eq!(
        (&kept["when"], &kept["name"]),
        (&json!("cron 0 9 * * 1-5 Asia/Shanghai"), &json!("daily"))
    );
}

#[tokio::test]
async fn what_is_being_sent_when_the_gateway_stops_is_sent_once() {
    let (world, mut running) = start("none").await;
    // On the mock's clock, which stands still until the gateway has been told to stop.
    world.mock.clock().pause();
    let slow = Action::Delay(Duration::from_secs(60));
    let send = When::Path("/v1.0/robot/oToMessages/batchSend".to_owned());
    world.app.fault(Fault::once(send, slow)).unwrap();
    let add = ["cron", "add", "--at", "1s", "--to", "user0001", "--text", "slowly"];
    assert!(world.ask(&add).await.starts_with("exit code: 0\n"));
    let hit = || world.app.faults().unwrap().iter().any(|row| row.hits == 1).then_some(());
    eventually(|| "the slow call".to_owned(), hit).await;
    running.terminate();
    running.wait_log("the stream stops", 1).await;
    world.mock.clock().advance(Duration::from_secs(61));
    assert_eq!(running.ended().await.code(), Some(0));
    let _running = again(&world, "none").await;
    world.ask_until(&["cron", "history", "1"], "done").await;
    let texts: Vec<_> = world.app.sent().unwrap().into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["slowly"]);
}

#[tokio::test]
async fn an_agent_answers_in_a_session_of_its_own() {
    let (world, _running) = start("attach").await;
    let link = Link::of(&world);
    let mut turns = link.attach().await;
    let add = ["cron", "add", "--every", "1h", "--to", "user0002", "--agent", "what is new?"];
    assert!(world.ask(&add).await.starts_with("exit code: 0\n"));
    let answering = async {
        let turn = turns.turn().await;
        assert_eq!(
            (&turn["text"], &turn["commandAuthorized"]),
            (&json!("what is new?"), &json!(false))
        );
        assert_eq!(turn["conversation"]["id"], "schedule 1 run 1");
        for event in [
            json!({ "seq": 1, "type": "block", "text": "much" }),
            json!({ "seq": 2, "type": "final", "text": "and more" }),
            json!({ "seq": 3, "type": "done" }),
        ] {
            let (status, answer) = link.event(&turn, &event).await;
            assert_eq!(status, 200, "{answer}");
        }
    };
    let run_now = ["cron", "run", "1"];
    let (ran, ()) = tokio::join!(world.ask(&run_now), answering);
    insta::assert_snapshot!(steady(&ran, &[]), @r"
    exit code: 0
    --- stdout
    done due TIME begun TIME ended TIME
    --- stderr
    ");
    let sent = world.app.wait_sent(2).await.unwrap();
    let sent: Vec<_> = sent.iter().map(|row| (row.to.as_str(), row.text.as_str())).collect();
    assert_eq!(sent, [("user0002", "much"), ("user0002", "and more")]);
}

#[tokio::test]
async fn a_schedule_is_switched_off_and_on_run_and_removed() {
    let (world, _running) = start("echo").await;
    let add =
        ["cron", "add", "--every", "1h", "--to", "nobody", "--agent", "hello", "--missed", "skip"];
    insta::assert_snapshot!(steady(&world.ask(&add).await, &[]), @r"
    exit code: 0
    --- stdout
    1 next TIME every 1h user:nobody agent: hello
    --- stderr
    ");
    let ran = world.ask(&["cron", "run", "1"]).await;
    insta::assert_snapshot!(steady(&ran, &[]), @r"
    exit code: 1
    --- stdout
    failed due TIME begun TIME ended TIME user:nobody: DingTalk does not know the recipient, or it may not see the robot
    --- stderr
    error: schedule 1 failed: user:nobody: DingTalk does not know the recipient, or it may not see the robot
    ");
    insta::assert_snapshot!(steady(&world.ask(&["cron", "disable", "1"]).await, &[]), @r"
    exit code: 0
    --- stdout
    1 disabled every 1h user:nobody agent: hello
    --- stderr
    ");
    insta::assert_snapshot!(steady(&world.ask(&["cron", "enable", "1"]).await, &[]), @r"
    exit code: 0
    --- stdout
    1 next TIME every 1h user:nobody agent: hello
    --- stderr
    ");
    insta::assert_snapshot!(world.ask(&["cron", "remove", "1"]).await, @r"
    exit code: 0
    --- stdout
    removed: 1
    --- stderr
    ");
    insta::assert_snapshot!(world.ask(&["cron", "list"]).await, @r"
    exit code: 0
    --- stdout
    --- stderr
    nothing is scheduled
    ");
    insta::assert_snapshot!(world.ask(&["cron", "history", "1"]).await, @r"
    exit code: 1
    --- stdout
    --- stderr
    error: there is no schedule 1; see `ddingtalk cron list`
    ");
    insta::assert_snapshot!(world.ask(&["cron", "remove", "1"]).await, @r"
    exit code: 1
    --- stdout
    --- stderr
    error: there is no schedule 1; see `ddingtalk cron list`
    ");
}

#[tokio::test]
async fn what_cannot_be_scheduled_is_told_with_what_can() {
    let (world, running) = start("echo").await;
    let add = async |args: &[&str]| world.ask(&[&["cron", "add"], args].concat()).await;
    let text = ["--to", "user0001", "--text", "x"];
    let with = |when: [&'static str; 2]| [&when[..], &text].concat();
    insta::assert_snapshot!(add(&with(["--cron", "0 25 * * *"])).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --cron is "0 25 * * *" (Component error: Number out of bounds); give five fields (minute, hour, day of month, month, day of week) such as 0 9 * * 1-5
    "#);
    insta::assert_snapshot!(add(&[&with(["--cron", "0 0 30 2 *"])[..], &["--tz", "UTC"]].concat()).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: nothing is ever due at these times: cron 0 0 30 2 * UTC; give times to come
    ");
    insta::assert_snapshot!(add(&with(["--at", "2020-01-01T09:00"])).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: at is "2020-01-01T09:00", which is past; give a time to come: 2026-12-01T09:00 (as the zone's clocks show it), 2026-12-01T09:00+08:00, or from now on, such as 20m
    "#);
    insta::assert_snapshot!(add(&with(["--every", "500ms"])).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --every is "500ms"; give a time from 1s to 1 year, in whole seconds, such as 1h or 1h 30m
    "#);
    insta::assert_snapshot!(add(&with(["--every", "soon"])).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --every is "soon"; give a time from 1s to 1 year, in whole seconds, such as 1h or 1h 30m
    "#);
    let zone = [&with(["--cron", "0 9 * * *"])[..], &["--tz", "Shanghai"]].concat();
    insta::assert_snapshot!(add(&zone).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --tz is "Shanghai"; give the IANA name of a time zone, such as Asia/Shanghai
    "#);
    insta::assert_snapshot!(add(&["--at", "1h", "--to", "team:1", "--text", "x"]).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: to is "team:1"; give a staffId, user:STAFFID or chat:OPENCONVERSATIONID, each with ddingtalk: before it or not
    "#);
    insta::assert_snapshot!(add(&text).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      <--every <TIME>|--cron <PATTERN>|--at <TIME>>

    Usage: ddingtalk cron add --to <TARGET> <--every <TIME>|--cron <PATTERN>|--at <TIME>> <--text <TEXT>|--agent <PROMPT>>

    For more information, try '--help'.
    ");
    drop(running);
    insta::assert_snapshot!(add(&with(["--every", "1x"])).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --every is "1x"; give a time from 1s to 1 year, in whole seconds, such as 1h or 1h 30m
    "#);
    let list = world.ask(&["cron", "list"]).await;
    assert!(list.starts_with("exit code: 14\n"), "{list}");
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_told_of() {
    let (world, running) = start("none").await;
    let add = ["cron", "add", "--every", "1h", "--to", "user0001", "--agent", "anything?"];
    assert!(world.ask(&add).await.starts_with("exit code: 0\n"));
    insta::assert_snapshot!(steady(&world.ask(&["cron", "run", "1"]).await, &[]), @r"
    exit code: 0
    --- stdout
    done due TIME begun TIME ended TIME the agent said nothing
    --- stderr
    schedule 1: the agent said nothing, so that nothing was sent
    ");
    let history = world.ask(&["cron", "history", "1"]).await;
    assert!(history.contains("the agent said nothing"), "{history}");
    assert_eq!(running.lines("a schedule was run, and nothing was sent").len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_uploaded_for_now_is_sent_later() {
    let (world, running) = start("echo").await;
    let upload = When::Path("/media/upload".to_owned());
    let away = Action::code(200, "90018", "too fast");
    world.app.fault(Fault::first(4, upload, away)).unwrap();
    let link = Link::of(&world);
    let path = world.dir.path().join("a.txt");
    std::fs::write(&path, "a").unwrap();
    let push = json!({ "to": "user0001", "file": { "path": path } });
    let (_, answer) = link.post("/v1/messages", &push).await;
    assert_eq!(answer["results"][0]["status"], "failed", "{answer}");
    assert_eq!(answer["results"][0]["mayHaveArrived"], false, "{answer}");
    assert!(running.lines("a push cannot be sent").len() == 1);
    let (_, answer) = link.post("/v1/messages", &push).await;
    assert_eq!(answer["results"][0]["status"], "delivered", "{answer}");
}
