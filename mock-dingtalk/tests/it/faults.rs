//! What is broken on purpose breaks the way it was asked for, and as often.

use std::time::Duration;

use mock_dingtalk::{Action, Cut, ErrorBody, Fault, MockDingtalk, Times, When};
use serde_json::Value;
use tokio_tungstenite::tungstenite;

use crate::support::{Bot, http, open_body, ticket};

async fn open_raw(
    mock: &MockDingtalk,
    body: &Value,
) -> Result<(u16, String, String), reqwest::Error> {
    let url = format!("{}/v1.0/gateway/connections/open", mock.url());
    let response = http().post(url).json(body).send().await?;
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    Ok((response.status().as_u16(), kind, response.text().await?))
}

#[tokio::test]
async fn opens_are_refused_as_often_as_asked_and_then_work() {
    let mock = MockDingtalk::start().await.unwrap();
    let (app, other) = (mock.app(), mock.app());
    let faults = [
        (401, ErrorBody::Json, "application/json;charset=utf-8", "authFailed"),
        (400, ErrorBody::Html, "text/html", "plain HTTP request was sent to HTTPS port"),
        (503, ErrorBody::Html, "text/html", "503 Service Temporarily Unavailable"),
        (503, ErrorBody::Json, "application/json;charset=utf-8", "unknownError"),
        (503, ErrorBody::Empty, "text/html", ""),
    ];
    for (status, body, kind, content) in faults {
        app.fault(Fault::first(2, When::Open, Action::Status(status, body))).unwrap();
        for _ in 0..2 {
            let got = open_raw(&mock, &open_body(&app)).await.unwrap();
            assert_eq!((got.0, got.1.as_str()), (status, kind));
            assert!(got.2.contains(content), "{}", got.2);
        }
        assert_eq!(open_raw(&mock, &open_body(&other)).await.unwrap().0, 200, "another app");
        assert_eq!(open_raw(&mock, &open_body(&app)).await.unwrap().0, 200);
    }
    app.fault(Fault::once(When::Open, Action::EmptyObject)).unwrap();
    let got = open_raw(&mock, &open_body(&app)).await.unwrap();
    assert_eq!((got.0, got.2.as_str()), (200, "{}"));
    let rows = app.faults().unwrap();
    assert!(rows.iter().all(|row| row.left == Some(0)), "{rows:?}");
    assert_eq!(rows[0].hits, 2);
    assert_eq!(app.clear_faults().unwrap(), rows.len());
}

#[tokio::test]
async fn a_dropped_call_ends_without_an_answer() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    for how in [Cut::Rst, Cut::Fin] {
        app.fault(Fault::once(When::Open, Action::Drop(how))).unwrap();
        let error = open_raw(&mock, &open_body(&app)).await.unwrap_err();
        assert!(!error.is_timeout(), "{error:?}");
    }
    assert_eq!(open_raw(&mock, &open_body(&app)).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_hanging_call_never_answers_and_a_late_one_follows_the_clock() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    app.fault(Fault::once(When::Open, Action::Hang)).unwrap();
    let body = open_body(&app);
    let hanging = open_raw(&mock, &body);
    assert!(tokio::time::timeout(Duration::from_millis(300), hanging).await.is_err());

    let late = Action::Delay(Duration::from_hours(1));
    app.fault(Fault::once(When::Path("/v1.0/gateway/connections/open".to_owned()), late)).unwrap();
    let call = open_raw(&mock, &body);
    tokio::pin!(call);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut call).await.is_err());
    mock.clock().advance(Duration::from_hours(1));
    assert_eq!(call.await.unwrap().0, 200);
}

#[tokio::test]
async fn an_upgrade_is_refused_without_using_the_ticket_up() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let (endpoint, ticket) = ticket(&mock, &app).await;
    for status in [401, 403, 503] {
        app.fault(Fault::once(When::Upgrade, Action::Status(status, ErrorBody::Empty))).unwrap();
        match Bot::redeem(&endpoint, &ticket).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), status),
            other => panic!("expected a refusal, got {:?}", other.err()),
        }
    }
    Bot::redeem(&endpoint, &ticket).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_can_succeed_and_end_at_once() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let close = Cut::Close { code: 1011, reason: "no".to_owned() };
    for how in [Cut::Rst, Cut::Fin, close] {
        app.fault(Fault::once(When::Upgrade, Action::AcceptThenCut(how.clone()))).unwrap();
        let mut bot = Bot::connect(&mock, &app).await;
        let end = bot.next().await;
        match how {
            Cut::Close { .. } => assert!(matches!(end, Some(Ok(tungstenite::Message::Close(_))))),
            _ => assert!(matches!(end, Some(Err(_))), "{how:?}: {end:?}"),
        }
    }
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    assert_eq!(bot.frame().await["type"], "CALLBACK");
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let senseless = [
        Fault::once(When::Open, Action::AcceptThenCut(Cut::Rst)),
        Fault::once(When::Open, Action::Status(99, ErrorBody::Json)),
        Fault::once(When::Open, Action::Status(600, ErrorBody::Json)),
        Fault::once(When::Open, Action::Drop(Cut::Close { code: 1000, reason: String::new() })),
        Fault {
            when: When::Upgrade,
            times: Times::Always,
            action: Action::AcceptThenCut(Cut::Close { code: 1006, reason: String::new() }),
        },
    ];
    for fault in senseless {
        app.fault(fault.clone()).expect_err(&format!("{fault:?}"));
    }
}
