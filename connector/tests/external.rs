//! The program against what is not everywhere: the example agent in Python, and disks that are full or may not be
//! written to.
//!
//! Without Python, or without the right to mount a small tmpfs, a test is skipped, counted and named with the
//! reason; with `REQUIRE_EXTERNAL=1` it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use libtest_mimic::{Arguments, Failed, Trial};
use mock_dingtalk::{
    AppOptions, Content, ConversationKind, DeliveryRules, MockDingtalk, Profile, Sample,
    SayConversation, Speech,
};

const PYTHON: &str = "the_python_example_answers_words_and_pictures";
const FULL_DISK: &str = "nothing_is_acked_on_a_full_disk_and_all_is_well_when_there_is_room_again";
const NO_ROOM: &str = "a_start_on_a_full_disk_is_refused_with_what_to_do";
const READ_ONLY: &str = "a_state_directory_that_is_read_only_is_refused_with_what_to_do";

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let run = |work: fn() -> Work| {
        move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(work()).map_err(Failed::from)
        }
    };
    let trial = |name: &'static str, there: Result<(), String>, work| match there {
        Ok(()) => Trial::test(name, run(work)),
        Err(reason) if required => Trial::test(name, move || {
            Err(Failed::from(format!("REQUIRE_EXTERNAL=1, but {reason}")))
        }),
        Err(reason) => {
            Trial::test(format!("{name} (skipped: {reason})"), || Ok(())).with_ignored_flag(true)
        }
    };
    let trials = vec![
        trial(PYTHON, python(), || Box::pin(play())),
        trial(FULL_DISK, mounts(), || Box::pin(full_disk())),
        trial(NO_ROOM, mounts(), || Box::pin(async { no_room() })),
        trial(READ_ONLY, mounts(), || Box::pin(async { read_only() })),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// A small file system in memory; gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path());
        let output = mount.output().map_err(|e| format!("mount cannot be started: {e}"))?;
        if output.status.success() {
            return Ok(Self(dir));
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(format!("a tmpfs cannot be mounted: {why}"))
    }

    /// From now on nobody writes to it, whatever permissions say.
    fn seal(&self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", "remount,ro"]).arg(self.0.path()).status();
        let sealed = status.map_err(|e| e.to_string())?.success();
        check(sealed, "the tmpfs cannot be made read-only")
    }

    /// What a command says whose state directory and config file are here, without the folder's name.
    fn told(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
        command.args(args).env_clear().env("OPENCLAW_STATE_DIR", self.0.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = format!(
            "exit code: {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        text.replace(&self.0.path().display().to_string(), "DIR")
    }

    /// A config file of a robot that is nowhere, and the database that its gateway would have.
    fn furnish(&self) {
        let text = "{ channels: { ddingtalk: { clientId: 'dingA', clientSecret: 's' } } }";
        let file = self.0.path().join("openclaw.json");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let dir = self.0.path().join("ddingtalk");
        std::fs::create_dir(&dir).unwrap();
        drop(SqliteStore::open(&dir.join(FILE)).unwrap());
    }

    /// Fills what is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Whether a small disk can be had.
fn mounts() -> Result<(), String> {
    Disk::mount().map(drop)
}

/// What a start on a full disk, and a change of settings there, are answered with.
fn no_room() -> Result<(), String> {
    let disk = Disk::mount()?;
    disk.furnish();
    let filler = disk.fill();
    insta::assert_snapshot!(disk.told(&["gateway"]), @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot write to the state directory DIR/ddingtalk: No space left on device (os error 28); make room on its disk, or name another one with --state-dir
    ");
    insta::assert_snapshot!(disk.told(&["config", "set", "dmPolicy", "open"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json cannot be written: No space left on device (os error 28); make room on its disk, or name another one in OPENCLAW_CONFIG_PATH
    ");
    std::fs::remove_file(filler).unwrap();
    insta::assert_snapshot!(disk.told(&["config", "set", "dmPolicy", "open"]), @r"
    exit code: 0
    --- stdout
    set: channels.ddingtalk.dmPolicy in DIR/openclaw.json
    --- stderr
    ");
    Ok(())
}

/// The same where nothing may be written; what only looks works.
fn read_only() -> Result<(), String> {
    let disk = Disk::mount()?;
    disk.furnish();
    disk.seal()?;
    insta::assert_snapshot!(disk.told(&["gateway"]), @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot write to the state directory DIR/ddingtalk: Read-only file system (os error 30); mount its file system for writing, or name another one with --state-dir
    ");
    insta::assert_snapshot!(disk.told(&["config", "set", "dmPolicy", "open"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json cannot be written: Read-only file system (os error 30); mount its file system for writing, or name another one in OPENCLAW_CONFIG_PATH
    ");
    insta::assert_snapshot!(disk.told(&["config", "validate"]), @r"
    exit code: 0
    --- stdout
    valid: DIR/openclaw.json (accounts: default)
    --- stderr
    ");
    insta::assert_snapshot!(disk.told(&["inbox", "list"]), @r"
    exit code: 0
    --- stdout
    --- stderr
    no message waits or has failed
    ");
    insta::assert_snapshot!(disk.told(&["pairing", "list"]), @r"
    exit code: 0
    --- stdout
    nobody waits
    --- stderr
    ");
    insta::assert_snapshot!(disk.told(&["gateway", "status"]), @r"
    exit code: 14
    --- stdout
    --- stderr
    error: no gateway runs with the state directory DIR/ddingtalk; start one with `ddingtalk gateway`, or name its directory with --state-dir
    ");
    Ok(())
}

async fn full_disk() -> Result<(), String> {
    let mock = MockDingtalk::start().await.unwrap();
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    let app = mock.app_with(AppOptions::default().delivery(rules)).unwrap();
    let disk = Disk::mount()?;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
    gateway
        .args(["gateway", "--dm-policy", "open"])
        .env_clear()
        .env("DINGTALK_CLIENT_ID", app.client_id())
        .env("DINGTALK_CLIENT_SECRET", app.client_secret())
        .env("DINGTALK_OPENAPI_ENDPOINT", mock.url())
        .env("DINGTALK_OAPI_ENDPOINT", mock.url())
        .env("OPENCLAW_STATE_DIR", disk.0.path());
    let running = Running::start(&mut gateway, elsewhere.path().join("log.txt"));
    app.wait_connections(1).await.map_err(|e| format!("{e}\n{}", running.log()))?;
    app.say("user0001", "before").await.unwrap();
    app.wait_sent(1).await.map_err(|e| format!("{e}\n{}", running.log()))?;

    let filler = disk.fill();
    // What is larger than any room that the files have left.
    let long = "x".repeat(100_000);
    let said = app.say("user0001", &long).await.unwrap();
    wait_log(&running, "messages cannot be kept and are not acked").await?;
    check(running.log().contains("the disk that holds the database is full"), &running.log())?;
    let health = || {
        let mut health = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
        health.arg("health").env_clear().env("OPENCLAW_STATE_DIR", disk.0.path());
        health.output().unwrap()
    };
    let delivery = || {
        let rows = app.deliveries().unwrap();
        rows.into_iter().find(|row| row.msg_id.as_deref() == Some(&said.msg_id)).unwrap()
    };
    check(delivery().ack.is_none(), "what is not kept is not acked")?;

    std::fs::remove_file(filler).unwrap();
    mock.clock().advance(Duration::from_secs(61));
    let sent = app.wait_sent(2).await.map_err(|e| format!("{e}\n{}", running.log()))?;
    check(sent[1].text.starts_with("xxx"), "it came again, and was answered")?;
    let rows = app.wait_acked(2).await.map_err(|e| e.to_string())?;
    check(rows.iter().any(|row| row.ack.is_some()), "and acked")?;
    let output = health();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    check(output.status.success(), &format!("well again: {shown}"))
}

async fn wait_log(running: &Running, part: &str) -> Result<(), String> {
    let start = Instant::now();
    while !running.log().contains(part) {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("no {part:?} in\n{}", running.log()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
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
