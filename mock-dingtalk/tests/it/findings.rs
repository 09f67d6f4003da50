//! The bot lint: each rule is shown by one bot that breaks it, and a good bot breaks none.

use std::time::Duration;

use mock_dingtalk::{
    Action, App, Cut, DeliveryRules, ErrorBody, Fault, Finding, MockDingtalk, Profile, Severity,
    When,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    caller::Caller,
    support::{Bot, ack, data, eventually, http, open, open_body, ticket},
};

fn rules(app: &App) -> Vec<&'static str> {
    app.findings().unwrap().iter().map(|finding| finding.rule).collect()
}

/// The one finding of a rule.
fn finding(app: &App, rule: &str) -> Finding {
    let rows = app.findings().unwrap();
    let mut of_rule = rows.iter().filter(|finding| finding.rule == rule);
    let found = of_rule.next().unwrap_or_else(|| panic!("no {rule} in {rows:?}"));
    assert!(of_rule.next().is_none(), "one row for {rule}: {rows:?}");
    found.clone()
}

async fn started() -> (MockDingtalk, App) {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    (mock, app)
}

async fn reply(client: &Client, frame: &Value, text: &str) -> Value {
    let webhook = data(frame)["sessionWebhook"].as_str().unwrap().to_owned();
    let body = json!({"msgtype": "text", "text": {"content": text}});
    client.post(webhook).json(&body).send().await.unwrap().json().await.unwrap()
}

/// Waits until the answers that were written are read.
async fn read(app: &App, what: &str, rule: &str) -> Finding {
    eventually(what, async || {
        let rows = app.findings().unwrap();
        rows.iter().find(|row| row.rule == rule).cloned().ok_or(rows)
    })
    .await
}

#[tokio::test]
async fn a_good_bot_has_no_findings_over_a_whole_conversation() {
    let (mock, app) = started().await;
    let client = http();
    let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let answer: Value = client.post(url).json(&body).send().await.unwrap().json().await.unwrap();
    let token = answer["accessToken"].as_str().unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    for n in 0..5_usize {
        app.say("user0001", &format!("text {n}")).await.unwrap();
        let frame = bot.frame().await;
        bot.ack(&frame).await;
        // In two parts, as long answers come.
        reply(&client, &frame, &format!("first part {n}")).await;
        reply(&client, &frame, &format!("second part {n}")).await;
        app.wait_acked(n + 1).await.unwrap();
        mock.clock().advance(Duration::from_secs(31));
        let ping = bot.frame().await;
        assert_eq!(ping["headers"]["topic"], "ping");
        bot.send(ack(&ping, ping["data"].as_str().unwrap())).await;
        let at = mock.clock().unix_ms();
        app.wait_for_connections("the pong", |rows| {
            (rows[0].last_pong_at == Some(at)).then_some(())
        })
        .await
        .unwrap();
    }
    app.push_fixture("stream/event_robot_msg_read").unwrap();
    let event = bot.frame().await;
    bot.send(ack(&event, r#"{"status":"SUCCESS"}"#)).await;
    app.wait_acked(6).await.unwrap();
    let push = json!({"robotCode": app.robot_code(), "userIds": ["user0001"],
        "msgKey": "sampleText", "msgParam": "{\"content\":\"pushed\"}"});
    let url = format!("{}/v1.0/robot/oToMessages/batchSend", mock.url());
    let request = client.post(url).header("x-acs-dingtalk-access-token", token).json(&push);
    assert_eq!(request.send().await.unwrap().status(), 200);
    // The next connection stands before the announced end.
    let id = app.connections().unwrap()[0].connection_id.clone();
    app.disconnect(&id, "connection is expired").unwrap();
    let notice = bot.frame().await;
    bot.ack(&notice).await;
    let mut next = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0002", "still there?").await.unwrap();
    let frame = next.frame().await;
    next.ack(&frame).await;
    reply(&client, &frame, "yes").await;
    app.wait_acked(7).await.unwrap();
    mock.clock().advance(Duration::from_secs(20));
    app.expect_no_findings(Severity::Remark).unwrap();
    assert!(mock.findings().is_empty());
}

#[tokio::test]
async fn late_missing_and_repeated_answers_are_named_with_their_frames() {
    let (mock, app) = started().await;
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let said = app.say("user0001", "slow").await.unwrap();
    let frame = bot.frame().await;
    mock.clock().advance(Duration::from_secs(61));
    let missing = finding(&app, "ack-missing");
    assert!(missing.message.contains(&said.msg_id), "{missing:?}");
    assert_eq!(missing.count, 1, "and it is counted once, however often one looks");
    assert_eq!(finding(&app, "ack-missing").count, 1);
    bot.ack(&frame).await;
    let late = read(&app, "the late answer", "ack-late").await;
    let words = format!(
        "(messageId {}, msgId {}) was answered after 61000 ms",
        said.message_id, said.msg_id
    );
    assert!(late.message.ends_with(&words), "{late:?}");
    assert_eq!((late.severity, late.count), (Severity::Warning, 1));
    let journal = app.journal().unwrap();
    let shown = journal.iter().find(|entry| entry.seq == late.journal[0]).unwrap();
    assert!(shown.body.as_deref().unwrap().contains(&said.message_id), "{shown:?}");
    bot.ack(&frame).await;
    let twice = read(&app, "the second answer", "ack-repeated").await;
    assert!(twice.message.contains("was answered 2 times"), "{twice:?}");

    app.push_fixture("stream/event_robot_msg_read").unwrap();
    let mut event = bot.frame().await;
    while event["type"] != "EVENT" {
        event = bot.frame().await;
    }
    mock.clock().advance(Duration::from_millis(3_001));
    bot.ack(&event).await;
    let late = eventually("the late event", async || {
        let rows = app.findings().unwrap();
        let event = |row: &&Finding| row.rule == "ack-late" && row.message.starts_with("EVENT");
        rows.iter().find(event).cloned().ok_or(rows)
    })
    .await;
    assert_eq!(late.expected, "an answer within 3000 ms");
}

#[tokio::test]
async fn answers_that_match_nothing_or_come_elsewhere_are_named() {
    let (mock, app) = started().await;
    let mut one = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let frame = one.frame().await;
    let mut other = Bot::connect(&mock, &app).await;
    app.wait_connections(2).await.unwrap();
    other.ack(&frame).await;
    read(&app, "the answer elsewhere", "ack-elsewhere").await;
    other.ack(&json!({"headers": {"messageId": "made-up"}})).await;
    let unknown = read(&app, "the unknown answer", "ack-unknown").await;
    assert!(unknown.message.contains("made-up"), "{unknown:?}");
    other.send(r#"{"code":200,"message":"ping"}"#).await;
    read(&app, "the stray message", "stray-message").await;
    assert_eq!(rules(&app), ["ack-elsewhere", "ack-unknown", "stray-message"]);

    // What a test pushes as it stands may be answered.
    app.clear_findings().unwrap();
    app.cut(&app.connections().unwrap()[0].connection_id, &Cut::Rst).unwrap();
    app.push_raw(r#"{"type":"SYSTEM","headers":{"messageId":"raw-1","topic":"x"}}"#).unwrap();
    let raw = other.frame().await;
    other.ack(&raw).await;
    other.socket.close(None).await.unwrap();
    app.wait_for_connections("the end", |rows| {
        rows.iter().all(|row| row.closed_at.is_some()).then_some(())
    })
    .await
    .unwrap();
    app.expect_no_findings(Severity::Remark).unwrap();
}

#[tokio::test]
async fn the_same_answer_to_a_redelivered_message_is_named() {
    let (mock, app) = started().await;
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    app.set_delivery(rules).unwrap();
    let client = http();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let said = app.say("user0001", "hi").await.unwrap();
    let first = bot.frame().await;
    reply(&client, &first, "hi yourself").await;
    mock.clock().advance(Duration::from_secs(60));
    let mut again = bot.frame().await;
    while again["type"] != "CALLBACK" {
        again = bot.frame().await;
    }
    reply(&client, &again, "hi yourself").await;
    let found = finding(&app, "answer-repeated");
    let message =
        format!("msgId {}, which was pushed 2 times, got the same answer again", said.msg_id);
    assert_eq!((found.message.as_str(), found.severity), (message.as_str(), Severity::Error));
    let error = app.expect_no_findings(Severity::Error).unwrap_err().to_string();
    assert!(error.starts_with("answer-repeated (1x): msgId"), "{error}");
}

#[tokio::test]
async fn a_webhook_is_better_used_early() {
    let (mock, app) = started().await;
    let client = http();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let frame = bot.frame().await;
    bot.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    mock.clock().advance(Duration::from_secs(84 * 60));
    reply(&client, &frame, "in time").await;
    assert!(rules(&app).is_empty(), "{:?}", app.findings());
    mock.clock().advance(Duration::from_secs(60));
    reply(&client, &frame, "just in time").await;
    assert_eq!(rules(&app), ["webhook-near-expiry"]);
    mock.clock().advance(Duration::from_secs(5 * 60));
    assert_eq!(reply(&client, &frame, "too late").await["errcode"], 300_001);
    assert_eq!(rules(&app), ["webhook-near-expiry", "webhook-expired"]);
    let url = data(&frame)["sessionWebhook"].as_str().unwrap().to_owned();
    let mut changed = url.clone();
    changed.replace_range(url.len() - 2.., "zz");
    let body = json!({"msgtype": "text", "text": {"content": "x"}});
    client.post(&changed).json(&body).send().await.unwrap();
    assert_eq!(finding(&app, "webhook-unknown").severity, Severity::Error);
    // A session that no app can have opened is nobody's.
    let nobody = format!("{}/robot/sendBySession?session=elsewhere", mock.url());
    client.post(nobody).json(&body).send().await.unwrap();
    assert_eq!(mock.findings()[0].rule, "webhook-unknown");
    assert_eq!(mock.clear_findings(), 1);
}

#[tokio::test]
async fn tickets_storms_and_pings() {
    let (mock, app) = started().await;
    let (endpoint, used) = ticket(&mock, &app).await;
    let mut bot = Bot::redeem(&endpoint, &used).await.unwrap();
    app.wait_connections(1).await.unwrap();
    assert!(Bot::redeem(&endpoint, &used).await.is_err());
    let reused = finding(&app, "ticket-reused");
    assert!(reused.message.contains(&used[..8]) && !reused.message.contains(&used), "{reused:?}");
    let (_, old) = ticket(&mock, &app).await;
    mock.clock().advance(Duration::from_secs(91));
    let ping = bot.frame().await;
    bot.ack(&ping).await;
    app.wait_for_connections("the pong", |rows| rows[0].last_pong_at.map(|_| ())).await.unwrap();
    assert!(Bot::redeem(&endpoint, &old).await.is_err());
    assert_eq!(rules(&app), ["ticket-reused", "ticket-expired"]);
    assert!(Bot::redeem(&endpoint, "of-an-earlier-run").await.is_err());
    assert_eq!(mock.findings()[0].rule, "ticket-unknown");

    for _ in 0..10 {
        open(mock.url(), &open_body(&app)).await;
    }
    assert_eq!(rules(&app).len(), 2, "ten are let pass");
    open(mock.url(), &open_body(&app)).await;
    finding(&app, "reconnect-storm");

    for _ in 0..4 {
        assert!(!rules(&app).contains(&"ping-unanswered"));
        mock.clock().advance(Duration::from_secs(30));
    }
    let silent = finding(&app, "ping-unanswered");
    assert!(silent.message.contains(&app.connections().unwrap()[0].connection_id), "{silent:?}");
}

#[tokio::test]
async fn members_that_no_page_has_are_found_in_any_body_and_within_its_objects() {
    let caller = Caller::new().await;
    let at = json!({"atUserIDs": ["user0001"]});
    for (method, path, body, member) in [
        ("PUT", "/v1.0/card/instances", json!({"cardUpdateOption": {}}), "cardUpdateOption"),
        (
            "PUT",
            "/v1.0/card/instances",
            json!({"cardUpdateOptions": {"updateByKey": true}}),
            "cardUpdateOptions.updateByKey",
        ),
        ("POST", "/v1.0/card/instances", json!({"cardParamMap": {}}), "cardParamMap"),
        (
            "POST",
            "/v1.0/robot/groupMessages/recall",
            json!({"processQueryKey": "x"}),
            "processQueryKey",
        ),
        ("POST", "/v1.0/robot/emotion/reply", json!({"textEmotion": {"id": 1}}), "textEmotion.id"),
        ("POST", "/robot/sendBySession?session=dingmock", json!({"at": at}), "at.atUserIDs"),
    ] {
        caller.request(method, path).json(&body).send().await.unwrap();
        let message = format!("has the member {member:?}");
        let mut found = caller.app.findings().unwrap();
        found.extend(caller.mock.findings());
        let found =
            found.iter().any(|row| row.rule == "unknown-field" && row.message.ends_with(&message));
        assert!(found, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn json_under_another_type_is_found() {
    let caller = Caller::new().await;
    let push = json!({"robotCode": caller.app.robot_code(), "userIds": ["user0001"],
        "msgKey": "sampleText", "msgParam": "{\"content\":\"x\"}"});
    let path = "/v1.0/robot/oToMessages/batchSend";
    let send = async |kind: &str| {
        let request = caller.request("POST", path).header("content-type", kind);
        request.body(push.to_string()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(send("application/json; charset=utf-8").await, 200);
    assert_eq!(send("Application/JSON").await, 200);
    assert!(rules(&caller.app).is_empty(), "{:?}", rules(&caller.app));
    assert_eq!(send("application/x-www-form-urlencoded").await, 200);
    let found = finding(&caller.app, "header-missing");
    let message = "Content-Type is application/x-www-form-urlencoded";
    assert!(found.message.ends_with(message), "{found:?}");
}

#[tokio::test]
async fn a_handshake_that_asks_for_no_websocket_leaves_its_trace_and_the_ticket() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let (endpoint, ticket) = crate::support::ticket(&mock, &app).await;
    let url = format!("{}?ticket={ticket}", endpoint.replacen("ws://", "http://", 1));
    let refused = crate::support::http().get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.headers().contains_key("x-mock-diagnosis"), "{refused:?}");
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["message"], "the header Connection does not say Upgrade");
    assert!(body["requestid"].is_string(), "{body}");
    let found = finding(&app, "call-refused");
    assert!(found.message.starts_with("GET /connect: "), "{found:?}");
    let journal = app.journal().unwrap();
    let entry = journal.iter().find(|entry| entry.text.starts_with("GET /connect refused: "));
    assert!(entry.is_some_and(|entry| entry.diagnosis.is_some()), "{journal:?}");
    assert!(Bot::redeem(&endpoint, &ticket).await.is_ok(), "the ticket is as good as before");
}

#[tokio::test]
async fn tokens_headers_paths_and_limits() {
    let mut caller = Caller::new().await;
    caller.renew().await;
    assert!(rules(&caller.app).is_empty(), "a bot may have been started anew");
    caller.renew().await;
    finding(&caller.app, "token-fetched-often");
    caller.app.clear_findings().unwrap();

    let push = json!({"robotCode": caller.app.robot_code(), "userIds": ["user0001"],
        "msgKey": "sampleText", "msgParam": "{\"content\":\"x\"}", "msgParams": {}});
    let path = "/v1.0/robot/oToMessages/batchSend";
    caller.post(path, &push).await;
    let unknown = finding(&caller.app, "unknown-field");
    assert!(unknown.message.ends_with("has the member \"msgParams\""), "{unknown:?}");
    assert_eq!(unknown.severity, Severity::Remark);
    caller.post("/v1.0/robot/otoMessages/batchSend", &push).await;
    finding(&caller.app, "path-case");
    let url = format!("{path}?access_token={}", caller.token);
    caller.bare("POST", &url).json(&push).send().await.unwrap();
    finding(&caller.app, "header-missing");
    let secret = finding(&caller.app, "secret-in-url");
    assert!(!secret.message.contains(&caller.token), "{secret:?}");
    caller.post(path, &json!({"robotCode": "another"})).await;
    finding(&caller.app, "call-refused");
    caller.control("limits", &json!({"perSecond": 1, "perMonth": 100})).await;
    let get = "/v1.0/robot/oToMessages/readStatus?robotCode=x";
    caller.get(get).await;
    caller.get(get).await;
    finding(&caller.app, "over-qps");
    caller.control("limits", &json!({"perSecond": "none", "perMonth": 0})).await;
    caller.get(get).await;
    assert_eq!(finding(&caller.app, "over-quota").severity, Severity::Error);
}

#[tokio::test]
async fn cards_are_streamed_with_a_guid_for_each_call() {
    let caller = Caller::new().await;
    let card = json!({"outTrackId": "c1", "cardTemplateId": "t", "cardData": {"cardParamMap": {}},
        "openSpaceId": "dtv1.card//IM_ROBOT.user0001", "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"}});
    caller.post("/v1.0/card/instances/createAndDeliver", &card).await;
    let stream = async |guid: &str, content: &str| {
        let body = json!({"outTrackId": "c1", "guid": guid, "key": "content", "content": content,
            "isFull": true, "isFinalize": false, "isError": false});
        let answer = caller.put("/v1.0/card/streaming", &body).await;
        assert_eq!(answer["status"], 200, "{answer}");
    };
    stream("g1", "a").await;
    stream("g2", "ab").await;
    assert!(!rules(&caller.app).iter().any(|rule| rule.starts_with("card-")));
    stream("g3", "ab").await;
    finding(&caller.app, "card-guid-not-idempotent");
    stream("g3", "ab").await;
    finding(&caller.app, "call-remarked");
    stream("g3", "abc").await;
    finding(&caller.app, "card-guid-reused");
}

#[tokio::test]
async fn the_proxy_names_foreign_hosts() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mock = MockDingtalk::start().await.unwrap();
    for (request, rule) in [
        (
            "CONNECT elsewhere.invalid:443 HTTP/1.1\r\nHost: elsewhere.invalid:443\r\n\r\n",
            "foreign-host",
        ),
        ("CONNECT nowhere HTTP/1.1\r\nHost: nowhere\r\n\r\n", "turned-away"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(mock.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert!(mock.findings().iter().any(|row| row.rule == rule), "{:?}", mock.findings());
    }
}

#[tokio::test]
async fn the_control_api_selects_waits_and_clears() {
    let (mock, app) = started().await;
    let base = format!("{}/_mock/apps/{}/findings", mock.url(), app.client_id());
    let get = async |query: &str| {
        let response = http().get(format!("{base}{query}")).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    assert_eq!(get("").await, (200, json!([])));
    for bad in ["?severity=bad", "?after=x", "?afterr=1"] {
        assert_eq!(get(bad).await.0, 400, "{bad}");
    }
    let (endpoint, used) = ticket(&mock, &app).await;
    let mut bot = Bot::redeem(&endpoint, &used).await.unwrap();
    app.wait_connections(1).await.unwrap();
    let wait = tokio::spawn({
        let url = format!("{base}?wait_ms=15000&count=2&severity=remark");
        async move { http().get(url).send().await.unwrap().json::<Value>().await.unwrap() }
    });
    assert!(Bot::redeem(&endpoint, &used).await.is_err());
    futures_util::SinkExt::send(&mut bot.socket, Message::Binary("x".into())).await.unwrap();
    let rows = wait.await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert_eq!(rows[0]["rule"], "ticket-reused");
    assert_eq!(rows[0]["severity"], "error");
    assert_eq!(get("?severity=error").await.1.as_array().unwrap().len(), 1);
    assert_eq!(get("?after=1").await.1[0]["rule"], "stray-message");
    let cleared: Value = http().delete(&base).send().await.unwrap().json().await.unwrap();
    assert_eq!(cleared, json!({"removed": 2}));
    assert_eq!(get("").await.1, json!([]));
    let rules = format!("{}/_mock/findings/rules", mock.url());
    let rules: Value = http().get(rules).send().await.unwrap().json().await.unwrap();
    assert_eq!(rules.as_array().unwrap().len(), MockDingtalk::finding_rules().len());
    assert_eq!(rules[0]["rule"], "ack-late");
}

#[tokio::test]
async fn a_storm_is_one_whatever_its_calls_are_answered() {
    for faulty in [true, false] {
        let (mock, app) = started().await;
        let mut body = open_body(&app);
        if faulty {
            let busy = Action::Status(503, ErrorBody::Empty);
            app.fault(Fault::always(When::Open, busy)).unwrap();
        } else {
            body["clientSecret"] = "wrong".into();
        }
        for calls in 1..=11 {
            assert!(!rules(&app).contains(&"reconnect-storm"), "after {calls} calls");
            assert_ne!(open(mock.url(), &body).await.0, 200);
        }
        finding(&app, "reconnect-storm");
    }
}
