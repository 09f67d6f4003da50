//! `sendBySession`, and the bodies that it shares with the custom robot's webhook.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Page, fixture};
use crate::{
    caller::{Caller, with},
    support::{Bot, data},
};

/// Bodies of the documented types: right ones, and each with something amiss.
pub(super) fn bodies() -> Vec<(&'static str, Value)> {
    let text = fixture!("send_by_session_text");
    let markdown = fixture!("send_by_session_markdown");
    let link = json!({"title": "T", "text": "b", "picUrl": "https://example.com/p.png",
        "messageUrl": "https://example.com"});
    let single = json!({"title": "T", "text": "b", "singleTitle": "Open",
        "singleURL": "https://example.com", "btnOrientation": "0"});
    let button = json!({"title": "A", "actionURL": "https://example.com/a"});
    let several = json!({"title": "T", "text": "b", "btnOrientation": "1", "btns": [button]});
    let feed = json!({"title": "1", "messageURL": "https://example.com",
        "picURL": "https://example.com/p.png"});
    let of = |msgtype: &str, part: &Value, changes: Value| json!({"msgtype": msgtype, msgtype: with(part, &changes)});
    let (words, page) = (&text["text"], &markdown["markdown"]);
    let links = |changes: Value| json!({"msgtype": "feedCard", "feedCard": {"links": changes}});
    let buttons = |list: Value| of("actionCard", &several, json!({"btns": list}));
    vec![
        ("text", text.clone()),
        ("text, at nobody in particular", fixture!("send_by_session_text_python")),
        ("text, at all", with(&text, &json!({"at": {"isAtAll": true}}))),
        ("markdown", markdown.clone()),
        ("link", of("link", &link, json!({}))),
        ("link without picture", of("link", &link, json!({"picUrl": null}))),
        ("actionCard with one button", of("actionCard", &single, json!({}))),
        ("actionCard with buttons", buttons(json!([button, button]))),
        ("feedCard", links(json!([feed, feed]))),
        ("empty", json!({"msgtype": "empty"})),
        ("no msgtype", json!({"text": {"content": "hi"}})),
        ("msgtype as a number", json!({"msgtype": 1})),
        ("an empty msgtype", json!({"msgtype": ""})),
        ("msgtype in other letters", json!({"msgtype": "Text", "Text": {"content": "hi"}})),
        ("text, no part", json!({"msgtype": "text"})),
        ("text as a string", json!({"msgtype": "text", "text": "hi"})),
        ("text, no content", of("text", words, json!({"content": null}))),
        ("text, empty content", of("text", words, json!({"content": ""}))),
        ("text, content as a number", of("text", words, json!({"content": 1}))),
        ("markdown, no title", of("markdown", page, json!({"title": null}))),
        ("markdown, no text", of("markdown", page, json!({"text": null}))),
        ("link, no title", of("link", &link, json!({"title": null}))),
        ("link, no text", of("link", &link, json!({"text": null}))),
        ("link, no messageUrl", of("link", &link, json!({"messageUrl": null}))),
        ("link, messageURL", of("link", &link, json!({"messageUrl": null, "messageURL": "x"}))),
        ("actionCard, no title", of("actionCard", &single, json!({"title": null}))),
        ("actionCard, no text", of("actionCard", &single, json!({"text": null}))),
        ("actionCard, no singleTitle", of("actionCard", &single, json!({"singleTitle": null}))),
        ("actionCard, no singleURL", of("actionCard", &single, json!({"singleURL": null}))),
        ("actionCard, no buttons", buttons(json!([]))),
        ("actionCard, btns as an object", buttons(json!({}))),
        ("actionCard, a button without title", buttons(json!([{"actionURL": "x"}]))),
        ("actionCard, a button without actionURL", buttons(json!([{"title": "A"}]))),
        ("feedCard, no part", json!({"msgtype": "feedCard"})),
        ("feedCard, no links", links(json!([]))),
        ("feedCard, no title", links(json!([with(&feed, &json!({"title": null}))]))),
        ("feedCard, no messageURL", links(json!([with(&feed, &json!({"messageURL": null}))]))),
        ("feedCard, no picURL", links(json!([feed, with(&feed, &json!({"picURL": null}))]))),
        ("image", fixture!("send_by_session_image")),
        ("file", fixture!("send_by_session_file")),
        ("video", fixture!("send_by_session_video")),
        ("voice", fixture!("reply_voice")),
        ("a msgtype of nobody", json!({"msgtype": "location", "location": {}})),
    ]
}

/// Text of so many bytes as JSON.
pub(super) fn text_of(bytes: usize) -> String {
    let envelope = json!({"msgtype": "text", "text": {"content": ""}}).to_string().len();
    json!({"msgtype": "text", "text": {"content": "a".repeat(bytes - envelope)}}).to_string()
}

#[tokio::test]
async fn send_by_session() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", "/robot/sendBySession");
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    caller.app.say("user0001", "hi").await.unwrap();
    let webhook = data(&bot.frame().await)["sessionWebhook"].as_str().unwrap().to_owned();
    let path = webhook.strip_prefix(caller.mock.url()).unwrap().to_owned();
    for (name, body) in bodies() {
        page.case(name, caller.bare("POST", &path).json(&body)).await;
    }
    let image = fixture!("send_by_session_image");
    let file = fixture!("send_by_session_file");
    let video = fixture!("send_by_session_video");
    for (name, body) in [
        ("image by media_id", json!({"msgtype": "image", "image": {"media_id": "@lALPx"}})),
        ("image, neither", with(&image, &json!({"image": {}}))),
        ("file by media_id", with(&file, &json!({"file": {"media_id": "@lALPx"}}))),
        ("file, no id", with(&file, &json!({"file": {"fileName": "a.pdf"}}))),
        ("video by mediaId", with(&video, &json!({"video": {"mediaId": "$x", "duration": "5"}}))),
        ("video, no id", with(&video, &json!({"video": {"duration": "5"}}))),
        ("video, no duration", with(&video, &json!({"video": {"videoMediaId": "$x"}}))),
    ] {
        page.case(name, caller.bare("POST", &path).json(&body)).await;
    }
    page.no_object(&caller, &path).await;
    let typed = |kind: &str, body: String| {
        caller.bare("POST", &path).header("content-type", kind).body(body)
    };
    let right = text_of(100);
    let other = typed("application/x-www-form-urlencoded", right.clone());
    page.case("another Content-Type", other).await;
    page.case("no Content-Type", caller.bare("POST", &path).body(right.clone())).await;
    let charset = typed("application/json;charset=utf-8", right.clone());
    page.case("Content-Type with a charset", charset).await;
    page.case("20,000 bytes", typed("application/json", text_of(20_000))).await;
    page.case("20,001 bytes", typed("application/json", text_of(20_001))).await;
    let token = caller.request("POST", &path).json(&fixture!("send_by_session_text"));
    page.case("with a token, which nobody reads", token).await;
    caller.control("limits", &json!({"undocumentedReplies": false})).await;
    for (name, body) in [("image", &image), ("file", &file), ("video", &video)] {
        let name = format!("{name}, where the app takes documented types only");
        page.case(&name, caller.bare("POST", &path).json(body)).await;
    }
    let right = || fixture!("send_by_session_text");
    for (name, path) in [
        ("no session", "/robot/sendBySession".to_owned()),
        ("an empty session", "/robot/sendBySession?session=".to_owned()),
        ("a session of nobody", "/robot/sendBySession?session=0123".to_owned()),
        ("a session that the app never had", format!("{}0000", &path[..path.len() - 4])),
    ] {
        page.case(name, caller.bare("POST", &path).json(&right())).await;
    }
    caller.app.clock().advance(Duration::from_mins(90) - Duration::from_secs(1));
    page.case("one second before the end", caller.bare("POST", &path).json(&right())).await;
    caller.app.clock().advance(Duration::from_secs(1));
    page.case("after 90 minutes", caller.bare("POST", &path).json(&right())).await;
    page.done();
}
