//! The control API: the same verbs as the library, strict in what it takes.

use std::time::Duration;

use futures_util::StreamExt;
use mock_dingtalk::MockDingtalk;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Bot, PATIENCE, data, http, open, open_body};

/// A control call; its status and its body.
async fn call(mock: &MockDingtalk, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = http().request(method, format!("{}/_mock{path}", mock.url()));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_bot_in_any_language_can_be_tested_by_http_alone() {
    let mock = MockDingtalk::start().await.unwrap();
    let (status, app) = call(&mock, "POST", "/apps", None).await;
    assert_eq!(status, 201);
    let id = app["clientId"].as_str().unwrap();
    assert!(id.starts_with("dingmock"));
    assert_eq!(app["robotCode"], id);
    assert_eq!(app["people"].as_array().unwrap().len(), 3);
    let body = json!({
        "clientId": id,
        "clientSecret": app["clientSecret"],
        "subscriptions": [{"type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get"}],
    });
    let (_, opened) = open(mock.url(), &body).await;
    let endpoint = opened["endpoint"].as_str().unwrap();
    let mut bot = Bot::redeem(endpoint, opened["ticket"].as_str().unwrap()).await.unwrap();
    let at = |rest: &str| format!("/apps/{id}{rest}");
    let (_, rows) = call(&mock, "GET", &at("/connections?count=1&wait_ms=5000"), None).await;
    assert_eq!(rows[0]["state"], "OPEN");

    let message = json!({"from": "user0009", "text": "hi"});
    let (status, said) = call(&mock, "POST", &at("/messages"), Some(message)).await;
    assert_eq!((status, said["state"].as_str()), (202, Some("pushed")));
    let frame = bot.frame().await;
    assert_eq!(frame["headers"]["messageId"], said["messageId"]);
    let inner = data(&frame);
    assert_eq!(inner["senderStaffId"], "user0009");
    bot.ack(&frame).await;
    let (_, rows) = call(&mock, "GET", &at("/deliveries?count=1&wait_ms=5000"), None).await;
    assert_eq!(rows[0]["state"], "ACKED");
    assert_eq!(rows[0]["ack"]["code"], 200);
    assert_eq!(rows[0]["attempts"][0]["messageId"], said["messageId"]);

    let sent = at("/sent?count=1&wait_ms=10000");
    let waiting = call(&mock, "GET", &sent, None);
    let replying = async {
        let reply = json!({"msgtype": "text", "text": {"content": "there"}});
        http().post(inner["sessionWebhook"].as_str().unwrap()).json(&reply).send().await.unwrap();
    };
    let ((_, rows), ()) = tokio::join!(waiting, replying);
    assert_eq!(rows[0]["seq"], 1);
    assert_eq!(rows[0]["via"], "sessionWebhook");
    assert_eq!(rows[0]["to"], "user0009");
    assert_eq!(rows[0]["conversationId"], said["conversationId"]);
    assert_eq!(rows[0]["text"], "there");
    for member in ["msgtype", "media", "raw", "at"] {
        assert!(rows[0].get(member).is_some(), "{member}");
    }
    let (_, after) = call(&mock, "GET", &at("/sent?after=1"), None).await;
    assert_eq!(after, json!([]));

    let (_, shown) = call(&mock, "GET", &at(""), None).await;
    assert_eq!(shown["people"].as_array().unwrap().len(), 4);
    let journal = format!("/journal?app={id}&limit=3");
    let (_, entries) = call(&mock, "GET", &journal, None).await;
    assert_eq!(entries.as_array().unwrap().len(), 3);
    assert_eq!(call(&mock, "DELETE", &at(""), None).await.0, 204);
    assert_eq!(call(&mock, "GET", &at(""), None).await.0, 404);
    assert!(!matches!(bot.next().await, Some(Ok(_))), "the bot of a deleted app is cut off");
}

#[tokio::test]
async fn a_long_poll_ends_by_itself_with_what_there_is() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let path = format!("/apps/{}/sent?count=1&wait_ms=200", app.client_id());
    assert_eq!(call(&mock, "GET", &path, None).await, (200, json!([])));
}

#[tokio::test]
async fn wrong_input_is_answered_with_field_value_and_what_is_allowed() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let messages = format!("/apps/{}/messages", app.client_id());
    let faults = format!("/apps/{}/faults", app.client_id());
    let cut = format!("/apps/{}/connections/all/cut", app.client_id());
    let clock = format!("/apps/{}/clock", app.client_id());
    let cases = [
        ("/apps", json!({"clientId": 7}), "clientId", "7"),
        ("/apps", json!({"clientId": ""}), "clientId", "\"\""),
        ("/apps", json!({"profile": "observed-90s"}), "profile", "\"observed-90s\""),
        ("/apps", json!({"clientid": "x"}), "clientid", "\"x\""),
        ("/apps", json!([]), "the body", "an array"),
        (&messages, json!({"text": "hi"}), "from", "missing"),
        (&messages, json!({"from": "a"}), "text", "missing"),
        (&messages, json!({"from": "a\nb", "text": "x"}), "from", "\"a\\nb\""),
        (
            &messages,
            json!({"from": "a", "text": "x", "msgtype": "sticker"}),
            "msgtype",
            "\"sticker\"",
        ),
        (
            &messages,
            json!({"from": "a", "text": "x", "conversation": {"type": "3"}}),
            "conversation.type",
            "\"3\"",
        ),
        (
            &messages,
            json!({"from": "a", "text": "x", "conversation": {"type": "2", "name": "T"}}),
            "conversation.name",
            "\"T\"",
        ),
        (&messages, json!({"fixture": "stream/nothing"}), "fixture", "\"stream/nothing\""),
        (&messages, json!({"fixture": "stream/ack_event"}), "fixture", "\"stream/ack_event\""),
        (&faults, json!({"when": "never"}), "when", "\"never\""),
        (&cut, json!({"type": "close", "code": 1005}), "code", "1005"),
        (&cut, json!({"type": "explode"}), "type", "\"explode\""),
        ("/clock", json!({"advance": "5"}), "advance", "\"5\""),
        ("/clock", json!({"jump": "soon"}), "jump", "\"soon\""),
        ("/clock", json!({"scale": 0}), "scale", "0"),
        ("/clock", json!({"scale": "10"}), "scale", "\"10\""),
        (&clock, json!({"scale": -1.5}), "scale", "-1.5"),
        (&clock, json!({"scale": 1000.1}), "scale", "1000.1"),
        (&clock, json!({"advance": "99999999d"}), "advance", "\"99999999d\""),
        (&clock, json!({"jump": "-9223372036854775808ms"}), "jump", "\"-9223372036854775808ms\""),
        (&clock, json!({"resume": true}), "resume", "true"),
    ];
    for (path, body, field, value) in cases {
        let (status, answer) = call(&mock, "POST", path, Some(body.clone())).await;
        assert_eq!(status, 400, "{path} {body}: {answer}");
        assert_eq!(answer["error"]["field"], field, "{path} {body}");
        assert_eq!(answer["error"]["value"], value, "{path} {body}");
        assert!(!answer["error"]["allowed"].as_str().unwrap().is_empty(), "{path} {body}");
    }
    let queries = [
        (format!("/apps/{}/sent?wait_ms=x", app.client_id()), "wait_ms"),
        (format!("/apps/{}/sent?wait=1", app.client_id()), "wait"),
        (format!("/apps/{}/sent?wait_ms=99999999", app.client_id()), "wait_ms"),
        (format!("/env?sdk=rust&clientId={}", app.client_id()), "sdk"),
        (format!("/env?format=xml&clientId={}", app.client_id()), "format"),
        ("/env".to_owned(), "clientId"),
        ("/journal?limit=-1".to_owned(), "limit"),
    ];
    for (path, field) in queries {
        let (status, answer) = call(&mock, "GET", &path, None).await;
        assert_eq!((status, answer["error"]["field"].as_str()), (400, Some(field)), "{path}");
    }
    let twice = json!({"clientId": app.client_id()});
    assert_eq!(call(&mock, "POST", "/apps", Some(twice)).await.0, 409);
    for path in ["/apps/nobody", "/apps/nobody/sent", "/journal?app=nobody", "/nothing"] {
        assert_eq!(call(&mock, "GET", path, None).await.0, 404, "{path}");
    }
    assert_eq!(call(&mock, "PUT", "/apps", None).await.0, 405);
}

#[tokio::test]
async fn conversations_and_fixtures_can_be_named() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let path = format!("/apps/{}/messages", app.client_id());
    let group = json!({
        "from": "user0001",
        "conversation": {"type": "2", "id": "cidmock1==", "title": "Ops"},
        "msgtype": "text",
        "content": "hi",
    });
    let (_, said) = call(&mock, "POST", &path, Some(group)).await;
    assert_eq!(said["conversationId"], "cidmock1==");
    assert_eq!(data(&bot.frame().await)["conversationTitle"], "Ops");
    for name in ["stream/callback_bot_text_dm", "stream/callback_bot_text_dm.json"] {
        let body = json!({"fixture": name});
        let (status, said) = call(&mock, "POST", &path, Some(body)).await;
        assert_eq!(status, 202);
        assert_eq!(data(&bot.frame().await)["msgId"], said["msgId"]);
    }
    let raw = format!("/apps/{}/frames", app.client_id());
    call(&mock, "POST", &raw, Some(json!({"raw": "not json"}))).await;
    assert_eq!(bot.text().await, "not json");
    let id = app.connections().unwrap()[0].connection_id.clone();
    let raw = format!("/apps/{}/connections/{id}/frames", app.client_id());
    call(&mock, "POST", &raw, Some(json!({"raw": "{}"}))).await;
    assert_eq!(bot.text().await, "{}");
    let (_, names) = call(&mock, "GET", "/fixtures", None).await;
    assert!(names.as_array().unwrap().contains(&json!("stream/system_ping")));
}

#[tokio::test]
async fn faults_and_acts_on_connections_work_over_http() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let at = |rest: &str| format!("/apps/{}{rest}", app.client_id());
    let fault = json!({"when": "open", "times": 1, "action": {"type": "status", "status": 503, "body": "html"}});
    let (status, row) = call(&mock, "POST", &at("/faults"), Some(fault)).await;
    assert_eq!((status, row["left"].as_u64()), (201, Some(1)));
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 503);
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
    let (_, rows) = call(&mock, "GET", &at("/faults"), None).await;
    assert_eq!((rows[0]["hits"].as_u64(), rows[0]["left"].as_u64()), (Some(1), Some(0)));
    let one = at(&format!("/faults/{}", row["id"]));
    assert_eq!(call(&mock, "DELETE", &one, None).await.0, 204);
    assert_eq!(call(&mock, "DELETE", &one, None).await.0, 404);
    assert_eq!(call(&mock, "DELETE", &at("/faults"), None).await.0, 204);

    let mut bot = Bot::connect(&mock, &app).await;
    let id = app.wait_connections(1).await.unwrap()[0].connection_id.clone();
    let path = at(&format!("/connections/{id}/disconnect"));
    let body = json!({"reason": "connection is expired", "messageId": false});
    let (_, done) = call(&mock, "POST", &path, Some(body)).await;
    assert_eq!(done["connections"], 1);
    let notice = bot.frame().await;
    assert_eq!(notice["headers"].get("messageId"), None);
    let path = at(&format!("/connections/{id}/cut"));
    call(&mock, "POST", &path, Some(json!({"type": "rst"}))).await;
    assert!(matches!(bot.next().await, Some(Err(_))));
    assert_eq!(call(&mock, "POST", &path, Some(json!({"type": "rst"}))).await.0, 404);
}

#[tokio::test]
async fn the_clock_can_be_paused_advanced_and_made_to_jump() {
    let mock = MockDingtalk::start().await.unwrap();
    let (_, paused) = call(&mock, "POST", "/clock", Some(json!({"pause": true}))).await;
    assert_eq!(paused["paused"], true);
    let (_, later) = call(&mock, "POST", "/clock", Some(json!({"advance": "2h1s"}))).await;
    let elapsed =
        later["sinceStartMs"].as_u64().unwrap() - paused["sinceStartMs"].as_u64().unwrap();
    assert_eq!(elapsed, 7_201_000);
    let (_, jumped) = call(&mock, "POST", "/clock", Some(json!({"jump": "-1h"}))).await;
    assert_eq!(jumped["sinceStartMs"], later["sinceStartMs"]);
    let wall = later["unixMs"].as_i64().unwrap() - jumped["unixMs"].as_i64().unwrap();
    assert_eq!(wall, 3_600_000);
    let (_, running) = call(&mock, "POST", "/clock", Some(json!({"pause": false}))).await;
    assert_eq!(running["paused"], false);
    assert_eq!(running["scale"], 1);
    let (_, fast) = call(&mock, "POST", "/clock", Some(json!({"scale": 10}))).await;
    assert_eq!(fast["scale"], 10);
    for body in [json!({}), json!({"pause": true, "advance": "1s"})] {
        assert_eq!(call(&mock, "POST", "/clock", Some(body)).await.0, 400);
    }
}

#[tokio::test]
async fn events_are_streamed_as_they_happen_to_those_they_concern() {
    let mock = MockDingtalk::start().await.unwrap();
    let (app, other) = (mock.app(), mock.app());
    let url = format!("{}/_mock/events?app={}", mock.url(), app.client_id());
    let response = http().get(url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = Box::pin(response.bytes_stream_of_text());
    assert!(stream.next().await.unwrap().starts_with(':'), "the stream opens at once");
    other.say("user0001", "not for you").await.unwrap();
    app.say("user0001", "for you").await.unwrap();
    let mut seen = String::new();
    while !seen.contains("for you") {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        seen += &next.unwrap_or_else(|_| panic!("so far: {seen}")).unwrap();
    }
    assert!(!seen.contains("not for you"), "{seen}");
    assert!(seen.contains("event: entry"), "{seen}");
}

trait TextStream {
    fn bytes_stream_of_text(self) -> impl futures_util::Stream<Item = String>;
}

impl TextStream for reqwest::Response {
    fn bytes_stream_of_text(self) -> impl futures_util::Stream<Item = String> {
        futures_util::stream::unfold(self, |mut response| async move {
            let chunk = response.chunk().await.ok()??;
            Some((String::from_utf8_lossy(&chunk).into_owned(), response))
        })
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let mock = MockDingtalk::start().await.unwrap();
    let url = format!("{}/_mock/apps", mock.url());
    let with = |origin: String| http().post(&url).header("origin", origin).send();
    assert_eq!(with("https://evil.example".to_owned()).await.unwrap().status(), 403);
    assert_eq!(with("null".to_owned()).await.unwrap().status(), 403);
    assert_eq!(with(mock.url().to_owned()).await.unwrap().status(), 201);
    assert_eq!(mock.apps().len(), 1);
}

#[tokio::test]
async fn reset_forgets_every_app_and_cuts_every_bot() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    assert_eq!(call(&mock, "POST", "/reset", None).await.0, 204);
    assert!(!matches!(bot.next().await, Some(Ok(_))));
    assert_eq!(call(&mock, "GET", "/apps", None).await.1, json!([]));
    assert!(app.say("user0001", "hi").await.is_err());
}

#[tokio::test]
async fn the_page_is_one_file_that_asks_nobody_else() {
    let mock = MockDingtalk::start().await.unwrap();
    let response = http().get(format!("{}/", mock.url())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = response.text().await.unwrap();
    for banned in
        ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"]
    {
        assert!(!page.contains(banned), "{banned}");
    }
    assert!(page.contains("textContent"));
}

/// Bodies near the right ones, and far from them.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "open",
            "upgrade",
            "always",
            "status",
            "rst",
            "close",
            "1",
            "2",
            "2h1s",
            "3652d",
            "-1h",
            "text",
            "stream/callback_bot_text_dm",
            "hostile/truncated.txt",
            "user0001",
            "documented",
            "connected",
            "accept",
            "dribble",
            "toBot",
            "sent",
        ])
        .prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        let names = prop::sample::select(vec![
            "from",
            "text",
            "conversation",
            "type",
            "id",
            "title",
            "fixture",
            "msgtype",
            "content",
            "when",
            "times",
            "action",
            "how",
            "status",
            "body",
            "for",
            "path",
            "code",
            "reason",
            "raw",
            "advance",
            "pause",
            "jump",
            "scale",
            "clientId",
            "clientSecret",
            "seed",
            "messageId",
            "until",
            "method",
            "bytes",
            "every",
            "direction",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..5).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    });
    prop_oneof![
        4 => value.prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

#[test]
fn no_body_and_no_path_makes_the_control_api_fail() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mock, app) = runtime.block_on(async {
        let mock = MockDingtalk::start().await.unwrap();
        let app = mock.app();
        (mock, app)
    });
    let client = http();
    let id = app.client_id();
    let paths = vec![
        "/_mock/apps".to_owned(),
        "/_mock/clock".to_owned(),
        format!("/_mock/apps/{id}/messages"),
        format!("/_mock/apps/{id}/frames"),
        format!("/_mock/apps/{id}/clock"),
        format!("/_mock/apps/{id}/faults"),
        format!("/_mock/apps/{id}/connections/all/cut"),
        format!("/_mock/apps/{id}/connections/all/disconnect"),
        format!("/_mock/apps/{id}/connections/all/frames"),
        format!("/_mock/apps/{id}/faults/1"),
        "/_mock/tcp-faults/1".to_owned(),
        "/_mock/apps/%ff%fe/messages".to_owned(),
        "/_mock/env?sdk=all&clientId=%00".to_owned(),
    ];
    let mut runner = TestRunner::new(Config::with_cases(1_000));
    let methods =
        prop::sample::select(vec![Method::POST, Method::GET, Method::DELETE, Method::PUT]);
    let inputs = (prop::sample::select(paths), methods, any_body());
    runner
        .run(&inputs, |(path, method, body)| {
            let status = runtime.block_on(async {
                let url = format!("{}{path}", mock.url());
                let request = client.request(method.clone(), url).timeout(Duration::from_secs(10));
                request.body(body.clone()).send().await.unwrap().status()
            });
            prop_assert!(status.as_u16() < 500, "{method} {path}: {status}");
            Ok(())
        })
        .unwrap();
    runtime.block_on(async { drop(mock) });
}

#[tokio::test]
async fn a_name_that_a_web_page_may_have_reaches_the_control_api_with_a_token_only() {
    for token in [None, Some("dingmock-secret")] {
        let mut builder = MockDingtalk::builder();
        if let Some(token) = token {
            builder = builder.admin_token(token);
        }
        let mock = builder.start().await.unwrap();
        for (host, good) in [("evil.example", token.is_some()), ("mock:8700", true)] {
            let mut call = http().get(format!("{}/_mock/apps", mock.url())).header("host", host);
            if let Some(token) = token {
                call = call.bearer_auth(token);
            } else {
                call = call.header("origin", format!("http://{host}"));
            }
            let told = call.send().await.unwrap();
            assert_eq!(told.status(), if good { 200 } else { 403 }, "{host} {token:?}");
            if !good {
                assert!(told.text().await.unwrap().contains("--admin-token"));
            }
        }
    }
}
