//! How long a send is tried.
//!
//! What certainly did not arrive waits until it can, for a day: the network is away, a limit is
//! reached, the token cannot be had. What may have arrived is tried a few times, since each try may be
//! a second answer.

use std::fmt::Display;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::openapi::OpenApiError;
use crate::unix_time::now_ms;

/// What a repetition of a failed send promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prospect {
    /// It did not arrive, and may when time has passed.
    Later,
    /// It may have arrived, and may be repeated.
    Unclear,
    /// It will fail again.
    Never,
}

/// An error that tells whether to go on.
pub(super) trait Failing: Display {
    /// What a repetition promises.
    fn prospect(&self) -> Prospect;
    /// How long the server asked to wait.
    fn retry_after(&self) -> Option<Duration>;
}

impl Failing for OpenApiError {
    fn prospect(&self) -> Prospect {
        match self {
            e if e.is_quota_gone() => Prospect::Never,
            // Even a secret that is refused may be set right at the developer console.
            Self::NoToken { .. } => Prospect::Later,
            // Nothing is done for a token that is refused, even twice in a row.
            e if e.is_bad_token() => Prospect::Later,
            // Whoever answered may have passed it on.
            Self::Incomprehensible { .. } if self.is_ambiguous() => Prospect::Unclear,
            e if !e.is_retryable() => Prospect::Never,
            e if e.is_ambiguous() => Prospect::Unclear,
            _ => Prospect::Later,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        Self::retry_after(self)
    }
}

/// Tries of a send that may have arrived each time, the first included. What is too old gets so many
/// tries, too.
const TRIES: u32 = 4;
/// A message is this old, in milliseconds, when its answer stops to wait.
const PATIENCE_MS: i64 = 24 * 3_600 * 1_000;
/// A server that asks for more patience than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);

/// What one send has been through. Pure: it does not wait, and is told the time.
#[derive(Debug, Default)]
struct Course {
    tries: u32,
    /// Tries that may have arrived.
    unclear: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    GiveUp,
    /// Again, and nothing has arrived.
    Wait,
    /// Again, though it may be the second time.
    Repeat,
}

impl Course {
    /// A try has failed. `age_ms` is that of the question, in milliseconds.
    fn failed(&mut self, prospect: Prospect, age_ms: i64) -> Next {
        self.tries = self.tries.saturating_add(1);
        match prospect {
            Prospect::Never => Next::GiveUp,
            Prospect::Unclear => {
                self.unclear += 1;
                if self.unclear >= TRIES { Next::GiveUp } else { Next::Repeat }
            }
            Prospect::Later if self.tries >= TRIES && age_ms >= PATIENCE_MS => Next::GiveUp,
            Prospect::Later => Next::Wait,
        }
    }
}

/// What was given up.
#[derive(Debug)]
pub(super) struct GivenUp<E> {
    /// How the last try ended.
    pub(super) error: E,
    /// Some try may have arrived, the last one or another.
    pub(super) may_have_arrived: bool,
}

/// Tries a send until it succeeds, cannot succeed, or was tried often enough. `received_at` is when
/// the question came, in milliseconds since 1970 UTC; `repeats` hears of each failure after which a send
/// that may have arrived is repeated.
pub(super) async fn persist<T, E: Failing, F: Future<Output = Result<T, E>>>(
    received_at: i64,
    send: impl FnMut() -> F,
    repeats: impl Fn(&E),
) -> Result<T, E> {
    persist_or_tell(received_at, send, repeats).await.map_err(|given_up| given_up.error)
}

/// The same, for those who have to know whether it may have arrived.
pub(super) async fn persist_or_tell<T, E: Failing, F: Future<Output = Result<T, E>>>(
    received_at: i64,
    mut send: impl FnMut() -> F,
    repeats: impl Fn(&E),
) -> Result<T, GivenUp<E>> {
    let mut course = Course::default();
    loop {
        let e = match send().await {
            Ok(value) => {
                if course.tries >= TRIES {
                    info!(tries = course.tries, "what waited has been sent");
                }
                return Ok(value);
            }
            Err(e) => e,
        };
        match course.failed(e.prospect(), now_ms().saturating_sub(received_at)) {
            Next::GiveUp => {
                return Err(GivenUp { error: e, may_have_arrived: course.unclear > 0 });
            }
            Next::Repeat => repeats(&e),
            Next::Wait if course.tries == 1 => warn!("an answer waits: {e}"),
            Next::Wait => debug!("an answer waits: {e}"),
        }
        let asked = e.retry_after().unwrap_or_default().min(LONGEST_PAUSE);
        let pause = BACKOFF.delay(course.tries.saturating_sub(1), rand::random());
        tokio::time::sleep(pause.max(asked)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_have_arrived_is_given_up_before_a_day_has_passed() {
        for (prospect, age_ms, expected) in [
            (Prospect::Later, 0, None),
            (Prospect::Later, PATIENCE_MS - 1, None),
            (Prospect::Later, PATIENCE_MS, Some(TRIES)),
            (Prospect::Unclear, 0, Some(TRIES)),
            (Prospect::Never, 0, Some(1)),
        ] {
            let mut course = Course::default();
            let given_up = (1..500).find(|_| course.failed(prospect, age_ms) == Next::GiveUp);
            assert_eq!(given_up, expected, "{prospect:?} after {age_ms} ms");
        }
    }

    #[test]
    fn waiting_does_not_use_up_the_tries_of_what_may_have_arrived() {
        let mut course = Course::default();
        for _ in 0..100 {
            assert_eq!(course.failed(Prospect::Later, 0), Next::Wait);
        }
        assert_eq!(course.failed(Prospect::Unclear, 0), Next::Repeat);
    }

    #[test]
    fn what_did_not_arrive_is_told_from_what_may_have() {
        let transport = |ambiguous| OpenApiError::Transport {
            call: "",
            host: String::new(),
            reason: String::new(),
            ambiguous,
        };
        let status = |status, code: &str| OpenApiError::Status {
            call: "",
            host: String::new(),
            status,
            code: code.to_owned(),
            message: String::new(),
            retry_after: None,
        };
        let errcode = |errcode| OpenApiError::ErrCode {
            call: "",
            host: String::new(),
            errcode,
            errmsg: String::new(),
        };
        let no_token =
            OpenApiError::NoToken { call: "", cause: Box::new(status(401, "authFailed")) };
        let host = String::new;
        let blocked = OpenApiError::Blocked { call: "", host: host(), wait: None };
        let declined = OpenApiError::Declined { call: "", host: host(), problem: String::new() };
        let incomprehensible = OpenApiError::Incomprehensible {
            call: "",
            host: host(),
            status: 200,
            problem: String::new(),
        };
        // With whatever status it comes.
        let quota_gone = status(429, "Forbidden.AccessDenied.ApiCountLimitForOrg");
        for (error, expected) in [
            (transport(false), Prospect::Later),
            (transport(true), Prospect::Unclear),
            (no_token, Prospect::Later),
            (status(429, ""), Prospect::Later),
            (status(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"), Prospect::Later),
            (status(503, ""), Prospect::Unclear),
            (status(400, "invalidParameter"), Prospect::Never),
            (status(400, "InvalidAuthentication"), Prospect::Later),
            (errcode(40_014), Prospect::Later),
            (blocked, Prospect::Later),
            (incomprehensible, Prospect::Unclear),
            (declined, Prospect::Never),
            (errcode(130_101), Prospect::Later),
            (errcode(410_100), Prospect::Later),
            (errcode(300_001), Prospect::Never),
            (errcode(90_020), Prospect::Never),
            (quota_gone, Prospect::Never),
        ] {
            assert_eq!(error.prospect(), expected, "{error}");
        }
    }
}
