//! What a call can fail with, named by whose fault it is.

use std::time::Duration;

use crate::redact::RedactedUrl;

/// A call that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenApiError {
    /// No answer: the host can't be reached, broke off, or took too long.
    #[error("{call}: no answer from {host}: {reason}")]
    Transport {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// What went wrong, without the URL.
        reason: String,
        /// Whether the request may have been carried out all the same.
        ambiguous: bool,
    },
    /// An HTTP status that is no success.
    #[error("{call}: {host} answered HTTP {status} {code}: {message}")]
    Status {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// HTTP status.
        status: u16,
        /// DingTalk's `code`, empty when the body has none.
        code: String,
        /// DingTalk's `message`, or what the body looks like.
        message: String,
        /// `Retry-After`, where the server sent one in seconds.
        retry_after: Option<Duration>,
    },
    /// HTTP 200 with an `errcode` that is not 0.
    #[error("{call}: {host} answered errcode {errcode}: {errmsg}")]
    ErrCode {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// `errcode`.
        errcode: i64,
        /// `errmsg`.
        errmsg: String,
    },
    /// A success whose body makes no sense.
    #[error("{call}: {host} answered HTTP {status}, but {problem}")]
    Incomprehensible {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// HTTP status.
        status: u16,
        /// What is wrong with the body.
        problem: String,
    },
    /// A success that says inside that nothing was done.
    #[error("{call}: {host} answered HTTP 200, but {problem}")]
    Declined {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// What it says.
        problem: String,
    },
    /// This machine's address makes so many calls that DingTalk reads none of them for a while: an answer
    /// such as `{"status":1111,"wait":5,"punish":"deny"}`, inside HTTP 200 (KB 0012: 10,000 calls in 20 s,
    /// 5 min).
    #[error(
        "{call}: {host} blocks this machine's address, which makes too many calls; what else calls \
         DingTalk from it?"
    )]
    Blocked {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// What it asks to wait.
        wait: Option<Duration>,
    },
    /// A body has more bytes than are read.
    #[error("{call}: what {host} sends is larger than {limit} bytes")]
    TooLarge {
        /// Method and path.
        call: &'static str,
        /// The host.
        host: String,
        /// In bytes.
        limit: usize,
    },
    /// No access token could be had, so that the call was not made.
    #[error("{call} was not made: {cause}")]
    NoToken {
        /// Method and path of the call.
        call: &'static str,
        /// Why there is no token.
        cause: Box<OpenApiError>,
    },
    /// The call can be left out, and was: what is left of the call budget belongs to answers.
    #[error("{call} was not made: the call budget is needed for answers")]
    NotSpared {
        /// Method and path.
        call: &'static str,
    },
    /// A URL made by the server names a host that is not DingTalk's. It was not contacted.
    #[error(
        "{url} names a host that is neither DingTalk's nor a configured endpoint; if it is \
         right, allow it with --allow-host, or allowHosts in the config file"
    )]
    UntrustedHost {
        /// The URL, its query masked.
        url: String,
    },
}

impl OpenApiError {
    pub(super) fn transport(call: &'static str, host: &str, e: reqwest::Error) -> Self {
        // A connection that never stood carried nothing; everything later may have been heard.
        let ambiguous = !e.is_connect() && !e.is_builder();
        Self::Transport {
            call,
            host: host.to_owned(),
            reason: root_cause(&e.without_url()),
            ambiguous,
        }
    }

    pub(crate) fn untrusted(url: &url::Url) -> Self {
        Self::UntrustedHost { url: RedactedUrl(url).to_string() }
    }

    /// Whether the server says that the access token is no good (any more): HTTP 400
    /// `InvalidAuthentication` or 401 on the new host, 40014, 42001, 40001 or 88 on the old one.
    pub fn is_bad_token(&self) -> bool {
        match self {
            Self::Status { status, code, .. } => *status == 401 || code == "InvalidAuthentication",
            Self::ErrCode { errcode, .. } => matches!(errcode, 40_001 | 40_014 | 42_001 | 88),
            _ => false,
        }
    }

    /// DingTalk's `code`, where the answer has one.
    pub fn code(&self) -> &str {
        match self {
            Self::Status { code, .. } => code,
            Self::NoToken { cause, .. } => cause.code(),
            _ => "",
        }
    }

    /// The permissions that DingTalk says are missing (`accessdenieddetail.requiredScopes`).
    pub fn required_scopes(&self) -> Vec<String> {
        let Self::Status { message, .. } = self else { return Vec::new() };
        let list = message.rsplit_once(REQUIRED_SCOPES).map_or("", |(_, list)| list);
        list.split(", ").filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Blocked { .. } => true,
            // Of the robot API: messages to one chat, or of one token.
            Self::Status { status, code, .. } => {
                *status >= 500
                    || matches!(code.as_str(), "send.too.fast" | "send.byToken.tooFast")
                    || self.is_too_fast()
            }
            // -1 busy; 130101 and 410100 messages per minute.
            Self::ErrCode { errcode, .. } => {
                matches!(errcode, -1 | 130_101 | 410_100) || self.is_too_fast()
            }
            Self::NoToken { cause, .. } => cause.is_retryable(),
            Self::Incomprehensible { .. }
            | Self::Declined { .. }
            | Self::TooLarge { .. }
            | Self::NotSpared { .. }
            | Self::UntrustedHost { .. } => false,
        }
    }

    /// Whether the app, or all apps together, made too many calls in a second: 403 `…QpsLimit…` or 429 on
    /// the new host, 90002 or 90018 on the old one; or its address did.
    pub fn is_too_fast(&self) -> bool {
        match self {
            Self::Status { status, code, .. } => {
                let many = code.contains("Qps") || code.contains("Qpm");
                *status == 429 || (*status == 403 && many)
            }
            Self::ErrCode { errcode, .. } => matches!(errcode, 90_002 | 90_018),
            Self::Blocked { .. } => true,
            Self::NoToken { cause, .. } => matches!(**cause, Self::Blocked { .. }),
            _ => false,
        }
    }

    /// Whether the organisation has no calls left in this month: `…ApiCountLimitForOrg`, or 90020 on the old
    /// host.
    pub fn is_quota_gone(&self) -> bool {
        match self {
            Self::Status { code, .. } => code.contains("ApiCountLimitForOrg"),
            Self::ErrCode { errcode, .. } => *errcode == 90_020,
            Self::NoToken { cause, .. } => cause.is_quota_gone(),
            _ => false,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Blocked { wait, .. } => *wait,
            Self::NoToken { cause, .. } => cause.retry_after(),
            _ => None,
        }
    }

    /// Whether the request may have been carried out although it failed.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Transport { ambiguous, .. } => *ambiguous,
            Self::Status { status, .. } => *status >= 500,
            // Whoever answered may have passed it on.
            Self::Incomprehensible { status, .. } => !(300..500).contains(status),
            _ => false,
        }
    }

    /// Whether the `sessionWebhook` is dead (300001 session 不存在).
    pub fn is_session_gone(&self) -> bool {
        matches!(self, Self::ErrCode { errcode: 300_001, .. })
    }
}

/// What stands before the list of missing permissions, in [`OpenApiError::Status`]'s message.
pub(super) const REQUIRED_SCOPES: &str = "; missing permissions: ";

/// The innermost error, which names the cause ("connection refused"); the outer ones repeat "error
/// sending request".
fn root_cause(e: &reqwest::Error) -> String {
    if e.is_timeout() {
        return "timed out".to_owned();
    }
    let mut cause: &dyn std::error::Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
