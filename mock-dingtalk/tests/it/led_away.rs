//! Answers that lead a bot elsewhere, and bodies that are too large for it.

use std::time::Duration;

use mock_dingtalk::{Action, Fault, Media, When};
use reqwest::Response;
use serde_json::{Value, json};

use crate::caller::Caller;

const DOWNLOAD: &str = "/v1.0/robot/messageFiles/download";
const FILES: &str = "/robot-files/*";

async fn download_url(caller: &Caller) -> String {
    let media = Media::new("a.txt", "text/plain", b"0123456789".to_vec());
    let file = caller.app.add_file(media).unwrap();
    let body = json!({"robotCode": caller.app.robot_code(), "downloadCode": file.download_code});
    caller.post(DOWNLOAD, &body).await["body"]["downloadUrl"].as_str().unwrap().to_owned()
}

async fn get(url: &str) -> Response {
    crate::support::http().get(url).send().await.unwrap()
}

/// How often the foreign host was asked, and by which name.
fn asked(caller: &Caller) -> Vec<(u64, String)> {
    let rows = caller.app.findings().unwrap().into_iter();
    rows.filter(|row| row.rule == "foreign-host-asked")
        .map(|row| (row.count, row.message))
        .collect()
}

#[tokio::test]
async fn an_address_by_a_foreign_host_is_good_and_whoever_goes_there_is_found() {
    let caller = Caller::new().await;
    let fault = Fault::once(When::Path(DOWNLOAD.to_owned()), Action::DownloadUrl(None));
    caller.app.fault(fault).unwrap();
    let url = download_url(&caller).await;
    let port = caller.mock.url().rsplit_once(':').unwrap().1;
    assert!(url.starts_with(&format!("http://localhost:{port}/robot-files/")), "{url}");
    assert_eq!(asked(&caller), []);
    assert_eq!(get(&url).await.text().await.unwrap(), "0123456789");
    let found = asked(&caller);
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains(&format!("localhost:{port}")), "{found:?}");
    // The next one is right again.
    let right = download_url(&caller).await;
    assert!(right.starts_with(caller.mock.url()), "{right}");
    assert_eq!(get(&right).await.status(), 200);
    assert_eq!(asked(&caller).len(), 1);
}

#[tokio::test]
async fn an_address_may_be_any_other_and_a_redirect_leads_there_too() {
    let caller = Caller::new().await;
    let there = "http://169.254.169.254/latest/meta-data";
    let led = Action::DownloadUrl(Some(there.to_owned()));
    caller.app.fault(Fault::once(When::Path(DOWNLOAD.to_owned()), led)).unwrap();
    assert_eq!(download_url(&caller).await, there);

    let files = || When::Path(FILES.to_owned());
    let url = download_url(&caller).await;
    let path = url.strip_prefix(caller.mock.url()).unwrap();
    let stays = reqwest::redirect::Policy::none();
    let client = crate::support::http_builder().redirect(stays).build().unwrap();
    for (to, location) in [
        (Some("file:///etc/passwd".to_owned()), "file:///etc/passwd".to_owned()),
        (None, url.replace("127.0.0.1", "localhost") + "&mock-foreign-host=1"),
    ] {
        caller.app.fault(Fault::once(files(), Action::Redirect(to))).unwrap();
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], location);
        assert_eq!(response.bytes().await.unwrap().len(), 0);
    }
    // Who follows gets the file, and is found.
    caller.app.fault(Fault::once(files(), Action::Redirect(None))).unwrap();
    assert_eq!(get(&url).await.text().await.unwrap(), "0123456789");
    assert_eq!(asked(&caller).len(), 1);
    assert_eq!(caller.bare("GET", path).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_large_body_has_blanks_behind_it_and_says_so_or_not() {
    let caller = Caller::new().await;
    let url = download_url(&caller).await;
    let files = || When::Path(FILES.to_owned());
    let large = |bytes, announced| Action::LargeBody { bytes, announced };
    for (bytes, announced, length) in
        [(200_000, true, 200_000), (200_000, false, 200_000), (3, true, 10), (10, false, 10)]
    {
        caller.app.fault(Fault::once(files(), large(bytes, announced))).unwrap();
        let response = get(&url).await;
        let told = response.content_length();
        assert_eq!(told, announced.then_some(length), "{bytes} {announced}");
        let body = response.bytes().await.unwrap();
        assert_eq!(body.len() as u64, length);
        assert!(body.starts_with(b"0123456789") && body[10..].iter().all(|byte| *byte == b' '));
    }
    // JSON stays JSON.
    let open = "/v1.0/oauth2/accessToken";
    caller.app.fault(Fault::once(When::Path(open.to_owned()), large(5_000_000, true))).unwrap();
    let body = json!({"appKey": caller.app.client_id(), "appSecret": caller.app.client_secret()});
    let answer = caller.bare("POST", open).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["accessToken"], caller.token);
    // The largest is not made before somebody reads it.
    caller.app.fault(Fault::once(files(), large(1 << 30, true))).unwrap();
    let mut response = get(&url).await;
    assert_eq!(response.content_length(), Some(1 << 30));
    let first = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await;
    assert!(first.unwrap().unwrap().unwrap().starts_with(b"0123456789"));
}

#[tokio::test]
async fn where_they_make_no_sense_they_are_refused() {
    let caller = Caller::new().await;
    let long = format!("http://x/{}", "y".repeat(2_040));
    for (when, action, part) in [
        (json!({"path": FILES}), json!({"type": "downloadUrl"}), "or downloadUrl at /v1.0/robot/"),
        (json!("open"), json!({"type": "downloadUrl"}), "or downloadUrl at /v1.0/robot/"),
        (json!({"path": DOWNLOAD}), json!({"type": "downloadUrl", "to": "http://x/"}), "action.to"),
        (json!({"path": DOWNLOAD}), json!({"type": "downloadUrl", "url": "x/y"}), "absolute URL"),
        (json!({"path": DOWNLOAD}), json!({"type": "downloadUrl", "url": long}), "absolute URL"),
        (
            json!({"path": FILES}),
            json!({"type": "redirect", "to": "http://x/\r\na: b"}),
            "absolute",
        ),
        (json!({"path": FILES}), json!({"type": "redirect", "to": "http://ä/"}), "absolute URL"),
        (json!("upgrade"), json!({"type": "redirect"}), "acceptThenCut"),
        (json!({"frame": {}}), json!({"type": "largeBody", "bytes": 9}), "oversize"),
        (json!({"path": FILES}), json!({"type": "largeBody"}), "`action.bytes` is missing"),
        (json!({"path": FILES}), json!({"type": "largeBody", "bytes": 0}), "from 1 to 1073741824"),
        (
            json!({"path": FILES}),
            json!({"type": "largeBody", "bytes": (1_u64 << 30) + 1}),
            "from 1 to 1073741824",
        ),
    ] {
        let path = format!("/_mock/apps/{}/faults", caller.app.client_id());
        let body = json!({"when": when, "action": action});
        let refused = caller.bare("POST", &path).json(&body).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{action}");
        let refused = refused.text().await.unwrap();
        assert!(refused.contains(part), "{action}: {refused}");
    }
    assert_eq!(caller.app.faults().unwrap(), []);
}
