//! What is to be done of a schedule that is due, and of what was missed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::timing::{Timing, TimingError};

/// What becomes of runs whose time passed while nobody could do them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Missed {
    /// Nothing.
    Skip,
    /// One run, as soon as that is possible.
    Once,
    /// Each of them, one after the other: those of the last 24 h, and 100 of them at most.
    All,
}

/// A run that is late by no more than this, in milliseconds, is on time.
pub const LATE_MS: i64 = 60_000;
/// Runs that were missed longer ago, in milliseconds, are never made up one by one.
pub const MADE_UP_MS: i64 = 24 * 3_600 * 1_000;
/// Runs that are made up one by one.
pub const MADE_UP: usize = 100;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The times whose runs are to be done, in order.
    pub runs: Vec<i64>,
    /// The first time whose run is left out, if any is.
    pub missed: Option<i64>,
    /// When it is due again.
    pub next: Option<i64>,
}

/// What is to be done of a schedule that was `due`; `None` before that.
pub fn plan(
    timing: &Timing,
    missed: Missed,
    due: i64,
    now: i64,
) -> Result<Option<Plan>, TimingError> {
    if due > now {
        return Ok(None);
    }
    let next = timing.after(now)?;
    let on_time = now.saturating_sub(due) <= LATE_MS;
    let plan = match missed {
        Missed::Skip if !on_time => Plan { runs: Vec::new(), missed: Some(due), next },
        Missed::Skip | Missed::Once => Plan { runs: vec![due], missed: None, next },
        Missed::All => {
            let oldest = now.saturating_sub(MADE_UP_MS);
            let mut left_out = (due < oldest).then_some(due);
            let mut time = if due < oldest { timing.after(oldest)? } else { Some(due) };
            let mut runs = VecDeque::new();
            while let Some(at) = time.filter(|at| *at <= now) {
                runs.push_back(at);
                if runs.len() > MADE_UP {
                    left_out = left_out.or(runs.pop_front());
                }
                time = timing.after(at)?;
            }
            Plan { runs: runs.into(), missed: left_out, next }
        }
    };
    Ok(Some(plan))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;
    const HOURLY: Timing = Timing::Every { ms: 60 * MINUTE, from: 0 };

    fn hours(n: i64) -> i64 {
        n * 60 * MINUTE
    }

    #[test]
    fn what_is_due_is_done_and_what_was_missed_as_the_policy_has_it() {
        let next = |n| Some(hours(n));
        for (missed, now, runs, left_out, expected) in [
            // On time, for each policy.
            (Missed::Skip, hours(3) + LATE_MS, vec![hours(3)], None, next(4)),
            (Missed::Once, hours(3), vec![hours(3)], None, next(4)),
            (Missed::All, hours(3), vec![hours(3)], None, next(4)),
            // Late.
            (Missed::Skip, hours(3) + LATE_MS + 1, vec![], Some(hours(3)), next(4)),
            (Missed::Skip, hours(8), vec![], Some(hours(3)), next(9)),
            (Missed::Once, hours(8) + 1, vec![hours(3)], None, next(9)),
            (Missed::All, hours(5) + 1, vec![hours(3), hours(4), hours(5)], None, next(6)),
        ] {
            let plan = plan(&HOURLY, missed, hours(3), now).unwrap();
            assert_eq!(plan, Some(Plan { runs, missed: left_out, next: expected }), "{missed:?}");
        }
        assert_eq!(plan(&HOURLY, Missed::All, hours(3), hours(3) - 1).unwrap(), None);
    }

    #[test]
    fn what_is_made_up_one_by_one_is_young_and_not_too_much() {
        let now = hours(100);
        let made_up = plan(&HOURLY, Missed::All, hours(3), now).unwrap().unwrap();
        assert_eq!((made_up.runs.len(), made_up.missed), (24, Some(hours(3))));
        let often = Timing::Every { ms: 1_000, from: 0 };
        let made_up = plan(&often, Missed::All, now - MINUTE * 10, now).unwrap().unwrap();
        assert_eq!((made_up.runs.len(), made_up.missed), (MADE_UP, Some(now - MINUTE * 10)));
        assert_eq!(made_up.runs.last(), Some(&now));
    }

    #[test]
    fn what_comes_once_is_over_then() {
        let once = Timing::At { at: 5 };
        for (missed, runs) in
            [(Missed::Skip, vec![]), (Missed::Once, vec![5]), (Missed::All, vec![5])]
        {
            let plan = plan(&once, missed, 5, 2 * MINUTE).unwrap().unwrap();
            assert_eq!((plan.runs, plan.next), (runs, None), "{missed:?}");
        }
    }

    proptest! {
        #[test]
        fn time_goes_on_and_no_run_is_planned_twice(
            ms in 1_000_i64..hours(30),
            pauses in proptest::collection::vec(0_i64..hours(60), 1..20),
            policy in 0..3,
        ) {
            let timing = Timing::Every { ms, from: 0 };
            let missed = [Missed::Skip, Missed::Once, Missed::All][usize::try_from(policy).unwrap()];
            let (mut now, mut due, mut last) = (0, ms, 0);
            for pause in pauses {
                now += pause;
                let Some(plan) = plan(&timing, missed, due, now).unwrap() else { continue };
                for run in plan.runs {
                    prop_assert!(run > last && run <= now && run % ms == 0);
                    last = run;
                }
                due = plan.next.unwrap();
                prop_assert!(due > now);
            }
        }
    }
}
