//! Several robots in one process, and the file that names them.

use mock_dingtalk::AppOptions;
use serde_json::json;

use crate::support::{World, program};

#[tokio::test]
async fn two_accounts_answer_each_for_itself_and_a_third_that_is_refused_stops_neither() {
    let world = World::new().await;
    let other = world.mock.app();
    let third = world.mock.app_with(AppOptions::default()).unwrap();
    let running = world.start_configured(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "dmPolicy": "open",
        "accounts": {
            "sales": {
                "clientId": other.client_id(), "clientSecret": other.client_secret(),
                "dmPolicy": "allowlist", "allowFrom": ["user0002"],
            },
            "broken": { "clientId": third.client_id(), "clientSecret": "not-its-own-secret" },
        },
    }));
    world.app.wait_connections(1).await.unwrap();
    other.wait_connections(1).await.unwrap();
    let lines = running.wait_log("no connection", 1).await;
    for part in [
        "account{name=\"broken\"}",
        "channels.ddingtalk.accounts.broken.clientSecret in ",
        "openclaw.json",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(!lines[0].contains("DINGTALK_CLIENT"), "{}", lines[0]);

    world.app.say("user0001", "to the first").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "to the first");
    other.say("user0001", "a stranger here").await.unwrap();
    let lines = running.wait_log("the sender is not on the allowlist", 1).await;
    assert!(lines[0].contains("account{name=\"sales\"}"), "{}", lines[0]);
    other.say("user0002", "to the second").await.unwrap();
    let sent = other.wait_sent(1).await.unwrap();
    assert_eq!((sent.len(), sent[0].text.as_str()), (1, "to the second"));
    assert_eq!(world.app.sent().unwrap().len(), 1, "nothing of the other's");
    assert!(world.dir.path().join("ddingtalk/accounts/sales/media").is_dir());
    let log = running.log();
    for secret in [world.app.client_secret(), other.client_secret(), "not-its-own-secret"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_stranger_to_both_accounts_is_paired_with_one() {
    let world = World::new().await;
    let other = world.mock.app();
    let _running = world.start_configured(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "accounts": { "two": { "clientId": other.client_id(), "clientSecret": other.client_secret() } },
    }));
    world.app.wait_connections(1).await.unwrap();
    other.wait_connections(1).await.unwrap();
    world.app.say("user0001", "hi").await.unwrap();
    let hint = world.app.wait_sent(1).await.unwrap()[0].text.clone();
    let code = hint.rsplit(' ').next().unwrap();
    let state_dir = world.dir.path().join("ddingtalk");
    let approved = program()
        .args(["pairing", "approve", code, "--state-dir"])
        .arg(state_dir)
        .output()
        .unwrap();
    assert!(approved.status.success(), "{approved:?}");
    world.app.say("user0001", "one").await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    assert!(sent.iter().any(|row| row.text == "one"), "beside the news of the pairing: {sent:?}");
    other.say("user0001", "two").await.unwrap();
    let hint = other.wait_sent(1).await.unwrap()[0].text.clone();
    assert!(hint.contains("pairing approve") && !hint.contains(code), "{hint}");
}

#[tokio::test]
async fn an_account_that_cannot_start_is_tried_again_and_stops_nobody() {
    let world = World::new().await;
    let other = world.mock.app();
    let accounts = world.dir.path().join("ddingtalk/accounts");
    std::fs::create_dir_all(&accounts).unwrap();
    std::fs::write(accounts.join("sales"), "in the way").unwrap();
    let mut running = world.start_configured(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "dmPolicy": "open", "agent": "none",
        "accounts": { "sales": {
            "clientId": other.client_id(), "clientSecret": other.client_secret(), "agent": "echo",
        } },
    }));
    world.app.wait_connections(1).await.unwrap();
    let lines = running.wait_log("the robot cannot start", 2).await;
    assert!(lines[0].contains("account{name=\"sales\"}"), "{}", lines[0]);
    assert!(lines[0].contains("accounts/sales"), "{}", lines[0]);
    world.app.say("user0001", "hello").await.unwrap();
    world.app.wait_acked(1).await.unwrap();
    std::fs::remove_file(accounts.join("sales")).unwrap();
    other.wait_connections(1).await.unwrap();
    running.wait_log("the robot was started again", 1).await;
    other.say("user0001", "back").await.unwrap();
    assert_eq!(other.wait_sent(1).await.unwrap()[0].text, "back");
    assert!(world.app.sent().unwrap().is_empty(), "its agent is none");
    running.terminate();
    assert!(running.ended().await.success());
}

#[tokio::test]
async fn what_is_wrong_in_the_file_is_named_and_no_secret_is_shown() {
    let world = World::new().await;
    let app = json!({ "clientId": "dingA", "clientSecret": "s3cr3t-of-a" });
    let mut duplicate = app.clone();
    duplicate["accounts"] =
        json!({ "two": { "clientId": "dingA", "clientSecret": "s3cr3t-of-b" } });
    let mut misspelled = app.clone();
    misspelled["dmPolicy"] = json!("everybody");
    let mut number = app.clone();
    number["clientSecret"] = json!(314_159);
    for (section, parts) in [
        (&duplicate, "default|two|dingA"),
        (&misspelled, "channels.ddingtalk.dmPolicy|everybody|pairing, allowlist, open, disabled"),
        (&number, "channels.ddingtalk.clientSecret|***"),
    ] {
        world.configure(section);
        for args in [&["gateway"][..], &["config", "validate"]] {
            let mut command = program();
            command.args(args).env("OPENCLAW_STATE_DIR", world.dir.path());
            let output = command.output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(10), "{stderr}");
            for part in parts.split('|').chain(["openclaw.json"]) {
                assert!(stderr.contains(part), "{part}: {stderr}");
            }
            assert!(!stderr.contains("s3cr3t") && !stderr.contains("314159"), "{stderr}");
        }
    }
    world.configure(&app);
    let mut command = program();
    command.args(["config", "validate"]).env("OPENCLAW_STATE_DIR", world.dir.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut command = program();
    command.args(["config", "get"]).env("OPENCLAW_STATE_DIR", world.dir.path());
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(shown, "{\"clientId\":\"dingA\",\"clientSecret\":\"***\"}\n");
    assert!(stdout.starts_with("valid: ") && stdout.ends_with("(accounts: default)\n"), "{stdout}");
}
