//! The connector's readers and writers against the shared wire shapes.

use dingtalk_conformance::fixtures::{Fixture, FixtureDir};
use dingtalk_connector::credential::{ClientId, Credential};
use dingtalk_connector::protocol::{
    Ack, BotMessage, Content, ConversationType, DataFrame, Endpoint, EventAckStatus, FrameType,
    OpenConnectionRequest, RobotMessage, Subscription,
};
use dingtalk_connector::redact::Secret;
use serde_json::Value;

fn dir() -> FixtureDir {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    FixtureDir::open(root).unwrap()
}

fn json(name: &str) -> Value {
    dir().get(name).unwrap().json().unwrap()
}

/// The fixture's text, as it goes over the wire.
fn text(name: &str) -> String {
    String::from_utf8(dir().get(name).unwrap().message().unwrap()).unwrap()
}

fn frame(name: &str) -> DataFrame {
    DataFrame::parse(&text(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_frame_of_the_gateway_is_read() {
    let frames: Vec<Fixture> = dir()
        .fixtures()
        .unwrap()
        .into_iter()
        .filter(|f| {
            let from_gateway = ["stream/system_", "stream/callback_", "stream/event_"];
            from_gateway.iter().any(|kind| f.name().starts_with(kind))
        })
        .collect();
    assert!(frames.len() >= 12, "{}", frames.len());
    for fixture in &frames {
        let frame = frame(fixture.name());
        let expected = match fixture.name().split(['/', '_']).nth(1) {
            Some("system") => FrameType::System,
            Some("event") => FrameType::Event,
            _ => FrameType::Callback,
        };
        assert_eq!(frame.frame_type, expected, "{}", fixture.name());
        assert!(!frame.headers.topic.is_empty(), "{}", fixture.name());
        if fixture.name().starts_with("stream/callback_bot") {
            let message = BotMessage::parse(&frame.data).unwrap();
            assert!(message.msg_id.is_some(), "{}", fixture.name());
            assert!(message.session_webhook.is_some(), "{}", fixture.name());
            assert!(message.session_webhook_expired_time.is_some(), "{}", fixture.name());
            assert!(message.create_at.is_some(), "{}", fixture.name());
            assert!(!message.is_own(), "{}", fixture.name());
        }
    }
    println!("{} frames", frames.len());
}

#[test]
fn a_group_message_loses_the_blank_of_its_mention() {
    let message = BotMessage::parse(&frame("stream/callback_bot_text_group").data).unwrap();
    assert_eq!(message.conversation_type, ConversationType::Group);
    let Content::Text(text) = message.content else { panic!("{:?}", message.content) };
    assert_eq!(text, text.trim());
    assert!(!text.is_empty());
}

#[test]
fn a_direct_message_may_come_without_a_staff_id() {
    let with = BotMessage::parse(&frame("stream/callback_bot_text_dm").data).unwrap();
    let without =
        BotMessage::parse(&frame("stream/callback_bot_text_dm_without_staff_id").data).unwrap();
    assert_eq!(with.conversation_type, ConversationType::Direct);
    assert!(with.sender_staff_id.is_some());
    assert_eq!(without.sender_staff_id, None);
}

#[test]
fn frames_without_a_message_id_are_taken() {
    for name in
        ["stream/system_ping_without_message_id", "stream/system_disconnect_without_message_id"]
    {
        assert_eq!(frame(name).headers.message_id, None, "{name}");
    }
}

#[test]
fn acks_are_written_as_documented() {
    let ack = |frame_name: &str, ack: fn(&DataFrame) -> Ack| -> Value {
        let frame = frame(frame_name);
        serde_json::from_str(&ack(&frame).encode(frame.headers.message_id.as_ref())).unwrap()
    };
    for (written, documented) in [
        (ack("stream/system_ping", |f| Ack::ping(f.data.as_str())), "stream/ack_system_ping"),
        (
            ack("stream/callback_bot_text_group", |_| Ack::callback(&Value::Null)),
            "stream/ack_callback_bot",
        ),
        (
            ack("stream/event_user_add_org", |_| Ack::event(EventAckStatus::Success)),
            "stream/ack_event",
        ),
        (
            ack("stream/event_user_add_org", |_| Ack::event(EventAckStatus::Later)),
            "stream/ack_event_later",
        ),
    ] {
        let mut documented_ack = json(documented);
        let mut written = written;
        // Which frame is acked is the example's choice; that its id comes back is checked elsewhere.
        for ack in [&mut documented_ack, &mut written] {
            assert!(ack["headers"]["messageId"].take().is_string(), "{documented}");
        }
        // `message` beside the status is optional.
        assert_eq!(written, documented_ack, "{documented}");
    }
}

#[test]
fn messages_are_written_as_documented() {
    let text_body = |name: &str| json(name)["text"]["content"].as_str().unwrap().to_owned();
    let mut documented = json("openapi/send_by_session_text.request");
    let message = RobotMessage::Text(text_body("openapi/send_by_session_text.request"));
    assert_eq!(message.webhook_body(), Some(documented.clone()));

    documented = json("openapi/send_by_session_markdown.request");
    // Mentions come with a later issue.
    documented.as_object_mut().unwrap().remove("at");
    let string = |value: &Value| value.as_str().unwrap().to_owned();
    let message = RobotMessage::Markdown {
        title: string(&documented["markdown"]["title"]),
        text: string(&documented["markdown"]["text"]),
    };
    assert_eq!(message.webhook_body(), Some(documented.clone()));

    for name in ["openapi/batch_send_text.request", "openapi/batch_send_markdown.request"] {
        let documented = json(name);
        let param: Value = serde_json::from_str(documented["msgParam"].as_str().unwrap()).unwrap();
        let message = match param["content"].as_str() {
            Some(content) => RobotMessage::Text(content.to_owned()),
            None => RobotMessage::Markdown {
                title: string(&param["title"]),
                text: string(&param["text"]),
            },
        };
        assert_eq!(message.msg_key(), documented["msgKey"], "{name}");
        assert_eq!(serde_json::from_str::<Value>(&message.msg_param()).unwrap(), param, "{name}");
    }
}

#[test]
fn the_open_call_is_written_and_read_as_documented() {
    let credential = Credential {
        client_id: ClientId::new("dingmockclient0001"),
        client_secret: Secret::new("dingmocksecret0001"),
        place: "the test".to_owned(),
    };
    let subscriptions = [Subscription { kind: "CALLBACK", topic: "/v1.0/im/bot/messages/get" }];
    let written =
        serde_json::to_value(OpenConnectionRequest::new(&credential, &subscriptions)).unwrap();
    let documented = json("gateway/connections_open.request");
    for (key, value) in written.as_object().unwrap() {
        let like = &documented[key];
        match key.as_str() {
            "subscriptions" => {
                let one = &value.as_array().unwrap()[0];
                assert!(like.as_array().unwrap().contains(one), "{one} is a documented form");
            }
            "ua" => assert!(value.as_str().unwrap().contains("-sdk-rust/"), "{value}"),
            _ => assert_eq!(value, like, "{key}"),
        }
    }
    let endpoint = Endpoint::parse(&text("gateway/connections_open.response")).unwrap();
    let documented = json("gateway/connections_open.response");
    assert!(
        endpoint.url_with_ticket().as_str().ends_with(documented["ticket"].as_str().unwrap()),
        "{endpoint:?}"
    );
}
