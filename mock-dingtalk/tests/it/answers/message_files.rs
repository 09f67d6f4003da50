//! `messageFiles/download`, and the address it gives.

use std::time::Duration;

use mock_dingtalk::Media;
use serde_json::json;

use super::{Page, fixture};
use crate::caller::{Caller, with};

#[tokio::test]
async fn message_files_download() {
    const PATH: &str = "/v1.0/robot/messageFiles/download";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let file = Media::new("a.pdf", "application/pdf", "%PDF");
    let code = caller.app.add_file(file).unwrap().download_code;
    page.hide(&code, "downloadCode");
    let own = json!({"robotCode": caller.app.robot_code(), "downloadCode": code});
    let right = with(&fixture!("message_files_download"), &own);
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("no robotCode", json!({"robotCode": null})),
            ("an empty robotCode", json!({"robotCode": ""})),
            ("another robot", json!({"robotCode": "dingmockother"})),
            ("no downloadCode", json!({"downloadCode": null})),
            ("an empty downloadCode", json!({"downloadCode": ""})),
            ("downloadCode as a number", json!({"downloadCode": 1})),
            ("unknown downloadCode", json!({"downloadCode": "none"})),
        ],
    )
    .await;
    page.no_object(&caller, PATH).await;
    page.door(&mut caller, PATH, &right).await;
    caller.app.clock().advance(Duration::from_hours(22) - Duration::from_secs(1));
    caller.renew().await;
    page.cases(&caller, &right, &[("one second before a day is over", json!({}))]).await;
    caller.app.clock().advance(Duration::from_secs(1));
    page.cases(&caller, &right, &[("after a day", json!({}))]).await;
    page.done();
}

#[tokio::test]
async fn robot_files() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", "/robot-files/{}");
    let file = Media::new("a.pdf", "application/pdf", "%PDF");
    let code = caller.app.add_file(file).unwrap().download_code;
    page.hide(&code, "downloadCode");
    let body = json!({"robotCode": caller.app.robot_code(), "downloadCode": code});
    let answer = caller.post("/v1.0/robot/messageFiles/download", &body).await;
    let url = answer["body"]["downloadUrl"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    page.case("right", caller.bare("GET", path)).await;
    page.case("again", caller.bare("GET", path)).await;
    let typed = caller.bare("GET", path).header("content-type", "application/json");
    page.case("with a Content-Type", typed).await;
    let bare = path.split_once('?').unwrap().0;
    for (name, path) in [
        ("without its query", bare.to_owned()),
        ("another signature", path.replace("Signature=", "Signature=0")),
        ("another end", path.replace("Expires=", "Expires=1")),
        ("another file", path.replace(&code, &format!("{}0", &code[..code.len() - 1]))),
        ("a file of nobody", "/robot-files/none.file".to_owned()),
    ] {
        page.case(name, caller.bare("GET", &path)).await;
    }
    caller.app.clock().advance(Duration::from_secs(3_599));
    page.case("one second before the end", caller.bare("GET", path)).await;
    caller.app.clock().advance(Duration::from_secs(1));
    let late = caller.bare("GET", path);
    let expires = path.split("Expires=").nth(1).unwrap().split('&').next().unwrap();
    page.hide(expires, "end");
    page.case("after an hour", late).await;
    let answer = caller.post("/v1.0/robot/messageFiles/download", &body).await;
    let url = answer["body"]["downloadUrl"].as_str().unwrap().to_owned();
    for _ in 0..13 {
        // What files may have together is less than this.
        caller.app.add_file(Media::new("a.bin", "", vec![0; 20 << 20])).unwrap();
    }
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    page.case("a file that made room for others", caller.bare("GET", path)).await;
    page.done();
}
