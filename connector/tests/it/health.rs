//! Health checks: the listener, the verb, and the log as JSON.

use std::process::Command;

use mock_dingtalk::{Action, ErrorBody, Fault, When};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::link_client::Link;
use crate::support::{Running, World, eventually, program};

/// `ddingtalk health`, for the gateway of a world: exit code, stdout, stderr.
fn health(world: &World, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program();
    command.arg("health").args(args).env("OPENCLAW_STATE_DIR", world.dir.path());
    ran(&mut command)
}

fn ran(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Starts the program with the listener on a free port; returns its address.
async fn listening(world: &World, more: &[&str]) -> (Running, String) {
    let running = world.start(&[&["--health-listen", "127.0.0.1:0"], more].concat());
    let lines = running.wait_log("health checks are answered", 1).await;
    let address = lines[0].rsplit("address=").next().unwrap().trim().to_owned();
    (running, address)
}

async fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_process_is_alive_before_it_is_ready_and_says_why() {
    let world = World::new().await;
    world.app.fault(Fault::always(When::Open, Action::Hang)).unwrap();
    let (running, address) = listening(&world, &[]).await;
    // From then on the robot is known.
    running.wait_log("agents can attach", 1).await;
    let (status, body) = get(&address, "/healthz").await;
    let value: Value = serde_json::from_str(&body).unwrap();
    let reasons = json!(["account default: it is not connected yet"]);
    let expected = json!({ "v": 1, "ok": true, "alive": true, "ready": false, "reasons": reasons });
    assert_eq!((status, value), (200, expected.clone()));
    let (status, body) = get(&address, "/readyz").await;
    let mut unready = expected;
    unready["ok"] = json!(false);
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (503, unready));
    // The link says the same to the verb.
    let listens = || Link::of(&world).exists().then_some(());
    eventually(|| "the link".to_owned(), listens).await;
    let alive = "alive, not ready: account default: it is not connected yet";
    assert_eq!(health(&world, &[]), (Some(0), alive.to_owned(), String::new()));
    let unwell = "error: the gateway is not well: account default: it is not connected yet";
    assert_eq!(health(&world, &["--ready"]), (Some(1), String::new(), unwell.to_owned()));
    let (code, stdout, _) = health(&world, &["--ready", "--json"]);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &told["ready"]), (Some(1), &json!(false)));

    world.app.clear_faults().unwrap();
    drop(running);
    let (_running, address) = listening(&world, &[]).await;
    world.app.wait_connections(1).await.unwrap();
    // The mock knows of the connection a moment before the program does.
    let ready = || Some(health(&world, &["--ready"])).filter(|(code, ..)| *code == Some(0));
    let (_, stdout, _) = eventually(|| "ready".to_owned(), ready).await;
    assert_eq!(stdout, "alive and ready");
    assert_eq!(get(&address, "/readyz").await.0, 200);
    let url = format!("http://{address}");
    assert_eq!(health(&world, &["--url", &url, "--ready"]).0, Some(0));
    let (status, page) = get(&address, "/metrics").await;
    let line = format!("ddingtalk_connected{{client_id=\"{}\"}} 1\n", world.app.client_id());
    assert!(status == 200 && page.contains(&line), "{page}");
    assert_eq!(get(&address, "/v1/agent/turns").await.0, 404, "it only tells");
}

#[tokio::test]
async fn a_connection_that_is_replaced_in_order_stays_ready_and_one_that_is_lost_does_not() {
    let world = World::new().await;
    let (running, address) = listening(&world, &[]).await;
    world.app.wait_connections(1).await.unwrap();
    running.wait_log("connected to the gateway", 1).await;
    // The old connection still brings what comes while the next one is asked for.
    world.app.fault(Fault::always(When::Open, Action::Hang)).unwrap();
    world.app.disconnect("all", "rotation").unwrap();
    running.wait_log("announced disconnect", 1).await;
    assert_eq!(get(&address, "/readyz").await.0, 200);
    drop(running);
    world.app.clear_faults().unwrap();

    let (running, address) = listening(&world, &[]).await;
    running.wait_log("connected to the gateway", 1).await;
    world.app.fault(Fault::always(When::Open, Action::Status(503, ErrorBody::Json))).unwrap();
    world.app.cut("all", &mock_dingtalk::Cut::Rst).unwrap();
    running.wait_log("no connection", 1).await;
    let (status, body) = get(&address, "/readyz").await;
    assert!(status == 503 && body.contains("it is not connected since 20"), "{body}");
    assert_eq!(get(&address, "/healthz").await.0, 200, "a restart would not help");
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_not_well() {
    let world = World::new().await;
    let (code, _, stderr) = health(&world, &[]);
    assert_eq!(code, Some(14));
    assert!(stderr.starts_with("error: no gateway runs with the state directory "), "{stderr}");
    let running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    assert_eq!(health(&world, &[]).0, Some(0));
    running.kill();
    // Its socket is still there.
    let (code, _, stderr) = health(&world, &[]);
    assert_eq!(code, Some(14));
    assert!(stderr.starts_with("error: no gateway runs with the state directory "), "{stderr}");
    let (code, _, stderr) = health(&world, &["--url", "http://127.0.0.1:9"]);
    assert_eq!(
        (code, stderr.as_str()),
        (
            Some(15),
            "error: the gateway does not answer on http://127.0.0.1:9/: nobody listens there; see \
             `ddingtalk logs`"
        )
    );
}

#[tokio::test]
async fn the_listener_is_for_this_machine_only_and_may_stand_in_the_file() {
    let world = World::new().await;
    let mut everywhere = world.command(&["--health-listen", "0.0.0.0:9464"]);
    let (code, _, stderr) = ran(&mut everywhere);
    assert_eq!(code, Some(10), "{stderr}");
    assert_eq!(
        stderr,
        "error: --health-listen is 0.0.0.0:9464, which other machines may reach; give a loopback address \
         such as 127.0.0.1:9464, or ask by `ddingtalk health`"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut again = world.command(&["--health-listen", &taken.local_addr().unwrap().to_string()]);
    let (code, _, stderr) = ran(&mut again);
    assert_eq!(code, Some(12), "{stderr}");
    let running = world.start_configured(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "healthListen": "127.0.0.1:0",
    }));
    running.wait_log("health checks are answered", 1).await;
}

#[tokio::test]
async fn the_log_can_be_json_and_holds_no_secret_then_either() {
    let world = World::new().await;
    let running = world.start(&["--log-format", "json", "--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "hello").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    running.wait_log("connected to the gateway", 1).await;
    let log = running.kill();
    assert!(!log.contains(world.app.client_secret()));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let connected =
        lines.iter().find(|line| line["message"] == "connected to the gateway").unwrap();
    assert_eq!((&connected["level"], &connected["generation"]), (&json!("INFO"), &json!("1")));
    assert!(connected["timestamp"].as_str().unwrap().starts_with("20"), "{connected}");
}
