//! The example agent in Python against the program and the mock.
//!
//! It needs Python. Without it a test is skipped, counted and named with the reason; with
//! `REQUIRE_EXTERNAL=1` it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use mock_dingtalk::{Content, ConversationKind, MockDingtalk, Sample, SayConversation, Speech};

const NAME: &str = "the_python_example_answers_words_and_pictures";

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let trial = match python() {
        Ok(()) => Trial::test(NAME, || {
            tokio::runtime::Runtime::new().unwrap().block_on(play()).map_err(Failed::from)
        }),
        Err(reason) if required => Trial::test(NAME, move || {
            Err(Failed::from(format!("REQUIRE_EXTERNAL=1, but {reason}")))
        }),
        Err(reason) => {
            Trial::test(format!("{NAME} (skipped: {reason})"), || Ok(())).with_ignored_flag(true)
        }
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// Whether there is a Python that runs.
fn python() -> Result<(), String> {
    let found = Command::new("python3").arg("--version").output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("python3 --version ends with {}", output.status)),
        Err(e) => Err(format!("python3 cannot be started: {e}")),
    }
}

/// A process, killed when dropped; what it says goes to a file.
struct Running(Child, PathBuf);

impl Running {
    fn start(command: &mut Command, log: PathBuf) -> Self {
        let out = std::fs::File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out).spawn().unwrap();
        Self(child, log)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn play() -> Result<(), String> {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
    gateway
        .args(["gateway", "--agent", "attach", "--dm-policy", "open", "--group-policy", "open"])
        .env_clear()
        .env("DINGTALK_CLIENT_ID", app.client_id())
        .env("DINGTALK_CLIENT_SECRET", app.client_secret())
        .env("DINGTALK_OPENAPI_ENDPOINT", mock.url())
        .env("DINGTALK_OAPI_ENDPOINT", mock.url())
        .env("OPENCLAW_STATE_DIR", dir.path());
    let gateway = Running::start(&mut gateway, dir.path().join("gateway.txt"));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/attach.py");
    let mut agent = Command::new("python3");
    agent.arg(example).arg(dir.path().join("ddingtalk/agent.sock"));
    let agent = Running::start(&mut agent, dir.path().join("agent.txt"));
    let logs = |e: &dyn std::fmt::Display| {
        format!("{e}\nthe program:\n{}\nthe agent:\n{}", gateway.log(), agent.log())
    };
    app.wait_connections(1).await.map_err(|e| logs(&e))?;
    app.say("user0001", "hello").await.unwrap();
    let sent = app.wait_sent(1).await.map_err(|e| logs(&e))?;
    check(sent[0].text == "You said: hello", &logs(&format!("{sent:?}")))?;
    let mut picture = Sample::Png.media();
    let mut bytes = picture.bytes.to_vec();
    bytes.extend_from_slice(b"nobody has seen this one");
    picture.bytes = bytes.into();
    let kind = ConversationKind::Group;
    let team = SayConversation { kind, id: None, title: Some("Team".to_owned()) };
    for (speech, via) in [
        (Speech::new("user0001", Content::picture(picture.clone())), "batchSend"),
        (
            Speech::new("user0002", Content::picture(picture.clone())).conversation(team),
            "groupMessages",
        ),
    ] {
        let before = app.sent().unwrap().len();
        app.speak(&speech).await.unwrap();
        let sent = app.wait_sent(before + 2).await.map_err(|e| logs(&e))?;
        let (words, shown) = (&sent[before], &sent[before + 1]);
        let size = format!("{} bytes.", picture.bytes.len());
        let measured = words.text.starts_with("A picture of ") && words.text.ends_with(&size);
        check(measured && words.text.contains(" x "), &logs(&words.text))?;
        check((shown.msgtype.as_str(), shown.via) == ("image", via), &format!("{shown:?}"))?;
        let id = shown.media.as_ref().and_then(|media| media["mediaId"].as_str()).unwrap();
        let kept = app.inbound_media(id).unwrap().unwrap();
        check(kept.bytes == picture.bytes, "the picture came back changed")?;
    }
    Ok(())
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
