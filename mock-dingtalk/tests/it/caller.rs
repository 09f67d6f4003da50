//! An app with a token, and raw calls in its name. Seeded, so that ids are the same in every run.

use mock_dingtalk::{App, AppOptions, MockDingtalk};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::http;

pub(crate) struct Caller {
    pub(crate) mock: MockDingtalk,
    pub(crate) app: App,
    pub(crate) token: String,
    client: reqwest::Client,
}

impl Caller {
    pub(crate) async fn new() -> Self {
        let mock = MockDingtalk::start().await.unwrap();
        mock.clock().pause();
        let app = mock.app_with(AppOptions::default().seed(7)).unwrap();
        let client = http();
        let mut caller = Self { mock, app, token: String::new(), client };
        caller.renew().await;
        caller.control("limits", &json!({"perSecond": "none"})).await;
        caller
    }

    /// Fetches the token, which renews it.
    pub(crate) async fn renew(&mut self) {
        let body = json!({"appKey": self.app.client_id(), "appSecret": self.app.client_secret()});
        let answer = self.client.post(self.url("/v1.0/oauth2/accessToken")).json(&body);
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        answer["accessToken"].as_str().unwrap().clone_into(&mut self.token);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.mock.url())
    }

    /// A request with the token where the api host wants it.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, self.url(path))
            .header("x-acs-dingtalk-access-token", &self.token)
    }

    /// A request with nothing added.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, self.url(path))
    }

    /// Posts JSON with the token; the answer as [`shown`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        shown(self.request("POST", path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        shown(self.request("PUT", path).json(body).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        shown(self.request("GET", path).send().await.unwrap()).await
    }

    /// A control call of this app.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Value {
        let path = format!("/_mock/apps/{}/{path}", self.app.client_id());
        let request = if body.is_null() {
            self.bare("GET", &path)
        } else {
            self.bare("POST", &path).json(body)
        };
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {:?}", response.text().await);
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default()
    }

    /// The id of a group, in which somebody has just spoken.
    pub(crate) async fn group(&self) -> String {
        self.app.say_in_group("user0001", "Team", "hi").await.unwrap().conversation_id
    }

    /// What `sent` shows, without times.
    pub(crate) fn sent(&self) -> Value {
        let mut rows = json!(self.app.sent().unwrap());
        for row in rows.as_array_mut().unwrap() {
            row["at"].take();
        }
        rows
    }
}

/// Status, body and diagnosis, without the id of the request, which is checked here.
pub(crate) async fn shown(response: Response) -> Value {
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, request_id) = (response.status().as_u16(), header("x-acs-request-id").unwrap());
    let (kind, diagnosis) = (header("content-type").unwrap(), header("x-mock-diagnosis"));
    let bytes = response.bytes().await.unwrap();
    let mut body: Value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| json!({ kind: String::from_utf8_lossy(&bytes) }));
    if let Some(members) = body.as_object_mut()
        && let Some(id) = members.remove("requestid")
    {
        assert_eq!(id, request_id);
    }
    let mut shown = json!({ "status": status, "body": body });
    if let Some(diagnosis) = diagnosis {
        shown["diagnosis"] = diagnosis.into();
    }
    shown
}

/// `body` with some members changed; null takes one away.
pub(crate) fn with(body: &Value, changes: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    body
}
