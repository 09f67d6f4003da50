//! Ways to set it up, and what OpenClaw's own commands tell of it then.

use std::path::Path;
use std::process::Stdio;

use pty_process::blocking::Command as AtTerminal;

use super::checks::{Ended, say};
use super::lab::{Lab, TOKEN};
use super::screen::Screen;

/// Without the plugin: the agent `openai` against the gateway's own HTTP endpoint.
pub(super) fn over_http(lab: &mut Lab) {
    let app = lab.mock.app();
    let state = lab.state().join("http");
    let log = std::fs::File::create(lab.state().join("http.txt")).unwrap();
    let mut gateway = lab.command(env!("CARGO_BIN_EXE_ddingtalk"));
    gateway
        .args(["gateway", "--agent", "openai", "--dm-policy", "open", "--state-dir"])
        .arg(&state)
        .env("DINGTALK_CLIENT_ID", app.client_id())
        .env("DINGTALK_CLIENT_SECRET", app.client_secret())
        .env("OPENCLAW_STATE_DIR", &state)
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}/v1", lab.port))
        .env("OPENAI_API_KEY", TOKEN)
        .env("OPENAI_MODEL", "openclaw")
        .stdout(Stdio::null())
        .stderr(log);
    let gateway = Ended::spawn(&mut gateway);
    let log = || std::fs::read_to_string(lab.state().join("http.txt")).unwrap();
    let connected = lab.runtime.block_on(app.wait_connections(1));
    assert!(connected.is_ok(), "{}", log());
    lab.runtime.block_on(app.say("user0001", "over HTTP")).unwrap();
    lab.until("an answer over HTTP", || !app.sent().unwrap().is_empty());
    let sent = app.sent().unwrap();
    assert!(sent[0].text.contains("over HTTP"), "{sent:?}\n{}", log());
    let state = state.to_str().unwrap();
    let (code, text) = lab.run("ddingtalk", &["gateway", "status", "--state-dir", state]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("OpenClaw over HTTP: its commands, pairing"), "{text}");
    drop(gateway);
}

/// `openclaw ARGUMENTS` at a terminal, with its state in `home`.
fn at_a_terminal(lab: &Lab, home: &Path, arguments: &[&str]) -> Screen {
    let mut command = AtTerminal::new("openclaw").args(arguments).env_clear();
    for (name, value) in lab.command("openclaw").get_envs() {
        command = command.env(name, value.unwrap_or_default());
    }
    Screen::start(command.env("OPENCLAW_STATE_DIR", home).env("TERM", "xterm"))
}

/// A person at a terminal types both credentials, and what is written then.
fn credentials(screen: &mut Screen) {
    for (question, keys) in
        [("Client ID (AppKey)", "dingtyped\r"), ("Client Secret (AppSecret)", "typed-by-hand\r")]
    {
        screen.wait(question);
        screen.answer(keys);
    }
    screen.wait("A stranger gets a code: openclaw pairing approve ddingtalk CODE");
}

fn are_written(home: &Path) {
    let account = &Lab::settings(home)["channels"]["ddingtalk"];
    assert_eq!(
        (&account["clientId"], &account["clientSecret"]),
        (&"dingtyped".into(), &"typed-by-hand".into())
    );
}

pub(super) fn guided_add(lab: &mut Lab) {
    const DOWN: &str = "\u{1b}[B";
    let home = lab.fresh("add");
    let mut screen = at_a_terminal(lab, &home, &["channels", "add"]);
    screen.wait("Set up a chat channel");
    screen.answer("\r");
    screen.wait("● A2A");
    while !screen.wait("to navigate").contains("● DingTalk") {
        screen.answer(DOWN);
    }
    screen.answer("\r");
    screen.wait("DingTalk account");
    screen.answer("\r");
    credentials(&mut screen);
    screen.wait("● A2A");
    // The last one stands above the first.
    screen.answer("\u{1b}[A\r");
    for (question, keys) in [
        ("Set up administration from", "\r"),
        ("Name these channel accounts", "\r"),
        ("Route these channel accounts", "\u{1b}[C\r"),
    ] {
        screen.wait(question);
        screen.answer(keys);
    }
    let shown = screen.wait("Channels updated");
    assert!(!shown.contains("typed-by-hand"), "the secret is hidden: {shown}");
    are_written(&home);
}

/// `openclaw onboard` without what has nothing to do with channels.
pub(super) fn onboard(lab: &mut Lab) {
    let home = lab.fresh("onboard");
    let arguments = "onboard --flow quickstart --accept-risk --auth-choice skip --agent-name main \
                     --skip-daemon --skip-health --skip-skills --skip-hooks --skip-search --skip-ui";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let mut screen = at_a_terminal(lab, &home, &arguments);
    screen.wait("Yes, share feature stats");
    screen.answer("\r");
    screen.wait("Type: to search");
    screen.answer("DingTalk");
    screen.wait("(1 match)");
    screen.answer("\r");
    credentials(&mut screen);
    let shown = screen.wait("Set up administration from");
    assert!(!shown.contains("typed-by-hand"), "the secret is hidden: {shown}");
    screen.answer("\r");
    screen.wait("harden your setup");
    are_written(&home);
}

/// What an operator sees of a message with OpenClaw's own commands; its words are in no log.
pub(super) fn watched(lab: &mut Lab) {
    let (code, text) = lab.openclaw(&["gateway", "status"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Connectivity probe: ok"), "{text}");
    let shown = lab.state().join("followed.txt");
    let file = std::fs::File::create(&shown).unwrap();
    let mut follow = lab.command("openclaw");
    follow.args(["logs", "--follow"]).stdout(file).stderr(Stdio::null());
    let follow = Ended::spawn(&mut follow);
    let shown = || std::fs::read_to_string(&shown).unwrap();
    lab.until("the log is followed", || !shown().is_empty());
    let said = lab.runtime.block_on(lab.app.speak(&say("not for the log"))).unwrap();
    let goes =
        format!("message {} of user0001 goes to agent:main:ddingtalk:direct:user0001", said.msg_id);
    lab.until("it is on its way", || shown().contains(&goes));
    lab.until("it has been answered", || {
        shown().contains(&format!("message {} has been answered", said.msg_id))
    });
    assert!(!shown().contains("not for the log"), "{}", shown());
    drop(follow);
    let (code, text) = lab.openclaw(&["channels", "status", "--channel", "ddingtalk", "--probe"]);
    assert_eq!(code, 0, "{text}");
    let line = text.lines().find(|line| line.contains("DingTalk default: ")).unwrap_or_default();
    let healthy = line.contains("enabled, configured, running, connected, in:");
    assert!(healthy && line.ends_with(", works"), "{text}");
}

pub(super) fn package(lab: &mut Lab) {
    let folder = lab.package();
    let (code, text) = lab.run("npm", &["pack", "--silent", folder.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let spec = format!("npm-pack:{}", lab.state().join(text.trim()).display());
    lab.stop();
    let (code, text) =
        lab.openclaw(&["plugins", "install", &spec, "--force", "--accept-capabilities"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = lab.openclaw(&["config", "set", "session.dmScope", "main"]);
    assert_eq!(code, 0, "{text}");
    lab.start();
    assert!(lab.log().contains(r#"session.dmScope is "main": all people"#), "{}", lab.log());
    assert!(lab.log().contains("openclaw config set session.dmScope per-channel-peer"));
    assert!(lab.ask(&say("from a package"), 1)[0].text.contains("from a package"));
}
