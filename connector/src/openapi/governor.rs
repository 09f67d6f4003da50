//! One call budget per app, over all its calls. Several processes of one robot have a share of it each.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{error, warn};

use super::budget::{Budget, CallNumber};
use super::error::OpenApiError;
use crate::unix_time::now_ms;

/// Lets calls through, in the order they ask.
#[derive(Debug)]
pub(super) struct Governor {
    state: Mutex<State>,
    /// Held by the one that waits first.
    queue: tokio::sync::Mutex<()>,
    /// A call was answered: whoever waits first may wait for less.
    answered: Notify,
}

#[derive(Debug)]
struct State {
    /// Calls in any second, of all processes together.
    per_second: u32,
    budget: Budget,
    calls: u64,
    refusals: u64,
    spared: u64,
    /// The month that `calls` belong to.
    month: i64,
    quota_told: bool,
}

/// What the budget looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBudget {
    /// Calls in any second that are let through at the moment.
    pub limit: u32,
    /// Whether refusals of DingTalk's hold calls back.
    pub strained: bool,
    /// Numbers the months of Chinese time.
    pub month: i64,
    /// Calls since the month began, those of earlier processes included as far as they are
    /// [known](super::OpenApiClient::add_calls). DingTalk counts an organisation's calls of a month (standard
    /// edition: 5,000; 调用量).
    pub calls_this_month: u64,
    /// Calls that DingTalk refused for being too many.
    pub refusals: u64,
    /// Calls that were not made, to leave room for answers.
    pub spared: u64,
}

impl Governor {
    /// Lets `per_second` calls through in any second.
    pub(super) fn new(per_second: u32) -> Self {
        let state = State {
            per_second,
            budget: Budget::new(per_second),
            calls: 0,
            refusals: 0,
            spared: 0,
            month: month(now_ms()),
            quota_told: false,
        };
        Self {
            state: Mutex::new(state),
            queue: tokio::sync::Mutex::new(()),
            answered: Notify::new(),
        }
    }

    /// So many processes share the calls, this one among them.
    pub(super) fn share(&self, live: u32) {
        let mut state = self.state();
        let most = state.per_second / live.max(1);
        state.budget.set_most(most);
    }

    /// Waits until a call may be made.
    pub(super) async fn admit(&self) -> CallNumber {
        let _first = self.queue.lock().await;
        loop {
            let taken = self.state().budget.take(Instant::now());
            match taken {
                Ok(number) => {
                    self.state().count();
                    return number;
                }
                // A timer may be early by less than its grain.
                Err(wait) => {
                    let wait = wait.max(Duration::from_millis(1));
                    // Early or not, the budget is asked again.
                    let _ = tokio::time::timeout(wait, self.answered.notified()).await;
                }
            }
        }
    }

    /// A call that can be left out, if it may be made now.
    pub(super) fn admit_spare(&self) -> Option<CallNumber> {
        let nobody_waits = self.queue.try_lock().is_ok();
        let mut state = self.state();
        let admitted = if nobody_waits { state.budget.take_spare(Instant::now()) } else { None };
        if admitted.is_some() {
            state.count();
        } else {
            state.spared += 1;
        }
        admitted
    }

    /// A call that was let through is over, whatever came of it.
    pub(super) fn ended(&self, number: CallNumber) {
        self.state().budget.answered(number, Instant::now());
        self.answered.notify_one();
    }

    /// Learns from how a call ended.
    pub(super) fn learn<T>(&self, outcome: &Result<T, OpenApiError>) {
        let Err(e) = outcome else { return };
        let mut state = self.state();
        if e.is_too_fast() {
            state.budget.refused(Instant::now(), e.retry_after());
            state.refusals += 1;
            let limit = state.budget.limit();
            warn!(limit, "DingTalk refuses calls for being too many; fewer from now on: {e}");
        } else if e.is_quota_gone() && !std::mem::replace(&mut state.quota_told, true) {
            error!(
                "the organisation's monthly quota of calls is used up; buy more in the admin console: {e}"
            );
        }
    }

    pub(super) fn report(&self) -> CallBudget {
        let state = self.state();
        let month = month(now_ms());
        CallBudget {
            limit: state.budget.limit(),
            strained: state.budget.is_strained(),
            month,
            calls_this_month: if state.month == month { state.calls } else { 0 },
            refusals: state.refusals,
            spared: state.spared,
        }
    }

    /// Calls of a month that earlier processes made.
    pub(super) fn add(&self, month: i64, calls: u64) {
        let mut state = self.state();
        if state.month == month {
            state.calls = state.calls.saturating_add(calls);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self) {
        let month = month(now_ms());
        if std::mem::replace(&mut self.month, month) != month {
            self.calls = 0;
            self.quota_told = false;
        }
        self.calls += 1;
    }
}

/// Numbers the months of Chinese time (UTC+8).
fn month(unix_ms: i64) -> i64 {
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    const OFFSET_MS: i64 = 8 * 3_600 * 1_000;
    // Days since 0000-03-01, in eras of 400 years that have 146,097 days each; years begin in March, so
    // that the leap day is the last.
    let days = (unix_ms + OFFSET_MS).div_euclid(DAY_MS) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    (era * 400 + year) * 12 + (5 * day_of_year + 2) / 153
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_change_at_midnight_in_china() {
        // 2026-10-31T16:00:00Z is 2026-11-01 00:00 in China.
        let november = 1_793_462_400_000;
        assert_eq!(month(november) - month(november - 1), 1);
        assert_eq!(month(november), month(november + 30 * 24 * 3_600 * 1_000 - 1));
        assert_eq!(month(november + 30 * 24 * 3_600 * 1_000) - month(november), 1);
        // 2027-12-31T16:00:00Z, and the leap day of 2028.
        let january = 1_830_268_800_000;
        assert_eq!(month(january) - month(november), 14);
        let march = january + 60 * 24 * 3_600 * 1_000;
        assert_eq!(month(march) - month(march - 1), 1);
    }

    #[tokio::test]
    async fn what_can_be_left_out_waits_for_nobody_and_is_counted() {
        let governor = Governor::new(2);
        assert!(governor.admit_spare().is_some());
        assert!(governor.admit_spare().is_none());
        governor.admit().await;
        let refused: Result<(), _> = Err(OpenApiError::Status {
            call: "c",
            host: "h".to_owned(),
            status: 403,
            code: "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi".to_owned(),
            message: String::new(),
            retry_after: None,
        });
        governor.learn(&refused);
        let report = governor.report();
        assert_eq!((report.limit, report.strained), (1, true));
        assert_eq!((report.calls_this_month, report.refusals, report.spared), (2, 1, 1));
    }
}
