//! The times of a schedule.

use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When a schedule is due. Times are milliseconds since 1970 UTC.
///
/// Kept in this form: what was kept before must stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Timing {
    /// Once.
    At {
        /// Then.
        at: i64,
    },
    /// Again and again, whatever clocks show.
    Every {
        /// The time between two of them, in milliseconds.
        ms: i64,
        /// The first one is so long after this.
        from: i64,
    },
    /// As a pattern of five fields has it (minute, hour, day of month, month, day of week).
    ///
    /// What names its hours and minutes (`30 2 * * *`) comes at the first instant after a gap that swallows
    /// it, and once where a clock shows its time twice; what has `*` or `/` there follows the clock: it leaves
    /// out what a gap swallows, and comes each time that is shown.
    Cron {
        /// The pattern.
        pattern: String,
        /// The zone whose clocks count, by its IANA name.
        tz: String,
    },
}

/// A time that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value:?}{problem}; give {allowed}")]
pub struct TimingError {
    /// `every`, `cron`, `at` or `tz`.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What is wrong with it, where there is more to say.
    problem: String,
    allowed: &'static str,
}

impl TimingError {
    fn new(field: &'static str, value: &str, problem: impl Into<String>) -> Self {
        const LONGEST: usize = 80;
        let allowed = match field {
            "every" => "a time from 1s to 1 year, in whole seconds, such as 1h or 1h 30m",
            "cron" => {
                "five fields (minute, hour, day of month, month, day of week) such as 0 9 * * 1-5"
            }
            "at" => {
                "a time to come: 2026-12-01T09:00 (as the zone's clocks show it), \
                 2026-12-01T09:00+08:00, or from now on, such as 20m"
            }
            _ => "the IANA name of a time zone, such as Asia/Shanghai",
        };
        let value = value.chars().take(LONGEST).collect();
        Self { field, value, problem: problem.into(), allowed }
    }
}

/// The zone whose clocks count.
#[derive(Debug, Clone)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

impl Zone {
    /// By its IANA name; without one it is this machine's, or UTC where that has no name.
    pub fn named(name: Option<&str>) -> Result<Self, TimingError> {
        let Some(name) = name else {
            let zone = TimeZone::system();
            // A small image says nothing of a zone.
            let name = zone.iana_name().filter(|_| !zone.is_unknown()).map(str::to_owned);
            return Ok(match name {
                Some(name) => Self { zone, name },
                None => Self { zone: TimeZone::UTC, name: "UTC".to_owned() },
            });
        };
        let name = name.trim();
        let zone = TimeZone::get(name).map_err(|_| TimingError::new("tz", name, ""))?;
        // As it is written in the list of zones.
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Ok(Self { zone, name })
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant when its clocks show a time: the first of two, and for a time that a gap swallows the end
    /// of the gap.
    fn instant(&self, shown: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(shown);
        if !matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
            return ambiguous.earlier().ok();
        }
        let after = ambiguous.later().ok()?;
        let just_after = after.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let gap = self.zone.preceding(just_after).next();
        Some(gap.map_or(after, |gap| gap.timestamp()))
    }
}

/// The shortest and longest time between two runs, in milliseconds.
const SHORTEST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 366 * 24 * 3_600 * 1_000;

impl Timing {
    /// Every so often, counted from now, such as `1h`.
    pub fn every(text: &str, now: i64) -> Result<Self, TimingError> {
        let wrong = |problem: &str| TimingError::new("every", text, problem);
        let ms =
            humantime::parse_duration(text.trim()).ok().and_then(ms).ok_or_else(|| wrong(""))?;
        if !(SHORTEST_MS..=LONGEST_MS).contains(&ms) || ms % 1_000 != 0 {
            return Err(wrong(""));
        }
        Ok(Self::Every { ms, from: now })
    }

    /// By a pattern of five fields, as the clocks of a zone show its times.
    pub fn cron(text: &str, zone: &Zone) -> Result<Self, TimingError> {
        pattern(text)?;
        Ok(Self::Cron { pattern: text.trim().to_owned(), tz: zone.name.clone() })
    }

    /// Once: at a time with an offset, at a time as the clocks of a zone show it, or so long from now on.
    pub fn at(text: &str, zone: &Zone, now: i64) -> Result<Self, TimingError> {
        let text = text.trim();
        let wrong = |problem: &str| TimingError::new("at", text, problem);
        let at = if let Ok(time) = humantime::parse_duration(text) {
            ms(time).and_then(|ms| now.checked_add(ms))
        } else if let Ok(instant) = text.parse::<Timestamp>() {
            Some(instant.as_millisecond())
        } else {
            let shown: DateTime = text.parse().map_err(|_| wrong(""))?;
            zone.instant(shown).map(Timestamp::as_millisecond)
        };
        // Beyond the years that can be written nothing is due.
        let at =
            at.filter(|at| Timestamp::from_millisecond(*at).is_ok()).ok_or_else(|| wrong(""))?;
        if at < now {
            return Err(wrong(", which is past"));
        }
        Ok(Self::At { at })
    }

    /// The first time after another one.
    pub fn after(&self, time: i64) -> Result<Option<i64>, TimingError> {
        match self {
            Self::At { at } => Ok(Some(*at).filter(|at| *at > time)),
            Self::Every { ms, from } => {
                let ms = (*ms).max(SHORTEST_MS);
                let runs = time.saturating_sub(*from).div_euclid(ms).saturating_add(1).max(1);
                Ok(ms.checked_mul(runs).and_then(|ms| from.checked_add(ms)))
            }
            Self::Cron { pattern: text, tz } => {
                let cron = pattern(text)?;
                let zone = Zone::named(Some(tz))?.zone;
                let Ok(from) = Timestamp::from_millisecond(time) else { return Ok(None) };
                match cron.find_next_occurrence(&from.to_zoned(zone), false) {
                    Ok(next) => Ok(Some(next.timestamp().as_millisecond()).filter(|at| *at > time)),
                    // Nothing in the years to come.
                    Err(CronError::TimeSearchLimitExceeded) => Ok(None),
                    Err(e) => Err(TimingError::new("cron", text, format!(", and {e}"))),
                }
            }
        }
    }

    /// What a person reads.
    pub fn words(&self) -> String {
        match self {
            Self::At { at } => Timestamp::from_millisecond(*at)
                .map_or_else(|_| format!("at {at}"), |at| format!("at {at:.0}")),
            Self::Every { ms, .. } => {
                let time = Duration::from_millis(u64::try_from(*ms).unwrap_or(0));
                format!("every {}", humantime::format_duration(time))
            }
            Self::Cron { pattern, tz } => format!("cron {pattern} {tz}"),
        }
    }
}

fn ms(time: Duration) -> Option<i64> {
    i64::try_from(time.as_millis()).ok()
}

fn pattern(text: &str) -> Result<Cron, TimingError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|e| {
        let problem = match e {
            CronError::EmptyPattern => String::new(),
            e => format!(" ({})", e.to_string().trim_end_matches('.')),
        };
        TimingError::new("cron", text, problem)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn zone(name: &str) -> Zone {
        Zone::named(Some(name)).unwrap()
    }

    /// Times after `from`, as UTC.
    fn times(timing: &Timing, from: &str, count: usize) -> Vec<String> {
        let mut at = instant(from);
        let mut times = Vec::new();
        for _ in 0..count {
            at = timing.after(at).unwrap().unwrap();
            times.push(Timestamp::from_millisecond(at).unwrap().to_string());
        }
        times
    }

    #[test]
    fn patterns_follow_the_clocks_of_their_zone_over_gaps_and_repeated_hours() {
        // Berlin: 2026-03-29 02:00 -> 03:00, 2026-10-25 03:00 -> 02:00. New York: 2026-03-08, 2026-11-01.
        // Lord Howe moves by half an hour: 2026-10-04 02:00 -> 02:30, 2026-04-05 02:00 -> 01:30.
        const ROWS: &str = "
            0 9 * * 1-5  | Asia/Shanghai       | 2026-11-27T00:00 | 2026-11-27T01:00 2026-11-30T01:00 2026-12-01T01:00
            # Swallowed by the gap: at its end, 03:00 there.
            30 2 * * *   | Europe/Berlin       | 2026-03-28T00:00 | 2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30
            # Shown twice: the first time only.
            30 2 * * *   | Europe/Berlin       | 2026-10-24T12:00 | 2026-10-25T00:30 2026-10-26T01:30
            30 1 * * *   | America/New_York    | 2026-10-31T12:00 | 2026-11-01T05:30 2026-11-02T06:30
            # As long as the clock goes on: each half hour that is shown, and none that is not.
            */30 * * * * | Europe/Berlin       | 2026-03-29T00:15 | 2026-03-29T00:30 2026-03-29T01:00 2026-03-29T01:30
            */30 * * * * | Europe/Berlin       | 2026-10-25T00:15 | 2026-10-25T00:30 2026-10-25T01:00 2026-10-25T01:30
            15 2 * * *   | Australia/Lord_Howe | 2026-10-03T00:00 | 2026-10-03T15:30 2026-10-04T15:15
            45 1 * * *   | Australia/Lord_Howe | 2026-04-04T00:00 | 2026-04-04T14:45 2026-04-05T15:15
            0 0 29 2 *   | UTC                 | 2026-01-01T00:00 | 2028-02-29T00:00
            @weekly      | UTC                 | 2026-11-27T00:00 | 2026-11-29T00:00
        ";
        let rows =
            ROWS.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#'));
        for row in rows {
            let [pattern, tz, from, expected] =
                row.split('|').map(str::trim).collect::<Vec<_>>()[..]
            else {
                panic!("{row}");
            };
            let utc = |time: &str| format!("{time}:00Z");
            let expected: Vec<_> = expected.split(' ').map(utc).collect();
            let timing = Timing::cron(pattern, &zone(tz)).unwrap();
            assert_eq!(times(&timing, &utc(from), expected.len()), expected, "{row}");
        }
        let never = Timing::cron("0 0 30 2 *", &zone("UTC")).unwrap();
        assert_eq!(never.after(0).unwrap(), None);
    }

    #[test]
    fn a_time_is_read_as_the_zone_shows_it_with_an_offset_or_from_now_on() {
        let now = instant("2026-01-01T00:00:00Z");
        for (text, tz, expected) in [
            ("2026-12-01T09:00", "Asia/Shanghai", "2026-12-01T01:00:00Z"),
            ("2026-12-01 09:00", "Asia/Shanghai", "2026-12-01T01:00:00Z"),
            ("2026-12-01T09:00+02:00", "Asia/Shanghai", "2026-12-01T07:00:00Z"),
            ("2026-12-01T09:00Z", "Asia/Shanghai", "2026-12-01T09:00:00Z"),
            ("20m", "Asia/Shanghai", "2026-01-01T00:20:00Z"),
            // The next valid instant, and the first of two.
            ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:00:00Z"),
            ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
            ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"),
        ] {
            let at = Timing::at(text, &zone(tz), now).unwrap();
            assert_eq!(at, Timing::At { at: instant(expected) }, "{text} {tz}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_with_what_would_be_one() {
        let now = instant("2026-01-01T00:00:00Z");
        let utc = zone("UTC");
        for (error, part) in [
            (
                Timing::at("2025-12-31T23:59", &utc, now),
                r#"at is "2025-12-31T23:59", which is past"#,
            ),
            (Timing::at("tomorrow", &utc, now), r#"at is "tomorrow"; give a time to come"#),
            (Timing::at("2026-13-01T00:00", &utc, now), "at is "),
            (Timing::every("0s", now), r#"every is "0s"; give a time from 1s"#),
            (Timing::every("1500ms", now), "every is "),
            (Timing::every("500years", now), "every is "),
            (Timing::cron("0 9 * *", &utc), r#"cron is "0 9 * *""#),
            (Timing::cron("0 0 9 * * *", &utc), "five fields"),
            (Timing::cron("61 9 * * *", &utc), "cron is "),
            (Timing::cron("", &utc), "five fields"),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = Zone::named(Some("Mars/Olympus")).unwrap_err().to_string();
        assert_eq!(
            error,
            r#"tz is "Mars/Olympus"; give the IANA name of a time zone, such as Asia/Shanghai"#
        );
        assert_eq!(zone("asia/shanghai").name(), "Asia/Shanghai");
    }

    proptest! {
        #[test]
        fn what_comes_after_is_later_and_nothing_panics(
            text in "[-0-9*/,A-Za-z@ :+]{0,20}",
            fields in proptest::collection::vec("[0-9*/,-]{1,5}", 5),
            times in proptest::collection::vec(0_i64..4_000_000_000_000, 1..4),
            ms in 1_000_i64..100_000_000,
        ) {
            let utc = zone("Europe/Berlin");
            let _ = Timing::at(&text, &utc, 0);
            let _ = Timing::every(&text, 0);
            let _ = Timing::cron(&text, &utc);
            let timings = [
                Timing::cron(&fields.join(" "), &utc).ok(),
                Some(Timing::Every { ms, from: times[0] }),
                Some(Timing::At { at: times[0] }),
            ];
            for timing in timings.into_iter().flatten() {
                for time in &times {
                    if let Ok(Some(next)) = timing.after(*time) {
                        prop_assert!(next > *time, "{timing:?} {time}");
                    }
                }
            }
        }
    }
}
