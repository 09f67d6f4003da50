//! SIGTERM and SIGINT.

use std::time::Duration;

use mock_dingtalk::{Action, ConnectionState, Fault, When};

use crate::support::{World, eventually};

#[tokio::test]
async fn sigterm_closes_in_order_and_exits_0() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
    let reason = world
        .app
        .wait_for_connections("the connection's end", |rows| {
            rows.iter()
                .all(|r| r.state == ConnectionState::Closed)
                .then(|| rows[0].close_reason.clone())
        })
        .await
        .unwrap();
    let reason = reason.unwrap_or_default();
    assert!(reason.contains("1000"), "a Close frame was sent: {reason:?}");
}

#[tokio::test]
async fn an_answer_under_way_is_finished_before_the_end() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    // On the mock's clock, which stands still until the program has been told to stop.
    world.mock.clock().pause();
    let slow = Action::Delay(Duration::from_secs(60));
    world.app.fault(Fault::once(When::Path("/robot/sendBySession".into()), slow)).unwrap();
    world.app.say("user0001", "finish this").await.unwrap();
    // The answer is on its way, and its call hangs.
    let hit = || world.app.faults().unwrap().iter().any(|row| row.hits == 1).then_some(());
    eventually(|| "the slow call".to_owned(), hit).await;
    running.terminate();
    running.wait_log("the stream stops", 1).await;
    assert!(running.is_running(), "it waits for the answer");
    world.mock.clock().advance(Duration::from_secs(61));
    assert_eq!(running.ended().await.code(), Some(0));
    let sent = world.app.sent().unwrap();
    assert_eq!(sent.last().unwrap().text, "finish this");
}

#[tokio::test]
async fn sigterm_ends_in_ten_seconds_whatever_waits() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    world
        .app
        .fault(Fault::always(When::Path("/robot/sendBySession".into()), Action::Hang))
        .unwrap();
    // More than the queue holds, so that frames are not even taken any more.
    for n in 0..12_000 {
        world.app.say("user0001", &n.to_string()).await.unwrap();
    }
    running.terminate();
    let start = std::time::Instant::now();
    assert_eq!(running.ended().await.code(), Some(0));
    let took = start.elapsed();
    println!("ended after {took:?} with a full queue");
    assert!(took < Duration::from_millis(9_800), "Docker kills after 10 s, and it took {took:?}");
    assert!(running.lines("answers unfinished").len() == 1);
}

#[tokio::test]
async fn sigterm_ends_a_connector_that_cannot_connect() {
    let world = World::new().await;
    world.app.fault(Fault::always(When::Open, Action::Hang)).unwrap();
    let mut running = world.start_open();
    running.wait_log("asking for a connection", 1).await;
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
}
