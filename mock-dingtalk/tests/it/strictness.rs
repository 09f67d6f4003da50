//! Unknown paths, XML, and what a lenient app may do.

use mock_dingtalk::{AppOptions, MockDingtalk};
use serde_json::{Map, Value, json};

use crate::{
    caller::{Caller, shown, with},
    support::{http, open_body},
};

#[tokio::test]
async fn unknown_calls_get_dingtalks_404_and_the_nearest_known_ones() {
    let caller = Caller::new().await;
    let mut seen = Map::new();
    for (method, path) in [
        ("POST", "/v1.0/robot/oToMessage/batchSend"),
        ("POST", "/v1.0/robot/otoMessages/batchSend"),
        ("GET", "/v1.0/card/streaming"),
        ("POST", "/topapi/v2/user/notexist?access_token=test"),
        ("POST", "/oauth2/corpAccessToken"),
        ("POST", "/v1.0/robot/messageFiles/upload"),
        ("GET", "/v1.0/doc/spaces/1/docs"),
        ("POST", "/app/registration/init"),
    ] {
        let mut answer = shown(caller.request(method, path).send().await.unwrap()).await;
        answer["body"].as_object_mut().unwrap().remove("request_id");
        seen.insert(format!("{method} {path}"), answer);
    }
    insta::assert_json_snapshot!(seen);
    let entry = caller.app.journal().unwrap();
    let expected = entry.iter().filter_map(|entry| Some(&entry.diagnosis.as_ref()?.expected));
    let marks = expected.filter(|expected| expected.contains('✓') && expected.contains('✗'));
    assert!(marks.count() >= 5, "the journal has the marks themselves");
}

#[tokio::test]
async fn xml_is_for_those_who_ask_for_it_and_for_an_open_without_accept() {
    let caller = Caller::new().await;
    let open = |accept: &'static str| {
        let request = caller.bare("POST", "/v1.0/gateway/connections/open");
        request.header("accept", accept).json(&open_body(&caller.app))
    };
    let kind = async |request: reqwest::RequestBuilder| {
        let response = request.send().await.unwrap();
        response.headers()["content-type"].to_str().unwrap().to_owned()
    };
    for (accept, xml) in [
        ("application/xml", true),
        ("text/xml", true),
        ("application/xml, application/json", false),
        ("text/html, application/xml;q=0.9, */*;q=0.8", false),
        ("application/json", false),
        ("*/*", false),
    ] {
        assert_eq!(kind(open(accept)).await.contains("xml"), xml, "{accept}");
    }
    let wrong = caller.request("POST", "/v1.0/robot/emotion/reply").body("<&");
    let answer = shown(wrong.header("accept", "text/xml").send().await.unwrap()).await;
    let text = answer["body"]["application/xml;charset=utf-8"].as_str().unwrap();
    assert!(text.contains("<Error><code>invalidParameter.param.invalid</code>"), "{text}");
    let old = caller.bare("GET", "/gettoken").header("accept", "text/xml");
    assert_eq!(kind(old).await, "application/json;charset=utf-8");
}

#[tokio::test]
async fn a_lenient_app_is_forgiven_what_no_source_refuses_for_certain() {
    let caller = Caller::new().await;
    let robot = caller.app.robot_code();
    let people: Vec<String> = (0..21).map(|n| format!("p{n}")).collect();
    let message = json!({
        "robotCode": robot, "userIds": ["user0001"], "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    });
    let send = "/v1.0/robot/oToMessages/batchSend";
    let reaction = json!({
        "robotCode": robot, "openMsgId": "msg", "openConversationId": "cid", "emotionType": 1,
        "emotionName": "ok",
    });
    let card = json!({
        "cardTemplateId": "t", "outTrackId": "c", "callbackType": "stream",
        "cardData": {"cardParamMap": {"list": [1]}},
    });
    let stream = json!({
        "outTrackId": "long", "guid": "g", "key": "content", "content": "a".repeat(65_537),
        "isFull": true,
    });
    let long = with(&card, &json!({"outTrackId": "long", "cardData": {}, "callbackType": null}));
    assert_eq!(caller.post("/v1.0/card/instances", &long).await["status"], 200);
    let param = json!({"content": "a".repeat(15_000)}).to_string();
    let cases = [
        ("POST", send, with(&message, &json!({"userIds": people}))),
        ("POST", send, with(&message, &json!({"msgParam": param}))),
        ("POST", send, with(&message, &json!({"msgParam": "{\"content\":7}"}))),
        (
            "POST",
            send,
            with(
                &message,
                &json!({
                    "msgKey": "sampleImageMsg", "msgParam": "{\"photoURL\":\"@none\"}",
                }),
            ),
        ),
        ("POST", "/v1.0/robot/otomessages/batchSend", message.clone()),
        ("POST", "/v1.0/robot/emotion/reply", reaction),
        ("POST", "/v1.0/card/instances", card),
        ("PUT", "/v1.0/card/streaming", stream),
    ];
    let mut said = Vec::new();
    for (lenient, right) in [(false, false), (true, true)] {
        let body = json!({"lenient": lenient});
        assert_eq!(caller.control("strictness", &body).await, body);
        assert_eq!(caller.app.is_lenient().unwrap(), lenient);
        for (method, path, body) in &cases {
            let answer = match *method {
                "PUT" => caller.put(path, body).await,
                _ => caller.post(path, body).await,
            };
            assert_eq!(answer["status"] == 200, right, "{path}: {answer}");
            said.push(
                answer["diagnosis"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
            );
        }
    }
    let too_many: Vec<String> = (0..101).map(|n| format!("p{n}")).collect();
    let answer = caller.post(send, &with(&message, &json!({"userIds": too_many}))).await;
    assert_eq!(answer["status"], 400, "what every source refuses stays refused");
    assert_eq!(caller.post(send, &message).await.get("diagnosis"), None, "nothing is left over");
}

#[tokio::test]
async fn apps_are_as_lenient_as_the_mock_unless_they_are_minted_otherwise() {
    let mock = MockDingtalk::builder().lenient(true).start().await.unwrap();
    assert!(mock.app().is_lenient().unwrap());
    let strict = mock.app_with(AppOptions::default().lenient(false)).unwrap();
    assert!(!strict.is_lenient().unwrap());
    let path = format!("{}/_mock/apps", mock.url());
    let minted = http().post(path).json(&json!({"lenient": false})).send().await.unwrap();
    let minted: Value = minted.json().await.unwrap();
    assert_eq!(minted["lenient"], false);
}
