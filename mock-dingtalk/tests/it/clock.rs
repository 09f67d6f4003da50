//! Each app has a clock of its own, which the mock's clock drives until it is turned by itself.

use std::time::Duration;

use mock_dingtalk::{
    Action, App, AppOptions, DeliveryRules, EntryKind, Fault, MockDingtalk, Profile, Times, When,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::support::{Bot, PATIENCE, data, eventually, http, open, open_body, ticket};

/// An app with a token and a session.
struct Tenant {
    app: App,
    token: String,
    webhook: String,
}

impl Tenant {
    async fn new(mock: &MockDingtalk) -> Self {
        let app = mock.app();
        let mut bot = Bot::connect(mock, &app).await;
        app.wait_connections(1).await.unwrap();
        app.say("user0001", "hi").await.unwrap();
        let message = data(&bot.frame().await);
        let webhook = message["sessionWebhook"].as_str().unwrap().to_owned();
        let token = token(mock, &app).await["accessToken"].as_str().unwrap().to_owned();
        Self { app, token, webhook }
    }

    /// What both hosts say of the token, and what the session says.
    async fn lives(&self, mock: &MockDingtalk) -> [String; 3] {
        let me = http().get(format!("{}/v1.0/contact/users/me", mock.url()));
        let me = me.header("x-acs-dingtalk-access-token", &self.token);
        let url = format!("{}/user/get?access_token={}", mock.url(), self.token);
        let old = http().get(format!("{url}&userid=user0001"));
        let reply = json!({"msgtype": "text", "text": {"content": "x"}});
        let reply = http().post(&self.webhook).json(&reply);
        let mut said = Vec::new();
        for (call, member) in [(me, "code"), (old, "errcode"), (reply, "errcode")] {
            let answer: Value = call.send().await.unwrap().json().await.unwrap();
            said.push(answer[member].to_string());
        }
        said.try_into().unwrap()
    }
}

/// What the tokened calls of a living app say: an app's token may not ask who it is.
const ALIVE: [&str; 3] = ["\"Forbidden.AccessDenied.AccessTokenPermissionDenied\"", "0", "0"];
const OVER: [&str; 3] = ["\"InvalidAuthentication\"", "42001", "300001"];

async fn token(mock: &MockDingtalk, app: &App) -> Value {
    let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let call = http().post(format!("{}/v1.0/oauth2/accessToken", mock.url())).json(&body);
    call.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_date_of_an_answer_is_told_by_the_clock() {
    let mock = MockDingtalk::start().await.unwrap();
    let date = async || {
        let answer = http().get(mock.url()).send().await.unwrap();
        answer.headers()["date"].to_str().unwrap().to_owned()
    };
    mock.clock().pause();
    mock.clock().jump(946_684_800_000 - mock.clock().unix_ms());
    assert_eq!(date().await, "Sat, 01 Jan 2000 00:00:00 GMT");
    mock.clock().jump(8 * 3_600 * 1_000);
    assert_eq!(date().await, "Sat, 01 Jan 2000 08:00:00 GMT");
}

async fn turn(mock: &MockDingtalk, app: &App, body: Value) -> (u16, Value) {
    let url = format!("{}/_mock/apps/{}/clock", mock.url(), app.client_id());
    let response = http().post(url).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// How often the app was pinged so far.
fn pings(app: &App) -> usize {
    let journal = app.journal().unwrap();
    journal.iter().filter(|e| e.kind == EntryKind::FrameOut && e.text == "SYSTEM ping").count()
}

#[tokio::test]
async fn two_hours_and_a_second_end_token_ticket_and_session_of_one_app_only() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let (one, other) = (Tenant::new(&mock).await, Tenant::new(&mock).await);
    let tickets = [ticket(&mock, &one.app).await, ticket(&mock, &other.app).await];
    let before = mock.clock().unix_ms();
    assert_eq!(one.lives(&mock).await, ALIVE);

    let (status, shown) = turn(&mock, &one.app, json!({"advance": "2h1s"})).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["unixMs"], before + 7_201_000);
    let since_start = mock.clock().since_start() + Duration::from_secs(7_201);
    assert_eq!(shown["sinceStartMs"], u64::try_from(since_start.as_millis()).unwrap());
    assert_eq!((&shown["paused"], &shown["scale"]), (&json!(false), &json!(1)));

    assert_eq!(one.lives(&mock).await, OVER);
    assert_eq!(other.lives(&mock).await, ALIVE);
    let [old, good] = &tickets;
    match Bot::redeem(&old.0, &old.1).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("expected a refusal, got {:?}", other.err()),
    }
    Bot::redeem(&good.0, &good.1).await.unwrap();
    assert_eq!(mock.clock().unix_ms(), before, "the mock's own clock was not turned");
    assert_eq!(other.app.clock().unix_ms(), before);

    mock.clock().advance(Duration::from_secs(7_201));
    assert_eq!(other.lives(&mock).await, OVER, "turns of the mock's clock reach every app");
    assert_eq!(one.app.clock().unix_ms(), before + 2 * 7_201_000);
}

#[tokio::test]
async fn a_paused_app_is_neither_pinged_nor_pushed_to_again_while_another_is() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let rules = DeliveryRules { profile: Profile::Observed16s, ..DeliveryRules::default() };
    let options = AppOptions::default().delivery(rules);
    let [one, other] = [(); 2].map(|()| mock.app_with(options.clone()).unwrap());
    let mut bots = Vec::new();
    for app in [&one, &other] {
        bots.push(Bot::connect(&mock, app).await);
        app.wait_connections(1).await.unwrap();
        app.say("user0001", "not acked").await.unwrap();
    }
    let attempts = |app: &App| app.deliveries().unwrap()[0].attempts.len();

    one.clock().pause();
    assert!(one.clock().is_paused() && !other.clock().is_paused());
    mock.clock().advance(Duration::from_secs(30));
    assert_eq!((attempts(&one), pings(&one)), (1, 0));
    assert_eq!((attempts(&other), pings(&other)), (2, 1));

    one.clock().resume();
    mock.clock().advance(Duration::from_millis(15_999));
    assert_eq!(attempts(&one), 1, "what a paused app missed stays missed");
    mock.clock().advance(Duration::from_millis(1));
    assert_eq!(attempts(&one), 2);
    one.clock().pause();
    one.clock().advance(Duration::from_secs(14));
    assert_eq!((pings(&one), pings(&other)), (1, 1), "a paused app is moved by its own turns");
}

#[tokio::test]
async fn a_scaled_app_lives_faster_than_the_mock() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let (fast, other) = (mock.app(), mock.app());
    let (_, shown) = turn(&mock, &fast, json!({"scale": 2.5})).await;
    assert_eq!(shown["scale"], 2.5);
    assert!((fast.clock().scale() - 2.5).abs() < f64::EPSILON);
    let bots = [Bot::connect(&mock, &fast).await, Bot::connect(&mock, &other).await];
    fast.wait_connections(1).await.unwrap();
    other.wait_connections(1).await.unwrap();
    let before = fast.clock().unix_ms();
    mock.clock().advance(Duration::from_millis(11_999));
    assert_eq!(pings(&fast), 0);
    mock.clock().advance(Duration::from_millis(1));
    assert_eq!((pings(&fast), pings(&other)), (1, 0));
    assert_eq!(fast.clock().unix_ms() - before, 30_000);
    drop(bots);
}

#[tokio::test]
async fn a_scaled_clock_makes_timers_come_in_real_time() {
    let mock = MockDingtalk::start().await.unwrap();
    let (app, other) = (mock.app(), mock.app());
    let mut bot = Bot::connect(&mock, &app).await;
    app.clock().set_scale(1_000.0).unwrap();
    // 30 s of this app are 30 ms; the test's patience is shorter than the 30 s of another.
    assert_eq!(bot.frame().await["headers"]["topic"], "ping");
    app.clock().set_scale(0.01).unwrap();
    let mut bot = Bot::connect(&mock, &other).await;
    mock.clock().set_scale(1_000.0).unwrap();
    assert_eq!(bot.frame().await["headers"]["topic"], "ping");
}

#[tokio::test]
async fn a_late_answer_waits_for_the_clock_of_its_app() {
    let mock = MockDingtalk::start().await.unwrap();
    let (app, other) = (mock.app(), mock.app());
    app.clock().pause();
    let late = || Action::Delay(Duration::from_hours(1));
    let pending = Duration::from_millis(200);

    app.fault(Fault::once(When::Open, late())).unwrap();
    let body = open_body(&app);
    let call = open(mock.url(), &body);
    tokio::pin!(call);
    assert!(tokio::time::timeout(pending, &mut call).await.is_err());
    other.clock().advance(Duration::from_hours(2));
    mock.clock().advance(Duration::from_hours(2));
    assert!(tokio::time::timeout(pending, &mut call).await.is_err());
    app.clock().advance(Duration::from_mins(59));
    assert!(tokio::time::timeout(pending, &mut call).await.is_err());
    app.clock().advance(Duration::from_mins(1));
    assert_eq!(call.await.0, 200);

    app.fault(Fault::once(When::Upgrade, late())).unwrap();
    let upgrade = Bot::connect(&mock, &app);
    tokio::pin!(upgrade);
    assert!(tokio::time::timeout(pending, &mut upgrade).await.is_err());
    // Faster by half a million, so that the hour runs out by itself.
    app.clock().resume();
    app.clock().set_scale(1_000.0).unwrap();
    mock.clock().set_scale(500.0).unwrap();
    tokio::time::timeout(PATIENCE, upgrade).await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_an_app_that_is_gone() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    app.fault(Fault::once(When::Open, Action::Delay(Duration::from_hours(1)))).unwrap();
    let (url, body) = (mock.url().to_owned(), open_body(&app));
    let call = tokio::spawn(async move { open(&url, &body).await.0 });
    eventually("the call", async || {
        let faults = app.faults().unwrap();
        (faults[0].hits == 1).then_some(()).ok_or(faults)
    })
    .await;
    let url = format!("{}/_mock/apps/{}", mock.url(), app.client_id());
    assert_eq!(http().delete(url).send().await.unwrap().status(), 204);
    assert_eq!(call.await.unwrap(), 200);
    app.clock().advance(Duration::from_hours(1));
    assert_eq!(app.clock().unix_ms(), mock.clock().unix_ms());
    assert_eq!(turn(&mock, &app, json!({"pause": true})).await.0, 404);
}

#[tokio::test]
async fn faults_and_limits_of_an_app_are_measured_on_its_clock() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let (one, other) = (mock.app(), mock.app());
    for app in [&one, &other] {
        let action = Action::Code {
            status: 500,
            code: "x".to_owned(),
            message: String::new(),
            required_scopes: Vec::new(),
        };
        let times = Times::For(Duration::from_secs(10));
        app.fault(Fault { when: When::Open, times, action }).unwrap();
    }
    one.clock().advance(Duration::from_secs(10));
    assert_eq!(open(mock.url(), &open_body(&one)).await.0, 200);
    assert_eq!(open(mock.url(), &open_body(&other)).await.0, 500);

    let caller = Tenant::new(&mock).await;
    let me = async || caller.lives(&mock).await[0].clone();
    for _ in 0..20 {
        assert_eq!(me().await, ALIVE[0]);
    }
    assert!(me().await.contains("QpsLimit"));
    other.clock().advance(Duration::from_secs(1));
    assert!(me().await.contains("QpsLimit"));
    caller.app.clock().advance(Duration::from_secs(1));
    assert_eq!(me().await, ALIVE[0]);
}

#[tokio::test]
async fn all_times_that_an_app_shows_are_those_of_its_clock() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let (app, other) = (mock.app(), mock.app());
    app.clock().jump(-3_600_000);
    app.clock().advance(Duration::from_secs(7));
    let (here, there) = (app.clock().unix_ms(), mock.clock().unix_ms());
    assert_eq!(here, there - 3_600_000 + 7_000);
    for (app, now) in [(&app, here), (&other, there)] {
        let seen = app.journal().unwrap().last().map_or(0, |entry| entry.seq);
        let mut bot = Bot::connect(&mock, app).await;
        app.wait_connections(1).await.unwrap();
        app.say("user0001", "hi").await.unwrap();
        let frame = bot.frame().await;
        bot.ack(&frame).await;
        let acked = app.wait_acked(1).await.unwrap();
        assert_eq!(frame["headers"]["time"], now.to_string());
        let message = data(&frame);
        assert_eq!(message["createAt"], now);
        assert_eq!(message["sessionWebhookExpiredTime"], now + 5_400_000);
        assert_eq!(app.connections().unwrap()[0].opened_at, now);
        assert_eq!((acked[0].attempts[0].at, acked[0].ack.as_ref().unwrap().at), (now, now));
        let entries = app.journal().unwrap();
        let new: Vec<_> = entries.iter().filter(|entry| entry.seq > seen).collect();
        assert!(new.len() >= 4, "{new:?}");
        assert!(new.iter().all(|entry| entry.at == now), "{new:?}");
    }
}

#[tokio::test]
async fn a_jump_of_the_mocks_wall_clock_reaches_the_apps_that_follow() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let (app, paused) = (mock.app(), mock.app());
    paused.clock().pause();
    let before = mock.clock().unix_ms();
    mock.clock().jump(60_000);
    assert_eq!(app.clock().unix_ms(), before + 60_000);
    assert_eq!(paused.clock().unix_ms(), before);
}

#[tokio::test]
async fn clocks_stop_at_their_ends_and_refuse_senseless_scales() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let _bot = Bot::connect(&mock, &app).await;
    for clock in [app.clock(), mock.clock()] {
        for factor in [0.0, -1.0, 0.001, 1_001.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            clock.set_scale(factor).expect_err(&format!("{factor}"));
        }
        for by_ms in [i64::MIN, i64::MAX, i64::MAX, i64::MIN, i64::MIN] {
            clock.jump(by_ms);
        }
        assert!(clock.unix_ms() < 60_000, "1970 is the beginning");
        for _ in 0..2 {
            clock.advance(Duration::MAX);
        }
        assert_eq!(clock.since_start(), Duration::from_secs(31_557_600_000));
        clock.set_scale(1_000.0).unwrap();
        clock.jump(i64::MAX);
        clock.pause();
        clock.resume();
        assert_eq!(clock.unix_ms(), 253_402_300_799_999, "9999 is the end");
        // Nobody is stuck, nothing is poisoned.
        assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
        app.say("user0001", "hi").await.unwrap();
    }
    assert_eq!(turn(&mock, &app, json!({"advance": "3652d"})).await.0, 200);
    assert_eq!(turn(&mock, &app, json!({"jump": "-3652d"})).await.0, 200);
}
