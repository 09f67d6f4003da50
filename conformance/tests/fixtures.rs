//! The real fixtures are found by name, hang together, and are what their names say.

use std::path::Path;

use dingtalk_conformance::fixtures::FixtureDir;
use serde_json::Value;

fn real_folder() -> FixtureDir {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    FixtureDir::open(path).expect("the workspace has fixtures")
}

#[test]
fn every_folder_of_fixtures_is_populated() {
    let fixtures = real_folder().fixtures().unwrap();
    for folder in ["gateway", "stream", "openapi", "hostile"] {
        let count = fixtures.iter().filter(|fixture| fixture.folder() == folder).count();
        println!("{folder}: {count}");
        assert!(count > 0, "{folder} is empty");
    }
}

#[test]
fn no_two_real_fixtures_share_a_name_and_each_is_found_by_it() {
    let dir = real_folder();
    let fixtures = dir.fixtures().unwrap();
    for fixture in &fixtures {
        assert_eq!(&dir.get(fixture.name()).unwrap(), fixture);
    }
}

#[test]
fn a_message_is_the_file_without_its_last_line_feed() {
    let dir = real_folder();
    let ack = dir.get("stream/ack_system_ping").unwrap().message().unwrap();
    assert_eq!(ack.last(), Some(&b'}'));
    // Hostile bytes are not touched.
    let huge = dir.get("hostile/huge_300kb").unwrap().message().unwrap();
    assert_eq!((huge.len(), huge.last()), (300 * 1024, Some(&b'\n')));
    assert_eq!(dir.get("hostile/empty.txt").unwrap().message().unwrap(), b"");
}

#[test]
fn each_ack_answers_a_frame_that_is_there() {
    let dir = real_folder();
    let fixtures = dir.fixtures().unwrap();
    let message_id = |name: &str| {
        let id = dir.get(name).unwrap().json().unwrap()["headers"]["messageId"].clone();
        id.as_str().map(str::to_owned)
    };
    let asked: Vec<String> = fixtures
        .iter()
        .filter(|fixture| fixture.is_json())
        .filter(|fixture| fixture.folder() == "stream" && !fixture.name().contains("/ack_"))
        .filter_map(|fixture| message_id(fixture.name()))
        .chain(message_id("hostile/unknown_callback_topic"))
        .collect();
    let acks: Vec<_> =
        fixtures.iter().filter(|fixture| fixture.name().starts_with("stream/ack_")).collect();
    println!("{} acks, {} frames with a messageId", acks.len(), asked.len());
    assert!(!acks.is_empty());
    for ack in acks {
        let id = message_id(ack.name()).expect("an ack has a messageId");
        assert!(asked.contains(&id), "{} answers {id}, which no frame has", ack.name());
    }
}

/// Bytes of a fixture of `hostile/`.
fn hostile(name: &str) -> Vec<u8> {
    let fixture = real_folder().get(&format!("hostile/{name}")).expect("the fixture is there");
    fixture.message().expect("the fixture can be read")
}

/// What `data` of a hostile frame holds, as text.
fn hostile_data(name: &str) -> String {
    let frame: Value = serde_json::from_slice(&hostile(name)).expect("the frame itself is JSON");
    frame["data"].as_str().expect("data is a string").to_owned()
}

#[test]
fn hostile_frames_are_hostile_in_the_way_their_names_say() {
    for name in ["truncated.txt", "not_json.txt", "empty.txt", "lone_surrogate"] {
        let error = serde_json::from_slice::<Value>(&hostile(name));
        assert!(error.is_err(), "{name} is JSON after all");
    }
    for name in ["data_not_json", "deep_nesting", "lone_surrogate_in_data"] {
        let error = serde_json::from_str::<Value>(&hostile_data(name));
        assert!(error.is_err(), "data of {name} is JSON after all");
    }
    assert!(std::str::from_utf8(&hostile("invalid_utf8.bin")).is_err());
    assert_eq!(hostile_data("deep_nesting"), "[".repeat(2000) + &"]".repeat(2000));
    assert!(hostile_data("nul_in_text").contains("\\u0000"));
    let repeated = String::from_utf8(hostile("duplicate_keys")).unwrap();
    for key in ["\"type\":", "\"messageId\":", "\\\"text\\\":"] {
        assert_eq!(repeated.matches(key).count(), 2, "{key}");
    }
}

#[test]
fn the_huge_frame_is_a_good_message_of_300_kib() {
    assert_eq!(hostile("huge_300kb").len(), 300 * 1024);
    let message: Value = serde_json::from_str(&hostile_data("huge_300kb")).unwrap();
    let text = message["text"]["content"].as_str().unwrap();
    assert!(text.starts_with("line 000000 line 000001 ") && text.len() > 300_000);
}

#[test]
fn no_hostile_frame_leads_a_bot_to_dingtalk() {
    let fixtures = real_folder().fixtures().unwrap();
    let hostile: Vec<_> = fixtures.iter().filter(|fixture| fixture.is_hostile()).collect();
    assert!(!hostile.is_empty());
    for fixture in hostile {
        let bytes = fixture.message().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("dingtalk.com"), "{} names DingTalk", fixture.name());
    }
}
