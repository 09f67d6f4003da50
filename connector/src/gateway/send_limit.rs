//! How much one recipient gets: an agent that loops must not flood a person.
//!
//! Counted are pushes, and what is said in one turn beyond its allowance: never the answer to a message. Each
//! process counts for itself.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::push::Target;
use crate::agent::Say;
use crate::protocol::reply::MAX_MSG_PARAM;

/// Messages of one recipient in any minute.
const PER_MINUTE: usize = 20;
/// Messages that answer one question and are not counted.
const PER_TURN: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Recipients that are remembered; more in one minute wait until others are forgotten.
const RECIPIENTS: usize = 50_000;

/// Counts what each recipient got in the last minute. Pure: it is told the time.
#[derive(Debug, Default)]
pub(super) struct SendLimit {
    sent: HashMap<Target, VecDeque<Instant>>,
}

impl SendLimit {
    /// Counts messages to a recipient, or says when they may be. Those that belong together may go beyond the
    /// limit once they may begin: else long ones could never be.
    pub(super) fn take(
        &mut self,
        target: &Target,
        messages: usize,
        now: Instant,
    ) -> Result<(), Duration> {
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
        // When as many are left as leave room for one.
        if let Some(last) = sent.len().checked_sub(PER_MINUTE).and_then(|index| sent.get(index)) {
            return Err(MINUTE.saturating_sub(now.saturating_duration_since(*last)));
        }
        sent.extend(std::iter::repeat_n(now, messages));
        Ok(())
    }
}

/// What one turn may say without being counted.
#[derive(Debug)]
pub(super) struct Allowance {
    left: usize,
}

impl Allowance {
    /// `said` things were said in the turn before.
    pub(super) fn new(said: u64) -> Self {
        Self { left: PER_TURN.saturating_sub(usize::try_from(said).unwrap_or(usize::MAX)) }
    }

    /// Says something: from the allowance while it lasts, then as the recipient's limit has it.
    pub(super) fn take(
        &mut self,
        limit: &mut SendLimit,
        recipient: &Target,
        messages: usize,
        now: Instant,
    ) -> Result<(), Duration> {
        let beyond = messages.saturating_sub(self.left);
        if beyond > 0 {
            limit.take(recipient, beyond, now)?;
        }
        self.left = self.left.saturating_sub(messages);
        Ok(())
    }
}

/// About how many messages things are, once they are split.
pub(super) fn messages(says: &[Say]) -> usize {
    let parts = |say: &Say| match say {
        Say::Message(message) => message.words().len().div_ceil(MAX_MSG_PARAM).max(1),
        Say::File { .. } | Say::Voice { .. } | Say::Video { .. } => 1,
    };
    says.iter().map(parts).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_turn_says_twenty_things_freely_and_then_as_many_as_a_push() {
        let (mut limit, mut turn) = (SendLimit::default(), Allowance::new(15));
        let (user, start): (Target, _) = ("u".parse().unwrap(), Instant::now());
        for _ in 0..5 {
            turn.take(&mut limit, &user, 1, start).unwrap();
        }
        for _ in 0..PER_MINUTE {
            turn.take(&mut limit, &user, 1, start).unwrap();
        }
        assert_eq!(turn.take(&mut limit, &user, 1, start), Err(MINUTE));
        assert_eq!(limit.take(&user, 1, start), Err(MINUTE), "pushes share it");
        let mut other = Allowance::new(0);
        assert_eq!(other.take(&mut limit, &user, 1, start), Ok(()), "the next answer is free");
        assert_eq!(
            turn.take(&mut limit, &user, 30, start + MINUTE),
            Ok(()),
            "what is long may begin"
        );
        let now = start + MINUTE;
        assert_eq!(limit.take(&user, 1, now), Err(MINUTE));
    }

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
                match limit.take(&target, 1, now) {
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
