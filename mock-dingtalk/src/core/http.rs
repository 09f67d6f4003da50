//! HTTP calls of a bot and their answers, without HTTP.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    app::AppNumber,
    base_url::BaseUrl,
    fault::{Action, Cut, OPEN_PATH},
    journal::Diagnosis,
};

/// A call to one of DingTalk's APIs.
#[derive(Debug, Clone)]
pub(crate) struct HttpCall {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Without the question mark, as received.
    pub(crate) query: String,
    pub(crate) content_type: Option<String>,
    /// The header `x-acs-dingtalk-access-token`.
    pub(crate) token: Option<String>,
    /// `Host`, for telling DingTalk's two hosts apart where a client was led here by name.
    pub(crate) host: Option<String>,
    /// `Accept`.
    pub(crate) accept: Option<String>,
    /// `Authorization`, which object storage asks for.
    pub(crate) authorization: Option<String>,
    /// Where the call came from.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) base: BaseUrl,
    pub(crate) body: Bytes,
}

impl HttpCall {
    /// The value of a query parameter, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The body as the journal keeps it: as much as it takes, and of an upload the size only.
    pub(crate) fn journaled(&self) -> Arc<str> {
        let form = self.content_type.as_deref().is_some_and(|t| t.starts_with("multipart/"));
        if form {
            return format!("(a form of {} bytes)", self.body.len()).into();
        }
        String::from_utf8_lossy(&self.body).into()
    }

    /// Whether the answer is XML, on the new host: where XML is asked for and JSON is not, and
    /// from `connections/open` where nothing is asked for (stream-protocol.md 2.1).
    pub(crate) fn wants_xml(&self) -> bool {
        let asked = match self.accept.as_deref() {
            None => self.path == OPEN_PATH,
            Some(kinds) => {
                kinds.contains("xml") && !kinds.contains("json") && !kinds.contains("*/*")
            }
        };
        asked && !self.is_oapi()
    }

    /// Whether the old conventions hold: HTTP 200 and `errcode`.
    pub(crate) fn is_oapi(&self) -> bool {
        match self.host.as_deref() {
            Some(host) if host.starts_with("oapi.dingtalk") => true,
            Some(host) if host.starts_with("api.dingtalk") => false,
            _ => !(self.path.starts_with("/v1.0/") || self.path.starts_with("/v2.0/")),
        }
    }
}

/// One of DingTalk's two hosts, if a `Host` header names it, as at home and overseas.
pub(crate) fn is_host(host: &str, name: &str) -> bool {
    host.strip_prefix(name).is_some_and(|rest| rest.starts_with(".dingtalk."))
}

/// What goes back, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Arc<str>,
    /// A file, whose place in the journal `body` takes.
    pub(crate) file: Option<Bytes>,
    /// `Location`.
    pub(crate) location: Option<String>,
    /// Upper-case UUID for the `x-acs-request-id` header; the same as `requestid` in an error.
    pub(crate) request_id: String,
    pub(crate) diagnosis: Option<Diagnosis>,
    pub(crate) plan: Plan,
    /// Whose clock the plan is measured on; the mock's where it is nobody's.
    pub(crate) owner: Option<AppNumber>,
}

/// How an answer goes back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// Now.
    Now,
    /// When this time since start has come on the owner's clock.
    At(Duration),
    /// Never.
    Never,
    /// The TCP connection ends instead.
    Cut(Cut),
    /// The head now, the body in pieces over this time.
    SlowBody(Duration),
    /// The head now, the body never.
    HeadOnly,
    /// The head and half the body now, and then the end of TCP.
    HalfBody,
    /// Now, with blanks behind the body up to so many bytes.
    Large {
        /// Of the whole body.
        bytes: u64,
        /// Whether `Content-Length` says so.
        announced: bool,
    },
    /// Now, but so many bytes at a time only.
    Dribble {
        /// At a time.
        bytes: usize,
        /// Between two of them.
        every: Duration,
    },
}

impl Plan {
    /// How an answer goes back under a fault.
    pub(crate) fn of_fault(fault: Option<&Action>, now: Duration) -> Self {
        match fault {
            Some(Action::Hang) => Self::Never,
            Some(Action::Drop(how)) => Self::Cut(how.clone()),
            Some(Action::Delay(by)) => Self::At(now.saturating_add(*by)),
            Some(Action::SlowBody(over)) => Self::SlowBody(*over),
            Some(Action::HangAfterHead) => Self::HeadOnly,
            Some(Action::CutBody) => Self::HalfBody,
            Some(Action::LargeBody { bytes, announced }) => {
                Self::Large { bytes: *bytes, announced: *announced }
            }
            Some(Action::Dribble { bytes, every }) => {
                Self::Dribble { bytes: *bytes, every: *every }
            }
            _ => Self::Now,
        }
    }

    /// Whether nothing of the answer goes back, so that the call is not even looked at.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Never | Self::Cut(_))
    }

    /// What the journal says of it.
    pub(crate) fn remark(&self) -> Option<&'static str> {
        Some(match self {
            Self::Now => return None,
            Self::Never => "no answer",
            Self::Cut(_) => "connection cut",
            Self::At(_) => "answered late",
            Self::SlowBody(_) => "body in pieces",
            Self::HeadOnly => "head without body",
            Self::HalfBody => "half the body, then cut",
            Self::Large { .. } => "a large body",
            Self::Dribble { .. } => "answer trickles",
        })
    }
}

pub(crate) const JSON: &str = "application/json;charset=utf-8";
pub(crate) const HTML: &str = "text/html";
