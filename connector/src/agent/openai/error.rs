//! Why a model did not answer, for the operator.

use std::time::Duration;

/// A call to the model's endpoint failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ModelError {
    #[error(
        "the model's endpoint {host} cannot be reached ({reason}); check OPENAI_BASE_URL and the network"
    )]
    Unreachable { host: String, reason: String },
    #[error("the model's endpoint {host} broke off ({reason})")]
    BrokeOff { host: String, reason: String },
    #[error("the model's endpoint {host} answered HTTP {status}: {message}; {}", fix(*status))]
    Status { host: String, status: u16, message: String, retry_after: Option<Duration> },
    #[error("the model's endpoint {host} failed while it answered: {message}")]
    InStream { host: String, message: String },
    #[error(
        "the model's endpoint {host} gave {problem}; check that OPENAI_BASE_URL names an OpenAI-compatible endpoint"
    )]
    Incomprehensible { host: String, problem: String },
    #[error("the model's endpoint {host} gave nothing for {} s ({what})", limit.as_secs())]
    Silent { host: String, what: &'static str, limit: Duration },
    #[error("the model answered with nothing (finish_reason {finish_reason})")]
    Empty { finish_reason: String },
    #[error("the model's answer exceeds {limit} bytes")]
    TooLong { limit: usize },
}

impl ModelError {
    /// How long to wait before the same is asked again; `None` if that would not help, or if the model
    /// may have begun to answer.
    pub(super) fn retry(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } => Some(Duration::ZERO),
            Self::Status { status: 429 | 503, retry_after, .. } => {
                Some(retry_after.unwrap_or_default())
            }
            _ => None,
        }
    }
}

fn fix(status: u16) -> &'static str {
    match status {
        401 | 403 => "check OPENAI_API_KEY",
        404 => "check OPENAI_BASE_URL, and that OPENAI_MODEL is a model it has",
        413 => "the question is too long for it",
        429 => "a limit or quota of the account is reached",
        500.. => "its server failed; see its own log or status page",
        _ => "it refuses the request; the model may not take pictures or the chosen settings",
    }
}
