//! What must not be in a log.

use mock_dingtalk::{Action, ErrorBody, Fault, When};

use crate::support::World;

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
    // Through the webhook, through the robot API, and through neither.
    world.app.say("user0001", "first").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    world.app.fault(Fault::always(path("/robot/sendBySession"), status(400))).unwrap();
    world.app.say("user0001", "second").await.unwrap();
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
    for marker in ["session=", "ticket=", r#"accessToken\":\""#] {
        for rest in journal.split(marker).skip(1) {
            let value: String =
                rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            if value.len() >= 16 {
                secrets.push(value);
            }
        }
    }
    secrets.sort();
    secrets.dedup();
    assert!(secrets.len() >= 3, "the journal shows secrets to look for: {}", secrets.len());
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
}
