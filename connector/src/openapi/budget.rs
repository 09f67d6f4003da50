//! How many calls an app may make: so many in a second, fewer after refusals. Pure: it is told the time.
//!
//! DingTalk refuses calls beyond its own limits with 403 `Forbidden.AccessDenied.QpsLimit…` on the new host
//! and `errcode` 90002 or 90018 on the old one, counted over windows of one second
//! (open.dingtalk.com, 调用频率限制).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window that DingTalk counts in.
const WINDOW: Duration = Duration::from_secs(1);
/// After a refusal the limit rises by one call in so much time.
const RECOVERY: Duration = Duration::from_secs(5);
/// The longest pause that a server is believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The calls of one app.
#[derive(Debug)]
pub(super) struct Budget {
    /// Calls in any second, as configured.
    most: u32,
    /// Calls in any second, as things are.
    limit: u32,
    /// When calls were made, within the last window.
    made: VecDeque<Instant>,
    /// No call before.
    paused_until: Option<Instant>,
    /// When the limit was last changed.
    changed: Option<Instant>,
    /// When it was last halved.
    halved: Option<Instant>,
}

impl Budget {
    /// Lets `most` calls through in any second; at least one.
    pub(super) fn new(most: u32) -> Self {
        let most = most.max(1);
        Self {
            most,
            limit: most,
            made: VecDeque::new(),
            paused_until: None,
            changed: None,
            halved: None,
        }
    }

    /// From now on lets `most` calls through in any second; at least one.
    pub(super) fn set_most(&mut self, most: u32) {
        let most = most.max(1);
        let strained = self.is_strained();
        self.most = most;
        self.limit = if strained { self.limit.min(most) } else { most };
    }

    /// Takes a call, or says how long to wait before asking again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.pass(now);
        if let Some(until) = self.paused_until {
            return Err(until.saturating_duration_since(now));
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if self.made.len() >= limit {
            let oldest = self.made[self.made.len() - limit];
            return Err((oldest + WINDOW).saturating_duration_since(now));
        }
        self.made.push_back(now);
        Ok(())
    }

    /// Takes a call that is not worth waiting for, if at least half of the budget is unused.
    pub(super) fn take_spare(&mut self, now: Instant) -> bool {
        self.pass(now);
        let half = usize::try_from(self.limit / 2).unwrap_or(usize::MAX);
        self.made.len() < half && self.take(now).is_ok()
    }

    /// A call was refused for being one too many: half as many from now on, after a pause. All refusals of
    /// one window say the same, and count once.
    pub(super) fn refused(&mut self, now: Instant, asked: Option<Duration>) {
        if self.halved.is_none_or(|at| now.saturating_duration_since(at) >= WINDOW) {
            self.limit = (self.limit / 2).max(1);
            self.halved = Some(now);
        }
        self.changed = Some(now);
        let until = now + asked.unwrap_or(WINDOW).clamp(WINDOW, LONGEST_PAUSE);
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
    }

    /// Calls in any second, as things are.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether refusals hold calls back.
    pub(super) fn is_strained(&self) -> bool {
        self.limit < self.most
    }

    fn pass(&mut self, now: Instant) {
        while self.made.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            self.made.pop_front();
        }
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        while self.limit < self.most
            && let Some(changed) = self.changed
            && now.saturating_duration_since(changed) >= RECOVERY
        {
            self.limit += 1;
            self.changed = Some(changed + RECOVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    proptest! {
        #[test]
        fn no_second_holds_more_calls_than_the_limit_and_waiting_as_told_helps(
            most in 1..30_u32,
            steps in proptest::collection::vec((0..400_u32, any::<bool>()), 1..400),
        ) {
            let (mut budget, start) = (Budget::new(most), Instant::now());
            let (mut now, mut made) = (start, Vec::new());
            for (pause, spare) in steps {
                now += MS * pause;
                if spare {
                    if budget.take_spare(now) {
                        made.push(now);
                    }
                    continue;
                }
                if let Err(wait) = budget.take(now) {
                    prop_assert!(wait <= WINDOW);
                    now += wait;
                    prop_assert_eq!(budget.take(now), Ok(()));
                }
                made.push(now);
            }
            let limit = usize::try_from(most).unwrap();
            for window in made.windows(limit + 1) {
                prop_assert!(window[limit] - window[0] >= WINDOW);
            }
        }
    }

    #[test]
    fn a_refusal_halves_the_limit_and_time_brings_it_back() {
        let (mut budget, now) = (Budget::new(20), Instant::now());
        budget.refused(now, None);
        assert_eq!(budget.take(now), Err(WINDOW));
        assert_eq!((budget.limit(), budget.is_strained()), (10, true));
        for _ in 0..10 {
            budget.refused(now + WINDOW / 2, None);
        }
        assert_eq!(budget.limit(), 10, "a burst is one refusal");
        let mut now = now;
        for _ in 0..10 {
            now += WINDOW;
            budget.refused(now, Some(Duration::from_secs(3_600)));
        }
        assert_eq!(budget.limit(), 1, "it never falls silent");
        assert_eq!(budget.take(now), Err(LONGEST_PAUSE), "no server is believed an hour");
        let later = now + LONGEST_PAUSE;
        assert_eq!(budget.take(later), Ok(()));
        assert_eq!(budget.limit(), 13, "one more every five seconds");
        assert_eq!(budget.take(later + RECOVERY * 100), Ok(()));
        assert_eq!((budget.limit(), budget.is_strained()), (20, false));
    }

    #[test]
    fn a_share_of_the_limit_follows_those_who_share_it() {
        let (mut budget, now) = (Budget::new(20), Instant::now());
        budget.set_most(6);
        assert_eq!((budget.limit(), budget.is_strained()), (6, false));
        budget.refused(now, None);
        budget.set_most(20);
        assert_eq!((budget.limit(), budget.is_strained()), (3, true), "time brings it back");
        budget.set_most(0);
        assert_eq!((budget.limit(), budget.is_strained()), (1, false), "it never falls silent");
    }

    #[test]
    fn what_is_not_worth_waiting_for_leaves_half_to_the_rest() {
        let (mut budget, now) = (Budget::new(4), Instant::now());
        assert!(budget.take_spare(now) && budget.take_spare(now));
        assert!(!budget.take_spare(now));
        assert_eq!(budget.take(now), Ok(()));
        assert_eq!(budget.take(now), Ok(()));
        assert!(budget.take(now).is_err());
        let mut least = Budget::new(1);
        assert!(!least.take_spare(now), "the only call belongs to answers");
    }
}
