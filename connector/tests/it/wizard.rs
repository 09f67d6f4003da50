//! The guided setup, as a person at a terminal meets it: through a pseudo-terminal.

use std::process::ExitStatus;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use pty_process::blocking::{Command, Pty};

use crate::screen::{PATIENCE, Screen};
use crate::support::{World, eventually};

/// The program at a terminal.
fn start(world: &World, args: &[&str]) -> Screen {
    let command = Command::new(env!("CARGO_BIN_EXE_ddingtalk"))
        .args(args)
        .env_clear()
        .env("OPENCLAW_STATE_DIR", world.dir.path())
        .env("DINGTALK_OPENAPI_ENDPOINT", world.mock.url())
        .env("DINGTALK_OAPI_ENDPOINT", world.mock.url());
    Screen::start(command)
}

/// Waits for the end; returns what was shown last.
fn ended(mut screen: Screen) -> (ExitStatus, String) {
    let start = Instant::now();
    loop {
        match screen.shown.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            Ok(bytes) => screen.text += &String::from_utf8_lossy(&bytes),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(e) => panic!("it does not end ({e}): {}", screen.text),
        }
    }
    (screen.child.wait().unwrap(), std::mem::take(&mut screen.text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_to_a_robot_that_answers() {
    let world = World::new().await;
    let file = world.dir.path().join("openclaw.json");
    let (id, secret) = (world.app.client_id(), world.app.client_secret());
    let mut screen = start(&world, &["onboard"]);
    let mut session = String::new();
    for (question, answer) in [
        ("Client ID (AppKey): ", format!("{id}\n")),
        ("Client Secret (AppSecret): ", "wrong\x7f\x7f\n".to_owned()),
        // Once more.
        ("1 [1]: ", "\n".to_owned()),
        ("Client ID (AppKey): ", format!(" {id} \n")),
        ("Client Secret (AppSecret): ", format!("{secret}\n")),
        ("1 [1]: ", "9\n".to_owned()),
        ("1 [1]: ", "open\n".to_owned()),
        ("1 [1]: ", "\n".to_owned()),
    ] {
        session += &screen.wait(question);
        assert!(!file.exists(), "nothing is written before the end");
        screen.answer(&answer);
    }
    let (status, shown) = ended(screen);
    session += &shown;
    assert!(status.success(), "{session}");
    let session = session
        .replace(id, "dingA")
        .replace(&world.dir.path().display().to_string(), "DIR")
        .replace(&world.mock.address().port().to_string(), "PORT")
        // A star is taken back.
        .replace("\u{8} \u{8}", "⌫")
        .replace('\r', "");
    assert!(!session.contains("wro") && !session.contains(secret), "{session}");
    insta::assert_snapshot!("onboard", session);
    let text = std::fs::read_to_string(&file).unwrap();
    let text =
        text.replace(world.app.client_id(), "dingA").replace(world.app.client_secret(), "SECRET");
    insta::assert_snapshot!(text, @r#"
    {
      channels: {
        ddingtalk: {
          enabled: true,
          clientId: "dingA",
          clientSecret: "SECRET",
          dmPolicy: "open",
          agent: "echo",
        },
      },
    }
    "#);
    // It is what the gateway runs with.
    let mut command = world.command(&[]);
    command.env_remove("DINGTALK_CLIENT_ID").env_remove("DINGTALK_CLIENT_SECRET");
    let _running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "hello").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_leaves_no_file_and_a_terminal_that_shows_what_is_typed() {
    let world = World::new().await;
    for question in ["Client ID (AppKey): ", "Client Secret (AppSecret): "] {
        let mut screen = start(&world, &["channels", "add"]);
        screen.wait("Client ID (AppKey): ");
        if question.starts_with("Client Secret") {
            screen.answer("dingA\n");
            screen.wait(question);
            screen.answer("half a secr");
            screen.wait("***********");
        }
        screen.answer("\x03");
        screen.wait("error: interrupted; nothing was written");
        let by_lines = shows_lines(&screen.keyboard);
        let (status, shown) = ended(screen);
        assert_eq!(status.code(), Some(130), "{shown}");
        assert!(by_lines, "the terminal shows what is typed, line by line");
        let left: Vec<_> = std::fs::read_dir(world.dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Whether a terminal shows what is typed, and hands out lines.
fn shows_lines(pty: &Pty) -> bool {
    use rustix::termios::{LocalModes, tcgetattr};
    tcgetattr(pty).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_there_is_not_replaced_unasked() {
    let world = World::new().await;
    let section = serde_json::json!({ "clientId": "dingOld", "clientSecret": "old" });
    world.configure(&section);
    let file = world.dir.path().join("openclaw.json");
    let mut screen = start(&world, &["channels", "add", "--account", "default"]);
    screen.wait("the account default is there already");
    screen.wait("1 [1]: ");
    screen.answer("1\n");
    screen.wait("name of the account (a-z, 0-9, - _): ");
    screen.answer("sales team\n");
    screen.wait("1-32: ");
    screen.answer("sales\n");
    screen.wait("Client ID (AppKey): ");
    screen.answer(&format!("{}\n", world.app.client_id()));
    screen.wait("Client Secret (AppSecret): ");
    screen.answer(&format!("{}\n", world.app.client_secret()));
    let (status, shown) = ended(screen);
    assert!(status.success(), "{shown}");
    let text = eventually(|| "the file".to_owned(), || std::fs::read_to_string(&file).ok()).await;
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    let section = &whole["channels"]["ddingtalk"];
    assert_eq!(section["clientId"], "dingOld");
    assert_eq!(section["accounts"]["sales"]["clientId"], world.app.client_id());
}
