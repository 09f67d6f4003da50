//! Tickets and tokens.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Page, fixture};
use crate::{
    caller::{Caller, with},
    support::open_body,
};

#[tokio::test]
async fn connections_open() {
    const PATH: &str = "/v1.0/gateway/connections/open";
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let right = open_body(&caller.app);
    let topic = |index: usize| json!({"type": "CALLBACK", "topic": format!("/t/{index}")});
    let many: Vec<Value> = (0..1_001).map(topic).collect();
    page.cases(
        &caller,
        &right,
        &[
            ("right", json!({})),
            ("no subscriptions in the list", json!({"subscriptions": []})),
            ("1000 subscriptions", json!({"subscriptions": many[..1_000]})),
            ("a member that no page has", json!({"extra": 1})),
            ("no ua and no localIp", json!({"ua": null, "localIp": null})),
            ("no clientId", json!({"clientId": null})),
            ("an empty clientId", json!({"clientId": ""})),
            ("clientId as a number", json!({"clientId": 7})),
            ("no clientSecret", json!({"clientSecret": null})),
            ("clientSecret as a number", json!({"clientSecret": 7})),
            ("no subscriptions", json!({"subscriptions": null})),
            ("subscriptions as an object", json!({"subscriptions": {}})),
            ("a subscription without topic", json!({"subscriptions": [{"type": "EVENT"}]})),
            ("a subscription without type", json!({"subscriptions": [{"topic": "*"}]})),
            ("a subscription that is no object", json!({"subscriptions": ["*"]})),
            (
                "a subscription of another type",
                json!({"subscriptions": [{"type": "event", "topic": "*"}]}),
            ),
            ("1001 subscriptions", json!({"subscriptions": many})),
            ("ua as a number", json!({"ua": 1})),
            ("localIp as an object", json!({"localIp": {}})),
            ("unknown clientId", json!({"clientId": "dingmocknone"})),
            (
                "a clientId with a blank",
                json!({"clientId": format!("{} ", caller.app.client_id())}),
            ),
            ("wrong clientSecret", json!({"clientSecret": "none"})),
            (
                "a clientSecret with a blank",
                json!({"clientSecret": format!("{} ", caller.app.client_secret())}),
            ),
        ],
    )
    .await;
    page.no_object(&caller, PATH).await;
    for (name, body) in [
        ("without Accept", right.clone()),
        ("wrong clientSecret, without Accept", with(&right, &json!({"clientSecret": "none"}))),
        ("no JSON object, without Accept", json!([])),
    ] {
        without_accept(&caller, &mut page, name, &body).await;
    }
    page.done();
}

/// A request as no HTTP library writes it.
async fn without_accept(caller: &Caller, page: &mut Page, name: &str, body: &Value) {
    let body = body.to_string();
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        page.pattern,
        caller.mock.address(),
        body.len(),
    );
    let mut socket = TcpStream::connect(caller.mock.address()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, mut body) = answer.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    for name in ["requestid", "endpoint", "ticket"] {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        if let Some((_, rest)) = body.split_once(&open) {
            let (value, rest) = rest.split_once(&close).unwrap();
            assert!(!rest.is_empty() && !value.is_empty());
            page.hide(value, name);
        }
    }
    body = body.trim_end();
    let kind = header("content-type:").unwrap();
    page.note(name, status, &kind, body, header("x-mock-diagnosis:").as_deref());
}

#[tokio::test]
async fn access_token() {
    const PATH: &str = "/v1.0/oauth2/accessToken";
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", PATH);
    let own = json!({"appKey": caller.app.client_id(), "appSecret": caller.app.client_secret()});
    page.cases(
        &caller,
        &with(&fixture!("access_token"), &own),
        &[
            ("right", json!({})),
            ("unknown appKey", json!({"appKey": "dingmocknone"})),
            ("no appKey", json!({"appKey": null})),
            ("appKey as a number", json!({"appKey": 1})),
            ("wrong appSecret", json!({"appSecret": "none"})),
            ("no appSecret", json!({"appSecret": null})),
            (
                "an appSecret with a blank",
                json!({"appSecret": format!(" {}", caller.app.client_secret())}),
            ),
        ],
    )
    .await;
    page.no_object(&caller, PATH).await;
    let form = [("appKey", caller.app.client_id()), ("appSecret", caller.app.client_secret())];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let form = caller.bare("POST", PATH).body(form);
    page.case("a form", form.header("content-type", "application/x-www-form-urlencoded")).await;
    page.done();
}

#[tokio::test]
async fn corp_token() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", "/v1.0/oauth2/{}/token");
    let own =
        json!({"client_id": caller.app.client_id(), "client_secret": caller.app.client_secret()});
    let right = with(&fixture!("corp_token"), &own);
    let path = format!("/v1.0/oauth2/{}/token", caller.app.info().corp_id);
    for (name, changes) in [
        ("right", json!({})),
        ("unknown client_id", json!({"client_id": "dingmocknone"})),
        ("no client_id", json!({"client_id": null})),
        ("wrong client_secret", json!({"client_secret": "none"})),
        ("no client_secret", json!({"client_secret": null})),
        ("another grant_type", json!({"grant_type": "password"})),
        ("no grant_type", json!({"grant_type": null})),
    ] {
        page.case(name, caller.bare("POST", &path).json(&with(&right, &changes))).await;
    }
    let other = caller.bare("POST", "/v1.0/oauth2/dingmockother/token");
    page.case("another corporation", other.json(&right)).await;
    page.no_object(&caller, &path).await;
    page.done();
}

#[tokio::test]
async fn gettoken() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", "/gettoken");
    let (id, secret) = (caller.app.client_id(), caller.app.client_secret());
    for (name, query) in [
        ("right", format!("?appkey={id}&appsecret={secret}")),
        ("no appkey", format!("?appsecret={secret}")),
        ("an empty appkey", format!("?appkey=&appsecret={secret}")),
        ("unknown appkey", format!("?appkey=dingmocknone&appsecret={secret}")),
        ("no appsecret", format!("?appkey={id}")),
        ("wrong appsecret", format!("?appkey={id}&appsecret=none")),
        ("nothing", String::new()),
    ] {
        page.case(name, caller.bare("GET", &format!("/gettoken{query}"))).await;
    }
    page.done();
}
