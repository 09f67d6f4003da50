//! Files that an agent sends: those that OpenClaw lets it read, and what becomes of the words beside others.

use std::path::{Path, PathBuf};

use super::checks::say;
use super::lab::Lab;

/// What people see in the place of a file.
const LOST: &str = "a file could not be sent";

/// The plugin's own tests, without a gateway.
pub(super) fn alone(lab: &mut Lab) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openclaw/alone.mjs");
    let mut node = lab.command("node");
    node.args(["--test", "--test-reporter=tap", "--test-timeout=60000"])
        .arg(tests)
        .env("PLUGIN", lab.beside_openclaw());
    let output = node.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// One in the workspace, and one outside that holds a secret and is of no kind that OpenClaw lets agents send.
fn inside_and_outside(lab: &Lab) -> [PathBuf; 2] {
    let [inside, outside] = [lab.workspace().join("inside.txt"), lab.state().join("id_secret")];
    std::fs::write(&inside, "for everybody").unwrap();
    std::fs::write(&outside, "a token").unwrap();
    [inside, outside]
}

/// How often files were uploaded.
fn uploads(lab: &Lab) -> usize {
    let journal = lab.app.journal().unwrap();
    journal.iter().filter(|entry| entry.text.contains("/media/upload")).count()
}

pub(super) fn by_the_message_tool(lab: &mut Lab) {
    let [inside, outside] = inside_and_outside(lab);
    let before = uploads(lab);
    let sent = lab.ask(&say(&format!("ATTACH {}", outside.display())), 1);
    assert!(sent[0].text.contains("the tool says"), "nothing is sent, not even words: {sent:?}");
    lab.ask(&say("sentinel"), 1);
    assert_eq!(uploads(lab), before, "{:?}", lab.sent());
    let sent = lab.ask(&say(&format!("ATTACH {}", inside.display())), 3);
    assert_eq!(sent[0].text, "its words", "{sent:?}");
    assert_eq!(sent[1].media.as_ref().unwrap()["name"], "inside.txt", "{sent:?}");
    assert_eq!(uploads(lab), before + 1);
}

pub(super) fn in_a_reply(lab: &mut Lab) {
    let [inside, outside] = inside_and_outside(lab);
    let before = uploads(lab);
    let sent = lab.ask(&say(&format!("SEND {}", outside.display())), 1);
    assert!(sent[0].text.starts_with("here it is"), "{sent:?}");
    // There is no such host.
    let sent = lab.ask(&say("SEND https://ddingtalk.invalid/none.png"), 1);
    assert!(sent[0].text.starts_with("here it is") && sent[0].text.contains(LOST), "{sent:?}");
    assert_eq!(uploads(lab), before, "{:?}", lab.sent());
    let sent = lab.ask(&say(&format!("SEND {}", inside.display())), 2);
    assert_eq!(sent[0].text, "here it is", "{sent:?}");
    assert_eq!(uploads(lab), before + 1);
}
