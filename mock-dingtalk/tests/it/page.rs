//! The chat page, in a browser.

use std::path::{Path, PathBuf};

use futures_util::{SinkExt as _, StreamExt as _};
use mock_dingtalk::{App, Content, ConversationKind, MockDingtalk, MsgType, Sample, Speech};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::support::{Bot, eventually, http};

/// A browser that shows one page, driven by its debugging protocol.
struct Browser {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    calls: u64,
    _child: Child,
    _profile: tempfile::TempDir,
}

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The program, if one is installed; with `REQUIRE_EXTERNAL=1` there has to be one.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = BROWSERS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| Path::is_file(path));
    if found.is_none() {
        let required = std::env::var_os("REQUIRE_EXTERNAL").is_some_and(|value| value == "1");
        assert!(!required, "none of {BROWSERS:?} is installed");
    }
    found
}

impl Browser {
    async fn open(program: &Path, url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--remote-debugging-port=0", "--window-size=900,1000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the browser says where it listens");
            if let Some((_, address)) = line.split_once("DevTools listening on ws://") {
                break address.split('/').next().unwrap().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let list = format!("http://{address}/json/list");
        let page = eventually("a page of the browser", async || {
            let pages: Value = http().get(&list).send().await.unwrap().json().await.unwrap();
            let page = pages.as_array().unwrap().iter().find(|page| page["type"] == "page");
            page.and_then(|page| page["webSocketDebuggerUrl"].as_str().map(str::to_owned)).ok_or(())
        })
        .await;
        let (socket, _) = tokio_tungstenite::connect_async(page).await.unwrap();
        let mut browser = Self { socket, calls: 0, _child: child, _profile: profile };
        browser.call("Page.navigate", json!({ "url": url })).await;
        browser
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": method, "params": params });
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let Some(Ok(message)) = self.socket.next().await else { panic!("the browser is gone") };
            let Ok(text) = message.to_text() else { continue };
            let answer: Value = serde_json::from_str(text).unwrap_or_default();
            if answer["id"] == self.calls {
                return answer["result"].clone();
            }
        }
    }

    /// What an expression is on the page.
    async fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        self.call("Runtime.evaluate", params).await["result"]["value"].clone()
    }

    /// Each bubble: who, its words or `<img>`, and the mark below.
    async fn rows(&mut self) -> Vec<String> {
        let expression = "[...document.querySelectorAll('.row')].map(row => [\
            row.querySelector('.who').textContent, \
            [...row.querySelector('.bubble').children].map(part => part.querySelector('img') \
                ? '<img ' + part.querySelector('img').naturalWidth + '>' : part.textContent).join('|'), \
            row.querySelector('.mark')?.textContent ?? ''].join(' / '))";
        let rows = self.value(expression).await;
        rows.as_array().into_iter().flatten().map(|row| row.as_str().unwrap().to_owned()).collect()
    }

    async fn until(&mut self, what: &str, fits: impl Fn(&[String]) -> bool) {
        eventually(what, async || {
            let rows = self.rows().await;
            if fits(&rows) { Ok(()) } else { Err(rows) }
        })
        .await;
    }

    /// Keeps a picture of the page where `PAGE_SCREENSHOT` says.
    async fn photograph(&mut self) {
        use base64::Engine as _;

        let Some(path) = std::env::var_os("PAGE_SCREENSHOT") else { return };
        let shot = self.call("Page.captureScreenshot", json!({})).await;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap());
        std::fs::write(path, bytes.unwrap()).unwrap();
    }
}

/// Calls in the name of the robot.
struct Robot<'a> {
    mock: &'a MockDingtalk,
    app: &'a App,
    token: String,
}

impl Robot<'_> {
    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http().request(method, format!("{}{path}", self.mock.url())).json(&body);
        let request = request.header("x-acs-dingtalk-access-token", &self.token);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn stream(&self, content: &str, last: bool) {
        let body = json!({
            "outTrackId": "card-1", "guid": content, "key": "msgContent", "content": content,
            "isFull": true, "isFinalize": last, "isError": false,
        });
        self.call("PUT", "/v1.0/card/streaming", body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_follows_cards_recalls_pictures_and_new_groups() {
    let Some(program) = program() else {
        println!("skipped: none of {BROWSERS:?} is installed");
        return;
    };
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let _bot = Bot::connect(&mock, &app).await;
    let secrets = json!({ "appKey": app.client_id(), "appSecret": app.client_secret() });
    let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
    let told: Value = http().post(url).json(&secrets).send().await.unwrap().json().await.unwrap();
    let token = told["accessToken"].as_str().unwrap().to_owned();
    let robot = Robot { mock: &mock, app: &app, token };
    let url = format!("{}/?app={}", mock.url(), app.client_id());
    let mut page = Browser::open(&program, &url).await;
    eventually("the page listens", async || {
        let state = page.value("document.getElementById('connected').textContent").await;
        if state == "1 connected" { Ok(()) } else { Err(state) }
    })
    .await;

    // A group that the page has not heard of, and a picture.
    let mut speech = Speech::new("user0001", Content::text("hello all"));
    speech.conversation = Some(group("Launch"));
    app.speak(&speech).await.unwrap();
    page.until("the title of a new group", |rows| {
        rows.iter().any(|row| row.contains(" · Launch / hello all / "))
    })
    .await;
    let mut content = Content::of(MsgType::Picture);
    content.media = vec![Sample::Png.media()];
    app.speak(&Speech::new("user0002", content)).await.unwrap();
    page.until("a picture", |rows| rows.iter().any(|row| row.contains(" / <img "))).await;
    let mut content = Content::of(MsgType::File);
    content.media = vec![Sample::Pdf.media()];
    app.speak(&Speech::new("user0002", content)).await.unwrap();
    page.until("a file", |rows| rows.iter().any(|row| row.contains(" / [file] "))).await;

    // A card is written on, and words are taken back.
    let card = json!({
        "cardTemplateId": "382e4302-551d-4880-bf29-a30acfab2e71.schema", "outTrackId": "card-1",
        "cardData": { "cardParamMap": { "flowStatus": "1", "msgContent": "" } },
        "callbackType": "STREAM", "openSpaceId": "dtv1.card//IM_ROBOT.user0001",
        "imRobotOpenSpaceModel": { "supportForward": true },
        "imRobotOpenDeliverModel": { "spaceType": "IM_ROBOT", "robotCode": app.robot_code() },
    });
    robot.call("POST", "/v1.0/card/instances/createAndDeliver", card).await;
    robot.stream("The answer", false).await;
    page.until("a card that is being written", |rows| {
        rows.iter().any(|row| row.ends_with(" / The answer / being written …"))
    })
    .await;
    robot.stream("The answer is 42.", true).await;
    page.until("the whole card", |rows| {
        rows.iter().any(|row| row.ends_with(" / The answer is 42. / "))
    })
    .await;
    let message = json!({
        "robotCode": robot.app.robot_code(), "userIds": ["user0001"], "msgKey": "sampleText",
        "msgParam": json!({ "content": "forget this" }).to_string(),
    });
    let told = robot.call("POST", "/v1.0/robot/oToMessages/batchSend", message).await;
    page.until("words", |rows| rows.iter().any(|row| row.ends_with(" / forget this / "))).await;
    let keys = json!({
        "robotCode": robot.app.robot_code(), "processQueryKeys": [told["processQueryKey"]],
    });
    robot.call("POST", "/v1.0/robot/otoMessages/batchRecall", keys).await;
    page.until("that they were taken back", |rows| {
        rows.iter().any(|row| row.ends_with(" / forget this / recalled"))
    })
    .await;
    assert_eq!(page.rows().await.len(), 5);
    page.photograph().await;
}

fn group(title: &str) -> mock_dingtalk::SayConversation {
    mock_dingtalk::SayConversation {
        kind: ConversationKind::Group,
        id: None,
        title: Some(title.to_owned()),
    }
}
