//! What the gateway is given and cannot work with: one sentence of cause and remedy, a documented exit code,
//! and nothing is connected, so that nothing can be acked. A folder that cannot be written and a full disk
//! are tried in `tests/external.rs`.

use std::path::PathBuf;
use std::time::Duration;

use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use mock_dingtalk::{AppOptions, DeliveryRules, Profile};
use rusqlite::Connection;

use crate::support::{World, output_of, transcript_of};

/// What `gateway` says, without what differs from run to run; it has to end by itself.
async fn refusal(world: &World, with_credential: bool) -> String {
    let mut command = world.command(&[]);
    if !with_credential {
        command.env_remove("DINGTALK_CLIENT_ID").env_remove("DINGTALK_CLIENT_SECRET");
    }
    let text = transcript_of(&output_of(command).await);
    assert!(world.app.connections().unwrap().is_empty(), "{text}");
    text.replace(&world.dir.path().display().to_string(), "DIR")
}

/// What it says of a config file.
async fn refused_config(text: &str) -> String {
    let world = World::new().await;
    std::fs::write(world.dir.path().join("openclaw.json"), text).unwrap();
    refusal(&world, false).await
}

/// The database of a world's state directory, in a folder that is there.
fn database(world: &World) -> PathBuf {
    let dir = world.dir.path().join("ddingtalk");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(FILE)
}

#[tokio::test]
async fn a_config_file_that_cannot_be_read_is_named_with_the_place() {
    insta::assert_snapshot!(refused_config("{ channels: { ddingtalk: { clientId: 'a' agent: 'echo' } } }").await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json is no JSON5 in line 1, column 42: expected comma; correct it, or name another one in OPENCLAW_CONFIG_PATH
    ");
    insta::assert_snapshot!(refused_config("").await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json is no JSON5: EOF parsing value; correct it, or name another one in OPENCLAW_CONFIG_PATH
    ");
    let world = World::new().await;
    let mut command = world.command(&[]);
    command.env("OPENCLAW_CONFIG_PATH", "/nowhere/openclaw.json");
    insta::assert_snapshot!(transcript_of(&output_of(command).await), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: there is no config file /nowhere/openclaw.json; write one with `ddingtalk onboard`, or name another one in OPENCLAW_CONFIG_PATH
    ");
    std::fs::create_dir(world.dir.path().join("openclaw.json")).unwrap();
    insta::assert_snapshot!(refusal(&world, false).await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json cannot be read: Is a directory (os error 21); correct it, or name another one in OPENCLAW_CONFIG_PATH
    ");
}

#[tokio::test]
async fn a_setting_of_the_wrong_type_is_named_with_what_would_do() {
    let with = |setting: &str| {
        format!(
            "{{ channels: {{ ddingtalk: {{ clientId: 'dingA', clientSecret: 's3cr3t', {setting} }} }} }}"
        )
    };
    insta::assert_snapshot!(refused_config(&with("dmPolicy: 'opn'")).await, @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.dmPolicy in DIR/openclaw.json is "opn", and must be one of pairing, allowlist, open, disabled
    "#);
    insta::assert_snapshot!(refused_config(&with("allowFrom: 'user01'")).await, @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.allowFrom in DIR/openclaw.json is "user01", and must be a list of ids in quotes, such as ["user01"]
    "#);
    insta::assert_snapshot!(refused_config(&with("rateLimit: { messages: 0, seconds: 60 }")).await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.rateLimit.messages in DIR/openclaw.json is 0, and must be a whole number of at least 1
    ");
    insta::assert_snapshot!(refused_config("{ channels: { ddingtalk: [] } }").await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk in DIR/openclaw.json is a list, and must be an object { … }
    ");
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    insta::assert_snapshot!(refused_config("{ channels: { ddingtalk: { clientId: 'dingA', clientSecret: '${DINGTALK_SECRET}' } } }").await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.clientSecret in DIR/openclaw.json is ***, and must be made of variables that are set, which DINGTALK_SECRET is not; export it
    ");
    insta::assert_snapshot!(refusal(&World::new().await, false).await, @r"
    exit code: 10
    --- stdout
    --- stderr
    error: DINGTALK_CLIENT_ID is not set; set it to the Client ID (AppKey) from the app's page 凭证与基础信息 (Credentials), or run `ddingtalk onboard`
    ");
}

#[tokio::test]
async fn a_damaged_database_is_left_untouched() {
    let world = World::new().await;
    let file = database(&world);
    // Its head is right, and what follows is not.
    drop(SqliteStore::open(&file).unwrap());
    let mut damaged = std::fs::read(&file).unwrap();
    let length = damaged.len();
    damaged[100..length].fill(0xA5);
    let foreign = b"no database. ".repeat(400);
    let mut said = Vec::new();
    for bytes in [&damaged, &foreign] {
        std::fs::write(&file, bytes).unwrap();
        for side in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(file.with_file_name(format!("{FILE}{side}")));
        }
        said.push(refusal(&world, true).await);
        assert!(std::fs::read(&file).unwrap() == *bytes, "the file was changed");
    }
    insta::assert_snapshot!(said[0], @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot open the database DIR/ddingtalk/ddingtalk.sqlite3: database disk image is malformed; it is left untouched: move it away to start empty, or restore a copy; unanswered messages are in it
    ");
    insta::assert_snapshot!(said[1], @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot open the database DIR/ddingtalk/ddingtalk.sqlite3: file is not a database; it is left untouched: move it away to start empty, or restore a copy; unanswered messages are in it
    ");
}

#[tokio::test]
async fn a_database_of_a_newer_release_or_another_program_is_left_alone() {
    let world = World::new().await;
    let file = database(&world);
    let known: i64 = {
        drop(SqliteStore::open(&file).unwrap());
        let db = Connection::open(&file).unwrap();
        let known = db.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
        db.pragma_update(None, "user_version", 999).unwrap();
        known
    };
    let said = refusal(&world, true).await.replace(&format!("knows {known} "), "knows N ");
    insta::assert_snapshot!(said, @r"
    exit code: 11
    --- stdout
    --- stderr
    error: the database DIR/ddingtalk/ddingtalk.sqlite3 has schema version 999, and this release knows N and older; use the newer release again, or name another directory with --state-dir
    ");
    let dir = file.parent().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    std::fs::create_dir(dir).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    insta::assert_snapshot!(refusal(&world, true).await, @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot open the database DIR/ddingtalk/ddingtalk.sqlite3: it belongs to another program; it is left untouched: move it away to start empty, or restore a copy; unanswered messages are in it
    ");
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_not_waited_for_for_long() {
    let world = World::new().await;
    let file = database(&world);
    drop(SqliteStore::open(&file).unwrap());
    let db = Connection::open(&file).unwrap();
    db.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    insta::assert_snapshot!(refusal(&world, true).await, @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot open the database DIR/ddingtalk/ddingtalk.sqlite3: database is locked; another process holds it: end that one, or name another directory with --state-dir
    ");
}

/// The same while it runs: what cannot be kept is not acked, comes again, and is answered.
#[tokio::test]
async fn a_database_that_is_locked_for_a_while_loses_nothing() {
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    let world = World::with(AppOptions::default().delivery(rules)).await;
    let running = world.start_proven().await;
    let db = Connection::open(database(&world)).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = world.app.say("user0001", "while it is locked").await.unwrap();
    let line = running.wait_log("messages cannot be kept", 1).await.remove(0);
    let (_, line) = line.split_once("ERROR ").unwrap();
    insta::assert_snapshot!(line, @"messages cannot be kept and are not acked, so that they come again: the database failed: database is locked");
    let rows = world.app.deliveries().unwrap();
    let row = rows.iter().find(|row| row.msg_id.as_deref() == Some(&said.msg_id)).unwrap();
    assert!(row.ack.is_none(), "what is not kept is not acked");
    db.execute_batch("ROLLBACK").unwrap();
    world.mock.clock().advance(Duration::from_secs(61));
    assert_eq!(world.app.wait_sent(2).await.unwrap()[1].text, "while it is locked");
    world.app.wait_acked(2).await.unwrap();
}

#[tokio::test]
async fn a_state_directory_that_another_gateway_works_with_is_named() {
    let world = World::new().await;
    let running = world.start_open();
    running.wait_log("connected to the gateway", 1).await;
    let text = transcript_of(&output_of(world.command(&[])).await);
    insta::assert_snapshot!(text.replace(&world.dir.path().display().to_string(), "DIR"), @r"
    exit code: 11
    --- stdout
    --- stderr
    error: another ddingtalk works with the state directory DIR/ddingtalk; end it, or name another directory with --state-dir
    ");
    assert_eq!(world.app.connections().unwrap().len(), 1);
}

/// A key that nobody knows does not hold a robot up: it is warned of, in the log, with the nearest right one.
#[tokio::test]
async fn an_unknown_key_is_warned_of_with_the_nearest_right_one() {
    let world = World::new().await;
    let section = serde_json::json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(), "dmPolcy": "open",
    });
    world.configure(&section);
    let validated = world.ask(&["config", "validate"]).await;
    let dir = world.dir.path().display().to_string();
    insta::assert_snapshot!(validated.replace(&dir, "DIR"), @r"
    exit code: 0
    --- stdout
    valid: DIR/openclaw.json (accounts: default)
    --- stderr
    warning: DIR/openclaw.json holds a clientSecret, and other users of this machine may read it; chmod 600 DIR/openclaw.json, or put ${VARIABLE} in the secret's place
    warning: channels.ddingtalk.dmPolcy in DIR/openclaw.json is not known; did you mean dmPolicy?
    ");
    let running = world.start_configured(&section);
    let lines = running.wait_log("is not known", 1).await;
    assert!(lines[0].contains("did you mean dmPolicy?"), "{lines:?}");
    running.wait_log("connected to the gateway", 1).await;
}
