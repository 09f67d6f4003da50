//! The program with its store in PostgreSQL: what works with a file works there, and its password is nowhere.

use std::process::Command;

use serde_json::json;

use crate::support::{World, output_of, program, transcript_of};

#[path = "../postgres/cluster.rs"]
mod cluster;

use cluster::{Cluster, database_of};

const PASSWORD: &str = "s3cr3t-of-the-database";

/// A database of a user with a password, and its address with the name of a variable in the password's place.
fn guarded(cluster: &Cluster) -> String {
    let url = cluster.database();
    let name = database_of(&url);
    cluster.sql("postgres", "DROP ROLE IF EXISTS guarded");
    cluster.sql("postgres", &format!("CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'"));
    cluster.sql(name, &format!("GRANT CREATE ON DATABASE {name} TO guarded"));
    format!(
        "postgres://guarded:${{DB_PASSWORD}}@127.0.0.1:{}/{name}?sslmode=disable",
        cluster.port()
    )
}

fn configured(world: &World, mut command: Command) -> Command {
    command
        .env_remove("DINGTALK_CLIENT_ID")
        .env_remove("DINGTALK_CLIENT_SECRET")
        .env("DINGTALK_OPENAPI_ENDPOINT", world.mock.url())
        .env("DINGTALK_OAPI_ENDPOINT", world.mock.url())
        .env("OPENCLAW_STATE_DIR", world.dir.path())
        .env("DB_PASSWORD", PASSWORD);
    command
}

#[tokio::test]
async fn what_works_with_a_file_works_in_a_database_and_its_password_is_shown_nowhere() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = World::new().await;
    world.configure(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "groupPolicy": "open", "store": guarded(cluster),
    }));
    let mut command = configured(&world, world.command(&[]));
    command.env("RUST_LOG", "trace");
    let running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    let first = world.app.say("user0001", "may I?").await.unwrap();
    let hint = world.app.wait_sent(1).await.unwrap()[0].text.clone();
    let code = hint.rsplit(' ').next().unwrap();
    let ask = async |args: &[&str]| {
        let mut command = configured(&world, program());
        command.args(args);
        transcript_of(&output_of(command).await)
    };
    let mut told = Vec::new();
    for (args, part) in [
        (&["pairing", "list"][..], code),
        (&["pairing", "approve", code], "approved: user0001"),
        (&["policy", "test", "--user", "user0001"], "admit"),
        (&["inbox", "list", "--all"], "may I?"),
        (&["trace", first.msg_id.as_str()], "received"),
        (&["gateway", "status"], "postgres://guarded@127.0.0.1"),
        (&["config", "get", "store"], "***"),
        (&["doctor", "--no-connect"], "a message came by the stream"),
        (&["doctor", "--store", "postgres://x:s3cr3t-of-the-database?y@h/d"], "exit code"),
        (
            &["inbox", "list", "--store", "postgres://x:s3cr3t-of-the-database@h:z/d"],
            "exit code: 10",
        ),
    ] {
        let transcript = ask(args).await;
        assert!(transcript.contains(part), "{args:?}: {part:?} is not in\n{transcript}");
        told.push(transcript);
    }
    world.app.say("user0001", "hello").await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!(sent[2].text, "hello");
    told.push(running.log());
    assert!(!told.iter().any(|text| text.contains(PASSWORD)), "the password is shown");
    assert!(!world.dir.path().join("ddingtalk/ddingtalk.sqlite3").exists(), "there is no file");
    drop(running);
    // Without a gateway the store is asked itself.
    let ended = ask(&["inbox", "drop", "1"]).await;
    assert!(ended.contains("message 1 is done"), "{ended}");
    let mut wrong = configured(&world, program());
    wrong.args(["inbox", "list"]).env("DB_PASSWORD", "wrong");
    let transcript = transcript_of(&output_of(wrong).await);
    assert!(transcript.contains("check user and password in its address"), "{transcript}");
}

#[tokio::test]
async fn a_gateway_waits_for_a_database_that_cannot_be_reached() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url = cluster.database();
    cluster.stop();
    let world = World::new().await;
    let mut command = world.command(&["--dm-policy", "open"]);
    command.env("DINGTALK_STORE", &url);
    let running = world.start_command(command);
    running.wait_log("the database cannot be reached", 1).await;
    cluster.start_again();
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "hello").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "hello");
}
