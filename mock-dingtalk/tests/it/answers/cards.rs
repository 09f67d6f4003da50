//! Cards.

use serde_json::{Value, json};

use super::{Page, fixture};
use crate::caller::{Caller, with};

const CREATE: &str = "/v1.0/card/instances";
const DELIVER: &str = "/v1.0/card/instances/deliver";
const BOTH: &str = "/v1.0/card/instances/createAndDeliver";
const STREAM: &str = "/v1.0/card/streaming";

/// A card of the fixture with another id.
fn card(id: &str) -> Value {
    with(&fixture!("card_create"), &json!({"outTrackId": id}))
}

async fn made(caller: &Caller, id: &str) {
    assert_eq!(caller.post(CREATE, &card(id)).await["status"], 200);
}

/// What is wrong with a new card, whichever call makes it.
fn wrong_cards() -> Vec<(&'static str, Value)> {
    let data = |map: Value| json!({"outTrackId": "card_w", "cardData": {"cardParamMap": map}});
    let private = |data: Value| json!({"outTrackId": "card_w", "privateData": {"user0001": data}});
    vec![
        ("the same outTrackId again", json!({})),
        ("no outTrackId", json!({"outTrackId": null})),
        ("an empty outTrackId", json!({"outTrackId": ""})),
        ("outTrackId of 513 bytes", json!({"outTrackId": "a".repeat(513)})),
        ("no cardTemplateId", json!({"outTrackId": "card_w", "cardTemplateId": null})),
        ("no cardData", json!({"outTrackId": "card_w", "cardData": null})),
        ("cardParamMap as a string", data(json!("x"))),
        ("a value that is no string", data(json!({"flowStatus": 1}))),
        ("a private value that is no string", private(json!({"cardParamMap": {"mine": true}}))),
        ("unknown callbackType", json!({"outTrackId": "card_w", "callbackType": "stream"})),
    ]
}

#[tokio::test]
async fn card_create() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", CREATE);
    let right = card("card_1");
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("without data in cardData", json!({"outTrackId": "card_2", "cardData": {}})),
            ("callbackType HTTP", json!({"outTrackId": "card_3", "callbackType": "HTTP"})),
            ("no callbackType", json!({"outTrackId": "card_4", "callbackType": null})),
        ],
    )
    .await;
    page.cases(&caller, &right, &wrong_cards()).await;
    page.no_object(&caller, CREATE).await;
    page.door(&mut caller, CREATE, &right).await;
    page.done();
}

/// Spaces with their models: right ones and wrong ones.
fn spaces(robot: &str, group: &str, direct: &str, union: &str) -> Vec<(&'static str, Value)> {
    let space = |id: &str, model: &str, body: Value| json!({"openSpaceId": format!("dtv1.card//{id}"), model: body});
    let own = json!({"robotCode": robot});
    let (to_group, to_robot) = ("imGroupOpenDeliverModel", "imRobotOpenDeliverModel");
    let in_group = format!("IM_GROUP.{group}");
    let both = json!({"openSpaceId": format!("dtv1.card//{in_group};IM_ROBOT.user0001"),
        to_group: own, to_robot: {"spaceType": "IM_ROBOT"}});
    let many = vec!["IM_ROBOT.user0001"; 21].join(";");
    vec![
        ("to a group", space(&in_group, to_group, own.clone())),
        ("to a person", space("IM_ROBOT.user0001", to_robot, json!({"spaceType": "IM_ROBOT"}))),
        ("to a group and a person", both),
        (
            "to a chat of two",
            space(&format!("IM_SINGLE.{direct}"), "imSingleOpenDeliverModel", own.clone()),
        ),
        ("to a top box", space(&format!("ONE_BOX.{group}"), "topOpenDeliverModel", json!({}))),
        (
            "to a person by unionid",
            with(
                &space(&format!("IM_ROBOT.{union}"), to_robot, json!({})),
                &json!({"userIdType": 2}),
            ),
        ),
        ("to nobody", space("IM_ROBOT.nobody", to_robot, json!({}))),
        ("to a chat as a person", space(&format!("IM_ROBOT.{group}"), to_robot, json!({}))),
        ("to an unknown group", space("IM_GROUP.cidnone==", to_group, own.clone())),
        (
            "to a direct chat as a group",
            space(&format!("IM_GROUP.{direct}"), to_group, own.clone()),
        ),
        ("no openSpaceId", json!({"openSpaceId": null})),
        ("openSpaceId without its scheme", json!({"openSpaceId": in_group})),
        ("openSpaceId of an unknown type", space("IM_ROOM.x", to_group, own.clone())),
        ("openSpaceId without an id", space("IM_GROUP", to_group, own.clone())),
        ("21 spaces", space(&many, to_robot, json!({}))),
        ("no delivery model", space(&in_group, "imGroupOpenSpaceModel", json!({}))),
        ("the model of another space", space(&in_group, to_robot, json!({}))),
        ("no robot for a group", space(&in_group, to_group, json!({}))),
        ("another robot", space(&in_group, to_group, json!({"robotCode": "dingmockother"}))),
        (
            "another robot for a person",
            space("IM_ROBOT.user0001", to_robot, json!({"robotCode": "dingmockother"})),
        ),
    ]
}

/// A group, a direct chat, and somebody's unionid.
async fn places(caller: &Caller, page: &mut Page) -> [String; 3] {
    let group = caller.group().await;
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    page.hide(&group, "group");
    let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
    let person = caller.post(&path, &fixture!("user_get")).await;
    let union = person["body"]["result"]["unionid"].as_str().unwrap().to_owned();
    page.hide(&direct, "direct chat");
    page.hide(&union, "unionid");
    [group, direct, union]
}

#[tokio::test]
async fn card_deliver() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", DELIVER);
    let [group, direct, union] = places(&caller, &mut page).await;
    made(&caller, "card_1").await;
    let space = json!({"openSpaceId": format!("dtv1.card//IM_GROUP.{group}"),
        "imGroupOpenDeliverModel": {"robotCode": caller.app.robot_code()}});
    let right = with(&fixture!("card_deliver"), &space);
    page.cases(&caller, &right, &[("right", json!({}))]).await;
    let base = with(&fixture!("card_deliver"), &json!({"imGroupOpenDeliverModel": null}));
    page.cases(&caller, &base, &spaces(caller.app.robot_code(), &group, &direct, &union)).await;
    page.cases(
        &caller,
        &right,
        &[
            ("no outTrackId", json!({"outTrackId": null})),
            ("unknown outTrackId", json!({"outTrackId": "none"})),
        ],
    )
    .await;
    page.no_object(&caller, DELIVER).await;
    page.door(&mut caller, DELIVER, &right).await;
    page.done();
}

#[tokio::test]
async fn card_create_and_deliver() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", BOTH);
    let [group, direct, union] = places(&caller, &mut page).await;
    let space = json!({"openSpaceId": "dtv1.card//IM_ROBOT.user0001",
        "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"}});
    let right = with(&card("card_1"), &space);
    page.cases(&caller, &right, &[("right", json!({}))]).await;
    page.cases(&caller, &right, &wrong_cards()).await;
    for (index, (name, space)) in
        spaces(caller.app.robot_code(), &group, &direct, &union).into_iter().enumerate()
    {
        let body = with(&card(&format!("card_s{index}")), &space);
        page.case(name, caller.request("POST", BOTH).json(&body)).await;
    }
    page.no_object(&caller, BOTH).await;
    page.door(&mut caller, BOTH, &right).await;
    page.done();
}

#[tokio::test]
async fn card_update() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "PUT", CREATE);
    made(&caller, "card_1").await;
    let right = fixture!("card_update");
    let data = |map: Value| json!({"cardData": {"cardParamMap": map}});
    let private = json!({"user0001": {"cardParamMap": {"mine": "1"}}});
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("the whole map", json!({"cardUpdateOptions": null})),
            ("private data only", json!({"cardData": null, "privateData": private})),
            ("no outTrackId", json!({"outTrackId": null})),
            ("unknown outTrackId", json!({"outTrackId": "none"})),
            ("nothing to change", json!({"cardData": null})),
            ("cardParamMap as a string", data(json!("x"))),
            ("a value that is no string", data(json!({"a": {}}))),
            (
                "a private value that is no string",
                json!({"privateData": {"user0001": {"cardParamMap": {"mine": 1}}}}),
            ),
        ],
    )
    .await;
    page.no_object(&caller, CREATE).await;
    page.door(&mut caller, CREATE, &right).await;
    page.done();
}

#[tokio::test]
async fn card_streaming() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "PUT", STREAM);
    made(&caller, "card_1").await;
    let right = fixture!("card_streaming");
    let a = |bytes: usize| "a".repeat(bytes);
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("the same guid again", json!({})),
            ("the same guid with other words", json!({"content": "Hello!"})),
            ("the same words under another guid", json!({"guid": "1"})),
            ("empty words", json!({"guid": "2", "content": ""})),
            ("more words", json!({"guid": "3", "content": " more", "isFull": false})),
            ("no flags", json!({"guid": "4", "isFull": null, "isFinalize": null, "isError": null})),
            ("1024 bytes", json!({"guid": "5", "content": a(1_024)})),
            ("1025 bytes", json!({"guid": "6", "content": a(1_025)})),
            ("64 KiB", json!({"guid": "7", "content": a(64 << 10)})),
            ("more than 64 KiB", json!({"guid": "8", "content": a((64 << 10) + 1)})),
            (
                "more than 64 KiB with what was there",
                json!({"guid": "9", "content": "b", "isFull": false}),
            ),
            ("no outTrackId", json!({"guid": "x", "outTrackId": null})),
            ("unknown outTrackId", json!({"guid": "x", "outTrackId": "none"})),
            ("no guid", json!({"guid": null})),
            ("an empty guid", json!({"guid": ""})),
            ("no key", json!({"guid": "x", "key": null})),
            ("unknown key", json!({"guid": "x", "key": "content"})),
            ("no content", json!({"guid": "x", "content": null})),
            ("content as a number", json!({"guid": "x", "content": 1})),
            ("isFull as a string", json!({"guid": "x", "isFull": "true"})),
            ("isFinalize as a string", json!({"guid": "x", "isFinalize": "true"})),
            ("isError as a number", json!({"guid": "x", "isError": 0})),
        ],
    )
    .await;
    page.cases(
        &caller,
        &right,
        &[
            ("the end", json!({"guid": "end", "content": "Hello!", "isFinalize": true})),
            ("the end again", json!({"guid": "end", "content": "Hello!", "isFinalize": true})),
            ("after the end", json!({"guid": "late"})),
            ("another end", json!({"guid": "late end", "isFinalize": true})),
            ("unknown key after the end", json!({"guid": "late key", "key": "content"})),
        ],
    )
    .await;
    made(&caller, "card_2").await;
    let failing = with(&right, &json!({"outTrackId": "card_2"}));
    page.cases(
        &caller,
        &failing,
        &[
            ("a failure", json!({"guid": "fail", "isError": true})),
            ("after a failure", json!({"guid": "late"})),
        ],
    )
    .await;
    page.no_object(&caller, STREAM).await;
    page.door(&mut caller, STREAM, &right).await;
    page.done();
}

#[tokio::test]
async fn card_spaces() {
    const PATH: &str = "/v1.0/card/instances/spaces";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "PUT", PATH);
    made(&caller, "card_1").await;
    let right = json!({"outTrackId": "card_1", "imGroupOpenSpaceModel": {"supportForward": true}});
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("a top box", json!({"topOpenSpaceModel": {"spaceType": "ONE_BOX"}})),
            ("no outTrackId", json!({"outTrackId": null})),
            ("unknown outTrackId", json!({"outTrackId": "none"})),
            ("no model", json!({"imGroupOpenSpaceModel": null})),
            ("a model as a string", json!({"imGroupOpenSpaceModel": "x"})),
        ],
    )
    .await;
    page.no_object(&caller, PATH).await;
    page.door(&mut caller, PATH, &right).await;
    page.done();
}

#[tokio::test]
async fn card_callbacks_register() {
    const PATH: &str = "/v1.0/card/callbacks/register";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let right = json!({"callbackRouteKey": "route", "callbackUrl": "https://example.com/press",
        "apiSecret": "dingmock-secret"});
    let other = "https://example.com/other";
    let long = format!("https://example.com/{}", "a".repeat(2_048));
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("again", json!({})),
            ("no apiSecret", json!({"callbackRouteKey": "route 2", "apiSecret": null})),
            ("elsewhere", json!({"callbackUrl": other})),
            ("elsewhere, forced", json!({"callbackUrl": other, "forceUpdate": true})),
            ("no callbackRouteKey", json!({"callbackRouteKey": null})),
            ("callbackRouteKey of 513 bytes", json!({"callbackRouteKey": "a".repeat(513)})),
            ("no callbackUrl", json!({"callbackUrl": null})),
            ("callbackUrl is no address", json!({"callbackUrl": "press"})),
            ("callbackUrl of another scheme", json!({"callbackUrl": "ftp://example.com"})),
            ("a long callbackUrl", json!({"callbackUrl": long})),
        ],
    )
    .await;
    page.no_object(&caller, PATH).await;
    page.door(&mut caller, PATH, &right).await;
    page.done();
}

#[tokio::test]
async fn card_tops_close() {
    const PATH: &str = "/v1.0/card/tops/close";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let [group, direct, _] = places(&caller, &mut page).await;
    let top = json!({"openSpaceId": format!("dtv1.card//ONE_BOX.{group}"),
        "topOpenDeliverModel": {}});
    for id in ["card_1", "card_2"] {
        assert_eq!(caller.post(BOTH, &with(&card(id), &top)).await["status"], 200);
    }
    let encode = |id: &str| url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
    let (in_group, in_direct) = (encode(&group), encode(&direct));
    for (name, query) in [
        ("right", format!("?outTrackId=card_1&openConversationId={in_group}")),
        ("again", format!("?outTrackId=card_1&openConversationId={in_group}")),
        ("no outTrackId", format!("?openConversationId={in_group}")),
        ("unknown outTrackId", format!("?outTrackId=none&openConversationId={in_group}")),
        ("no openConversationId", "?outTrackId=card_1".to_owned()),
        ("another chat", format!("?outTrackId=card_2&openConversationId={in_direct}")),
        ("unknown chat", "?outTrackId=card_2&openConversationId=cidnone".to_owned()),
    ] {
        page.case(name, caller.request("POST", &format!("{PATH}{query}"))).await;
    }
    let in_body = json!({"outTrackId": "card_2", "openConversationId": group});
    page.case("in the body", caller.request("POST", PATH).json(&in_body)).await;
    page.case("nothing", caller.request("POST", PATH)).await;
    page.door(&mut caller, PATH, &in_body).await;
    page.done();
}
