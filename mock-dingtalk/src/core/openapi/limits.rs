//! How often an app may call, counted on the app's clock.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::core::{Moment, findings::Rule, journal::Diagnosis};

/// The calls of a standard organisation, for each app and API (KB 1431, KB 1433).
const PER_SECOND: u64 = 20;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// The limits of one app, and how much of them is used.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Calls of one API in a second; `None` is no limit.
    pub(crate) per_second: Option<u64>,
    /// Counted calls in a calendar month of UTC+8; `None`, unless chosen, is no limit.
    pub(crate) per_month: Option<u64>,
    /// Calls of one API in a minute; `None`, unless chosen, is no limit.
    pub(crate) per_minute: Option<u64>,
    /// Messages of people in a calendar month of UTC+8; `None`, unless chosen, is no limit.
    pub(crate) messages_per_month: Option<u64>,
    /// People who get nothing by batchSend, by user id.
    pub(crate) flow_controlled: BTreeSet<String>,
    windows: HashMap<Api, Windows>,
    month: i64,
    used: u64,
    messages: u64,
}

/// Method and pattern of a call.
type Api = (&'static str, &'static str);

/// The second and the minute of one API that are counted.
#[derive(Debug, Clone, Default)]
struct Windows {
    second: Window,
    minute: Window,
}

/// Calls since a time. It begins with the first call after the one before it has ended.
#[derive(Debug, Clone, Default)]
struct Window {
    since: Duration,
    calls: u64,
}

impl Window {
    /// Whether there is room for another call.
    fn has_room(&mut self, limit: Option<u64>, length: Duration, now: Duration) -> bool {
        if self.calls == 0 || now.saturating_sub(self.since) >= length {
            *self = Self { since: now, calls: 0 };
        }
        limit.is_none_or(|limit| self.calls < limit)
    }
}

/// The limit that a call ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Second(u64),
    Minute(u64),
    Month(u64),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_second: Some(PER_SECOND),
            per_minute: None,
            per_month: None,
            messages_per_month: None,
            flow_controlled: BTreeSet::new(),
            windows: HashMap::new(),
            month: 0,
            used: 0,
            messages: 0,
        }
    }
}

impl Limits {
    /// Counts a call. What the limits per second and minute refuse counts for none (KB 1433).
    pub(super) fn spend(&mut self, api: Api, counted: bool, now: Moment) -> Result<(), Spent> {
        let Windows { second, minute } = self.windows.entry(api).or_default();
        if !second.has_room(self.per_second, SECOND, now.since_start) {
            return Err(Spent::Second(self.per_second.unwrap_or_default()));
        }
        if !minute.has_room(self.per_minute, MINUTE, now.since_start) {
            return Err(Spent::Minute(self.per_minute.unwrap_or_default()));
        }
        second.calls += 1;
        minute.calls += 1;
        if counted {
            let used = self.used(now);
            if let Some(limit) = self.per_month.filter(|limit| used >= *limit) {
                return Err(Spent::Month(limit));
            }
            self.used += 1;
        }
        Ok(())
    }

    /// Counts a message that a person sends. False when the month's are spent: it comes all the
    /// same, without what it says (KB 0699).
    pub(crate) fn spend_message(&mut self, now: Moment) -> bool {
        let messages = self.messages(now);
        if self.messages_per_month.is_some_and(|limit| messages >= limit) {
            return false;
        }
        self.messages += 1;
        true
    }

    /// Counted calls of this month.
    pub(crate) fn used(&mut self, now: Moment) -> u64 {
        self.turn(now);
        self.used
    }

    /// Counted messages of people of this month.
    pub(crate) fn messages(&mut self, now: Moment) -> u64 {
        self.turn(now);
        self.messages
    }

    fn turn(&mut self, now: Moment) {
        let month = month(now.unix_ms);
        if month != self.month {
            (self.month, self.used, self.messages) = (month, 0, 0);
        }
    }
}

impl Spent {
    pub(super) fn diagnosis(self) -> Diagnosis {
        let (rule, problem, expected) = match self {
            Self::Second(limit) => (
                Rule::OverQps,
                format!("more than {limit} calls of this API in one second"),
                "a second's pause, then the call again",
            ),
            Self::Minute(limit) => (
                Rule::OverQps,
                format!("more than {limit} calls of this API in one minute"),
                "a minute's pause, then the call again",
            ),
            Self::Month(limit) => (
                Rule::OverQuota,
                format!("more than {limit} counted calls in this month"),
                "fewer calls",
            ),
        };
        Diagnosis::new(problem, expected, "openapi.md 0.3 and 0.4 (KB 1431, KB 1433)").of(rule)
    }
}

/// Months since year 0, in DingTalk's time zone, of a time in milliseconds since 1970.
fn month(unix_ms: i64) -> i64 {
    let days = (unix_ms + 8 * 3_600_000).div_euclid(86_400_000);
    // Days since 0000-03-01, in eras of 400 years: the leap day comes last in each year.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year) * 12 + from_march + 2
}

#[cfg(test)]
mod tests {
    use super::{Limits, Spent, month};
    use crate::core::Moment;

    fn at(ms: u64) -> Moment {
        Moment {
            since_start: std::time::Duration::from_millis(ms),
            unix_ms: 1_780_000_000_000 + i64::try_from(ms).unwrap(),
        }
    }

    #[test]
    fn the_window_of_a_second_starts_with_its_first_call_and_each_api_has_its_own() {
        let mut limits = Limits::default();
        for _ in 0..20 {
            assert_eq!(limits.spend(("GET", "/a"), true, at(500)), Ok(()));
        }
        assert_eq!(limits.spend(("GET", "/a"), true, at(1_499)), Err(Spent::Second(20)));
        assert_eq!(limits.spend(("PUT", "/a"), true, at(1_499)), Ok(()));
        assert_eq!(limits.spend(("GET", "/a"), true, at(1_500)), Ok(()));
        assert_eq!(limits.used(at(1_500)), 22, "a refused call is not counted");
    }

    #[test]
    fn a_minute_has_a_limit_of_its_own_that_what_a_second_refuses_does_not_spend() {
        let mut limits = Limits { per_second: Some(1), per_minute: Some(2), ..Limits::default() };
        let mut call = |ms| limits.spend(("GET", "/a"), true, at(ms));
        assert_eq!(call(0), Ok(()));
        assert_eq!(call(999), Err(Spent::Second(1)));
        assert_eq!(call(1_000), Ok(()));
        assert_eq!(call(59_999), Err(Spent::Minute(2)));
        assert_eq!(call(60_000), Ok(()));
        assert_eq!(limits.used(at(60_000)), 3);
    }

    #[test]
    fn messages_of_people_are_counted_by_the_month_apart_from_calls() {
        let mut limits = Limits { messages_per_month: Some(1), ..Limits::default() };
        assert!(limits.spend_message(at(0)));
        assert!(!limits.spend_message(at(0)));
        assert_eq!((limits.messages(at(0)), limits.used(at(0))), (1, 0));
        assert!(limits.spend_message(at(86_400_000 * 31)));
    }

    #[test]
    fn the_month_turns_at_midnight_of_utc_plus_8() {
        // 2026-05-31T15:59:59.999Z is the last millisecond of May in China.
        let midnight = 1_780_243_200_000;
        assert_eq!(month(midnight) - month(midnight - 1), 1);
        assert_eq!(month(0), 1970 * 12);
        // 2024-02-29 and 2024-03-01, noon in China.
        assert_eq!(month(1_709_179_200_000), 2024 * 12 + 1);
        assert_eq!(month(1_709_265_600_000), 2024 * 12 + 2);
    }

    #[test]
    fn a_spent_month_refuses_what_is_counted_only() {
        let mut limits = Limits { per_second: None, per_month: Some(1), ..Limits::default() };
        assert_eq!(limits.spend(("GET", "/a"), true, at(0)), Ok(()));
        assert_eq!(limits.spend(("GET", "/a"), true, at(0)), Err(Spent::Month(1)));
        assert_eq!(limits.spend(("GET", "/b"), false, at(0)), Ok(()));
        assert_eq!(limits.spend(("GET", "/a"), true, at(86_400_000 * 31)), Ok(()));
    }
}
