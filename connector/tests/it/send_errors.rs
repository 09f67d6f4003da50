//! Every error of a send ends in one delivered answer or in a reported failure.

use std::sync::Arc;
use std::time::Duration;

use dingtalk_connector::agent::{Agent, Answer, Attempt, Say, Speaker, Turn};
use mock_dingtalk::{Action, ErrorBody, Fault, When};
use tokio::sync::Notify;

use crate::support::{Running, World};

fn on(path: &str) -> When {
    When::Path(path.to_owned())
}

fn session_gone() -> Fault {
    Fault::always(on("/robot/sendBySession"), Action::code(200, "300001", "session 不存在"))
}

const BATCH_SEND: &str = "/v1.0/robot/oToMessages/batchSend";

async fn start() -> (World, Running) {
    let world = World::new().await;
    let running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    (world, running)
}

/// A later answer in the same chat shows that nothing else is to come.
async fn answered_once(world: &World, text: &str, via: &str) {
    world.app.say("user0001", "and now?").await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, [text, "and now?"]);
    assert_eq!(sent[0].via, via);
}

#[tokio::test]
async fn errcode_300001_goes_by_the_robot_api_once() {
    let (world, _running) = start().await;
    world.app.fault(session_gone()).unwrap();
    world.app.say("user0001", "gone").await.unwrap();
    answered_once(&world, "gone", "batchSend").await;
}

#[tokio::test]
async fn errcode_90018_waits_and_is_sent_once() {
    let (world, running) = start().await;
    let busy = Action::code(200, "90018", "您的服务器调用钉钉开放平台的当前接口频率过高");
    world.app.fault(Fault::first(2, on("/robot/sendBySession"), busy)).unwrap();
    world.app.say("user0001", "busy").await.unwrap();
    answered_once(&world, "busy", "sessionWebhook").await;
    assert!(running.lines("may have arrived is repeated").is_empty());
}

#[tokio::test]
async fn a_403_qps_limit_waits_and_is_sent_once() {
    let (world, running) = start().await;
    world.app.fault(session_gone()).unwrap();
    let limit = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi";
    world.app.fault(Fault::first(2, on(BATCH_SEND), Action::code(403, limit, "too fast"))).unwrap();
    world.app.say("user0001", "fast").await.unwrap();
    answered_once(&world, "fast", "batchSend").await;
    assert!(running.lines("may have arrived is repeated").is_empty());
}

#[tokio::test]
async fn a_400_of_too_many_messages_waits_and_is_sent_once() {
    for code in ["send.too.fast", "send.byToken.tooFast"] {
        let (world, running) = start().await;
        world.app.fault(session_gone()).unwrap();
        let limit = Action::code(400, code, "too fast");
        world.app.fault(Fault::first(2, on(BATCH_SEND), limit)).unwrap();
        world.app.say("user0001", "fast").await.unwrap();
        answered_once(&world, "fast", "batchSend").await;
        assert!(running.lines("may have arrived is repeated").is_empty());
    }
}

#[tokio::test]
async fn a_token_that_expires_mid_flight_is_renewed_and_the_answer_sent_once() {
    let (world, running) = start().await;
    world.app.fault(session_gone()).unwrap();
    let expired = Action::code(400, "InvalidAuthentication", "不合法的access_token");
    world.app.fault(Fault::once(on(BATCH_SEND), expired)).unwrap();
    world.app.say("user0001", "expired").await.unwrap();
    answered_once(&world, "expired", "batchSend").await;
    assert!(running.lines("an answer waits").is_empty(), "it is renewed at once");
}

#[tokio::test]
async fn a_token_that_is_refused_twice_waits_and_the_answer_is_sent_once() {
    let (world, running) = start().await;
    world.app.fault(session_gone()).unwrap();
    let expired = Action::code(400, "InvalidAuthentication", "不合法的access_token");
    world.app.fault(Fault::first(2, on(BATCH_SEND), expired)).unwrap();
    world.app.say("user0001", "twice").await.unwrap();
    answered_once(&world, "twice", "batchSend").await;
    assert!(running.lines("may have arrived is repeated").is_empty());
}

#[tokio::test]
async fn a_blocked_address_waits_as_long_as_it_is_told_and_the_answer_is_sent_once() {
    let (world, running) = start().await;
    let blocked = || Action::Status(200, ErrorBody::Blocked);
    world.app.fault(Fault::once(on("/robot/sendBySession"), blocked())).unwrap();
    world.app.say("user0001", "blocked").await.unwrap();
    answered_once(&world, "blocked", "sessionWebhook").await;
    assert!(running.lines("blocks this machine's address").len() == 1);
    assert!(running.lines("may have arrived is repeated").is_empty());
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_one_that_may_have_arrived() {
    let (world, running) = start().await;
    let lost = Action::Status(200, ErrorBody::Html);
    world.app.fault(Fault::once(on("/robot/sendBySession"), lost)).unwrap();
    world.app.say("user0001", "a page").await.unwrap();
    answered_once(&world, "a page", "sessionWebhook").await;
    assert_eq!(running.lines("may have arrived is repeated").len(), 1);
}

#[tokio::test]
async fn a_flow_controlled_user_is_answered_later_and_once() {
    let (world, running) = start().await;
    world.app.fault(session_gone()).unwrap();
    let limits = world.app.limits().unwrap();
    let mut controlled = limits.clone();
    controlled.flow_controlled = vec!["user0001".to_owned()];
    world.app.set_limits(controlled).unwrap();
    world.app.say("user0001", "too much").await.unwrap();
    let said = running.wait_log("flowControlledStaffIdList", 1).await;
    assert!(said[0].contains("user0001"), "{said:?}");
    world.app.set_limits(limits).unwrap();
    answered_once(&world, "too much", "batchSend").await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_reported_and_the_next_message_answered() {
    let (world, running) = start().await;
    let blocked = Action::code(200, "430101", "内容不合适");
    world.app.fault(Fault::once(on("/robot/sendBySession"), blocked)).unwrap();
    world.app.say("user0001", "bad words").await.unwrap();
    let failed = running.wait_log("the answer did not arrive", 1).await;
    assert!(failed[0].contains("430101"), "{failed:?}");
    world.app.say("user0001", "good words").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent[0].text, "good words");
}

/// Answers when it is told to.
#[derive(Debug, Default)]
struct Slow {
    begun: Notify,
    go: Notify,
}

impl Agent for Slow {
    fn turn(&self, _: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        Box::pin(async move {
            self.begun.notify_one();
            self.go.notified().await;
            speaker.say(Say::text(turn.text)).await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn an_answer_given_two_hours_later_goes_by_the_robot_api_to_the_same_chat() {
    let world = World::new().await;
    let agent = Arc::new(Slow::default());
    let gateway = world.start_with(Arc::clone(&agent) as Arc<dyn Agent>).await;
    let group = world.app.say_in_group("user0001", "Team", "long job").await.unwrap();
    agent.begun.notified().await;
    world.mock.clock().advance(Duration::from_secs(2 * 3_600));
    agent.go.notify_one();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].via, sent[0].text.as_str()), ("groupMessages", "long job"));
    assert_eq!(sent[0].to, group.conversation_id);
    world.app.say("user0002", "alone").await.unwrap();
    agent.begun.notified().await;
    world.mock.clock().advance(Duration::from_secs(2 * 3_600));
    agent.go.notify_one();
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!((sent[1].via, sent[1].to.as_str()), ("batchSend", "user0002"));
    assert_eq!(sent.len(), 2);
    assert_eq!(gateway.stop().await, 0);
}
