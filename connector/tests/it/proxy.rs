//! DingTalk's own names, reached through a proxy: the mock is the proxy, and signs for the names.

use std::process::Command;

use mock_dingtalk::{App, AppOptions, MockDingtalk, Sample};
use tempfile::TempDir;

use crate::support::{Running, World, program};

const GATEWAY: &str = "wss-open-connection.dingtalk.com";

struct Behind {
    mock: MockDingtalk,
    app: App,
    dir: TempDir,
}

impl Behind {
    async fn new() -> Self {
        let builder = MockDingtalk::builder().public_url(format!("https://{GATEWAY}"));
        let mock = builder.start().await.unwrap();
        let app = mock.app_with(AppOptions::default().tls(true)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), mock.ca_pem()).unwrap();
        Self { mock, app, dir }
    }

    /// The program without any endpoint: it calls DingTalk by its names.
    fn command(&self) -> Command {
        let mut command = program();
        command
            .args(["gateway", "--dm-policy", "open"])
            .env("DINGTALK_CLIENT_ID", self.app.client_id())
            .env("DINGTALK_CLIENT_SECRET", self.app.client_secret())
            .env("OPENCLAW_STATE_DIR", self.dir.path())
            .env("SSL_CERT_FILE", self.dir.path().join("ca.pem"));
        command
    }

    fn start(&self, command: Command) -> Running {
        Running::start(command, self.dir.path())
    }

    /// The mock as a proxy, with a password that it does not look at and that must not be logged.
    fn proxy(&self) -> String {
        format!("http://proxyuser:proxypassword@{}", self.mock.address())
    }
}

#[tokio::test]
async fn everything_goes_through_the_proxy_by_dingtalks_names() {
    let behind = Behind::new().await;
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let sent_before = behind.app.sent().unwrap().len();
        let mut command = behind.command();
        command.env(variable, behind.proxy()).env("NO_PROXY", "127.0.0.1,localhost");
        let mut running = behind.start(command);
        running.wait_log("connected to the gateway", 1).await;
        behind.app.say("user0001", "through").await.unwrap();
        let sent = behind.app.wait_sent(sent_before + 1).await.unwrap();
        let answer = sent.last().unwrap();
        assert_eq!((answer.text.as_str(), answer.via), ("through", "sessionWebhook"));
        // Token, download, upload and send.
        let picture = Sample::Png.media();
        behind.app.say_picture("user0001", picture.clone()).await.unwrap();
        let sent = behind.app.wait_sent(sent_before + 2).await.unwrap();
        let media = sent.last().unwrap().media.as_ref().expect("a picture");
        let kept = behind.app.inbound_media(media["mediaId"].as_str().unwrap()).unwrap().unwrap();
        assert_eq!(kept.bytes, picture.bytes);
        running.terminate();
        assert!(running.ended().await.success());
        let log = running.log();
        assert!(!log.contains("proxypassword") && !log.contains(behind.app.client_secret()));
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let behind = Behind::new().await;
    let stranger = MockDingtalk::start().await.unwrap();
    std::fs::write(behind.dir.path().join("ca.pem"), stranger.ca_pem()).unwrap();
    let mut command = behind.command();
    command.env("HTTPS_PROXY", behind.proxy());
    let running = behind.start(command);
    let lines = running.wait_log("no connection", 1).await;
    assert!(lines[0].to_lowercase().contains("certificate"), "{}", lines[0]);
    assert!(behind.app.connections().unwrap().is_empty());
}

/// The HTTP calls are plain here and take no proxy; the WebSocket does.
#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let world = World::with(AppOptions::default().tls(true)).await;
    let refusing = MockDingtalk::start().await.unwrap();
    let mut command = world.command(&[]);
    let proxy = format!("http://proxyuser:proxypassword@{}", refusing.address());
    command.env("HTTPS_PROXY", proxy).env("RUST_LOG", "trace");
    let running = world.start_command(command);
    let lines = running.wait_log("no connection", 1).await;
    let expected = format!(
        "the proxy {} does not lead to {}: it answered CONNECT with HTTP 403",
        refusing.address(),
        world.mock.address(),
    );
    assert!(lines[0].contains(&expected), "{}", lines[0]);
    let log = running.log();
    // The same in Base64, as it goes to the proxy.
    for secret in ["proxypassword", "cHJveHl1c2VyOnByb3h5cGFzc3dvcmQ"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// A proxy that answers every CONNECT with these bytes, and then says nothing more.
async fn proxy_that_answers(answer: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1_024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            open.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_or_hangs_is_named() {
    for (answer, part) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user name and password (407)"),
        ("", "did not finish the handshake within 1 s"),
        ("HTTP/1.1 200 OK\r\n", "did not finish the handshake within 1 s"),
    ] {
        let world = World::with(AppOptions::default().tls(true)).await;
        let address = proxy_that_answers(answer).await;
        let mut command = world.command(&["--handshake-timeout", "1s"]);
        command.env("HTTPS_PROXY", format!("http://proxyuser:proxypassword@{address}"));
        let running = world.start_command(command);
        let lines = running.wait_log("no connection", 1).await;
        assert!(lines[0].contains(part), "{}", lines[0]);
        assert!(lines[0].contains(&format!("the proxy {address}")), "{}", lines[0]);
        assert!(!running.log().contains("proxypassword"));
    }
}

/// A proxy that is itself spoken to by TLS.
#[tokio::test]
async fn a_proxy_behind_tls_leads_there_too() {
    let behind = Behind::new().await;
    let mut command = behind.command();
    command.env("HTTPS_PROXY", behind.proxy().replace("http://", "https://"));
    let running = behind.start(command);
    running.wait_log("connected to the gateway", 1).await;
    behind.app.say("user0001", "through").await.unwrap();
    assert_eq!(behind.app.wait_sent(1).await.unwrap()[0].text, "through");
}
