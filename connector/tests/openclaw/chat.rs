//! Words, files and commands, from people and groups.

use mock_dingtalk::{Content, ConversationKind, Media, Quote, Sample, SayConversation, Speech};
use serde_json::json;

use super::checks::{answered_slowly, say};
use super::lab::Lab;
use super::model::PIECES;

pub(super) fn pairing(lab: &mut Lab) {
    let hint = lab.ask(&say("hello"), 1).remove(0).text;
    let code = hint.split("approve ddingtalk ").nth(1).unwrap_or_else(|| panic!("{hint}"));
    let code: String = code.chars().take_while(char::is_ascii_alphanumeric).collect();
    assert!(lab.model.asked().is_empty(), "a stranger has no turn");
    let (exit, text) = lab.openclaw(&["pairing", "approve", "ddingtalk", &code]);
    assert_eq!(exit, 0, "{text}");
    // The gateway tells the model of its surroundings behind the first words of a session.
    let sent = lab.ask(&say("hello again"), 1).remove(0).text;
    assert!(sent.starts_with("You said (0 pictures): hello again"), "{sent}");
    lab.approved = true;
}

pub(super) fn text(lab: &mut Lab) {
    let sent = lab.ask(&say("# Title\n\n- **one**\n- two"), 1).remove(0);
    assert_eq!(sent.msgtype, "markdown");
    assert!(sent.text.contains("- **one**"), "{}", sent.text);
    assert_eq!(sent.via, "sessionWebhook");
}

pub(super) fn pictures(lab: &mut Lab) {
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

pub(super) fn files(lab: &mut Lab) {
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
    let id = media["mediaId"].as_str().unwrap();
    let arrived = lab.app.inbound_media(id).unwrap().unwrap().bytes;
    assert_eq!(arrived, b"%PDF-1.4 a report".as_slice(), "it came back changed");
}

/// What is answered, and what of it is not the same each time, behind these words.
const VARIES: [&str; 10] = [
    "🦞 OpenClaw ",
    "Current time: ",
    "Reference UTC: ",
    "Uptime: ",
    "Tokens: ",
    "Cost: ",
    "Cache: ",
    "Context: ",
    "duration ",
    "⚙️ Compaction finished",
];

fn steady(answer: &str) -> String {
    let cut = |line: &str| {
        let at = VARIES.iter().find_map(|&words| Some(line.find(words)? + words.len()));
        at.map_or_else(|| line.trim_end().to_owned(), |at| format!("{}…", &line[..at]))
    };
    answer.lines().map(cut).collect::<Vec<_>>().join("\n")
}

pub(super) fn commands(lab: &mut Lab) {
    let answer = |command: &str| {
        let asked = lab.model.asked().len();
        let sent = lab.ask(&say(command), 1).remove(0);
        assert!(
            command == "/compact" || lab.model.asked().len() == asked,
            "{command} is no question"
        );
        format!("# {command}\n\n{}\n", steady(&sent.text))
    };
    let commands = [
        "/whoami",
        "/status",
        "/help",
        "/commands",
        "/models",
        "/models fake",
        "/model",
        "/model fake/echo-2",
        "/model fake/echo-1",
        "/think",
        "/think high",
        "/stop",
        "/compact",
        "/new",
    ];
    let answers: Vec<_> = commands.iter().map(|command| answer(command)).collect();
    let answers = answers.join("\n");
    insta::assert_snapshot!("answers_to_commands", answers);
    lab.ask(&say("after new"), 1);
    let asked = lab.model.asked().pop().unwrap();
    assert!(asked.turns <= 2, "/new forgets: {asked:?}");
}

/// The second message goes into the run of the first, as OpenClaw's queue decides, and ends without an answer.
pub(super) fn steering(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.runtime.block_on(lab.app.speak(&say("and this, too"))).unwrap();
    lab.until("the model has been asked it", || {
        lab.model.asked().iter().any(|asked| asked.text.contains("and this, too"))
    });
    lab.until("all turns have ended", || lab.robot()["openTurns"] == 0);
    lab.ask(&say("sentinel"), 1);
    let sent = lab.sent().split_off(before);
    assert!(
        sent.iter().all(|row| row.finished && !row.text.trim().is_empty()),
        "nothing empty is posted: {sent:?}"
    );
}

pub(super) fn streaming(lab: &mut Lab) {
    let calls = || lab.app.journal().unwrap().len();
    let before = calls();
    let sent = lab.ask(&say("SLOW"), 1);
    assert_eq!((sent.len(), sent[0].msgtype.as_str()), (1, "card"));
    assert!(sent[0].text.ends_with(&format!("word{}", PIECES - 1)), "{}", sent[0].text);
    let calls = calls() - before;
    println!("{PIECES} pieces: {calls} lines in the journal");
    assert!(calls < 60, "{calls}");
}

pub(super) fn stop(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.runtime.block_on(lab.app.speak(&say("/stop"))).unwrap();
    let sent = lab.wait(before, 2);
    assert!(sent.iter().any(|row| row.text.contains("Agent was aborted")), "{sent:?}");
    assert!(!sent[0].text.contains(&format!("word{}", PIECES - 1)), "it went on: {}", sent[0].text);
}

pub(super) fn sessions(lab: &mut Lab) {
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

/// A person speaks in a group.
fn in_group(id: &str, person: &str, text: &str) -> Speech {
    let (kind, id) = (ConversationKind::Group, Some(id.to_owned()));
    let group = SayConversation { kind, id, title: Some("Team".to_owned()) };
    Speech::new(person, Content::text(text)).conversation(group)
}

/// Nobody answers.
fn refused(lab: &Lab, speech: &Speech) {
    let before = lab.sent().len();
    lab.runtime.block_on(lab.app.speak(speech)).unwrap();
    lab.ask(&say("sentinel"), 1);
    assert_eq!(lab.sent().len(), before + 1, "{:?}", lab.sent());
}

pub(super) fn groups(lab: &mut Lab) {
    let team = |text: &str| in_group("cidTeamA==", "user0001", text);
    refused(lab, &team("nobody hears me"));
    lab.set("channels.ddingtalk.groups", &json!({ "cidTeamA==": { "requireMention": true } }));
    let sent = lab.ask(&team("hello group"), 1).remove(0);
    assert_eq!(sent.to, "cidTeamA==");
    assert!(sent.text.contains("hello group"), "{}", sent.text);
    assert!(lab.ask(&team("/whoami"), 1)[0].text.contains("user0001"));
}

pub(super) fn open_groups(lab: &mut Lab) {
    let groups =
        json!({ "cidShut==": { "enabled": false }, "cidFew==": { "allowFrom": ["user0002"] } });
    lab.set("channels.ddingtalk.groups", &groups);
    lab.set("channels.ddingtalk.groupPolicy", &"open".into());
    refused(lab, &in_group("cidShut==", "user0001", "it is shut"));
    refused(lab, &in_group("cidFew==", "user0001", "I am not on its list"));
    for (id, person) in [("cidFew==", "user0002"), ("cidOther==", "user0001")] {
        let sent = lab.ask(&in_group(id, person, "hello"), 1).remove(0);
        assert!(sent.to == id && sent.text.contains("hello"), "{sent:?}");
    }
    lab.set("channels.ddingtalk.groupPolicy", &"allowlist".into());
}

/// The file formats that need no words of the agent's.
pub(super) fn more_kinds(lab: &mut Lab) {
    let rich = Content::rich_text(
        vec![json!({ "text": "look at " }), json!({ "type": "picture" })],
        vec![Sample::Png.media()],
    );
    let sent = lab.ask(&Speech::new("user0001", rich), 1).remove(0);
    assert!(sent.text.contains("look at"), "{}", sent.text);
    let pictures = lab.model.asked().pop().unwrap().pictures;
    assert!(pictures > 0, "the model has not seen the picture");
    let quoting = say("what of this?").quote(Quote::of(Content::text("the quoted words")));
    assert!(lab.ask(&quoting, 1)[0].text.contains("what of this?"));
    let context = lab.model.asked().pop().unwrap().context;
    assert!(context.contains("the quoted words"), "{context}");
    let sent = lab.ask(&Speech::new("user0001", Content::video(Sample::Mp4.media())), 1).remove(0);
    assert!(sent.text.contains("You said"), "{}", sent.text);
}
