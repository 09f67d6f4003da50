//! What is tried, in this order.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use pty_process::blocking::Command as AtTerminal;

use mock_dingtalk::{Content, ConversationKind, Media, Sample, SayConversation, Speech};

use serde_json::json;

use super::Check;
use super::lab::{Lab, TOKEN};
use super::model::PIECES;
use super::screen::Screen;

/// A few minutes.
pub(super) const SHORT: &[(&str, Check)] = &[
    ("a01_a_stranger_gets_a_code_and_is_answered_when_approved", pairing),
    ("a02_text_and_markdown", text),
    ("a03_a_picture_reaches_the_model_and_one_comes_back", pictures),
    ("a04_a_file_and_a_voice_reach_the_model", files),
    ("a05_commands", commands),
    ("a06_a_long_answer_is_one_card", streaming),
    ("a07_stop_ends_an_answer", stop),
    ("a08_a_killed_connector_loses_and_repeats_nothing", killed_connector),
    ("a09_message_send", send),
];

/// Those that start the gateway again, or the command line often.
pub(super) const LONG: &[(&str, Check)] = &[
    ("b01_a_killed_gateway_loses_and_repeats_nothing", killed_gateway),
    ("b02_two_people_have_two_sessions", sessions),
    ("b03_groups_are_closed_until_they_are_listed", groups),
    ("b04_a_wrong_target_and_a_file_by_message_send", send_more),
    ("b05_cron_announces", cron),
    ("b06_status_and_probe", status),
    ("b07_rich_text_and_video", more_kinds),
    ("b08_figures", figures),
    ("b09_over_http_without_the_plugin", over_http),
    ("b10_channels_add_asks_for_id_and_secret", guided_add),
    ("b11_both_killed_lose_and_repeat_nothing", killed_both),
    ("b12_from_a_package", package),
];

/// Installs the plugin, adds the account, and starts the gateway.
pub(super) fn installed(mut lab: Lab) -> Lab {
    let plugin = Lab::plugin();
    let (code, text) = lab.openclaw(&[
        "plugins",
        "install",
        plugin.to_str().unwrap(),
        "--force",
        "--accept-capabilities",
    ]);
    assert_eq!(code, 0, "{text}");
    let (id, secret) = (lab.app.client_id().to_owned(), lab.app.client_secret().to_owned());
    let (code, text) = lab.openclaw(&[
        "channels",
        "add",
        "--channel",
        "ddingtalk",
        "--client-id",
        &id,
        "--client-secret",
        &secret,
    ]);
    assert_eq!(code, 0, "{text}");
    let took = lab.start();
    println!("the gateway attaches after {took:?}");
    lab
}

fn say(text: &str) -> Speech {
    Speech::new("user0001", Content::text(text))
}

fn pairing(lab: &mut Lab) {
    let hint = lab.ask(&say("hello"), 1).remove(0).text;
    let code = hint.split("approve ddingtalk ").nth(1).unwrap_or_else(|| panic!("{hint}"));
    let code: String = code.chars().take_while(char::is_ascii_alphanumeric).collect();
    assert!(lab.model.asked().is_empty(), "a stranger has no turn");
    let (exit, text) = lab.openclaw(&["pairing", "approve", "ddingtalk", &code]);
    assert_eq!(exit, 0, "{text}");
    // The gateway tells the model of its surroundings behind the first words of a session.
    let sent = lab.ask(&say("hello again"), 1).remove(0).text;
    assert!(sent.starts_with("You said (0 pictures): hello again"), "{sent}");
}

fn text(lab: &mut Lab) {
    let sent = lab.ask(&say("# Title\n\n- **one**\n- two"), 1).remove(0);
    assert_eq!(sent.msgtype, "markdown");
    assert!(sent.text.contains("- **one**"), "{}", sent.text);
    assert_eq!(sent.via, "sessionWebhook");
}

fn pictures(lab: &mut Lab) {
    let mut picture = Sample::Png.media();
    let mut bytes = picture.bytes.to_vec();
    bytes.extend_from_slice(b"nobody has seen this one");
    picture.bytes = bytes.clone().into();
    let sent = lab.ask(&Speech::new("user0001", Content::picture(picture)), 1).remove(0);
    assert!(sent.text.starts_with("You said (1 pictures)"), "{}", sent.text);
    let file = lab.workspace().join("red.png");
    std::fs::write(&file, &bytes).unwrap();
    let sent = lab.ask(&say(&format!("SEND {}", file.display())), 2);
    assert_eq!((sent[0].text.as_str(), sent[1].msgtype.as_str()), ("here it is", "image"));
    let id = sent[1].media.as_ref().and_then(|media| media["mediaId"].as_str()).unwrap();
    assert_eq!(lab.app.inbound_media(id).unwrap().unwrap().bytes, bytes, "it came back changed");
}

fn files(lab: &mut Lab) {
    let note = Media::new("note.txt", "text/plain", &b"the secret number is 4711"[..]);
    let sent = lab.ask(&Speech::new("user0001", Content::file(note)), 1).remove(0);
    assert!(sent.text.contains("the secret number is 4711"), "{}", sent.text);
    let voice = Content::audio(Sample::Amr.media(), "words of a voice");
    let sent = lab.ask(&Speech::new("user0001", voice), 1).remove(0);
    assert!(sent.text.contains("words of a voice"), "{}", sent.text);
    let file = lab.workspace().join("report.pdf");
    std::fs::write(&file, b"%PDF-1.4 a report").unwrap();
    let sent = lab.ask(&say(&format!("SEND {}", file.display())), 2);
    let media = sent[1].media.as_ref().unwrap();
    assert_eq!((sent[1].msgtype.as_str(), &media["size"]), ("file", &17.into()));
}

fn commands(lab: &mut Lab) {
    for (command, part) in [
        ("/whoami", "User id: user0001"),
        ("/status", "Model: fake/echo-1"),
        ("/help", "/commands for full list"),
        ("/commands", "/compact"),
        ("/models", "fake (2)"),
        ("/model", "Current: fake/echo-1"),
        ("/think", "Current thinking level"),
        ("/compact", "ompaction"),
        ("/new", "New session started"),
    ] {
        let asked = lab.model.asked().len();
        let sent = lab.ask(&say(command), 1).remove(0);
        assert!(sent.text.contains(part), "{command}: {}", sent.text);
        assert!(
            command == "/compact" || lab.model.asked().len() == asked,
            "{command} is no question"
        );
    }
    lab.ask(&say("after new"), 1);
    let asked = lab.model.asked().pop().unwrap();
    assert!(asked.turns <= 2, "/new forgets: {asked:?}");
}

fn streaming(lab: &mut Lab) {
    let calls = || lab.app.journal().unwrap().len();
    let before = calls();
    let sent = lab.ask(&say("SLOW"), 1);
    assert_eq!((sent.len(), sent[0].msgtype.as_str()), (1, "card"));
    assert!(sent[0].text.ends_with(&format!("word{}", PIECES - 1)), "{}", sent[0].text);
    let calls = calls() - before;
    println!("{PIECES} pieces: {calls} lines in the journal");
    assert!(calls < 60, "{calls}");
}

fn stop(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.runtime.block_on(lab.app.speak(&say("/stop"))).unwrap();
    let sent = lab.wait(before, 2);
    assert!(sent.iter().any(|row| row.text.contains("Agent was aborted")), "{sent:?}");
    assert!(!sent[0].text.contains(&format!("word{}", PIECES - 1)), "it went on: {}", sent[0].text);
}

/// Asks for a slow answer, and waits until its card shows words; gives how many messages there were before.
fn answered_slowly(lab: &Lab) -> usize {
    let before = lab.sent().len();
    lab.runtime.block_on(lab.app.speak(&say("SLOW"))).unwrap();
    lab.until("the card shows words", || {
        lab.sent().iter().skip(before).any(|row| row.text.contains("word3"))
    });
    before
}

fn killed_connector(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.kill_connector();
    let sent = lab.wait(before, 1);
    assert!(sent[0].text.ends_with(&format!("word{}", PIECES - 1)), "{}", sent[0].text);
    let sentinel = lab.ask(&say("and now?"), 1);
    assert_eq!((sentinel.len(), lab.sent().len()), (1, before + 2), "{:?}", lab.sent());
}

fn send(lab: &mut Lab) {
    let before = lab.sent().len();
    let begin = Instant::now();
    let (code, text) = lab.openclaw(&[
        "message",
        "send",
        "--channel",
        "ddingtalk",
        "--target",
        "user0001",
        "--message",
        "**pushed**",
        "--json",
    ]);
    println!("message send: {:?}", begin.elapsed());
    assert_eq!(code, 0, "{text}");
    let sent = lab.wait(before, 1).remove(0);
    assert_eq!((sent.text.as_str(), sent.via), ("**pushed**", "batchSend"));
    let key = sent.process_query_key.unwrap();
    assert!(text.contains(&key), "{key}: {text}");
}

fn killed_gateway(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.kill();
    lab.runtime.block_on(lab.app.speak(&say("while it is down"))).unwrap();
    let took = lab.start();
    println!("back after {took:?}");
    let whole = format!("word{}", PIECES - 1);
    let answered =
        |part: &str| lab.sent().iter().skip(before).filter(|row| row.text.contains(part)).count();
    lab.until("both are answered", || answered(&whole) == 1 && answered("while it is down") == 1);
    lab.ask(&say("and now?"), 1);
    assert_eq!((answered(&whole), answered("while it is down")), (1, 1), "{:?}", lab.sent());
    assert!(lab.sent().iter().all(|row| row.finished), "no card is left open");
}

fn killed_both(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.kill_connector();
    lab.kill();
    lab.start();
    let whole = format!("word{}", PIECES - 1);
    let answers = || lab.sent().iter().skip(before).filter(|row| row.text.contains(&whole)).count();
    lab.until("it is answered", || answers() == 1);
    lab.ask(&say("and now?"), 1);
    assert_eq!(answers(), 1, "{:?}", lab.sent());
    assert!(lab.sent().iter().all(|row| row.finished), "no card is left open");
}

fn sessions(lab: &mut Lab) {
    let by = |person: &str, text: &str| Speech::new(person, Content::text(text));
    lab.set("channels.ddingtalk.allowFrom", &json!(["user0001", "user0002"]));
    lab.set("channels.ddingtalk.dmPolicy", &"allowlist".into());
    assert!(lab.ask(&by("user0002", "I am listed"), 1)[0].text.contains("I am listed"));
    let before = lab.sent().len();
    lab.runtime.block_on(lab.app.speak(&by("user0003", "nobody hears me"))).unwrap();
    lab.ask(&say("sentinel"), 1);
    assert_eq!(lab.sent().len(), before + 1, "{:?}", lab.sent());
    lab.set("channels.ddingtalk.allowFrom", &json!(["*"]));
    lab.set("channels.ddingtalk.dmPolicy", &"open".into());
    let sent = lab.ask(&by("user0003", "I am the third"), 1).remove(0);
    assert!(sent.text.contains("I am the third"), "{}", sent.text);
    let asked = lab.model.asked();
    let third = asked.iter().rev().find(|asked| asked.text.contains("I am the third")).unwrap();
    assert!(third.turns <= 2, "the sessions are apart: {third:?}");
}

fn groups(lab: &mut Lab) {
    let team = |text: &str| {
        let (kind, id) = (ConversationKind::Group, Some("cidTeamA==".to_owned()));
        let team = SayConversation { kind, id, title: Some("Team".to_owned()) };
        Speech::new("user0001", Content::text(text)).conversation(team)
    };
    let refused = |lab: &mut Lab, text: &str| {
        let before = lab.sent().len();
        lab.runtime.block_on(lab.app.speak(&team(text))).unwrap();
        lab.ask(&say("sentinel"), 1);
        assert_eq!(lab.sent().len(), before + 1, "{:?}", lab.sent());
    };
    refused(lab, "nobody hears me");
    lab.set("channels.ddingtalk.groups", &json!({ "cidTeamA==": { "requireMention": true } }));
    let sent = lab.ask(&team("hello group"), 1).remove(0);
    assert_eq!(sent.to, "cidTeamA==");
    assert!(sent.text.contains("hello group"), "{}", sent.text);
    assert!(lab.ask(&team("/whoami"), 1)[0].text.contains("user0001"));
}

fn send_more(lab: &mut Lab) {
    let (code, text) = lab.openclaw(&[
        "message",
        "send",
        "--channel",
        "ddingtalk",
        "--target",
        "user:nobody99",
        "--message",
        "x",
    ]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("DingTalk does not know this recipient"), "{text}");
    let before = lab.sent().len();
    let file = lab.workspace().join("red.png");
    let (code, text) = lab.openclaw(&[
        "message",
        "send",
        "--channel",
        "ddingtalk",
        "--target",
        "user:user0001",
        "--media",
        file.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(lab.wait(before, 1)[0].msgtype, "image");
}

fn cron(lab: &mut Lab) {
    let before = lab.sent().len();
    let (code, text) = lab.openclaw(&[
        "cron",
        "add",
        "--name",
        "hello",
        "--at",
        "10s",
        "--message",
        "say hello",
        "--session",
        "isolated",
        "--announce",
        "--channel",
        "ddingtalk",
        "--to",
        "user0001",
    ]);
    assert_eq!(code, 0, "{text}");
    let sent = lab.wait(before, 1).remove(0);
    assert_eq!((sent.to.as_str(), sent.via), ("user0001", "batchSend"));
}

fn status(lab: &mut Lab) {
    let (code, text) = lab.openclaw(&["channels", "status", "--channel", "ddingtalk", "--probe"]);
    assert_eq!(code, 0, "{text}");
    let line = text.lines().find(|line| line.contains("DingTalk default: ")).unwrap_or_default();
    let healthy = line.contains("enabled, configured, running, connected");
    assert!(healthy && line.ends_with(", works"), "{text}");
}

/// The file formats that need no words of the agent's.
fn more_kinds(lab: &mut Lab) {
    let rich = Content::rich_text(
        vec![json!({ "text": "look at " }), json!({ "type": "picture" })],
        vec![Sample::Png.media()],
    );
    let sent = lab.ask(&Speech::new("user0001", rich), 1).remove(0);
    assert!(sent.text.contains("look at"), "{}", sent.text);
    let pictures = lab.model.asked().pop().unwrap().pictures;
    assert!(pictures > 0, "the model has not seen the picture");
    let sent = lab.ask(&Speech::new("user0001", Content::video(Sample::Mp4.media())), 1).remove(0);
    assert!(sent.text.contains("You said"), "{}", sent.text);
}

/// How long answers take beyond the model, which answers at once.
fn figures(lab: &mut Lab) {
    const TEXTS: usize = 40;
    let mut times: Vec<_> = (0..TEXTS)
        .map(|n| {
            let begin = Instant::now();
            let sent = lab.ask(&say(&format!("text {n}")), 1).remove(0);
            assert!(sent.text.contains(&format!("text {n}")), "{}", sent.text);
            begin.elapsed()
        })
        .collect();
    times.sort();
    let (median, worst) = (times[TEXTS / 2], times[TEXTS * 99 / 100]);
    println!("latency over the model, {TEXTS} texts: p50 {median:?}, p99 {worst:?}");
    let (gateway, connector) = lab.memory();
    println!("memory: gateway {gateway} MiB, connector {connector} MiB");
    assert!(connector < gateway, "the connector is the small one");
}

/// Without the plugin: the agent `openai` against the gateway's own HTTP endpoint.
fn over_http(lab: &mut Lab) {
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
    let mut gateway = Ended(gateway.spawn().unwrap());
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
    gateway.0.kill().unwrap();
}

/// `openclaw ARGUMENTS` at a terminal, with its state in `home`.
fn at_a_terminal(lab: &Lab, home: &Path, arguments: &[&str]) -> Screen {
    let mut command = AtTerminal::new("openclaw").args(arguments).env_clear();
    for (name, value) in lab.command("openclaw").get_envs() {
        command = command.env(name, value.unwrap_or_default());
    }
    Screen::start(command.env("OPENCLAW_STATE_DIR", home).env("TERM", "xterm"))
}

/// A person at a terminal chooses DingTalk and types both credentials.
fn guided_add(lab: &mut Lab) {
    const DOWN: &str = "\u{1b}[B";
    let home = lab.fresh();
    let install = ["plugins", "install", "--force", "--accept-capabilities"];
    let plugin = Lab::plugin();
    let mut command = lab.command("openclaw");
    let output = command.env("OPENCLAW_STATE_DIR", &home).args(install).arg(&plugin).output();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
    let mut screen = at_a_terminal(lab, &home, &["channels", "add"]);
    screen.wait("Set up a chat channel");
    screen.answer("\r");
    screen.wait("● A2A");
    while !screen.wait("to navigate").contains("● DingTalk") {
        screen.answer(DOWN);
    }
    screen.answer("\r");
    for (question, keys) in [
        ("DingTalk account", "\r"),
        ("Client ID (AppKey)", "dingtyped\r"),
        ("Client Secret (AppSecret)", "typed-by-hand\r"),
    ] {
        screen.wait(question);
        screen.answer(keys);
    }
    screen.wait("A stranger gets a code: openclaw pairing approve ddingtalk CODE");
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
    let config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(home.join("openclaw.json")).unwrap())
            .unwrap();
    let account = &config["channels"]["ddingtalk"];
    assert_eq!(
        (&account["clientId"], &account["clientSecret"]),
        (&"dingtyped".into(), &"typed-by-hand".into())
    );
}

/// A process, killed when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn package(lab: &mut Lab) {
    let folder = lab.package();
    let (code, text) = lab.run("npm", &["pack", "--silent", folder.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let spec = format!("npm-pack:{}", lab.state().join(text.trim()).display());
    lab.kill();
    let (code, text) =
        lab.openclaw(&["plugins", "install", &spec, "--force", "--accept-capabilities"]);
    assert_eq!(code, 0, "{text}");
    lab.start();
    assert!(lab.ask(&say("from a package"), 1)[0].text.contains("from a package"));
}
