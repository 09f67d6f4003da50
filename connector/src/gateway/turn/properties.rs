//! Whatever a message looks like: reading it never panics, and what can be read of it is kept.
//!
//! Messages are made of the shapes in `fixtures/stream/callback_bot_*`. A message that breaks a law
//! is shown as a scenario, ready for `conformance/scenarios/hostile/`.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use dingtalk_conformance::fixtures::FixtureDir;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Reading, Turn, read};
use crate::protocol::{BotMessage, DataFrame, MsgId, SenderStaffId};

/// `data` of each robot message among the fixtures.
static SHAPES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let fixtures = FixtureDir::open(root).unwrap().fixtures().unwrap();
    let robots = fixtures.iter().filter(|f| f.name().starts_with("stream/callback_bot_"));
    let shapes: Vec<Value> = robots
        .map(|fixture| {
            let text = String::from_utf8(fixture.message().unwrap()).unwrap();
            serde_json::from_str(&DataFrame::parse(&text).unwrap().data).unwrap()
        })
        .collect();
    assert!(shapes.len() >= 42, "{}", shapes.len());
    shapes
});

fn shape() -> impl Strategy<Value = Value> {
    any::<prop::sample::Index>().prop_map(|index| index.get(&SHAPES).clone())
}

/// Any JSON, not too deep.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\[{\"\\\\u0-9a-f]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    })
}

/// The places in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let step = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                found.push(step(name));
                places(value, &step(name), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                found.push(step(&index.to_string()));
                places(value, &step(&index.to_string()), found);
            }
        }
        _ => {}
    }
}

/// What is done to one place of a message.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    TakeOut,
    /// As JSON text in a string.
    Wrap,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => junk().prop_map(Change::Replace),
        2 => Just(Change::TakeOut),
        1 => Just(Change::Wrap),
    ]
}

fn changed(message: &mut Value, place: prop::sample::Index, change: &Change) {
    let mut all = Vec::new();
    places(message, "", &mut all);
    if all.is_empty() {
        return;
    }
    let pointer = place.get(&all);
    match change {
        Change::Replace(value) => *message.pointer_mut(pointer).unwrap() = value.clone(),
        Change::Wrap => {
            let value = message.pointer_mut(pointer).unwrap();
            *value = value.to_string().into();
        }
        Change::TakeOut => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match message.pointer_mut(parent).unwrap() {
                Value::Object(members) => drop(members.remove(name)),
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                _ => {}
            }
        }
    }
}

/// A scenario that shows what a message does to a bot.
fn as_scenario(data: &str) -> String {
    let topic = "/v1.0/im/bot/messages/get";
    let headers = json!({
        "messageId": "dingmock-shrunk", "topic": topic, "contentType": "application/json",
        "time": "1780000000000",
    });
    let frame = json!({"specVersion": "1.0", "type": "CALLBACK", "headers": headers, "data": data});
    let scenario = json!({
        "title": "A message that was found by a property costs no other message",
        "checks": ["hostile-survived"],
        "patience": "10s",
        "steps": [
            {"connections": {"open": 1}},
            {"frame": {"raw": frame.to_string()}},
            {"message": {"from": "user0001", "text": "and now?"}},
            {"sent": {"texts": ["and now?"]}},
        ],
    });
    format!("{scenario:#}")
}

fn turn(data: &Value) -> Option<Turn> {
    match read(&BotMessage::parse(&data.to_string()).ok()?) {
        Reading::Turn(turn) => Some(*turn),
        _ => None,
    }
}

/// A part of a rich text, and the words or the code that it brings.
#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Picture(String),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        any::<String>().prop_map(Part::Text),
        "[a-zA-Z0-9+/=]{1,20}".prop_map(Part::Picture)
    ]
}

fn is_number(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_message_makes_the_reader_panic(
        mut message in shape(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 0..6),
    ) {
        for (place, change) in &changes {
            changed(&mut message, *place, change);
        }
        let data = message.to_string();
        let done = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(message) = BotMessage::parse(&data) {
                read(&message);
            }
        }));
        prop_assert!(done.is_ok(), "it panics; as a scenario:\n{}", as_scenario(&data));
    }

    #[test]
    fn how_a_message_is_written_changes_nothing_of_the_turn(
        message in shape(),
        numbers in prop::collection::vec(0..3_u8, 32),
        wraps: bool,
        kind_as_number: bool,
        takes_out in prop::collection::vec(any::<bool>(), 6),
        extra in junk(),
    ) {
        let mut varied = message.clone();
        let mut all = Vec::new();
        places(&varied, "", &mut all);
        all.retain(|pointer| is_number(message.pointer(pointer).unwrap()));
        for (pointer, way) in all.iter().zip(numbers) {
            let number = varied.pointer_mut(pointer).unwrap();
            match way {
                1 => *number = number.to_string().into(),
                2 => *number = number.as_f64().unwrap().into(),
                _ => {}
            }
        }
        if wraps && varied["content"].is_object() {
            varied["content"] = varied["content"].to_string().into();
        }
        if kind_as_number && let Some(kind) = varied["conversationType"].as_str() {
            varied["conversationType"] = kind.parse::<u8>().unwrap().into();
        }
        let useless = [
            "senderPlatform", "senderCorpId", "chatbotCorpId", "isAdmin", "createAt",
            "sessionWebhookExpiredTime",
        ];
        let members = varied.as_object_mut().unwrap();
        for (name, _) in useless.iter().zip(takes_out).filter(|(_, out)| *out) {
            members.remove(*name);
        }
        members.insert("somethingNew".to_owned(), extra);
        prop_assert_eq!(turn(&varied), turn(&message), "{}", varied);
    }

    #[test]
    fn words_pictures_and_ids_are_kept_in_their_order(
        parts in prop::collection::vec(part(), 1..12),
        ids in prop::array::uniform3("[!-~]{1,24}"),
        group: bool,
        as_list: bool,
    ) {
        let (mut words, mut codes, mut list) = (String::new(), Vec::new(), Vec::new());
        for part in &parts {
            match part {
                Part::Text(text) => {
                    words += text;
                    list.push(json!({"text": text}));
                }
                Part::Picture(code) => {
                    codes.push(code.clone());
                    write!(words, "[picture {}]", codes.len()).unwrap();
                    list.push(json!({"type": "picture", "downloadCode": code}));
                }
            }
        }
        let name = if as_list { "richTextList" } else { "richText" };
        let [msg_id, chat, staff] = &ids;
        let message = json!({
            "msgId": msg_id, "conversationId": chat, "senderStaffId": staff,
            "conversationType": if group { "2" } else { "1" },
            "msgtype": "richText", "content": {name: list},
        });
        let Some(turn) = turn(&message) else {
            let empty = words.trim().is_empty();
            prop_assert!(empty, "nothing was read; as a scenario:\n{}", as_scenario(&message.to_string()));
            return Ok(());
        };
        prop_assert_eq!(turn.text, words.trim());
        let got = turn.attachments.into_iter().map(|attachment| attachment.media.download_code);
        let got: Option<Vec<String>> = got.collect();
        prop_assert_eq!(got, Some(codes));
        prop_assert_eq!(turn.msg_id.as_ref().map(MsgId::as_str), Some(msg_id.as_str()));
        prop_assert_eq!(turn.conversation_id.as_str(), chat);
        prop_assert_eq!(turn.sender_staff_id.as_ref().map(SenderStaffId::as_str), Some(staff.as_str()));
    }
}

#[test]
fn what_is_shown_as_a_scenario_can_be_played() {
    let text = as_scenario(&SHAPES[0].to_string());
    let scenario = mock_dingtalk::Scenario::read(&text).unwrap();
    assert_eq!(scenario.steps(), 4);
}
