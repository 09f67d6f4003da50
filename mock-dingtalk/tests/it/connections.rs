//! Tickets, routing, the announced end and the sudden one.

use std::{collections::BTreeSet, io, time::Duration};

use futures_util::SinkExt;
use mock_dingtalk::{ConnectionState, Cut, MockDingtalk, SaidState};
use serde_json::json;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::{Bot, data, eventually, http, open, open_body, ticket};

/// The status that an upgrade was refused with.
fn refusal(result: Result<Bot, tungstenite::Error>) -> u16 {
    match result {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("not a refusal: {other}"),
        Ok(_) => panic!("the upgrade went through"),
    }
}

#[tokio::test]
async fn a_ticket_opens_one_connection_and_no_second_one() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let (endpoint, ticket) = ticket(&mock, &app).await;
    assert_eq!(endpoint, mock.ws_url());
    assert!(ticket.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{ticket}");
    let _bot = Bot::redeem(&endpoint, &ticket).await.unwrap();
    assert_eq!(refusal(Bot::redeem(&endpoint, &ticket).await), 401);
    assert_eq!(refusal(Bot::redeem(&endpoint, "no-such-ticket").await), 401);
    assert_eq!(refusal(Bot::redeem(&endpoint, "").await), 401);
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_after_ninety_seconds() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let (endpoint, old) = ticket(&mock, &app).await;
    mock.clock().advance(Duration::from_secs(89));
    let (_, young) = ticket(&mock, &app).await;
    let _bot = Bot::redeem(&endpoint, &young).await.unwrap();
    mock.clock().advance(Duration::from_secs(1));
    assert_eq!(refusal(Bot::redeem(&endpoint, &old).await), 401);
}

#[tokio::test]
async fn a_plain_request_does_not_use_the_ticket_up() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let (endpoint, ticket) = ticket(&mock, &app).await;
    let url = format!("{}/connect?ticket={ticket}", mock.url());
    let status = http().get(url).send().await.unwrap().status().as_u16();
    assert!((400..500).contains(&status), "{status}");
    Bot::redeem(&endpoint, &ticket).await.unwrap();
}

#[tokio::test]
async fn pushes_spread_over_all_connections_by_the_seed() {
    let order = async |seed| {
        let mock = MockDingtalk::builder().seed(seed).start().await.unwrap();
        let app = mock.app();
        let mut bots = Vec::new();
        for count in 1..=3 {
            bots.push(Bot::connect(&mock, &app).await);
            app.wait_connections(count).await.unwrap();
        }
        let ids: Vec<String> =
            app.connections().unwrap().into_iter().map(|row| row.connection_id).collect();
        for n in 0..60 {
            app.say("user0001", &n.to_string()).await.unwrap();
        }
        let rows = app.deliveries().unwrap();
        let place = |id: &str| ids.iter().position(|known| known == id).unwrap();
        rows.iter().map(|row| place(&row.attempts[0].connection_id)).collect::<Vec<_>>()
    };
    let (first, again) = (order(7).await, order(7).await);
    assert_eq!(first, again, "one seed, one order");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{first:?}");
}

#[tokio::test]
async fn nothing_is_pushed_to_a_connection_that_did_not_subscribe() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut body = open_body(&app);
    body["subscriptions"] = json!([{"type": "CALLBACK", "topic": "/v1.0/card/instances/callback"}]);
    let (_, opened) = open(mock.url(), &body).await;
    let endpoint = opened["endpoint"].as_str().unwrap();
    let _bot = Bot::redeem(endpoint, opened["ticket"].as_str().unwrap()).await.unwrap();
    app.wait_connections(1).await.unwrap();
    assert_eq!(app.say("user0001", "hi").await.unwrap().state, SaidState::Lost);
}

#[tokio::test]
async fn a_disconnect_drains_for_ten_seconds_and_then_resets() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut old = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "before").await.unwrap();
    let before = old.frame().await;

    let id = app.connections().unwrap()[0].connection_id.clone();
    assert_eq!(app.disconnect(&id, "connection is expired").unwrap(), 1);
    let notice = old.frame().await;
    assert_eq!(notice["type"], "SYSTEM");
    assert_eq!(notice["headers"]["topic"], "disconnect");
    assert_eq!(data(&notice), json!({"reason": "connection is expired"}));

    assert_eq!(app.say("user0001", "nobody hears").await.unwrap().state, SaidState::Lost);
    let mut new = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    for _ in 0..20 {
        app.say("user0001", "after").await.unwrap();
        assert_eq!(data(&new.frame().await)["text"]["content"], "after");
    }
    old.ack(&before).await;
    let rows = app.wait_acked(1).await.unwrap();
    assert_eq!(rows[0].ack.as_ref().unwrap().connection_id, id);
    assert!(!rows[0].ack.as_ref().unwrap().on_other_connection);

    mock.clock().advance(Duration::from_millis(9_999));
    assert_eq!(app.connections().unwrap()[0].state, ConnectionState::Draining);
    mock.clock().advance(Duration::from_millis(1));
    // The end is a reset without a Close frame.
    match old.next().await {
        Some(Err(tungstenite::Error::Io(error))) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        Some(Err(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ))) => {}
        other => panic!("expected a reset, got {other:?}"),
    }
    let rows = app.connections().unwrap();
    assert_eq!(rows[0].state, ConnectionState::Closed);
    assert_eq!(rows[1].state, ConnectionState::Open);
}

#[tokio::test]
async fn a_disconnect_can_come_without_message_id() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.disconnect_with("all", "x", false).unwrap();
    assert_eq!(bot.frame().await["headers"].get("messageId"), None);
}

#[tokio::test]
async fn a_system_ping_comes_every_thirty_seconds_and_its_answer_is_seen() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let mut opaques = BTreeSet::new();
    for _ in 0..3 {
        mock.clock().advance(Duration::from_secs(30));
        let ping = bot.frame().await;
        assert_eq!(ping["headers"]["topic"], "ping");
        opaques.insert(data(&ping)["opaque"].as_str().unwrap().to_owned());
        bot.send(crate::support::ack(&ping, ping["data"].as_str().unwrap())).await;
    }
    assert_eq!(opaques.len(), 3);
    app.wait_for_connections("an answer to a ping", |rows| rows[0].last_pong_at).await.unwrap();
    assert_eq!(app.connections().unwrap()[0].strays, 0);
    // Hours at once are one ping, not hundreds.
    mock.clock().advance(Duration::from_hours(2));
    assert_eq!(bot.frame().await["headers"]["topic"], "ping");
    app.say("user0001", "hi").await.unwrap();
    assert_eq!(bot.frame().await["type"], "CALLBACK");
}

#[tokio::test]
async fn a_websocket_ping_is_answered_with_its_own_payload() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    for payload in ["", "four", "0d6f3f7e-5b2c-4b62-9a2e-2f6f0d3b8c11"] {
        bot.socket.send(Message::Ping(payload.as_bytes().to_vec().into())).await.unwrap();
        match bot.next().await {
            Some(Ok(Message::Pong(pong))) => assert_eq!(&pong[..], payload.as_bytes()),
            other => panic!("expected a pong, got {other:?}"),
        }
    }
    app.wait_for_connections("the ping", |rows| rows[0].last_ping_at).await.unwrap();
}

#[tokio::test]
async fn each_cut_looks_different_to_the_bot() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let cut = async |how: Cut| {
        let mut bot = Bot::connect(&mock, &app).await;
        let rows = app.wait_connections(1).await.unwrap();
        app.cut(&rows[0].connection_id, &how).unwrap();
        let end = bot.next().await;
        app.wait_for_connections("the end", |rows| {
            rows.iter().all(|row| row.state == ConnectionState::Closed).then_some(())
        })
        .await
        .unwrap();
        end
    };
    let close = Cut::Close { code: 1001, reason: "rotation".to_owned() };
    match cut(close).await {
        Some(Ok(Message::Close(Some(frame)))) => {
            assert_eq!(u16::from(frame.code), 1001);
            assert_eq!(frame.reason.as_str(), "rotation");
        }
        other => panic!("expected a Close frame, got {other:?}"),
    }
    for how in [Cut::Rst, Cut::Fin] {
        let end = cut(how.clone()).await;
        assert!(matches!(end, Some(Err(_))), "{how:?}: {end:?}");
    }
}

#[tokio::test]
async fn a_black_hole_swallows_frames_and_pings_until_the_bot_gives_up() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.cut("all", &Cut::BlackHole).unwrap();
    // The mock does not notice, as a gateway does not.
    assert_eq!(app.say("user0001", "hi").await.unwrap().state, SaidState::Pushed);
    bot.socket.send(Message::Ping("x".into())).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(300), bot.socket.next_message()).await;
    assert!(silence.is_err(), "something came through: {silence:?}");
    drop(bot);
    app.wait_for_connections("the end", |rows| {
        (rows[0].state == ConnectionState::Closed).then_some(())
    })
    .await
    .unwrap();
}

/// So that the name of the wait above says what it waits for.
trait NextMessage {
    async fn next_message(&mut self) -> Option<Result<Message, tungstenite::Error>>;
}

impl NextMessage
    for tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>
{
    async fn next_message(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        futures_util::StreamExt::next(self).await
    }
}

#[tokio::test]
async fn when_a_bot_closes_nothing_more_is_pushed_to_it() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    bot.socket.close(None).await.unwrap();
    eventually("the end of the connection", async || {
        let rows = app.connections().unwrap();
        if rows[0].state == ConnectionState::Closed { Ok(()) } else { Err(rows) }
    })
    .await;
    assert_eq!(app.say("user0001", "hi").await.unwrap().state, SaidState::Lost);
}

#[tokio::test]
async fn urls_follow_the_host_of_the_open_call() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let port = mock.address().port();
    let body = open_body(&app);
    for host in ["mapped.example:8443", "localhost:1", "[::1]:9"] {
        let response = http()
            .post(format!("{}/v1.0/gateway/connections/open", mock.url()))
            .header("host", host)
            .json(&body)
            .send()
            .await
            .unwrap();
        let opened: serde_json::Value = response.json().await.unwrap();
        assert_eq!(opened["endpoint"], format!("ws://{host}/connect"));
        // The name does not resolve here; the socket goes to where the mock is.
        let here = format!("ws://127.0.0.1:{port}/connect");
        let mut bot = Bot::redeem(&here, opened["ticket"].as_str().unwrap()).await.unwrap();
        app.wait_connections(1).await.unwrap();
        app.say("user0001", "hi").await.unwrap();
        let webhook = data(&bot.frame().await)["sessionWebhook"].as_str().unwrap().to_owned();
        assert!(webhook.starts_with(&format!("http://{host}/robot/")), "{webhook}");
        app.cut("all", &Cut::Rst).unwrap();
    }
    let response = http()
        .post(format!("{}/v1.0/gateway/connections/open", mock.url()))
        .header("host", "api.dingtalk.com")
        .json(&body)
        .send()
        .await
        .unwrap();
    let opened: serde_json::Value = response.json().await.unwrap();
    assert_eq!(opened["endpoint"], mock.ws_url(), "DingTalk's own name is never handed out");
}

#[tokio::test]
async fn dropping_the_mock_frees_the_port_and_ends_the_bots() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let address = mock.address();
    drop(mock);
    std::net::TcpListener::bind(address).expect("the port is free at once");
    assert!(!matches!(bot.next().await, Some(Ok(_))));
    let again = MockDingtalk::builder().listen(address).start().await.unwrap();
    assert_eq!(again.address(), address);
}
