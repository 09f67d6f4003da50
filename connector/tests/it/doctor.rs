//! `ddingtalk doctor` against the mock: what it says in each state that it is for.

use std::process::Command;
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use mock_dingtalk::{Action, AppOptions, ErrorBody, Fault, MockDingtalk, Permission, Preset, When};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{World, eventually, program};

/// The doctor with the environment of a world.
fn doctor(world: &World, args: &[&str]) -> Command {
    let mut command = program();
    command
        .arg("doctor")
        .args(args)
        .env("DINGTALK_CLIENT_ID", world.app.client_id())
        .env("DINGTALK_CLIENT_SECRET", world.app.client_secret())
        .env("DINGTALK_OPENAPI_ENDPOINT", world.mock.url())
        .env("DINGTALK_OAPI_ENDPOINT", world.mock.url())
        .env("OPENCLAW_STATE_DIR", world.dir.path());
    command
}

/// Exit code, stdout and stderr, with what differs from run to run taken out.
async fn transcript(world: &World, command: Command) -> String {
    let output = run(command).await;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!out.contains(world.app.client_secret()) && !err.contains(world.app.client_secret()));
    let code = output.status.code().unwrap();
    let text = format!("exit code: {code}\n--- stdout\n{out}--- stderr\n{err}");
    let port = world.mock.address().port().to_string();
    text.replace(world.app.client_id(), "CLIENTID")
        .replace(&port, "PORT")
        .replace(&world.dir.path().display().to_string(), "DIR")
}

async fn run(mut command: Command) -> std::process::Output {
    // The mock lives in this runtime, which must not wait for the program.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The object that `--json` prints, and the exit code.
async fn told(mut command: Command) -> (i32, Value) {
    command.arg("--json");
    let output = run(command).await;
    let value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), value)
}

/// The rows of a check.
fn rows<'a>(told: &'a Value, check: &str) -> Vec<&'a Value> {
    let rows = told["checks"].as_array().unwrap().iter();
    rows.filter(|row| row["check"] == check).collect()
}

/// Status of each check, in order.
fn statuses(told: &Value) -> String {
    let rows = told["checks"].as_array().unwrap().iter();
    let row = |row: &Value| {
        let needs = row["needs"].as_str().map_or(String::new(), |needs| format!("({needs})"));
        format!("{}:{}{needs}", row["check"].as_str().unwrap(), row["status"].as_str().unwrap())
    };
    rows.map(row).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_robot_that_works_passes_and_nothing_is_sent_or_taken() {
    let world = World::new().await;
    insta::assert_snapshot!("well", transcript(&world, doctor(&world, &[])).await);
    assert!(world.app.sent().unwrap().is_empty(), "nothing is sent");
    let connections = world.app.connections().unwrap();
    assert_eq!(connections.len(), 1);
    let closed = || {
        let rows = world.app.connections().unwrap();
        rows.iter().all(|row| row.closed_at.is_some()).then_some(())
    };
    eventually(|| "the end of the connection".to_owned(), closed).await;
}

#[tokio::test]
async fn a_running_gateway_and_what_came_are_witnesses_so_that_no_connection_is_made() {
    let world = World::new().await;
    let running = world.start_proven().await;
    running.wait_log("connected to the gateway", 1).await;
    let (code, told) = told(doctor(&world, &["--send-to", "user:user0002"])).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(
        statuses(&told),
        "settings:pass proxy:pass dns:pass tcp:pass tls:skip https:pass clock:pass credentials:pass \
         open:pass websocket:pass send:pass robotCode:pass download:pass cards:pass streamMode:pass \
         published:pass visibility:pass"
    );
    assert_eq!(world.app.connections().unwrap().len(), 1, "that of the gateway");
    let sent = world.app.sent().unwrap();
    assert_eq!((sent.len(), sent[1].to.as_str()), (2, "user0002"));
    assert!(sent[1].text.contains("a test message"), "{}", sent[1].text);
    let (code, told) = self::told(doctor(&world, &["--send-to", "user:nobody"])).await;
    assert_eq!(code, 20);
    let row = rows(&told, "visibility")[0];
    assert!(row["fix"]["zh"].as_str().unwrap().contains("可见范围"), "{row}");
}

/// It reads what a gateway has kept, and leaves the database as it is.
#[tokio::test]
async fn nothing_is_written_where_no_gateway_runs() {
    let world = World::new().await;
    world.start_proven().await.kill();
    world.wait_disconnected().await;
    let kept = || {
        let dir = world.dir.path().join("ddingtalk");
        ["ddingtalk.sqlite3", "ddingtalk.sqlite3-wal"]
            .map(|name| std::fs::read(dir.join(name)).unwrap())
    };
    let before = kept();
    let (code, told) = told(doctor(&world, &[])).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(rows(&told, "published")[0]["status"], "pass", "{told}");
    assert!(kept() == before, "the database was changed");
}

/// Other connections get what is for them while the doctor's stands.
#[tokio::test]
async fn no_message_is_stolen_from_a_connection_that_stands() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    // Of another state directory, so that it does not know of the gateway.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = doctor(&world, &[]);
    command.env("OPENCLAW_STATE_DIR", elsewhere.path());
    let asking = tokio::spawn(told(command));
    let mut said = 1;
    loop {
        said += 1;
        world.app.say("user0001", &said.to_string()).await.unwrap();
        world.app.wait_sent(said).await.unwrap();
        if asking.is_finished() {
            break;
        }
    }
    let (code, told) = asking.await.unwrap();
    assert_eq!((code, rows(&told, "websocket")[0]["status"].as_str()), (0, Some("pass")));
    assert_eq!(world.app.connections().unwrap().len(), 2, "one was made, and closed");
}

#[tokio::test]
async fn a_wrong_secret_names_the_page_and_skips_what_needs_it() {
    let world = World::new().await;
    let mut command = doctor(&world, &[]);
    command.env("DINGTALK_CLIENT_SECRET", "wr0ng-s3cret");
    let text = transcript(&world, command).await;
    assert!(!text.contains("wr0ng-s3cret"));
    insta::assert_snapshot!("wrong_secret", text);
}

#[tokio::test]
async fn a_missing_permission_is_named_with_its_scope() {
    let world = World::new().await;
    world.app.revoke(&[Permission::RobotSendMessage]).unwrap();
    insta::assert_snapshot!("no_send_permission", transcript(&world, doctor(&world, &[])).await);
    world.app.grant(&[Permission::RobotSendMessage]).unwrap();
    // Cards are a convenience: their lack is told, and fails nothing.
    world.app.revoke(&[Permission::CardInstanceWrite, Permission::CardStreamingWrite]).unwrap();
    let (code, told) = told(doctor(&world, &[])).await;
    let cards = rows(&told, "cards")[0];
    let scopes = json!(["Card.Instance.Write", "Card.Streaming.Write"]);
    assert_eq!((code, &cards["status"], &cards["fix"]["scopes"]), (0, &json!("warn"), &scopes));
    assert_eq!(told["ok"], true);
}

#[tokio::test]
async fn an_app_without_its_robot_is_told_to_add_one() {
    let world = World::with(AppOptions::default().robot_code("dingother")).await;
    let (code, told) = told(doctor(&world, &[])).await;
    assert_eq!(code, 20);
    assert_eq!(
        statuses(&told),
        "settings:pass proxy:pass dns:pass tcp:pass tls:skip https:pass clock:pass credentials:pass \
         open:pass websocket:pass send:pass robotCode:fail download:skip(robotCode) cards:pass \
         streamMode:skip published:skip visibility:skip"
    );
    let fix = &rows(&told, "robotCode")[0]["fix"];
    assert_eq!(fix["page"]["zh"], "应用能力 > 机器人");
}

#[tokio::test]
async fn what_keeps_connections_open_from_answering_is_told() {
    let world = World::new().await;
    for (name, fault) in [
        ("open_503", Fault::once(When::Open, Action::Status(503, ErrorBody::Json))),
        ("open_html", Fault::once(When::Open, Action::Status(400, ErrorBody::Html))),
        ("open_empty", Fault::once(When::Open, Action::EmptyObject)),
        ("open_hangs", Fault::once(When::Open, Action::Hang)),
        ("upgrade_403", Fault::once(When::Upgrade, Action::Status(403, ErrorBody::Empty))),
        ("upgrade_hangs", Fault::once(When::Upgrade, Action::Hang)),
        (
            "ip_blocked",
            Fault::once(
                When::Path("/v1.0/robot/oToMessages/batchSend".to_owned()),
                Action::code(
                    403,
                    "Forbidden.AccessDenied.IpNotInWhiteList",
                    "访问ip不在白名单之中",
                ),
            ),
        ),
        (
            "token_limit",
            Fault::once(
                When::Path("/v1.0/oauth2/accessToken".to_owned()),
                Action::code(403, "Forbidden.AccessDenied.QpsLimitForApi", "too fast"),
            ),
        ),
    ] {
        world.app.clear_faults().unwrap();
        world.app.fault(fault).unwrap();
        let (code, told) = told(doctor(&world, &["--timeout", "1s"])).await;
        let failed: Vec<_> = told["checks"].as_array().unwrap().iter().collect();
        let failed: Vec<_> = failed.into_iter().filter(|row| row["status"] == "fail").collect();
        let [row] = failed[..] else { panic!("{name}: {told}") };
        let port = world.mock.address().port().to_string();
        let text = serde_json::to_string_pretty(row).unwrap().replace(&port, "PORT");
        insta::assert_snapshot!(name, format!("exit code: {code}\n{text}"));
    }
}

#[tokio::test]
async fn presets_of_the_mock_are_told_apart() {
    for (preset, check) in [(Preset::Open503, "open"), (Preset::OpenTimeout, "open")] {
        let world = World::new().await;
        world.app.preset(preset).unwrap();
        let (code, told) = told(doctor(&world, &["--timeout", "1s"])).await;
        assert_eq!((code, rows(&told, check)[0]["status"].as_str()), (20, Some("fail")), "{told}");
        assert_eq!(rows(&told, "websocket")[0]["needs"], check);
    }
    // The upgrade succeeds: that the connection ends at once is what was wanted.
    let world = World::new().await;
    world.app.preset(Preset::AcceptThenClose).unwrap();
    let (code, told) = told(doctor(&world, &[])).await;
    assert_eq!((code, rows(&told, "websocket")[0]["status"].as_str()), (0, Some("pass")), "{told}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_noticed() {
    let world = World::new().await;
    world.mock.clock().jump(8 * 3_600 * 1_000);
    let (code, told) = told(doctor(&world, &[])).await;
    let row = rows(&told, "clock")[0];
    assert_eq!((code, &row["status"]), (20, &json!("fail")), "{told}");
    let detail = row["detail"].as_str().unwrap();
    assert!(
        detail.contains("behind the server's") && detail.contains("287") || detail.contains("288"),
        "{detail}"
    );
    assert!(row["fix"]["en"].as_str().unwrap().contains("NTP"), "{row}");
    assert_eq!(rows(&told, "credentials")[0]["status"], "pass", "it is no reason to stop");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_from_one_that_refuses() {
    let world = World::new().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = free.local_addr().unwrap();
    drop(free);
    for (url, check) in
        [("http://dingtalk.invalid".to_owned(), "dns"), (format!("http://{refused}"), "tcp")]
    {
        let mut command = doctor(&world, &["--timeout", "5s"]);
        command.env("DINGTALK_OPENAPI_ENDPOINT", &url).env("DINGTALK_OAPI_ENDPOINT", &url);
        let (code, told) = told(command).await;
        assert_eq!((code, rows(&told, check)[0]["status"].as_str()), (20, Some("fail")), "{told}");
        for needs in ["https", "clock", "credentials", "websocket", "published"] {
            assert_eq!(rows(&told, needs)[0]["needs"], check, "{needs}: {told}");
        }
        assert_eq!((told["failed"].as_i64(), &told["ok"]), (Some(1), &json!(false)));
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_told() {
    let world = World::new().await;
    let url = world.mock.url().replace("http://", "https://");
    let mut command = doctor(&world, &[]);
    command.env("DINGTALK_OPENAPI_ENDPOINT", &url).env("DINGTALK_OAPI_ENDPOINT", &url);
    let stranger = MockDingtalk::start().await.unwrap();
    let bundle = world.dir.path().join("ca.pem");
    std::fs::write(&bundle, stranger.ca_pem()).unwrap();
    command.env("SSL_CERT_FILE", &bundle);
    let (code, told) = told(command).await;
    let row = rows(&told, "tls")[0];
    assert_eq!((code, &row["status"]), (20, &json!("fail")), "{told}");
    assert!(row["fix"]["en"].as_str().unwrap().contains("SSL_CERT_FILE"), "{row}");
    assert_eq!(rows(&told, "https")[0]["needs"], "tls");
    // With the right one all is well.
    std::fs::write(&bundle, world.mock.ca_pem()).unwrap();
    let mut command = doctor(&world, &["--no-connect"]);
    command.env("DINGTALK_OPENAPI_ENDPOINT", &url).env("DINGTALK_OAPI_ENDPOINT", &url);
    command.env("SSL_CERT_FILE", &bundle);
    let (code, told) = self::told(command).await;
    assert_eq!((code, rows(&told, "tls")[0]["status"].as_str()), (0, Some("pass")), "{told}");
    assert_eq!(rows(&told, "open")[0]["status"], "skip", "--no-connect");
    assert!(world.app.connections().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let world = World::new().await;
    let refusing = MockDingtalk::start().await.unwrap();
    let url = "https://api.example.org";
    for (proxy, part) in [
        (format!("http://proxyuser:proxypassword@{}", refusing.address()), "HTTP 403"),
        ("http://proxyuser:proxypassword@127.0.0.1:9".to_owned(), "cannot connect to 127.0.0.1:9"),
    ] {
        let mut command = doctor(&world, &[]);
        command.env("DINGTALK_OPENAPI_ENDPOINT", url).env("DINGTALK_OAPI_ENDPOINT", url);
        command.env("HTTPS_PROXY", &proxy);
        let (code, told) = told(command).await;
        let row = rows(&told, "proxy")[0];
        assert_eq!((code, &row["status"]), (20, &json!("fail")), "{told}");
        assert!(row["detail"].as_str().unwrap().contains(part), "{row}");
        assert!(!told.to_string().contains("proxypassword"));
        assert_eq!(rows(&told, "https")[0]["needs"], "proxy");
    }
}

#[tokio::test]
async fn settings_that_do_not_hold_are_the_first_thing_that_fails() {
    let world = World::new().await;
    let mut command = doctor(&world, &[]);
    command.env_remove("DINGTALK_CLIENT_SECRET");
    insta::assert_snapshot!("no_secret", transcript(&world, command).await);
}

#[tokio::test]
async fn each_account_is_examined_for_itself() {
    let world = World::new().await;
    let other = world.mock.app();
    world.configure(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "accounts": { "sales": { "clientId": other.client_id(), "clientSecret": "wrong" } },
    }));
    let configured = |args: &[&str]| {
        let mut command = doctor(&world, args);
        command.env_remove("DINGTALK_CLIENT_ID").env_remove("DINGTALK_CLIENT_SECRET");
        command
    };
    let (code, told) = told(configured(&[])).await;
    let credentials = rows(&told, "credentials");
    let status = |row: &Value| (row["subject"].clone(), row["status"].clone());
    assert_eq!(code, 20);
    assert_eq!(status(credentials[0]), (json!("default"), json!("pass")));
    assert_eq!(status(credentials[1]), (json!("sales"), json!("fail")));
    assert_eq!(rows(&told, "open")[0]["status"], "pass", "of the other account");
    assert_eq!(rows(&told, "open")[1]["needs"], "credentials");
    assert_eq!(rows(&told, "https").len(), 1, "the host is the same");
    assert_eq!(self::told(configured(&["--account", "default"])).await.0, 0);
}

#[tokio::test]
async fn a_message_without_a_user_id_of_a_colleague_shows_that_nothing_is_published() {
    let world = World::new().await;
    let running = world.start_proven().await;
    let journal = world.app.journal().unwrap();
    let frame = journal.iter().find(|entry| entry.text.contains("/v1.0/im/bot/messages/get"));
    let mut frame: Value = serde_json::from_str(&frame.unwrap().body.clone().unwrap()).unwrap();
    let mut data: Value = serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
    data["senderStaffId"] = json!("");
    data["msgId"] = json!("msgunpublished==");
    data["senderCorpId"] = data["chatbotCorpId"].clone();
    frame["data"] = json!(data.to_string());
    frame["headers"]["messageId"] = json!("unpublished");
    world.app.push_raw(&frame.to_string()).unwrap();
    running.wait_log("msgunpublished", 1).await;
    let published = || async { told(doctor(&world, &[])).await };
    let mut last = Value::Null;
    for _ in 0..50 {
        let (_, told) = published().await;
        last = rows(&told, "published")[0].clone();
        if last["status"] == "fail" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(last["status"], "fail", "{last}");
    assert_eq!(last["fix"]["page"]["zh"], "版本管理与发布");
}

/// A host whose connections are at another one.
async fn sends_elsewhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = json!({ "endpoint": format!("ws://localhost:{port}/connect"), "ticket": "t" });
    let token = json!({ "accessToken": "a", "expireIn": 7200 });
    let routes = Router::new()
        .route("/v1.0/oauth2/accessToken", post(async move || Json(token.clone())))
        .route("/v1.0/gateway/connections/open", post(async move || Json(endpoint.clone())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn a_host_is_allowed_by_flag_and_by_file() {
    let world = World::new().await;
    let url = sends_elsewhere().await;
    let open = async |mut command: Command| {
        command.env("DINGTALK_OPENAPI_ENDPOINT", &url).env("DINGTALK_OAPI_ENDPOINT", &url);
        let (_, told) = told(command).await;
        rows(&told, "open")[0].clone()
    };
    let refused = open(doctor(&world, &[])).await;
    assert_eq!(refused["status"], "fail", "{refused}");
    assert!(refused.to_string().contains("--allow-host, or allowHosts"), "{refused}");
    let allowed = open(doctor(&world, &["--allow-host", "localhost"])).await;
    assert_eq!(allowed["status"], "pass", "{allowed}");
    world.configure(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
        "allowHosts": ["LOCALHOST"],
    }));
    let mut command = doctor(&world, &[]);
    command.env_remove("DINGTALK_CLIENT_ID").env_remove("DINGTALK_CLIENT_SECRET");
    let allowed = open(command).await;
    assert_eq!(allowed["status"], "pass", "{allowed}");
}
