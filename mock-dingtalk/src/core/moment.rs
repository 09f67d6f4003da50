//! A point in time, as it is passed into the core.

use std::time::Duration;

/// When something happened: once on the hand that never goes back, once on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Time since the mock's start; every lifetime is measured on it. Never more than a thousand
    /// years.
    pub(crate) since_start: Duration,
    /// Milliseconds since 1970, as written into frames. May jump either way, between 1970 and 9999.
    pub(crate) unix_ms: i64,
}

impl Moment {
    /// The same wall offset, at another time since start.
    pub(crate) fn at(self, since_start: Duration) -> Self {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let unix_ms =
            self.unix_ms.saturating_add(ms(since_start)).saturating_sub(ms(self.since_start));
        Self { since_start, unix_ms }
    }
}
