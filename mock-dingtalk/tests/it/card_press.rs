//! Presses on cards, and the rarer card calls.

use std::time::Duration;

use mock_dingtalk::{CardPress, DeliveryState};
use serde_json::{Value, json};

use crate::{
    caller::{Caller, with},
    support::{Bot, ack, data, open, open_body},
};

const TOPIC: &str = "/v1.0/card/instances/callback";

pub(crate) async fn card(caller: &Caller, id: &str, changes: &Value) {
    let card = json!({
        "cardTemplateId": "t.schema",
        "outTrackId": id,
        "cardData": {"cardParamMap": {"title": "vote", "state": "open"}},
        "callbackType": "STREAM",
        "openSpaceId": "dtv1.card//IM_ROBOT.user0001",
        "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"},
    });
    let answer = caller.post("/v1.0/card/instances/createAndDeliver", &with(&card, changes)).await;
    assert_eq!(answer["status"], 200, "{answer}");
}

/// A bot that subscribed to presses.
pub(crate) async fn bot(caller: &Caller) -> Bot {
    let subscriptions = json!([{"type": "CALLBACK", "topic": TOPIC}]);
    let body = with(&open_body(&caller.app), &json!({"subscriptions": subscriptions}));
    let (_, opened) = open(caller.mock.url(), &body).await;
    let ticket = opened["ticket"].as_str().unwrap();
    let bot = Bot::redeem(opened["endpoint"].as_str().unwrap(), ticket).await.unwrap();
    caller.app.wait_connections(1).await.unwrap();
    bot
}

fn params(caller: &Caller) -> Value {
    caller.sent()[0]["raw"]["cardData"]["cardParamMap"].clone()
}

#[tokio::test]
async fn a_press_is_pushed_and_its_answer_changes_the_card() {
    let caller = Caller::new().await;
    card(&caller, "card_1", &json!({})).await;
    let mut bot = bot(&caller).await;
    let body = json!({
        "outTrackId": "card_1", "userId": "user0001",
        "actionIds": ["btn_ok"], "params": {"action": "accept"},
    });
    let said = caller.control("card-actions", &body).await;
    assert_eq!(said["state"], "pushed");
    let frame = bot.frame().await;
    assert_eq!(frame["headers"]["topic"], TOPIC);
    let pressed = data(&frame);
    let content: Value = serde_json::from_str(pressed["content"].as_str().unwrap()).unwrap();
    let expected = json!({"actionIds": ["btn_ok"], "params": {"action": "accept"}});
    assert_eq!(content, json!({"cardPrivateData": expected}));
    let names: Vec<&String> = pressed.as_object().unwrap().keys().collect();
    let documented = [
        "content",
        "corpId",
        "extension",
        "outTrackId",
        "spaceId",
        "spaceType",
        "type",
        "userId",
        "userIdType",
    ];
    assert_eq!(names, documented);
    assert_eq!((&pressed["type"], &pressed["spaceType"]), (&json!("actionCallback"), &json!("IM")));
    let response = json!({"response": {
        "cardUpdateOptions": {"updateCardDataByKey": true},
        "cardData": {"cardParamMap": {"state": "done"}},
        "userPrivateData": {"cardParamMap": {"mine": "yes"}},
    }});
    bot.send(ack(&frame, &response.to_string())).await;
    let rows = caller.app.wait_acked(1).await.unwrap();
    assert_eq!(rows[0].state, DeliveryState::Acked);
    assert_eq!(params(&caller), json!({"title": "vote", "state": "done"}));
    let private = caller.sent()[0]["raw"]["privateData"].clone();
    assert_eq!(private, json!({"user0001": {"mine": "yes"}}));
    // The library presses as well; without options the whole map is overwritten.
    caller.app.press(&CardPress::new("card_1", "user0002", "again")).await.unwrap();
    let frame = bot.frame().await;
    let response = json!({"response": {"cardData": {"cardParamMap": {"title": "over"}}}});
    bot.send(ack(&frame, &response.to_string())).await;
    caller.app.wait_acked(2).await.unwrap();
    assert_eq!(params(&caller), json!({"title": "over"}));
}

#[tokio::test]
async fn a_press_in_a_chat_that_was_named_by_the_union_id_tells_the_chat() {
    let caller = Caller::new().await;
    let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
    let ada = caller.post(&path, &json!({"userid": "user0001"})).await;
    let union = ada["body"]["result"]["unionid"].as_str().unwrap().to_owned();
    let space = json!({"openSpaceId": format!("dtv1.card//IM_ROBOT.{union}")});
    card(&caller, "card_1", &space).await;
    let mut bot = bot(&caller).await;
    caller.app.press(&CardPress::new("card_1", "user0001", "ok")).await.unwrap();
    let pressed = data(&bot.frame().await);
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    assert_eq!(pressed["spaceId"], direct.as_str());
}

#[tokio::test]
async fn an_answer_after_two_seconds_is_late_and_changes_nothing() {
    let caller = Caller::new().await;
    card(&caller, "card_1", &json!({})).await;
    let mut bot = bot(&caller).await;
    caller.app.press(&CardPress::new("card_1", "user0001", "ok")).await.unwrap();
    let frame = bot.frame().await;
    caller.mock.clock().advance(Duration::from_millis(2_001));
    assert_eq!(caller.app.deliveries().unwrap()[0].state, DeliveryState::Timeout);
    let response = json!({"response": {"cardData": {"cardParamMap": {"title": "late"}}}});
    bot.send(ack(&frame, &response.to_string())).await;
    let rows = caller.app.wait_acked(1).await.unwrap();
    assert_eq!((rows[0].state, rows[0].attempts.len()), (DeliveryState::Timeout, 1));
    assert!(rows[0].ack.as_ref().unwrap().late);
    assert_eq!(params(&caller)["title"], "vote");
    caller.app.press(&CardPress::new("card_1", "user0001", "ok")).await.unwrap();
    let frame = bot.frame().await;
    let bare = json!({"cardData": {"cardParamMap": {"title": "bare"}}});
    bot.send(ack(&frame, &bare.to_string())).await;
    caller.app.wait_acked(2).await.unwrap();
    assert_eq!(params(&caller)["title"], "vote");
    let problems: Vec<String> = (caller.app.journal().unwrap().iter())
        .filter_map(|entry| Some(entry.diagnosis.as_ref()?.problem.clone()))
        .collect();
    assert!(problems.iter().any(|problem| problem.contains("more than 2 s")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("no response")), "{problems:?}");
}

#[tokio::test]
async fn a_press_needs_a_delivered_card_that_tells_by_stream() {
    let caller = Caller::new().await;
    card(&caller, "http", &json!({"callbackType": "HTTP"})).await;
    card(&caller, "silent", &json!({"callbackType": null})).await;
    card(&caller, "nowhere", &json!({"openSpaceId": "dtv1.card//IM_ROBOT.nobody"})).await;
    card(&caller, "right", &json!({})).await;
    let right = json!({"outTrackId": "right", "userId": "user0001", "actionIds": ["a"]});
    let path = format!("/_mock/apps/{}/card-actions", caller.app.client_id());
    let mut seen = serde_json::Map::new();
    for (name, changes) in [
        ("unknown card", json!({"outTrackId": "none"})),
        ("told by HTTP", json!({"outTrackId": "http"})),
        ("told to nobody", json!({"outTrackId": "silent"})),
        ("not delivered", json!({"outTrackId": "nowhere"})),
        ("unknown person", json!({"userId": "nobody"})),
        ("unknown space", json!({"spaceId": "user0002"})),
        ("no action", json!({"actionIds": null})),
        ("an action that is no string", json!({"actionIds": [1]})),
        ("unknown field", json!({"action": "a"})),
    ] {
        let answer = caller.bare("POST", &path).json(&with(&right, &changes)).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{name}");
        let body: Value = answer.json().await.unwrap();
        seen.insert(name.to_owned(), body["error"]["message"].clone());
    }
    insta::assert_json_snapshot!(seen);
    let lost = caller.control("card-actions", &right).await;
    assert_eq!(lost["state"], "lost", "nobody subscribed");
}

#[tokio::test]
async fn spaces_callback_routes_and_top_boxes() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let robot = json!({"robotCode": caller.app.robot_code()});
    let top = json!({
        "openSpaceId": format!("dtv1.card//ONE_BOX.{group}"), "topOpenDeliverModel": robot,
    });
    card(&caller, "card_1", &top).await;
    let mut seen = serde_json::Map::new();
    let spaces = json!({"outTrackId": "card_1", "imGroupOpenSpaceModel": {"supportForward": true}});
    for (name, changes) in [
        ("right", json!({})),
        ("no card", json!({"outTrackId": "none"})),
        ("no id", json!({"outTrackId": null})),
        ("no model", json!({"imGroupOpenSpaceModel": null})),
        ("a model that is no object", json!({"imGroupOpenSpaceModel": "x"})),
    ] {
        let answer = caller.put("/v1.0/card/instances/spaces", &with(&spaces, &changes)).await;
        seen.insert(format!("spaces, {name}"), answer);
    }
    assert_eq!(caller.sent()[0]["raw"]["imGroupOpenSpaceModel"]["supportForward"], true);
    let register = json!({
        "callbackRouteKey": "key", "callbackUrl": "https://example.com/a", "apiSecret": "s",
    });
    for (name, changes) in [
        ("right", json!({})),
        ("again, the secret is kept", json!({"apiSecret": null})),
        ("elsewhere", json!({"callbackUrl": "https://example.com/b"})),
        (
            "elsewhere by force",
            json!({"callbackUrl": "https://example.com/b", "forceUpdate": true}),
        ),
        ("no key", json!({"callbackRouteKey": ""})),
        ("no address", json!({"callbackUrl": "example.com"})),
    ] {
        let answer = caller.post("/v1.0/card/callbacks/register", &with(&register, &changes)).await;
        seen.insert(format!("register, {name}"), answer);
    }
    let close = "/v1.0/card/tops/close";
    for (name, query) in [
        ("no id", format!("?openConversationId={group}")),
        ("no chat", "?outTrackId=card_1".to_owned()),
        ("no card", format!("?outTrackId=none&openConversationId={group}")),
        ("right", format!("?outTrackId=card_1&openConversationId={group}")),
        ("again", format!("?outTrackId=card_1&openConversationId={group}")),
    ] {
        let answer = caller.post(&format!("{close}{query}"), &json!({})).await;
        seen.insert(format!("close, {name}"), answer);
    }
    insta::assert_json_snapshot!(seen);
}
