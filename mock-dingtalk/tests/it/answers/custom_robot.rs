//! `/robot/send`: the webhook of a custom robot.

use std::time::Duration;

use base64::Engine as _;
use mock_dingtalk::{CustomRobotOptions, CustomRobotRow};
use reqwest::RequestBuilder;
use ring::hmac;
use serde_json::json;

use super::{
    Page, fixture,
    webhook::{bodies, text_of},
};
use crate::caller::{Caller, with};

fn path(caller: &Caller, robot: &CustomRobotRow) -> String {
    robot.webhook.strip_prefix(caller.mock.url()).unwrap().to_owned()
}

fn robot(caller: &Caller, options: &CustomRobotOptions) -> String {
    path(caller, &caller.app.custom_robot(options).unwrap())
}

#[tokio::test]
async fn robot_send() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", "/robot/send");
    let right = fixture!("send_by_session_text");
    let post = |path: &str| -> RequestBuilder { caller.bare("POST", path).json(&right) };
    for group in bodies().chunks(20) {
        // A robot says 20 messages in a minute.
        let path = robot(&caller, &CustomRobotOptions::default());
        for (name, body) in group {
            page.case(name, caller.bare("POST", &path).json(body)).await;
        }
    }
    let path = robot(&caller, &CustomRobotOptions::default());
    page.no_object(&caller, &path).await;
    let typed = |kind: &str, body: String| {
        caller.bare("POST", &path).header("content-type", kind).body(body)
    };
    page.case("another Content-Type", typed("text/plain", text_of(100))).await;
    page.case("no Content-Type", caller.bare("POST", &path).body(text_of(100))).await;
    page.case("20,000 bytes", typed("application/json", text_of(20_000))).await;
    page.case("20,001 bytes", typed("application/json", text_of(20_001))).await;
    let once = caller.bare("POST", &path).json(&with(&right, &json!({"msgUuid": "1"})));
    page.case("a msgUuid", once.try_clone().unwrap()).await;
    page.case("the same msgUuid", once).await;
    page.case("no token", post("/robot/send")).await;
    page.case("an empty token", post("/robot/send?access_token=")).await;
    page.case("a token of nobody", post("/robot/send?access_token=none")).await;
    let foreign = format!("/robot/send?access_token={}", caller.token);
    page.case("the token of an app", post(&foreign)).await;
    signatures(&caller, &mut page).await;
    let words = robot(&caller, &CustomRobotOptions::default().keywords(["alarm", "hello"]));
    page.case("with a keyword", post(&words)).await;
    let other = with(&right, &json!({"text": {"content": "hi"}}));
    page.case("without a keyword", caller.bare("POST", &words).json(&other)).await;
    let nets = robot(&caller, &CustomRobotOptions::default().ip_whitelist(["10.0.0.0/8"]));
    page.case("from elsewhere", post(&nets)).await;
    let busy = robot(&caller, &CustomRobotOptions::default());
    for _ in 0..20 {
        assert_eq!(post(&busy).send().await.unwrap().status(), 200);
    }
    page.case("the 21st in a minute", post(&busy)).await;
    caller.app.clock().advance(Duration::from_secs(599));
    page.case("599 s later", post(&busy)).await;
    caller.app.clock().advance(Duration::from_secs(1));
    page.case("600 s later", post(&busy)).await;
    page.done();
}

/// In milliseconds.
const HOUR: i64 = 3_600_000;

async fn signatures(caller: &Caller, page: &mut Page) {
    let signed = caller.app.custom_robot(&CustomRobotOptions::default().secret("")).unwrap();
    let secret = signed.secret.clone().unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let sign = |at: &str| {
        let tag = hmac::sign(&key, format!("{at}\n{secret}").as_bytes());
        let sign = base64::engine::general_purpose::STANDARD.encode(tag);
        url::form_urlencoded::byte_serialize(sign.as_bytes()).collect::<String>()
    };
    let now = caller.app.clock().unix_ms();
    let at = |by: i64| (now + by).to_string();
    let full = |at: &str| format!("&timestamp={at}&sign={}", sign(at));
    let cases = [
        ("signed", full(&at(0))),
        ("signed an hour ago", full(&at(-HOUR))),
        ("signed more than an hour ago", full(&at(-HOUR - 1))),
        ("signed an hour ahead", full(&at(HOUR))),
        ("signed more than an hour ahead", full(&at(HOUR + 1))),
        ("signed in seconds", full(&(now / 1_000).to_string())),
        ("timestamp is no number", full("now")),
        ("no timestamp", format!("&sign={}", sign(&at(0)))),
        ("no sign", format!("&timestamp={}", at(0))),
        ("neither timestamp nor sign", String::new()),
        ("wrong sign", format!("&timestamp={}&sign=x", at(0))),
        ("the sign of another time", format!("&timestamp={}&sign={}", at(0), sign(&at(1)))),
    ];
    let path = path(caller, &signed);
    for (name, query) in cases {
        let request = caller.bare("POST", &format!("{path}{query}"));
        page.case(name, request.json(&fixture!("send_by_session_text"))).await;
    }
}
