//! `batchSend`, `groupMessages/send`, `privateChatMessages/send`.

use serde_json::{Value, json};

use super::{Page, fixture};
use crate::caller::{Caller, with};

/// Each `msgKey` with a right `msgParam`.
fn messages() -> Vec<(&'static str, Value)> {
    let card = json!({"title": "T", "text": "b"});
    let single = json!({"singleTitle": "Open", "singleURL": "https://example.com"});
    let two = json!({"buttonTitle1": "A", "buttonUrl1": "https://example.com/a",
        "buttonTitle2": "B", "buttonUrl2": "https://example.com/b"});
    let column = |count: usize| {
        let mut param = card.clone();
        for number in 1..=count {
            param[format!("actionTitle{number}")] = format!("Button {number}").into();
            param[format!("actionURL{number}")] = format!("https://example.com/{number}").into();
        }
        param
    };
    let file = "https://example.com/file";
    vec![
        ("sampleText", json!({"content": "hi"})),
        ("sampleMarkdown", json!({"title": "T", "text": "# b"})),
        ("sampleImageMsg", json!({"photoURL": "https://example.com/p.png"})),
        (
            "sampleLink",
            json!({"title": "T", "text": "b", "messageUrl": "https://example.com",
                "picUrl": "https://example.com/p.png"}),
        ),
        ("sampleActionCard", with(&card, &single)),
        ("sampleActionCard2", column(2)),
        ("sampleActionCard3", column(3)),
        ("sampleActionCard4", column(4)),
        ("sampleActionCard5", column(5)),
        ("sampleActionCard6", with(&card, &two)),
        ("sampleAudio", json!({"mediaId": file, "duration": "4000"})),
        ("sampleFile", json!({"mediaId": file, "fileName": "a.pdf", "fileType": "pdf"})),
        (
            "sampleVideo",
            json!({"videoMediaId": file, "videoType": "mp4", "picMediaId": file, "duration": "5"}),
        ),
    ]
}

/// Each `msgKey`, and each without each of its members.
async fn contents(page: &mut Page, caller: &Caller, right: &Value) {
    for (key, param) in messages() {
        let body =
            |param: &Value| with(right, &json!({"msgKey": key, "msgParam": param.to_string()}));
        let post = |param: &Value| caller.request("POST", page.pattern).json(&body(param));
        let mut requests = vec![(key.to_owned(), post(&param))];
        for member in param.as_object().unwrap().keys() {
            let without = with(&param, &json!({ member: null }));
            requests.push((format!("{key}, no {member}"), post(&without)));
        }
        for (name, request) in requests {
            page.case(&name, request).await;
        }
    }
}

/// What is wrong with a message whatever its `msgKey`.
fn wrong_messages() -> Vec<(&'static str, Value)> {
    let media = |param: Value| json!({"msgKey": "sampleFile", "msgParam": param.to_string()});
    vec![
        ("no robotCode", json!({"robotCode": null})),
        ("an empty robotCode", json!({"robotCode": ""})),
        ("robotCode as a number", json!({"robotCode": 1})),
        ("another robot", json!({"robotCode": "dingmockother"})),
        ("no msgKey", json!({"msgKey": null})),
        ("unknown msgKey", json!({"msgKey": "sampleFeedCard"})),
        ("msgKey in other letters", json!({"msgKey": "SampleText"})),
        ("no msgParam", json!({"msgParam": null})),
        ("an empty msgParam", json!({"msgParam": ""})),
        ("msgParam as an object", json!({"msgParam": {"content": "hi"}})),
        ("msgParam is no JSON", json!({"msgParam": "hi"})),
        ("msgParam is no JSON object", json!({"msgParam": "[]"})),
        ("an empty content", json!({"msgParam": "{\"content\":\"\"}"})),
        ("content as a number", json!({"msgParam": "{\"content\":1}"})),
        (
            "unknown mediaId",
            media(json!({"mediaId": "@lALPnone", "fileName": "a.pdf", "fileType": "pdf"})),
        ),
    ]
}

/// `msgParam` of so many bytes.
fn param_of(bytes: usize) -> Value {
    let envelope = json!({"content": ""}).to_string().len();
    let param = json!({"content": "a".repeat(bytes - envelope)}).to_string();
    assert_eq!(param.len(), bytes);
    json!({"msgKey": "sampleText", "msgParam": param})
}

#[tokio::test]
async fn batch_send() {
    const PATH: &str = "/v1.0/robot/oToMessages/batchSend";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let own = json!({"robotCode": caller.app.robot_code()});
    let right = with(&fixture!("batch_send_text"), &own);
    let users = |count: usize| -> Vec<String> { (0..count).map(|n| format!("u{n}")).collect() };
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("markdown", with(&fixture!("batch_send_markdown"), &own)),
            ("somebody unknown", json!({"userIds": ["user0001", "nobody"]})),
            ("nobody known", json!({"userIds": ["nobody"]})),
            ("the same twice", json!({"userIds": ["user0001", "user0001"]})),
            ("20 people", json!({"userIds": users(20)})),
            ("21 people", json!({"userIds": users(21)})),
            ("101 people", json!({"userIds": users(101)})),
            ("no userIds", json!({"userIds": null})),
            ("no people", json!({"userIds": []})),
            ("userIds as a string", json!({"userIds": "user0001"})),
            ("an empty user id", json!({"userIds": ["user0001", ""]})),
            ("a user id as a number", json!({"userIds": [1]})),
            ("15,000 bytes", param_of(15_000)),
            ("15,001 bytes", param_of(15_001)),
        ],
    )
    .await;
    page.cases(&caller, &right, &wrong_messages()).await;
    contents(&mut page, &caller, &right).await;
    page.no_object(&caller, PATH).await;
    page.door(&mut caller, PATH, &right).await;
    page.done();
}

#[tokio::test]
async fn group_messages_send() {
    const PATH: &str = "/v1.0/robot/groupMessages/send";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let group = caller.group().await;
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    page.hide(&group, "group");
    page.hide(&direct, "direct chat");
    let own = json!({"robotCode": caller.app.robot_code(), "openConversationId": group});
    let right = with(&fixture!("group_send"), &own);
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("with a coolAppCode", json!({"coolAppCode": "COOLAPP-1-dingmock"})),
            ("no openConversationId", json!({"openConversationId": null})),
            ("an empty openConversationId", json!({"openConversationId": ""})),
            ("unknown openConversationId", json!({"openConversationId": "cidnone=="})),
            ("a direct chat", json!({"openConversationId": direct})),
            ("15,000 bytes", param_of(15_000)),
            ("15,001 bytes", param_of(15_001)),
        ],
    )
    .await;
    page.cases(&caller, &right, &wrong_messages()).await;
    contents(&mut page, &caller, &right).await;
    page.no_object(&caller, PATH).await;
    page.door(&mut caller, PATH, &right).await;
    page.done();
}

#[tokio::test]
async fn private_chat_messages_send() {
    const PATH: &str = "/v1.0/robot/privateChatMessages/send";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let group = caller.group().await;
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    page.hide(&group, "group");
    page.hide(&direct, "direct chat");
    let own = json!({"robotCode": caller.app.robot_code(), "openConversationId": direct});
    let right = with(&fixture!("private_chat_send"), &own);
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("no coolAppCode", json!({"coolAppCode": null})),
            ("no openConversationId", json!({"openConversationId": null})),
            ("unknown openConversationId", json!({"openConversationId": "cidnone=="})),
            ("a group", json!({"openConversationId": group})),
            ("15,000 bytes", param_of(15_000)),
            ("15,001 bytes", param_of(15_001)),
        ],
    )
    .await;
    page.cases(&caller, &right, &wrong_messages()).await;
    contents(&mut page, &caller, &right).await;
    page.no_object(&caller, PATH).await;
    page.door(&mut caller, PATH, &right).await;
    page.done();
}
