//! Faults below messages: bytes that trickle or vanish, frames that no server may send, bodies that
//! stop, TCP and TLS that end before anybody is known. Seen by clients that trust no library.

use std::{io, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use mock_dingtalk::{
    Action, App, BadFrame, Cut, Direction, ErrorBody, Fault, FrameSelector, Happening,
    MockDingtalk, Preset, Times, When,
};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::{Bot, PATIENCE, connected, data, http, open, open_body, ticket, works};

/// Long enough for anything on loopback to arrive, where the proof is that nothing does.
const QUIET: Duration = Duration::from_millis(200);

async fn patient<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

fn messages() -> When {
    When::Frame(FrameSelector::messages())
}

/// A call of `connections/open`, written by hand on a connection of its own.
async fn ask(mock: &MockDingtalk, app: &App) -> TcpStream {
    let mut stream = patient(TcpStream::connect(mock.address())).await.unwrap();
    let body = open_body(app).to_string();
    let request = format!(
        "POST /v1.0/gateway/connections/open HTTP/1.1\r\nHost: {}\r\n\
         Accept: application/json\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        mock.address(),
        body.len()
    );
    patient(stream.write_all(request.as_bytes())).await.unwrap();
    stream
}

/// What has come so far, once nothing more comes.
async fn so_far(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read) = tokio::time::timeout(QUIET, stream.read(&mut piece)).await {
        match read.unwrap() {
            0 => break,
            bytes => got.extend_from_slice(&piece[..bytes]),
        }
    }
    got
}

/// The head, which ends with an empty line, and its `Content-Length`.
async fn head(stream: &mut TcpStream) -> (String, usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(patient(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length = length.parse().unwrap();
    (head, length)
}

/// A raw WebSocket: the bytes of its frames, without any library's opinion.
async fn raw_socket(mock: &MockDingtalk, app: &App) -> TcpStream {
    let (_, ticket) = ticket(mock, app).await;
    let mut stream = patient(TcpStream::connect(mock.address())).await.unwrap();
    let request = format!(
        "GET /connect?ticket={ticket} HTTP/1.1\r\nHost: {}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        mock.address()
    );
    patient(stream.write_all(request.as_bytes())).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(patient(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // The example of RFC 6455, 1.3.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    app.wait_connections(1).await.unwrap();
    stream
}

/// First byte, whether it is masked, and payload (unmasked) of one frame.
async fn raw_frame(stream: &mut TcpStream) -> (u8, bool, Vec<u8>) {
    patient(async {
        let (first, second) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
        let length = match second & 0x7f {
            126 => u64::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let masked = second & 0x80 != 0;
        let mut mask = [0; 4];
        if masked {
            stream.read_exact(&mut mask).await.unwrap();
        }
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        (first, masked, payload)
    })
    .await
}

#[tokio::test]
async fn an_answer_trickles_and_the_next_one_does_not() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let every = Duration::from_secs(1);
    app.fault(Fault::once(When::Open, Action::Dribble { bytes: 40, every })).unwrap();
    let mut stream = ask(&mock, &app).await;
    let mut got = so_far(&mut stream).await;
    assert_eq!(got.len(), 40, "the first piece needs no time");
    mock.clock().advance(every);
    got.extend(so_far(&mut stream).await);
    assert_eq!(got.len(), 80);
    mock.clock().advance(3 * every);
    got.extend(so_far(&mut stream).await);
    assert_eq!(got.len(), 200, "a jump over three intervals brings three pieces");
    mock.clock().advance(Duration::from_mins(10));
    patient(stream.read_to_end(&mut got)).await.unwrap();
    let answer = String::from_utf8(got).unwrap();
    assert!(answer.contains("connection: close") && answer.ends_with('}'), "{answer}");
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
}

#[tokio::test]
async fn a_websocket_trickles_to_its_end_and_the_next_one_does_not() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let every = Duration::from_millis(10);
    let trickle = Action::Dribble { bytes: 100, every };
    app.fault(Fault::once(When::Connected, trickle)).unwrap();
    let mut slow = raw_socket(&mock, &app).await;
    app.say("user0001", "x").await.unwrap();
    assert_eq!(so_far(&mut slow).await.len(), 100);
    mock.clock().advance(2 * every);
    assert_eq!(so_far(&mut slow).await.len(), 200);
    drop(slow);
    app.wait_for_connections("the end", |rows| rows[0].closed_at.map(|_| ())).await.unwrap();
    works(&app, &mut connected(&mock, &app).await).await;
}

#[tokio::test]
async fn what_goes_to_the_bot_vanishes_and_what_it_says_is_heard() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    app.say("user0001", "x").await.unwrap();
    let frame = bot.frame().await;
    app.cut("all", &Cut::OneWay(Direction::ToBot)).unwrap();
    app.say("user0001", "vanishes").await.unwrap();
    bot.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    let silence = tokio::time::timeout(QUIET, bot.socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    app.cut("all", &Cut::Rst).unwrap();
    assert!(matches!(bot.next().await, Some(Err(_))), "no frame had come");
    works(&app, &mut connected(&mock, &app).await).await;
}

#[tokio::test]
async fn what_the_bot_says_vanishes_and_what_is_pushed_comes() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let from_bot = Action::CutAtOnce(Cut::OneWay(Direction::FromBot));
    app.fault(Fault::once(When::Connected, from_bot)).unwrap();
    let mut bot = connected(&mock, &app).await;
    app.say("user0001", "x").await.unwrap();
    let frame = bot.frame().await;
    bot.ack(&frame).await;
    bot.socket.send(Message::Ping("anybody?".into())).await.unwrap();
    works(&app, &mut bot).await;
    let silence = tokio::time::timeout(QUIET, bot.socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let rows = app.connections().unwrap();
    assert_eq!((rows[0].acks, rows[0].last_ping_at), (0, None));
    let mut next = Bot::connect(&mock, &app).await;
    app.wait_connections(2).await.unwrap();
    app.cut(&rows[0].connection_id, &Cut::Rst).unwrap();
    app.say("user0001", "y").await.unwrap();
    let frame = next.frame().await;
    next.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
}

#[tokio::test]
async fn pings_are_not_answered_and_all_else_works() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = connected(&mock, &app).await;
    bot.socket.send(Message::Ping("before".into())).await.unwrap();
    assert!(matches!(bot.next().await, Some(Ok(Message::Pong(_)))));
    assert_eq!(app.preset(Preset::NoPong).unwrap(), [], "an open connection gets it at once");
    for _ in 0..3 {
        works(&app, &mut bot).await;
        bot.socket.send(Message::Ping("after".into())).await.unwrap();
    }
    // The ack comes after the pings, so they were read; what comes next would be their answer.
    app.say("user0001", "x").await.unwrap();
    let frame = bot.frame().await;
    bot.ack(&frame).await;
    app.wait_acked(1).await.unwrap();
    works(&app, &mut bot).await;
    assert!(app.connections().unwrap()[0].last_ping_at.is_some(), "the mock has seen them");
    app.cut("all", &Cut::Close { code: 1001, reason: String::new() }).unwrap();
    assert!(matches!(bot.next().await, Some(Ok(Message::Close(_)))));
    let mut next = connected(&mock, &app).await;
    next.socket.send(Message::Ping("next".into())).await.unwrap();
    assert!(matches!(next.next().await, Some(Ok(Message::Pong(_)))));
}

#[tokio::test]
async fn a_frame_comes_in_fragments_with_a_ping_between_them() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    app.fault(Fault::first(2, messages(), Action::Fragment(4))).unwrap();
    let mut raw = raw_socket(&mock, &app).await;
    app.say("user0001", "拼起来").await.unwrap();
    let mut whole = Vec::new();
    let mut heads = Vec::new();
    for _ in 0..5 {
        let (first, masked, payload) = raw_frame(&mut raw).await;
        assert!(!masked);
        heads.push(first);
        if first != 0x89 {
            whole.extend(payload);
        }
    }
    assert_eq!(heads, [0x01, 0x89, 0x00, 0x00, 0x80]);
    let frame: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(data(&frame)["text"]["content"], "拼起来");
    drop(raw);
    app.wait_for_connections("the end", |rows| rows[0].closed_at.map(|_| ())).await.unwrap();

    let mut bot = connected(&mock, &app).await;
    app.say("user0001", "again").await.unwrap();
    assert!(matches!(bot.next().await, Some(Ok(Message::Ping(_)))));
    assert_eq!(data(&bot.frame().await)["text"]["content"], "again", "a library puts it together");
    works(&app, &mut bot).await;
    assert_eq!(app.faults().unwrap()[0].left, Some(0));
}

#[tokio::test]
async fn a_forbidden_frame_is_on_the_wire_as_asked_and_the_next_one_is_good() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let cases: [(BadFrame, u8, bool); 8] = [
        (BadFrame::ReservedBits, 0xc1, false),
        (BadFrame::Opcode, 0x83, false),
        (BadFrame::Masked, 0x81, true),
        (BadFrame::Continuation, 0x80, false),
        (BadFrame::Interleaved, 0x01, false),
        (BadFrame::FragmentedPing, 0x09, false),
        (BadFrame::LongPing, 0x89, false),
        (BadFrame::Utf8, 0x81, false),
    ];
    for (how, expected, is_masked) in cases {
        let mut raw = raw_socket(&mock, &app).await;
        app.fault(Fault::once(messages(), Action::BadFrame(how))).unwrap();
        app.say("user0001", "x").await.unwrap();
        let (first, masked, payload) = raw_frame(&mut raw).await;
        assert_eq!((first, masked), (expected, is_masked), "{how:?}");
        match how {
            BadFrame::Interleaved | BadFrame::FragmentedPing => {
                assert_eq!(raw_frame(&mut raw).await.0, 0x81, "{how:?}");
            }
            BadFrame::LongPing => {
                assert_eq!(payload.len(), 126);
                assert_eq!(raw_frame(&mut raw).await.0, 0x81);
            }
            BadFrame::Utf8 => assert!(String::from_utf8(payload).is_err()),
            _ => {
                let frame: Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(data(&frame)["text"]["content"], "x", "{how:?}");
            }
        }
        app.say("user0001", "good").await.unwrap();
        let (first, masked, payload) = raw_frame(&mut raw).await;
        assert_eq!((first, masked), (0x81, false), "{how:?}");
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(data(&frame)["text"]["content"], "good", "{how:?}");
        app.cut("all", &Cut::Rst).unwrap();

        // A library refuses it, and the bot comes back.
        let mut bot = connected(&mock, &app).await;
        app.fault(Fault::once(messages(), Action::BadFrame(how))).unwrap();
        app.say("user0001", "x").await.unwrap();
        let end = bot.next().await;
        assert!(matches!(end, Some(Err(_))), "{how:?}: {end:?}");
        app.cut("all", &Cut::Rst).unwrap();
        let mut next = connected(&mock, &app).await;
        works(&app, &mut next).await;
        app.cut("all", &Cut::Rst).unwrap();
    }
}

#[tokio::test]
async fn a_body_comes_in_pieces_by_the_clock() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    app.fault(Fault::once(When::Open, Action::SlowBody(Duration::from_secs(30)))).unwrap();
    let mut stream = ask(&mock, &app).await;
    let (_, length) = head(&mut stream).await;
    assert_eq!(so_far(&mut stream).await, b"", "the head alone needs no time");
    mock.clock().advance(Duration::from_secs(15));
    let half = so_far(&mut stream).await;
    assert!((length * 4 / 10..=length * 6 / 10).contains(&half.len()), "{}", half.len());
    mock.clock().advance(Duration::from_secs(15));
    let mut rest = vec![0; length - half.len()];
    patient(stream.read_exact(&mut rest)).await.unwrap();
    let body: Value = serde_json::from_slice(&[half, rest].concat()).unwrap();
    assert!(body["ticket"].is_string(), "{body}");
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
}

#[tokio::test]
async fn a_head_without_a_body_and_a_body_without_its_end() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    app.fault(Fault::once(When::Open, Action::HangAfterHead)).unwrap();
    let mut stream = ask(&mock, &app).await;
    let (head_text, length) = head(&mut stream).await;
    assert!(head_text.starts_with("HTTP/1.1 200") && length > 0, "{head_text}");
    assert_eq!(so_far(&mut stream).await, b"");

    app.fault(Fault::once(When::Open, Action::CutBody)).unwrap();
    let mut stream = ask(&mock, &app).await;
    let (_, length) = head(&mut stream).await;
    let mut body = Vec::new();
    patient(stream.read_to_end(&mut body)).await.unwrap();
    assert_eq!(body.len(), length / 2, "TCP ends in order, and too early");
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
}

#[tokio::test]
async fn calls_are_meant_by_pattern_and_method_and_the_control_api_never() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let busy = || Action::Status(503, ErrorBody::Json);
    let when = When::Call { method: "PUT".to_owned(), path: "/v1.0/card/*".to_owned() };
    app.fault(Fault::always(when, busy())).unwrap();
    let credentials = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let answer = http().post(url).json(&credentials).send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    let token = token["accessToken"].as_str().unwrap();
    for (method, path, fails) in [
        ("PUT", "/v1.0/card/streaming", true),
        ("PUT", "/v1.0/card/instances", true),
        ("POST", "/v1.0/card/instances", false),
        ("PUT", "/v1.0/cards", false),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http().request(method, format!("{}{path}", mock.url()));
        let request = request.header("x-acs-dingtalk-access-token", token).json(&json!({}));
        let status = request.send().await.unwrap().status();
        assert_eq!(status == 503, fails, "{path}: {status}");
    }
    app.fault(Fault::always(When::Path("/*".to_owned()), busy())).unwrap();
    let url = format!("{}/_mock/apps/{}/faults", mock.url(), app.client_id());
    assert_eq!(http().get(&url).send().await.unwrap().status(), 200);
    for path in ["/_mock/apps", "/connect", "no/slash"] {
        app.fault(Fault::once(When::Path(path.to_owned()), busy())).unwrap_err();
    }
    assert_eq!(http().delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
}

#[tokio::test]
async fn a_fault_is_in_force_until_something_has_happened() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let until = |when, happening, action| Fault { when, times: Times::Until(happening), action };
    let opens = || Action::Status(503, ErrorBody::Json);
    let left = || app.faults().unwrap().last().unwrap().left;

    let (endpoint, spare) = ticket(&mock, &app).await;
    app.fault(until(When::Open, Happening::Connected, opens())).unwrap();
    for _ in 0..3 {
        assert_eq!(open(mock.url(), &open_body(&app)).await.0, 503);
    }
    assert_eq!(left(), None);
    let mut bot = Bot::redeem(&endpoint, &spare).await.unwrap();
    app.wait_connections(1).await.unwrap();
    assert_eq!(left(), Some(0));
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);

    app.fault(until(When::Upgrade, Happening::Opened, opens())).unwrap();
    assert!(matches!(
        Bot::redeem(&endpoint, "no-ticket").await.err(),
        Some(tungstenite::Error::Http(response)) if response.status() == 401
    ));
    assert_eq!(left(), None, "a ticket of nobody meets no app's fault");
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
    assert_eq!(left(), Some(0));

    app.fault(until(messages(), Happening::Acked, Action::Duplicate(1))).unwrap();
    app.say("user0001", "x").await.unwrap();
    let (one, two) = (bot.frame().await, bot.frame().await);
    assert_eq!(one, two);
    bot.ack(&one).await;
    app.wait_acked(1).await.unwrap();
    works(&app, &mut bot).await;
    assert_eq!(left(), Some(0));

    app.fault(until(messages(), Happening::Sent, Action::Lose)).unwrap();
    app.say("user0001", "lost").await.unwrap();
    let body = json!({"msgtype": "text", "text": {"content": "x"}});
    let webhook = data(&one)["sessionWebhook"].as_str().unwrap().to_owned();
    http().post(webhook).json(&body).send().await.unwrap();
    app.wait_sent(1).await.unwrap();
    works(&app, &mut bot).await;
    assert_eq!(app.faults().unwrap().last().unwrap().hits, 1);
}

/// What a TCP client meets that says nothing.
async fn silent_client(mock: &MockDingtalk) -> io::Result<usize> {
    let mut stream = patient(TcpStream::connect(mock.address())).await.unwrap();
    patient(stream.read(&mut [0; 1])).await
}

#[tokio::test]
async fn tcp_ends_before_the_first_byte_as_often_as_asked() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let accept = |times, how| Fault::first(times, When::Accept, Action::Drop(how));
    mock.tcp_fault(accept(2, Cut::Rst)).unwrap();
    for _ in 0..2 {
        let error = silent_client(&mock).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    mock.tcp_fault(accept(1, Cut::Fin)).unwrap();
    assert_eq!(silent_client(&mock).await.unwrap(), 0);
    // Accepted, and then nothing: neither an answer nor an end.
    for how in [Cut::BlackHole, Cut::OneWay(Direction::ToBot), Cut::OneWay(Direction::FromBot)] {
        mock.tcp_fault(accept(1, how)).unwrap();
        let mut stream = ask(&mock, &app).await;
        let silence = tokio::time::timeout(QUIET, stream.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    mock.clock().pause();
    let trickle = Action::Dribble { bytes: 7, every: Duration::from_secs(1) };
    mock.tcp_fault(Fault::once(When::Accept, trickle)).unwrap();
    let mut stream = ask(&mock, &app).await;
    assert_eq!(so_far(&mut stream).await, b"HTTP/1.");
    mock.clock().resume();
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200);
    assert!(mock.tcp_faults().iter().all(|row| row.left == Some(0)));
    assert_eq!(mock.clear_tcp_faults(), 6);
}

/// A handshake of a client that trusts nobody: what it fails with tells how far it came.
async fn handshake(mock: &MockDingtalk) -> io::Error {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let stream = patient(TcpStream::connect(mock.address())).await.unwrap();
    let name = ServerName::try_from("api.dingtalk.com").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    patient(connector.connect(name, stream)).await.unwrap_err()
}

fn tls_error(error: &io::Error) -> &rustls::Error {
    error.get_ref().and_then(|cause| cause.downcast_ref()).expect("an error of TLS")
}

#[tokio::test]
async fn the_next_tls_handshake_fails_and_the_one_after_it_does_not() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let rows = app.preset(Preset::TlsHandshakeFail).unwrap();
    assert_eq!(rows[0].fault.when, When::TlsHandshake);
    assert_eq!(open(mock.url(), &open_body(&app)).await.0, 200, "only TLS is meant");
    let alert = rustls::AlertDescription::HandshakeFailure;
    assert_eq!(*tls_error(&handshake(&mock).await), rustls::Error::AlertReceived(alert));
    // It came to the certificate, so the handshake itself went well.
    let trusts_nobody =
        |error: &io::Error| matches!(tls_error(error), rustls::Error::InvalidCertificate(_));
    assert!(trusts_nobody(&handshake(&mock).await));
    let cuts =
        [(Cut::Rst, io::ErrorKind::ConnectionReset), (Cut::Fin, io::ErrorKind::UnexpectedEof)];
    for (how, kind) in cuts {
        mock.tcp_fault(Fault::once(When::TlsHandshake, Action::Drop(how))).unwrap();
        assert_eq!(handshake(&mock).await.kind(), kind);
    }
    assert!(trusts_nobody(&handshake(&mock).await));
    assert!(mock.tcp_faults().iter().all(|row| row.left == Some(0)));
}

#[tokio::test]
async fn faults_of_the_mock_are_bounded_and_their_twins_are_routes() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    for times in [
        Times::Always,
        Times::Every(2),
        Times::For(Duration::from_secs(1)),
        Times::Until(Happening::Sent),
        Times::First(10_001),
        Times::First(0),
    ] {
        let action = Action::Drop(Cut::Rst);
        mock.tcp_fault(Fault { when: When::Accept, times, action }).unwrap_err();
    }
    mock.tcp_fault(Fault::once(When::Open, Action::Hang)).unwrap_err();
    app.fault(Fault::once(When::Accept, Action::Drop(Cut::Rst))).unwrap_err();

    let client = http();
    let url = format!("{}/_mock/tcp-faults", mock.url());
    let fault = json!({"when": "tlsHandshake", "times": 3, "action": {"type": "alert"}});
    let response = client.post(&url).json(&fault).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let row: Value = response.json().await.unwrap();
    assert_eq!(row["left"], 3);
    let rows: Value = client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(rows, json!([row]));
    let one = format!("{url}/{}", row["id"]);
    for status in [204, 404] {
        assert_eq!(client.delete(&one).send().await.unwrap().status(), status);
    }
    assert_eq!(client.delete(format!("{url}/x")).send().await.unwrap().status(), 400);
    assert_eq!(client.delete(&url).send().await.unwrap().status(), 204);
    let refused = [
        (json!({"when": "accept", "times": "always", "action": {"type": "drop"}}), "times"),
        (json!({"when": "accept", "action": {"type": "alert"}}), "action.type"),
        (json!({"when": "open", "action": {"type": "hang"}}), "when"),
        (
            json!({"when": "tlsHandshake", "action": {"type": "drop",
                "how": {"type": "blackhole", "direction": "toBot"}}}),
            "action.how.direction",
        ),
        (
            json!({"when": "accept", "action": {"type": "dribble", "bytes": 0, "every": "1s"}}),
            "action.bytes",
        ),
        (
            json!({"when": "accept", "action": {"type": "dribble", "bytes": 1, "every": "0s"}}),
            "action.every",
        ),
    ];
    for (fault, field) in refused {
        let response = client.post(&url).json(&fault).send().await.unwrap();
        assert_eq!(response.status(), 400, "{fault}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"]["field"], field, "{answer}");
    }
}
