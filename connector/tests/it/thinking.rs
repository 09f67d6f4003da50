//! The mark on a message that is being answered, and the call budget that it yields to.

use dingtalk_connector::agent::Say;
use dingtalk_connector::gateway::Gateway;
use mock_dingtalk::{Action, Fault, Times, When};

use crate::played::{Asked, Played};
use crate::support::{World, eventually};

async fn marks(world: &World, count: usize) {
    let standing = || world.app.reactions().unwrap().len();
    let what = || format!("{count} marks; there are {}", standing());
    eventually(what, || (standing() == count).then_some(())).await;
}

#[tokio::test]
async fn a_message_is_marked_from_its_receipt_to_the_end_of_its_turn() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    let said = world.app.say("user0001", "think").await.unwrap();
    let turn = asked.recv().await.unwrap();
    marks(&world, 1).await;
    let mark = &world.app.reactions().unwrap()[0];
    assert_eq!(
        (mark.open_msg_id.as_str(), mark.emotion_name.as_str()),
        (&*said.msg_id, "🤔思考中")
    );
    // What waits behind it is marked too.
    world.app.say("user0001", "and this").await.unwrap();
    marks(&world, 2).await;
    turn.speaker.say(Say::text("thought".to_owned())).await;
    drop(turn);
    marks(&world, 1).await;
    drop(asked.recv().await.unwrap());
    marks(&world, 0).await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_its_mark() {
    let world = World::new().await;
    let emotions = || When::Path("/v1.0/robot/emotion/reply".to_owned());
    world.app.fault(Fault::always(emotions(), Action::Hang)).unwrap();
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    world.app.say("user0001", "think").await.unwrap();
    let Asked { speaker, .. } = asked.recv().await.unwrap();
    speaker.say(Say::text("thought".to_owned())).await;
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "thought");
}

#[tokio::test]
async fn refused_for_too_many_calls_every_answer_still_arrives_once() {
    let world = World::new().await;
    let qps = Action::code(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "slow down");
    let sends = When::Path("/v1.0/robot/oToMessages/batchSend".to_owned());
    world.app.fault(Fault { when: sends, times: Times::First(2), action: qps }).unwrap();
    // Without a webhook that works, answers go by the robot API.
    let gone = Action::code(200, "300001", "gone");
    let webhook = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::always(webhook, gone)).unwrap();
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    for n in 0..4 {
        world.app.say(&format!("user000{n}"), "go").await.unwrap();
        let turn = asked.recv().await.unwrap();
        turn.speaker.say(Say::text(format!("answer {n}"))).await;
    }
    let mut sent: Vec<_> =
        world.app.wait_sent(4).await.unwrap().into_iter().map(|row| row.text).collect();
    sent.sort();
    assert_eq!(sent, ["answer 0", "answer 1", "answer 2", "answer 3"]);
}

#[tokio::test]
async fn a_mark_goes_even_if_calls_are_refused_for_being_too_many() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let mut config = world.gateway_config(agent);
    // Half of it is one call; less than half of what a refusal leaves is none.
    config.openapi.calls_per_second = 2;
    let _gateway = Gateway::start(config, world.store()).await.unwrap();
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "think").await.unwrap();
    let turn = asked.recv().await.unwrap();
    marks(&world, 1).await;
    let when = When::Path("/v1.0/robot/emotion/recall".to_owned());
    let too_fast = Action::code(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "");
    world.app.fault(Fault { when, times: Times::First(1), action: too_fast }).unwrap();
    drop(turn);
    marks(&world, 0).await;
}
