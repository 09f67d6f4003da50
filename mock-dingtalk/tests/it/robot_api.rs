//! The robot's OpenAPI: into chats, back out of them, who read it, reactions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    caller::{Caller, shown, with},
    support::{Bot, data},
};

/// Answers of one call, case by case.
async fn answers(caller: &Caller, path: &str, right: &Value, cases: &[(&str, Value)]) -> Value {
    let mut shown = serde_json::Map::new();
    for (name, changes) in cases {
        let answer = caller.post(path, &with(right, changes)).await;
        shown.insert((*name).to_owned(), answer);
    }
    Value::Object(shown)
}

#[tokio::test]
async fn a_message_into_a_group_is_answered_with_its_key_or_the_fault_in_it() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    let right = json!({
        "robotCode": caller.app.robot_code(),
        "openConversationId": group,
        "msgKey": "sampleMarkdown",
        "msgParam": "{\"title\":\"T\",\"text\":\"# hi\"}",
    });
    let long = json!({"content": "a".repeat(15_000)}).to_string();
    let path = "/v1.0/robot/groupMessages/send";
    let cases = [
        ("right", json!({})),
        ("with the code of a cool app", json!({"coolAppCode": "COOLAPP-1-mock"})),
        ("no robot", json!({"robotCode": null})),
        ("another robot", json!({"robotCode": "dingmockother"})),
        ("no chat", json!({"openConversationId": null})),
        ("unknown chat", json!({"openConversationId": "cidunknown=="})),
        ("a direct chat", json!({"openConversationId": direct})),
        ("no msgKey", json!({"msgKey": ""})),
        ("unknown msgKey", json!({"msgKey": "sampleFeedCard"})),
        ("msgParam as an object", json!({"msgParam": {"title": "T", "text": "x"}})),
        ("no title", json!({"msgParam": "{\"text\":\"x\"}"})),
        ("too long", json!({"msgKey": "sampleText", "msgParam": long})),
    ];
    insta::assert_json_snapshot!(answers(&caller, path, &right, &cases).await);
    insta::assert_json_snapshot!("group_message_rows", caller.sent());
    let wrong = caller.request("POST", path).body("{").send().await.unwrap();
    assert_eq!(shown(wrong).await["body"]["code"], "invalidParameter.param.invalid");
}

#[tokio::test]
async fn a_message_between_two_people_needs_the_code_of_a_cool_app() {
    let caller = Caller::new().await;
    let chat = caller.app.say("user0002", "hi").await.unwrap().conversation_id;
    let right = json!({
        "robotCode": caller.app.robot_code(),
        "openConversationId": chat,
        "coolAppCode": "COOLAPP-1-mock",
        "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    });
    let group = caller.group().await;
    let cases = [
        ("right", json!({})),
        ("no code", json!({"coolAppCode": null})),
        ("a group", json!({"openConversationId": group})),
    ];
    let path = "/v1.0/robot/privateChatMessages/send";
    insta::assert_json_snapshot!(answers(&caller, path, &right, &cases).await);
    assert_eq!(caller.sent()[0]["to"], "user0002");
}

/// One message to each kind of chat: keys and chats.
async fn sent_three(caller: &Caller) -> [(String, Value); 3] {
    let robot = caller.app.robot_code();
    let group = caller.group().await;
    let chat = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    let message = json!({
        "robotCode": robot,
        "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    });
    let calls = [
        ("oToMessages/batchSend", json!({"userIds": ["user0001", "user0002"]})),
        ("groupMessages/send", json!({"openConversationId": group})),
        (
            "privateChatMessages/send",
            json!({"openConversationId": chat, "coolAppCode": "COOLAPP-1-mock"}),
        ),
    ];
    let mut sent = Vec::new();
    for (path, more) in calls {
        let path = format!("/v1.0/robot/{path}");
        let answer = caller.post(&path, &with(&message, &more)).await;
        let key = answer["body"]["processQueryKey"].as_str().unwrap().to_owned();
        sent.push((key, more["openConversationId"].clone()));
    }
    sent.try_into().unwrap()
}

#[tokio::test]
async fn a_message_is_recalled_by_the_call_of_its_kind_within_a_day() {
    let mut caller = Caller::new().await;
    let [(direct, _), (group, team), (private, chat)] = sent_three(&caller).await;
    let base = json!({"robotCode": caller.app.robot_code()});
    let otos = "/v1.0/robot/otoMessages/batchRecall";
    let many: Vec<String> = (0..21).map(|n| format!("key{n}")).collect();
    let cases = [
        ("a key and a wrong one", json!({"processQueryKeys": [direct, "nokey"]})),
        ("twice", json!({"processQueryKeys": [direct]})),
        ("only wrong ones", json!({"processQueryKeys": ["nokey"]})),
        ("a key of a group", json!({"processQueryKeys": [group]})),
        ("too many", json!({"processQueryKeys": many})),
        ("none", json!({"processQueryKeys": []})),
        ("no robot", json!({"processQueryKeys": [direct], "robotCode": null})),
    ];
    insta::assert_json_snapshot!(answers(&caller, otos, &base, &cases).await);
    let other_case = "/v1.0/robot/oToMessages/batchRecall";
    let body = with(&base, &json!({"processQueryKeys": [direct]}));
    insta::assert_json_snapshot!("recall_in_other_letters", caller.post(other_case, &body).await);
    let team = |keys: Value| json!({"openConversationId": team, "processQueryKeys": keys});
    let path = "/v1.0/robot/groupMessages/recall";
    let cases = [
        ("right", team(json!([group]))),
        ("a key of another chat", team(json!([private]))),
        ("no chat", json!({"processQueryKeys": [group]})),
    ];
    insta::assert_json_snapshot!("recall_group", answers(&caller, path, &base, &cases).await);
    let body = with(&base, &json!({"openConversationId": chat, "processQueryKeys": [private]}));
    let path = "/v1.0/robot/privateChatMessages/batchRecall";
    let answer = caller.post(path, &body).await;
    assert_eq!(answer["body"], json!({"successResult": [private], "failedResult": {}}));
    let rows = caller.sent();
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().all(|row| row["recalled"] == true), "{rows:?}");
    caller.mock.clock().advance(Duration::from_hours(24));
    caller.renew().await;
    let body = with(&base, &json!({"processQueryKeys": [direct]}));
    let late = caller.post(otos, &body).await;
    assert_eq!(late["body"]["code"], "robot.processQueryKey.expired");
}

#[tokio::test]
async fn who_read_a_message_is_told_for_a_day() {
    let mut caller = Caller::new().await;
    let [(direct, _), (group, team), (private, chat)] = sent_three(&caller).await;
    let robot = caller.app.robot_code().to_owned();
    let status = |robot: &str, key: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("robotCode", robot)
            .append_pair("processQueryKey", key)
            .finish();
        format!("/v1.0/robot/oToMessages/readStatus?{query}")
    };
    caller.control("reads", &json!({"userId": "user0002", "processQueryKey": direct})).await;
    for user in ["user0001", "user0003"] {
        caller.control("reads", &json!({"userId": user, "processQueryKey": group})).await;
    }
    let right = json!({
        "robotCode": robot, "openConversationId": team, "processQueryKey": group,
    });
    let path = "/v1.0/robot/groupMessages/query";
    let cases = [
        ("all", json!({})),
        ("first page", json!({"maxResults": 1})),
        ("second page", json!({"maxResults": 1, "nextToken": "1"})),
        ("page too large", json!({"maxResults": 201})),
        ("token of nothing", json!({"nextToken": "x"})),
        ("unknown key", json!({"processQueryKey": "nokey"})),
        ("a key of another chat", json!({"processQueryKey": private})),
        ("no key", json!({"processQueryKey": null})),
    ];
    insta::assert_json_snapshot!("group_readers", answers(&caller, path, &right, &cases).await);
    let body = with(&right, &json!({"openConversationId": chat, "processQueryKey": private}));
    let path = "/v1.0/robot/privateChatMessages/query";
    insta::assert_json_snapshot!("private_readers", caller.post(path, &body).await);
    let seen = json!({
        "one of two read it": caller.get(&status(&robot, &direct)).await,
        "no robot": caller.get(&status("", &direct)).await,
        "unknown key": caller.get(&status(&robot, "nokey")).await,
    });
    insta::assert_json_snapshot!("direct_readers", seen);
    let recall = json!({"robotCode": robot, "processQueryKeys": [direct]});
    caller.post("/v1.0/robot/otoMessages/batchRecall", &recall).await;
    assert_eq!(caller.get(&status(&robot, &direct)).await["body"]["sendStatus"], "RECALLED");
    caller.mock.clock().advance(Duration::from_hours(24));
    caller.renew().await;
    let late = caller.get(&status(&robot, &direct)).await;
    assert_eq!(late["body"]["code"], "processQueryKey.expireTime");
}

#[tokio::test]
async fn reactions_are_kept_for_each_message_and_are_no_messages() {
    let caller = Caller::new().await;
    let said = caller.app.say("user0001", "hi").await.unwrap();
    let right = json!({
        "robotCode": caller.app.robot_code(),
        "openMsgId": said.msg_id,
        "openConversationId": said.conversation_id,
        "emotionType": 2,
        "emotionName": "🤔思考中",
        "textEmotion": {
            "emotionId": "2659900",
            "emotionName": "🤔思考中",
            "text": "🤔思考中",
            "backgroundId": "im_bg_1",
        },
    });
    let cases = [
        ("right", json!({})),
        ("again", json!({})),
        ("unknown message", json!({"openMsgId": "msgnone=="})),
        ("another chat", json!({"openConversationId": "cidnone=="})),
        ("no chat", json!({"openConversationId": null})),
        ("no type", json!({"emotionType": "2"})),
        ("no name", json!({"emotionName": ""})),
        ("no words", json!({"textEmotion": {"emotionId": "1"}})),
    ];
    let path = "/v1.0/robot/emotion/reply";
    insta::assert_json_snapshot!(answers(&caller, path, &right, &cases).await);
    let rows = caller.control("reactions", &Value::Null).await;
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(rows[0]["openMsgId"], json!(said.msg_id));
    assert_eq!(rows[0]["emotionName"], "🤔思考中");
    let path = "/v1.0/robot/emotion/recall";
    let cases = [("right", json!({})), ("again", json!({}))];
    insta::assert_json_snapshot!("recalled_reaction", answers(&caller, path, &right, &cases).await);
    assert_eq!(caller.control("reactions", &Value::Null).await, json!([]));
    assert_eq!(caller.sent(), json!([]));
}

#[tokio::test]
async fn the_unified_token_call_gives_the_same_token() {
    let caller = Caller::new().await;
    let right = json!({
        "client_id": caller.app.client_id(),
        "client_secret": caller.app.client_secret(),
        "grant_type": "client_credentials",
    });
    let path = format!("/v1.0/oauth2/{}/token", caller.app.info().corp_id);
    let answer = caller.post(&path, &right).await;
    assert_eq!(answer["body"], json!({"access_token": caller.token, "expires_in": 7200}));
    let cases = [
        ("wrong secret", json!({"client_secret": "x"})),
        ("wrong grant", json!({"grant_type": "password"})),
    ];
    let mut seen = answers(&caller, &path, &right, &cases).await;
    seen["another corporation"] = caller.post("/v1.0/oauth2/dingother/token", &right).await;
    seen["no body"] = shown(caller.bare("POST", &path).send().await.unwrap()).await;
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn replies_that_no_page_has_are_taken_unless_the_app_forbids_them() {
    let caller = Caller::new().await;
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    caller.app.say("user0001", "hi").await.unwrap();
    let webhook = data(&bot.frame().await)["sessionWebhook"].as_str().unwrap().to_owned();
    let path = webhook.strip_prefix(caller.mock.url()).unwrap();
    let bodies = [
        ("image", json!({"picURL": "https://example.com/p.png"})),
        ("file", json!({"fileName": "a.pdf"})),
        ("video", json!({"duration": "5"})),
        ("voice", json!({"mediaId": "@lAL", "duration": "4000"})),
    ];
    let reply = async |msgtype: &str, part: &Value| {
        let answer = caller.post(path, &json!({"msgtype": msgtype, msgtype: part})).await;
        answer["body"]["errcode"].as_i64().unwrap()
    };
    let mut seen = Vec::new();
    for (msgtype, part) in &bodies {
        seen.push(reply(msgtype, part).await);
    }
    assert_eq!(seen, [0, 40035, 40035, 400_105], "a file and a video need their id");
    caller.control("limits", &json!({"undocumentedReplies": false})).await;
    for (msgtype, part) in &bodies {
        assert_eq!(reply(msgtype, part).await, 400_105, "{msgtype}");
    }
    assert_eq!(caller.sent().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_app_calls_an_api_twenty_times_in_a_second_and_so_often_in_a_month() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let body = json!({
        "robotCode": caller.app.robot_code(),
        "openConversationId": group,
        "msgKey": "sampleText",
        "msgParam": "{\"content\":\"hi\"}",
    });
    let path = "/v1.0/robot/groupMessages/send";
    caller.control("limits", &json!({"perSecond": 20})).await;
    for _ in 0..20 {
        assert_eq!(caller.post(path, &body).await["status"], 200);
    }
    insta::assert_json_snapshot!("over_the_second", caller.post(path, &body).await);
    caller.mock.clock().advance(Duration::from_secs(1));
    assert_eq!(caller.post(path, &body).await["status"], 200);
    let limits = caller.control("limits", &json!({"perMonth": 21, "perSecond": "none"})).await;
    assert_eq!(limits["usedThisMonth"], 21);
    insta::assert_json_snapshot!("over_the_month", caller.post(path, &body).await);
    let month = caller.bare("POST", "/_mock/clock").json(&json!({"jump": "744h"}));
    assert!(month.send().await.unwrap().status().is_success());
    assert_eq!(caller.post(path, &body).await["status"], 200);
}

#[tokio::test]
async fn each_call_has_its_own_code_for_another_robot_and_each_type_for_what_it_misses() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let code = async |path: &str, body: Value| {
        let path = format!("/v1.0/robot/{path}");
        caller.post(&path, &body).await["body"]["code"].as_str().unwrap_or_default().to_owned()
    };
    let keys =
        json!({"robotCode": "other", "processQueryKeys": ["k"], "openConversationId": group});
    for path in ["otoMessages/batchRecall", "groupMessages/recall"] {
        assert_eq!(code(path, keys.clone()).await, "not.allowed.robotCode", "{path}");
    }
    let message = |key: &str, param: Value| {
        json!({
            "robotCode": caller.app.robot_code(), "openConversationId": group, "msgKey": key,
            "msgParam": param.to_string(),
        })
    };
    let path = "groupMessages/send";
    let other = with(&message("sampleText", json!({})), &json!({"robotCode": "other"}));
    assert_eq!(code(path, other).await, "resource.not.found");
    for (key, param, expected) in [
        ("sampleFile", json!({"fileName": "a.pdf"}), "miss.param.file"),
        ("sampleAudio", json!({"duration": "1"}), "miss.param.audio"),
        ("sampleVideo", json!({"duration": "1"}), "miss.param.video"),
        (
            "sampleVideo",
            json!({"duration": "1", "videoMediaId": "m", "videoType": "mp4"}),
            "miss.param.video",
        ),
        ("sampleActionCard", json!({"title": "t"}), "miss.param.actionCard"),
        ("sampleActionCard6", json!({"title": "t", "text": "x"}), "miss.param.actionCard"),
    ] {
        assert_eq!(code(path, message(key, param)).await, expected, "{key}");
    }
}
