//! Who is answered.

use crate::support::World;

#[tokio::test]
async fn under_pairing_a_stranger_gets_a_hint_and_no_turn() {
    let world = World::new().await;
    let _running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0002", "let me in").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].text.contains("user0002"), "{}", sent[0].text);
    assert!(!sent[0].text.contains("let me in"), "the agent was not asked: {}", sent[0].text);
    world.app.wait_acked(1).await.unwrap();
}

#[tokio::test]
async fn a_group_that_is_not_allowed_gets_nothing() {
    let world = World::new().await;
    let running = world.start(&["--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say_in_group("user0001", "Team", "anybody?").await.unwrap();
    running.wait_log("the group is not on the allowlist", 1).await;
    world.app.wait_acked(1).await.unwrap();
    world.app.say("user0001", "sentinel").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].text, "sentinel");
}

#[tokio::test]
async fn agent_none_acks_and_says_nothing() {
    let world = World::new().await;
    let mut running = world.start(&["--agent", "none", "--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    for n in 0..20 {
        world.app.say("user0001", &n.to_string()).await.unwrap();
    }
    world.app.wait_acked(20).await.unwrap();
    running.terminate();
    assert!(running.ended().await.success());
    assert!(world.app.sent().unwrap().is_empty());
}
