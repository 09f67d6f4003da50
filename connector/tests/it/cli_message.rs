//! `ddingtalk message` beside a gateway that runs, and without one.

use std::fs::File;

use mock_dingtalk::Sample;
use serde_json::{Value, json};

use crate::support::{Running, World, output_of, program, transcript_of};

async fn start(args: &[&str]) -> (World, Running) {
    let world = World::new().await;
    let mut all = vec!["--agent", "none", "--dm-policy", "open", "--group-policy", "open"];
    all.extend(args);
    let running = world.start(&all);
    world.app.wait_connections(1).await.expect("the connector connects");
    // The link is there, too.
    running.wait_log("agents can attach", 1).await;
    (world, running)
}

/// The `processQueryKey`s of a `--json` answer, in order.
fn keys(transcript: &str) -> Vec<String> {
    let json = transcript.lines().find(|line| line.starts_with('{')).expect("JSON on stdout");
    let json: Value = serde_json::from_str(json).unwrap();
    let rows = json["results"].as_array().unwrap();
    rows.iter().filter_map(|row| row["processQueryKey"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_message_is_sent_read_and_taken_back() {
    let (world, _running) = start(&[]).await;
    let sent =
        world.ask(&["message", "send", "--target", "user0001", "--message", "**hello**"]).await;
    let first = world.app.wait_sent(1).await.unwrap().remove(0);
    assert_eq!((first.to.as_str(), first.text.as_str()), ("user0001", "**hello**"));
    let key = sent.split_whitespace().find(|word| sent.contains("delivered") && word.len() > 20);
    let key = key.expect("an id").to_owned();
    insta::assert_snapshot!(sent.replace(&key, "KEY"), @r"
    exit code: 0
    --- stdout
    delivered  user:user0001  KEY
    --- stderr
    ");
    world.app.read("user0001", &key).unwrap();
    let read = world.ask(&["message", "read", &key]).await;
    insta::assert_snapshot!(read, @r"
    exit code: 0
    --- stdout
    success
    read    user0001  Ada
    --- stderr
    ");
    let read = world.ask(&["message", "read", &key, "--json"]).await;
    insta::assert_snapshot!(read.replace(&key, "KEY"), @r#"
    exit code: 0
    --- stdout
    {"people":[{"name":"Ada","read":true,"userId":"user0001"}],"processQueryKey":"KEY","sendStatus":"success"}
    --- stderr
    "#);
    let recalled = world.ask(&["message", "recall", &key]).await;
    insta::assert_snapshot!(recalled.replace(&key, "KEY"), @r"
    exit code: 0
    --- stdout
    recalled  KEY
    --- stderr
    ");
    assert!(world.app.sent().unwrap()[0].recalled);
    let gone = world.ask(&["message", "recall", "nothing/of+the kind"]).await;
    insta::assert_snapshot!(gone, @r"
    exit code: 1
    --- stdout
    failed  nothing/of+the kind
    --- stderr
    error: not recalled: nothing/of+the kind: POST /v1.0/robot/otoMessages/batchRecall: 127.0.0.1 answered HTTP 400 invalid.processQueryKey: invalid.processQueryKey
    ");
}

#[tokio::test]
async fn words_and_a_picture_go_to_people_and_a_group_and_who_misses_them_is_named() {
    let (world, _running) = start(&[]).await;
    let group = world.app.say_in_group("user0001", "Team", "hi").await.unwrap().conversation_id;
    let media = Sample::Png.media();
    let picture = world.dir.path().join("chart.png");
    std::fs::write(&picture, &media.bytes).unwrap();
    let words = world.dir.path().join("words.txt");
    std::fs::write(&words, "a *b*\nc\n").unwrap();
    let chat = format!("chat:{group}");
    let mut command = program();
    command
        .args(["message", "send", "-t", "user0001", "-t", &chat, "-t", "nobody", "-m", "-"])
        .args(["--plain", "--media"])
        .arg(&picture)
        .env("OPENCLAW_STATE_DIR", world.dir.path())
        .stdin(File::open(&words).unwrap());
    let output = output_of(command).await;
    let mut transcript = transcript_of(&output).replace(&group, "GROUP");
    let sent = world.app.wait_sent(4).await.unwrap();
    let rows: Vec<_> = sent.iter().map(|row| (row.msgtype.as_str(), row.text.as_str())).collect();
    assert_eq!(rows[..2], [("text", "a *b*\nc"), ("text", "a *b*\nc")]);
    assert_eq!((rows[2].0, rows[3].0), ("image", "image"));
    for word in transcript.clone().split_whitespace().filter(|word| word.len() > 30) {
        transcript = transcript.replace(word, "KEY");
    }
    insta::assert_snapshot!(transcript, @r"
    exit code: 1
    --- stdout
    delivered  user:user0001  KEY
    invalid  user:nobody
    delivered  chat:GROUP  KEY
    delivered  user:user0001  KEY
    delivered  chat:GROUP  KEY
    --- stderr
    error: not sent to user:nobody: DingTalk does not know the recipient, or it may not see the robot
    ");

    // A group's message is known to be one.
    let again = ["message", "send", "-t", &chat, "-m", "to all", "--json"];
    let key = keys(&world.ask(&again).await).remove(0);
    world.app.read("user0001", &key).unwrap();
    let read = world.ask(&["message", "read", &key]).await;
    insta::assert_snapshot!(read, @r"
    exit code: 0
    --- stdout
    success
    read    user0001  -
    --- stderr
    ");
    let recalled = world.ask(&["message", "recall", &key, "--json"]).await;
    insta::assert_snapshot!(recalled.replace(&key, "KEY"), @r#"
    exit code: 0
    --- stdout
    {"results":[{"processQueryKey":"KEY","status":"recalled"}]}
    --- stderr
    "#);
}

#[tokio::test]
async fn the_same_key_sends_once_and_a_port_with_a_token_is_found() {
    let (world, _running) = start(&["--agent-listen", "127.0.0.1:0"]).await;
    let send = ["message", "send", "-t", "user0001", "-m", "once", "--key", "k", "--json"];
    let (first, second) = (world.ask(&send).await, world.ask(&send).await);
    assert_eq!(keys(&first), keys(&second));
    assert_eq!(world.app.sent().unwrap().len(), 1);
    let other = ["message", "send", "-t", "user0001", "-m", "other", "--key", "k"];
    insta::assert_snapshot!(world.ask(&other).await, @r#"
    exit code: 1
    --- stdout
    --- stderr
    error: key is "k", which was used for another message; give each message a key of its own
    "#);
}

#[tokio::test]
async fn of_several_accounts_one_is_named() {
    let world = World::new().await;
    let other = world.mock.app();
    let running = world.start_configured(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "accounts": {
            "sales": { "clientId": other.client_id(), "clientSecret": other.client_secret() },
        },
    }));
    running.wait_log("agents can attach", 1).await;
    let send = ["message", "send", "-t", "user0001", "-m", "hi"];
    insta::assert_snapshot!(world.ask(&send).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: --account is missing; give one of default, sales
    ");
    let named = [&send[..], &["--account", "sales"]].concat();
    assert!(world.ask(&named).await.starts_with("exit code: 0\n"));
    assert_eq!((world.app.sent().unwrap().len(), other.sent().unwrap().len()), (0, 1));
    let unknown = [&send[..], &["--account", "salse"]].concat();
    insta::assert_snapshot!(world.ask(&unknown).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --account is "salse"; give one of default, sales
    "#);
}

#[tokio::test]
async fn without_a_gateway_it_says_what_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let run = async |args: &[&str]| {
        let mut command = program();
        command.args(args).arg("--state-dir").arg(dir.path());
        transcript_of(&output_of(command).await).replace(&*dir.path().to_string_lossy(), "DIR")
    };
    let send = ["message", "send", "-t", "user0001", "-m", "hi"];
    insta::assert_snapshot!(run(&send).await, @r"
    exit code: 14
    --- stdout
    --- stderr
    error: no gateway runs with the state directory DIR; start one with `ddingtalk gateway`, or name its directory with --state-dir
    ");
    // A gateway that was killed leaves its socket.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("agent.sock")).unwrap());
    assert!(run(&send).await.starts_with("exit code: 14\n"));
    std::fs::remove_file(dir.path().join("agent.sock")).unwrap();
    std::fs::write(dir.path().join("agent.json"), "{").unwrap();
    insta::assert_snapshot!(run(&send).await, @r"
    exit code: 11
    --- stdout
    --- stderr
    error: DIR/agent.json does not tell where the gateway listens: EOF while parsing an object at line 1 column 1; start the gateway again, which writes it
    ");
    insta::assert_snapshot!(run(&["message", "send", "-t", "u", "-m", " "]).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: --message is empty; give it some words
    ");
    insta::assert_snapshot!(run(&["message", "send", "-t", "u", "-m", "-"]).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: stdin is empty; give it some words
    ");
    insta::assert_snapshot!(run(&["message", "send", "-t", "u", "--media", "/nowhere"]).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: --media is /nowhere; give a regular file that is there
    ");
    insta::assert_snapshot!(run(&["message", "send", "-t", "u"]).await, @r"
    exit code: 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      --message <TEXT>

    Usage: ddingtalk message send --target <TARGET> --state-dir <DIR> --message <TEXT>

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn openclaws_words_are_understood() {
    let run = async |args: &[&str]| {
        let mut command = program();
        command.args(["message", "send"]).args(args);
        transcript_of(&output_of(command).await)
    };
    let to = ["--channel", "ddingtalk", "--target", "user:u1", "-t", "cidAbC=="];
    let dry = [&to[..], &["--dry-run", "-m", "**hello**\nworld"]].concat();
    insta::assert_snapshot!(run(&dry).await, @r"
    exit code: 0
    --- stdout
    would be sent  user:u1  markdown: **hello** world
    would be sent  chat:cidAbC==  markdown: **hello** world
    --- stderr
    ");
    insta::assert_snapshot!(run(&[&dry[..], &["--plain", "--json"]].concat()).await, @r#"
    exit code: 0
    --- stdout
    {"dryRun":true,"messages":[{"text":"**hello**\nworld","to":"user:u1"},{"text":"**hello**\nworld","to":"chat:cidAbC=="}]}
    --- stderr
    "#);
    insta::assert_snapshot!(run(&["-t", "team:1", "--dry-run", "-m", "x"]).await, @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: --target is "team:1"; give a staffId, user:STAFFID or chat:OPENCONVERSATIONID, each with ddingtalk: before it or not
    "#);
    let other = run(&["--channel", "telegram", "-t", "u1", "-m", "x"]).await;
    assert!(
        other.starts_with("exit code: 2\n") && other.contains("possible values: ddingtalk"),
        "{other}"
    );
}
