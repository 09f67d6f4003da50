//! How much one recipient gets: an agent that loops must not flood a person.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Target;

/// Pushes of one recipient in any minute.
const PER_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Recipients that are remembered; more in one minute wait until others are forgotten.
const RECIPIENTS: usize = 50_000;

/// Counts what each recipient got in the last minute. Pure: it is told the time.
#[derive(Debug, Default)]
pub(super) struct SendLimit {
    sent: HashMap<Target, VecDeque<Instant>>,
}

impl SendLimit {
    /// Counts one more push to a recipient, or says when it may be.
    pub(super) fn take(&mut self, target: &Target, now: Instant) -> Result<(), Duration> {
        let young = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        if self.sent.len() >= RECIPIENTS && !self.sent.contains_key(target) {
            self.sent.retain(|_, sent| sent.back().is_some_and(young));
            if self.sent.len() >= RECIPIENTS {
                return Err(MINUTE);
            }
        }
        let sent = self.sent.entry(target.clone()).or_default();
        while sent.front().is_some_and(|at| !young(at)) {
            sent.pop_front();
        }
        match sent.front() {
            Some(first) if sent.len() >= PER_MINUTE => {
                Err(MINUTE.saturating_sub(now.saturating_duration_since(*first)))
            }
            _ => {
                sent.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_recipient_gets_more_than_the_limit_in_any_minute_and_waiting_helps(
            steps in proptest::collection::vec((0..3_u8, 0..5_000_u64), 1..400),
        ) {
            let mut limit = SendLimit::default();
            let mut now = Instant::now();
            let mut taken: HashMap<u8, Vec<Instant>> = HashMap::new();
            for (who, pause) in steps {
                now += Duration::from_millis(pause);
                let target: Target = format!("user{who}").parse().unwrap();
                let sent = taken.entry(who).or_default();
                let recent = sent.iter().filter(|at| now - **at < MINUTE).count();
                match limit.take(&target, now) {
                    Ok(()) => {
                        prop_assert!(recent < PER_MINUTE);
                        sent.push(now);
                    }
                    Err(wait) => {
                        prop_assert_eq!(recent, PER_MINUTE);
                        prop_assert!(wait > Duration::ZERO && wait <= MINUTE);
                        let still = sent.iter().filter(|at| now + wait - **at < MINUTE).count();
                        prop_assert!(still < PER_MINUTE);
                    }
                }
            }
        }
    }
}
