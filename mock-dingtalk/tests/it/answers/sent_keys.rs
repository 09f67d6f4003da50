//! What is asked of messages that are sent: recalls, and who read them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Page, fixture};
use crate::caller::{Caller, with};

/// The chats, and for each kind of chat the keys of three messages into it.
struct Keys {
    group: String,
    other_group: String,
    direct: String,
    other_direct: String,
    to_people: Vec<String>,
    to_group: Vec<String>,
    to_private: Vec<String>,
}

impl Keys {
    async fn new(caller: &Caller, page: &mut Page) -> Self {
        let app = &caller.app;
        let group = caller.group().await;
        let other_group = app.say_in_group("user0001", "Other", "hi").await.unwrap();
        let direct = app.say("user0001", "hi").await.unwrap().conversation_id;
        let other_direct = app.say("user0002", "hi").await.unwrap().conversation_id;
        let other_group = other_group.conversation_id;
        let robot = json!({"robotCode": app.robot_code()});
        let calls = [
            ("oToMessages/batchSend", with(&fixture!("batch_send_text"), &robot)),
            (
                "groupMessages/send",
                with(&fixture!("group_send"), &json!({"openConversationId": group})),
            ),
            (
                "privateChatMessages/send",
                with(&fixture!("private_chat_send"), &json!({"openConversationId": direct})),
            ),
        ];
        let mut keys = Vec::new();
        for (path, body) in calls {
            let mut sent = Vec::new();
            for number in 1..=3 {
                let path = format!("/v1.0/robot/{path}");
                let answer = caller.post(&path, &with(&body, &robot)).await;
                let key = answer["body"]["processQueryKey"].as_str().unwrap().to_owned();
                page.hide(&key, &format!("key {number} of {}", path.rsplit('/').nth(1).unwrap()));
                sent.push(key);
            }
            keys.push(sent);
        }
        for (id, name) in [
            (&group, "group"),
            (&other_group, "other group"),
            (&direct, "direct chat"),
            (&other_direct, "other direct chat"),
        ] {
            page.hide(id, name);
        }
        let [to_people, to_group, to_private] = keys.try_into().unwrap();
        Self { group, other_group, direct, other_direct, to_people, to_group, to_private }
    }
}

/// Cases of every recall: its own keys, and one of another call's.
fn recalls(own: &[String], other: &str) -> Vec<(&'static str, Value)> {
    let many = |count: usize| -> Vec<String> { (0..count).map(|n| format!("key{n}")).collect() };
    let keys = |keys: &[&str]| json!({"processQueryKeys": keys});
    vec![
        ("right", keys(&[&own[0]])),
        ("again", keys(&[&own[0]])),
        ("a right key and a wrong one", keys(&[&own[1], "nokey"])),
        ("an unknown key", keys(&["nokey"])),
        ("a key of another call", keys(&[other])),
        ("20 unknown keys", json!({"processQueryKeys": many(20)})),
        ("21 keys", json!({"processQueryKeys": many(21)})),
        ("no keys", json!({"processQueryKeys": []})),
        ("no processQueryKeys", json!({"processQueryKeys": null})),
        ("processQueryKeys as a string", json!({"processQueryKeys": own[2]})),
        ("an empty key", keys(&[""])),
        ("a key as a number", json!({"processQueryKeys": [1]})),
        ("no robotCode", json!({"robotCode": null})),
        ("another robot", json!({"robotCode": "dingmockother"})),
    ]
}

fn chats(unlike: &str, other: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("no openConversationId", json!({"openConversationId": null})),
        ("unknown openConversationId", json!({"openConversationId": "cidnone=="})),
        ("a chat of the other kind", json!({"openConversationId": unlike})),
        ("another chat of the kind", json!({"openConversationId": other})),
    ]
}

/// The third key by the clock, just inside and just outside of a day. The door took two hours.
async fn by_the_clock(page: &mut Page, caller: &mut Caller, right: &Value) {
    caller.app.clock().advance(Duration::from_hours(22) - Duration::from_secs(1));
    caller.renew().await;
    page.cases(caller, right, &[("one second before a day is over", json!({}))]).await;
    caller.app.clock().advance(Duration::from_secs(1));
    page.cases(caller, right, &[("after a day", json!({}))]).await;
}

#[tokio::test]
async fn oto_recall() {
    const PATH: &str = "/v1.0/robot/otoMessages/batchRecall";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let keys = Keys::new(&caller, &mut page).await;
    let own =
        json!({"robotCode": caller.app.robot_code(), "processQueryKeys": [keys.to_people[2]]});
    let right = with(&fixture!("oto_recall"), &own);
    page.cases(&caller, &right, &recalls(&keys.to_people, &keys.to_group[2])).await;
    let other = caller.request("POST", "/v1.0/robot/oToMessages/batchRecall");
    let body = with(&right, &json!({"processQueryKeys": [keys.to_people[1]]}));
    page.case("the path as batchSend has it", other.json(&body)).await;
    page.no_object(&caller, PATH).await;
    let unknown = with(&right, &json!({"processQueryKeys": ["nokey"]}));
    page.door(&mut caller, PATH, &unknown).await;
    by_the_clock(&mut page, &mut caller, &right).await;
    page.done();
}

#[tokio::test]
async fn group_recall() {
    const PATH: &str = "/v1.0/robot/groupMessages/recall";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let keys = Keys::new(&caller, &mut page).await;
    let own = json!({"robotCode": caller.app.robot_code(), "openConversationId": keys.group,
        "processQueryKeys": [keys.to_group[2]]});
    let right = with(&fixture!("group_recall"), &own);
    page.cases(&caller, &right, &recalls(&keys.to_group, &keys.to_people[2])).await;
    page.cases(&caller, &right, &chats(&keys.direct, &keys.other_group)).await;
    page.no_object(&caller, PATH).await;
    let unknown = with(&right, &json!({"processQueryKeys": ["nokey"]}));
    page.door(&mut caller, PATH, &unknown).await;
    by_the_clock(&mut page, &mut caller, &right).await;
    page.done();
}

#[tokio::test]
async fn private_recall() {
    const PATH: &str = "/v1.0/robot/privateChatMessages/batchRecall";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let keys = Keys::new(&caller, &mut page).await;
    let right = json!({"robotCode": caller.app.robot_code(), "openConversationId": keys.direct,
        "processQueryKeys": [keys.to_private[2]]});
    page.cases(&caller, &right, &recalls(&keys.to_private, &keys.to_people[2])).await;
    page.cases(&caller, &right, &chats(&keys.group, &keys.other_direct)).await;
    page.no_object(&caller, PATH).await;
    let unknown = with(&right, &json!({"processQueryKeys": ["nokey"]}));
    page.door(&mut caller, PATH, &unknown).await;
    by_the_clock(&mut page, &mut caller, &right).await;
    page.done();
}

#[tokio::test]
async fn read_status() {
    const PATH: &str = "/v1.0/robot/oToMessages/readStatus";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", PATH);
    let keys = Keys::new(&caller, &mut page).await;
    let robot = caller.app.robot_code().to_owned();
    let key = |key: &str| url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
    let right = format!("robotCode={robot}&processQueryKey={}", key(&keys.to_people[0]));
    let get = |caller: &Caller, query: &str| caller.request("GET", &format!("{PATH}?{query}"));
    page.case("nobody read it", get(&caller, &right)).await;
    caller.app.read("user0002", &keys.to_people[0]).unwrap();
    page.case("one read it", get(&caller, &right)).await;
    let recall = json!({"robotCode": robot, "processQueryKeys": [keys.to_people[1]]});
    let answer = caller.post("/v1.0/robot/otoMessages/batchRecall", &recall).await;
    assert_eq!(answer["status"], 200);
    let other = key(&keys.to_group[0]);
    for (name, query) in [
        ("recalled", format!("robotCode={robot}&processQueryKey={}", key(&keys.to_people[1]))),
        ("no robotCode", format!("processQueryKey={}", key(&keys.to_people[0]))),
        (
            "another robot",
            format!("robotCode=dingmockother&processQueryKey={}", key(&keys.to_people[0])),
        ),
        ("no processQueryKey", format!("robotCode={robot}")),
        ("an unknown key", format!("robotCode={robot}&processQueryKey=nokey")),
        ("a key of another call", format!("robotCode={robot}&processQueryKey={other}")),
    ] {
        page.case(name, get(&caller, &query)).await;
    }
    let with_query = format!("{PATH}?{right}");
    page.door(&mut caller, &with_query, &json!({})).await;
    caller.app.clock().advance(Duration::from_hours(22) - Duration::from_secs(1));
    caller.renew().await;
    page.case("one second before a day is over", get(&caller, &right)).await;
    caller.app.clock().advance(Duration::from_secs(1));
    page.case("after a day", get(&caller, &right)).await;
    page.done();
}

/// Cases of both queries.
async fn queries(
    page: &mut Page,
    caller: &mut Caller,
    right: &Value,
    own: &[String],
    other: &str,
    more: &[(&str, Value)],
) {
    let robot = caller.app.robot_code().to_owned();
    page.cases(caller, right, &[("nobody read it", json!({}))]).await;
    for user in ["user0001", "user0002", "user0003"] {
        caller.app.read(user, &own[0]).unwrap();
    }
    page.cases(
        caller,
        right,
        &[
            ("read", json!({})),
            ("the first page", json!({"maxResults": 2})),
            ("the second page", json!({"maxResults": 2, "nextToken": "2"})),
            ("past the end", json!({"nextToken": "9"})),
            ("no maxResults and no nextToken", json!({"maxResults": null, "nextToken": null})),
            ("maxResults of 200", json!({"maxResults": 200})),
            ("maxResults of 201", json!({"maxResults": 201})),
            ("maxResults of 0", json!({"maxResults": 0})),
            ("maxResults as a string", json!({"maxResults": "50"})),
            ("a nextToken of nobody", json!({"nextToken": "x"})),
            ("no robotCode", json!({"robotCode": null})),
            ("another robot", json!({"robotCode": "dingmockother"})),
            ("no processQueryKey", json!({"processQueryKey": null})),
            ("an unknown key", json!({"processQueryKey": "nokey"})),
            ("a key of another call", json!({"processQueryKey": other})),
        ],
    )
    .await;
    page.cases(caller, right, more).await;
    let recall = json!({"robotCode": robot, "openConversationId": right["openConversationId"],
        "processQueryKeys": [own[1]]});
    let path = match page.pattern {
        "/v1.0/robot/groupMessages/query" => "/v1.0/robot/groupMessages/recall",
        _ => "/v1.0/robot/privateChatMessages/batchRecall",
    };
    assert_eq!(caller.post(path, &recall).await["status"], 200);
    page.cases(caller, right, &[("recalled", json!({"processQueryKey": own[1]}))]).await;
    page.no_object(caller, page.pattern).await;
    page.door(caller, page.pattern, right).await;
    by_the_clock(page, caller, right).await;
}

#[tokio::test]
async fn group_query() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", "/v1.0/robot/groupMessages/query");
    let keys = Keys::new(&caller, &mut page).await;
    let own = json!({"robotCode": caller.app.robot_code(), "openConversationId": keys.group,
        "processQueryKey": keys.to_group[0]});
    let right = with(&fixture!("group_query"), &own);
    let more = chats(&keys.direct, &keys.other_group);
    queries(&mut page, &mut caller, &right, &keys.to_group, &keys.to_people[0], &more).await;
    page.done();
}

#[tokio::test]
async fn private_query() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", "/v1.0/robot/privateChatMessages/query");
    let keys = Keys::new(&caller, &mut page).await;
    let own = json!({"robotCode": caller.app.robot_code(), "openConversationId": keys.direct,
        "processQueryKey": keys.to_private[0]});
    let right = with(&fixture!("group_query"), &own);
    let more = chats(&keys.group, &keys.other_direct);
    queries(&mut page, &mut caller, &right, &keys.to_private, &keys.to_people[0], &more).await;
    page.done();
}
