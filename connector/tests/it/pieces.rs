//! An agent that speaks while it works: each piece goes out at once, and none twice.

use dingtalk_connector::agent::Say;
use dingtalk_connector::gateway::Gateway;
use dingtalk_connector::store::sqlite::FILE;

use crate::played::Played;
use crate::support::{World, eventually};

#[tokio::test]
async fn a_piece_is_sent_while_the_agent_goes_on() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    world.app.say("user0001", "count").await.unwrap();
    let turn = asked.recv().await.unwrap();
    assert!(!turn.attempt.resumed);
    for n in 1..=3 {
        turn.speaker.say(Say::text(n.to_string())).await;
        let sent = world.app.wait_sent(n).await.unwrap();
        assert_eq!(sent[n - 1].text, n.to_string());
    }
    drop(turn);
    // The next turn shows that this one has ended.
    world.app.say("user0001", "again").await.unwrap();
    asked.recv().await.unwrap();
}

#[tokio::test]
async fn a_turn_that_a_crash_cut_off_comes_again_with_what_it_had_said() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    // A runtime that is thrown away with everything in it is a process that is killed.
    let doomed = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (config, store) = (world.gateway_config(agent.clone()), world.store());
    let started = doomed.spawn(async { Gateway::start(config, store).await.unwrap() });
    let gateway = started.await.unwrap();
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "count").await.unwrap();
    let turn = asked.recv().await.unwrap();
    turn.speaker.say(Say::text("one")).await;
    world.app.wait_sent(1).await.unwrap();
    let db = rusqlite::Connection::open(world.dir.path().join(FILE)).unwrap();
    let count = "SELECT count(sent_at) FROM outbox";
    let recorded = || db.query_row(count, (), |row| row.get::<_, i64>(0));
    eventually(|| "the record".to_owned(), || (recorded().unwrap() == 1).then_some(())).await;
    doomed.shutdown_background();
    drop((gateway, turn));

    let _gateway = world.start_with(agent).await;
    let turn = asked.recv().await.unwrap();
    assert_eq!((turn.attempt.resumed, turn.attempt.said), (true, 1));
    assert_eq!(turn.turn.text, "count");
    turn.speaker.say(Say::text("two")).await;
    let sent = world.app.wait_sent(2).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
}
