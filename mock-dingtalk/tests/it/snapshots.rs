//! Snapshots: what comes back, and what stays.

use std::time::Duration;

use mock_dingtalk::{
    Action, App, AppOptions, ConnectionState, Cut, DeliveryState, EntryKind, ErrorBody, Fault,
    Media, MockDingtalk, Severity, When,
};
use serde_json::{Value, json};

use crate::support::{Bot, data, eventually, http, open, open_body};

const HOUR: Duration = Duration::from_secs(3_600);

/// A mock whose time stands still.
async fn paused() -> MockDingtalk {
    let mock = MockDingtalk::builder().seed(3).start().await.unwrap();
    mock.clock().pause();
    mock
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

async fn token(mock: &MockDingtalk, app: &App) -> Value {
    let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    answer(http().post(url).json(&body)).await.1
}

/// What DingTalk says of a token that may not ask who it is.
async fn token_lives(mock: &MockDingtalk, token: &Value) -> bool {
    let me = http().get(format!("{}/v1.0/contact/users/me", mock.url()));
    let me = me.header("x-acs-dingtalk-access-token", token["accessToken"].as_str().unwrap());
    match answer(me).await.1["code"].as_str().unwrap() {
        "Forbidden.AccessDenied.AccessTokenPermissionDenied" => true,
        "InvalidAuthentication" => false,
        other => panic!("{other}"),
    }
}

async fn reply(frame: &Value, text: &str) {
    let webhook = data(frame)["sessionWebhook"].as_str().unwrap().to_owned();
    let body = json!({"msgtype": "text", "text": {"content": text}});
    let (status, said) = answer(http().post(webhook).json(&body)).await;
    assert_eq!((status, &said["errcode"]), (200, &json!(0)), "{said}");
}

/// The app's first bot leaves, and the mock has noticed.
async fn leave(app: &App, mut bot: Bot) {
    bot.socket.close(None).await.unwrap();
    eventually("the end", async || {
        let rows = app.connections().unwrap();
        if rows[0].state == ConnectionState::Closed { Ok(()) } else { Err(rows) }
    })
    .await;
}

#[tokio::test]
async fn the_same_inputs_after_a_restore_give_the_same_ids() {
    let mock = paused().await;
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "before").await.unwrap();
    let frame = bot.frame().await;
    bot.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    let row = mock.snapshot("start").unwrap();
    assert_eq!((row.name.as_str(), row.apps), ("start", 1));
    assert_eq!(mock.snapshots(), [row]);
    let mut runs = Vec::new();
    for _ in 0..3 {
        let said = app.say_in_group("somebody new", "Team", "after").await.unwrap();
        let frame = bot.frame().await;
        bot.ack(&frame).await;
        reply(&frame, "yes").await;
        assert_eq!(app.wait_acked(2).await.unwrap().len(), 2);
        assert_eq!(app.sent().unwrap().len(), 1);
        let another = mock.app();
        runs.push(json!([said, frame, token(&mock, &app).await, another.info()]));
        mock.restore("start").unwrap();
        assert!(app.sent().unwrap().is_empty());
        assert_eq!(app.deliveries().unwrap().len(), 1);
        assert_eq!(app.people().unwrap().len(), 3);
        assert_eq!(mock.apps().len(), 1, "the app that came later is gone");
        let rows = app.connections().unwrap();
        assert_eq!((rows[0].state, rows[0].acks), (ConnectionState::Open, 1), "{rows:?}");
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
    app.expect_no_findings(Severity::Remark).unwrap();
}

#[tokio::test]
async fn sent_cards_faults_people_and_files_come_back() {
    let mock = paused().await;
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let frame = bot.frame().await;
    reply(&frame, "first").await;
    let bearer = token(&mock, &app).await;
    let bearer = bearer["accessToken"].as_str().unwrap();
    let call = async |path: &str, body: Value| {
        let request = http().request(
            if path == "streaming" { reqwest::Method::PUT } else { reqwest::Method::POST },
            format!("{}/v1.0/card/{path}", mock.url()),
        );
        let request = request.header("x-acs-dingtalk-access-token", bearer).json(&body);
        let (status, answer) = answer(request).await;
        assert_eq!(status, 200, "{path}: {answer}");
    };
    let robot = json!({"robotCode": app.robot_code(), "spaceType": "IM_ROBOT"});
    let card = json!({
        "cardTemplateId": "t.schema", "outTrackId": "one", "userIdType": 1,
        "cardData": {"cardParamMap": {"content": ""}},
        "openSpaceId": "dtv1.card//IM_ROBOT.user0001", "callbackType": "STREAM",
        "imRobotOpenDeliverModel": robot, "imRobotOpenSpaceModel": {"supportForward": true},
    });
    call("instances/createAndDeliver", card).await;
    let stream = |content: &str, is_finalize: bool| {
        json!({
            "outTrackId": "one", "guid": content, "key": "content", "content": content,
            "isFull": true, "isFinalize": is_finalize, "isError": false,
        })
    };
    call("streaming", stream("half", false)).await;
    let file = app.add_file(Media::new("a.txt", "text/plain", &b"abc"[..])).unwrap();
    app.fault(Fault::first(2, When::Open, Action::Status(503, ErrorBody::Html))).unwrap();
    let (status, _) = open(mock.url(), &open_body(&app)).await;
    assert_eq!(status, 503);
    let known = (app.sent().unwrap(), app.faults().unwrap());
    assert_eq!((known.0.len(), known.0[1].finished, known.1[0].left), (2, false, Some(1)));
    mock.snapshot("half way").unwrap();

    call("streaming", stream("whole", true)).await;
    reply(&frame, "second").await;
    app.say("somebody new", "hi").await.unwrap();
    let (status, _) = open(mock.url(), &open_body(&app)).await;
    assert_eq!(status, 503);
    app.clear_faults().unwrap();
    assert_eq!(app.sent().unwrap().len(), 3);

    for _ in 0..2 {
        mock.restore("half way").unwrap();
        assert_eq!((app.sent().unwrap(), app.faults().unwrap()), known);
        assert_eq!(app.people().unwrap().len(), 3);
        let kept = app.inbound_media(&file.download_code).unwrap().unwrap();
        assert_eq!(&kept.bytes[..], b"abc");
        let (status, _) = open(mock.url(), &open_body(&app)).await;
        assert_eq!(status, 503, "one time was left");
        let (status, _) = open(mock.url(), &open_body(&app)).await;
        assert_eq!(status, 200);
        call("streaming", stream("whole", true)).await;
        let rows = app.sent().unwrap();
        assert_eq!((rows[1].text.as_str(), rows[1].finished), ("whole", true));
    }
}

#[tokio::test]
async fn the_time_of_an_app_goes_on_from_what_it_showed_and_that_of_the_mock_goes_on() {
    let mock = paused().await;
    let app = mock.app();
    let old = token(&mock, &app).await;
    mock.clock().advance(HOUR);
    app.clock().jump(77);
    let shown = (app.clock().since_start(), app.clock().unix_ms());
    mock.snapshot("an hour is left").unwrap();
    let outer = mock.clock().since_start();

    mock.clock().advance(2 * HOUR);
    app.clock().set_scale(10.0).unwrap();
    let new = token(&mock, &app).await;
    assert_ne!(old["accessToken"], new["accessToken"]);
    for _ in 0..2 {
        mock.restore("an hour is left").unwrap();
        assert_eq!((app.clock().since_start(), app.clock().unix_ms()), shown);
        assert!((app.clock().scale() - 1.0).abs() < f64::EPSILON);
        assert!(mock.clock().since_start() >= outer + 2 * HOUR, "it is real time");
        assert!(token_lives(&mock, &old).await);
        mock.clock().advance(Duration::from_millis(3_599_999));
        assert!(token_lives(&mock, &old).await);
        mock.clock().advance(Duration::from_millis(1));
        assert!(!token_lives(&mock, &old).await);
        assert_eq!(app.clock().since_start(), shown.0 + HOUR);
    }
}

#[tokio::test]
async fn sockets_are_no_state() {
    let mock = paused().await;
    let app = mock.app();
    let old = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    mock.snapshot("one").unwrap();
    leave(&app, old).await;
    mock.clock().advance(Duration::from_secs(1_000));
    let mut new = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let mut leaving = Bot::connect(&mock, &app).await;
    app.wait_connections(2).await.unwrap();
    let rows = app.connections().unwrap();
    app.disconnect(&rows[2].connection_id, "bye").unwrap();
    assert_eq!(leaving.frame().await["headers"]["topic"], "disconnect");
    let foreign = mock.app();
    let mut gone = Bot::connect(&mock, &foreign).await;
    foreign.wait_connections(1).await.unwrap();
    mock.clock().advance(Duration::from_secs(4));

    mock.restore("one").unwrap();
    assert!(gone.next().await.is_none_or(|message| message.is_err()), "it is reset");
    assert!(foreign.connections().is_err());
    let rows = app.connections().unwrap();
    let states: Vec<_> = rows.iter().map(|row| row.state).collect();
    let expected = [ConnectionState::Closed, ConnectionState::Open, ConnectionState::Draining];
    assert_eq!(states, expected);
    assert_eq!(rows[0].close_reason.as_deref(), Some("ended before the snapshot was restored"));
    app.say("user0001", "hello").await.unwrap();
    let frame = new.frame().await;
    assert_eq!(data(&frame)["text"]["content"], "hello");
    new.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    reply(&frame, "hello yourself").await;
    assert_eq!(app.wait_sent(1).await.unwrap()[0].text, "hello yourself");
    // One that comes now is drawn from the seed that drew those which stand.
    let _another = Bot::connect(&mock, &app).await;
    app.wait_connections(2).await.unwrap();
    let mut ids: Vec<_> =
        app.connections().unwrap().into_iter().map(|row| row.connection_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    // Six seconds of the grace were left, and 26 until the next ping.
    mock.clock().advance(Duration::from_millis(5_999));
    assert_eq!(app.connections().unwrap()[2].state, ConnectionState::Draining);
    mock.clock().advance(Duration::from_millis(1));
    let closed = app
        .connections()
        .unwrap()
        .iter()
        .filter(|row| row.state == ConnectionState::Closed)
        .count();
    assert_eq!(closed, 2);
    mock.clock().advance(Duration::from_secs(20));
    assert_eq!(new.frame().await["headers"]["topic"], "ping");
}

#[tokio::test]
async fn what_waited_then_is_pushed_to_who_is_there_now_and_waiters_see_the_restore() {
    let mock = paused().await;
    let app = mock.app();
    app.push_fixture("stream/event_robot_msg_read").unwrap();
    assert_eq!(app.deliveries().unwrap()[0].state, DeliveryState::Queued);
    mock.snapshot("waiting").unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    let event = bot.frame().await;
    bot.ack(&event).await;
    app.wait_acked(1).await.unwrap();
    mock.restore("waiting").unwrap();
    let again = bot.frame().await;
    assert_eq!(again["type"], "EVENT");
    assert_eq!(app.deliveries().unwrap()[0].acks, 0);
    bot.ack(&again).await;
    app.wait_acked(1).await.unwrap();

    leave(&app, bot).await;
    mock.snapshot("answered").unwrap();
    mock.restore("waiting").unwrap();
    assert_eq!(app.deliveries().unwrap()[0].ack, None);
    let waiter = tokio::spawn({
        let app = app.clone();
        async move { app.wait_acked(1).await.unwrap().len() }
    });
    tokio::task::yield_now().await;
    mock.restore("answered").unwrap();
    assert_eq!(waiter.await.unwrap(), 1);
}

#[tokio::test]
async fn an_answer_to_what_was_undone_is_nobodys_fault_and_the_journal_is_history() {
    let mock = paused().await;
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "before").await.unwrap();
    let known = bot.frame().await;
    mock.snapshot("on its way").unwrap();
    bot.ack(&known).await;
    app.wait_acked(1).await.unwrap();
    app.say("user0001", "undone").await.unwrap();
    let undone = bot.frame().await;
    mock.restore("on its way").unwrap();
    bot.ack(&undone).await;
    let texts = eventually("the answer", async || {
        let entries = mock.journal().unwrap();
        let came = entries.iter().filter(|entry| entry.kind == EntryKind::FrameIn).count();
        let texts: Vec<_> = entries.into_iter().map(|entry| entry.text.clone()).collect();
        if came == 2 { Ok(texts) } else { Err(texts) }
    })
    .await;
    let restored = texts.iter().filter(|text| *text == "snapshot on its way restored").count();
    assert_eq!(restored, 2, "in the app's and in the mock's: {texts:#?}");
    assert!(texts.iter().any(|text| text == "snapshot on its way taken"));
    mock.clock().advance(HOUR);
    app.expect_no_findings(Severity::Remark).unwrap();
}

#[tokio::test]
async fn an_app_that_was_deleted_comes_back_and_one_minted_anew_is_another() {
    let mock = paused().await;
    let named = || AppOptions::default().client_id("bot");
    let first = mock.app_with(named()).unwrap();
    let other = mock.app();
    mock.snapshot("both").unwrap();
    first.delete().unwrap();
    let second = mock.app_with(named()).unwrap();
    assert_ne!(second.client_secret(), first.client_secret());
    let mut bot = Bot::connect(&mock, &second).await;
    second.wait_connections(1).await.unwrap();
    other.say("user0002", "hi").await.unwrap();
    mock.restore("both").unwrap();
    assert!(bot.next().await.is_none_or(|message| message.is_err()), "it is reset");
    assert_eq!(mock.apps(), [first.info().clone(), other.info().clone()]);
    assert!(other.deliveries().unwrap().is_empty(), "all apps go back, not one of them");
    let mut bot = Bot::connect(&mock, &first).await;
    first.wait_connections(1).await.unwrap();
    first.say("user0001", "again").await.unwrap();
    assert_eq!(data(&bot.frame().await)["text"]["content"], "again");
    mock.reset();
    assert!(mock.apps().is_empty());
    mock.restore("both").unwrap();
    assert_eq!(mock.apps().len(), 2, "snapshots outlive a reset");
}

#[tokio::test]
async fn a_call_that_waits_is_answered_although_time_is_set_back() {
    let mock = paused().await;
    let app = mock.app();
    app.fault(Fault::always(When::Open, Action::Delay(Duration::from_secs(5)))).unwrap();
    mock.snapshot("start").unwrap();
    mock.clock().advance(24 * HOUR);
    let (url, body) = (mock.url().to_owned(), open_body(&app));
    let call = tokio::spawn(async move { open(&url, &body).await.0 });
    eventually("the call", async || {
        let entries = app.journal().unwrap();
        let came = entries.iter().any(|entry| entry.kind == EntryKind::Http);
        if came { Ok(()) } else { Err(entries) }
    })
    .await;
    mock.restore("start").unwrap();
    eventually("the answer", async || {
        mock.clock().advance(Duration::from_secs(1));
        if call.is_finished() { Ok(()) } else { Err(app.clock().since_start()) }
    })
    .await;
    assert_eq!(call.await.unwrap(), 200);
    assert!(app.clock().since_start() < HOUR);
}

#[tokio::test]
async fn the_control_api_has_the_same_verbs_and_its_bounds() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.app();
    let base = format!("{}/_mock/snapshots", mock.url());
    let post = async |path: &str, body: Value| {
        answer(http().post(format!("{base}{path}")).json(&body)).await
    };
    let bad = [
        json!({}),
        json!({"name": 1}),
        json!({"name": null}),
        json!({"name": ""}),
        json!({"name": "a/b"}),
        json!({"name": ".."}),
        json!({"name": " a"}),
        json!({"name": "a\n"}),
        json!({"name": "x".repeat(129)}),
        json!({"name": "a", "apps": 1}),
    ];
    for bad in bad {
        let (status, said) = post("", bad.clone()).await;
        assert_eq!(status, 400, "{bad}: {said}");
        for member in ["field", "value", "allowed"] {
            assert!(said["error"][member].is_string(), "{bad}: {said}");
        }
    }
    for n in 0..16 {
        let (status, row) = post("", json!({"name": format!("s {n}?")})).await;
        assert_eq!((status, &row["apps"]), (201, &json!(1)), "{row}");
    }
    let refused =
        [("s 0?", "snapshot `s 0?` exists already"), ("more", "no more than 16 snapshots")];
    for (name, why) in refused {
        let (status, said) = post("", json!({"name": name})).await;
        assert_eq!((status, &said["error"]["message"]), (409, &json!(why)));
    }
    let (status, rows) = answer(http().get(&base)).await;
    assert_eq!((status, rows.as_array().unwrap().len()), (200, 16));
    assert_eq!(rows, json!(mock.snapshots()));
    assert_eq!(post("/s%200%3F/restore", json!({})).await.0, 204);
    assert_eq!(post("/s%200%3F/restore", json!({"now": true})).await.0, 400);
    let (status, said) = post("/none/restore", json!({})).await;
    assert_eq!((status, &said["error"]["message"]), (404, &json!("there is no snapshot `none`")));
    let delete = async |name: &str| answer(http().delete(format!("{base}/{name}"))).await.0;
    assert_eq!(delete("s%200%3F").await, 204);
    assert_eq!(delete("s%200%3F").await, 404);
    assert_eq!(mock.snapshots().len(), 15);
}

#[tokio::test]
async fn snapshots_take_no_more_than_256_mib() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    // A file is one piece of memory, however many snapshots hold it, but is counted in each.
    for _ in 0..5 {
        app.add_file(Media::new("a.bin", "", vec![0; 20 << 20])).unwrap();
    }
    let row = mock.snapshot("one").unwrap();
    assert!((100 << 20..101 << 20).contains(&row.bytes), "{row:?}");
    mock.snapshot("two").unwrap();
    let refused = mock.snapshot("three").unwrap_err().to_string();
    assert_eq!(refused, "no more than 268435456 bytes of snapshots");
    mock.delete_snapshot("one").unwrap();
    mock.snapshot("three").unwrap();
    let names: Vec<_> = mock.snapshots().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["two", "three"]);
}

#[tokio::test]
async fn faults_of_tcp_come_back() {
    let mock = paused().await;
    let breaks = async || http().get(format!("{}/_mock/live", mock.url())).send().await.is_err();
    mock.tcp_fault(Fault::first(2, When::Accept, Action::Drop(Cut::Rst))).unwrap();
    mock.snapshot("two times").unwrap();
    let known = mock.tcp_faults();
    assert!(breaks().await);
    assert_ne!(mock.tcp_faults(), known);
    mock.clear_tcp_faults();
    mock.restore("two times").unwrap();
    assert_eq!(mock.tcp_faults(), known);
    for expected in [true, true, false] {
        assert_eq!(breaks().await, expected);
    }
}
