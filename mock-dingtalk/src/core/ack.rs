//! What bots write on the WebSocket, read as leniently as DingTalk reads it.
//!
//! The official SDKs differ in key order, spacing and in which members they write at all
//! (stream-protocol, 5.1). Only `headers.messageId` correlates.

use serde_json::Value;

/// A text message from a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientFrame {
    /// It answers a frame.
    Ack(Ack),
    /// Anything else: the gateway takes no requests, so it is counted and ignored.
    Unknown,
}

/// An answer to a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) message_id: String,
    /// Absent in what no known SDK writes; then the ack counts all the same.
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<String>,
    /// The text of `data`; JSON that was not put into a string is taken as its text.
    pub(crate) data: Option<String>,
}

impl ClientFrame {
    pub(crate) fn parse(text: &str) -> Self {
        let Ok(Value::Object(mut frame)) = serde_json::from_str(text) else {
            return Self::Unknown;
        };
        let message_id = match frame.get("headers").and_then(|headers| headers.get("messageId")) {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Self::Unknown,
        };
        let code = match frame.get("code") {
            Some(Value::Number(code)) => code.as_i64(),
            Some(Value::String(code)) => code.trim().parse().ok(),
            _ => None,
        };
        let text = |value: Option<Value>| match value? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        Self::Ack(Ack {
            message_id,
            code,
            message: text(frame.remove("message")),
            data: text(frame.remove("data")),
        })
    }
}

impl Ack {
    /// Whether it asks for the EVENT again. Go says so with code 500, the others with 200.
    pub(crate) fn is_later(&self) -> bool {
        self.data
            .as_deref()
            .and_then(|data| serde_json::from_str::<Value>(data).ok())
            .is_some_and(|data| data.get("status").and_then(Value::as_str) == Some("LATER"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Ack, ClientFrame};

    #[test]
    fn the_order_of_keys_and_the_missing_of_members_do_not_matter() {
        let full = Ack {
            message_id: "m1".to_owned(),
            code: Some(200),
            message: Some("OK".to_owned()),
            data: Some(r#"{"response":null}"#.to_owned()),
        };
        let cases = [
            (
                r#"{"code":200,"headers":{"messageId":"m1","contentType":"application/json"},"message":"OK","data":"{\"response\":null}"}"#,
                full.clone(),
            ),
            (
                r#"{ "data" : {"response":null}, "message":"OK", "headers": {"x":1,"time":"1","messageId":"m1"}, "code": "200"}"#,
                full.clone(),
            ),
            (
                r#"{"headers":{"messageId":"m1"},"code":200,"data":null}"#,
                Ack { message: None, data: None, ..full.clone() },
            ),
            (
                r#"{"headers":{"messageId":"m1"}}"#,
                Ack { message: None, data: None, code: None, ..full },
            ),
        ];
        for (text, ack) in cases {
            assert_eq!(ClientFrame::parse(text), ClientFrame::Ack(ack), "{text}");
        }
    }

    #[test]
    fn what_is_no_ack_is_unknown() {
        let strays = [
            "",
            "ping",
            "null",
            "[]",
            "1",
            "\"\"",
            "{}",
            r#"{"code": 200,"message": "ping"}"#,
            r#"{"headers":{"messageId":""}}"#,
            r#"{"headers":{"messageId":null}}"#,
            r#"{"headers":[]}"#,
            r#"{"headers":"m1"}"#,
        ];
        for stray in strays {
            assert_eq!(ClientFrame::parse(stray), ClientFrame::Unknown, "{stray}");
        }
    }

    #[test]
    fn later_is_told_by_the_data_alone() {
        let ack = |data: &str| Ack {
            message_id: String::new(),
            code: Some(500),
            message: None,
            data: Some(data.to_owned()),
        };
        assert!(ack(r#"{"status":"LATER","message":"later"}"#).is_later());
        for other in [r#"{"status":"SUCCESS"}"#, "{}", "", "LATER", "null", "[1]"] {
            assert!(!ack(other).is_later(), "{other}");
        }
    }
}
