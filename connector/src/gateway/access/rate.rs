//! How much one person may write: a token bucket each. Off unless set. Each process counts what came to it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many messages in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once, and on average within `per`; at least 1.
    pub messages: u32,
    /// The time.
    pub per: Duration,
}

/// How a message stands to the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rated {
    /// It is within.
    Within,
    /// It is one too many.
    Over {
        /// And the first of them in a row.
        first: bool,
    },
}

/// Buckets kept; beyond it the full ones are forgotten, which changes nothing.
const BUCKETS: usize = 10_000;

/// A bucket for each sender.
#[derive(Debug)]
pub struct SenderRates {
    rate: Rate,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When it is full again if nothing is taken.
    full_at: Instant,
    told: bool,
}

impl SenderRates {
    /// All buckets are full.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    /// One message of a sender.
    pub fn take(&mut self, sender: &str, now: Instant) -> Rated {
        if self.buckets.len() >= BUCKETS && !self.buckets.contains_key(sender) {
            self.buckets.retain(|_, bucket| bucket.full_at > now);
        }
        let one = self.rate.per / self.rate.messages.max(1);
        let fresh = Bucket { full_at: now, told: false };
        let bucket = self.buckets.entry(sender.to_owned()).or_insert(fresh);
        let full_at = bucket.full_at.max(now) + one;
        // The division may have lost a fraction of a nanosecond for each message.
        if full_at.saturating_duration_since(now) > self.rate.per {
            return Rated::Over { first: !std::mem::replace(&mut bucket.told, true) };
        }
        *bucket = Bucket { full_at, told: false };
        Rated::Within
    }

    /// One message of a sender, that was [taken](Self::take) as within the rate, counts as if it had never come.
    pub fn give_back(&mut self, sender: &str) {
        let one = self.rate.per / self.rate.messages.max(1);
        if let Some(bucket) = self.buckets.get_mut(sender) {
            bucket.full_at = bucket.full_at.checked_sub(one).unwrap_or(bucket.full_at);
        }
    }

    /// That a sender wrote too much was not told.
    pub fn not_told(&mut self, sender: &str) {
        if let Some(bucket) = self.buckets.get_mut(sender) {
            bucket.told = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { messages: 3, per: Duration::from_secs(30) };

    #[test]
    fn so_many_at_once_and_then_one_after_the_other() {
        let mut rates = SenderRates::new(RATE);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(rates.take("a", start), Rated::Within);
        }
        assert_eq!(rates.take("a", start), Rated::Over { first: true });
        assert_eq!(rates.take("a", start), Rated::Over { first: false });
        assert_eq!(rates.take("b", start), Rated::Within, "another one has a bucket of one's own");
        let later = start + Duration::from_secs(10);
        assert_eq!(rates.take("a", later), Rated::Within);
        assert_eq!(rates.take("a", later), Rated::Over { first: true });
        let much_later = start + Duration::from_secs(1_000);
        for _ in 0..3 {
            assert_eq!(rates.take("a", much_later), Rated::Within);
        }
        assert_eq!(rates.take("a", much_later), Rated::Over { first: true });
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_what_was_not_told_is_told() {
        let mut rates = SenderRates::new(RATE);
        let start = Instant::now();
        for _ in 0..2 * RATE.messages {
            assert_eq!(rates.take("a", start), Rated::Within);
            rates.give_back("a");
        }
        for _ in 0..RATE.messages {
            assert_eq!(rates.take("a", start), Rated::Within);
        }
        for _ in 0..2 {
            assert_eq!(rates.take("a", start), Rated::Over { first: true });
            rates.not_told("a");
        }
        rates.give_back("nobody");
        assert_eq!(rates.take("a", start + RATE.per / 3), Rated::Within);
    }

    #[test]
    fn a_crowd_is_forgotten_when_its_buckets_are_full_again() {
        let mut rates = SenderRates::new(RATE);
        let start = Instant::now();
        for n in 0..BUCKETS {
            rates.take(&n.to_string(), start);
        }
        rates.take("one more", start + RATE.per);
        assert_eq!(rates.buckets.len(), 1);
    }
}
