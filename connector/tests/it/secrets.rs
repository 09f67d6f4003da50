//! What must not be in a log.

use std::time::Duration;

use mock_dingtalk::{Action, ErrorBody, Fault, When};

use serde_json::json;

use crate::model::{KEY, Model, Reply};
use crate::support::{World, eventually, program};

#[tokio::test]
async fn no_secret_is_logged_even_when_everything_fails() {
    let world = World::new().await;
    let path = |path: &str| When::Path(path.to_owned());
    let status = |status| Action::Status(status, ErrorBody::Json);
    world.app.fault(Fault::once(When::Open, status(503))).unwrap();
    world.app.fault(Fault::once(When::Upgrade, status(403))).unwrap();
    let mut command = world.command(&["--dm-policy", "open", "--verbose"]);
    command.env("RUST_LOG", "trace");
    let running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    // Through the webhook, then, with that one dead, through the robot API, and at last through neither.
    world.app.say("user0001", "first").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    world.app.fault(Fault::once(path("/robot/sendBySession"), status(503))).unwrap();
    world.app.say("user0001", "second").await.unwrap();
    let hits = || world.app.faults().unwrap().iter().map(|row| row.hits).sum::<u64>();
    eventually(|| "the failed try".to_owned(), || (hits() == 3).then_some(())).await;
    world.mock.clock().advance(Duration::from_secs(3 * 3_600));
    assert_eq!(world.app.wait_sent(2).await.unwrap()[1].via, "batchSend");
    world.app.fault(Fault::always(path("/robot/sendBySession"), status(400))).unwrap();
    world.app.say("user0001", "third").await.unwrap();
    running.wait_log("the answer did not arrive", 1).await;
    let log = running.log();

    let journal: String = world
        .app
        .journal()
        .unwrap()
        .iter()
        .map(|entry| serde_json::to_string(&**entry).unwrap())
        .collect();
    let mut secrets = vec![world.app.client_secret().to_owned()];
    for marker in ["session=", "ticket", "accessToken"] {
        let before = secrets.len();
        for rest in journal.split(marker).skip(1) {
            // The value follows, behind quotes, colons and escapes if it stands in JSON.
            let rest = rest.trim_start_matches(['\\', '"', ':', '=', ' ']);
            let value: String =
                rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            if value.len() >= 16 {
                secrets.push(value);
            }
        }
        assert!(secrets.len() > before, "the journal shows no value of {marker} to look for");
    }
    secrets.sort();
    secrets.dedup();
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
}

/// Base64 of `proxyuser:proxypassword`, as it goes to a proxy, without its end.
const PROXY_BASE64: &str = "cHJveHl1c2VyOnByb3h5cGFzc3dvcmQ";

#[tokio::test]
async fn no_secret_of_file_proxy_agent_or_pairing_is_logged_at_any_level() {
    for level in ["error", "warn", "info", "debug", "trace"] {
        let (world, model) = (World::new().await, Model::start().await);
        let other = world.mock.app();
        world.configure(&json!({
            "clientId": world.app.client_id(), "clientSecret": "${FILE_SECRET}", "agent": "openai",
            "accounts": { "refused": { "clientId": other.client_id(), "clientSecret": "s3cr3t-refused" } },
        }));
        let mut command = world.command(&[]);
        command
            .env_remove("DINGTALK_CLIENT_ID")
            .env_remove("DINGTALK_CLIENT_SECRET")
            .env("FILE_SECRET", world.app.client_secret())
            .env("RUST_LOG", level)
            .env("HTTPS_PROXY", "http://proxyuser:proxypassword@127.0.0.1:9")
            .env("OPENAI_BASE_URL", model.url())
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_MODEL", "small");
        let running = world.start_command(command);
        world.app.wait_connections(1).await.unwrap();
        world.app.say("user0001", "let me in").await.unwrap();
        let hint = world.app.wait_sent(1).await.unwrap()[0].text.clone();
        let code = hint.rsplit(' ').next().unwrap();
        let mut approve = program();
        approve.args(["pairing", "approve", code]).env("OPENCLAW_STATE_DIR", world.dir.path());
        assert!(approve.output().unwrap().status.success());
        world.app.wait_sent(2).await.unwrap();
        model.words(&["fine"]);
        world.app.say("user0001", "one").await.unwrap();
        world.app.wait_sent(3).await.unwrap();
        // An endpoint that sends back what it got.
        let echoed = json!({ "error": { "message": format!("Incorrect API key: {KEY}") } });
        model.next(Reply::Refuse(401, None, echoed.to_string()));
        world.app.say("user0001", "two").await.unwrap();
        let sent = world.app.wait_sent(4).await.unwrap();
        running.wait_log("no connection", 1).await;
        let log = running.log();
        let secrets = [world.app.client_secret(), "s3cr3t-refused", KEY, "proxypassword", code];
        for secret in secrets.into_iter().chain([PROXY_BASE64]) {
            assert!(!log.contains(secret), "{secret} is in the log at {level}");
        }
        assert!(!sent[3].text.contains(KEY), "{}", sent[3].text);
    }
}

#[tokio::test]
async fn the_password_of_a_proxy_that_is_not_there_is_not_logged() {
    for level in ["info", "trace"] {
        let world = World::new().await;
        let mut command = world.command(&[]);
        command
            .env("RUST_LOG", level)
            .env("ALL_PROXY", "http://proxyuser:proxypassword@127.0.0.1:9");
        let running = world.start_command(command);
        let lines = running.wait_log("no connection", 1).await;
        let log = running.log();
        assert!(!log.contains("proxypassword") && !log.contains(PROXY_BASE64), "{}", lines[0]);
    }
}
