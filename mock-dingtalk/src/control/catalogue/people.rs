//! What people and the corporation do.

use axum::{extract::DefaultBodyLimit, routing::post};

use super::{Call, Content, Parameter, get, schema};
use crate::control::{api_state, cards, messages, pushes, speech};

pub(super) static CALLS: &[Call] = &[
    Call::post("/_mock/apps/{clientId}/messages", "speak", "a person speaks", || {
        post(messages::speak).layer(DefaultBodyLimit::max(speech::MAX_BODY))
    })
    .body(
        schema::message,
        &[
            r#"{"from":"user0001","text":"hi"}"#,
            r#"{"from":"user0001","text":"hi","conversation":{"type":"2","title":"Team"}}"#,
            r#"{"from":"user0001","msgtype":"richText","content":[{"text":"see"},{"type":"picture"}]}"#,
            r#"{"from":"user0001","msgtype":"file","media":{"sample":"pdf","name":"plan.pdf"}}"#,
            r#"{"from":"user0001","text":"this?","quote":{"text":"that","form":"idOnly"}}"#,
            r#"{"from":"user0001","text":"hi","variants":{"times":"string","topic":"delegate"}}"#,
            r#"{"fixture":"stream/callback_bot_text_dm"}"#,
        ],
    )
    .answers(202, Content::Of("Said"))
    .twins(&[
        "App::say",
        "App::say_in_group",
        "App::say_with",
        "App::speak",
        "App::send",
        "App::say_picture",
        "App::say_audio",
        "App::say_video",
        "App::say_file",
        "App::say_rich_text",
        "App::say_quoting",
        "App::say_over_quota",
        "App::push_fixture",
    ])
    .verb("say"),
    Call::post("/_mock/apps/{clientId}/events", "pushEvent", "an EVENT frame", || {
        post(pushes::event)
    })
    .body(schema::event, &[r#"{"eventType":"chat_update_title","data":{"Title":"x"}}"#])
    .answers(202, Content::Of("Said"))
    .twins(&["App::event", "App::robot_msg_read", "App::robot_msg_recall"])
    .verb("event"),
    Call::post(
        "/_mock/apps/{clientId}/callbacks",
        "pushCallback",
        "a CALLBACK of another topic than robot messages",
        || post(pushes::callback),
    )
    .body(
        schema::callback,
        &[
            r#"{"topic":"graph","method":"GET","uri":"/x","body":"{}"}"#,
            r#"{"topic":"dynamicData","outTrackId":"card-1"}"#,
            r#"{"topic":"/v1.0/some/topic","data":{"a":1}}"#,
        ],
    )
    .answers(202, Content::Of("Said"))
    .twins(&["App::callback"])
    .verb("callback"),
    Call::post(
        "/_mock/apps/{clientId}/card-actions",
        "pressCard",
        "a person presses a button of a card; the answer is due within 2 s",
        || post(cards::press),
    )
    .body(schema::press, &[])
    .answers(202, Content::Of("Said"))
    .twins(&["App::press"])
    .verb("press"),
    Call::get(
        "/_mock/apps/{clientId}/custom-robots",
        "listCustomRobots",
        "the custom robots in groups, in the order of minting",
        || get(cards::custom_robots),
    )
    .twins(&["App::custom_robots"])
    .verb("custom-robots list"),
    Call::post(
        "/_mock/apps/{clientId}/custom-robots",
        "addCustomRobot",
        "puts a custom robot into a group, with a webhook of its own",
        || post(cards::add_custom_robot),
    )
    .body(
        schema::custom_robot,
        &[
            "{}",
            r#"{"conversation":{"type":"2","title":"Team"},"secret":"","keywords":["build"]}"#,
            r#"{"ipWhitelist":["127.0.0.1"]}"#,
        ],
    )
    .answers(201, Content::Json)
    .twins(&["App::custom_robot"])
    .verb("custom-robots add"),
    Call::post(
        "/_mock/apps/{clientId}/files",
        "addFile",
        "a person's file, whose downloadCode a message would carry",
        || post(api_state::add_file),
    )
    .query(&[
        Parameter::text("name", "the file's name; `file` if not given"),
        Parameter::text("conversation", "the id of a group, in whose space it stands then"),
    ])
    .bytes()
    .answers(201, Content::Json)
    .twins(&["App::add_file", "App::add_group_file"])
    .verb("files add"),
    Call::get(
        "/_mock/apps/{clientId}/media/{id}",
        "showMedia",
        "the bytes of a file, uploaded by the robot or sent by a person",
        || get(api_state::media),
    )
    .answers(200, Content::Other("application/octet-stream"))
    .twins(&["App::inbound_media"])
    .verb("files get"),
    Call::post("/_mock/apps/{clientId}/reads", "read", "a person reads a message", || {
        post(api_state::read)
    })
    .body(schema::read, &[])
    .answers(204, Content::Nothing)
    .twins(&["App::read"])
    .verb("read"),
];
