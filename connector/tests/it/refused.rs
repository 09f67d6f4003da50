//! Wrong credentials.

use crate::support::World;

#[tokio::test]
async fn refused_credentials_are_named_and_a_long_pause_is_made() {
    let world = World::new().await;
    let mut command = world.command(&[]);
    command.env("DINGTALK_CLIENT_SECRET", "a wrong secret");
    let mut running = world.start_command(command);
    let lines = running.wait_log("no connection", 1).await;
    let line = &lines[0];
    assert!(line.contains("ERROR"), "{line}");
    for part in [
        world.app.client_id(),
        "127.0.0.1",
        "401",
        "authFailed",
        "DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET",
    ] {
        assert!(line.contains(part), "{part:?} is missing: {line}");
    }
    let delay: u64 = line
        .split("delay_ms=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("{line}"));
    assert!((30_000..=60_000).contains(&delay), "{line}");
    assert!(running.is_running(), "it does not give up");
    assert!(!running.log().contains("a wrong secret"));
}
