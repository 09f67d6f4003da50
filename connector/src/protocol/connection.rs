//! `POST /v1.0/gateway/connections/open`: what is asked and what comes back.
//!
//! Source: developerpedia, `docs/learn/stream/protocol.md`, step 1.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::lenient;
use crate::credential::Credential;
use crate::redact::{RedactedUrl, Secret};

/// One thing the gateway should push, by type and topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// `CALLBACK` or `EVENT`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// A callback's topic, or `*` for events.
    pub topic: &'static str,
}

/// Body of the request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenConnectionRequest<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    subscriptions: &'a [Subscription],
    ua: &'a str,
}

impl<'a> OpenConnectionRequest<'a> {
    /// Asks for a connection that brings `subscriptions`.
    pub fn new(credential: &'a Credential, subscriptions: &'a [Subscription]) -> Self {
        Self {
            client_id: credential.client_id.as_str(),
            client_secret: credential.client_secret.expose(),
            subscriptions,
            ua: UA,
        }
    }
}

/// Names this program to the gateway, in the documented form `name-sdk-lang/version`.
const UA: &str = concat!("ddingtalk-sdk-rust/v", env!("CARGO_PKG_VERSION"));

/// Admits one WebSocket: valid for 90 s and for a single connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(Secret);

/// Where to connect, and what lets us in.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    ticket: Ticket,
}

/// Why the body of a successful answer is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The body is not JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// A field is missing or empty.
    #[error("the answer has no `{0}`")]
    Missing(&'static str),
    /// `endpoint` is no `ws` or `wss` URL.
    #[error("`endpoint` is no ws:// or wss:// URL: {0}")]
    NotWebSocket(String),
}

impl Endpoint {
    /// Reads the answer's body.
    pub fn parse(body: &str) -> Result<Self, EndpointError> {
        let wire: Wire = lenient::document(body).map_err(|_| EndpointError::NotJson)?;
        let given = wire.endpoint.filter(|e| !e.is_empty());
        let given = given.ok_or(EndpointError::Missing("endpoint"))?;
        let ticket =
            wire.ticket.filter(|t| !t.is_empty()).ok_or(EndpointError::Missing("ticket"))?;
        match Url::parse(&given) {
            Ok(url) if matches!(url.scheme(), "ws" | "wss") && url.has_host() => {
                Ok(Self { url, ticket: Ticket(Secret::new(ticket)) })
            }
            Ok(url) => Err(EndpointError::NotWebSocket(RedactedUrl(&url).to_string())),
            Err(e) => Err(EndpointError::NotWebSocket(e.to_string())),
        }
    }

    /// The URL without the ticket.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL to connect to, the ticket percent-encoded behind whatever query it has.
    pub fn url_with_ticket(&self) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("ticket", self.ticket.0.expose());
        url
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", RedactedUrl(&self.url))
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "lenient::text")]
    endpoint: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    ticket: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ticket(endpoint: &str, ticket: &str) -> String {
        let body = serde_json::json!({ "endpoint": endpoint, "ticket": ticket }).to_string();
        Endpoint::parse(&body).unwrap().url_with_ticket().to_string()
    }

    #[test]
    fn the_ticket_is_encoded_and_appended() {
        for (endpoint, ticket, expected) in [
            (
                "wss://wss-open-connection.dingtalk.com:443/connect",
                "0d6f3f7e-5b2c",
                "wss://wss-open-connection.dingtalk.com/connect?ticket=0d6f3f7e-5b2c",
            ),
            (
                "ws://127.0.0.1:9/connect",
                "a+b/c=d&e",
                "ws://127.0.0.1:9/connect?ticket=a%2Bb%2Fc%3Dd%26e",
            ),
            ("ws://h/c?x=1", "t", "ws://h/c?x=1&ticket=t"),
        ] {
            assert_eq!(with_ticket(endpoint, ticket), expected);
        }
    }

    #[test]
    fn an_incomplete_answer_is_named() {
        for (body, error) in [
            ("<html>", EndpointError::NotJson),
            ("{}", EndpointError::Missing("endpoint")),
            (r#"{"endpoint":"wss://h/c"}"#, EndpointError::Missing("ticket")),
            (r#"{"endpoint":"","ticket":"t"}"#, EndpointError::Missing("endpoint")),
            (
                r#"{"endpoint":"https://h","ticket":"t"}"#,
                EndpointError::NotWebSocket("https://h/".into()),
            ),
            (
                r#"{"endpoint":"h","ticket":"t"}"#,
                EndpointError::NotWebSocket("relative URL without a base".into()),
            ),
        ] {
            assert_eq!(Endpoint::parse(body), Err(error), "{body}");
        }
    }

    #[test]
    fn the_ticket_is_not_shown() {
        let endpoint = Endpoint::parse(r#"{"endpoint":"wss://h/c","ticket":"tick"}"#).unwrap();
        assert!(!format!("{endpoint:?}").contains("tick"));
    }

    #[test]
    fn the_request_has_the_documented_fields() {
        let credential = Credential {
            client_id: crate::credential::ClientId::new("dingmock1"),
            client_secret: Secret::new("s"),
            place: "the test".to_owned(),
        };
        let subscriptions =
            [Subscription { kind: "CALLBACK", topic: super::super::topic::BOT_MESSAGE }];
        let request = OpenConnectionRequest::new(&credential, &subscriptions);
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            serde_json::json!({
                "clientId": "dingmock1",
                "clientSecret": "s",
                "subscriptions": [{ "type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get" }],
                "ua": concat!("ddingtalk-sdk-rust/v", env!("CARGO_PKG_VERSION")),
            })
        );
    }
}
