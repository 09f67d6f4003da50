//! Outages are told, once each, when they are over, in DingTalk.

use std::time::Duration;

use mock_dingtalk::{Action, Cut, ErrorBody, Fault, SentRow, When};

use crate::support::{Running, World, eventually};

const OPEN: [&str; 6] =
    ["--dm-policy", "open", "--alert-to", "user:user0003", "--alert-after", "1s"];

async fn connected(world: &World, count: usize) -> Running {
    let running = world.start(&OPEN);
    world.app.wait_connections(count).await.expect("it connects");
    running.wait_log("connected to the gateway", 1).await;
    running
}

/// No new connection can be made from now on.
fn close_the_door(world: &World) {
    world.app.fault(Fault::always(When::Open, Action::Status(503, ErrorBody::Json))).unwrap();
}

/// Waits until `seconds` of wall time have passed since the last sign of life: an outage has a length.
async fn lasts(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn told(rows: &[SentRow]) -> Vec<&SentRow> {
    rows.iter().filter(|row| row.text.contains("was deaf")).collect()
}

async fn wait_told(world: &World, running: &Running, count: usize) {
    let rows = || {
        let sent = world.app.sent().unwrap();
        (told(&sent).len() >= count).then_some(())
    };
    eventually(|| format!("{count} alerts; {}", running.log()), rows).await;
}

#[tokio::test]
async fn an_outage_is_told_once_when_it_is_over() {
    let world = World::new().await;
    let running = connected(&world, 1).await;
    close_the_door(&world);
    world.app.cut("all", &Cut::Rst).unwrap();
    running.wait_log("no connection", 1).await;
    lasts(1).await;
    world.app.clear_faults().unwrap();
    wait_told(&world, &running, 1).await;
    let sent = world.app.sent().unwrap();
    let row = told(&sent)[0];
    assert_eq!((row.via, row.to.as_str()), ("batchSend", "user0003"));
    assert!(row.text.contains("可能已丢失") && row.text.contains("(UTC+8)"), "{}", row.text);
    running.wait_log("the outage was told", 1).await;
    // One more connection, made before the old one breaks, is no outage.
    world.app.disconnect("all", "rotation").unwrap();
    running.wait_log("connected to the gateway", 3).await;
    world.app.say("user0001", "still there?").await.unwrap();
    let answered = |rows: &[SentRow]| rows.iter().any(|row| row.text == "still there?");
    let rows = || Some(world.app.sent().unwrap()).filter(|rows| answered(rows));
    let sent = eventually(|| "the answer".to_owned(), rows).await;
    assert_eq!(told(&sent).len(), 1);
    assert_eq!(running.lines("messages could not arrive for a while").len(), 1);
    let status = world.ask(&["gateway", "status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(status.lines().nth(2).unwrap()).unwrap();
    let deaf = &status["robots"][0]["deaf"];
    assert_eq!(deaf["times"], 1, "{status}");
    assert!((1_000..60_000).contains(&deaf["ms"].as_u64().unwrap()), "{deaf}");
}

#[tokio::test]
async fn a_restart_during_the_outage_and_a_crash_are_told_too() {
    let world = World::new().await;
    let mut running = connected(&world, 1).await;
    close_the_door(&world);
    world.app.cut("all", &Cut::Rst).unwrap();
    running.wait_log("no connection", 1).await;
    running.kill_now();
    lasts(1).await;
    world.app.clear_faults().unwrap();
    let mut running = connected(&world, 1).await;
    wait_told(&world, &running, 1).await;
    running.wait_log("the outage was told", 1).await;
    // Nothing runs for a while, after an end in order.
    running.terminate();
    running.ended().await;
    lasts(1).await;
    let running = connected(&world, 1).await;
    wait_told(&world, &running, 2).await;
}
