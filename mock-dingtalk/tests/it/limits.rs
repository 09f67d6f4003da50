//! What an app may do how often, and whom it may write to.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    caller::{Caller, with},
    support::{Bot, data},
};

fn to_people(caller: &Caller) -> Value {
    json!({
        "robotCode": caller.app.robot_code(),
        "userIds": ["user0001", "user0002", "nobody"],
        "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    })
}

const SEND: &str = "/v1.0/robot/oToMessages/batchSend";

#[tokio::test]
async fn calls_of_a_minute_have_a_limit_of_their_own() {
    let caller = Caller::new().await;
    let body = to_people(&caller);
    caller.control("limits", &json!({"perMinute": 2})).await;
    for _ in 0..2 {
        assert_eq!(caller.post(SEND, &body).await["status"], 200);
        caller.mock.clock().advance(Duration::from_secs(20));
    }
    let over = caller.post(SEND, &body).await;
    assert_eq!(over["status"], 403);
    assert_eq!(over["body"]["code"], "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi");
    caller.mock.clock().advance(Duration::from_secs(20));
    assert_eq!(caller.post(SEND, &body).await["status"], 200);
}

#[tokio::test]
async fn messages_beyond_those_of_a_month_come_without_their_words() {
    let caller = Caller::new().await;
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    let limits = caller.control("limits", &json!({"messagesPerMonth": 2})).await;
    assert_eq!((&limits["messagesPerMonth"], &limits["messagesThisMonth"]), (&json!(2), &json!(0)));
    let mut codes = Vec::new();
    for words in ["one", "two", "three"] {
        caller.app.say("user0001", words).await.unwrap();
        let message = data(&bot.frame().await);
        assert_eq!(message.get("text").is_some(), message.get("errorCode").is_none(), "{message}");
        codes.push(message["errorCode"].clone());
    }
    assert_eq!(codes, [Value::Null, Value::Null, json!(20001)]);
    assert_eq!(caller.app.messages_this_month().unwrap(), 2);
    caller.control("limits", &json!({"messagesPerMonth": "none"})).await;
    caller.app.say("user0001", "four").await.unwrap();
    assert_eq!(data(&bot.frame().await)["text"]["content"], "four");
}

#[tokio::test]
async fn people_who_are_throttled_are_listed_and_get_nothing() {
    let caller = Caller::new().await;
    let mut limits = caller.app.limits().unwrap();
    limits.flow_controlled = vec!["user0002".to_owned()];
    caller.app.set_limits(limits.clone()).unwrap();
    let answer = caller.post(SEND, &to_people(&caller)).await;
    assert_eq!(answer["body"]["flowControlledStaffIdList"], json!(["user0002"]));
    assert_eq!(answer["body"]["invalidStaffIdList"], json!(["nobody"]));
    let to: Vec<String> = caller.app.sent().unwrap().into_iter().map(|row| row.to).collect();
    assert_eq!(to, ["user0001"]);
    let lifted = caller.control("limits", &json!({"flowControlled": []})).await;
    assert_eq!(lifted["flowControlled"], json!([]));
    let body = with(&to_people(&caller), &json!({"userIds": ["user0002"]}));
    let answer = caller.post(SEND, &body).await;
    assert_eq!(answer["body"]["flowControlledStaffIdList"], json!([]));
    limits.flow_controlled = vec!["nobody".to_owned()];
    let refused = caller.app.set_limits(limits).unwrap_err().to_string();
    assert!(refused.contains("flowControlled"), "{refused}");
}

#[tokio::test]
async fn limits_are_set_strictly() {
    let caller = Caller::new().await;
    let path = format!("/_mock/apps/{}/limits", caller.app.client_id());
    for (field, body) in [
        ("perMinute", json!({"perMinute": -1})),
        ("messagesPerMonth", json!({"messagesPerMonth": "many"})),
        ("flowControlled", json!({"flowControlled": "user0001"})),
        ("flowControlled", json!({"flowControlled": ["nobody"]})),
    ] {
        let answer = caller.bare("POST", &path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"]["field"], field, "{body}");
    }
}
