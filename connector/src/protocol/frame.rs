//! Frames from the gateway: `{specVersion, type, headers, data}` in one WebSocket text message.
//!
//! Source: developerpedia, `docs/learn/stream/protocol.md`; official SDKs for the tolerance.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::id::MessageId;
use super::lenient;

/// One frame, read leniently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFrame {
    /// What kind of frame it is.
    pub frame_type: FrameType,
    /// Routing and correlation.
    pub headers: Headers,
    /// JSON text, kept byte for byte, because a ping's answer echoes it. Empty when absent.
    pub data: String,
}

/// `type` of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameType {
    /// Upkeep of the connection itself.
    System,
    /// A subscribed event; answered with a status.
    Event,
    /// A call that wants a response: robot messages, card actions.
    Callback,
    /// Anything else, kept for the log.
    Unknown(String),
}

/// `headers` of a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// Correlates the ack. Absent in the protocol page's own `disconnect` example.
    pub message_id: Option<MessageId>,
    /// Topic; empty when absent.
    pub topic: String,
    /// Every other header with a scalar value, such as `time`, `eventId`, `connectionId`.
    pub others: BTreeMap<String, String>,
}

/// Why a WebSocket message is no frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Not JSON at all, cut short, or not valid in some string.
    #[error("not JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("a JSON value that is no object")]
    NotAnObject,
    /// A binary message; the protocol reserves binary and uses text only.
    #[error("a binary message")]
    Binary,
}

impl DataFrame {
    /// Reads a WebSocket text message.
    ///
    /// A well-formed frame takes the typed path; whatever that refuses is looked at once more as
    /// loose JSON, so that a frame is lost only when nothing can be made of it.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        match serde_json::from_str::<Wire>(text) {
            Ok(wire) => Ok(Self {
                frame_type: wire.frame_type.into(),
                headers: wire.headers.into_iter().collect(),
                data: wire.data,
            }),
            Err(_) => Self::from_loose(text),
        }
    }

    fn from_loose(text: &str) -> Result<Self, FrameError> {
        let value: Value = lenient::document(text).map_err(|_| FrameError::NotJson)?;
        let object = value.as_object().ok_or(FrameError::NotAnObject)?;
        // The protocol page's calendar example says `header`.
        let headers = object.get("headers").or_else(|| object.get("header"));
        Ok(Self {
            frame_type: object.get("type").and_then(lenient::scalar).unwrap_or_default().into(),
            headers: headers
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), lenient::scalar(value)?)))
                .collect(),
            data: match object.get("data") {
                None | Some(Value::Null) => String::new(),
                Some(data) => lenient::scalar(data).unwrap_or_else(|| data.to_string()),
            },
        })
    }
}

/// A frame as documented.
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    frame_type: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    data: String,
}

impl From<String> for FrameType {
    fn from(value: String) -> Self {
        match value.as_str() {
            "SYSTEM" => Self::System,
            "EVENT" => Self::Event,
            "CALLBACK" => Self::Callback,
            _ => Self::Unknown(value),
        }
    }
}

impl FromIterator<(String, String)> for Headers {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut headers = Self { others: pairs.into_iter().collect(), ..Self::default() };
        headers.message_id =
            headers.others.remove("messageId").filter(|id| !id.is_empty()).map(MessageId::new);
        headers.topic = headers.others.remove("topic").unwrap_or_default();
        headers
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "SYSTEM",
            Self::Event => "EVENT",
            Self::Callback => "CALLBACK",
            Self::Unknown(other) => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_whatever_its_oddities() {
        for (text, frame_type, topic, message_id, data) in [
            (
                r#"{"specVersion":"1.0","type":"SYSTEM","headers":{"topic":"ping","messageId":"m1","time":"1"},"data":"{\"opaque\": \"1\"}"}"#,
                FrameType::System,
                "ping",
                Some("m1"),
                r#"{"opaque": "1"}"#,
            ),
            (
                r#"{"type":"SYSTEM","headers":{"topic":"ping","messageId":7,"time":1}}"#,
                FrameType::System,
                "ping",
                Some("7"),
                "",
            ),
            (
                r#"{"type":"EVENT","header":{"topic":"*","messageId":""},"data":null}"#,
                FrameType::Event,
                "*",
                None,
                "",
            ),
            (
                r#"{"type":"CALLBACK","headers":{"topic":"t"},"data":{"a": 1}}"#,
                FrameType::Callback,
                "t",
                None,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"NEWS","headers":null,"data":3}"#,
                FrameType::Unknown("NEWS".into()),
                "",
                None,
                "3",
            ),
            (r#"{"type":["x"],"headers":"none"}"#, FrameType::Unknown(String::new()), "", None, ""),
            ("{}", FrameType::Unknown(String::new()), "", None, ""),
        ] {
            let frame = DataFrame::parse(text).unwrap();
            assert_eq!(frame.frame_type, frame_type, "{text}");
            assert_eq!(frame.headers.topic, topic, "{text}");
            assert_eq!(frame.headers.message_id, message_id.map(MessageId::new), "{text}");
            assert_eq!(frame.data, data, "{text}");
        }
    }

    #[test]
    fn what_is_no_frame_is_named() {
        for (text, error) in [
            ("", FrameError::NotJson),
            ("hello", FrameError::NotJson),
            (r#"{"type":"SYSTEM""#, FrameError::NotJson),
            ("[1]", FrameError::NotAnObject),
            ("null", FrameError::NotAnObject),
            ("12", FrameError::NotAnObject),
        ] {
            assert_eq!(DataFrame::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn unknown_headers_are_kept() {
        let frame =
            DataFrame::parse(r#"{"type":"EVENT","headers":{"eventId":"e1","x":"y"}}"#).unwrap();
        assert_eq!(frame.headers.others["eventId"], "e1");
        assert_eq!(frame.headers.others["x"], "y");
    }
}
