//! Frames that no gateway should send.

use crate::support::{World, eventually};

#[tokio::test]
async fn no_hostile_frame_ends_the_connection_or_the_program() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    let names = fixture_names();
    for (n, name) in names.iter().enumerate() {
        world.app.push_fixture(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        // The sentinel behind it: once it is answered, the hostile frame has been dealt with.
        let text = format!("still there after {name}?");
        world.app.say("user0001", &text).await.unwrap();
        let answered = || world.app.sent().unwrap().iter().any(|row| row.text == text);
        eventually(|| format!("an answer after {name}"), || answered().then_some(())).await;
        assert!(running.is_running(), "{name}");
        let connections = world.app.connections().unwrap();
        assert_eq!(connections.len(), 1, "{name} made it reconnect ({n})");
    }
    println!("{} hostile frames survived on one connection", names.len());
}

#[tokio::test]
async fn one_kind_of_nonsense_is_logged_once() {
    let world = World::new().await;
    let running = world.start_proven().await;
    for _ in 0..50 {
        world.app.push_raw("not JSON at all").unwrap();
    }
    world.app.say("user0001", "sentinel").await.unwrap();
    world.app.wait_sent(2).await.unwrap();
    let warnings: Vec<_> =
        running.lines("WARN").into_iter().filter(|l| l.contains("the gateway sent")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
}

/// Every hostile fixture, by the name the mock knows it by.
fn fixture_names() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let dir = dingtalk_conformance::fixtures::FixtureDir::open(root).unwrap();
    let fixtures = dir.fixtures().unwrap();
    let names: Vec<String> =
        fixtures.iter().filter(|f| f.is_hostile()).map(|f| f.name().to_owned()).collect();
    assert!(names.len() >= 25, "{names:?}");
    names
}
