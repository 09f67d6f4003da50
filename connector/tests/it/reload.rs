//! Other settings for a gateway that runs: its connections stay.

use std::path::PathBuf;

use mock_dingtalk::{Action, Fault, When};
use serde_json::{Value, json};

use crate::support::{Running, World, eventually};

/// A section with the world's app.
fn section(world: &World, rest: &Value) -> Value {
    let mut whole = json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
    });
    whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    whole
}

fn file(world: &World) -> PathBuf {
    world.dir.path().join("openclaw.json")
}

async fn start(world: &World, rest: &Value) -> Running {
    let running = world.start_configured(&section(world, rest));
    world.app.wait_connections(1).await.unwrap();
    running
}

#[tokio::test]
async fn who_may_talk_changes_under_the_running_robot() {
    let world = World::new().await;
    let running = start(&world, &json!({ "dmPolicy": "disabled" })).await;
    world.app.say("user0001", "not yet").await.unwrap();
    running.wait_log("rule=\"dmPolicy=disabled\"", 1).await;
    world.configure(&section(&world, &json!({ "dmPolicy": "open" })));
    running.wait_log("who may talk to the robot changes", 1).await;
    world.app.say("user0001", "now").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "now");

    // What does not hold is named, and changes nothing.
    std::fs::write(file(&world), "{ channels: { ddingtalk: { dmPolicy: 'opn' } } }").unwrap();
    let lines = running.wait_log("so the old ones stay", 1).await;
    assert!(lines[0].contains("channels.ddingtalk."), "{}", lines[0]);
    std::fs::write(file(&world), "{ channels: ").unwrap();
    let lines = running.wait_log("so the old ones stay", 2).await;
    assert!(lines[1].contains("is no JSON5"), "{}", lines[1]);
    world.app.say("user0001", "and still").await.unwrap();
    assert_eq!(world.app.wait_sent(2).await.unwrap()[1].text, "and still");

    let limited = json!({ "dmPolicy": "open", "rateLimit": { "messages": 1, "seconds": 3600 } });
    world.configure(&section(&world, &limited));
    running.wait_log("who may talk to the robot changes", 2).await;
    for text in ["one", "two"] {
        world.app.say("user0001", text).await.unwrap();
    }
    let sent = world.app.wait_sent(4).await.unwrap();
    assert!(sent[3].text.contains("too fast"), "{}", sent[3].text);
    assert_eq!(world.app.connections().unwrap().len(), 1, "the socket was not dropped");
}

#[tokio::test]
async fn accounts_come_and_go_and_the_others_stay_connected() {
    let world = World::new().await;
    let other = world.mock.app();
    let mut running = start(&world, &json!({ "dmPolicy": "open" })).await;
    let sales = json!({
        "clientId": other.client_id(), "clientSecret": other.client_secret(), "dmPolicy": "open",
    });
    let both = json!({ "dmPolicy": "open", "accounts": { "sales": sales } });
    world.configure(&section(&world, &both));
    other.wait_connections(1).await.unwrap();
    other.say("user0001", "hello").await.unwrap();
    assert_eq!(other.wait_sent(1).await.unwrap()[0].text, "hello");

    // Another agent: that robot begins again, the other one does not.
    let mut changed = both.clone();
    changed["accounts"]["sales"]["agent"] = "none".into();
    world.configure(&section(&world, &changed));
    running.wait_log("begins again with the credential, agent, alerts", 1).await;
    running.wait_log("agent=\"none\"", 1).await;
    other.wait_connections(1).await.unwrap();
    changed["accounts"]["sales"]["alertTo"] = "user:boss".into();
    changed["healthListen"] = "127.0.0.1:9".into();
    world.configure(&section(&world, &changed));
    running.wait_log("begins again with the credential, agent, alerts", 2).await;
    running.wait_log("healthListen has changed in the settings, which a restart takes", 1).await;
    running.wait_log("agent=\"none\"", 2).await;

    world.configure(&section(&world, &json!({ "dmPolicy": "open" })));
    running.wait_log("is gone from the settings", 1).await;
    running.wait_log("a robot has stopped", 3).await;
    world.app.say("user0001", "and you?").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "and you?");
    assert_eq!(world.app.connections().unwrap().len(), 1, "the socket was not dropped");
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_included_file_is_followed_and_a_hangup_reads_at_once() {
    let world = World::new().await;
    let people = world.dir.path().join("people.json5");
    std::fs::write(&people, "['user0002']").unwrap();
    let settings = json!({ "dmPolicy": "allowlist", "allowFrom": { "$include": "people.json5" } });
    let running = start(&world, &settings).await;
    std::fs::write(&people, "['user0001']").unwrap();
    running.wait_log("who may talk to the robot changes", 1).await;
    world.app.say("user0001", "in").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "in");
    running.signal("-HUP");
    running.wait_log("the settings were read again", 2).await;
}

#[tokio::test]
async fn a_robot_is_switched_off_on_and_out_of_the_file_and_the_gateway_stays() {
    let world = World::new().await;
    let mut running = start(&world, &json!({ "dmPolicy": "open" })).await;
    let ways_out = [
        json!({ "channels": { "ddingtalk": section(&world, &json!({ "enabled": false })) } }),
        // What `channels remove` leaves.
        json!({ "channels": { "ddingtalk": { "dmPolicy": "open" } } }),
        json!({ "channels": {} }),
        json!({ "channels": { "ddingtalk": {
            "accounts": { "sales": section(&world, &json!({ "enabled": false })) },
        } } }),
    ];
    for (n, way_out) in ways_out.iter().enumerate() {
        std::fs::write(file(&world), way_out.to_string()).unwrap();
        running.wait_log("no robot is to run", n + 1).await;
        world.wait_disconnected().await;
        running.wait_log("a robot has stopped", n + 1).await;
        world.configure(&section(&world, &json!({ "dmPolicy": "open" })));
        world.app.wait_connections(1).await.unwrap();
        world.app.say("user0001", &format!("back {n}")).await.unwrap();
        assert_eq!(world.app.wait_sent(n + 1).await.unwrap()[n].text, format!("back {n}"));
    }
    // A slip of the pen switches nothing off.
    let slip = json!({ "channels": { "ddingtalk": { "clientID": world.app.client_id() } } });
    std::fs::write(file(&world), slip.to_string()).unwrap();
    running.wait_log("so the old ones stay", 1).await;
    world.app.say("user0001", "still there").await.unwrap();
    world.app.wait_sent(ways_out.len() + 1).await.unwrap();
    std::fs::write(file(&world), ways_out[1].to_string()).unwrap();
    running.wait_log("no robot is to run", ways_out.len() + 1).await;
    world.wait_disconnected().await;
    assert!(running.is_running());
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_a_renamed_account_was_answering_is_answered_once() {
    let world = World::new().await;
    let running = start(&world, &json!({ "dmPolicy": "open" })).await;
    // On the mock's clock, which stands still meanwhile.
    world.mock.clock().pause();
    let slow = Action::Delay(std::time::Duration::from_secs(60));
    let webhook = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::first(2, webhook, slow)).unwrap();
    for user in ["user0001", "user0002"] {
        world.app.say(user, "once").await.unwrap();
    }
    let hits = || world.app.faults().unwrap().iter().map(|row| row.hits).sum::<u64>();
    eventually(|| "two slow answers".to_owned(), || (hits() == 2).then_some(())).await;
    let sales = section(&world, &json!({ "dmPolicy": "open" }));
    world.configure(&json!({ "accounts": { "sales": sales } }));
    running.wait_log("the account is new in the settings", 1).await;
    running.wait_log("the stream stops", 1).await;
    world.mock.clock().advance(std::time::Duration::from_secs(61));
    running.wait_log("a robot has stopped", 1).await;
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0003", "and now").await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["once", "once", "and now"]);
    let lines = running.lines("an earlier process left messages to be answered");
    assert!(lines.is_empty(), "{lines:?}");
}
