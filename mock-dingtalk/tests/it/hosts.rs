//! Calls by the name of one of DingTalk's hosts, and bodies that no host takes.

use mock_dingtalk::{AppOptions, MockDingtalk};
use serde_json::{Value, json};

use crate::{
    caller::{Caller, shown},
    support::http,
};

#[tokio::test]
async fn a_call_to_the_other_host_finds_nothing_there() {
    let caller = Caller::new().await;
    let (key, secret) = (caller.app.client_id(), caller.app.client_secret());
    let old = format!("/gettoken?appkey={key}&appsecret={secret}");
    let get = async |path: &str, host: &str| {
        shown(caller.request("GET", path).header("host", host).send().await.unwrap()).await
    };
    let new = "/v1.0/contact/users/me";
    for (path, host, status, errcode) in [
        (old.as_str(), "oapi.dingtalk.com", 200, json!(0)),
        (&old, "api.dingtalk.com", 200, json!(404)),
        (&old, "127.0.0.1", 200, json!(0)),
        (new, "api.dingtalk.com:443", 403, Value::Null),
        (new, "oapi.dingtalk.com", 200, json!(404)),
    ] {
        let answer = get(path, host).await;
        let got = (&answer["status"], &answer["body"]["errcode"]);
        assert_eq!(got, (&json!(status), &errcode), "{path} {host}");
    }
    let diagnosis = get(new, "oapi.dingtalk.com").await["diagnosis"].to_string();
    assert!(diagnosis.contains("is a call of api.dingtalk.com"), "{diagnosis}");
}

#[tokio::test]
async fn the_page_is_there_by_the_mocks_own_name_only() {
    let caller = Caller::new().await;
    let own = caller.bare("GET", "/").send().await.unwrap();
    assert_eq!(own.headers()["content-type"], "text/html;charset=utf-8");
    assert!(own.text().await.unwrap().starts_with("<!doctype html>"));
    for host in ["api.dingtalk.com", "OAPI.dingtalk.com:443", "down.dingtalk.com"] {
        let page = caller.bare("GET", "/").header("host", host).send().await.unwrap();
        let answer = shown(page).await;
        let body = json!({"errcode": 404, "errmsg": "请求的URI地址不存在"});
        assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &body), "{host}");
        let diagnosis = answer["diagnosis"].as_str().unwrap();
        assert!(diagnosis.contains("there is no GET /"), "{diagnosis}");
    }
    for (method, path) in [("POST", "/"), ("DELETE", "/"), ("POST", "/connect")] {
        let answer = shown(caller.bare(method, path).send().await.unwrap()).await;
        assert_eq!(answer["body"]["errcode"], 404, "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn an_app_that_is_treated_leniently_may_call_either_host() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().lenient(true)).unwrap();
    let query = format!("appkey={}&appsecret={}", app.client_id(), app.client_secret());
    let call = http().get(format!("{}/gettoken?{query}", mock.url()));
    let answer = shown(call.header("host", "api.dingtalk.com").send().await.unwrap()).await;
    assert_eq!(answer["body"]["errcode"], 0);
    assert!(answer["diagnosis"].as_str().unwrap().contains("oapi.dingtalk.com"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_dingtalks_words() {
    let caller = Caller::new().await;
    let token = &caller.token;
    let large = vec![b'a'; (4 << 20) + 1];
    for (path, size, status, code) in [
        (format!("/media/upload?access_token={token}&type=file"), 25 << 20, 200, json!(40006)),
        ("/robot/send?access_token=x".to_owned(), large.len(), 200, json!(460_101)),
        (format!("/topapi/v2/user/get?access_token={token}"), large.len(), 200, json!(400_002)),
        ("/v1.0/card/instances".to_owned(), large.len(), 413, json!("RequestEntityTooLarge")),
    ] {
        let body = vec![b'a'; size];
        let answer = shown(caller.request("POST", &path).body(body).send().await.unwrap()).await;
        let got = answer["body"].get("errcode").unwrap_or(&answer["body"]["code"]);
        assert_eq!((&answer["status"], got), (&json!(status), &code), "{path}");
        assert!(answer["diagnosis"].is_string(), "{path}");
        let entry = caller.mock.journal().unwrap().pop().unwrap();
        assert_eq!(entry.status, Some(status), "{path}: it is in the journal");
    }
}
