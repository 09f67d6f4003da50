//! What an agent says, of any length and kind, as it arrives.

use std::fmt::Write as _;

use dingtalk_connector::agent::{AttachmentKind, Say};
use dingtalk_connector::protocol::{CardButton, RobotMessage};
use mock_dingtalk::{Action, Fault, Quote, Sample, SentRow, When};

use crate::media::{shows, unique};
use crate::scripted::Scripted;
use crate::support::{World, eventually};

/// A Markdown answer of 60 KB with three tables and a code block of 300 lines, in blocks.
fn report() -> Vec<String> {
    let paragraphs = |range: std::ops::Range<usize>| {
        range.map(|n| format!("Paragraph {n}. {}", "一些 words \"quoted\" \\ 😀. ".repeat(20)))
    };
    let table = |name: &str, rows: usize| {
        let rows: String = (0..rows).fold(String::new(), |mut rows, n| {
            write!(rows, "\n| {name} {n} | 值 {n} |").unwrap();
            rows
        });
        format!("| name | value |\n|---|---|{rows}")
    };
    let code: Vec<_> = (0..300).map(|n| format!("    let line_{n} = \"{n}\\n\";")).collect();
    let mut blocks = vec!["# 年度报告 of everything".to_owned()];
    blocks.extend(paragraphs(0..20));
    blocks.push(table("small", 20));
    blocks.extend(paragraphs(20..50));
    blocks.push(format!("```rust\n{}\n```", code.join("\n")));
    blocks.push(table("middle", 150));
    blocks.extend(paragraphs(50..70));
    blocks.push(table("large", 900));
    blocks
}

/// Each line that carries something, without what splitting repeats.
fn lines(texts: &[&str]) -> Vec<String> {
    let added =
        |line: &str| line.starts_with("```") || line == "| name | value |" || line.contains("--");
    let lines = texts.iter().flat_map(|text| text.lines());
    let lines = lines.map(str::trim_end).filter(|line| !line.is_empty() && !added(line));
    lines.map(str::to_owned).collect()
}

fn check_report(sent: &[SentRow], via: &str, limit: usize) {
    let blocks = report();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    let expected: Vec<_> = blocks.iter().map(String::as_str).collect();
    assert_eq!(lines(&texts), lines(&expected));
    for (index, row) in sent.iter().enumerate() {
        assert_eq!((row.via, row.msgtype.as_str()), (via, "markdown"));
        assert_eq!(row.text.matches("```").count() % 2, 0, "{}", row.text);
        let (bytes, param) = match row.raw["msgParam"].as_str() {
            Some(param) => (param.len(), serde_json::from_str(param).unwrap()),
            None => (row.raw.to_string().len(), row.raw["markdown"].clone()),
        };
        assert!(bytes <= limit, "{bytes} bytes");
        let number = format!("年度报告 of everything ({}/{})", index + 1, sent.len());
        assert_eq!(param["title"], number.as_str());
    }
    // A table that fits stays whole, and a table shows: an empty line, its alignment.
    let small = blocks[21].replace("|---|---|", "|:---:|:---:|");
    assert!(texts.iter().any(|text| text.contains(&format!("\n\n{small}\n"))));
}

#[tokio::test]
async fn a_long_markdown_answer_arrives_complete_and_in_order_by_either_api() {
    let world = World::new().await;
    let text = report().join("\n\n");
    assert!(text.len() > 60_000, "{}", text.len());
    let gateway = world.start_with(Scripted::new([("report", vec![Say::markdown(text)])])).await;
    world.app.say("user0001", "report").await.unwrap();
    let ended = |rows: &[SentRow]| rows.last().is_some_and(|row| row.text.contains("large 899"));
    let all = async |before: usize| {
        eventually(
            || "the last part".to_owned(),
            || Some(world.app.sent().unwrap().split_off(before)).filter(|rows| ended(rows)),
        )
        .await
    };
    let sent = all(0).await;
    check_report(&sent, "sessionWebhook", 20_000);
    let gone = Action::code(200, "300001", "session 不存在");
    let path = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::always(path, gone)).unwrap();
    world.app.say_in_group("user0002", "Team", "report").await.unwrap();
    check_report(&all(sent.len()).await, "groupMessages", 15_000);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_long_text_arrives_verbatim() {
    let world = World::new().await;
    let text = "第一行 and **not** markdown \"x\"\n".repeat(1_000);
    let gateway = world.start_with(Scripted::new([("long", vec![Say::text(&*text)])])).await;
    world.app.say("user0001", "long").await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    let all: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(all.join("\n").trim_end(), text.trim_end());
    assert!(sent.iter().all(|row| row.msgtype == "text" && row.via == "sessionWebhook"));
    assert_eq!(gateway.stop().await, 0);
}

fn card(count: usize) -> Say {
    let button = |n| CardButton { title: format!("B{n}"), url: format!("https://b.example/{n}") };
    Say::Message(RobotMessage::ActionCard {
        title: "Choose".to_owned(),
        text: "**one**".to_owned(),
        buttons: (1..=count).map(button).collect(),
        horizontal: count == 2,
    })
}

/// Every kind that both APIs carry, what it appears as by the webhook, and by the robot API.
fn kinds() -> Vec<(Say, &'static str, &'static str)> {
    let link = RobotMessage::Link {
        title: "Page".to_owned(),
        text: "worth reading".to_owned(),
        message_url: "https://page.example".to_owned(),
        pic_url: "https://page.example/p.png".to_owned(),
    };
    let mention = RobotMessage::Mention {
        message: Box::new(RobotMessage::Text("look".to_owned())),
        user_ids: vec!["user0002".to_owned()],
        everybody: false,
    };
    vec![
        (Say::text("plain"), "text", "sampleText"),
        (Say::markdown("# Title"), "markdown", "sampleMarkdown"),
        (Say::Message(link), "link", "sampleLink"),
        (card(1), "actionCard", "sampleActionCard"),
        (card(2), "actionCard", "sampleActionCard6"),
        (card(3), "actionCard", "sampleActionCard3"),
        (card(6), "actionCard", "sampleMarkdown"),
        (Say::Message(mention), "text", "sampleText"),
    ]
}

#[tokio::test]
async fn each_kind_of_reply_is_taken_by_both_apis() {
    let world = World::new().await;
    let says: Vec<_> = kinds().into_iter().map(|(say, _, _)| say).collect();
    let count = says.len();
    let gateway = world.start_with(Scripted::new([("all", says)])).await;
    let said = world.app.say_in_group("user0001", "Team", "all").await.unwrap();
    let sent = world.app.wait_sent(count).await.unwrap();
    for (row, (_, msgtype, _)) in sent.iter().zip(kinds()) {
        assert_eq!((row.via, row.msgtype.as_str()), ("sessionWebhook", msgtype));
        assert_eq!(row.to, said.conversation_id);
    }
    let mention = &sent[count - 1];
    assert_eq!(mention.text, "look @user0002");
    assert_eq!(mention.raw["at"]["atUserIds"][0], "user0002");
    let gone = Action::code(200, "300001", "session 不存在");
    let path = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::always(path, gone)).unwrap();
    world.app.say("user0001", "all").await.unwrap();
    let sent = world.app.wait_sent(2 * count).await.unwrap().split_off(count);
    for (row, (_, _, key)) in sent.iter().zip(kinds()) {
        assert_eq!((row.via, row.raw["msgKey"].as_str()), ("batchSend", Some(key)));
        assert_eq!(row.to, "user0001");
    }
    assert_eq!(sent[count - 1].text, "look");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_voice_and_a_video_arrive_with_their_bytes_or_as_files() {
    let world = World::new().await;
    let place = |sample: Sample, name: &str| {
        let file = unique(sample, name);
        let path = world.dir.path().join(name);
        std::fs::write(&path, &file.bytes).unwrap();
        (file, path)
    };
    let (voice, voice_path) = place(Sample::Amr, "v.amr");
    let (video, video_path) = place(Sample::Mp4, "v.mp4");
    let (_, cover) = place(Sample::Png, "cover.png");
    let say_voice = |path: &std::path::Path, name: &str| Say::Voice {
        path: path.to_owned(),
        name: name.to_owned(),
        duration_ms: 1_500,
    };
    let say_video = |cover: std::path::PathBuf| Say::Video {
        path: video_path.clone(),
        name: "v.mp4".to_owned(),
        cover,
        duration_ms: 2_500,
    };
    // 2 MB and a byte are too much for a voice, and not for a file.
    let large = world.dir.path().join("large.amr");
    std::fs::write(&large, vec![7; (2 << 20) + 1]).unwrap();
    let says = vec![
        say_voice(&voice_path, "v.amr"),
        say_video(cover),
        say_voice(&voice_path, "v.mp3"),
        say_voice(&large, "large.amr"),
        say_video(world.dir.path().join("missing.png")),
        Say::File {
            kind: AttachmentKind::Audio,
            path: voice_path.clone(),
            name: "v.amr".to_owned(),
        },
    ];
    let gateway = world.start_with(Scripted::new([("play", says)])).await;
    world.app.say("user0001", "play").await.unwrap();
    let sent = world.app.wait_sent(6).await.unwrap();
    let kinds: Vec<_> = sent.iter().map(|row| row.msgtype.as_str()).collect();
    assert_eq!(kinds, ["audio", "video", "file", "file", "file", "file"]);
    for (row, file) in sent.iter().zip([&voice, &video, &voice]) {
        assert!(shows(&world, row, file));
    }
    let param = |row: &SentRow| -> serde_json::Value {
        serde_json::from_str(row.raw["msgParam"].as_str().unwrap()).unwrap()
    };
    assert_eq!(param(&sent[0])["duration"], "1500", "milliseconds");
    let shown = param(&sent[1]);
    assert_eq!((&shown["duration"], &shown["videoType"]), (&"3".into(), &"mp4".into()), "seconds");
    assert!(!shown["picMediaId"].as_str().unwrap().is_empty());
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_quote_of_an_own_message_brings_its_words_after_a_restart_too() {
    let world = World::new().await;
    let gone = Action::code(200, "300001", "session 不存在");
    let path = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::always(path, gone)).unwrap();
    let answers = || Scripted::new([("tell me", vec![Say::markdown("# Secret\n\nof *life*")])]);
    let agent = answers();
    let gateway = world.start_with(agent.clone()).await;
    world.app.say("user0001", "tell me").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    let key = sent[0].process_query_key.clone().unwrap();
    world.app.say_quoting("user0001", "what?", Quote::of_robot(&key)).await.unwrap();
    let quote = |agent: std::sync::Arc<Scripted>, count: usize| async move {
        let turns = || Some(agent.asked()).filter(|turns| turns.len() == count);
        let turns = eventually(|| "the turn".to_owned(), turns).await;
        turns.last().unwrap().quote.clone().unwrap().text
    };
    assert_eq!(quote(agent, 2).await, "# Secret\n\nof *life*");
    assert_eq!(gateway.stop().await, 0);
    let agent = answers();
    let gateway = world.start_with(agent.clone()).await;
    world.app.say_quoting("user0001", "again?", Quote::of_robot(&key)).await.unwrap();
    assert_eq!(quote(agent.clone(), 1).await, "# Secret\n\nof *life*");
    // Somebody else's chat is nobody's business.
    world.app.say_quoting("user0002", "and I?", Quote::of_robot(&key)).await.unwrap();
    assert_eq!(quote(agent, 2).await, "[a message that cannot be read]");
    assert_eq!(gateway.stop().await, 0);
}
