//! How many calls an app may make: so many in a second, fewer after refusals. Pure: it is told the time.
//!
//! DingTalk refuses calls beyond its own limits with 403 `Forbidden.AccessDenied.QpsLimit…` on the new host
//! and `errcode` 90002 or 90018 on the old one, counted over windows of one second
//! (open.dingtalk.com, 调用频率限制).
//!
//! What is counted there is when calls arrive, and nobody here knows when that was: between departure and
//! answer. So a call takes its place from its departure until a second after its answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window that DingTalk counts in.
const WINDOW: Duration = Duration::from_secs(1);
/// A call without an answer is taken to have arrived after this time: a host that hangs must not hold all other
/// calls back.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
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
    /// Calls that may still count, in the order they were made.
    made: VecDeque<Call>,
    /// Names the calls.
    last: u64,
    /// No call before.
    paused_until: Option<Instant>,
    /// When the limit was last changed.
    changed: Option<Instant>,
    /// When it was last halved.
    halved: Option<Instant>,
}

/// Names a call that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallNumber(u64);

#[derive(Debug)]
struct Call {
    number: CallNumber,
    /// It does not count any more from then on.
    over: Instant,
}

impl Budget {
    /// Lets `most` calls through in any second; at least one.
    pub(super) fn new(most: u32) -> Self {
        let most = most.max(1);
        Self {
            most,
            limit: most,
            made: VecDeque::new(),
            last: 0,
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

    /// Takes a call, or says how long to wait before asking again; less, if a call is answered meanwhile.
    pub(super) fn take(&mut self, now: Instant) -> Result<CallNumber, Duration> {
        self.pass(now);
        if let Some(until) = self.paused_until {
            return Err(until.saturating_duration_since(now));
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if self.made.len() >= limit {
            let mut ends: Vec<Instant> = self.made.iter().map(|call| call.over).collect();
            ends.sort_unstable();
            let first_free = ends[ends.len() - limit];
            return Err(first_free.saturating_duration_since(now));
        }
        self.last += 1;
        let number = CallNumber(self.last);
        self.made.push_back(Call { number, over: now + ON_ITS_WAY + WINDOW });
        Ok(number)
    }

    /// A call was answered, so that it has arrived before now.
    pub(super) fn answered(&mut self, number: CallNumber, now: Instant) {
        if let Some(call) = self.made.iter_mut().find(|call| call.number == number) {
            call.over = call.over.min(now + WINDOW);
        }
    }

    /// Takes a call that is not worth waiting for, if at least half of the budget is unused.
    pub(super) fn take_spare(&mut self, now: Instant) -> Option<CallNumber> {
        self.pass(now);
        let half = usize::try_from(self.limit / 2).unwrap_or(usize::MAX);
        if self.made.len() < half { self.take(now).ok() } else { None }
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
        self.made.retain(|call| call.over > now);
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
        /// Each step is a pause, how long its call is on its way, how long its answer is, and whether it could
        /// be left out.
        #[test]
        fn no_second_sees_more_calls_arrive_than_the_limit_and_waiting_as_told_helps(
            most in 1..30_u32,
            steps in proptest::collection::vec(
                (0..400_u32, 0..=1_000_u32, 0..300_u32, any::<bool>()),
                1..400,
            ),
        ) {
            let (mut budget, start) = (Budget::new(most), Instant::now());
            let (mut now, mut arrived, mut pending) = (start, Vec::new(), Vec::new());
            for (pause, way, answer, spare) in steps {
                now += MS * pause;
                answer_until(&mut budget, &mut pending, now);
                let taken = if spare {
                    budget.take_spare(now)
                } else {
                    let mut taken = budget.take(now);
                    while let Err(wait) = taken {
                        prop_assert!(wait <= ON_ITS_WAY + WINDOW);
                        // An answer may come before the wait is over.
                        let next = pending.iter().map(|(at, _)| *at).min();
                        let helped = next.is_none_or(|next| next >= now + wait);
                        now = next.map_or(now + wait, |next| next.min(now + wait));
                        answer_until(&mut budget, &mut pending, now);
                        taken = budget.take(now);
                        prop_assert!(!helped || taken.is_ok());
                    }
                    taken.ok()
                };
                let Some(number) = taken else { continue };
                arrived.push(now + MS * way);
                pending.push((now + MS * (way + answer), number));
            }
            arrived.sort_unstable();
            let limit = usize::try_from(most).unwrap();
            for window in arrived.windows(limit + 1) {
                prop_assert!(window[limit] - window[0] >= WINDOW);
            }
        }
    }

    fn answer_until(budget: &mut Budget, pending: &mut Vec<(Instant, CallNumber)>, now: Instant) {
        pending.sort_unstable_by_key(|(at, _)| *at);
        let due = pending.partition_point(|(at, _)| *at <= now);
        for (at, number) in pending.drain(..due) {
            budget.answered(number, at);
        }
    }

    #[test]
    fn a_call_counts_until_a_second_after_its_answer_and_not_for_ever_without_one() {
        let (mut budget, now) = (Budget::new(2), Instant::now());
        let first = budget.take(now).unwrap();
        assert!(budget.take(now).is_ok());
        assert_eq!(budget.take(now), Err(ON_ITS_WAY + WINDOW));
        budget.answered(first, now + 300 * MS);
        let wait = budget.take(now + 300 * MS).unwrap_err();
        assert_eq!(wait, WINDOW);
        assert!(budget.take(now + 1_299 * MS).is_err());
        assert!(budget.take(now + 1_300 * MS).is_ok());
        assert!(budget.take(now + 1_999 * MS).is_err());
        assert!(budget.take(now + 2_000 * MS).is_ok(), "a host that hangs holds nothing back");
        budget.answered(first, now + 2_000 * MS);
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
        assert!(budget.take(later).is_ok());
        assert_eq!(budget.limit(), 13, "one more every five seconds");
        assert!(budget.take(later + RECOVERY * 100).is_ok());
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
        assert!(budget.take_spare(now).is_some() && budget.take_spare(now).is_some());
        assert!(budget.take_spare(now).is_none());
        assert!(budget.take(now).is_ok() && budget.take(now).is_ok());
        assert!(budget.take(now).is_err());
        let mut least = Budget::new(1);
        assert!(least.take_spare(now).is_none(), "the only call belongs to answers");
    }
}
