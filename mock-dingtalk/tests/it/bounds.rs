//! What a bot or a test may make the mock remember has an end, and is refused beyond it.

use std::time::Duration;

use bytes::Bytes;
use mock_dingtalk::{Action, Fault, Media, When};
use serde_json::json;

use crate::{
    caller::{Caller, with},
    support::{connected, data, open, open_body},
};

#[tokio::test]
async fn words_of_an_open_call_are_bounded() {
    let caller = Caller::new().await;
    let body = open_body(&caller.app);
    let url = caller.mock.url();
    let long = "x".repeat(20_000);
    for wrong in [
        json!({"ua": long}),
        json!({"localIp": long}),
        json!({"subscriptions": [{"type": "CALLBACK", "topic": long}]}),
    ] {
        assert_eq!(open(url, &with(&body, &wrong)).await.0, 400, "{wrong}");
    }
    assert_eq!(open(url, &with(&body, &json!({"ua": "x".repeat(1_000)}))).await.0, 200);
}

#[tokio::test]
async fn words_of_a_reaction_are_bounded() {
    let caller = Caller::new().await;
    let said = caller.app.say("user0001", "hi").await.unwrap();
    let body = json!({"robotCode": caller.app.robot_code(), "openMsgId": said.msg_id,
        "openConversationId": said.conversation_id, "emotionType": 1, "emotionName": "x"});
    let path = "/v1.0/robot/emotion/reply";
    assert_eq!(caller.post(path, &body).await["status"], 200);
    let long = with(&body, &json!({"emotionName": "x".repeat(513)}));
    assert_eq!(caller.post(path, &long).await["status"], 400);
}

#[tokio::test]
async fn a_file_of_a_person_has_the_bounds_of_one_in_a_message() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let file =
        |name: &str, bytes: usize| Media::new(name, "text/plain", Bytes::from(vec![0; bytes]));
    for (name, bytes) in [("", 1), ("a\nb", 1), (&*"x".repeat(256), 1), ("a", (20 << 20) + 1)] {
        assert!(caller.app.add_file(file(name, bytes)).is_err(), "{name:?} {bytes}");
        let data = vec![0; bytes];
        assert!(caller.app.add_group_file(&group, name, data).is_err(), "{name:?} {bytes}");
    }
    let url = format!("/_mock/apps/{}/files?name=a", caller.app.client_id());
    for (bytes, status) in [(20 << 20, 201), ((20 << 20) + 1, 400)] {
        let call = caller.bare("POST", &url).body(vec![0; bytes]);
        assert_eq!(call.send().await.unwrap().status(), status, "{bytes}");
    }
}

/// A presigned address ends by the time that passes, not by what the wall shows.
#[tokio::test]
async fn an_address_of_a_file_outlives_a_jump_of_the_wall() {
    let caller = Caller::new().await;
    let bytes = Bytes::from_static(b"0123456789");
    let file = caller.app.add_file(Media::new("a.txt", "text/plain", bytes)).unwrap();
    let body = json!({"robotCode": caller.app.robot_code(), "downloadCode": file.download_code});
    let answer = caller.post("/v1.0/robot/messageFiles/download", &body).await;
    let url = answer["body"]["downloadUrl"].as_str().unwrap();
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    let get = async || {
        let response = caller.bare("GET", path).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    };
    caller.mock.clock().jump(8 * 3_600_000);
    assert_eq!(get().await, (200, Bytes::from_static(b"0123456789")));
    // Half of the file is what a truncated answer brings.
    let at = path.split('?').next().unwrap();
    caller.app.fault(Fault::once(When::Path(at.to_owned()), Action::Truncate)).unwrap();
    assert_eq!(get().await, (200, Bytes::from_static(b"01234")));
    caller.mock.clock().advance(Duration::from_secs(3_599));
    assert_eq!(get().await.0, 200);
    caller.mock.clock().jump(-8 * 3_600_000);
    caller.mock.clock().advance(Duration::from_secs(1));
    assert_eq!(get().await.0, 403);
}

/// Whoever looks after a long conversation finds all of it, in each list.
#[tokio::test]
async fn a_thousand_turns_of_a_conversation_are_kept() {
    const TURNS: usize = 1_000;
    let caller = Caller::new().await;
    caller.control("limits", &json!({"perSecond": "none"})).await;
    let mut bot = connected(&caller.mock, &caller.app).await;
    let reply = json!({"msgtype": "text", "text": {"content": "an answer of some length"}});
    for _ in 0..TURNS {
        caller.app.say("user0001", "a question of some length").await.unwrap();
        let frame = bot.frame().await;
        bot.ack(&frame).await;
        let webhook = data(&frame)["sessionWebhook"].as_str().unwrap().to_owned();
        let path = webhook.strip_prefix(caller.mock.url()).unwrap();
        assert_eq!(caller.post(path, &reply).await["body"]["errcode"], 0);
    }
    let deliveries = caller.app.wait_acked(TURNS).await.unwrap();
    assert_eq!((deliveries.len(), caller.app.sent().unwrap().len()), (TURNS, TURNS));
    assert_eq!(caller.app.journal().unwrap()[0].text, "app minted");
}
