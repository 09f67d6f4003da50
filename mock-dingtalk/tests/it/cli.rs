//! The verbs of the command line against a running mock: what they print, how they end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use insta::assert_snapshot;
use mock_dingtalk::{AppOptions, MockDingtalk};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    caller::Caller,
    card_press,
    process::{program, run},
    shell::{canned, cli, json_of, start, transcript, transcripts},
    support::{Bot, data, eventually, http, ticket},
};

#[tokio::test]
async fn a_person_can_be_played_from_a_shell() {
    let mock = start().await;
    let app = mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("cat.png");
    std::fs::write(&picture, b"not really").unwrap();
    let lost = transcript(mock.url(), &["say", "hi"]).await;
    let mut bot = Bot::connect(&mock, &app).await;
    let url = mock.url();
    let mut text = lost;
    text += &transcripts(
        url,
        &[
            &["connections", "--wait", "1"],
            &["say", "hi", "there", "again"],
            &["say", "hi"],
            &["say", "--from", "user0002", "--group", "Team", "hello"],
            &["say", "--fixture", "stream/callback_bot_text_dm"],
            &["say", "--msgtype", "markdown", "--content", r##"{"text":"# x"}"##],
        ],
    )
    .await;
    let (code, _, error) = cli(url, &["say", "--media", picture.to_str().unwrap(), "--json"]).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let first = bot.frame().await;
    bot.ack(&first).await;
    assert_eq!(data(&first)["text"]["content"], "hi");
    let in_group = bot.frame().await;
    assert_eq!(data(&in_group)["conversationTitle"], "Team");
    let chat = data(&in_group)["conversationId"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        bot.frame().await;
    }
    assert_eq!(data(&bot.frame().await)["msgtype"], "picture");
    let (code, said, _) = cli(url, &["say", "--json", "--conversation", &chat, "again"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, said["conversationId"].as_str()), (0, Some(chat.as_str())));

    let reply = json!({"msgtype": "text", "text": {"content": "line one\nline two"}});
    let webhook = data(&first)["sessionWebhook"].as_str().unwrap().to_owned();
    let (waiting, _) = tokio::join!(
        cli(url, &["sent", "--wait", "1", "--json"]),
        http().post(&webhook).json(&reply).send()
    );
    let rows: Value = serde_json::from_str(&waiting.1).unwrap();
    assert_eq!((waiting.0, rows[0]["text"].as_str()), (0, Some("line one\nline two")));
    text += &transcripts(
        url,
        &[
            &["sent"],
            &["sent", "--after", "1"],
            &["sent", "--wait", "2", "--timeout", "1"],
            &["deliveries", "--wait", "1"],
        ],
    )
    .await;
    assert_snapshot!("cli_person", text);
}

#[tokio::test]
async fn faults_and_time_are_turned_from_a_shell() {
    let mock = start().await;
    mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let rule = r#"{"when":"open","times":"always","action":{"type":"hang"}}"#;
    let text = transcripts(
        mock.url(),
        &[
            &["fault", "add", "open-503"],
            &["fault", "add", "--rule", rule],
            &["fault", "list"],
            &["fault", "clear", "--id", "1"],
            &["fault", "list", "--json"],
            &["fault", "clear"],
            &["fault", "list"],
            &["fault", "presets"],
            &["fault", "add", "sunshine"],
            &["fault", "add", "--rule", "{"],
            &["fault", "clear", "--id", "7"],
        ],
    )
    .await;
    assert_snapshot!("cli_faults", text);

    let url = mock.url();
    let clock = async |arguments: &[&str]| -> Value {
        let (code, text, error) = cli(url, &[&["clock", "--json"], arguments].concat()).await;
        assert_eq!(code, 0, "{error}");
        serde_json::from_str(&text).unwrap()
    };
    let paused = clock(&["pause"]).await;
    assert_eq!(paused["paused"], true);
    let later = clock(&["advance", "2h1s"]).await;
    let ms = |shown: &Value, name: &str| shown[name].as_i64().unwrap();
    assert_eq!(ms(&later, "unixMs") - ms(&paused, "unixMs"), 7_201_000);
    let earlier = clock(&["jump", "-1h"]).await;
    assert_eq!(ms(&later, "unixMs") - ms(&earlier, "unixMs"), 3_600_000);
    assert_eq!(earlier["sinceStartMs"], later["sinceStartMs"]);
    assert_eq!(clock(&["show"]).await, earlier);
    assert_eq!(clock(&["resume"]).await["paused"], false);
    assert!(!mock.clock().is_paused());
    assert_snapshot!("cli_clock", transcripts(url, &[&["clock", "advance", "soon"]]).await);
}

#[tokio::test]
async fn the_clock_of_one_app_is_turned_from_a_shell() {
    let mock = start().await;
    let app = mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let url = mock.url();
    let paused = json_of(url, &["clock", "--app", "dingmockone", "pause"]).await;
    assert_eq!((&paused["paused"], &paused["scale"]), (&json!(true), &json!(1)));
    assert!(app.clock().is_paused() && !mock.clock().is_paused());
    let later = json_of(url, &["clock", "advance", "1h", "--app", "dingmockone"]).await;
    let ms = |shown: &Value| shown["unixMs"].as_i64().unwrap();
    assert_eq!(ms(&later) - ms(&paused), 3_600_000);
    assert_eq!(json_of(url, &["clock", "--app", "dingmockone", "show"]).await, later);
    let fast = json_of(url, &["clock", "--app", "dingmockone", "scale", "2.5"]).await;
    assert_eq!(fast["scale"], 2.5);
    assert!((app.clock().scale() - 2.5).abs() < f64::EPSILON);
    let whole = json_of(url, &["clock", "scale", "10"]).await;
    assert_eq!((&whole["scale"], &whole["paused"]), (&json!(10), &json!(false)));
    let text = transcripts(
        url,
        &[
            &["clock", "scale", "0"],
            &["clock", "--app", "dingmocktwo", "show"],
            &["clock", "--app", "dingmockone", "jump", "soon"],
        ],
    )
    .await;
    assert_snapshot!("cli_app_clock", text);
}

#[tokio::test]
async fn findings_are_listed_and_cleared_from_a_shell() {
    let mock = start().await;
    let app = mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let (endpoint, used) = ticket(&mock, &app).await;
    let _bot = Bot::redeem(&endpoint, &used).await.unwrap();
    assert!(Bot::redeem(&endpoint, &used).await.is_err());
    assert!(Bot::redeem(&endpoint, "nobody-s").await.is_err());
    let url = mock.url();
    for (whose, rule) in [
        (["--app", "dingmockone"].as_slice(), "ticket-reused"),
        (&["--without-app"], "ticket-unknown"),
    ] {
        let found = json_of(url, &[&["findings"], whose].concat()).await;
        let rules: Vec<&Value> = found.as_array().unwrap().iter().map(|row| &row["rule"]).collect();
        assert_eq!(rules, [rule]);
        let (code, table, _) = cli(url, &[&["findings"], whose].concat()).await;
        assert_eq!(code, 0);
        assert!(table.starts_with("RULE ") && table.contains(rule), "{table}");
        assert_eq!(cli(url, &[&["findings", "--clear"], whose].concat()).await.0, 0);
        assert_eq!(json_of(url, &[&["findings"], whose].concat()).await, json!([]));
    }
    assert!(app.findings().unwrap().is_empty() && mock.findings().is_empty());
}

#[tokio::test]
async fn faults_of_tcp_are_turned_from_a_shell() {
    let mock = start().await;
    let url = mock.url();
    let rule = r#"{"when":"tlsHandshake","times":3,"action":{"type":"alert"}}"#;
    let add = ["fault", "add", "--tcp", "--rule", rule];
    let text = transcripts(
        url,
        &[
            &add,
            &add,
            &["fault", "list", "--tcp"],
            &["fault", "clear", "--tcp", "--id", "1"],
            &["fault", "clear", "--tcp", "--id", "1"],
            &["fault", "list", "--tcp", "--json"],
            &["fault", "clear", "--tcp"],
            &["fault", "list", "--tcp"],
            &["fault", "add", "--tcp", "--rule", r#"{"when":"open","action":{"type":"hang"}}"#],
        ],
    )
    .await;
    assert_snapshot!("cli_tcp_faults", text);
    assert!(mock.tcp_faults().is_empty());
    let (code, _, error) = cli(url, &["fault", "add", "--tcp", "tls-handshake-fail"]).await;
    assert_eq!(code, 2, "{error}");
}

#[tokio::test]
async fn a_card_is_pressed_from_a_shell() {
    let caller = Caller::new().await;
    card_press::card(&caller, "card_1", &json!({})).await;
    let mut bot = card_press::bot(&caller).await;
    let url = caller.mock.url();
    let (code, _, error) = cli(url, &["press", "card_1", "yes", "now", "--from", "user0002"]).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let pressed = data(&bot.frame().await);
    let content: Value = serde_json::from_str(pressed["content"].as_str().unwrap()).unwrap();
    assert_eq!(pressed["userId"], "user0002");
    assert_eq!(content["cardPrivateData"]["actionIds"], json!(["yes", "now"]));
    let said = json_of(url, &["press", "card_1", "--params", r#"{"a":"b"}"#]).await;
    assert_eq!(said["state"], "pushed");
    let content = data(&bot.frame().await)["content"].as_str().unwrap().to_owned();
    let content: Value = serde_json::from_str(&content).unwrap();
    assert_eq!(content["cardPrivateData"]["params"], json!({"a": "b"}));
    assert_eq!(cli(url, &["press", "card_1"]).await.0, 2);
    assert_eq!(cli(url, &["press", "card_1", "--params", "{"]).await.0, 2);
    assert_eq!(cli(url, &["press", "card_2", "yes"]).await.0, 1);
}

#[tokio::test]
async fn connections_are_ended_from_a_shell() {
    let mock = start().await;
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    let url = mock.url();
    let done = json_of(url, &["disconnect", "--reason", "bye"]).await;
    assert_eq!(done, json!({"connections": 1}));
    let frame = bot.frame().await;
    assert_eq!(frame["headers"]["topic"], "disconnect");
    assert_eq!(data(&frame)["reason"], "bye");

    let mut bot = Bot::connect(&mock, &app).await;
    let open = app.wait_connections(1).await.unwrap();
    let id = open.last().unwrap().connection_id.clone();
    let done = json_of(url, &["cut", &id, "--how", "close", "--code", "1001"]).await;
    assert_eq!(done, json!({"connections": 1}));
    match bot.next().await.unwrap().unwrap() {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1001),
        other => panic!("{other:?}"),
    }
    for (arguments, code) in
        [(["cut", "nothing", "--how", "fin"], 1), (["cut", "all", "--how", "saw"], 2)]
    {
        assert_eq!(cli(url, &arguments).await.0, code, "{arguments:?}");
    }
}

#[tokio::test]
async fn apps_come_and_go_from_a_shell() {
    let mock = start().await;
    let mint = ["apps", "mint", "--client-id", "dingmockone", "--client-secret", "s1"];
    let text = transcripts(
        mock.url(),
        &[
            &["sent"],
            &["apps", "list"],
            &mint,
            &mint,
            &["apps", "mint", "--profile", "observed-90s"],
            &["apps", "mint", "--client-id", "dingmocktwo", "--client-secret", "s2"],
            &["apps", "list"],
            &["sent"],
            &["sent", "--app", "dingmocktwo"],
            &["sent", "--client-id", "dingmockthree"],
            &["apps", "delete", "dingmocktwo"],
            &["apps", "delete", "dingmocktwo"],
            &["reset"],
            &["apps", "list", "--json"],
        ],
    )
    .await;
    assert_snapshot!("cli_apps", text);
}

#[tokio::test]
async fn what_cannot_be_done_says_why_and_what_to_try() {
    let mock = start().await;
    mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let text = transcripts(
        mock.url(),
        &[
            &["say"],
            &["say", "--content", "{", "hi"],
            &["say", "--media", "/nonexistent/file", "hi"],
            &["say", "--conversation", "cid", "hi"],
            &["say", "--msgtype", "sticker", "hi"],
            &["say", "--url", "https://127.0.0.1:1", "hi"],
            &["sent", "--timeout", "5"],
        ],
    )
    .await;
    let away = transcripts("http://127.0.0.1:1", &[&["say", "hi"], &["healthcheck"]]).await;
    assert_snapshot!("cli_errors", text + &away);
    let output = run(&["say", "hi"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--url") && error.contains("mock-dingtalk serve"), "{error}");
}

#[tokio::test]
async fn a_token_is_asked_for_and_taken() {
    let mock = MockDingtalk::builder().admin_token("mine").start().await.unwrap();
    let text = transcripts(
        mock.url(),
        &[&["apps", "list"], &["apps", "list", "--admin-token", "mine"], &["healthcheck"]],
    )
    .await;
    assert_snapshot!("cli_token", text);
}

#[tokio::test]
async fn health_is_told_by_url_or_ready_file() {
    let mock = start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready.json");
    let path = file.to_str().unwrap();
    let check = |url: &str| {
        let mut command = program();
        command.args(["healthcheck", "--ready-file", path]);
        std::fs::write(&file, format!("{{\"url\":\"{url}\"}}")).unwrap();
        tokio::task::spawn_blocking(move || command.output().unwrap().status.code())
    };
    assert_eq!(check(mock.url()).await.unwrap(), Some(0));
    assert_eq!(check("http://127.0.0.1:1").await.unwrap(), Some(1));
    assert_eq!(check("nonsense").await.unwrap(), Some(1));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run(&["healthcheck", "--ready-file", path]).status.code(), Some(1));
    assert_eq!(run(&["healthcheck"]).status.code(), Some(2));
}

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_journal_can_be_followed_until_the_mock_ends() {
    let mock = start().await;
    let app = mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    app.say("user0001", "before").await.unwrap();
    let (code, text, _) = cli(mock.url(), &["journal"]).await;
    assert_eq!(code, 0);
    let (_, lines, _) = cli(mock.url(), &["journal", "--json"]).await;
    let entries = mock.journal().unwrap();
    assert_eq!((text.lines().count(), lines.lines().count()), (entries.len(), entries.len()));
    let mut following = program();
    following.args(["journal", "--follow", "--format", "jsonl", "--url", mock.url()]);
    let mut following = Running(following.stdout(Stdio::piped()).spawn().unwrap());
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let stdout = following.0.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let entry: Value = serde_json::from_str(&line.unwrap()).unwrap();
            sender.send(entry["seq"].as_u64().unwrap()).unwrap();
        }
    });
    let mut seqs = Vec::new();
    for _ in 0..entries.len() {
        seqs.push(seen.recv().await.unwrap());
    }
    app.say("user0001", "after").await.unwrap();
    let all: Vec<u64> = mock.journal().unwrap().iter().map(|entry| entry.seq).collect();
    while seqs.len() < all.len() {
        seqs.push(seen.recv().await.unwrap());
    }
    assert_eq!(seqs, all, "each entry once, in order");
    drop(mock);
    let code = eventually("the end of journal --follow", async || {
        following.0.try_wait().unwrap().map(|status| status.code()).ok_or("still running")
    })
    .await;
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn states_are_kept_and_brought_back_from_a_shell() {
    let mock = start().await;
    let app = mock.app();
    let url = mock.url();
    let mut text = transcripts(
        url,
        &[&["snapshot", "save", "before it spoke"], &["say", "hello"], &["deliveries"]],
    )
    .await;
    assert_eq!(app.deliveries().unwrap().len(), 1);
    let at = mock.snapshots()[0].at.to_string();
    text += &transcript(url, &["snapshot", "restore", "before it spoke"]).await;
    assert!(app.deliveries().unwrap().is_empty());
    text += &transcripts(
        url,
        &[
            &["snapshot", "save", "before it spoke"],
            &["snapshot", "save", "a/b"],
            &["snapshot", "list"],
            &["snapshot", "delete", "before it spoke"],
            &["snapshot", "delete", "before it spoke"],
            &["snapshot", "restore", "before it spoke"],
            &["snapshot", "list", "--json"],
        ],
    )
    .await;
    assert_snapshot!("cli_snapshots", text.replace(&at, "<at>"));
}

#[tokio::test]
async fn thin_verbs_make_the_calls_that_are_agreed_on() {
    let time = r#"{"unixMs":1,"sinceStartMs":2,"paused":false,"scale":1}"#;
    let kept = r#"[{"name":"one","at":1,"apps":2}]"#;
    let cases: [(&[&str], &str, &str); 8] = [
        (&["findings", "--app", "a/b"], "[]", "GET /_mock/apps/a%2Fb/findings"),
        (&["findings", "--app", "a", "--without-app"], "[]", "GET /_mock/findings"),
        (&["fault", "list", "--app", "a", "--tcp"], "[]", "GET /_mock/tcp-faults"),
        (
            &["clock", "scale", "10", "--app", "a"],
            time,
            r#"POST /_mock/apps/a/clock {"scale":10.0}"#,
        ),
        (&["snapshot", "save", "one"], kept, r#"POST /_mock/snapshots {"name":"one"}"#),
        (&["snapshot", "list"], kept, "GET /_mock/snapshots"),
        (&["snapshot", "restore", "one"], "", "POST /_mock/snapshots/one/restore {}"),
        (&["snapshot", "delete", "one"], "", "DELETE /_mock/snapshots/one"),
    ];
    let mut text = String::new();
    for (arguments, answer, expected) in cases {
        let (url, served) = canned("200 OK", answer);
        text += &transcript(&url, arguments).await;
        assert_eq!(served.join().unwrap(), expected);
    }
    let (url, served) = canned("200 OK", "<html>");
    text += &transcript(&url, &["findings", "--app", "a"]).await;
    served.join().unwrap();
    let (url, served) = canned("502 Bad Gateway", "<html>");
    text += &transcript(&url, &["snapshot", "list"]).await;
    served.join().unwrap();
    assert_snapshot!("cli_thin", text);
}

#[tokio::test]
async fn the_ledger_is_the_same_everywhere() {
    let mock = start().await;
    let url = format!("{}/_mock/coverage", mock.url());
    let served: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(served, MockDingtalk::coverage());
    let printed: Value = serde_json::from_slice(&run(&["coverage", "--json"]).stdout).unwrap();
    assert_eq!(printed, served);
    let table = String::from_utf8(run(&["coverage"]).stdout).unwrap();
    let rows = ["endpoints", "behaviours"].map(|part| served[part].as_array().unwrap().len());
    // Two heads, and an empty line between the tables.
    assert_eq!(table.lines().count(), rows[0] + rows[1] + 3);
}
