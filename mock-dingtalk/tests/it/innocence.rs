//! What a fault did is not blamed on the bot.

use std::time::Duration;

use mock_dingtalk::{Action, App, Cut, Fault, FrameSelector, MockDingtalk, Severity, When};
use serde_json::{Value, json};

use crate::support::{Bot, data, eventually, http};

fn of_type(kind: &str) -> When {
    When::Frame(FrameSelector { kind: Some(kind.to_owned()), ..FrameSelector::default() })
}

async fn started() -> (MockDingtalk, App, Bot) {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    (mock, app, bot)
}

fn innocent(mock: &MockDingtalk, app: &App) {
    mock.clock().advance(Duration::from_secs(120));
    app.expect_no_findings(Severity::Remark).unwrap();
}

/// Waits until so many messages came that answer nothing.
async fn strays(app: &App, count: u64) {
    app.wait_for_connections("the strays", |rows| (rows[0].strays == count).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_fault_did_is_not_blamed_on_the_bot() {
    let (mock, app, mut bot) = started().await;
    app.say("user0001", "on its way when the line breaks").await.unwrap();
    bot.frame().await;
    app.cut("all", &Cut::Rst).unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.fault(Fault::once(of_type("CALLBACK"), Action::Duplicate(1))).unwrap();
    app.say("user0001", "twice").await.unwrap();
    for _ in 0..2 {
        let frame = bot.frame().await;
        bot.ack(&frame).await;
    }
    let rows = eventually("both answers", async || {
        let rows = app.deliveries().unwrap();
        if rows[1].acks == 2 { Ok(rows) } else { Err(rows) }
    })
    .await;
    assert_eq!(rows[0].acks, 0);
    innocent(&mock, &app);
}

#[tokio::test]
async fn messages_that_share_an_id_share_their_answers() {
    let (mock, app, mut bot) = started().await;
    let fixed = Action::MessageId("fixed".to_owned());
    app.fault(Fault::always(of_type("CALLBACK"), fixed)).unwrap();
    app.say("user0001", "one").await.unwrap();
    app.say("user0001", "two").await.unwrap();
    for _ in 0..2 {
        let frame = bot.frame().await;
        assert_eq!(frame["headers"]["messageId"], "fixed");
        bot.ack(&frame).await;
    }
    eventually("both answers", async || {
        let rows = app.deliveries().unwrap();
        if rows[1].acks == 2 { Ok(()) } else { Err(rows) }
    })
    .await;
    innocent(&mock, &app);
}

#[tokio::test]
async fn system_frames_that_come_twice_may_be_answered_twice() {
    let (mock, app, mut bot) = started().await;
    app.fault(Fault::first(2, of_type("SYSTEM"), Action::Duplicate(1))).unwrap();
    mock.clock().advance(Duration::from_secs(30));
    app.push_fixture("stream/system_ping").unwrap();
    for _ in 0..4 {
        let frame = bot.frame().await;
        assert_eq!(frame["type"], "SYSTEM");
        bot.ack(&frame).await;
    }
    strays(&app, 2).await;
    app.clear_faults().unwrap();
    app.expect_no_findings(Severity::Remark).unwrap();
}

#[tokio::test]
async fn a_fixed_id_is_that_of_system_frames_too() {
    let (mock, app, mut bot) = started().await;
    let fixed = Action::MessageId("fixed".to_owned());
    app.fault(Fault::first(2, of_type("SYSTEM"), fixed)).unwrap();
    mock.clock().advance(Duration::from_secs(30));
    app.push_fixture("stream/system_ping").unwrap();
    for _ in 0..2 {
        let frame = bot.frame().await;
        assert_eq!(frame["headers"]["messageId"], "fixed", "{frame}");
        bot.ack(&frame).await;
    }
    app.wait_for_connections("the pong", |rows| rows[0].last_pong_at.map(|_| ())).await.unwrap();
    app.expect_no_findings(Severity::Remark).unwrap();
}

#[tokio::test]
async fn answers_that_a_fault_does_not_count_are_not_missing() {
    let (mock, app, mut bot) = started().await;
    app.fault(Fault::always(When::Ack, Action::RequireShape)).unwrap();
    let short = |frame: &Value| {
        json!({"code": 200, "headers": {"messageId": frame["headers"]["messageId"]}}).to_string()
    };
    app.say("user0001", "hi").await.unwrap();
    let frame = bot.frame().await;
    bot.send(short(&frame)).await;
    for turn in 0..5 {
        mock.clock().advance(Duration::from_secs(30));
        let ping = bot.frame().await;
        bot.send(short(&ping)).await;
        strays(&app, turn + 2).await;
    }
    app.expect_no_findings(Severity::Remark).unwrap();
}

#[tokio::test]
async fn a_call_whose_answer_a_fault_broke_may_be_made_again() {
    let (mock, app, mut bot) = started().await;
    let client = http();
    let token = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let keys = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    app.say("user0001", "hi").await.unwrap();
    let frame = bot.frame().await;
    bot.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    let webhook = data(&frame)["sessionWebhook"].as_str().unwrap().to_owned();
    let reply = json!({"msgtype": "text", "text": {"content": "yes"}});
    let at = |path: &str| When::Path(path.to_owned());
    for (url, path, body) in
        [(&token, "/v1.0/oauth2/accessToken", &keys), (&webhook, "/robot/sendBySession", &reply)]
    {
        for broken in [Action::Truncate, Action::CutBody] {
            app.fault(Fault::first(3, at(path), broken)).unwrap();
            for _ in 0..3 {
                let answer = client.post(url).json(body).send().await.unwrap();
                let whole = answer.json::<Value>().await;
                assert!(whole.is_err(), "{whole:?}");
            }
        }
        let answer = client.post(url).json(body).send().await.unwrap();
        assert!(answer.json::<Value>().await.is_ok());
    }
    app.expect_no_findings(Severity::Remark).unwrap();
}
