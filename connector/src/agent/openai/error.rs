//! Why a model did not answer, for the operator.

use std::time::Duration;

/// A call to the model's endpoint failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ModelError {
    #[error(
        "the model's endpoint {host} cannot be reached ({reason}); check OPENAI_BASE_URL, the network, and the proxy if one is set"
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
    #[error("the model's endpoint {host} gave nothing for {limit:?} ({what})")]
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

impl ModelError {
    /// What the person who asked can do about it, if anything.
    pub(super) fn for_people(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty { finish_reason } if finish_reason == "content_filter" => {
                "这个问题或回答被模型服务的内容过滤拦截了\n\
                 The model's content filter held back this question or its answer"
            }
            Self::Empty { finish_reason } if finish_reason == "length" => {
                "模型在给出回答之前就用完了长度上限，可以试试 /compact、/think low 或更短的问题\n\
                 The model reached its limit before it answered; try /compact, /think low or a shorter question"
            }
            Self::Empty { .. } => {
                "模型没有给出回答，请换个说法再试\nThe model gave no answer; please put it another way"
            }
            Self::TooLong { .. } => {
                "模型的回答太长，无法发送\nThe model's answer is too long to be sent"
            }
            Self::Silent { .. } => {
                "模型太久没有回应，请稍后再试\nThe model took too long; please try again later"
            }
            Self::Status { status: 429 | 503, .. } => {
                "模型服务繁忙或额度已用完，请稍后再试\n\
                 The model's service is busy, or a quota is used up; please try again later"
            }
            Self::Status { status: 400 | 413 | 422, .. } => {
                "模型服务拒绝了这个请求：会话可能太长（/compact 或 /new），或不支持图片或 /think 设置（/think off）\n\
                 The model's service refused this request: the session may be too long (/compact or /new), \
                 or the model takes no pictures or no /think level (/think off)"
            }
            _ => return None,
        })
    }
}

fn fix(status: u16) -> &'static str {
    match status {
        300..=399 => {
            "it redirects, which is not followed: set OPENAI_BASE_URL to the final address"
        }
        401 | 403 => "check OPENAI_API_KEY",
        404 => "check OPENAI_BASE_URL, and that OPENAI_MODEL is a model it has",
        413 => "the question is too long for it",
        429 => "a limit or quota of the account is reached",
        500.. => "its server failed; see its own log or status page",
        _ => "it refuses the request; the model may not take pictures or the chosen settings",
    }
}
