//! People.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Page, fixture};
use crate::caller::{Caller, with};

/// Somebody's members, of `user/get`.
async fn person(caller: &Caller, page: &mut Page) -> Value {
    let path = format!("/topapi/v2/user/get?access_token={}", caller.token);
    let answer = caller.post(&path, &fixture!("user_get")).await;
    let person = answer["body"]["result"].clone();
    page.hide(person["unionid"].as_str().unwrap(), "unionid");
    page.hide(person["mobile"].as_str().unwrap(), "mobile");
    person
}

/// A call of the TOP gateway: `member` is what it looks for.
async fn top(pattern: &'static str, member: &'static str, wrong: &[(&str, Value)]) {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", pattern);
    let person = person(&caller, &mut page).await;
    let mut right = json!({"language": "zh_CN"});
    right[member] = person[member].clone();
    let post = |caller: &Caller, token: Option<&str>| -> RequestBuilder {
        let query = token.map(|token| format!("?access_token={token}")).unwrap_or_default();
        caller.bare("POST", &format!("{pattern}{query}"))
    };
    let own = caller.token.clone();
    page.case("right", post(&caller, Some(&own)).json(&right)).await;
    let value = person[member].as_str().unwrap();
    let form = post(&caller, Some(&own)).body(format!("language=zh_CN&{member}={value}"));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    page.case("a form", form).await;
    let right_form = post(&caller, None)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("access_token={own}&{member}={value}"));
    page.case("a form with the token in it", right_form).await;
    for (name, changes) in [
        ("missing", json!({ member: null })),
        ("empty", json!({ member: "" })),
        ("as a number", json!({ member: 1 })),
    ] {
        let request = post(&caller, Some(&own)).json(&with(&right, &changes));
        page.case(&format!("{member} {name}"), request).await;
    }
    for (name, changes) in wrong {
        page.case(name, post(&caller, Some(&own)).json(&with(&right, changes))).await;
    }
    let bodies = [("no body", ""), ("no JSON", "{"), ("no JSON object", "[]")];
    for (name, body) in bodies {
        let request = post(&caller, Some(&own)).header("content-type", "application/json");
        page.case(name, request.body(body)).await;
    }
    page.old_door(&mut caller, |caller, token| post(caller, token).json(&right)).await;
    page.done();
}

#[tokio::test]
async fn user_get() {
    let nobody = [("nobody", json!({"userid": "nobody"}))];
    top("/topapi/v2/user/get", "userid", &nobody).await;
}

#[tokio::test]
async fn user_get_by_mobile() {
    let wrong = [
        ("nobody", json!({"mobile": "10000000000"})),
        ("no number", json!({"mobile": "phone"})),
        ("a number with its country", json!({"mobile": "+8610000000000"})),
    ];
    top("/topapi/v2/user/getbymobile", "mobile", &wrong).await;
}

#[tokio::test]
async fn user_get_by_union_id() {
    let nobody = [("nobody", json!({"unionid": "Unnobody"}))];
    top("/topapi/user/getbyunionid", "unionid", &nobody).await;
}

#[tokio::test]
async fn user_get_old() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", "/user/get");
    person(&caller, &mut page).await;
    let get = |caller: &Caller, token: &str, query: &str| {
        caller.bare("GET", &format!("/user/get?access_token={token}{query}"))
    };
    for (name, query) in [
        ("right", "&userid=user0001"),
        ("nobody", "&userid=nobody"),
        ("an empty userid", "&userid="),
        ("no userid", ""),
    ] {
        page.case(name, get(&caller, &caller.token, query)).await;
    }
    page.old_door(&mut caller, |caller, token| match token {
        Some(token) => get(caller, token, "&userid=user0001"),
        None => caller.bare("GET", "/user/get?userid=user0001"),
    })
    .await;
    page.done();
}

#[tokio::test]
async fn contact_users_me() {
    const PATH: &str = "/v1.0/contact/users/me";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", PATH);
    page.case("an app's token", caller.request("GET", PATH)).await;
    page.door(&mut caller, PATH, &json!({})).await;
    page.done();
}
