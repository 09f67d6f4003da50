//! The fixtures are the contract: what they hold is taken, what they show is given.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use futures_util::SinkExt;
use mock_dingtalk::{AppOptions, DeliveryState, MockDingtalk, Permission, SaidState};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Bot, ack, data, eventually, http, old_token};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn value(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of a folder's files that begin and end so.
pub(crate) fn names(sub: &str, start: &str, end: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder().join(sub))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(start) && name.ends_with(end))
        .collect();
    names.sort();
    names
}

/// Members and their types, without the values that differ from run to run.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), shape(member))).collect()
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => json!("string"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("bool"),
        Value::Null => json!("null"),
    }
}

/// The app that the fixtures speak of.
fn fixtures_app() -> AppOptions {
    let open = value("gateway/connections_open.request.json");
    AppOptions::default()
        .client_id(open["clientId"].as_str().unwrap())
        .client_secret(open["clientSecret"].as_str().unwrap())
}

#[tokio::test]
async fn every_recorded_open_is_taken_and_answered_in_the_recorded_shape() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.app_with(fixtures_app()).unwrap();
    let url = format!("{}/v1.0/gateway/connections/open", mock.url());
    let names = names("gateway", "connections_open", ".request.json");
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let body = text(&format!("gateway/{name}"));
        let response = http()
            .post(&url)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["content-type"], "application/json;charset=utf-8");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            shape(&answer),
            shape(&value("gateway/connections_open.response.json")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn errors_have_the_recorded_shape_and_words() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let same = |answer: &Value, name: &str| {
        let recorded = value(name);
        assert_eq!(shape(answer), shape(&recorded), "{name}");
        for member in ["code", "message", "errcode", "errmsg"] {
            assert_eq!(answer.get(member), recorded.get(member), "{name}: {member}");
        }
    };
    let post = async |path: &str, body: Value| -> Value {
        let url = format!("{}{path}", mock.url());
        http().post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let open = "/v1.0/gateway/connections/open";
    let wrong = json!({"clientId": app.client_id(), "clientSecret": "no", "subscriptions": []});
    same(&post(open, wrong).await, "gateway/connections_open.error_401.json");
    same(&post(open, json!({})).await, "gateway/connections_open.error_400.json");
    let wrong = json!({"appKey": app.client_id(), "appSecret": "no"});
    same(&post("/v1.0/oauth2/accessToken", wrong).await, "openapi/access_token.error_400.json");
    let session = "/robot/sendBySession?session=none";
    same(&post(session, json!({})).await, "openapi/send_by_session.error_300001.json");
    let push = "/v1.0/robot/oToMessages/batchSend";
    let unknown = http()
        .post(format!("{}{push}", mock.url()))
        .header("x-acs-dingtalk-access-token", "unknown")
        .json(&json!({}));
    let unknown: Value = unknown.send().await.unwrap().json().await.unwrap();
    same(&unknown, "openapi/error_api_invalid_authentication.json");
    let credentials = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let token = post("/v1.0/oauth2/accessToken", credentials).await;
    app.revoke(&[Permission::RobotSendMessage]).unwrap();
    let denied = http()
        .post(format!("{}{push}", mock.url()))
        .header("x-acs-dingtalk-access-token", token["accessToken"].as_str().unwrap())
        .json(&json!({}));
    let denied: Value = denied.send().await.unwrap().json().await.unwrap();
    same(&denied, "openapi/error_api_permission_denied.json");
    let top = post("/topapi/v2/user/get?access_token=unknown", json!({})).await;
    same(&top, "openapi/error_oapi_88.json");
    let old = format!("{}/gettoken?appkey=no&appsecret=no", mock.url());
    let old: Value = http().get(old).send().await.unwrap().json().await.unwrap();
    same(&old, "openapi/gettoken.error.json");
}

#[tokio::test]
async fn tokens_and_pushes_are_taken_and_answered_in_the_recorded_shape() {
    let mock = MockDingtalk::start().await.unwrap();
    let request = value("openapi/access_token.request.json");
    let options = AppOptions::default()
        .client_id(request["appKey"].as_str().unwrap())
        .client_secret(request["appSecret"].as_str().unwrap());
    let app = mock.app_with(options).unwrap();
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let answer: Value = http().post(url).json(&request).send().await.unwrap().json().await.unwrap();
    assert_eq!(shape(&answer), shape(&value("openapi/access_token.response.json")));
    let token = answer["accessToken"].as_str().unwrap();
    let old = old_token(&mock, &app).await;
    assert_eq!(shape(&old), shape(&value("openapi/gettoken.response.json")));
    for name in names("openapi", "batch_send", ".request.json") {
        let response = http()
            .post(format!("{}/v1.0/robot/oToMessages/batchSend", mock.url()))
            .header("x-acs-dingtalk-access-token", token)
            .header("content-type", "application/json")
            .body(text(&format!("openapi/{name}")))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{name}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(shape(&answer), shape(&value("openapi/batch_send.response.json")), "{name}");
    }
    assert_eq!(app.wait_sent(3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn every_recorded_reply_is_taken() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let webhook = data(&bot.frame().await)["sessionWebhook"].as_str().unwrap().to_owned();
    let names = names("openapi", "send_by_session", ".request.json");
    assert!(names.len() >= 3, "{names:?}");
    for name in &names {
        let response = http()
            .post(&webhook)
            .header("content-type", "application/json")
            .body(text(&format!("openapi/{name}")))
            .send()
            .await
            .unwrap();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer, value("openapi/send_by_session.response.json"), "{name}");
    }
    assert_eq!(app.wait_sent(names.len()).await.unwrap().len(), names.len());
}

#[tokio::test]
async fn frames_have_the_recorded_shape() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let same = |frame: &Value, name: &str| {
        let recorded = value(name);
        assert_eq!(shape(frame), shape(&recorded), "{name}");
        assert_eq!(shape(&data(frame)), shape(&data(&recorded)), "{name}: data");
        for header in ["topic", "contentType"] {
            assert_eq!(frame["headers"][header], recorded["headers"][header], "{name}");
        }
    };
    app.say("user0001", "hello").await.unwrap();
    same(&bot.frame().await, "stream/callback_bot_text_dm.json");
    app.say_in_group("user0001", "Team", "hello").await.unwrap();
    same(&bot.frame().await, "stream/callback_bot_text_group.json");
    mock.clock().advance(std::time::Duration::from_secs(30));
    same(&bot.frame().await, "stream/system_ping.json");
    app.disconnect("all", "persistent connection is timeout").unwrap();
    same(&bot.frame().await, "stream/system_disconnect.json");
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.disconnect_with("all", "connection is expired", false).unwrap();
    same(&bot.frame().await, "stream/system_disconnect_without_message_id.json");
}

#[tokio::test]
async fn a_pushed_fixture_can_be_answered_as_if_somebody_had_spoken() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let names = names("stream", "callback_bot_", ".json");
    assert!(names.len() >= 4, "{names:?}");
    for (index, name) in names.iter().enumerate() {
        let recorded = data(&value(&format!("stream/{name}")));
        let mut ids = Vec::new();
        for _ in 0..2 {
            let said =
                app.push_fixture(&format!("stream/{}", name.trim_end_matches(".json"))).unwrap();
            assert_eq!(said.state, SaidState::Pushed);
            let frame = bot.frame().await;
            assert_eq!(frame["headers"]["messageId"], said.message_id, "{name}");
            let message = data(&frame);
            assert_eq!(shape(&message), shape(&recorded), "{name}: types stay as recorded");
            assert_eq!(message["msgId"], said.msg_id);
            assert_eq!(message["robotCode"], app.robot_code());
            assert_eq!(message["text"], recorded["text"]);
            bot.ack(&frame).await;
            let reply = json!({"msgtype": "text", "text": {"content": name}});
            let webhook = message["sessionWebhook"].as_str().unwrap();
            let answer: Value =
                http().post(webhook).json(&reply).send().await.unwrap().json().await.unwrap();
            assert_eq!(answer["errcode"], 0, "{name}");
            ids.push((said.msg_id, said.message_id));
        }
        assert_ne!(ids[0].0, ids[1].0, "{name}: a bot that dedupes takes it again");
        assert_ne!(ids[0].1, ids[1].1);
        let sent = app.wait_sent(2 * index + 2).await.unwrap();
        assert_eq!(sent.last().unwrap().text, *name);
    }
    app.wait_acked(2 * names.len()).await.unwrap();
}

#[tokio::test]
async fn hostile_fixtures_go_out_byte_for_byte() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let names = names("hostile", "", "");
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let bytes = fs::read(folder().join("hostile").join(&name)).unwrap();
        let said =
            app.push_fixture(&format!("hostile/{}", name.trim_end_matches(".json"))).unwrap();
        assert_eq!(said.state, SaidState::Pushed);
        match bot.next().await {
            Some(Ok(Message::Text(text))) => assert_eq!(text.as_bytes(), bytes, "{name}"),
            Some(Ok(Message::Binary(got))) => assert_eq!(&got[..], bytes, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn every_recorded_ack_counts_and_every_other_text_is_ignored() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    // The recorded ids belong to recorded frames; each ack gets the id of a live one.
    let mut expected = BTreeMap::new();
    for name in names("stream", "ack_", ".json") {
        let recorded = value(&format!("stream/{name}"));
        let event = name.starts_with("ack_event");
        if name.starts_with("ack_system") || name.starts_with("ack_disconnect") {
            continue;
        }
        let said = if event {
            app.push_fixture("stream/event_user_add_org").unwrap()
        } else {
            app.say("user0001", &name).await.unwrap()
        };
        let frame = bot.frame().await;
        assert_eq!(frame["headers"]["messageId"], said.message_id);
        let id = recorded["headers"]["messageId"].as_str().unwrap();
        bot.send(text(&format!("stream/{name}")).replace(id, &said.message_id)).await;
        let state =
            if name.contains("later") { DeliveryState::Queued } else { DeliveryState::Acked };
        expected.insert(said.message_id, (name, state, recorded["code"].as_i64()));
    }
    assert!(expected.len() >= 6, "{expected:?}");
    let rows = app.wait_acked(expected.len()).await.unwrap();
    for row in rows {
        let (name, state, code) = &expected[&row.message_id];
        assert_eq!((row.state, row.ack.as_ref().unwrap().code), (*state, *code), "{name}");
    }
    for name in ["text_ping_rs_wenhao.json", "ack_callback_bot.json"] {
        bot.send(text(&format!("stream/{name}"))).await;
    }
    app.wait_for_connections("two strays", |rows| (rows[0].strays == 2).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn answers_to_system_frames_are_told_apart_from_acks() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    for name in ["ack_system_ping.json", "ack_system_ping_node.json"] {
        mock.clock().advance(std::time::Duration::from_secs(30));
        let ping = bot.frame().await;
        let recorded = value(&format!("stream/{name}"));
        let id = recorded["headers"]["messageId"].as_str().unwrap();
        let live = ping["headers"]["messageId"].as_str().unwrap();
        bot.send(text(&format!("stream/{name}")).replace(id, live)).await;
        let now = mock.clock().unix_ms();
        app.wait_for_connections(name, |rows| (rows[0].last_pong_at == Some(now)).then_some(()))
            .await
            .unwrap();
    }
    app.disconnect("all", "x").unwrap();
    let notice = bot.frame().await;
    bot.send(ack(&notice, notice["data"].as_str().unwrap())).await;
    app.wait_for_connections("the ack of disconnect", |rows| {
        (rows[0].system_acks == 1 && rows[0].strays == 0).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(app.deliveries().unwrap(), []);
}

#[tokio::test]
async fn the_mock_survives_every_hostile_frame_from_a_client() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    for name in names("hostile", "", "") {
        let bytes = fs::read(folder().join("hostile").join(&name)).unwrap();
        let mut bot = Bot::connect(&mock, &app).await;
        let id = app.wait_connections(1).await.unwrap()[0].connection_id.clone();
        if let Ok(text) = String::from_utf8(bytes.clone()) {
            bot.send(text).await;
        }
        bot.socket.send(Message::Binary(bytes.into())).await.unwrap();
        eventually("the frames to be counted", async || {
            let rows = app.connections().unwrap();
            let row = rows.iter().find(|row| row.connection_id == id).unwrap();
            if row.strays >= 1 { Ok(()) } else { Err(row.clone()) }
        })
        .await;
        // The connection still works.
        app.say("user0001", &name).await.unwrap();
        let frame = bot.frame().await;
        assert_eq!(data(&frame)["text"]["content"], name);
        bot.socket.close(None).await.unwrap();
        app.wait_for_connections("the end", |rows| {
            rows.iter().all(|row| row.closed_at.is_some()).then_some(())
        })
        .await
        .unwrap();
    }
}
