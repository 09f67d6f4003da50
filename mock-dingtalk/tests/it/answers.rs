//! What each endpoint answers: success, and each error that a request or the mock's state can
//! cause, one snapshot for each endpoint. Ids, times and tokens stand in angle brackets; the line
//! after an answer is what `x-mock-diagnosis` says is wrong.

mod cards;
mod custom_robot;
mod emotion;
mod group_files;
mod media;
mod message_files;
mod not_found;
mod people;
mod robot;
mod sent_keys;
mod tokens;
mod webhook;

use std::{collections::BTreeSet, fmt::Write as _, path::Path, time::Duration};

use mock_dingtalk::MockDingtalk;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::caller::{Caller, with};

/// A request body of the fixtures.
macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fixtures/openapi/",
            $name,
            ".request.json"
        )))
        .unwrap()
    };
}
use fixture;

/// Members whose values differ from run to run, or that no reader needs.
const MASKED: [&str; 16] = [
    "Authorization",
    "accessToken",
    "access_token",
    "apiSecret",
    "carrierId",
    "createTime",
    "created_at",
    "downloadUrl",
    "endpoint",
    "media_id",
    "modifiedTime",
    "processQueryKey",
    "request_id",
    "requestid",
    "resourceUrls",
    "ticket",
];

/// The answers of one endpoint, case by case.
struct Page {
    method: &'static str,
    pattern: &'static str,
    hidden: Vec<(String, String)>,
    text: String,
}

impl Page {
    fn new(caller: &Caller, method: &'static str, pattern: &'static str) -> Self {
        let mut page =
            Self { method, pattern, hidden: Vec::new(), text: format!("{method} {pattern}\n") };
        page.hide(caller.mock.url(), "url");
        page.hide(caller.app.client_secret(), "clientSecret");
        page.hide(&caller.app.info().corp_id, "corpId");
        page.hide(caller.app.client_id(), "clientId");
        page
    }

    /// Shows a name instead of a value.
    fn hide(&mut self, value: &str, name: &str) {
        assert!(!value.is_empty(), "{name}");
        self.hidden.push((value.to_owned(), format!("<{name}>")));
    }

    /// Sends a request and notes its answer, which it also returns.
    async fn case(&mut self, name: &str, request: RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let (status, kind) = (response.status().as_u16(), header("content-type").unwrap());
        let (request_id, diagnosis) = (header("x-acs-request-id"), header("x-mock-diagnosis"));
        let body = String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap();
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(id) = json.get("requestid") {
            assert_eq!(id.as_str(), request_id.as_deref(), "{name}");
        }
        self.note(name, status, &kind, &body, diagnosis.as_deref());
        json
    }

    fn note(&mut self, name: &str, status: u16, kind: &str, body: &str, diagnosis: Option<&str>) {
        let shown = match serde_json::from_str::<Value>(body) {
            Ok(mut json) if kind == "application/json;charset=utf-8" => {
                mask(&mut json);
                json.to_string()
            }
            _ => format!("{kind}\n{}", body.trim_end()),
        };
        let _ = write!(self.text, "\n# {name}\n{status} {shown}\n");
        if let Some(diagnosis) = diagnosis {
            let problem = diagnosis.split("; expected ").next().unwrap_or_default();
            let _ = writeln!(self.text, "  ({problem})");
        }
    }

    /// Sends a right body, each time with some members changed; the path is the pattern.
    async fn cases(&mut self, caller: &Caller, right: &Value, cases: &[(&str, Value)]) {
        for (name, changes) in cases {
            let request = caller.request(self.method, self.pattern).json(&with(right, changes));
            self.case(name, request).await;
        }
    }

    /// Sends what is no JSON object.
    async fn no_object(&mut self, caller: &Caller, path: &str) {
        for (name, body) in [("no body", ""), ("no JSON", "{"), ("no JSON object", "[]")] {
            let request = caller.request(self.method, path);
            let request = request.header("content-type", "application/json").body(body);
            self.case(name, request).await;
        }
    }

    /// What every call of the new host answers before it looks at the body. Two hours are over
    /// after that.
    async fn door(&mut self, caller: &mut Caller, path: &str, right: &Value) {
        let bare = |caller: &Caller, token: &str| {
            let request = caller.bare(self.method, path).json(right);
            request.header("x-acs-dingtalk-access-token", token)
        };
        let mark = if path.contains('?') { '&' } else { '?' };
        let in_query = format!("{path}{mark}access_token={}", caller.token);
        let requests = [
            ("no token", caller.bare(self.method, path).json(right)),
            ("a token in the query", caller.bare(self.method, &in_query).json(right)),
            ("a token that nobody issued", bare(caller, "none")),
            ("a token that the app never had", bare(caller, &foreign(&caller.token))),
        ];
        for (name, request) in requests {
            self.case(name, request).await;
        }
        let right_request = || caller.request(self.method, path).json(right);
        caller.control("limits", &json!({"perSecond": 0})).await;
        self.case("over the second", right_request()).await;
        caller.control("limits", &json!({"perSecond": "none", "perMonth": 0})).await;
        // Calls that the month does not count show what they always do.
        self.case("over the month", right_request()).await;
        caller.control("limits", &json!({"perMonth": "none"})).await;
        caller.mock.clock().advance(Duration::from_hours(2));
        self.case("an expired token", right_request()).await;
        caller.renew().await;
    }

    /// The same for the old host; `request` makes a right call with the token it is given, or
    /// with none.
    async fn old_door(
        &mut self,
        caller: &mut Caller,
        request: impl Fn(&Caller, Option<&str>) -> RequestBuilder,
    ) {
        self.case("no token", request(caller, None)).await;
        self.case("a token that nobody issued", request(caller, Some("none"))).await;
        let wrong = foreign(&caller.token);
        self.case("a token that the app never had", request(caller, Some(&wrong))).await;
        let token = caller.token.clone();
        caller.control("limits", &json!({"perSecond": 0})).await;
        self.case("over the second", request(caller, Some(&token))).await;
        caller.control("limits", &json!({"perSecond": "none", "perMonth": 0})).await;
        self.case("over the month", request(caller, Some(&token))).await;
        caller.control("limits", &json!({"perMonth": "none"})).await;
        caller.mock.clock().advance(Duration::from_hours(2));
        self.case("an expired token", request(caller, Some(&token))).await;
        caller.renew().await;
    }

    /// Compares with the snapshot.
    fn done(mut self) {
        for (value, name) in &self.hidden {
            self.text = self.text.replace(value, name);
        }
        let name = file_name(self.method, self.pattern);
        insta::assert_snapshot!(name, self.text);
    }
}

/// A token of the app's number that it was never given.
fn foreign(token: &str) -> String {
    format!("{}{}", &token[..14], "f".repeat(18))
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, value) in members {
                if MASKED.contains(&name.as_str()) {
                    hide_values(name, value);
                } else {
                    mask(value);
                }
            }
        }
        _ => {}
    }
}

/// Puts the member's name in the place of its values, so that their types still show.
fn hide_values(name: &str, value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide_values(name, item)),
        Value::Number(_) => *value = format!("<{name}, a number>").into(),
        Value::String(text) if !text.is_empty() => *value = format!("<{name}>").into(),
        other => mask(other),
    }
}

/// Of an endpoint's snapshot.
fn file_name(method: &str, pattern: &str) -> String {
    let words = pattern.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    format!("{method}_{}", words.collect::<Vec<_>>().join("_"))
}

#[test]
fn every_endpoint_has_a_snapshot_and_every_snapshot_an_endpoint() {
    let ledger = MockDingtalk::coverage();
    let endpoints = ledger["endpoints"].as_array().expect("the ledger lists endpoints");
    let modelled: Vec<_> = endpoints.iter().filter(|row| row["status"] != "not modelled").collect();
    assert!(modelled.len() > 30, "{}", modelled.len());
    let mut wanted = BTreeSet::from(["it__answers__not_found.snap".to_owned()]);
    for row in modelled {
        let (method, path) = (row["method"].as_str().unwrap(), row["path"].as_str().unwrap());
        let file = format!("it__answers__{}.snap", file_name(method, path));
        assert!(wanted.insert(file), "{method} {path} shares its snapshot");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<_> = names.filter(|name| name.starts_with("it__answers__")).collect();
    assert_eq!(there, wanted, "tests/it/answers writes one snapshot for each endpoint");
}
