//! What people send, in every recorded shape.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mock_dingtalk::{
    App, Callback, Content, ConversationKind, Event, Media, MockDingtalk, MsgType, Quote,
    QuoteForm, SaidState, Sample, SayConversation, Speech, Variants,
};
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    fixtures::{names, shape, value},
    support::{BOT_TOPIC, Bot, data, http, open, open_body},
};

/// A bot that subscribed to every topic there is.
async fn listener(mock: &MockDingtalk, app: &App) -> Bot {
    let mut body = open_body(app);
    let topics = [
        BOT_TOPIC,
        "/v1.0/im/bot/messages/delegate",
        "/v1.0/graph/api/invoke",
        "/v1.0/card/dynamicData/get",
        "/v1.0/card/instances/callback",
    ];
    body["subscriptions"] = topics
        .iter()
        .map(|topic| json!({"type": "CALLBACK", "topic": topic}))
        .chain([json!({"type": "EVENT", "topic": "*"})])
        .collect();
    let (_, opened) = open(mock.url(), &body).await;
    let endpoint = opened["endpoint"].as_str().unwrap();
    let bot = Bot::redeem(endpoint, opened["ticket"].as_str().unwrap()).await.unwrap();
    app.wait_connections(1).await.unwrap();
    bot
}

async fn control(mock: &MockDingtalk, app: &App, call: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/_mock/apps/{}/{call}", mock.url(), app.client_id());
    let response = http().post(url).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// What has to be asked for, for each recorded frame that the generator can make.
#[expect(clippy::too_many_lines, reason = "a table")]
fn shapes() -> Vec<(&'static str, &'static str, Value)> {
    let old = json!({"msgtype": "text", "text": "the old one"});
    let say = |more: Value| {
        let mut body = json!({"from": "user0001"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let quoting = |quote: Value| say(json!({"text": "what is this?", "quote": quote}));
    let with = |mut base: Value, name: &str, value: Value| {
        base[name] = value;
        base
    };
    let picture = json!({"type": "picture"});
    let document = json!({"biz_custom_action_url": "dingtalk://dingtalkclient/page/yunpan"});
    let parts = json!([
        {"type": "at", "atName": "Bob", "atUserId": "user0002"},
        {"type": "skill", "skillData": {"skillId": "1", "displayName": "2", "iconUrl": "3"}},
        {"type": "video"}, {"type": "audio"}, {"type": "file"},
    ]);
    let quoted_parts = json!([{"text": "see: "}, picture, {"type": "at", "atName": "Bob"},
        {"type": "emoji", "content": "[smile]"}]);
    let m = "messages";
    vec![
        ("bot_text_dm", m, say(json!({"text": "hello"}))),
        (
            "bot_text_dm_without_staff_id",
            m,
            say(json!({"text": "hello", "variants": {"senderStaffId": "missing"}})),
        ),
        (
            "bot_text_empty_staff_id",
            m,
            say(json!({"text": "hello", "variants": {"senderStaffId": "empty"}})),
        ),
        (
            "bot_text_string_numbers",
            m,
            say(json!({"text": "hello", "variants": {"times": "string"}})),
        ),
        (
            "bot_rich_text",
            m,
            say(json!({"msgtype": "richText",
            "content": [{"text": "see: "}, picture, {"text": "thanks"}]})),
        ),
        ("bot_rich_text_parts", m, say(json!({"msgtype": "richText", "content": parts}))),
        (
            "bot_rich_text_list",
            m,
            say(json!({"msgtype": "richText",
            "content": {"richTextList": [{"text": "see: "}]}})),
        ),
        (
            "bot_rich_text_quoting",
            m,
            say(json!({"msgtype": "richText",
            "content": [{"text": "see: "}, picture], "quote": old})),
        ),
        ("bot_picture", m, say(json!({"msgtype": "picture"}))),
        ("bot_picture_group", m, say(json!({"msgtype": "picture", "conversation": {"type": "2"}}))),
        (
            "bot_picture_content_string",
            m,
            say(json!({"msgtype": "picture", "variants": {"content": "string"}})),
        ),
        ("bot_audio", m, say(json!({"msgtype": "audio", "text": "good morning"}))),
        (
            "bot_audio_string_duration",
            m,
            say(json!({"msgtype": "audio", "text": "good morning",
            "variants": {"duration": "string"}})),
        ),
        ("bot_video", m, say(json!({"msgtype": "video"}))),
        (
            "bot_video_string_duration",
            m,
            say(json!({"msgtype": "video", "content": {"duration": "5"}})),
        ),
        ("bot_file", m, say(json!({"msgtype": "file"}))),
        ("bot_unknown_msg_type", m, say(json!({"msgtype": "unknownMsgType"}))),
        ("bot_markdown_text", m, say(json!({"msgtype": "markdown", "text": "# Title"}))),
        (
            "bot_markdown_content",
            m,
            say(json!({"msgtype": "markdown", "content": {"text": "# Title"}})),
        ),
        ("bot_action_card", m, say(json!({"msgtype": "actionCard", "text": "hello"}))),
        ("bot_interactive_card", m, say(json!({"msgtype": "interactiveCard"}))),
        ("bot_chat_record", m, say(json!({"msgtype": "chatRecord"}))),
        (
            "bot_chat_record_list",
            m,
            say(json!({"msgtype": "chatRecord",
            "content": {"chatRecord": [{"senderNick": "Ada", "text": "hi"}]}})),
        ),
        (
            "bot_chat_record_empty",
            m,
            say(json!({"msgtype": "chatRecord", "content": {"chatRecord": "[]"}})),
        ),
        (
            "bot_quota_exhausted",
            m,
            say(json!({"text": "hello", "variants": {"quotaExhausted": true}})),
        ),
        ("bot_quote_text", m, quoting(old.clone())),
        ("bot_quote_picture", m, quoting(json!({"msgtype": "picture"}))),
        (
            "bot_quote_rich_text",
            m,
            quoting(json!({"msgtype": "richText", "content": quoted_parts})),
        ),
        ("bot_quote_file", m, quoting(json!({"msgtype": "file"}))),
        ("bot_quote_audio", m, quoting(json!({"msgtype": "audio"}))),
        ("bot_quote_video", m, quoting(json!({"msgtype": "video"}))),
        ("bot_quote_unknown_msg_type", m, quoting(json!({"msgtype": "unknownMsgType"}))),
        (
            "bot_quote_interactive_card_document",
            m,
            quoting(json!({"msgtype": "interactiveCard", "content": document})),
        ),
        ("bot_quote_chat_record", m, quoting(json!({"msgtype": "chatRecord"}))),
        (
            "bot_quote_nested",
            m,
            quoting(with(old.clone(), "quote", json!({"text": "the oldest one"}))),
        ),
        ("bot_quote_robot_card", m, quoting(json!({"processQueryKey": "dingmockcarrier0001=="}))),
        ("bot_quote_content_string", m, quoting(with(old.clone(), "contentAs", "string".into()))),
        ("bot_quote_id_only", m, quoting(with(old.clone(), "form", "idOnly".into()))),
        ("bot_quote_without_type", m, quoting(with(old.clone(), "form", "withoutType".into()))),
        ("bot_quote_message_legacy", m, quoting(with(old.clone(), "form", "quoteMessage".into()))),
        ("bot_quote_content_legacy", m, quoting(with(old, "form", "quoteContent".into()))),
        ("delegate_text", m, say(json!({"text": "hello", "variants": {"topic": "delegate"}}))),
        ("graph", "callbacks", json!({"topic": "graph"})),
        ("dynamic_data", "callbacks", json!({"topic": "dynamicData"})),
    ]
}

#[tokio::test]
async fn every_recorded_shape_can_be_asked_for_and_pushed_as_a_fixture() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = listener(&mock, &app).await;
    let mut asked = vec!["callback_bot_text_group.json".to_owned()];
    for (name, call, body) in shapes() {
        let recorded = value(&format!("stream/callback_{name}.json"));
        let (status, said) = control(&mock, &app, call, &body).await;
        assert_eq!(status, 202, "{name}: {said}");
        let made = bot.frame().await;
        let (status, _) = control(
            &mock,
            &app,
            "messages",
            &json!({"fixture": format!("stream/callback_{name}")}),
        )
        .await;
        assert_eq!(status, 202, "{name}");
        let pushed = bot.frame().await;
        for (how, frame) in [("made", made), ("pushed", pushed)] {
            assert_eq!(shape(&frame), shape(&recorded), "{name}, {how}");
            assert_eq!(frame["headers"]["topic"], recorded["headers"]["topic"], "{name}, {how}");
            let (mut frame, mut recorded) = (data(&frame), data(&recorded));
            // Only in one documented sample, and empty there.
            for data in [&mut frame, &mut recorded] {
                data.as_object_mut().unwrap().remove("ai_robot_sessionid");
            }
            assert_eq!(shape(&frame), shape(&recorded), "{name}, {how}: data");
            assert_eq!(frame["msgtype"], recorded["msgtype"], "{name}, {how}");
        }
        asked.push(format!("callback_{name}.json"));
    }
    asked.sort();
    assert_eq!(asked, names("stream", "callback_", ".json"), "every recorded callback is covered");
}

#[tokio::test]
async fn events_about_the_robots_messages_have_the_recorded_shape() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = listener(&mock, &app).await;
    for event in ["robot_msg_read", "robot_msg_recall"] {
        let body = json!({"eventType": event, "userId": "user0001", "processQueryKey": "k"});
        assert_eq!(control(&mock, &app, "events", &body).await.0, 202);
        let (frame, recorded) = (bot.frame().await, value(&format!("stream/event_{event}.json")));
        assert_eq!(shape(&frame), shape(&recorded));
        assert_eq!(shape(&data(&frame)), shape(&data(&recorded)));
        assert_eq!(frame["headers"]["eventType"], event);
        bot.ack(&frame).await;
    }
    app.robot_msg_read("user0001", "k").unwrap();
    assert_eq!(bot.frame().await["headers"]["eventType"], "robot_msg_read");
    app.robot_msg_recall("user0001", "k").unwrap();
    assert_eq!(bot.frame().await["headers"]["eventType"], "robot_msg_recall");
}

#[tokio::test]
async fn an_event_names_a_person_by_the_union_id_that_calls_give() {
    let caller = Caller::new().await;
    let mut bot = listener(&caller.mock, &caller.app).await;
    caller.app.robot_msg_read("user0001", "k").unwrap();
    let named = data(&bot.frame().await)["unionId"].clone();
    let path = format!("/topapi/user/getbyunionid?access_token={}", caller.token);
    let answer = caller.post(&path, &json!({"unionid": named})).await;
    assert_eq!(answer["body"]["result"]["userid"], "user0001", "{answer}");
}

#[tokio::test]
async fn an_event_that_is_not_answered_comes_again_with_its_event_id() {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    let mut bot = listener(&mock, &app).await;
    let body = json!({"eventType": "chat_update_title", "eventId": "dingmock-e1",
        "data": {"chatId": "c", "title": "t"}});
    assert_eq!(control(&mock, &app, "events", &body).await.0, 202);
    let first = bot.frame().await;
    assert_eq!(data(&first), json!({"chatId": "c", "title": "t"}));
    mock.clock().advance(std::time::Duration::from_secs(13));
    let again = bot.frame().await;
    assert_eq!(again["headers"]["eventId"], "dingmock-e1");
    assert_ne!(again["headers"]["messageId"], first["headers"]["messageId"]);
    let event = Event::new("user_leave_org", data(&first).as_object().unwrap().clone());
    assert_eq!(app.event(&event.event_id("dingmock-e2")).unwrap().state, SaidState::Pushed);
    assert_eq!(bot.frame().await["headers"]["eventId"], "dingmock-e2");
}

#[tokio::test]
async fn what_a_person_sends_can_be_had_by_its_download_code() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = listener(&mock, &app).await;
    let body = json!({"from": "user0001", "msgtype": "file",
        "media": {"base64": STANDARD.encode(b"the words"), "name": "a.txt", "mimeType": "text/plain"}});
    assert_eq!(control(&mock, &app, "messages", &body).await.0, 202);
    let content = data(&bot.frame().await)["content"].clone();
    assert_eq!(content["fileName"], "a.txt");
    let code = content["downloadCode"].as_str().unwrap();
    assert!(code.starts_with("dingmock"), "{code}");
    let expected = Media::new("a.txt", "text/plain", "the words");
    assert_eq!(app.inbound_media(code).unwrap(), Some(expected.clone()));
    assert_eq!(app.inbound_media("dingmock").unwrap(), None);
    assert_eq!(mock.app().inbound_media(code).unwrap(), None, "another app does not have it");

    app.say_picture("user0001", Sample::Gif.media()).await.unwrap();
    let content = data(&bot.frame().await)["content"].clone();
    for name in ["downloadCode", "pictureDownloadCode"] {
        let media = app.inbound_media(content[name].as_str().unwrap()).unwrap();
        assert_eq!(media, Some(Sample::Gif.media()), "{name}");
    }
    let parts = vec![json!({"type": "picture"}), json!({"text": "and"}), json!({"type": "file"})];
    app.say_rich_text("user0001", parts, vec![Sample::Gif.media(), expected.clone()])
        .await
        .unwrap();
    let parts = data(&bot.frame().await)["content"]["richText"].clone();
    for (part, media) in [(&parts[0], Sample::Gif.media()), (&parts[2], expected)] {
        let code = part["downloadCode"].as_str().unwrap();
        assert_eq!(app.inbound_media(code).unwrap(), Some(media));
    }
    app.push_fixture("stream/callback_bot_audio").unwrap();
    let code = data(&bot.frame().await)["content"]["downloadCode"].as_str().unwrap().to_owned();
    assert_eq!(app.inbound_media(&code).unwrap(), Some(Sample::Amr.media()));
}

#[tokio::test]
async fn the_library_has_a_verb_for_each_thing_that_people_send() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = listener(&mock, &app).await;
    app.say_audio("user0002", Sample::Amr.media(), "hello").await.unwrap();
    let message = data(&bot.frame().await);
    assert_eq!(message["content"]["recognition"], "hello");
    assert_eq!(message["senderStaffId"], "user0002");
    app.say_video("user0001", Sample::Mp4.media()).await.unwrap();
    assert_eq!(data(&bot.frame().await)["msgtype"], "video");
    app.say_file("user0001", Sample::Pdf.media()).await.unwrap();
    assert_eq!(data(&bot.frame().await)["content"]["fileName"], "sample.pdf");
    for msgtype in
        [MsgType::Unknown, MsgType::ActionCard, MsgType::InteractiveCard, MsgType::ChatRecord]
    {
        app.send("user0001", Content::of(msgtype)).await.unwrap();
        assert_eq!(data(&bot.frame().await)["msgtype"], msgtype.name());
    }
    app.send("user0001", Content::of(MsgType::Reply)).await.unwrap();
    let message = data(&bot.frame().await);
    let text = json!({"content": "", "isReplyMsg": true});
    assert_eq!((&message["msgtype"], &message["text"]), (&json!("reply"), &text));
    app.send("user0001", Content::markdown("*x*")).await.unwrap();
    assert_eq!(data(&bot.frame().await)["text"]["content"], "*x*");
    app.say_over_quota("user0001", "hello").await.unwrap();
    let message = data(&bot.frame().await);
    assert_eq!((&message["errorCode"], message.get("text")), (&json!(20001), None));
    let quote = Quote::of(Content::text("before")).msg_id("msgdingmock1==");
    let said = app.say_quoting("user0001", "what?", quote.clone()).await.unwrap();
    let message = data(&bot.frame().await);
    assert_eq!(message["msgId"], said.msg_id);
    assert_eq!(message["originalMsgId"], "msgdingmock1==");
    assert_eq!(message["text"]["repliedMsg"]["content"], json!({"text": "before"}));
    app.say_quoting("user0001", "what?", quote.form(QuoteForm::IdOnly)).await.unwrap();
    assert_eq!(data(&bot.frame().await)["text"].get("repliedMsg"), None);
    app.say_quoting("user0001", "and that?", Quote::of_robot("key")).await.unwrap();
    let message = data(&bot.frame().await);
    assert_eq!(message["originalProcessQueryKey"], "key");
    assert_eq!(message["text"]["repliedMsg"].get("content"), None);
    app.callback(&Callback::graph("GET", "/x", "")).unwrap();
    assert_eq!(data(&bot.frame().await)["requestLine"]["uri"], "/x");
    app.callback(&Callback::dynamic_data("track", "source")).unwrap();
    assert_eq!(data(&bot.frame().await)["outTrackId"], "track");
}

#[tokio::test]
async fn voice_video_and_files_are_refused_in_groups_unless_asked_for() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = listener(&mock, &app).await;
    for msgtype in ["audio", "video", "file"] {
        let mut body =
            json!({"from": "user0001", "msgtype": msgtype, "conversation": {"type": "2"}});
        let (status, answer) = control(&mock, &app, "messages", &body).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!("msgtype")), "{answer}");
        assert!(answer["error"]["allowed"].as_str().unwrap().contains("lenient"), "{answer}");
        body["lenient"] = true.into();
        assert_eq!(control(&mock, &app, "messages", &body).await.0, 202);
        assert_eq!(data(&bot.frame().await)["msgtype"], msgtype);
    }
    let group = SayConversation { kind: ConversationKind::Group, id: None, title: None };
    let content = Content::audio(Sample::Wav.media(), "x");
    let speech = Speech::new("user0001", content).conversation(group);
    assert!(app.speak(&speech).await.unwrap_err().to_string().contains("msgtype"));
    let variants = Variants { delegate: true, ..Variants::default() };
    let speech = Speech::new("user0001", Content::text("x")).variants(variants);
    app.speak(&speech).await.unwrap();
    assert_eq!(bot.frame().await["headers"]["topic"], "/v1.0/im/bot/messages/delegate");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_the_fields_name() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let deep = json!({"text": "1", "quote": {"text": "2", "quote": {"text": "3",
        "quote": {"text": "4"}}}});
    let picture = json!({"sample": "png"});
    let cases = [
        ("messages", json!({"from": "u", "msgtype": "sticker"}), "msgtype"),
        ("messages", json!({"from": "u", "msgtype": "text", "content": {"a": 1}}), "content"),
        ("messages", json!({"from": "u", "msgtype": "text"}), "text"),
        ("messages", json!({"from": "u", "text": "x", "media": picture}), "media"),
        (
            "messages",
            json!({"from": "u", "msgtype": "picture", "media": [picture, picture]}),
            "media",
        ),
        ("messages", json!({"from": "u", "msgtype": "picture", "media": "x"}), "media"),
        ("messages", json!({"from": "u", "msgtype": "picture", "media": {}}), "media"),
        (
            "messages",
            json!({"from": "u", "msgtype": "picture", "media": {"base64": "%"}}),
            "media.base64",
        ),
        (
            "messages",
            json!({"from": "u", "msgtype": "picture", "media": {"sample": "exe"}}),
            "media.sample",
        ),
        (
            "messages",
            json!({"from": "u", "msgtype": "picture", "media": {"sample": "png", "name": ""}}),
            "media.name",
        ),
        (
            "messages",
            json!({"from": "u", "msgtype": "richText", "content": [1]}),
            "content.richText",
        ),
        (
            "messages",
            json!({"from": "u", "msgtype": "richText", "content": {"richText": 1}}),
            "content.richText",
        ),
        (
            "messages",
            json!({"from": "u", "text": "x", "variants": {"times": "roman"}}),
            "variants.times",
        ),
        (
            "messages",
            json!({"from": "u", "text": "x", "quote": {"text": "y", "form": "z"}}),
            "quote.form",
        ),
        ("messages", json!({"from": "u", "text": "x", "quote": deep}), "quote.quote"),
        (
            "messages",
            json!({"from": "u", "text": "x", "quote": {"text": "y", "msgId": ""}}),
            "quote",
        ),
        ("events", json!({}), "eventType"),
        ("events", json!({"eventType": "x", "data": 1}), "data"),
        ("events", json!({"eventType": "robot_msg_read"}), "userId"),
        ("events", json!({"eventType": ""}), "eventType"),
        ("callbacks", json!({"topic": "/x"}), "data"),
        ("callbacks", json!({}), "topic"),
        ("callbacks", json!({"topic": "graph", "verb": "GET"}), "verb"),
    ];
    for (call, body, field) in cases {
        let (status, answer) = control(&mock, &app, call, &body).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!(field)), "{body}: {answer}");
    }
    assert_eq!(app.deliveries().unwrap(), [], "nothing was pushed");
}

#[tokio::test]
async fn a_person_has_one_direct_chat_whoever_opens_it() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let mut bot = Bot::connect(&mock, &app).await;
    let one = app.say("user0001", "one").await.unwrap();
    bot.frame().await;
    let fixture = app.push_fixture("stream/callback_bot_text_dm").unwrap();
    assert_eq!(fixture.conversation_id, one.conversation_id);
    assert_eq!(data(&bot.frame().await)["conversationId"], one.conversation_id);
    let two = app.say("user0001", "two").await.unwrap();
    assert_eq!(two.conversation_id, one.conversation_id);
    let speak = |from: &str, id: &str| {
        let chat = json!({"type": "1", "id": id});
        json!({"from": from, "text": "hi", "conversation": chat})
    };
    let url = format!("{}/_mock/apps/{}/messages", mock.url(), app.client_id());
    for (from, id, status) in [
        ("user0001", one.conversation_id.as_str(), 202),
        ("user0002", one.conversation_id.as_str(), 400),
        ("user0001", "cidanother", 400),
        ("user0002", "cidanother", 202),
    ] {
        let told = http().post(&url).json(&speak(from, id)).send().await.unwrap();
        assert_eq!(told.status(), status, "{from} {id}: {}", told.text().await.unwrap());
    }
}

#[tokio::test]
async fn a_title_has_its_bounds() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let apps = format!("{}/_mock/apps/{}", mock.url(), app.client_id());
    for (title, good) in [("组".repeat(85), true), ("x".repeat(256), false), (String::new(), false)]
    {
        let group = json!({"type": "2", "title": title});
        let message = json!({"from": "user0001", "text": "hi", "conversation": group});
        let robot = json!({"conversation": {"title": title}});
        for (path, body, done) in [("messages", message, 202), ("custom-robots", robot, 201)] {
            let told = http().post(format!("{apps}/{path}")).json(&body).send().await.unwrap();
            assert_eq!(told.status(), if good { done } else { 400 }, "{path} {}", title.len());
        }
    }
}
