//! Messages that answer nothing.

use std::time::{Duration, Instant};

use mock_dingtalk::Sample;
use serde_json::json;

use super::checks::say;
use super::lab::{Lab, TOKEN};

/// `openclaw message send` to the channel.
fn message(lab: &Lab, more: &[&str]) -> (i32, String) {
    lab.openclaw(&[&["message", "send", "--channel", "ddingtalk"], more].concat())
}

pub(super) fn send(lab: &mut Lab) {
    let before = lab.sent().len();
    let begin = Instant::now();
    let (code, text) = message(lab, &["--target", "user0001", "--message", "**pushed**", "--json"]);
    println!("message send: {:?}", begin.elapsed());
    assert_eq!(code, 0, "{text}");
    let sent = lab.wait(before, 1).remove(0);
    assert_eq!((sent.text.as_str(), sent.via), ("**pushed**", "batchSend"));
    let key = sent.process_query_key.unwrap();
    assert!(text.contains(&key), "{key}: {text}");
}

pub(super) fn send_more(lab: &mut Lab) {
    let (code, text) = message(lab, &["--target", "user:nobody99", "--message", "x"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("DingTalk does not know this recipient"), "{text}");
    let before = lab.sent().len();
    let none = lab.workspace().join("none.png");
    let caption = ["--target", "user0001", "--message", "not alone", "--media"];
    let (code, text) = message(lab, &[&caption[..], &[none.to_str().unwrap()]].concat());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("none.png: file not found"), "{text}");
    assert_eq!(lab.sent().len(), before, "{:?}", lab.sent());
    let file = lab.workspace().join("red.png");
    // When it is tried alone, none has been made yet.
    std::fs::write(&file, &Sample::Png.media().bytes).unwrap();
    let (code, text) = message(
        lab,
        &[
            "--target",
            "user:user0001",
            "--message",
            "its caption",
            "--media",
            file.to_str().unwrap(),
            "--json",
        ],
    );
    assert_eq!(code, 0, "{text}");
    let sent = lab.wait(before, 2);
    assert_eq!((sent[0].text.as_str(), sent[1].msgtype.as_str()), ("its caption", "image"));
    for row in sent {
        let key = row.process_query_key.unwrap();
        assert!(text.contains(&key), "{key}: {text}");
    }
}

pub(super) fn cron(lab: &mut Lab) {
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

/// Somebody asks for it; OpenClaw's own tool makes it, and its scheduler sends it to whoever asked.
pub(super) fn reminder(lab: &mut Lab) {
    let due = jiff::Timestamp::now() + Duration::from_secs(5);
    let sent = lab.ask(&say(&format!("REMIND {due} of the tea")), 2);
    assert_eq!((sent[0].text.as_str(), sent[0].via), ("I will", "sessionWebhook"));
    let reminder = &sent[1];
    assert_eq!((reminder.text.as_str(), reminder.via), ("It is time: of the tea", "batchSend"));
    assert_eq!(reminder.to, "user0001");
    assert!(reminder.process_query_key.is_some(), "{reminder:?}");
}

/// The agent speaks by itself, to whom the heartbeat's settings name.
pub(super) fn heartbeat(lab: &mut Lab) {
    let settings = json!({ "every": "1h", "target": "ddingtalk", "to": "user0001" });
    lab.set("agents.defaults.heartbeat", &settings);
    let before = lab.sent().len();
    let event = ["system", "event", "--mode", "now", "--text", "PULSE of the day"];
    let token = ["--token", TOKEN, "--port", &lab.port.to_string()];
    let (code, text) = lab.openclaw(&[&event[..], &token].concat());
    assert_eq!(code, 0, "{text}");
    let sent = lab.wait(before, 1).remove(0);
    assert_eq!((sent.text.as_str(), sent.via), ("It beats: of the day", "batchSend"));
    assert_eq!(sent.to, "user0001");
    lab.set("agents.defaults.heartbeat", &json!({ "every": "0m" }));
}

/// A model that calls the message tool again and again is held by the limit for each recipient, and told so.
pub(super) fn looping(lab: &mut Lab) {
    let before = lab.sent().len();
    lab.runtime.block_on(lab.app.speak(&say("LOOP"))).unwrap();
    let refused = |rows: &[_]| {
        rows.iter().any(|row: &mock_dingtalk::SentRow| row.text.contains("messages a minute"))
    };
    lab.until("it is refused", || refused(&lab.sent()[before..]));
    let pushed = lab.sent().split_off(before);
    let pushed = pushed.iter().filter(|row| row.text.starts_with("again ")).count();
    println!("an agent that sends for ever: {pushed} messages");
    // What was pushed before within the minute counts, too.
    assert!((1..=20).contains(&pushed), "{pushed}");
}

/// `ddingtalk cron --agent`: a prompt of the operator's, whom no pairing concerns.
pub(super) fn schedule(lab: &mut Lab) {
    let add = ["cron", "add", "--every", "1h", "--to", "user0001", "--agent", "TICK", "--json"];
    let (code, text) = lab.run("ddingtalk", &add);
    assert_eq!(code, 0, "{text}");
    let added: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = added["id"].to_string();
    let before = lab.sent().len();
    let (code, text) = lab.run("ddingtalk", &["cron", "run", &id]);
    assert_eq!(code, 0, "{text}");
    let sent = lab.wait(before, 1).remove(0);
    assert!(sent.text.contains("TICK"), "{}", sent.text);
    assert_eq!((sent.to.as_str(), sent.via), ("user0001", "batchSend"));
    let (code, text) = lab.run("ddingtalk", &["cron", "remove", &id]);
    assert_eq!(code, 0, "{text}");
}
