//! What an app may do with the APIs.

use mock_dingtalk::{AppOptions, MockDingtalk, Permission};
use serde_json::{Value, json};

use crate::{
    caller::{Caller, shown},
    support::http,
};

/// Method, path and permission of each call that needs one, with something for what varies.
fn calls() -> Vec<(String, String, String)> {
    let ledger = MockDingtalk::coverage();
    let rows = ledger["endpoints"].as_array().unwrap().iter();
    let needing = rows.filter_map(|row| {
        let permission = row["permission"].as_str()?.to_owned();
        let path = row["path"].as_str().unwrap().replace("{}", "1");
        Some((row["method"].as_str().unwrap().to_owned(), path, permission))
    });
    needing.collect()
}

/// The call without a body, with the token where either host wants it.
async fn call(caller: &Caller, method: &str, path: &str) -> Value {
    let old = !path.starts_with("/v1.0/");
    let query = if old { format!("?access_token={}", caller.token) } else { String::new() };
    let mut answer =
        shown(caller.request(method, &format!("{path}{query}")).send().await.unwrap()).await;
    answer["body"].as_object_mut().unwrap().remove("request_id");
    answer
}

#[tokio::test]
async fn every_call_that_needs_a_permission_is_refused_without_it_alone() {
    let caller = Caller::new().await;
    let calls = calls();
    assert!(calls.len() > 25, "{calls:?}");
    for permission in Permission::all() {
        let name = permission.name();
        caller.app.revoke(&[permission]).unwrap();
        assert!(calls.iter().any(|(_, _, needed)| needed == name), "no call needs {name}");
        for (method, path, needed) in &calls {
            let answer = call(&caller, method, path).await;
            let message = format!("应用尚未开通所需的权限：[{name}]");
            let refusal = if path.starts_with("/v1.0/") {
                let code = "Forbidden.AccessDenied.AccessTokenPermissionDenied";
                let detail = json!({"requiredScopes": [name]});
                let body = json!({"code": code, "message": message, "accessdenieddetail": detail});
                json!({"status": 403, "body": body})
            } else if path.starts_with("/topapi/") {
                let errmsg = format!("ding talk error[subcode=60011,submsg={message}]");
                let body = json!({
                    "errcode": 88, "errmsg": errmsg, "sub_code": "60011", "sub_msg": message,
                });
                json!({"status": 200, "body": body})
            } else {
                json!({"status": 200, "body": {"errcode": 60011, "errmsg": message}})
            };
            let got = json!({"status": answer["status"], "body": answer["body"]});
            assert_eq!(got == refusal, needed == name, "{method} {path} without {name}: {got}");
            if needed == name {
                let diagnosis = answer["diagnosis"].as_str().unwrap();
                assert!(diagnosis.contains(&format!("lacks the permission {name}")), "{diagnosis}");
            }
        }
        caller.app.grant(&[permission]).unwrap();
    }
    assert!(caller.app.permissions().unwrap().missing.is_empty());
}

#[tokio::test]
async fn a_refused_call_counts_for_no_limit() {
    let caller = Caller::new().await;
    caller.control("limits", &json!({"perSecond": 1, "perMonth": 1})).await;
    caller.app.revoke(&[Permission::CardStreamingWrite]).unwrap();
    let path = "/v1.0/card/streaming";
    for _ in 0..3 {
        let answer = call(&caller, "PUT", path).await;
        assert!(answer["body"]["accessdenieddetail"].is_object(), "{answer}");
    }
    caller.app.grant(&[Permission::CardStreamingWrite]).unwrap();
    assert_eq!(call(&caller, "PUT", path).await["status"], 400, "now it is the body");
}

#[tokio::test]
async fn permissions_are_chosen_at_minting_and_changed_over_http() {
    let mock = MockDingtalk::start().await.unwrap();
    let missing = [Permission::RobotSendMessage];
    let app = mock.app_with(AppOptions::default().missing_permissions(missing)).unwrap();
    assert_eq!(app.permissions().unwrap().missing, missing);
    let post = async |path: &str, body: Value| -> (u16, Value) {
        let request = http().post(format!("{}/_mock/{path}", mock.url())).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    };
    let names = json!(["Card.Streaming.Write", "Card.Instance.Write"]);
    let (status, minted) = post("apps", json!({"missingPermissions": names})).await;
    let sorted = json!(["Card.Instance.Write", "Card.Streaming.Write"]);
    assert_eq!((status, &minted["missingPermissions"]), (201, &sorted), "{minted}");
    let path = format!("apps/{}/permissions", minted["clientId"].as_str().unwrap());
    let change = json!({"grant": ["Card.Streaming.Write"], "revoke": ["qyapi_get_member"]});
    let (_, row) = post(&path, change).await;
    assert_eq!(row["missing"], json!(["Card.Instance.Write", "qyapi_get_member"]));
    assert_eq!(row["granted"].as_array().unwrap().len(), 6);
    for (body, said) in [
        (
            json!({"revoke": ["Card"]}),
            "`revoke` is \"Card\", allowed is a list of qyapi_robot_send",
        ),
        (json!({"revoke": "Card"}), "`revoke` is \"Card\", allowed is an array of strings"),
        (
            json!({"grant": ["qyapi_get_member"], "revoke": ["qyapi_get_member"]}),
            "`revoke` is qyapi_get_member, allowed is what `grant` does not name",
        ),
    ] {
        let (status, answer) = post(&path, body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.starts_with(said), "{status} {message}");
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_is_refused_and_the_next_fetch_gives_another() {
    let mut caller = Caller::new().await;
    let old = caller.token.clone();
    let fetch = async |caller: &Caller| {
        caller.post("/v1.0/robot/messageFiles/download", &json!({"robotCode": "x"})).await
    };
    let before = fetch(&caller).await;
    assert!(!before.to_string().contains("InvalidAuthentication"), "{before}");
    let path = format!("/_mock/apps/{}/token", caller.app.client_id());
    let told = caller.bare("DELETE", &path).send().await.unwrap();
    assert_eq!(told.status(), 204);
    let refused = fetch(&caller).await;
    assert!(refused.to_string().contains("InvalidAuthentication"), "{refused}");
    caller.renew().await;
    assert_ne!(caller.token, old);
    let taken = fetch(&caller).await;
    assert_eq!(taken, before);
    caller.app.revoke_token().unwrap();
    assert_eq!(fetch(&caller).await, refused);
}
