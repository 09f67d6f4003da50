//! The gateway as an operator sees it from another terminal: status, logs, stop, restart.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use mock_dingtalk::{Action, ErrorBody, Fault, When};
use serde_json::Value;

use crate::support::{PATIENCE, World, eventually, program, transcript};

/// A command about the gateway of a world.
fn tool(world: &World, args: &[&str]) -> Command {
    let mut command = program();
    command.args(args).env("OPENCLAW_STATE_DIR", world.dir.path());
    command
}

/// Its transcript without what differs from run to run.
fn told(world: &World, args: &[&str]) -> String {
    let text = transcript(&mut tool(world, args));
    let text = text.replace(&world.dir.path().display().to_string(), "DIR");
    text.replace(world.app.client_id(), "dingA")
}

fn status(world: &World) -> Value {
    let output = tool(world, &["gateway", "status", "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn where_no_gateway_runs_each_verb_says_so() {
    let world = World::new().await;
    insta::assert_snapshot!(told(&world, &["gateway", "status"]), @r"
    exit code: 14
    --- stdout
    --- stderr
    error: no gateway runs with the state directory DIR/ddingtalk; start one with `ddingtalk gateway`, or name its directory with --state-dir
    ");
    insta::assert_snapshot!(told(&world, &["gateway", "status", "--json"]), @r#"
    exit code: 14
    --- stdout
    {"running":false,"stateDir":"DIR/ddingtalk","v":1}
    --- stderr
    error: no gateway runs with the state directory DIR/ddingtalk; start one with `ddingtalk gateway`, or name its directory with --state-dir
    "#);
    insta::assert_snapshot!(told(&world, &["gateway", "restart"]), @r"
    exit code: 14
    --- stdout
    --- stderr
    error: no gateway runs with the state directory DIR/ddingtalk; start one with `ddingtalk gateway`, or name its directory with --state-dir
    ");
    insta::assert_snapshot!(told(&world, &["gateway", "stop"]), @r"
    exit code: 0
    --- stdout
    not running: DIR/ddingtalk
    --- stderr
    ");
    insta::assert_snapshot!(told(&world, &["logs"]), @r"
    exit code: 1
    --- stdout
    --- stderr
    error: there is no log DIR/ddingtalk/ddingtalk.log; a gateway writes it, so start one with `ddingtalk gateway`, or name its directory with --state-dir
    ");
}

#[tokio::test]
async fn a_running_gateway_tells_its_liveness_and_stops_when_told() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    let status = status(&world);
    assert_eq!(
        (&status["running"], &status["process"]["pid"]),
        (&true.into(), &running.pid().into())
    );
    let robot = &status["robots"][0];
    for (key, value) in [("account", "default"), ("stream", "connected"), ("agent", "echo")] {
        assert_eq!(robot[key], value, "{robot}");
    }
    assert_eq!((&robot["opens"], &robot["frames"]), (&1.into(), &1.into()), "{robot}");
    assert!(robot["frameAgoMs"].as_u64().unwrap() < 60_000, "{robot}");
    assert!(robot["heardAgoMs"].is_u64() && robot["reconnects"].as_array().unwrap().is_empty());
    assert!(status["process"]["store"]["bytes"].as_u64().unwrap() > 0, "{status}");
    assert!(!status.to_string().contains(world.app.client_secret()));

    let text = told(&world, &["gateway", "status"]);
    assert!(text.starts_with("exit code: 0\n--- stdout\nrunning: pid "), "{text}");
    assert!(text.contains("\ndefault (dingA, agent echo): connected, "), "{text}");

    let stopped = told(&world, &["gateway", "stop"]);
    let expected =
        format!("exit code: 0\n--- stdout\nstopped: pid {}\n--- stderr\n", running.pid());
    assert_eq!(stopped, expected);
    assert_eq!(running.ended().await.code(), Some(0));
    assert!(told(&world, &["gateway", "status"]).starts_with("exit code: 14"));
}

#[tokio::test]
async fn what_a_killed_gateway_leaves_holds_nobody_up() {
    let world = World::new().await;
    let running = world.start_proven().await;
    let second = transcript(&mut world.command(&[]));
    assert!(second.contains("exit code: 11") && second.contains("another ddingtalk works with"));
    running.kill();
    assert!(world.dir.path().join("ddingtalk/agent.sock").exists());
    assert!(told(&world, &["gateway", "status"]).starts_with("exit code: 14"));
    assert!(told(&world, &["gateway", "stop"]).contains("not running: "));
    world.wait_disconnected().await;
    let running = world.start_open();
    running.wait_log("connected to the gateway", 1).await;
    assert_eq!(status(&world)["robots"][0]["stream"], "connected");
}

#[tokio::test]
async fn a_gateway_that_is_not_connected_is_no_success() {
    let world = World::new().await;
    world.app.fault(Fault::always(When::Open, Action::Status(503, ErrorBody::Json))).unwrap();
    let running = world.start(&["--agent-listen", "127.0.0.1:0"]);
    running.wait_log("no connection", 1).await;
    let text = told(&world, &["gateway", "status"]);
    assert!(text.starts_with("exit code: 15\n"), "{text}");
    assert!(text.contains("error: not connected: default; `ddingtalk logs` says why"), "{text}");
    let reasons = status(&world)["robots"][0]["reconnects"].clone();
    assert!(reasons[0]["reason"].as_str().unwrap().contains("503"), "{reasons}");
}

#[tokio::test]
async fn the_log_is_kept_and_followed() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    let json = tool(&world, &["logs", "--json", "--lines", "3"]).output().unwrap();
    let lines: Vec<Value> = String::from_utf8(json.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["level"].is_string() && line["time"].is_string()));
    let all = told(&world, &["logs"]);
    assert!(all.contains(" INFO connected to the gateway generation=\"1\""), "{all}");
    // What was logged before the directory was known is in it, too, and no secret.
    assert!(!all.contains(world.app.client_secret()));

    let of_account = told(&world, &["channels", "logs", "--account", "default", "-n", "1"]);
    assert_eq!(of_account.lines().count(), 4, "{of_account}");
    let of_nobody = told(&world, &["channels", "logs", "--account", "sales"]);
    assert_eq!(of_nobody, "exit code: 0\n--- stdout\n--- stderr\n");

    let out = world.dir.path().join("followed.txt");
    let mut follow = tool(&world, &["logs", "--follow", "--lines", "1"]);
    let mut follower = follow.stdout(std::fs::File::create(&out).unwrap()).spawn().unwrap();
    let read = || std::fs::read_to_string(&out).unwrap();
    eventually(|| "a first line".to_owned(), || read().ends_with('\n').then_some(())).await;
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
    let shown = eventually(
        || format!("the last line in {:?}", read()),
        || Some(read()).filter(|text| text.contains("stopped unfinished=0")),
    );
    let shown = shown.await;
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert!(!shown.contains("connected to the gateway generation"), "{shown}");
}

#[tokio::test]
async fn systemd_is_told_what_it_supervises() {
    let world = World::new().await;
    let path = world.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = world.command(&["--dm-policy", "open"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut running = world.start_command(command);
    assert_eq!(heard(), "READY=1");
    assert_eq!((heard(), heard()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    assert_eq!(status(&world)["process"]["systemd"], true);
    let restarted = world.ask(&["gateway", "restart"]).await;
    assert!(restarted.contains("restarted: pid "), "{restarted}");
    let after_dogs =
        || std::iter::repeat_with(heard).find(|word| word != "WATCHDOG=1").expect("it never ends");
    // It follows another process, and this one ends.
    let other = status(&world)["process"]["pid"].clone();
    assert_eq!((after_dogs(), after_dogs()), (format!("MAINPID={other}"), "READY=1".to_owned()));
    assert_eq!(running.ended().await.code(), Some(0));
    assert_eq!(heard(), "WATCHDOG=1", "the other one has taken to the watchdog");
    // That one is alone, and does the same.
    let restarted = world.ask(&["gateway", "restart"]).await;
    assert!(restarted.contains("restarted: pid "), "{restarted}");
    let third = status(&world)["process"]["pid"].clone();
    assert_ne!(third, other);
    assert_eq!((after_dogs(), after_dogs()), (format!("MAINPID={third}"), "READY=1".to_owned()));
    let stopped = world.ask(&["gateway", "stop"]).await;
    assert!(stopped.contains("`systemctl stop` keeps it down"), "{stopped}");
    assert_eq!(after_dogs(), "STOPPING=1");
}

#[tokio::test]
async fn a_gateway_that_does_not_end_in_time_is_named_and_killed_when_that_is_wanted() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    world
        .app
        .fault(Fault::always(When::Path("/robot/sendBySession".into()), Action::Hang))
        .unwrap();
    world.app.say("user0001", "an answer that never ends").await.unwrap();
    let hit = || world.app.faults().unwrap().iter().any(|row| row.hits > 0).then_some(());
    eventually(|| "the call that hangs".to_owned(), hit).await;
    let text = told(&world, &["gateway", "stop", "--timeout", "100ms"]);
    assert!(text.starts_with("exit code: 1\n"), "{text}");
    assert!(
        text.contains(
            "has not ended within 100ms; give it more with --timeout, or kill it with --force"
        ),
        "{text}"
    );
    let text = told(&world, &["gateway", "stop", "--timeout", "100ms", "--force"]);
    assert!(text.starts_with("exit code: 0\n"), "{text}");
    // The second SIGTERM ends it as if it had killed it.
    assert!(!running.ended().await.success());
    tokio::time::timeout(Duration::from_secs(5), world.wait_disconnected()).await.unwrap();
}
