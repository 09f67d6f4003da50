//! How cards end that do not simply become the answer, and what the call budget leaves of them.

use std::time::{Duration, Instant};

use dingtalk_connector::agent::Say;
use dingtalk_connector::credential::ClientId;
use dingtalk_connector::protocol::{ConversationId, RobotMessage};
use dingtalk_connector::store::{NewMessage, Store};
use mock_dingtalk::{Action, Times};
use serde_json::json;

use crate::cards::{CREATE, Doomed, STREAMING, Stage, Step, code};
use crate::support::eventually;

const TOO_FAST: &str = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi";

#[tokio::test]
async fn words_of_an_agent_that_fails_are_kept_with_and_without_a_card() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("half of").await;
    stage.do_now(Step::Fail);
    stage.wait_row(|row| row.text.contains("Sorry")).await;
    let sent = stage.world.app.sent().unwrap();
    assert_eq!((sent[0].via, sent[0].text.as_str(), sent[0].finished), ("card", "half of", true));
    // Too soon for a card.
    stage.world.app.say("user0001", "a question").await.unwrap();
    stage.partial("a third of");
    stage.do_now(Step::Fail);
    let sent = stage.world.app.wait_sent(4).await.unwrap();
    assert_eq!((sent[2].via == "card", sent[2].text.as_str()), (false, "a third of"));
    assert!(sent[3].text.contains("Sorry"), "{sent:#?}");
    // Nothing was said: there is nothing but the apology.
    stage.world.app.say("user0001", "a question").await.unwrap();
    stage.do_now(Step::Fail);
    let sent = stage.world.app.wait_sent(5).await.unwrap();
    assert!(sent[4].text.contains("Sorry"), "{sent:#?}");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn words_that_are_said_are_not_shown_once_more() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("one").await;
    // While a change is under way, newer words come, and the next thing is said.
    stage.fault(STREAMING, Times::First(1), Action::Delay(Duration::from_millis(700)));
    stage.partial("one, two");
    stage.wait_row(|row| row.text == "one, two").await;
    stage.partial("one, two, three");
    stage.do_now(Step::Say(Say::markdown("one, two, three, four")));
    stage.wait_row(|row| row.finished && row.text == "one, two, three, four").await;
    // Longer than it takes until a card is begun, while the agent is at work.
    tokio::time::sleep(Duration::from_millis(600)).await;
    stage.do_now(Step::End);
    assert_eq!(gateway.stop().await, 0);
    stage.only_card("one, two, three, four").await;
    assert_eq!(stage.calls(CREATE).len(), 1);
}

#[tokio::test]
async fn an_answer_that_calls_people_is_a_message_and_its_card_says_so() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.stream("so far").await;
    let message = Box::new(RobotMessage::Text("so far, so good".to_owned()));
    let user_ids = vec!["user0001".to_owned()];
    let mention = RobotMessage::Mention { message, user_ids, everybody: false };
    stage.do_now(Step::Say(Say::Message(mention)));
    stage.do_now(Step::End);
    stage.wait_row(|row| row.via != "card" && row.text.contains("so far, so good")).await;
    let card = stage.wait_row(|row| row.via == "card" && row.finished).await;
    assert!(card.text.contains("below"), "{}", card.text);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_stop_that_finds_a_turn_of_an_earlier_process_waiting_ends_its_card() {
    let stage = Stage::new().await;
    let doomed = Doomed::start(&stage).await;
    let said = stage.world.app.say("user0001", "a question").await.unwrap();
    stage.partial("half of");
    stage.wait_row(|row| row.text == "half of").await;
    doomed.kill().await;
    // It had been kept, and not begun.
    let data = json!({
        "msgtype": "text",
        "text": { "content": "/stop" },
        "conversationId": said.conversation_id,
        "conversationType": "1",
        "senderStaffId": "user0001",
    });
    let stop = NewMessage {
        client_id: ClientId::new(stage.world.app.client_id()),
        msg_id: None,
        message_id: None,
        conversation_id: ConversationId::new(said.conversation_id),
        received_at: 1,
        data: data.to_string(),
        overtakes: false,
    };
    stage.store().take_in(stop).await.unwrap();
    let gateway = stage.start().await;
    stage.wait_row(|row| row.via != "card" && row.text.ends_with("Stopped.")).await;
    let card = stage.wait_row(|row| row.via == "card" && row.finished).await;
    assert!(card.text.ends_with("Stopped"), "{}", card.text);
    assert_eq!(gateway.stop().await, 0);
    assert_eq!(stage.agent.asked.lock().unwrap().len(), 1, "the agent is not asked again");
    let unfinished = stage.store();
    let client_id = ClientId::new(stage.world.app.client_id());
    assert_eq!(unfinished.recover(&client_id, 0, 9).await.unwrap().unfinished, []);
}

#[tokio::test]
async fn no_card_is_begun_while_calls_are_refused_for_being_too_many() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    stage.fault("/v1.0/robot/emotion/reply", Times::First(1), code(403, TOO_FAST));
    stage.world.app.say("user0001", "a question").await.unwrap();
    let hit = || stage.world.app.faults().unwrap().iter().any(|row| row.hits == 1).then_some(());
    eventually(|| "the refusal".to_owned(), hit).await;
    // The card waits for its moment while the refusal is read.
    for n in 0..6 {
        stage.partial(&format!("words {n}"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.say("an answer");
    let sent = stage.world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].via == "card", sent[0].text.as_str()), (false, "an answer"));
    assert!(stage.calls(CREATE).is_empty());
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn changes_of_a_card_leave_half_of_the_call_budget_and_the_last_words_do_not_wait() {
    let stage = Stage::new().await;
    let mut config = stage.config();
    config.openapi.calls_per_second = 6;
    config.show_thinking = false;
    let gateway = stage.start_with(config).await;
    stage.world.app.say("user0001", "a question").await.unwrap();
    let begun = Instant::now();
    for n in 0..150 {
        stage.partial(&format!("words {n}"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.say("an answer");
    stage.only_card("an answer").await;
    let calls = stage.calls(STREAMING).len() + stage.calls(CREATE).len();
    // Three in any second, and the last.
    let most = 3 * (usize::try_from(begun.elapsed().as_secs()).unwrap() + 1) + 1;
    assert!((4..=most).contains(&calls), "{calls} calls, at most {most}");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_spent_month_is_told_once_and_ends_in_reported_failures() {
    let stage = Stage::new().await;
    let gateway = stage.start().await;
    let spent = "Forbidden.AccessDenied.ApiCountLimitForOrg";
    for path in [CREATE, "/v1.0/robot/oToMessages/batchSend"] {
        stage.fault(path, Times::Always, code(403, spent));
    }
    stage.fault("/robot/sendBySession", Times::Always, Action::code(200, "300001", "gone"));
    for n in 1..=2 {
        stage.world.app.say("user0001", "a question").await.unwrap();
        stage.partial("words");
        if n == 1 {
            let asked = || (!stage.calls(CREATE).is_empty()).then_some(());
            eventually(|| "the refusal".to_owned(), asked).await;
        }
        stage.say("an answer");
        let sends = || (stage.calls("/v1.0/robot/oToMessages/batchSend").len() == n).then_some(());
        eventually(|| "a send".to_owned(), sends).await;
    }
    assert_eq!(gateway.stop().await, 0, "both are finished");
    assert_eq!(stage.calls(CREATE).len(), 1);
    assert_eq!(stage.calls("/v1.0/robot/oToMessages/batchSend").len(), 2, "once each");
    assert!(stage.world.app.sent().unwrap().is_empty());
}
