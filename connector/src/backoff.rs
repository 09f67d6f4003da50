//! Jittered exponential delay. Pure: the random number is an argument.

use std::time::Duration;

/// Delays that double from `base` up to `cap`, each spread over its upper half, so that robots which
/// lost their gateway together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Starts at `base`, never exceeds `cap`. A `cap` below `base` is raised to it.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        let cap = if cap.as_nanos() < base.as_nanos() { base } else { cap };
        Self { base, cap }
    }

    /// The delay before retry number `retry` (0 is the first). `spread` is a random number in
    /// `0.0..1.0`: the delay lies between half of the exponential value and the whole.
    pub fn delay(&self, retry: u32, spread: f64) -> Duration {
        let full = self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap);
        full.mul_f64(0.5 + 0.5 * spread.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_stay_within_half_and_whole() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for (retry, full) in
            [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (31, 60), (32, 60), (u32::MAX, 60)]
        {
            let full = Duration::from_secs(full);
            assert_eq!(backoff.delay(retry, 1.0), full, "retry {retry}");
            assert_eq!(backoff.delay(retry, 0.0), full / 2, "retry {retry}");
        }
    }

    #[test]
    fn a_cap_below_the_base_is_raised() {
        let backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(1));
        assert_eq!(backoff.delay(5, 1.0), Duration::from_secs(9));
    }
}
