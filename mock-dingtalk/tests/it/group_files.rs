//! Files quoted in groups: found by their time, and fetched with the headers they ask for.

use std::time::Duration;

use mock_dingtalk::{Content, ConversationKind, Media, Quote, SayConversation, Speech};
use serde_json::{Map, Value, json};

use crate::{
    caller::{Caller, shown, with},
    support::{Bot, data},
};

const SPACE: &str = "/v1.0/convFile/conversations/spaces/query";

async fn union_id(caller: &Caller) -> String {
    let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
    let person = caller.post(&path, &json!({"userid": "user0001"})).await;
    person["body"]["result"]["unionid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_file_that_is_quoted_in_a_group_is_found_and_fetched() {
    let caller = Caller::new().await;
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    let union = union_id(&caller).await;
    let file = Content::file(Media::new("a.pdf", "application/pdf", "%PDF"));
    let speech = Speech::new("user0001", Content::text("what is this?"))
        .conversation(SayConversation {
            kind: ConversationKind::Group,
            id: None,
            title: Some("Team".to_owned()),
        })
        .quote(Quote::of(file));
    let said = caller.app.speak(&speech).await.unwrap();
    let message = data(&bot.frame().await);
    let quoted = &message["text"]["repliedMsg"]["content"];
    let body = json!({"openConversationId": said.conversation_id, "unionId": union});
    let space = caller.post(SPACE, &body).await;
    let space = space["body"]["space"]["spaceId"].as_str().unwrap().to_owned();
    assert_eq!(quoted["spaceId"], space.as_str());
    let base = format!("/v1.0/storage/spaces/{space}/dentries");
    let list = caller.post(&format!("{base}/listAll?unionId={union}"), &json!({})).await;
    let dentry = &list["body"]["dentries"][0];
    assert_eq!((&dentry["type"], &dentry["name"]), (&json!("FILE"), &json!("a.pdf")));
    assert_eq!(dentry["id"], quoted["fileId"]);
    assert!(dentry["createTime"].as_str().unwrap().contains(" CST "), "{dentry}");
    let id = dentry["id"].as_str().unwrap();
    let info = format!("{base}/{id}/downloadInfos/query?unionId={union}");
    let info = caller.post(&info, &json!({})).await;
    assert_eq!(info["body"]["protocol"], "HEADER_SIGNATURE");
    let info = &info["body"]["headerSignatureInfo"];
    let url = info["resourceUrls"][0].as_str().unwrap();
    let path = url.strip_prefix(caller.mock.url()).expect("it leads back here");
    let signature = info["headers"]["Authorization"].as_str().unwrap();
    let fetch = async |header: &str| {
        let request = caller.bare("GET", path).header("authorization", header);
        request.send().await.unwrap()
    };
    let fetched = fetch(signature).await;
    assert_eq!(fetched.headers()["content-type"], "application/pdf");
    assert_eq!(fetched.text().await.unwrap(), "%PDF");
    assert_eq!(fetch("OSS dingmock:0").await.status(), 403);
    assert_eq!(caller.bare("GET", path).send().await.unwrap().status(), 403);
    caller.mock.clock().advance(Duration::from_secs(900));
    assert_eq!(fetch(signature).await.status(), 403);
}

#[tokio::test]
async fn a_group_lists_its_own_files_newest_first_and_page_by_page() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let other = caller.app.say_in_group("user0001", "Other", "hi").await.unwrap().conversation_id;
    let union = union_id(&caller).await;
    for name in ["1.txt", "2.txt", "3.txt"] {
        caller.app.add_group_file(&group, name, "x").unwrap();
    }
    let path = format!("/_mock/apps/{}/files", caller.app.client_id());
    let path = format!("{path}?name=other.txt&conversation={}", other.replace('=', "%3D"));
    let added: Value =
        caller.bare("POST", &path).body("x").send().await.unwrap().json().await.unwrap();
    assert!(added["dentryId"].is_string(), "{added}");
    let body = json!({"openConversationId": group});
    let space = caller.post(&format!("{SPACE}?unionId={union}"), &body).await;
    let space = space["body"]["space"]["spaceId"].as_str().unwrap().to_owned();
    let list = format!("/v1.0/storage/spaces/{space}/dentries/listAll?unionId={union}");
    let names = |answer: &Value| -> Vec<String> {
        let dentries = answer["body"]["dentries"].as_array().unwrap();
        dentries.iter().map(|dentry| dentry["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = caller.post(&list, &json!({"option": {"maxResults": 2}})).await;
    assert_eq!(names(&first), ["3.txt", "2.txt"]);
    let option = json!({"maxResults": 2, "nextToken": first["body"]["nextToken"]});
    let second = caller.post(&list, &json!({"option": option})).await;
    assert_eq!(names(&second), ["1.txt"]);
    assert_eq!(second["body"].get("nextToken"), None);
    let mut seen = Map::new();
    for (name, query, changes) in [
        ("space, no person", "", json!({})),
        ("space, nobody", "?unionId=x", json!({})),
        ("space, no chat", &*format!("?unionId={union}"), json!({"openConversationId": null})),
        ("space, no group", &*format!("?unionId={union}"), json!({"openConversationId": "x"})),
    ] {
        let answer = caller.post(&format!("{SPACE}{query}"), &with(&body, &changes)).await;
        seen.insert(name.to_owned(), answer);
    }
    for (name, path, body) in [
        ("list, nobody", format!("/v1.0/storage/spaces/{space}/dentries/listAll"), json!({})),
        ("list, no space", list.replace(&space, "1"), json!({})),
        ("list, too many", list.clone(), json!({"option": {"maxResults": 51}})),
        ("list, no token", list.clone(), json!({"option": {"nextToken": "x"}})),
        ("no file", list.replace("listAll", "1/downloadInfos/query"), json!({})),
    ] {
        seen.insert(name.to_owned(), caller.post(&path, &body).await);
    }
    let mut seen = Value::Object(seen).to_string();
    for (id, name) in [(&union, "UNION"), (&space, "SPACE")] {
        seen = seen.replace(id.as_str(), name);
    }
    let seen: Value = serde_json::from_str(&seen).unwrap();
    insta::assert_json_snapshot!(seen);
    let answer = shown(caller.bare("GET", "/storage-files/none").send().await.unwrap()).await;
    assert_eq!(answer["status"], 403);
}
