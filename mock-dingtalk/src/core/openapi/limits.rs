//! How often an app may call, counted on the app's clock.

use std::{collections::HashMap, time::Duration};

use crate::core::{Moment, findings::Rule, journal::Diagnosis};

/// The calls of a standard organisation, for each app and API (KB 1431, KB 1433).
const PER_SECOND: u64 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// The limits of one app, and how much of them is used.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Calls of one API in a second; `None` is no limit.
    pub(crate) per_second: Option<u64>,
    /// Counted calls in a calendar month of UTC+8; `None`, unless chosen, is no limit.
    pub(crate) per_month: Option<u64>,
    windows: HashMap<(&'static str, &'static str), (Duration, u64)>,
    month: i64,
    used: u64,
}

/// The limit that a call ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    PerSecond(u64),
    PerMonth(u64),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_second: Some(PER_SECOND),
            per_month: None,
            windows: HashMap::new(),
            month: 0,
            used: 0,
        }
    }
}

impl Limits {
    /// Counts a call. What the limit per second refuses does not count for the month (KB 1433).
    pub(super) fn spend(
        &mut self,
        api: (&'static str, &'static str),
        counted: bool,
        now: Moment,
    ) -> Result<(), Spent> {
        if let Some(limit) = self.per_second {
            let window = self.windows.entry(api).or_insert((now.since_start, 0));
            if now.since_start.saturating_sub(window.0) >= SECOND {
                *window = (now.since_start, 0);
            }
            if window.1 >= limit {
                return Err(Spent::PerSecond(limit));
            }
            window.1 += 1;
        }
        if counted {
            let used = self.used(now);
            if let Some(limit) = self.per_month.filter(|limit| used >= *limit) {
                return Err(Spent::PerMonth(limit));
            }
            self.used += 1;
        }
        Ok(())
    }

    /// Counted calls of this month.
    pub(crate) fn used(&mut self, now: Moment) -> u64 {
        let month = month(now.unix_ms);
        if month != self.month {
            (self.month, self.used) = (month, 0);
        }
        self.used
    }
}

impl Spent {
    pub(super) fn diagnosis(self) -> Diagnosis {
        let (rule, problem, expected) = match self {
            Self::PerSecond(limit) => (
                Rule::OverQps,
                format!("more than {limit} calls of this API in one second"),
                "a second's pause, then the call again",
            ),
            Self::PerMonth(limit) => (
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
        assert_eq!(limits.spend(("GET", "/a"), true, at(1_499)), Err(Spent::PerSecond(20)));
        assert_eq!(limits.spend(("PUT", "/a"), true, at(1_499)), Ok(()));
        assert_eq!(limits.spend(("GET", "/a"), true, at(1_500)), Ok(()));
        assert_eq!(limits.used(at(1_500)), 22, "a refused call is not counted");
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
        assert_eq!(limits.spend(("GET", "/a"), true, at(0)), Err(Spent::PerMonth(1)));
        assert_eq!(limits.spend(("GET", "/b"), false, at(0)), Ok(()));
        assert_eq!(limits.spend(("GET", "/a"), true, at(86_400_000 * 31)), Ok(()));
    }
}
