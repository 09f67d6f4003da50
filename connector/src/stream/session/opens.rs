//! The limit on opens: at most so many in any window, whatever the gateway does to us.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Remembers the newest opens and says when the next one may go out.
#[derive(Debug)]
pub(super) struct OpenGate {
    limit: usize,
    window: Duration,
    newest: VecDeque<Instant>,
}

/// The limit must hold where it is counted, at the gateway, which the first open of a window may have
/// reached more slowly than the one after its end.
pub(super) const MARGIN: Duration = Duration::from_secs(1);

impl OpenGate {
    pub(super) fn new(limit: usize, window: Duration) -> Self {
        Self { limit, window, newest: VecDeque::with_capacity(limit) }
    }

    /// The first moment from `wanted` on at which one more open keeps the limit.
    pub(super) fn earliest(&self, wanted: Instant) -> Instant {
        if self.newest.len() < self.limit {
            return wanted;
        }
        let free = self.newest.front().map(|t| *t + self.window + MARGIN);
        free.map_or(wanted, |free| free.max(wanted))
    }

    /// Counts an open made at `now`.
    pub(super) fn record(&mut self, now: Instant) {
        if self.newest.len() == self.limit {
            self.newest.pop_front();
        }
        self.newest.push_back(now);
    }
}
