//! Cards: made, delivered, streamed, finished; one row of `sent` for each place.

use std::time::Duration;

use mock_dingtalk::MockDingtalk;
use serde_json::{Map, Value, json};

use crate::caller::{Caller, with};

const CREATE: &str = "/v1.0/card/instances";
const DELIVER: &str = "/v1.0/card/instances/deliver";
const BOTH: &str = "/v1.0/card/instances/createAndDeliver";
const STREAM: &str = "/v1.0/card/streaming";

fn new_card(id: &str, params: &Value) -> Value {
    json!({
        "cardTemplateId": "11111111-2222-3333-4444-555555555555.schema",
        "outTrackId": id,
        "cardData": {"cardParamMap": params},
        "callbackType": "STREAM",
    })
}

/// To one person, as `createAndDeliver` wants it.
fn to_person(id: &str, params: &Value) -> Value {
    let space = json!({
        "openSpaceId": "dtv1.card//IM_ROBOT.user0001",
        "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"},
    });
    with(&new_card(id, params), &space)
}

fn frame(guid: &str, content: &str) -> Value {
    json!({
        "outTrackId": "card_1", "guid": guid, "key": "msgContent", "content": content,
        "isFull": true, "isFinalize": false, "isError": false,
    })
}

#[tokio::test]
async fn a_card_is_made_once_and_delivered_to_every_space_that_there_is() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let robot = caller.app.robot_code();
    let right = new_card("card_1", &json!({"flowStatus": "1", "msgContent": ""}));
    let mut seen = Map::new();
    for (name, changes) in [
        ("right", json!({})),
        ("again", json!({})),
        ("no template", json!({"cardTemplateId": ""})),
        ("no id", json!({"outTrackId": null})),
        ("no data", json!({"cardData": null})),
        (
            "a value that is no string",
            json!({"outTrackId": "c", "cardData": {"cardParamMap": {"a": 1}}}),
        ),
        ("unknown way of callback", json!({"callbackType": "stream"})),
    ] {
        seen.insert(name.to_owned(), caller.post(CREATE, &with(&right, &changes)).await);
    }
    insta::assert_json_snapshot!("card_create", seen);
    let spaces = format!("dtv1.card//IM_GROUP.{group};IM_ROBOT.user0001;IM_ROBOT.{group}");
    let right = json!({
        "outTrackId": "card_1",
        "openSpaceId": spaces,
        "imGroupOpenDeliverModel": {"robotCode": robot},
        "imRobotOpenDeliverModel": {"robotCode": robot},
    });
    let mut seen = Map::new();
    for (name, changes) in [
        ("two of three spaces", json!({})),
        ("unknown card", json!({"outTrackId": "none"})),
        ("no space", json!({"openSpaceId": null})),
        ("no such type", json!({"openSpaceId": "dtv1.card//IM_ROOM.x"})),
        ("another scheme", json!({"openSpaceId": group})),
        ("no model", json!({"imGroupOpenDeliverModel": null})),
        ("no robot in a group", json!({"imGroupOpenDeliverModel": {}})),
        ("another robot", json!({"imRobotOpenDeliverModel": {"robotCode": "other"}})),
    ] {
        seen.insert(name.to_owned(), caller.post(DELIVER, &with(&right, &changes)).await);
    }
    insta::assert_json_snapshot!("card_deliver", seen);
    insta::assert_json_snapshot!("card_rows", caller.sent());
}

#[tokio::test]
async fn a_card_that_is_made_and_delivered_at_once_answers_with_an_object() {
    let caller = Caller::new().await;
    let right = to_person("card_1", &json!({"title": "hi"}));
    let mut seen = Map::new();
    for (name, changes) in [
        ("right", json!({})),
        ("again", json!({})),
        ("nobody there", json!({"outTrackId": "c2", "openSpaceId": "dtv1.card//IM_ROBOT.nobody"})),
        ("no space", json!({"outTrackId": "c3", "openSpaceId": null})),
    ] {
        seen.insert(name.to_owned(), caller.post(BOTH, &with(&right, &changes)).await);
    }
    insta::assert_json_snapshot!(seen);
    let again = caller.post(CREATE, &new_card("c3", &json!({}))).await;
    assert_eq!(again["status"], 200, "what was refused was not made");
    let carrier = seen["right"]["body"]["result"]["deliverResults"][0]["carrierId"].clone();
    let recall = json!({"robotCode": caller.app.robot_code(), "processQueryKeys": [carrier]});
    let answer = caller.post("/v1.0/robot/otoMessages/batchRecall", &recall).await;
    assert_eq!(answer["body"]["successResult"], json!([carrier]));
    assert_eq!(caller.sent()[0]["recalled"], true);
}

#[tokio::test]
async fn a_card_is_one_row_that_is_finished_when_its_stream_is() {
    let caller = Caller::new().await;
    let card = to_person("card_1", &json!({"flowStatus": "1", "msgContent": ""}));
    assert_eq!(caller.post(BOTH, &card).await["status"], 200);
    let state = || {
        let rows = caller.sent();
        assert_eq!(rows.as_array().unwrap().len(), 1, "a card is one row");
        let flow = rows[0]["raw"]["cardData"]["cardParamMap"]["flowStatus"].clone();
        json!([rows[0]["text"], flow, rows[0]["finished"]])
    };
    let stream = async |changes: Value| {
        let answer = caller.put(STREAM, &with(&frame("g", ""), &changes)).await;
        assert_eq!(answer["body"], json!({"success": true, "result": true}), "{changes}");
        answer["diagnosis"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(state(), json!(["", "1", false]));
    let waiting = caller.app.wait_sent_within(1, Duration::from_millis(1)).await;
    assert!(waiting.is_err(), "an unfinished card is not counted");
    stream(json!({"guid": "g0"})).await;
    stream(json!({"guid": "g1", "content": "He"})).await;
    assert_eq!(state(), json!(["He", "2", false]));
    let twice = stream(json!({"guid": "g1", "content": "Heeeee"})).await;
    assert!(twice.contains("used already"), "{twice}");
    stream(json!({"guid": "g2", "content": "llo", "isFull": false})).await;
    assert_eq!(state(), json!(["Hello", "2", false]));
    stream(json!({"guid": "g3", "content": "Hello!", "isFinalize": true})).await;
    assert_eq!(state(), json!(["Hello!", "3", true]));
    let late = stream(json!({"guid": "g4", "content": "late"})).await;
    assert!(late.contains("finished"), "{late}");
    assert_eq!(caller.app.wait_sent(1).await.unwrap()[0].text, "Hello!");
    let failing = to_person("card_2", &json!({"msgContent": ""}));
    caller.post(BOTH, &failing).await;
    stream(json!({"outTrackId": "card_2", "guid": "g5", "content": "oh", "isError": true})).await;
    let rows = caller.app.wait_sent(2).await.unwrap();
    assert_eq!(rows[1].raw["cardData"]["cardParamMap"]["flowStatus"], "5");
}

#[tokio::test]
async fn a_wrong_streaming_call_is_refused_by_its_own_code() {
    let caller = Caller::new().await;
    caller.post(BOTH, &to_person("card_1", &json!({"msgContent": ""}))).await;
    let mut seen = Map::new();
    for (name, changes) in [
        ("unknown card", json!({"outTrackId": "none"})),
        ("no card", json!({"outTrackId": ""})),
        ("no guid", json!({"guid": null})),
        ("no key", json!({"key": ""})),
        ("unknown key", json!({"key": "content"})),
        ("no content", json!({"content": null})),
        ("longer than recommended", json!({"content": "a".repeat(1_025)})),
        ("too long", json!({"content": "a".repeat((64 << 10) + 1)})),
        ("isFull as a string", json!({"isFull": "true"})),
    ] {
        let body = with(&frame(name, "x"), &changes);
        seen.insert(name.to_owned(), caller.put(STREAM, &body).await);
    }
    let grown = frame("grown", &"a".repeat(64 << 10));
    let grown = caller.put(STREAM, &with(&grown, &json!({"isFull": false}))).await;
    assert_eq!(grown["body"]["code"], "param.stream.content", "the whole is bounded too");
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn an_update_overwrites_the_whole_map_unless_it_goes_by_key() {
    let caller = Caller::new().await;
    caller.post(BOTH, &to_person("card_1", &json!({"title": "t", "msgContent": "a"}))).await;
    let update =
        |params: Value| json!({"outTrackId": "card_1", "cardData": {"cardParamMap": params}});
    let params = || caller.sent()[0]["raw"]["cardData"]["cardParamMap"].clone();
    let by_key = json!({"cardUpdateOptions": {"updateCardDataByKey": true}});
    let answer = caller.put(CREATE, &with(&update(json!({"msgContent": "b"})), &by_key)).await;
    assert_eq!(answer["body"], json!({"success": true, "result": true}));
    assert_eq!(params(), json!({"title": "t", "msgContent": "b"}));
    caller.put(CREATE, &update(json!({"msgContent": "c", "flowStatus": "3"}))).await;
    assert_eq!(params(), json!({"msgContent": "c", "flowStatus": "3"}));
    let private = json!({
        "outTrackId": "card_1", "privateData": {"user0001": {"cardParamMap": {"mine": "1"}}},
    });
    caller.put(CREATE, &private).await;
    let rows = caller.sent();
    assert_eq!(rows[0]["raw"]["privateData"], json!({"user0001": {"mine": "1"}}));
    assert_eq!((&rows[0]["text"], &rows[0]["finished"]), (&json!("c"), &json!(true)));
    let mut seen = Map::new();
    for (name, body) in [
        ("unknown card", json!({"outTrackId": "none", "cardData": {}})),
        ("nothing to change", json!({"outTrackId": "card_1"})),
        ("a value that is no string", update(json!({"a": {}}))),
    ] {
        seen.insert(name.to_owned(), caller.put(CREATE, &body).await);
    }
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn a_call_without_a_token_of_this_app_makes_no_card() {
    let caller = Caller::new().await;
    let other = MockDingtalk::start().await.unwrap();
    let card = to_person("card_1", &json!({"title": "hi"}));
    let url = format!("{}{BOTH}", other.url());
    let refused = crate::support::http()
        .post(url)
        .header("x-acs-dingtalk-access-token", &caller.token)
        .json(&card)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 400);
    let answer: Value = refused.json().await.unwrap();
    assert_eq!(answer["code"], "InvalidAuthentication");
    assert_eq!(caller.sent(), json!([]));
}

/// The code of a streaming call to `card`, with the value it left in `key`.
async fn streamed(caller: &Caller, card: &str, key: &str, changes: &Value) -> Value {
    let guid = format!("{card} {key} {changes}");
    let body = with(&frame(&guid, "x"), &json!({"outTrackId": card, "key": key}));
    let answer = caller.put(STREAM, &with(&body, changes)).await;
    answer["body"].get("code").cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_variable_of_a_card_stays_one_whatever_its_map_holds_later() {
    let caller = Caller::new().await;
    let unknown = json!("unknownError");
    caller.post(CREATE, &new_card("any", &json!({"flowStatus": "1"}))).await;
    for key in ["first", "second"] {
        assert_eq!(streamed(&caller, "any", key, &json!({})).await, Value::Null, "{key}");
    }
    caller.post(CREATE, &new_card("some", &json!({"content": "", "title": "t"}))).await;
    let update = json!({"outTrackId": "some", "cardData": {"cardParamMap": {"state": "s"}}});
    caller.put(CREATE, &update).await;
    for key in ["content", "state"] {
        assert_eq!(streamed(&caller, "some", key, &json!({})).await, Value::Null, "{key}");
    }
    assert_eq!(streamed(&caller, "some", "other", &json!({})).await, unknown);
    caller.app.set_lenient(true).unwrap();
    assert_eq!(streamed(&caller, "some", "other", &json!({"isFinalize": true})).await, Value::Null);
}

#[tokio::test]
async fn markdown_of_a_public_template_is_never_appended_to() {
    let caller = Caller::new().await;
    let template = json!({"cardTemplateId": "675cde2f-f526-40cb-b828-f5b2b57b8b77.schema"});
    caller.post(CREATE, &with(&new_card("card_1", &json!({})), &template)).await;
    for (key, full, code) in [
        ("content", true, Value::Null),
        ("content", false, json!("param.stream.isFull")),
        ("copy_content", false, Value::Null),
        ("msgContent", true, json!("unknownError")),
    ] {
        let answer = streamed(&caller, "card_1", key, &json!({"isFull": full})).await;
        assert_eq!(answer, code, "{key} {full}");
    }
}

#[tokio::test]
async fn a_person_may_be_named_by_the_union_id() {
    let caller = Caller::new().await;
    let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
    let ada = caller.post(&path, &json!({"userid": "user0001"})).await;
    let union = ada["body"]["result"]["unionid"].as_str().unwrap().to_owned();
    let space = json!({
        "openSpaceId": format!("dtv1.card//IM_ROBOT.{union}"),
        "imRobotOpenSpaceModel": {"supportForward": true},
    });
    let card = with(&to_person("card_1", &json!({"title": "hi"})), &space);
    let answer = caller.post(BOTH, &card).await;
    let result = &answer["body"]["result"]["deliverResults"][0];
    assert_eq!((&result["success"], &result["spaceId"]), (&json!(true), &json!(union)));
    let row = &caller.sent()[0];
    assert_eq!(row["to"], "user0001");
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    assert_eq!(row["conversationId"], direct.as_str());
    let shown = &row["raw"]["imRobotOpenSpaceModel"];
    assert_eq!(shown, &json!({"supportForward": true}), "models given at first are kept");
    let wrong = json!({"outTrackId": "card_2", "imRobotOpenSpaceModel": "x"});
    let refused = caller.post(CREATE, &with(&card, &wrong)).await;
    assert_eq!(refused["body"]["code"], "param.openSpaceModelInvalid");
}

/// What is kept of cards is bounded in bytes: whoever writes too much into one is told so.
#[tokio::test]
async fn a_card_is_bounded_in_bytes_and_old_ones_make_room() {
    let caller = Caller::new().await;
    let card = |id: &str, bytes: usize| {
        json!({"outTrackId": id, "cardTemplateId": "t", "callbackType": "STREAM",
            "cardData": {"cardParamMap": {"content": "x".repeat(bytes)}}})
    };
    let create = "/v1.0/card/instances";
    let refused = caller.post(create, &card("large", 1 << 20)).await;
    assert_eq!(
        (&refused["status"], &refused["body"]["code"]),
        (&json!(400), &json!("param.invalid"))
    );
    for n in 0..20 {
        let made = caller.post(create, &card(&format!("card{n}"), 500_000)).await;
        assert_eq!(made["status"], 200, "{made}");
    }
    let grown = json!({"outTrackId": "card19", "cardUpdateOptions": {"updateCardDataByKey": true},
        "cardData": {"cardParamMap": {"more": "x".repeat(600_000)}}});
    assert_eq!(caller.put(create, &grown).await["status"], 400);
    let small = |id: &str| {
        json!({"outTrackId": id, "cardUpdateOptions": {"updateCardDataByKey": true},
            "cardData": {"cardParamMap": {"more": "x"}}})
    };
    let forgotten = caller.put(create, &small("card0")).await;
    assert_eq!(forgotten["body"]["code"], "param.cardNotExist", "{forgotten}");
    assert_eq!(caller.put(create, &small("card19")).await["status"], 200);
}
