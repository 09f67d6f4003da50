//! Plugging in by proxy and by TLS: a client that builds its own requests, and trusts the mock's
//! authority and nobody else.

use std::{io, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use mock_dingtalk::{App, AppOptions, MockDingtalk};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::support::{BOT_TOPIC, PATIENCE, ack, eventually, http, open_body};

/// One answer, as far as it was needed.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn diagnosis(&self) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix("x-mock-diagnosis: "));
        line.unwrap_or_else(|| panic!("no diagnosis in {self:?}"))
    }
}

async fn patient<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// Writes `request` as it stands, with a body that its head counts, and reads the answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &str,
    host: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    patient(stream.write_all(request.as_bytes())).await.unwrap();
    patient(stream.flush()).await.unwrap();
    answer(stream).await
}

async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(patient(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    patient(stream.read_exact(&mut body)).await.unwrap();
    Answer { status, head, body: serde_json::from_slice(&body).unwrap_or_default() }
}

async fn tcp(mock: &MockDingtalk) -> TcpStream {
    patient(TcpStream::connect(mock.address())).await.unwrap()
}

/// Asks for a tunnel and returns it with the answer.
async fn connect(mock: &MockDingtalk, target: &str) -> (Answer, TcpStream) {
    let mut stream = tcp(mock).await;
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    patient(stream.write_all(request.as_bytes())).await.unwrap();
    (answer(&mut stream).await, stream)
}

async fn tunnel(mock: &MockDingtalk, target: &str) -> TcpStream {
    let (answer, stream) = connect(mock, target).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    stream
}

/// TLS as a client does it that trusts the mock's authority only.
async fn tls<S: AsyncRead + AsyncWrite + Unpin>(
    mock: &MockDingtalk,
    stream: S,
    name: &'static str,
) -> io::Result<TlsStream<S>> {
    let pem = http().get(format!("{}/_mock/ca.pem", mock.url())).send().await.unwrap();
    assert_eq!(pem.headers()["content-type"], "application/x-pem-file");
    let pem = pem.text().await.unwrap();
    assert_eq!(pem, mock.ca_pem());
    assert!(!pem.contains("PRIVATE"), "only the certificate is given away");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    handshake(roots, stream, name).await
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    roots: RootCertStore,
    stream: S,
    name: &'static str,
) -> io::Result<TlsStream<S>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
    patient(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

async fn open<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, app: &App, host: &str) -> Value {
    let body = open_body(app).to_string();
    let answer = ask(stream, "POST /v1.0/gateway/connections/open", host, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The same endpoint for everybody who comes by one of DingTalk's names.
fn plain_endpoint(mock: &MockDingtalk) -> Value {
    json!(format!("ws://{}/connect", mock.address()))
}

/// A gateway connection over a stream that is TLS already.
async fn socket<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    ticket: &Value,
) -> WebSocketStream<S> {
    let url = format!(
        "ws://wss-open-connection.dingtalk.com/connect?ticket={}",
        ticket.as_str().unwrap()
    );
    patient(tokio_tungstenite::client_async(url, stream)).await.unwrap().0
}

#[tokio::test]
async fn a_tunnel_to_dingtalk_ends_in_the_mock_with_tls_and_without() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    for target in ["api.dingtalk.com:443", "api.dingtalk.io:443"] {
        let stream = tunnel(&mock, target).await;
        let name = target.split(':').next().unwrap();
        let mut stream = tls(&mock, stream, name).await.unwrap();
        let opened = open(&mut stream, &app, name).await;
        assert_eq!(opened["endpoint"], plain_endpoint(&mock), "{target}");
        // The connection is kept: a second call goes through the same tunnel.
        open(&mut stream, &app, name).await;
    }
    let stream = tunnel(&mock, "oapi.dingtalk.com:443").await;
    let mut stream = tls(&mock, stream, "oapi.dingtalk.com").await.unwrap();
    let answer = ask(&mut stream, "GET /gettoken", "oapi.dingtalk.com", "").await;
    assert_eq!(answer.body["errcode"], 40035, "{answer:?}");
    let mut stream = tunnel(&mock, "api.dingtalk.com:80").await;
    assert_eq!(
        open(&mut stream, &app, "api.dingtalk.com").await["endpoint"],
        plain_endpoint(&mock)
    );
    // A library that obeys proxy variables even for the mock's own address finds it too.
    let own = mock.address().to_string();
    let mut stream = tunnel(&mock, &own).await;
    open(&mut stream, &app, &own).await;
}

#[tokio::test]
async fn tunnels_to_others_are_refused_and_the_journal_says_why() {
    let mock = MockDingtalk::start().await.unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = elsewhere.local_addr().unwrap().to_string();
    for target in ["example.com:443", "dingtalk.com.example.com:443", &other] {
        let (answer, _) = connect(&mock, target).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.diagnosis().contains(&format!("CONNECT {target}")), "{answer:?}");
        assert!(answer.diagnosis().contains("--passthrough"), "{answer:?}");
    }
    let mut inner = tunnel(&mock, "api.dingtalk.com:443").await;
    let request = "CONNECT api.dingtalk.com:443";
    assert_eq!(ask(&mut inner, request, "api.dingtalk.com", "").await.status, 403);
    let mut stream = tcp(&mock).await;
    assert_eq!(ask(&mut stream, "CONNECT api.dingtalk.com", "x", "").await.status, 400);

    let url = format!("{}/_mock/journal", mock.url());
    let journal: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    let refused: Vec<(&str, u64)> = journal
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["diagnosis"]["problem"].is_string())
        .map(|entry| (entry["text"].as_str().unwrap(), entry["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(refused.len(), 5, "{journal}");
    assert_eq!(refused[0], ("CONNECT example.com:443", 403));
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, elsewhere.accept()).await;
    assert!(nobody.is_err(), "a refused tunnel reached its target");
}

#[tokio::test]
async fn absolute_targets_are_served_for_dingtalk_and_refused_for_others() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let body = open_body(&app).to_string();
    let mut stream = tcp(&mock).await;
    for scheme in ["https", "http"] {
        let request = format!("POST {scheme}://api.dingtalk.com/v1.0/gateway/connections/open");
        // The host of the target counts, whatever the header says (RFC 9112 3.2.2).
        for host in ["api.dingtalk.com", "elsewhere.example"] {
            let answer = ask(&mut stream, &request, host, &body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.body["endpoint"], plain_endpoint(&mock));
        }
    }
    let refused = ask(&mut stream, "GET http://example.com/", "example.com", "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.diagnosis().contains("http://example.com/"), "{refused:?}");
}

#[tokio::test]
async fn passthrough_really_goes_to_other_hosts() {
    let far = MockDingtalk::start().await.unwrap();
    let near = MockDingtalk::builder().passthrough(true).start().await.unwrap();
    let target = far.address().to_string();
    let far_app = far.app();
    let mut stream = tunnel(&near, &target).await;
    let opened = open(&mut stream, &far_app, &target).await;
    assert_eq!(opened["endpoint"], plain_endpoint(&far));
    let mut stream = tcp(&near).await;
    let request = format!("POST http://{target}/v1.0/gateway/connections/open");
    let body = open_body(&far_app).to_string();
    let forwarded = ask(&mut stream, &request, "x", &body).await;
    assert_eq!(forwarded.body["endpoint"], plain_endpoint(&far), "{forwarded:?}");
    // DingTalk's names stay here all the same.
    let near_app = near.app();
    let mut stream = tunnel(&near, "api.dingtalk.com:80").await;
    open(&mut stream, &near_app, "api.dingtalk.com").await;
    // Whoever cannot be reached is an answer, not a hang.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let (answer, _) = connect(&near, &gone).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.diagnosis().contains("cannot be reached"), "{answer:?}");

    let open_to_all = MockDingtalk::builder().listen(([0, 0, 0, 0], 0).into()).passthrough(true);
    let error = open_to_all.start().await.unwrap_err().to_string();
    assert!(error.contains("open to everybody"), "{error}");
}

#[tokio::test]
async fn transparent_tls_serves_dingtalks_names_and_no_other() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut stream = tls(&mock, tcp(&mock).await, "api.dingtalk.com").await.unwrap();
    let opened = open(&mut stream, &app, "api.dingtalk.com").await;
    assert_eq!(opened["endpoint"], plain_endpoint(&mock));
    for name in ["example.com", "notdingtalk.com"] {
        let error = tls(&mock, tcp(&mock).await, name).await.unwrap_err().to_string();
        assert!(error.contains("received fatal alert"), "{name}: {error}");
    }
    // Whoever names nobody gets a certificate that is for no address but loopback's.
    let error = tls(&mock, tcp(&mock).await, "127.0.0.2").await.unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");
    let url = format!("{}/_mock/journal", mock.url());
    eventually("both refusals in the journal", async || {
        let journal = http().get(&url).send().await.unwrap().text().await.unwrap();
        let told = |name: &str| journal.contains(&format!("TLS for \\\"{name}\\\""));
        if told("example.com") && told("notdingtalk.com") { Ok(()) } else { Err(journal) }
    })
    .await;
}

#[tokio::test]
async fn urls_made_for_clients_by_dingtalks_names_point_where_they_can_go() {
    let public = "http://mock.example:8700";
    let cases = [
        (None, false, "ws://LOCAL/connect"),
        (None, true, "wss://LOCAL/connect"),
        (Some(public), false, "ws://mock.example:8700/connect"),
        (Some(public), true, "wss://mock.example:8700/connect"),
        (Some("https://mock.dingtalk.com"), true, "wss://mock.dingtalk.com:443/connect"),
    ];
    for (public, with_tls, endpoint) in cases {
        let mut builder = MockDingtalk::builder();
        if let Some(public) = public {
            builder = builder.public_url(public);
        }
        let mock = builder.start().await.unwrap();
        let app = mock.app_with(AppOptions::default().tls(with_tls)).unwrap();
        let endpoint = endpoint.replace("LOCAL", &mock.address().to_string());
        let stream = tunnel(&mock, "api.dingtalk.com:443").await;
        let mut through_proxy = tls(&mock, stream, "api.dingtalk.com").await.unwrap();
        let mut transparent = tls(&mock, tcp(&mock).await, "api.dingtalk.com").await.unwrap();
        for stream in [&mut through_proxy, &mut transparent] {
            for host in ["api.dingtalk.com", "api.dingtalk.com:443"] {
                assert_eq!(open(stream, &app, host).await["endpoint"], endpoint);
            }
        }
    }
}

#[tokio::test]
async fn a_bot_echoes_over_wss_and_its_webhook_is_https_under_the_profile_tls() {
    let mock = MockDingtalk::start().await.unwrap();
    let minted: Value = http()
        .post(format!("{}/_mock/apps", mock.url()))
        .json(&json!({"profile": "tls", "clientId": "dingmockjava", "clientSecret": "secret"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(minted["tls"], true, "{minted}");
    let body = json!({
        "clientId": "dingmockjava",
        "clientSecret": "secret",
        "subscriptions": [{"type": "CALLBACK", "topic": BOT_TOPIC}],
    });
    let mut stream = tls(&mock, tcp(&mock).await, "api.dingtalk.com").await.unwrap();
    let request = "POST /v1.0/gateway/connections/open";
    let opened = ask(&mut stream, request, "api.dingtalk.com", &body.to_string()).await.body;
    assert_eq!(opened["endpoint"], json!(format!("wss://{}/connect", mock.address())));

    let stream = tls(&mock, tcp(&mock).await, "wss-open-connection.dingtalk.com").await.unwrap();
    let mut bot = socket(Box::new(stream), &opened["ticket"]).await;
    let speak = http().post(format!("{}/_mock/apps/dingmockjava/messages", mock.url()));
    let speak = speak.json(&json!({"from": "user0001", "text": "hello"})).send();
    assert_eq!(speak.await.unwrap().status(), 202);
    let frame: Value = loop {
        let Message::Text(text) = patient(bot.next()).await.unwrap().unwrap() else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["type"] == "CALLBACK" {
            break frame;
        }
    };
    let data: Value = serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
    let webhook = data["sessionWebhook"].as_str().unwrap();
    let start = format!("https://{}/robot/sendBySession", mock.address());
    assert!(webhook.starts_with(&start), "{webhook}");
    bot.send(Message::text(ack(&frame, r#"{"response":null}"#))).await.unwrap();

    let mut stream = tls(&mock, tcp(&mock).await, "oapi.dingtalk.com").await.unwrap();
    let path = webhook.split_once(&mock.address().to_string()).unwrap().1;
    let text = json!({"msgtype": "text", "text": {"content": "hello"}}).to_string();
    let sent = ask(&mut stream, &format!("POST {path}"), "oapi.dingtalk.com", &text).await;
    assert_eq!(sent.body["errcode"], 0, "{sent:?}");
    let url = format!("{}/_mock/apps/dingmockjava/deliveries?count=1&wait_ms=10000", mock.url());
    let rows: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(rows[0]["state"], "ACKED", "{rows}");
}

#[tokio::test]
async fn cuts_reach_through_tls_and_tunnels_down_to_tcp() {
    let mock = MockDingtalk::start().await.unwrap();
    for through_proxy in [false, true] {
        for (cut, expected) in [("rst", "reset"), ("fin", "close_notify"), ("blackhole", "")] {
            let app = mock.app();
            let stream = if through_proxy {
                tunnel(&mock, "wss-open-connection.dingtalk.com:443").await
            } else {
                tcp(&mock).await
            };
            let mut client = tls(&mock, tcp(&mock).await, "api.dingtalk.com").await.unwrap();
            let opened = open(&mut client, &app, "api.dingtalk.com").await;
            let stream = tls(&mock, stream, "wss-open-connection.dingtalk.com").await.unwrap();
            let mut bot = socket(Box::new(stream), &opened["ticket"]).await;
            app.wait_connections(1).await.unwrap();
            let url = format!("{}/_mock/apps/{}/connections/all/cut", mock.url(), app.client_id());
            let done = http().post(url).json(&json!({"type": cut})).send().await.unwrap();
            assert!(done.status().is_success());
            if cut == "blackhole" {
                // While another connection gets answers, this one gets none, not even to a ping.
                bot.send(Message::Ping("x".into())).await.unwrap();
                let mut silence = Box::pin(bot.next());
                let other = open(&mut client, &app, "api.dingtalk.com");
                tokio::select! {
                    came = &mut silence => panic!("{came:?} came out of a black hole"),
                    _ = other => {}
                }
                continue;
            }
            let error = loop {
                match patient(bot.next()).await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error.to_string(),
                    None => panic!("{cut}: ended as if nothing were wrong"),
                }
            };
            assert!(error.to_lowercase().contains(expected), "{cut}: {error}");
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_mock_is_told_of_in_the_journal() {
    let mock = MockDingtalk::start().await.unwrap();
    let stream = tunnel(&mock, "api.dingtalk.com:443").await;
    let error = handshake(RootCertStore::empty(), stream, "api.dingtalk.com").await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let url = format!("{}/_mock/journal", mock.url());
    eventually("the hint in the journal", async || {
        let journal = http().get(&url).send().await.unwrap().text().await.unwrap();
        if journal.contains("that trusts GET /_mock/ca.pem") { Ok(()) } else { Err(journal) }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_checks_names_accepts_the_mocks_own_address() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().tls(true)).unwrap();
    let host = mock.address().to_string();
    for name in ["127.0.0.1", "localhost"] {
        let mut stream = tls(&mock, tcp(&mock).await, name).await.unwrap();
        let opened = open(&mut stream, &app, &host).await;
        assert_eq!(opened["endpoint"], format!("wss://{host}/connect"), "{name}");
    }
    let stream = tls(&mock, tcp(&mock).await, "127.0.0.1").await.unwrap();
    let mut first = tls(&mock, tcp(&mock).await, "127.0.0.1").await.unwrap();
    let opened = open(&mut first, &app, &host).await;
    let mut socket = Box::pin(socket(stream, &opened["ticket"])).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "hi").await.unwrap();
    let frame = patient(socket.next()).await.unwrap().unwrap();
    let text = frame.into_text().unwrap();
    assert!(text.contains(&format!("https://{host}/robot/sendBySession")), "{text}");
}
