//! DingTalk's HTTP APIs: what is taken, what is refused, and in which words.

use std::time::Duration;

use mock_dingtalk::{App, MockDingtalk};
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{Bot, data, http, old_token, open, open_body};

async fn token(mock: &MockDingtalk, app: &App) -> String {
    let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let answer: Value = http().post(url).json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["expireIn"], 7200);
    answer["accessToken"].as_str().unwrap().to_owned()
}

async fn push(mock: &MockDingtalk, token: &str, body: &Value) -> (u16, Value) {
    let response = http()
        .post(format!("{}/v1.0/robot/oToMessages/batchSend", mock.url()))
        .header("x-acs-dingtalk-access-token", token)
        .json(body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn diagnosis(response: &Response) -> String {
    response.headers()["x-mock-diagnosis"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn wrong_credentials_get_dingtalks_own_401_and_a_diagnosis_beside_it() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let cases = [
        ("clientSecret", json!("wrong"), "the client secret is not the app's"),
        ("clientSecret", json!(format!("{} ", app.client_secret())), "blanks around it"),
        ("clientId", json!("dingmocknobody"), "no app has this client id"),
        ("clientId", json!(format!(" {}", app.client_id())), "blanks around it"),
    ];
    for (field, value, problem) in cases {
        let mut body = open_body(&app);
        body[field] = value.clone();
        let response = http()
            .post(format!("{}/v1.0/gateway/connections/open", mock.url()))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 401, "{value}");
        assert!(diagnosis(&response).contains(problem), "{}", diagnosis(&response));
        let request_id = response.headers()["x-acs-request-id"].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["code"], "authFailed");
        assert_eq!(answer["message"], "鉴权失败");
        assert_eq!(answer["requestid"], request_id);
        assert_eq!(request_id, request_id.to_uppercase());
        assert_eq!(answer.as_object().unwrap().len(), 3);
    }
    let noted = app.journal().unwrap();
    let noted: Vec<_> = noted.iter().filter_map(|entry| entry.diagnosis.as_ref()).collect();
    assert_eq!(noted.len(), 3, "the journal has what the app's own calls did wrong: {noted:?}");
}

#[tokio::test]
async fn a_malformed_open_is_a_400_and_unknown_fields_are_none() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let with = |field: &str, value: Value| {
        let mut body = open_body(&app);
        body[field] = value;
        body
    };
    let bad = [
        with("clientId", json!(7)),
        with("clientSecret", Value::Null),
        with("clientSecret", json!("")),
        with("subscriptions", json!("EVENT")),
        with("subscriptions", Value::Null),
        with("subscriptions", json!([{"type": "EVENT"}])),
        with("subscriptions", json!([{"type": "MAGIC", "topic": "*"}])),
        with("ua", json!(1)),
        json!([]),
    ];
    for body in bad {
        let (status, answer) = open(mock.url(), &body).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(answer["code"], "systemError", "{body}");
    }
    let fine = [
        with("extras", Value::Null),
        with("somethingNew", json!({"a": 1})),
        with("subscriptions", json!([])),
        with(
            "subscriptions",
            json!([{"type": "SYSTEM", "topic": "ping"}, {"type": "SYSTEM", "topic": "*"}]),
        ),
    ];
    for body in fine {
        assert_eq!(open(mock.url(), &body).await.0, 200, "{body}");
    }
}

#[tokio::test]
async fn a_pair_that_is_subscribed_twice_counts_once() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut body = open_body(&app);
    let pair = json!({"type": "EVENT", "topic": "*"});
    body["subscriptions"] = json!([pair, pair, pair]);
    let (_, opened) = open(mock.url(), &body).await;
    let endpoint = opened["endpoint"].as_str().unwrap();
    let _bot = Bot::redeem(endpoint, opened["ticket"].as_str().unwrap()).await.unwrap();
    let rows = app.wait_connections(1).await.unwrap();
    assert_eq!(rows[0].subscriptions, ["EVENT *"]);
}

#[tokio::test]
async fn one_token_for_both_hosts_until_it_expires() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let first = token(&mock, &app).await;
    assert_eq!(first.len(), 32);
    let old_way = old_token(&mock, &app).await;
    assert_eq!(
        old_way,
        json!({"errcode": 0, "errmsg": "ok", "access_token": first, "expires_in": 7200})
    );
    let message = json!({
        "robotCode": app.robot_code(),
        "userIds": ["user0001"],
        "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    });
    assert_eq!(push(&mock, &first, &message).await.0, 200);
    mock.clock().advance(Duration::from_secs(7200));
    let (status, answer) = push(&mock, &first, &message).await;
    assert_eq!((status, answer["code"].as_str()), (400, Some("InvalidAuthentication")));
    let second = token(&mock, &app).await;
    assert_ne!(first, second);
    assert_eq!(push(&mock, &second, &message).await.0, 200);
    assert_eq!(push(&mock, &first, &message).await.0, 400);
}

#[tokio::test]
async fn refused_credentials_have_a_word_on_each_host() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let wrong = json!({"appKey": app.client_id(), "appSecret": "no"});
    let response = http().post(&url).json(&wrong).send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["code"], "invalidClientIdOrSecret");
    let response = http()
        .post(&url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("appKey={}", app.client_id()))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["code"], "Missingbody");
    let response =
        http().get(format!("{}/gettoken?appkey=x&appsecret=y", mock.url())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["errcode"], 40096);
}

#[tokio::test]
async fn a_push_lists_unknown_people_and_reaches_the_others() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let token = token(&mock, &app).await;
    let message = json!({
        "robotCode": app.robot_code(),
        "userIds": ["user0001", "nobody", "user0002"],
        "msgKey": "sampleMarkdown",
        "msgParam": "{\"title\":\"T\",\"text\":\"# body\"}",
    });
    let (status, answer) = push(&mock, &token, &message).await;
    assert_eq!(status, 200);
    assert!(!answer["processQueryKey"].as_str().unwrap().is_empty());
    assert_eq!(answer["invalidStaffIdList"], json!(["nobody"]));
    assert_eq!(answer["flowControlledStaffIdList"], json!([]));
    let sent = app.wait_sent(2).await.unwrap();
    let seen: Vec<_> = sent.iter().map(|row| (row.to.as_str(), row.text.as_str())).collect();
    assert_eq!(seen, [("user0001", "# body"), ("user0002", "# body")]);
    assert!(sent.iter().all(|row| row.via == "batchSend" && row.msgtype == "markdown"));
}

#[tokio::test]
async fn a_wrong_push_is_refused_by_its_own_code() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let token = token(&mock, &app).await;
    let right = json!({
        "robotCode": app.robot_code(),
        "userIds": ["user0001"],
        "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    });
    let with = |changes: &[(&str, Value)]| {
        let mut body = right.clone();
        for (field, value) in changes {
            body[*field] = value.clone();
        }
        body
    };
    let many: Vec<String> = (0..21).map(|n| format!("user{n}")).collect();
    let cases = [
        (with(&[("robotCode", json!(""))]), "invalidParameter.robotCode.empty"),
        (with(&[("robotCode", json!("another"))]), "resource.not.found"),
        (with(&[("userIds", json!([]))]), "invalidParameter.userIds.empty"),
        (with(&[("userIds", json!(many))]), "invalidParameter.userIds.overMax"),
        (with(&[("userIds", json!([""]))]), "invalidParameter.userId.empty"),
        (with(&[("msgKey", json!(null))]), "invalidParameter.msgKey.empty"),
        (with(&[("msgKey", json!("sampleNothing"))]), "invalidParameter.msgKey.invalid"),
        (with(&[("msgParam", json!({"content": "hi"}))]), "invalidParameter.msgParam.invalid"),
        (with(&[("msgParam", json!("hi"))]), "invalidParameter.msgParam.invalid"),
        (with(&[("msgParam", json!("{}"))]), "miss.param.contentOfText"),
        (
            with(&[("msgKey", json!("sampleMarkdown")), ("msgParam", json!("{\"text\":\"x\"}"))]),
            "miss.param.markdownTotitle",
        ),
        (
            with(&[
                ("msgKey", json!("sampleActionCard3")),
                ("msgParam", json!("{\"title\":\"x\"}")),
            ]),
            "miss.param.actionCard",
        ),
        (json!([]), "invalidParameter.param.invalid"),
    ];
    for (body, code) in cases {
        let (status, answer) = push(&mock, &token, &body).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{body}");
    }
    assert_eq!(push(&mock, "", &right).await.1["code"], "InvalidAuthentication");
    assert_eq!(app.sent().unwrap(), []);
    assert_eq!(push(&mock, &token, &right).await.0, 200);
}

#[tokio::test]
async fn a_wrong_reply_is_a_200_with_its_errcode() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let message = data(&bot.frame().await);
    let webhook = message["sessionWebhook"].as_str().unwrap().to_owned();
    let reply = |body: String, kind: &'static str, url: String| async move {
        let response =
            http().post(url).header("content-type", kind).body(body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let has_diagnosis = response.headers().contains_key("x-mock-diagnosis");
        let answer: Value = response.json().await.unwrap();
        let errcode = answer["errcode"].as_i64().unwrap();
        assert_eq!(has_diagnosis, errcode != 0, "{answer}");
        errcode
    };
    let text = |content: &str| json!({"msgtype": "text", "text": {"content": content}}).to_string();
    let (json_type, form) = ("application/json", "application/x-www-form-urlencoded");
    assert_eq!(
        reply(text("x"), json_type, webhook.replace("session=", "session=0")).await,
        300_001
    );
    assert_eq!(
        reply(text("x"), json_type, mock.url().to_owned() + "/robot/sendBySession").await,
        300_001
    );
    assert_eq!(reply(text("x"), form, webhook.clone()).await, 43004);
    assert_eq!(reply(String::new(), json_type, webhook.clone()).await, 40035);
    assert_eq!(reply("{}".to_owned(), json_type, webhook.clone()).await, 40035);
    assert_eq!(reply(r#"{"msgtype":"text"}"#.to_owned(), json_type, webhook.clone()).await, 40035);
    let voice = r#"{"msgtype":"voice","voice":{"mediaId":"x"}}"#.to_owned();
    assert_eq!(reply(voice, json_type, webhook.clone()).await, 400_105);
    // The limit is in bytes of the whole body, so that the envelope counts too.
    let envelope = text("").len();
    assert_eq!(
        reply(text(&"a".repeat(20_001 - envelope)), json_type, webhook.clone()).await,
        460_101
    );
    assert_eq!(app.sent().unwrap(), []);
    assert_eq!(reply(text(&"a".repeat(20_000 - envelope)), json_type, webhook.clone()).await, 0);
    let at = r#"{"msgtype":"text","text":{"content":"x"},"at":{"atUserIds":[null,""]}}"#.to_owned();
    assert_eq!(reply(at, "application/json;charset=utf-8", webhook.clone()).await, 0);
    assert_eq!(reply(r#"{"msgtype":"empty"}"#.to_owned(), json_type, webhook).await, 0);
    assert_eq!(app.sent().unwrap().len(), 2, "empty says nothing");
}

#[tokio::test]
async fn what_is_not_there_is_a_404_in_the_words_of_its_host() {
    let mock = MockDingtalk::start().await.unwrap();
    let new = http().post(format!("{}/v1.0/no/such", mock.url())).send().await.unwrap();
    assert_eq!(new.status(), 404);
    assert!(diagnosis(&new).contains("there is no POST /v1.0/no/such"), "{}", diagnosis(&new));
    let answer: Value = new.json().await.unwrap();
    assert_eq!(answer["code"], "InvalidAction.NotFound");
    let wrong_method =
        http().get(format!("{}/v1.0/oauth2/accessToken", mock.url())).send().await.unwrap();
    assert_eq!(wrong_method.status(), 404);
    assert!(diagnosis(&wrong_method).contains("POST /v1.0/oauth2/accessToken"));
    let old = http().get(format!("{}/topapi/nothing", mock.url())).send().await.unwrap();
    assert_eq!(old.status(), 200);
    let answer: Value = old.json().await.unwrap();
    assert_eq!(answer["errcode"], 22);
    assert_eq!(
        mock.unmatched(),
        ["POST /v1.0/no/such", "GET /v1.0/oauth2/accessToken", "GET /topapi/nothing"]
    );
}
