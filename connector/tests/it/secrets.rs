//! What must not be in a log.

use std::time::Duration;

use mock_dingtalk::{Action, ErrorBody, Fault, When};

use crate::support::{World, eventually};

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
