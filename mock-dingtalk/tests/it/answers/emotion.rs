//! Reactions.

use serde_json::{Value, json};

use super::{Page, fixture};
use crate::caller::{Caller, with};

/// Cases of both calls, which have the same body.
async fn answers(pattern: &'static str, right_ones: &[(&str, Value)]) {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", pattern);
    let said = caller.app.say("user0001", "hi").await.unwrap();
    let group = caller.group().await;
    page.hide(&said.msg_id, "msgId");
    page.hide(&said.conversation_id, "direct chat");
    page.hide(&group, "group");
    let own = json!({"robotCode": caller.app.robot_code(), "openMsgId": said.msg_id,
        "openConversationId": said.conversation_id});
    let right = with(&fixture!("emotion_reply"), &own);
    if pattern == "/v1.0/robot/emotion/recall" {
        assert_eq!(caller.post("/v1.0/robot/emotion/reply", &right).await["status"], 200);
    }
    page.cases(&caller, &right, right_ones).await;
    let words = |changes: Value| json!({"textEmotion": with(&right["textEmotion"], &changes)});
    page.cases(
        &caller,
        &right,
        &[
            ("no robotCode", json!({"robotCode": null})),
            ("another robot", json!({"robotCode": "dingmockother"})),
            ("no openMsgId", json!({"openMsgId": null})),
            ("unknown openMsgId", json!({"openMsgId": "msgnone=="})),
            ("no openConversationId", json!({"openConversationId": null})),
            ("unknown openConversationId", json!({"openConversationId": "cidnone=="})),
            ("the message of another chat", json!({"openConversationId": group})),
            ("no emotionType", json!({"emotionType": null})),
            ("emotionType as a string", json!({"emotionType": "2"})),
            ("emotionType of 3", json!({"emotionType": 3})),
            ("no emotionName", json!({"emotionName": null})),
            ("no textEmotion", json!({"textEmotion": null})),
            ("textEmotion as a string", json!({"textEmotion": "x"})),
            ("no emotionId", words(json!({"emotionId": null}))),
            ("no emotionName in textEmotion", words(json!({"emotionName": null}))),
            ("no text", words(json!({"text": null}))),
            ("no backgroundId", words(json!({"backgroundId": null}))),
        ],
    )
    .await;
    page.no_object(&caller, pattern).await;
    page.door(&mut caller, pattern, &right).await;
    page.done();
}

#[tokio::test]
async fn emotion_reply() {
    let cases = [
        ("right", json!({})),
        ("again", json!({})),
        ("emotionType 1, without words", json!({"emotionType": 1, "textEmotion": null})),
    ];
    answers("/v1.0/robot/emotion/reply", &cases).await;
}

#[tokio::test]
async fn emotion_recall() {
    let cases = [
        ("right", json!({})),
        ("again", json!({})),
        ("another reaction", json!({"emotionName": "Done"})),
    ];
    answers("/v1.0/robot/emotion/recall", &cases).await;
}
