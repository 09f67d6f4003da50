//! Files of groups: space, list, address, file.

use std::time::Duration;

use serde_json::{Value, json};

use super::Page;
use crate::caller::{Caller, with};

const SPACE: &str = "/v1.0/convFile/conversations/spaces/query";
const LIST: &str = "/v1.0/storage/spaces/{}/dentries/listAll";
const ADDRESS: &str = "/v1.0/storage/spaces/{}/dentries/{}/downloadInfos/query";

/// A group with three files.
struct Group {
    id: String,
    union: String,
    space: String,
    dentry: String,
}

impl Group {
    async fn new(caller: &Caller, page: &mut Page) -> Self {
        let id = caller.group().await;
        let mut dentries = Vec::new();
        for name in ["1.txt", "2.txt", "3.txt"] {
            caller.app.add_group_file(&id, name, "bytes").unwrap();
        }
        let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
        let person = caller.post(&path, &json!({"userid": "user0001"})).await;
        let union = person["body"]["result"]["unionid"].as_str().unwrap().to_owned();
        let path = format!("{SPACE}?unionId={union}");
        let space = caller.post(&path, &json!({"openConversationId": id})).await;
        let space = space["body"]["space"]["spaceId"].as_str().unwrap().to_owned();
        let path = format!("{}?unionId={union}", LIST.replace("{}", &space));
        let list = caller.post(&path, &json!({})).await;
        for (number, dentry) in list["body"]["dentries"].as_array().unwrap().iter().enumerate() {
            let dentry = dentry["id"].as_str().unwrap().to_owned();
            page.hide(&dentry, &format!("dentry {}", number + 1));
            dentries.push(dentry);
        }
        assert_eq!(dentries.len(), 3);
        page.hide(&id, "group");
        page.hide(&union, "unionid");
        page.hide(&space, "space");
        Self { id, union, space, dentry: dentries.remove(0) }
    }

    /// The path of a pattern, with the ids.
    fn path(&self, pattern: &str) -> String {
        pattern.replacen("{}", &self.space, 1).replacen("{}", &self.dentry, 1)
    }
}

#[tokio::test]
async fn conv_file_space() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", SPACE);
    let group = Group::new(&caller, &mut page).await;
    let direct = caller.app.say("user0001", "hi").await.unwrap().conversation_id;
    page.hide(&direct, "direct chat");
    let right = json!({"openConversationId": group.id});
    let path = format!("{SPACE}?unionId={}", group.union);
    for (name, path, changes) in [
        ("right", path.as_str(), json!({})),
        ("unionId in the body", SPACE, json!({"unionId": group.union})),
        ("no unionId", SPACE, json!({})),
        ("unknown unionId", &format!("{SPACE}?unionId=none"), json!({})),
        ("unknown unionId in the body", SPACE, json!({"unionId": "none"})),
        ("no openConversationId", &path, json!({"openConversationId": null})),
        ("unknown openConversationId", &path, json!({"openConversationId": "cidnone=="})),
        ("a direct chat", &path, json!({"openConversationId": direct})),
    ] {
        page.case(name, caller.request("POST", path).json(&with(&right, &changes))).await;
    }
    page.no_object(&caller, &path).await;
    page.door(&mut caller, &path, &right).await;
    page.done();
}

#[tokio::test]
async fn dentries_list() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", LIST);
    let group = Group::new(&caller, &mut page).await;
    let path = format!("{}?unionId={}", group.path(LIST), group.union);
    let option = |option: Value| json!({ "option": option });
    for (name, body) in [
        ("right", json!({})),
        ("the first page", option(json!({"maxResults": 2}))),
        ("the second page", option(json!({"maxResults": 2, "nextToken": "2"}))),
        ("past the end", option(json!({"nextToken": "9"}))),
        ("maxResults of 50", option(json!({"maxResults": 50}))),
        ("maxResults of 51", option(json!({"maxResults": 51}))),
        ("maxResults of 0", option(json!({"maxResults": 0}))),
        ("maxResults as a string", option(json!({"maxResults": "2"}))),
        ("a nextToken of nobody", option(json!({"nextToken": "x"}))),
    ] {
        page.case(name, caller.request("POST", &path).json(&body)).await;
    }
    for (name, path) in [
        ("no unionId", group.path(LIST)),
        ("unknown unionId", format!("{}?unionId=none", group.path(LIST))),
        ("unknown space", format!("{}?unionId={}", LIST.replace("{}", "1"), group.union)),
    ] {
        page.case(name, caller.request("POST", &path).json(&json!({}))).await;
    }
    page.no_object(&caller, &path).await;
    page.door(&mut caller, &path, &json!({})).await;
    page.done();
}

#[tokio::test]
async fn dentry_address() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", ADDRESS);
    let group = Group::new(&caller, &mut page).await;
    let path = format!("{}?unionId={}", group.path(ADDRESS), group.union);
    let other = |space: &str, dentry: &str| {
        let path = ADDRESS.replacen("{}", space, 1).replacen("{}", dentry, 1);
        format!("{path}?unionId={}", group.union)
    };
    for (name, path) in [
        ("right", path.clone()),
        ("no unionId", group.path(ADDRESS)),
        ("unknown unionId", format!("{}?unionId=none", group.path(ADDRESS))),
        ("unknown space", other("1", &group.dentry)),
        ("unknown file", other(&group.space, "1")),
    ] {
        page.case(name, caller.request("POST", &path).json(&json!({}))).await;
    }
    page.no_object(&caller, &path).await;
    page.door(&mut caller, &path, &json!({})).await;
    page.done();
}

#[tokio::test]
async fn storage_files() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", "/storage-files/{}");
    let group = Group::new(&caller, &mut page).await;
    let address = format!("{}?unionId={}", group.path(ADDRESS), group.union);
    let info = caller.post(&address, &json!({})).await;
    let info = &info["body"]["headerSignatureInfo"];
    let url = info["resourceUrls"][0].as_str().unwrap();
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    let signature = info["headers"]["Authorization"].as_str().unwrap();
    let get =
        |path: &str, signature: &str| caller.bare("GET", path).header("authorization", signature);
    page.case("right", get(path, signature)).await;
    page.case("again", get(path, signature)).await;
    page.case("without its header", caller.bare("GET", path)).await;
    page.case("another header", get(path, "OSS dingmock:0")).await;
    let later = path.replace("Expires=", "Expires=9");
    page.case("another end", get(&later, signature)).await;
    page.case("without its query", get(path.split_once('?').unwrap().0, signature)).await;
    page.case("a file of nobody", get("/storage-files/none", signature)).await;
    caller.app.clock().advance(Duration::from_secs(899));
    page.case("one second before the end", get(path, signature)).await;
    caller.app.clock().advance(Duration::from_secs(1));
    page.case("after 900 s", get(path, signature)).await;
    let info = caller.post(&address, &json!({})).await;
    let info = &info["body"]["headerSignatureInfo"];
    let url = info["resourceUrls"][0].as_str().unwrap();
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    let signature = info["headers"]["Authorization"].as_str().unwrap();
    for _ in 0..13 {
        caller.app.add_group_file(&group.id, "a.bin", vec![0; 20 << 20]).unwrap();
    }
    page.case("a file that made room for others", get(path, signature)).await;
    page.done();
}
