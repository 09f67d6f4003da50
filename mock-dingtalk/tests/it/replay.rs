//! A recorded session is served again, to a bot that behaves as it did and to bots that do not.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use mock_dingtalk::{Action, App, Cut, Fault, MockDingtalk, Recording, Replay, When};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    process::{program, run},
    support::{BOT_TOPIC, Bot, PATIENCE, ack, data, eventually, http, ticket},
};

/// What a bot does with a message.
#[derive(Clone, Copy)]
struct Habits {
    acks: bool,
    answer: &'static str,
    fetches_token: bool,
}

const GOOD: Habits = Habits { acks: true, answer: "echo: ", fetches_token: false };

/// An echo bot on raw requests, until its connection ends. Returns the texts that it got.
async fn echo(url: String, id: String, secret: String, habits: Habits) -> Vec<String> {
    let client = http();
    if habits.fetches_token {
        let body = json!({"appKey": id, "appSecret": secret});
        let call = client.post(format!("{url}/v1.0/oauth2/accessToken")).json(&body);
        call.send().await.unwrap();
    }
    let open = json!({"clientId": id, "clientSecret": secret, "ua": "echo/1",
        "subscriptions": [{"type": "CALLBACK", "topic": BOT_TOPIC}]});
    let call = client.post(format!("{url}/v1.0/gateway/connections/open")).json(&open);
    let opened: Value = call.send().await.unwrap().json().await.unwrap();
    let at = format!(
        "{}?ticket={}",
        opened["endpoint"].as_str().unwrap(),
        opened["ticket"].as_str().unwrap()
    );
    assert!(at.starts_with(&url.replacen("http", "ws", 1)), "{at} is not below {url}");
    let (mut socket, _) = tokio_tungstenite::connect_async(at).await.unwrap();
    let mut heard = Vec::new();
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        heard.push(text.to_string());
        if habits.acks {
            let answer = Message::text(ack(&frame, r#"{"response":null}"#));
            if socket.send(answer).await.is_err() {
                break;
            }
        }
        if frame["type"] == "CALLBACK" {
            let message = data(&frame);
            let said = message["text"]["content"].as_str().unwrap();
            let body =
                json!({"msgtype": "text", "text": {"content": format!("{}{said}", habits.answer)}});
            let webhook = message["sessionWebhook"].as_str().unwrap();
            client.post(webhook).json(&body).send().await.unwrap();
        }
    }
    heard
}

/// A session of two messages that ends with a reset; the texts that the bot got, and the export.
async fn recorded(redacted: bool) -> (Vec<String>, String) {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let bot = start(mock.url(), &app, GOOD);
    app.wait_connections(1).await.unwrap();
    for n in 1..=2_usize {
        app.say("user0001", &format!("text {n}")).await.unwrap();
        app.wait_sent(n).await.unwrap();
        app.wait_acked(n).await.unwrap();
    }
    app.cut("all", &Cut::Rst).unwrap();
    (bot.await.unwrap(), app.export_journal(redacted).unwrap())
}

fn start(url: &str, app: &App, habits: Habits) -> tokio::task::JoinHandle<Vec<String>> {
    let (id, secret) = (app.client_id().to_owned(), app.client_secret().to_owned());
    tokio::spawn(echo(url.to_owned(), id, secret, habits))
}

/// The texts without what a replay may change: where URLs lead, and marks for secrets.
fn content(texts: &[String]) -> Vec<Value> {
    let content = |text: &String| {
        let frame: Value = serde_json::from_str(text).unwrap();
        let mut inner = data(&frame);
        inner.as_object_mut().unwrap().remove("sessionWebhook").unwrap();
        json!([frame["headers"], inner])
    };
    texts.iter().map(content).collect()
}

async fn replayed(export: &str, habits: Habits) -> mock_dingtalk::Outcome {
    let kept: Vec<&str> = export.lines().filter(|line| !line.contains("\"cut: rst\"")).collect();
    let recording = Recording::parse(&kept.join("\n"), None).unwrap();
    let replay = Replay::start(recording, "127.0.0.1:0".parse().unwrap(), 0.0).await.unwrap();
    let url = replay.url();
    let bot = tokio::spawn(echo(url, "another".to_owned(), "wrong".to_owned(), habits));
    let outcome = replay.finished(Duration::from_secs(1)).await;
    drop(replay);
    // The end of the replay is the end of its connections.
    tokio::time::timeout(PATIENCE, bot).await.unwrap().unwrap();
    outcome
}

#[tokio::test]
async fn the_same_bot_gets_the_same_frames_and_is_found_the_same() {
    for redacted in [true, false] {
        let (heard, export) = recorded(redacted).await;
        // A reset may overtake what was written just before it: the replay is ended by hand.
        let kept: Vec<&str> =
            export.lines().filter(|line| !line.contains("\"cut: rst\"")).collect();
        let recording = Recording::parse(&kept.join("\n"), None).unwrap();
        let replay = Replay::start(recording, "127.0.0.1:0".parse().unwrap(), 0.0).await.unwrap();
        let bot = tokio::spawn(echo(replay.url(), "another".to_owned(), "wrong".to_owned(), GOOD));
        let outcome = replay.finished(PATIENCE).await;
        assert!(outcome.same, "{outcome:?}");
        // One open, one upgrade, two answers to frames, two replies.
        assert_eq!(outcome.matched, 6, "{outcome:?}");
        assert!(outcome.incomplete.is_empty());
        drop(replay);
        bot.abort();
        drop(heard);
    }
}

#[tokio::test]
async fn frames_come_as_they_were_recorded_and_the_end_comes_too() {
    let (heard, export) = recorded(true).await;
    // At the recorded pace, so that the reset comes after the last answer.
    let recording = Recording::parse(&export, None).unwrap();
    let replay = Replay::start(recording, "127.0.0.1:0".parse().unwrap(), 0.2).await.unwrap();
    let bot = tokio::spawn(echo(replay.url(), "another".to_owned(), "wrong".to_owned(), GOOD));
    let again = tokio::time::timeout(PATIENCE, bot).await.unwrap().unwrap();
    assert_eq!(content(&again), content(&heard));
    assert!(again[0].contains(&replay.url()), "URLs lead to the replay: {}", again[0]);
}

#[tokio::test]
async fn a_recorded_reset_waits_for_the_answers_that_came_before_it() {
    let (_, export) = recorded(true).await;
    assert!(export.contains("\"cut: rst\""));
    let recording = Recording::parse(&export, None).unwrap();
    let replay = Replay::start(recording, "127.0.0.1:0".parse().unwrap(), 0.0).await.unwrap();
    let bot = tokio::spawn(echo(replay.url(), "another".to_owned(), "wrong".to_owned(), GOOD));
    let outcome = replay.finished(PATIENCE).await;
    assert!(outcome.same, "{outcome:?}");
    assert_eq!(tokio::time::timeout(PATIENCE, bot).await.unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn connections_that_were_cut_or_never_opened_are_so_again() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    for action in [Action::AcceptThenCut(Cut::Fin), Action::Drop(Cut::Rst), Action::Hang] {
        app.fault(Fault::once(When::Upgrade, action)).unwrap();
    }
    let (endpoint, first) = ticket(&mock, &app).await;
    let mut bot = Bot::redeem(&endpoint, &first).await.unwrap();
    assert!(!matches!(bot.next().await, Some(Ok(Message::Text(_)))));
    let (_, second) = ticket(&mock, &app).await;
    assert!(Bot::redeem(&endpoint, &second).await.is_err());
    let hung = tokio::spawn(async move { Bot::redeem(&endpoint, &second).await.is_err() });
    let export = eventually("three upgrades", async || {
        let export = app.export_journal(true).unwrap();
        if export.contains("GET /connect refused: fault, no answer") {
            Ok(export)
        } else {
            Err(export)
        }
    })
    .await;
    hung.abort();
    assert!(export.contains("\"cut: fin\"") && export.contains("refused: fault, connection cut"));
    let recording = Recording::parse(&export, None).unwrap();
    let replay = Replay::start(recording, "127.0.0.1:0".parse().unwrap(), 0.0).await.unwrap();
    let at = replay.ws_url();
    let mut bot = Bot::redeem(&at, "x").await.unwrap();
    assert!(!matches!(bot.next().await, Some(Ok(Message::Text(_)))));
    assert!(Bot::redeem(&at, "x").await.is_err());
    let hung = tokio::spawn(async move { Bot::redeem(&at, "x").await.is_err() });
    eventually("the last upgrade", async || {
        let outcome = replay.outcome();
        if outcome.matched == 3 { Ok(()) } else { Err(outcome) }
    })
    .await;
    assert!(!hung.is_finished());
    hung.abort();
}

#[tokio::test]
async fn a_bot_that_behaves_otherwise_is_told_how() {
    let (_, export) = recorded(true).await;
    let outcome = replayed(&export, Habits { acks: false, ..GOOD }).await;
    assert!(!outcome.same);
    let answers = outcome.missing.iter().filter(|line| line.starts_with("answer 200 to ")).count();
    assert_eq!(answers, 2, "{outcome:?}");
    let outcome = replayed(&export, Habits { fetches_token: true, ..GOOD }).await;
    assert_eq!(outcome.unexpected, ["POST /v1.0/oauth2/accessToken"]);
    let outcome = replayed(&export, Habits { answer: "other: ", ..GOOD }).await;
    assert!(!outcome.same && outcome.differing[0].contains("other: text 1"), "{outcome:?}");
}

/// A `replay` that ends with the test.
struct Replaying(Child);

impl Drop for Replaying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_program_replays_a_file_and_its_exit_code_says_how_it_went() {
    let (_, export) = recorded(true).await;
    let export: Vec<&str> = export.lines().filter(|line| !line.contains("\"cut: rst\"")).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.jsonl");
    std::fs::write(&file, export.join("\n")).unwrap();
    for (habits, code) in [(GOOD, 0), (Habits { acks: false, ..GOOD }, 1)] {
        let child = program()
            .args(["replay", "--speed", "0", "--patience", "2", file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut replaying = Replaying(child);
        let mut stdout = BufReader::new(replaying.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        let bot = tokio::spawn(echo(url, "x".to_owned(), "y".to_owned(), habits));
        let ended = tokio::task::spawn_blocking(move || {
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).unwrap();
            (rest, replaying.0.wait().unwrap().code())
        });
        let (rest, status) = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
        let outcome: Value = serde_json::from_str(&rest).unwrap();
        assert_eq!(status, Some(code), "{outcome}");
        assert_eq!(outcome["same"], code == 0, "{outcome}");
        bot.await.unwrap();
    }
    let empty = folder.path().join("empty.jsonl");
    std::fs::write(&empty, "").unwrap();
    for (arguments, words) in [
        (["replay", "--speed=1", "/nonexistent/file"], "cannot read"),
        (["replay", "--speed=1", empty.to_str().unwrap()], "no exported journal"),
        (["replay", "--speed=-1", empty.to_str().unwrap()], "--speed"),
    ] {
        let output = run(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(words), "{error}");
    }
}
