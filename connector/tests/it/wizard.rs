//! The guided setup, as a person at a terminal meets it: through a pseudo-terminal.

use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use pty_process::blocking::{Command, Pts, Pty, open};

use crate::support::{PATIENCE, World, eventually};

/// A program at a terminal, with all that it has shown.
struct Screen {
    child: Child,
    keyboard: Pty,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Screen {
    fn start(world: &World, args: &[&str]) -> Self {
        let (keyboard, program_side): (Pty, Pts) = open().unwrap();
        let command = Command::new(env!("CARGO_BIN_EXE_ddingtalk"))
            .args(args)
            .env_clear()
            .env("OPENCLAW_STATE_DIR", world.dir.path())
            .env("DINGTALK_OPENAPI_ENDPOINT", world.mock.url())
            .env("DINGTALK_OAPI_ENDPOINT", world.mock.url());
        let child = command.spawn(program_side).unwrap();
        let mut screen =
            std::fs::File::from(std::os::fd::AsFd::as_fd(&keyboard).try_clone_to_owned().unwrap());
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // A terminal whose program has gone is an error to read.
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, shown, text: String::new() }
    }

    /// Waits until something is shown, behind whatever was waited for before; returns all up to it.
    fn wait(&mut self, part: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(at) = self.text.find(part) {
                let rest = self.text.split_off(at + part.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                Err(e) => panic!("waited in vain for {part:?} ({e}); shown since: {}", self.text),
            }
        }
    }

    fn answer(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end; returns what was shown last.
    fn ended(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            match self.shown.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(e) => panic!("it does not end ({e}): {}", self.text),
            }
        }
        (self.child.wait().unwrap(), self.text)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_to_a_robot_that_answers() {
    let world = World::new().await;
    let file = world.dir.path().join("openclaw.json");
    let mut screen = Screen::start(&world, &["onboard"]);
    let welcome = screen.wait("Client ID (AppKey): ");
    for page in ["凭证与基础信息", "机器人", "版本管理与发布", "open-dev.dingtalk.com"]
    {
        assert!(welcome.contains(page), "{page}: {welcome}");
    }
    screen.answer(&format!("{}\n", world.app.client_id()));
    screen.wait("Client Secret (AppSecret): ");
    screen.answer("wrong\x7f\x7f\n");
    let shown = screen.wait("What now?");
    assert!(shown.contains("***") && !shown.contains("wro"), "{shown}");
    assert!(
        shown.contains("failed  access token: ") && shown.contains("failed  Stream connection: ")
    );
    screen.wait("1 [1]: ");
    screen.answer("\n");
    screen.wait("Client ID (AppKey): ");
    screen.answer(&format!(" {} \n", world.app.client_id()));
    screen.wait("Client Secret (AppSecret): ");
    screen.answer(&format!("{}\n", world.app.client_secret()));
    let shown = screen.wait("Who may talk to it alone?");
    for line in ["ok      access token", "ok      Stream connection", "ok      permission to send"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    screen.wait("1 [1]: ");
    assert!(!file.exists(), "nothing is written before the end");
    screen.answer("9\n");
    screen.wait("1-4");
    screen.answer("open\n");
    screen.wait("Who answers?");
    screen.answer("\n");
    let (status, shown) = screen.ended();
    assert!(status.success(), "{shown}");
    assert!(
        shown.contains("added: account default") && shown.contains("ddingtalk pairing approve")
    );
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
        let mut screen = Screen::start(&world, &["channels", "add"]);
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
        let (status, shown) = screen.ended();
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
    let mut screen = Screen::start(&world, &["channels", "add", "--account", "default"]);
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
    let (status, shown) = screen.ended();
    assert!(status.success(), "{shown}");
    let text = eventually(|| "the file".to_owned(), || std::fs::read_to_string(&file).ok()).await;
    let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    let section = &whole["channels"]["ddingtalk"];
    assert_eq!(section["clientId"], "dingOld");
    assert_eq!(section["accounts"]["sales"]["clientId"], world.app.client_id());
}
