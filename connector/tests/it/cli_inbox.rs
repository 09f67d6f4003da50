//! `ddingtalk trace` and `ddingtalk inbox`, beside a gateway that runs, and without one.

use mock_dingtalk::{Action, Fault, When};
use serde_json::Value;

use crate::support::{Running, World, steady};

async fn start(agent: &str) -> (World, Running) {
    let world = World::new().await;
    let running = world.start(&["--agent", agent, "--dm-policy", "open", "--group-policy", "open"]);
    world.app.wait_connections(1).await.expect("the connector connects");
    running.wait_log("agents can attach", 1).await;
    (world, running)
}

#[tokio::test]
async fn an_answered_message_is_traced_while_the_gateway_runs_and_afterwards() {
    let (world, mut running) = start("echo").await;
    let said = world.app.say("user0001", "hello").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let trace = ["trace", &said.msg_id];
    let words = [(said.msg_id.as_str(), "MSGID"), (world.app.client_id(), "APP")];
    let while_running = steady(&world.ask_until(&trace, " done\n").await, &words);
    insta::assert_snapshot!(while_running, @r"
    exit code: 0
    --- stdout
    message 1 done
    msgId MSGID
    messageId ID
    clientId APP
    chat ID
    trace ID
    TIME +N ms received
    TIME +N ms stored
    TIME +N ms acked
    TIME +N ms queued
    TIME +N ms agent
    TIME +N ms said
    TIME +N ms ended
    TIME +N ms sent by sessionWebhook
    TIME +N ms done
    --- stderr
    ");
    running.terminate();
    running.ended().await;
    assert_eq!(steady(&world.ask(&trace).await, &words), while_running);
    let json = world.ask(&["trace", &said.msg_id, "--json"]).await;
    let json: Value = serde_json::from_str(json.lines().nth(2).unwrap()).unwrap();
    let steps = json["traces"][0]["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let last = ["said", "ended", "sent", "done"];
    assert_eq!(names[..5], ["received", "stored", "acked", "queued", "agent"]);
    assert_eq!(names[5..], last);
    let times: Vec<_> = steps.iter().map(|step| step["at"].as_i64().unwrap()).collect();
    assert!(times.is_sorted(), "{json}");
    insta::assert_snapshot!(world.ask(&["trace", "msgNobodySent"]).await, @r#"
    exit code: 1
    --- stdout
    --- stderr
    error: no message has the msgId or messageId "msgNobodySent"; `ddingtalk inbox list --all` names those of the last 7 days, and `ddingtalk logs` says by an audit line why one was not kept
    "#);
}

#[tokio::test]
async fn an_answer_that_failed_is_listed_shown_and_sent_after_a_retry() {
    let (world, running) = start("echo").await;
    let on = |path: &str| When::Path(path.to_owned());
    let gone = Action::code(200, "300001", "session 不存在");
    world.app.fault(Fault::always(on("/robot/sendBySession"), gone)).unwrap();
    let no = Action::code(400, "invalidParameter", "no such robot");
    world.app.fault(Fault::always(on("/v1.0/robot/oToMessages/batchSend"), no)).unwrap();
    insta::assert_snapshot!(world.ask(&["inbox", "list"]).await, @r"
    exit code: 0
    --- stdout
    --- stderr
    no message waits or has failed
    ");
    let said = world.app.say("user0001", "please\nanswer").await.unwrap();
    let words = [(said.msg_id.as_str(), "MSGID"), (world.app.client_id(), "APP")];
    let list = world.ask_until(&["inbox", "list"], "1 failed").await;
    insta::assert_snapshot!(steady(&list, &words), @r"
    exit code: 0
    --- stdout
    1 failed TIME user0001 please answer (POST ID 127.0.0.1 answered HTTP 400 invalidParameter: no such robot)
    --- stderr
    ");
    insta::assert_snapshot!(steady(&world.ask(&["inbox", "show", "1"]).await, &words), @r"
    exit code: 0
    --- stdout
    message 1 failed: POST ID 127.0.0.1 answered HTTP 400 invalidParameter: no such robot
    msgId MSGID
    messageId ID
    clientId APP
    chat ID
    trace ID
    TIME +N ms received
    TIME +N ms stored
    TIME +N ms acked
    TIME +N ms queued
    TIME +N ms agent
    TIME +N ms said
    TIME +N ms ended
    TIME +N ms failed
    user0001:
    please
    answer
    robot:
    please
    answer
    --- stderr
    ");
    let json = world.ask(&["inbox", "show", "1", "--json"]).await;
    assert!(json.contains(r#""sessionWebhook":"***""#), "{json}");
    world.app.clear_faults().unwrap();
    insta::assert_snapshot!(world.ask(&["inbox", "retry", "1"]).await, @r"
    exit code: 0
    --- stdout
    again: 1
    --- stderr
    ");
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "please\nanswer");
    world.ask_until(&["inbox", "list", "--all"], "1 done").await;
    insta::assert_snapshot!(world.ask(&["inbox", "retry", "1", "7"]).await, @r"
    exit code: 1
    --- stdout
    --- stderr
    error: message 1 is done; only one that failed, was parked, stopped or dropped can be worked on again; there is no message 7; see `ddingtalk inbox list --all`
    ");
    insta::assert_snapshot!(world.ask(&["inbox", "show", "7"]).await, @r"
    exit code: 1
    --- stdout
    --- stderr
    error: there is no message 7; see `ddingtalk inbox list --all`
    ");
    drop(running);
}

#[tokio::test]
async fn what_waits_and_what_is_worked_on_is_dropped() {
    let (world, running) = start("echo").await;
    let send = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::always(send, Action::Hang)).unwrap();
    world.app.say("user0001", "worked on").await.unwrap();
    world.app.say("user0001", "waits").await.unwrap();
    let list = world.ask_until(&["inbox", "list"], "1 working").await;
    insta::assert_snapshot!(steady(&list, &[]), @r"
    exit code: 0
    --- stdout
    1 working TIME user0001 worked on
    2 waiting TIME user0001 waits
    --- stderr
    ");
    let dropped = world.ask(&["inbox", "drop", "2", "1", "--note", "a test"]).await;
    insta::assert_snapshot!(dropped, @r"
    exit code: 0
    --- stdout
    dropped: 2
    dropped: 1
    --- stderr
    ");
    world.app.clear_faults().unwrap();
    world.app.say("user0001", "the next").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let texts: Vec<_> = world.app.sent().unwrap().into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["the next"]);
    let list = world.ask_until(&["inbox", "list", "--all"], "3 done").await;
    insta::assert_snapshot!(steady(&list, &[]), @r"
    exit code: 0
    --- stdout
    1 dropped TIME user0001 worked on (a test)
    2 dropped TIME user0001 waits (a test)
    3 done TIME user0001 the next
    --- stderr
    ");
    assert!(running.lines("a turn failed").is_empty());
}

#[tokio::test]
async fn without_a_gateway_messages_are_changed_for_the_next_one() {
    let (world, mut running) = start("attach").await;
    for text in ["first", "second"] {
        world.app.say("user0001", text).await.unwrap();
    }
    world.ask_until(&["inbox", "list"], "2 working").await;
    running.kill_now();
    world.wait_disconnected().await;
    insta::assert_snapshot!(world.ask(&["inbox", "drop", "1"]).await, @r"
    exit code: 0
    --- stdout
    dropped: 1
    --- stderr
    ");
    insta::assert_snapshot!(world.ask(&["inbox", "retry", "2"]).await, @r"
    exit code: 1
    --- stdout
    --- stderr
    error: message 2 is working; only one that failed, was parked, stopped or dropped can be worked on again
    ");
    insta::assert_snapshot!(world.ask(&["inbox", "retry", "1", "--json"]).await, @r#"
    exit code: 0
    --- stdout
    {"results":[{"id":1,"status":"again"}]}
    --- stderr
    no gateway runs; the next one works on them
    "#);
    world.ask(&["inbox", "drop", "1"]).await;
    let _running = world.start_open();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent[0].text, "second");
    // Another one without its link: the directory is taken.
    let dir = world.dir.path().join("ddingtalk");
    std::fs::remove_file(dir.join("agent.sock")).unwrap();
    let taken = world.ask(&["inbox", "retry", "1"]).await;
    insta::assert_snapshot!(taken.replace(&*dir.to_string_lossy(), "DIR"), @r"
    exit code: 11
    --- stdout
    --- stderr
    error: another ddingtalk works with the state directory DIR; end it, or name another directory with --state-dir
    ");
    let elsewhere = world.dir.path().join("elsewhere");
    let elsewhere = elsewhere.to_string_lossy();
    let nothing = world.ask(&["inbox", "list", "--state-dir", &elsewhere]).await;
    insta::assert_snapshot!(nothing.replace(&*elsewhere, "DIR"), @r"
    exit code: 11
    --- stdout
    --- stderr
    error: no gateway has run with the state directory DIR; name its directory with --state-dir
    ");
}
