//! Each preset shows on the wire, and ends. Delivery profiles and ghosts too.

use std::time::Duration;

use mock_dingtalk::{
    Action, App, AppOptions, ConnectionState, DeliveryRules, DeliveryState, Fault, FrameSelector,
    MockDingtalk, Preset, Profile, SaidState, Times, When,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Bot, connected, data, http, open, open_body, works};

/// A WebSocket ping is answered, and nothing came before its answer.
async fn silent_but_alive(bot: &mut Bot) {
    use futures_util::SinkExt;
    bot.socket.send(Message::Ping("are you there".into())).await.unwrap();
    match bot.next().await {
        Some(Ok(Message::Pong(payload))) => assert_eq!(&payload[..], b"are you there"),
        other => panic!("expected the pong, got {other:?}"),
    }
}

/// The next frame that is no SYSTEM one.
async fn message(bot: &mut Bot) -> Value {
    loop {
        let frame = bot.frame().await;
        if frame["type"] != "SYSTEM" {
            return frame;
        }
    }
}

async fn reply(frame: &Value) -> Value {
    let webhook = data(frame)["sessionWebhook"].as_str().unwrap().to_owned();
    let body = json!({"msgtype": "text", "text": {"content": "x"}});
    http().post(webhook).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn disconnect_then_silence_lives_ten_seconds_and_then_resets() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.preset(Preset::DisconnectThenSilence).unwrap();
    assert_eq!(bot.frame().await["headers"]["topic"], "disconnect");
    assert_eq!(app.say("user0001", "x").await.unwrap().state, SaidState::Lost);
    mock.clock().advance(Duration::from_millis(9_999));
    silent_but_alive(&mut bot).await;
    mock.clock().advance(Duration::from_millis(1));
    assert!(matches!(bot.next().await, Some(Err(_))), "reset, without a Close frame");
    works(&app, &mut connected(&mock, &app).await).await;
}

#[tokio::test]
async fn a_zombie_answers_pings_and_delivers_nothing_until_the_bot_reconnects() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.preset(Preset::Zombie).unwrap();
    assert_eq!(app.say("user0001", "x").await.unwrap().state, SaidState::Pushed);
    mock.clock().advance(Duration::from_mins(2));
    silent_but_alive(&mut bot).await;
    drop(bot);
    app.wait_for_connections("the end", |rows| rows[0].closed_at.map(|_| ())).await.unwrap();
    works(&app, &mut connected(&mock, &app).await).await;
}

#[tokio::test]
async fn a_silent_stop_sends_everything_elsewhere() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.preset(Preset::SilentStop).unwrap();
    assert_eq!(app.say("user0001", "x").await.unwrap().state, SaidState::Lost);
    silent_but_alive(&mut bot).await;
    let mut other = Bot::connect(&mock, &app).await;
    app.wait_connections(2).await.unwrap();
    for _ in 0..10 {
        works(&app, &mut other).await;
    }
}

#[tokio::test]
async fn no_registered_frame_comes_until_the_faults_are_cleared() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.preset(Preset::NoRegistered).unwrap();
    app.push_fixture("stream/system_registered").unwrap();
    works(&app, &mut bot).await;
    app.clear_faults().unwrap();
    app.push_fixture("stream/system_registered").unwrap();
    assert_eq!(bot.frame().await["headers"]["topic"], "REGISTERED");
}

#[tokio::test]
async fn a_half_open_link_passes_nothing_and_the_next_one_works() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    app.preset(Preset::HalfOpen).unwrap();
    let mut bot = connected(&mock, &app).await;
    app.say("user0001", "x").await.unwrap();
    // What the other connection gets was said later, so the first had its chance.
    let mut next = Bot::connect(&mock, &app).await;
    app.wait_connections(2).await.unwrap();
    app.cut(&app.connections().unwrap()[0].connection_id, &mock_dingtalk::Cut::Rst).unwrap();
    assert!(matches!(bot.next().await, Some(Err(_))), "no frame had come");
    works(&app, &mut next).await;
}

#[tokio::test]
async fn sleep_wake_moves_this_apps_wall_and_no_lifetime() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let (app, other) = (mock.app(), mock.app());
    let mut bot = connected(&mock, &app).await;
    let mut witness = connected(&mock, &other).await;
    app.say("user0001", "before").await.unwrap();
    let before = bot.frame().await;
    app.preset(Preset::SleepWake).unwrap();
    app.say("user0001", "after").await.unwrap();
    let after = bot.frame().await;
    let created = |frame: &Value| data(frame)["createAt"].as_i64().unwrap();
    assert_eq!(created(&after) - created(&before), 8 * 3_600_000);
    assert_eq!(reply(&before).await["errcode"], 0, "the session of before still lives");
    other.say("user0001", "x").await.unwrap();
    assert_eq!(created(&witness.frame().await), created(&before), "another app does not notice");
}

#[tokio::test]
async fn accept_then_close_goes_on_until_the_faults_are_cleared() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    app.preset(Preset::AcceptThenClose).unwrap();
    for _ in 0..4 {
        let mut bot = Bot::connect(&mock, &app).await;
        assert!(matches!(bot.next().await, Some(Err(_))));
    }
    app.clear_faults().unwrap();
    works(&app, &mut connected(&mock, &app).await).await;
}

#[tokio::test]
async fn opens_that_are_refused_slow_or_silent_recover() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let body = open_body(&app);
    app.preset(Preset::Open503).unwrap();
    for expected in [503, 503, 503, 200] {
        assert_eq!(open(mock.url(), &body).await.0, expected);
    }
    app.preset(Preset::OpenTimeout).unwrap();
    for _ in 0..2 {
        let hanging = open(mock.url(), &body);
        assert!(tokio::time::timeout(Duration::from_millis(200), hanging).await.is_err());
    }
    assert_eq!(open(mock.url(), &body).await.0, 200);
    app.preset(Preset::SlowOpen).unwrap();
    for _ in 0..3 {
        let slow = open(mock.url(), &body);
        tokio::pin!(slow);
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut slow).await.is_err());
        mock.clock().advance(Duration::from_secs(8));
        assert_eq!(slow.await.0, 200);
    }
    assert_eq!(open(mock.url(), &body).await.0, 200);
}

#[tokio::test]
async fn the_first_message_after_a_reconnect_is_lost_and_the_second_comes() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    app.preset(Preset::LostFirst).unwrap();
    let mut bot = connected(&mock, &app).await;
    assert_eq!(app.say("user0001", "lost").await.unwrap().state, SaidState::Pushed);
    works(&app, &mut bot).await;
}

#[tokio::test]
async fn late_acks_bring_the_message_again_three_times_and_then_no_more() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.preset(Preset::LateAckRedeliver).unwrap();
    for number in 0..4 {
        app.say("user0001", &number.to_string()).await.unwrap();
        let first = message(&mut bot).await;
        mock.clock().advance(Duration::from_secs(16));
        if number < 3 {
            let again = message(&mut bot).await;
            assert_eq!(data(&again)["msgId"], data(&first)["msgId"]);
            assert_ne!(again["headers"]["messageId"], first["headers"]["messageId"]);
        }
    }
    app.say("user0001", "the last").await.unwrap();
    assert_eq!(data(&message(&mut bot).await)["text"]["content"], "the last");
}

#[tokio::test]
async fn two_apps_get_one_message_id_once() {
    let mock = MockDingtalk::start().await.unwrap();
    let apps = [mock.app(), mock.app()];
    let mut frames = Vec::new();
    for app in &apps {
        let mut bot = connected(&mock, app).await;
        app.preset(Preset::CrossAccountDup).unwrap();
        app.say("user0001", "x").await.unwrap();
        frames.push(bot.frame().await);
        bot.ack(&frames[frames.len() - 1]).await;
        app.wait_acked(1).await.unwrap();
        app.say("user0001", "y").await.unwrap();
        let next = bot.frame().await;
        assert_ne!(next["headers"]["messageId"], frames[0]["headers"]["messageId"]);
    }
    assert_eq!(frames[0]["headers"]["messageId"], frames[1]["headers"]["messageId"]);
    assert_ne!(data(&frames[0])["msgId"], data(&frames[1])["msgId"]);
}

async fn post(mock: &MockDingtalk, app: &App, path: &str, body: &Value) -> (u16, Value) {
    let credentials = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let token: Value =
        http().post(url).json(&credentials).send().await.unwrap().json().await.unwrap();
    let response = http()
        .request(
            if path.ends_with("streaming") { reqwest::Method::PUT } else { reqwest::Method::POST },
            format!("{}{path}", mock.url()),
        )
        .header("x-acs-dingtalk-access-token", token["accessToken"].as_str().unwrap())
        .json(body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn tokens_of_two_apps_do_not_mix() {
    let mock = MockDingtalk::start().await.unwrap();
    let (app, other) = (mock.app(), mock.app());
    assert_eq!(app.preset(Preset::TokenCacheMixup).unwrap(), []);
    let body = |robot: &App| {
        json!({"robotCode": robot.robot_code(), "userIds": ["user0001"],
        "msgKey": "sampleText", "msgParam": "{\"content\":\"x\"}"})
    };
    let path = "/v1.0/robot/oToMessages/batchSend";
    let (status, answer) = post(&mock, &app, path, &body(&other)).await;
    assert!(status >= 400, "{answer}");
    assert_eq!(post(&mock, &app, path, &body(&app)).await.0, 200);
}

#[tokio::test]
async fn card_updates_meet_the_limit_three_times() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    app.preset(Preset::CardQps403).unwrap();
    let limit = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi";
    for refused in [true, true, true, false] {
        let (status, answer) = post(&mock, &app, "/v1.0/card/streaming", &json!({})).await;
        assert_eq!((status, answer["code"] == limit) == (403, true), refused, "{answer}");
    }
}

#[tokio::test]
async fn an_expired_webhook_is_refused_and_the_next_message_brings_a_good_one() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.say("user0001", "x").await.unwrap();
    let old = bot.frame().await;
    app.preset(Preset::WebhookExpired).unwrap();
    assert_eq!(reply(&old).await["errcode"], 300_001);
    app.say("user0001", "y").await.unwrap();
    assert_eq!(reply(&bot.frame().await).await["errcode"], 0);
}

#[tokio::test]
async fn answers_of_another_shape_count_only_without_ack_shape() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.preset(Preset::AckShape).unwrap();
    app.say("user0001", "x").await.unwrap();
    let frame = bot.frame().await;
    let id = &frame["headers"]["messageId"];
    bot.send(json!({"code": 200, "headers": {"messageId": id}, "data": {}}).to_string()).await;
    app.wait_for_connections("a stray", |rows| (rows[0].strays == 1).then_some(())).await.unwrap();
    let journal = app.journal().unwrap();
    assert!(journal.iter().any(|entry| entry.diagnosis.is_some()));
    bot.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    app.clear_faults().unwrap();
    app.say("user0001", "x").await.unwrap();
    let id = bot.frame().await["headers"]["messageId"].clone();
    bot.send(json!({"code": 200, "headers": {"messageId": id}}).to_string()).await;
    app.wait_acked(2).await.unwrap();
}

#[tokio::test]
async fn presets_are_listed_and_asked_for_by_name() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let url = format!("{}/_mock/presets", mock.url());
    let listed: Vec<Value> = http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed.len(), 19);
    let url = format!("{}/_mock/apps/{}/faults", mock.url(), app.client_id());
    for preset in &listed {
        assert!(!preset["evidence"].as_array().unwrap().is_empty(), "{preset}");
        let response = http().post(&url).json(&json!({"preset": preset["name"]})).send().await;
        assert_eq!(response.unwrap().status(), 201, "{preset}");
    }
    let response = http().post(&url).json(&json!({"preset": "gremlin"})).send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert!(answer["error"]["allowed"].as_str().unwrap().contains("zombie"), "{answer}");
}

#[tokio::test]
async fn an_unanswered_message_comes_again_as_its_profile_says() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    for (profile, after, same) in [
        (Profile::Documented, None, false),
        (Profile::Observed60s, Some(60), false),
        (Profile::Observed16s, Some(16), true),
    ] {
        let rules = DeliveryRules { profile, same_message_id: same, ..DeliveryRules::default() };
        let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
        assert_eq!(app.info().profile, profile.name());
        let mut bot = connected(&mock, &app).await;
        app.say("user0001", "acked").await.unwrap();
        let acked = bot.frame().await;
        bot.ack(&acked).await;
        app.wait_acked(1).await.unwrap();
        app.say("user0001", "not acked").await.unwrap();
        let first = bot.frame().await;
        mock.clock().advance(Duration::from_secs(after.unwrap_or(600)));
        let rows = app.deliveries().unwrap();
        let attempts: Vec<usize> = rows.iter().map(|row| row.attempts.len()).collect();
        assert_eq!(attempts, [1, 1 + usize::from(after.is_some())], "{profile:?}");
        if after.is_some() {
            let again = message(&mut bot).await;
            assert_eq!(data(&again)["msgId"], data(&first)["msgId"]);
            let ids = [&again, &first].map(|frame| frame["headers"]["messageId"].clone());
            assert_eq!(ids[0] == ids[1], same);
            mock.clock().advance(Duration::from_mins(10));
            assert_eq!(app.deliveries().unwrap()[1].attempts.len(), 2, "once only");
            bot.ack(&again).await;
            assert_eq!(app.wait_acked(2).await.unwrap()[1].state, DeliveryState::Acked);
        }
    }
}

#[tokio::test]
async fn pushes_go_to_a_ghost_until_dingtalk_notices() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let rules = DeliveryRules { ghost_for: Duration::from_secs(60), ..DeliveryRules::default() };
    app.set_delivery(rules).unwrap();
    drop(connected(&mock, &app).await);
    app.wait_for_connections("a ghost", |rows| {
        (rows[0].state == ConnectionState::Ghost).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(app.say("user0001", "vanishes").await.unwrap().state, SaidState::Pushed);
    mock.clock().advance(Duration::from_secs(60));
    assert_eq!(app.connections().unwrap()[0].state, ConnectionState::Closed);
    assert_eq!(app.say("user0001", "lost").await.unwrap().state, SaidState::Lost);
    works(&app, &mut connected(&mock, &app).await).await;
}

#[tokio::test]
async fn frames_are_lost_doubled_late_swapped_replaced_and_padded() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    let when = || When::Frame(FrameSelector::messages());
    let say = async |text: &str| drop(app.say("user0001", text).await.unwrap());
    let heard = async |bot: &mut Bot| data(&bot.frame().await)["text"]["content"].clone();
    app.fault(Fault { when: when(), times: Times::Nth(2), action: Action::Lose }).unwrap();
    for text in ["1", "2", "3"] {
        say(text).await;
    }
    assert_eq!([heard(&mut bot).await, heard(&mut bot).await], ["1", "3"]);
    app.fault(Fault::once(when(), Action::Duplicate(2))).unwrap();
    say("three times").await;
    let (one, two, three) = (bot.frame().await, bot.frame().await, bot.frame().await);
    assert_eq!((&one, &one), (&two, &three));
    app.fault(Fault::once(when(), Action::Late(Duration::from_secs(5)))).unwrap();
    say("late").await;
    say("in time").await;
    assert_eq!(heard(&mut bot).await, "in time");
    mock.clock().advance(Duration::from_secs(5));
    assert_eq!(heard(&mut bot).await, "late");
    app.fault(Fault::once(when(), Action::Reorder)).unwrap();
    say("first").await;
    say("second").await;
    assert_eq!([heard(&mut bot).await, heard(&mut bot).await], ["second", "first"]);
    app.fault(Fault::once(when(), Action::Raw("{not json".to_owned()))).unwrap();
    say("x").await;
    assert_eq!(bot.text().await, "{not json");
    app.fault(Fault::once(when(), Action::Oversize(300_000))).unwrap();
    say("big").await;
    let text = bot.text().await;
    assert_eq!(text.len(), 300_000);
    assert_eq!(data(&serde_json::from_str(&text).unwrap())["text"]["content"], "big");
    app.fault(Fault::once(when(), Action::CutAtFrame(mock_dingtalk::Cut::Rst))).unwrap();
    say("x").await;
    assert!(matches!(bot.next().await, Some(Err(_))));
    assert!(app.faults().unwrap().iter().all(|row| row.hits == 1 && row.left == Some(0)));
}

#[tokio::test]
async fn a_disconnect_may_come_without_an_end_of_tcp() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    app.fault(Fault::once(When::Connected, Action::Disconnect { closes: false })).unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    assert_eq!(bot.frame().await["headers"]["topic"], "disconnect");
    mock.clock().advance(Duration::from_mins(5));
    silent_but_alive(&mut bot).await;
}

#[tokio::test]
async fn an_answer_can_be_any_code_or_be_cut_short() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let path = "/v1.0/robot/oToMessages/batchSend";
    let code = Action::Code {
        status: 403,
        code: "a.b".to_owned(),
        message: "c".to_owned(),
        required_scopes: Vec::new(),
    };
    app.fault(Fault::once(When::Path(path.to_owned()), code)).unwrap();
    let (status, answer) = post(&mock, &app, path, &json!({})).await;
    assert_eq!((status, &answer["code"], &answer["message"]), (403, &json!("a.b"), &json!("c")));
    assert!(answer["requestid"].is_string());
    app.fault(Fault::once(When::Open, Action::Truncate)).unwrap();
    let url = format!("{}/v1.0/gateway/connections/open", mock.url());
    let body = http().post(url).json(&open_body(&app)).send().await.unwrap().text().await.unwrap();
    assert!(body.starts_with('{') && serde_json::from_str::<Value>(&body).is_err(), "{body}");
}
