//! Files: uploaded by the robot, sent by people, fetched by whoever may.

use std::time::Duration;

use mock_dingtalk::Media;
use serde_json::{Map, Value, json};

use crate::{
    caller::{Caller, shown, with},
    support::{Bot, data},
};

const BOUNDARY: &str = "dingmock-boundary";

/// A form with a file in `media` and some fields.
pub(crate) fn form(fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=");
    for (key, value) in fields {
        body.extend_from_slice(format!("{head}\"{key}\"\r\n\r\n{value}\r\n").as_bytes());
    }
    let part = format!("{head}\"media\"; filename=\"{name}\"\r\n\r\n");
    body.extend_from_slice(part.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub(crate) async fn upload(caller: &Caller, query: &str, body: Vec<u8>) -> Value {
    let request = caller
        .bare("POST", &format!("/media/upload?{query}"))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(body);
    shown(request.send().await.unwrap()).await
}

/// Uploads with everything in the query, and returns the `media_id`.
async fn uploaded(caller: &Caller, kind: &str, name: &str, bytes: &[u8]) -> String {
    let query = format!("access_token={}&type={kind}", caller.token);
    let answer = upload(caller, &query, form(&[], name, bytes)).await;
    answer["body"]["media_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn an_upload_is_answered_with_its_media_id_or_the_errcode_of_its_fault() {
    let caller = Caller::new().await;
    let token = caller.token.clone();
    let query = format!("access_token={token}&type=image");
    let mut seen = Map::new();
    let mut add = |name: &str, mut answer: Value| {
        if answer["body"]["created_at"].is_i64() {
            answer["body"]["created_at"].take();
        }
        seen.insert(name.to_owned(), answer);
    };
    let of = |kind: &str| format!("access_token={token}&type={kind}");
    add("type in the query", upload(&caller, &query, form(&[], "a.png", b"png")).await);
    let fields = [("access_token", token.as_str()), ("type", "video")];
    add("type and token in the form", upload(&caller, "", form(&fields, "a.mp4", b"mp4")).await);
    add("an extension no page has", upload(&caller, &of("file"), form(&[], "a.md", b"x")).await);
    add("no type", upload(&caller, &of(""), form(&[], "a.png", b"png")).await);
    add("unknown type", upload(&caller, &of("audio"), form(&[], "a.mp3", b"x")).await);
    add("wrong extension", upload(&caller, &of("video"), form(&[], "a.avi", b"x")).await);
    add("no extension", upload(&caller, &of("file"), form(&[], "a", b"x")).await);
    add("empty file", upload(&caller, &query, form(&[], "a.png", b"")).await);
    add("no form", upload(&caller, &query, b"x".to_vec()).await);
    let large = vec![0; (2 << 20) + 1];
    add("too large", upload(&caller, &of("voice"), form(&[], "a.amr", &large)).await);
    add("no token", upload(&caller, "type=image", form(&[], "a.png", b"png")).await);
    let wrong = "type=image&access_token=dingmock000001ffffffffffffffffff";
    add("wrong token", upload(&caller, wrong, form(&[], "a.png", b"png")).await);
    caller.mock.clock().advance(Duration::from_hours(2));
    add("old token", upload(&caller, &query, form(&[], "a.png", b"png")).await);
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn a_file_of_exactly_the_limit_is_taken() {
    let caller = Caller::new().await;
    for (kind, name, most) in [("voice", "a.mp3", 2 << 20), ("image", "a.jpg", 20 << 20)] {
        let query = format!("access_token={}&type={kind}", caller.token);
        let fits = upload(&caller, &query, form(&[], name, &vec![1; most])).await;
        assert_eq!(fits["body"]["errcode"], 0, "{kind}");
        let over = upload(&caller, &query, form(&[], name, &vec![1; most + 1])).await;
        assert_eq!(over["body"]["errcode"], 40006, "{kind}");
    }
}

#[tokio::test]
async fn an_upload_is_fetched_by_its_id_with_the_at_sign_and_without() {
    let caller = Caller::new().await;
    let id = uploaded(&caller, "image", "a.png", b"\x89PNG").await;
    let bare = id.strip_prefix('@').unwrap();
    for id in [id.as_str(), bare] {
        let encoded = id.replace('@', "%40");
        let token = &caller.token;
        for path in [
            format!("/media/downloadFile?access_token={token}&media_id={encoded}"),
            format!("/media/{encoded}"),
            format!("/_mock/apps/{}/media/{encoded}", caller.app.client_id()),
        ] {
            let response = caller.bare("GET", &path).send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "image/png", "{path}");
            assert_eq!(&response.bytes().await.unwrap()[..], b"\x89PNG", "{path}");
        }
    }
    let token = &caller.token;
    let wrong = format!("/media/downloadFile?access_token={token}&media_id=@lALx");
    let seen = json!({
        "downloadFile": shown(caller.bare("GET", &wrong).send().await.unwrap()).await,
        "down.dingtalk.com": shown(caller.bare("GET", "/media/@lALx").send().await.unwrap()).await,
    });
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn messages_with_files_show_what_the_files_are() {
    let caller = Caller::new().await;
    let picture = uploaded(&caller, "image", "a.png", b"png").await;
    let voice = uploaded(&caller, "voice", "a.ogg", b"ogg").await;
    let video = uploaded(&caller, "video", "a.mp4", b"mp4").await;
    let file = uploaded(&caller, "file", "a.pdf", b"pdf").await;
    let bare = picture.strip_prefix('@').unwrap();
    let messages = [
        ("sampleImageMsg", json!({"photoURL": picture})),
        ("sampleImageMsg", json!({"photoURL": bare})),
        ("sampleImageMsg", json!({"photoURL": "https://example.com/p.png"})),
        ("sampleAudio", json!({"mediaId": voice, "duration": "4000"})),
        ("sampleFile", json!({"mediaId": file, "fileName": "a.pdf", "fileType": "pdf"})),
        (
            "sampleVideo",
            json!({
                "videoMediaId": video, "videoType": "mp4", "picMediaId": "", "duration": "5",
            }),
        ),
        ("sampleFile", json!({"mediaId": "@lALx", "fileName": "a.pdf", "fileType": "pdf"})),
    ];
    let mut statuses = Vec::new();
    for (key, param) in messages {
        let body = json!({
            "robotCode": caller.app.robot_code(),
            "userIds": ["user0001"],
            "msgKey": key,
            "msgParam": param.to_string(),
        });
        let answer = caller.post("/v1.0/robot/oToMessages/batchSend", &body).await;
        statuses.push(answer["status"].as_u64().unwrap());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 400]);
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    caller.app.say("user0001", "hi").await.unwrap();
    let webhook = data(&bot.frame().await)["sessionWebhook"].as_str().unwrap().to_owned();
    let path = webhook.strip_prefix(caller.mock.url()).unwrap();
    let body = json!({"msgtype": "file", "file": {"mediaId": file, "fileName": "a.pdf"}});
    assert_eq!(caller.post(path, &body).await["body"]["errcode"], 0);
    let rows = caller.sent();
    let media: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["msgtype"], row["text"], row["media"]]))
        .collect();
    insta::assert_json_snapshot!(media);
}

#[tokio::test]
async fn a_persons_file_is_fetched_by_its_code_from_a_presigned_address() {
    let mut caller = Caller::new().await;
    let path = format!("/_mock/apps/{}/files?name=a.pdf", caller.app.client_id());
    let file = caller.bare("POST", &path).body("%PDF").send().await.unwrap();
    assert_eq!(file.status(), 201);
    let file: Value = file.json().await.unwrap();
    let right = json!({
        "robotCode": caller.app.robot_code(), "downloadCode": file["downloadCode"],
    });
    let call = "/v1.0/robot/messageFiles/download";
    let answer = caller.post(call, &right).await;
    let url = answer["body"]["downloadUrl"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(caller.mock.url()).expect("it leads back here");
    let response = caller.bare("GET", path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "%PDF");
    let own = uploaded(&caller, "file", "own.pdf", b"own").await;
    let mut seen = Map::new();
    for (name, changes) in [
        ("no robot", json!({"robotCode": ""})),
        ("no code", json!({"downloadCode": null})),
        ("another robot", json!({"robotCode": "dingmockother"})),
        ("unknown code", json!({"downloadCode": "nocode"})),
        ("a media_id", json!({"downloadCode": own})),
    ] {
        seen.insert(name.to_owned(), caller.post(call, &with(&right, &changes)).await);
    }
    let typed = caller.bare("GET", path).header("content-type", "application/json");
    seen.insert("content type".to_owned(), shown(typed.send().await.unwrap()).await);
    let forged = path.replace("Signature=", "Signature=0");
    let forged = caller.bare("GET", &forged).send().await.unwrap();
    seen.insert("forged".to_owned(), shown(forged).await);
    caller.mock.clock().advance(Duration::from_hours(1) + Duration::from_secs(1));
    let late = shown(caller.bare("GET", path).send().await.unwrap()).await;
    assert_eq!(late["status"], 403, "{late}");
    let text = late["body"]["application/xml"].as_str().unwrap();
    assert!(text.contains("Request has expired."), "{text}");
    caller.mock.clock().advance(Duration::from_hours(23));
    caller.renew().await;
    seen.insert("old code".to_owned(), caller.post(call, &right).await);
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn over_the_limits_the_old_host_has_its_own_errcodes() {
    let caller = Caller::new().await;
    let id = uploaded(&caller, "image", "a.png", b"png").await;
    let path = format!("/media/downloadFile?access_token={}&media_id={id}", caller.token);
    let get = async || shown(caller.bare("GET", &path).send().await.unwrap()).await;
    caller.control("limits", &json!({"perSecond": 1})).await;
    assert_eq!(get().await["status"], 200);
    let second = get().await;
    caller.control("limits", &json!({"perSecond": "none", "perMonth": 2})).await;
    let month = get().await;
    insta::assert_json_snapshot!(json!({"second": second, "month": month}));
}

#[tokio::test]
async fn what_a_message_carries_is_downloaded_by_its_code() {
    let caller = Caller::new().await;
    let app = &caller.app;
    let mut bot = Bot::connect(&caller.mock, app).await;
    // The codes as a bot finds them: minted ones in what a person says, fixed ones in a fixture.
    app.say_picture("user0001", Media::new("a.gif", "image/gif", "GIF89a")).await.unwrap();
    app.push_fixture("stream/callback_bot_picture").unwrap();
    let mut sizes = Vec::new();
    for _ in 0..2 {
        let code = data(&bot.frame().await)["content"]["downloadCode"].clone();
        let body = json!({ "robotCode": app.robot_code(), "downloadCode": code });
        let answer = caller.post("/v1.0/robot/messageFiles/download", &body).await;
        let url = answer["body"]["downloadUrl"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let path = url.strip_prefix(caller.mock.url()).expect("it leads back here");
        let response = caller.bare("GET", path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        sizes.push(response.bytes().await.unwrap().len());
    }
    assert_eq!(sizes[0], "GIF89a".len());
    assert!(sizes[1] > 0, "a sample stands behind the fixture's code");
}
