//! People, as the two hosts show them.

use serde_json::{Map, Value, json};

use crate::caller::{Caller, shown};

#[tokio::test]
async fn a_person_is_found_by_id_number_and_union_id() {
    let caller = Caller::new().await;
    let token = caller.token.clone();
    let top = async |path: &str, body: Value| {
        let path = format!("{path}?access_token={token}");
        let mut answer = shown(caller.bare("POST", &path).json(&body).send().await.unwrap()).await;
        if let Some(id) = answer["body"].as_object_mut().unwrap().remove("request_id") {
            assert!(id.is_string());
        }
        answer
    };
    let get = "/topapi/v2/user/get";
    let ada = top(get, json!({"userid": "user0001", "language": "zh_CN"})).await;
    let (union, mobile) =
        (ada["body"]["result"]["unionid"].clone(), ada["body"]["result"]["mobile"].clone());
    let mut seen = Map::new();
    let mut add = |name: &str, answer: Value| seen.insert(name.to_owned(), answer);
    add("right", ada);
    add("no id", top(get, json!({})).await);
    add("nobody", top(get, json!({"userid": "nobody"})).await);
    let by_mobile = "/topapi/v2/user/getbymobile";
    add("by number", top(by_mobile, json!({"mobile": mobile})).await);
    add("by no number", top(by_mobile, json!({"mobile": "x"})).await);
    add("by an unknown number", top(by_mobile, json!({"mobile": "1"})).await);
    let by_union = "/topapi/user/getbyunionid";
    add("by union id", top(by_union, json!({"unionid": union})).await);
    add("by an unknown union id", top(by_union, json!({"unionid": "x"})).await);
    add("by no union id", top(by_union, json!({})).await);
    let form = async |path: &str, body: String| {
        let request = caller.bare("POST", path).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        shown(request.send().await.unwrap()).await
    };
    let in_query = form(&format!("{get}?access_token={token}"), "userid=user0001".to_owned()).await;
    assert_eq!(in_query["body"]["result"]["unionid"], union, "a form is taken as well");
    assert_eq!(in_query.get("diagnosis"), None);
    let whole = form(get, format!("access_token={token}&userid=user0001")).await;
    assert_eq!(whole["body"]["result"]["unionid"], union, "and the token in it");
    let remark = whole["diagnosis"].as_str().unwrap();
    assert!(remark.contains("access_token stands in the form"), "{remark}");
    let wrong = form(get, "access_token=x&userid=user0001".to_owned()).await;
    assert_eq!(wrong["body"]["sub_code"], "40014", "{wrong}");
    for (name, path) in [
        ("old call", format!("/user/get?access_token={token}&userid=user0001")),
        ("old call, nobody", format!("/user/get?access_token={token}&userid=nobody")),
        ("old call, no id", format!("/user/get?access_token={token}")),
    ] {
        add(name, shown(caller.bare("GET", &path).send().await.unwrap()).await);
    }
    let wrong = caller.bare("POST", &format!("{get}?access_token=x")).json(&json!({}));
    let mut wrong = shown(wrong.send().await.unwrap()).await;
    assert!(wrong["body"].as_object_mut().unwrap().remove("request_id").is_some());
    add("wrong token", wrong);
    add("who an app is", caller.get("/v1.0/contact/users/me").await);
    insta::assert_json_snapshot!(seen);
}

#[tokio::test]
async fn every_answer_of_the_top_gateway_has_its_id() {
    let caller = Caller::new().await;
    let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
    let mut codes = Vec::new();
    for user in ["user0001", "nobody", ""] {
        let answer = caller.post(&path, &json!({"userid": user})).await;
        assert!(answer["body"]["request_id"].is_string(), "{answer}");
        codes.push(answer["body"]["errcode"].as_i64().unwrap());
    }
    assert_eq!(codes, [0, 60121, 33012]);
}
