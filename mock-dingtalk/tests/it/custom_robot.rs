//! Custom robots: webhooks that anybody with the address can write to a group by.

use std::time::Duration;

use base64::Engine as _;
use mock_dingtalk::CustomRobotOptions;
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::caller::{Caller, shown, with};

async fn send(caller: &Caller, url: &str, body: &Value) -> Value {
    let path = url.strip_prefix(caller.mock.url()).expect("it leads back here");
    shown(caller.bare("POST", path).json(body).send().await.unwrap()).await
}

fn text(words: &str) -> Value {
    json!({"msgtype": "text", "text": {"content": words}})
}

#[tokio::test]
async fn a_message_to_the_webhook_appears_in_the_group() {
    let caller = Caller::new().await;
    let robot = caller.app.custom_robot(&CustomRobotOptions::default()).unwrap();
    let url = robot.webhook.as_str();
    let mut seen = Map::new();
    for (name, changes) in [
        ("right", json!({"msgUuid": "1"})),
        ("the same msgUuid", json!({"msgUuid": "1"})),
        ("no msgtype", json!({"msgtype": null})),
        ("no words", json!({"text": {}})),
        ("a type that the page lacks", json!({"msgtype": "image", "image": {"picURL": "x"}})),
        ("too long", text(&"a".repeat(20_000))),
    ] {
        seen.insert(name.to_owned(), send(&caller, url, &with(&text("hi"), &changes)).await);
    }
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    let form = caller.bare("POST", path).header("content-type", "text/plain").body("{}");
    seen.insert("no JSON by its header".to_owned(), shown(form.send().await.unwrap()).await);
    let broken = caller.bare("POST", path).header("content-type", "application/json").body("{");
    seen.insert("no JSON".to_owned(), shown(broken.send().await.unwrap()).await);
    let wrong = "/robot/send?access_token=none";
    let wrong = caller.bare("POST", wrong).json(&text("hi")).send().await.unwrap();
    seen.insert("unknown token".to_owned(), shown(wrong).await);
    insta::assert_json_snapshot!(seen);
    let rows = caller.sent();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["via"], "customRobot");
    assert_eq!(rows[0]["conversationId"], robot.conversation_id.as_str());
    let listed = caller.control("custom-robots", &Value::Null).await;
    assert_eq!(listed, json!([robot]));
}

#[tokio::test]
async fn each_guard_has_its_words() {
    let caller = Caller::new().await;
    let body = json!({"secret": "", "conversation": {"title": "Alarm"}});
    let signed = caller.control("custom-robots", &body).await;
    let secret = signed["secret"].as_str().unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let now = caller.control("files?name=x", &json!({})).await;
    assert!(now["downloadCode"].is_string());
    let clock: Value =
        caller.bare("GET", "/_mock/clock").send().await.unwrap().json().await.unwrap();
    let now = clock["unixMs"].as_i64().unwrap_or_else(|| panic!("{clock}"));
    let sign = |at: i64| {
        let tag = hmac::sign(&key, format!("{at}\n{secret}").as_bytes());
        let sign = base64::engine::general_purpose::STANDARD.encode(tag);
        let sign: String = url::form_urlencoded::byte_serialize(sign.as_bytes()).collect();
        format!("{}&timestamp={at}&sign={sign}", signed["webhook"].as_str().unwrap())
    };
    let bare = signed["webhook"].as_str().unwrap();
    let forged = format!("{bare}&timestamp={now}&sign=x");
    let words =
        caller.app.custom_robot(&CustomRobotOptions::default().keywords(["alarm"])).unwrap();
    let nets = CustomRobotOptions::default().ip_whitelist(["10.0.0.0/8"]);
    let nets = caller.app.custom_robot(&nets).unwrap();
    let home = CustomRobotOptions::default().ip_whitelist(["127.0.0.1"]);
    let home = caller.app.custom_robot(&home).unwrap();
    let cases = [
        ("signed", sign(now), "hi", "ok"),
        ("almost an hour ago", sign(now - 3_600_000), "hi", "ok"),
        ("more than an hour ago", sign(now - 3_600_001), "hi", "invalid timestamp"),
        ("not signed", bare.to_owned(), "hi", "invalid timestamp"),
        ("forged", forged, "hi", "sign not match"),
        ("without the word", words.webhook.clone(), "hi", "keywords not in content"),
        ("with the word", words.webhook, "an alarm!", "ok"),
        ("from elsewhere", nets.webhook, "hi", "ip 127.0.0.1 not in whitelist"),
        ("from home", home.webhook, "hi", "ok"),
    ];
    for (name, url, message, errmsg) in cases {
        let answer = send(&caller, &url, &text(message)).await;
        let errcode = if errmsg == "ok" { 0 } else { 310_000 };
        assert_eq!(answer["body"], json!({"errcode": errcode, "errmsg": errmsg}), "{name}");
    }
}

#[tokio::test]
async fn more_than_twenty_a_minute_are_followed_by_ten_minutes_of_silence() {
    let caller = Caller::new().await;
    let robot = caller.app.custom_robot(&CustomRobotOptions::default()).unwrap();
    let codes = async |count: usize| {
        let mut codes = Vec::new();
        for _ in 0..count {
            let answer = send(&caller, &robot.webhook, &text("hi")).await;
            codes.push(answer["body"]["errcode"].as_i64().unwrap());
        }
        codes
    };
    assert_eq!(codes(20).await, [0; 20]);
    assert_eq!(codes(1).await, [410_100]);
    caller.mock.clock().advance(Duration::from_secs(599));
    assert_eq!(codes(1).await, [410_100]);
    caller.mock.clock().advance(Duration::from_secs(1));
    assert_eq!(codes(1).await, [0]);
}

#[tokio::test]
async fn a_custom_robot_is_minted_strictly() {
    let caller = Caller::new().await;
    let path = format!("/_mock/apps/{}/custom-robots", caller.app.client_id());
    for (field, body) in [
        ("secret", json!({"secret": "abc"})),
        ("keywords", json!({"keywords": "a"})),
        ("keywords", json!({"keywords": [""]})),
        ("keywords", json!({"keywords": vec!["a"; 11]})),
        ("ipWhitelist", json!({"ipWhitelist": ["::1"]})),
        ("conversation.type", json!({"conversation": {"type": "1"}})),
        ("name", json!({"name": "x"})),
    ] {
        let answer = caller.bare("POST", &path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_told_so_and_words_count_in_the_message_only() {
    let caller = Caller::new().await;
    for path in ["/robot/send", "/robot/send?access_token="] {
        let answer = caller.bare("POST", path).json(&text("hi")).send().await.unwrap();
        let expected = json!({"errcode": 40035, "errmsg": "缺少参数 access_token"});
        assert_eq!(shown(answer).await["body"], expected, "{path}");
    }
    let words = CustomRobotOptions::default().keywords(["text", "alarm"]);
    let robot = caller.app.custom_robot(&words).unwrap();
    let beside = with(&text("hi"), &json!({"msgUuid": "alarm", "at": {"atUserIds": ["alarm"]}}));
    let answer = send(&caller, &robot.webhook, &beside).await;
    assert_eq!(answer["body"]["errcode"], 310_000);
    let answer = send(&caller, &robot.webhook, &text("an alarm")).await;
    assert_eq!(answer["body"]["errcode"], 0);
}
