//! Acks: what the client answers to a frame.
//!
//! Shape `{"code", "headers": {"contentType", "messageId"}, "message", "data"}`, where `data` is JSON
//! text again. Source: developerpedia, `docs/learn/stream/protocol.md`; deadlines: events 3 s, card
//! callbacks 2 s.

use serde::Serialize;
use serde_json::{Value, json};

use super::id::MessageId;

/// An answer to one frame, still without the frame's `messageId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    code: AckCode,
    message: String,
    data: String,
}

/// `code` of an ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckCode {
    /// 200: taken.
    Ok,
    /// 400: the frame's `data` cannot be understood (the Python SDK defines it).
    BadRequest,
    /// 404: nobody here handles the topic.
    NotFound,
    /// 500: handling failed.
    InternalError,
}

/// `status` in the answer to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAckStatus {
    /// Done; do not send it again.
    Success,
    /// Not now; send it again later.
    Later,
}

impl AckCode {
    /// The number on the wire.
    pub fn as_u16(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::InternalError => 500,
        }
    }
}

impl Ack {
    /// Answers a SYSTEM ping: its `data` goes back byte for byte.
    pub fn ping(data: impl Into<String>) -> Self {
        Self { code: AckCode::Ok, message: OK.into(), data: data.into() }
    }

    /// Answers a CALLBACK. For robot messages the gateway ignores `response`; `null` is enough.
    pub fn callback(response: &Value) -> Self {
        let data = json!({ "response": response }).to_string();
        Self { code: AckCode::Ok, message: OK.into(), data }
    }

    /// Answers an EVENT.
    pub fn event(status: EventAckStatus) -> Self {
        let status = match status {
            EventAckStatus::Success => "SUCCESS",
            EventAckStatus::Later => "LATER",
        };
        Self {
            code: AckCode::Ok,
            message: OK.into(),
            data: json!({ "status": status }).to_string(),
        }
    }

    /// Refuses a frame, saying why.
    pub fn refusal(code: AckCode, reason: impl Into<String>) -> Self {
        Self { code, message: reason.into(), data: "{}".into() }
    }

    /// The code it carries.
    pub fn code(&self) -> AckCode {
        self.code
    }

    /// The WebSocket text for the frame with this `messageId`. A frame without one is answered
    /// without one, as the Python SDK does.
    pub fn encode(&self, message_id: Option<&MessageId>) -> String {
        let wire = Wire {
            code: self.code.as_u16(),
            headers: WireHeaders {
                content_type: "application/json",
                message_id: message_id.map(MessageId::as_str),
            },
            message: &self.message,
            data: &self.data,
        };
        serde_json::to_string(&wire).expect("strings and numbers always serialise")
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    code: u16,
    headers: WireHeaders<'a>,
    message: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireHeaders<'a> {
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
}

const OK: &str = "OK";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_have_the_documented_shape() {
        let id = MessageId::new("m1");
        for (ack, expected) in [
            (
                Ack::ping(r#"{"opaque": "1"}"#),
                r#"{"code":200,"headers":{"contentType":"application/json","messageId":"m1"},"message":"OK","data":"{\"opaque\": \"1\"}"}"#,
            ),
            (
                Ack::callback(&Value::Null),
                r#"{"code":200,"headers":{"contentType":"application/json","messageId":"m1"},"message":"OK","data":"{\"response\":null}"}"#,
            ),
            (
                Ack::event(EventAckStatus::Later),
                r#"{"code":200,"headers":{"contentType":"application/json","messageId":"m1"},"message":"OK","data":"{\"status\":\"LATER\"}"}"#,
            ),
            (
                Ack::refusal(AckCode::NotFound, "topic not handled"),
                r#"{"code":404,"headers":{"contentType":"application/json","messageId":"m1"},"message":"topic not handled","data":"{}"}"#,
            ),
        ] {
            assert_eq!(ack.encode(Some(&id)), expected);
        }
    }

    #[test]
    fn an_ack_to_a_frame_without_message_id_has_none() {
        let text = Ack::ping("{}").encode(None);
        assert!(!text.contains("messageId"), "{text}");
    }
}
