//! A person speaks, the bot hears, acknowledges and answers.

use mock_dingtalk::{DeliveryState, MockDingtalk, SaidState};
use serde_json::{Value, json};

use crate::support::{BOT_TOPIC, Bot, ack, data, eventually, http};

#[tokio::test]
async fn a_message_goes_to_the_bot_and_its_answer_comes_back() {
    let mock = MockDingtalk::builder().verify_on_drop(true).start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();

    let said = app.say("user0001", "hi").await.unwrap();
    assert_eq!(said.state, SaidState::Pushed);
    let frame = bot.frame().await;
    assert_eq!(frame["specVersion"], "1.0");
    assert_eq!(frame["type"], "CALLBACK");
    let headers = frame["headers"].as_object().unwrap();
    assert!(headers.values().all(Value::is_string), "{headers:?}");
    assert_eq!(headers["topic"], BOT_TOPIC);
    assert_eq!(headers["messageId"], said.message_id);
    assert_eq!(headers["contentType"], "application/json");
    let message = data(&frame);
    assert_eq!(message["msgId"], said.msg_id);
    assert_eq!(message["text"]["content"], "hi");
    assert_eq!(message["conversationType"], "1");
    assert_eq!(message["conversationId"], said.conversation_id);
    assert_eq!(message["senderStaffId"], "user0001");
    assert_eq!(message["robotCode"], app.robot_code());
    let created = message["createAt"].as_i64().unwrap();
    assert_eq!(message["sessionWebhookExpiredTime"], created + 90 * 60 * 1000);

    bot.ack(&frame).await;
    let deliveries = app.wait_acked(1).await.unwrap();
    assert_eq!(deliveries[0].state, DeliveryState::Acked);
    assert_eq!(deliveries[0].acks, 1);
    let answer = deliveries[0].ack.as_ref().unwrap();
    assert_eq!(answer.code, Some(200));
    assert!(!answer.on_other_connection);
    assert_eq!(answer.connection_id, headers["connectionId"]);

    let webhook = message["sessionWebhook"].as_str().unwrap();
    assert!(webhook.starts_with(&format!("{}/robot/sendBySession?session=", mock.url())));
    let reply = json!({"msgtype": "text", "text": {"content": "hi yourself"}});
    let response = http().post(webhook).json(&reply).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json;charset=utf-8");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({"errcode": 0, "errmsg": "ok"}));

    let sent = app.wait_sent(1).await.unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].text, "hi yourself");
    assert_eq!(sent[0].via, "sessionWebhook");
    assert_eq!(sent[0].to, "user0001");
    assert_eq!(sent[0].conversation_id, said.conversation_id);
    assert_eq!(sent[0].in_reply_to.as_deref(), Some(said.msg_id.as_str()));
    assert_eq!(sent[0].raw, reply);
}

#[tokio::test]
async fn a_group_message_comes_with_the_blank_that_the_mention_leaves() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let said = app.say_in_group("user0002", "Team", "hello").await.unwrap();
    let message = data(&bot.frame().await);
    assert_eq!(message["text"]["content"], " hello");
    assert_eq!(message["conversationType"], "2");
    assert_eq!(message["conversationTitle"], "Team");
    assert_eq!(message["isInAtList"], true);
    assert_eq!(message["atUsers"][0]["dingtalkId"], message["chatbotUserId"]);
    let again = app.say_in_group("user0003", "Team", "me too").await.unwrap();
    assert_eq!(again.conversation_id, said.conversation_id);
    assert_ne!(again.msg_id, said.msg_id);

    let webhook = message["sessionWebhook"].as_str().unwrap();
    let reply = json!({"msgtype": "markdown", "markdown": {"title": "T", "text": "# hi"}});
    http().post(webhook).json(&reply).send().await.unwrap();
    let sent = app.wait_sent(1).await.unwrap();
    assert_eq!(sent[0].to, said.conversation_id);
    assert_eq!(sent[0].msgtype, "markdown");
}

#[tokio::test]
async fn without_a_connection_a_message_is_lost_and_an_event_waits() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    assert_eq!(app.say("user0001", "hi").await.unwrap().state, SaidState::Lost);
    assert_eq!(app.push_fixture("stream/event_user_add_org").unwrap().state, SaidState::Queued);
    let mut bot = Bot::connect(&mock, &app).await;
    let frame = bot.frame().await;
    assert_eq!(frame["type"], "EVENT");
    bot.send(ack(&frame, r#"{"status":"SUCCESS"}"#)).await;
    let deliveries = app.wait_acked(1).await.unwrap();
    assert_eq!(deliveries[0].state, DeliveryState::Lost);
    assert_eq!(deliveries[1].state, DeliveryState::Acked);
}

#[tokio::test]
async fn an_event_is_pushed_three_times_and_a_robot_message_once() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    assert_eq!(bot.frame().await["type"], "CALLBACK");
    app.push_fixture("stream/event_user_add_org").unwrap();
    let first = bot.frame().await;
    mock.clock().advance(std::time::Duration::from_secs(13));
    let second = bot.frame().await;
    assert_eq!(first["headers"]["eventId"], second["headers"]["eventId"]);
    assert_ne!(first["headers"]["messageId"], second["headers"]["messageId"]);
    bot.send(ack(&second, r#"{"status":"LATER"}"#)).await;
    eventually("the answer LATER", async || {
        let rows = app.deliveries().unwrap();
        if rows[1].state == DeliveryState::Queued { Ok(()) } else { Err(rows) }
    })
    .await;
    mock.clock().advance(std::time::Duration::from_mins(1));
    loop {
        let frame = bot.frame().await;
        if frame["type"] == "SYSTEM" {
            continue;
        }
        assert_eq!(first["headers"]["eventId"], frame["headers"]["eventId"]);
        break;
    }
    mock.clock().advance(std::time::Duration::from_secs(3));
    let rows = app.deliveries().unwrap();
    assert_eq!(rows[1].state, DeliveryState::Timeout);
    assert_eq!(rows[1].attempts.len(), 3);
    assert_eq!(rows[0].state, DeliveryState::Sent);
    assert_eq!(rows[0].attempts.len(), 1);
}

#[tokio::test]
async fn acks_count_once_and_strays_are_ignored() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let (mut one, mut two) = (Bot::connect(&mock, &app).await, Bot::connect(&mock, &app).await);
    app.wait_connections(2).await.unwrap();
    // Whoever gets the frame, the other one answers first.
    app.say("user0001", "hi").await.unwrap();
    let (frame, first_is_owner) = tokio::select! {
        frame = one.frame() => (frame, true),
        frame = two.frame() => (frame, false),
    };
    let (owner, other) = if first_is_owner { (&mut one, &mut two) } else { (&mut two, &mut one) };
    other.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    owner.ack(&frame).await;
    owner.send(r#"{"code": 200,"message": "ping"}"#).await;
    owner.send(r#"{"code":200,"headers":{"messageId":"never-sent"}}"#).await;
    let rows = eventually("both answers and both strays", async || {
        let rows = app.deliveries().unwrap();
        let strays: u64 = app.connections().unwrap().iter().map(|c| c.strays).sum();
        if rows[0].acks == 2 && strays == 2 { Ok(rows) } else { Err((rows, strays)) }
    })
    .await;
    assert!(rows[0].ack.as_ref().unwrap().on_other_connection);
    let acks: Vec<u64> = app.connections().unwrap().iter().map(|c| c.acks).collect();
    assert_eq!(acks.iter().sum::<u64>(), 1, "{acks:?}");
}

#[tokio::test]
async fn a_session_ends_after_ninety_minutes() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let message = data(&bot.frame().await);
    let webhook = message["sessionWebhook"].as_str().unwrap();
    let reply = json!({"msgtype": "text", "text": {"content": "x"}});
    let errcode = async || {
        let response = http().post(webhook).json(&reply).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body: Value = response.json().await.unwrap();
        body["errcode"].as_i64().unwrap()
    };
    mock.clock().advance(std::time::Duration::from_secs(90 * 60 - 1));
    assert_eq!(errcode().await, 0);
    mock.clock().advance(std::time::Duration::from_secs(1));
    assert_eq!(errcode().await, 300_001);
}
