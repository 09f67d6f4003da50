//! The mock's clock, for tests.

use std::{sync::Arc, time::Duration};

use crate::hub::Hub;

/// Turns the clock of a mock. What becomes due by a turn has happened when the call returns.
#[derive(Debug, Clone)]
pub struct MockClock {
    hub: Arc<Hub>,
}

impl MockClock {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.hub.turn_clock(|clock| clock.advance(by));
    }

    /// Stops time until [`MockClock::resume`]; [`MockClock::advance`] still moves it.
    pub fn pause(&self) {
        self.hub.turn_clock(crate::clock::Clock::pause);
    }

    /// Lets time run again.
    pub fn resume(&self) {
        self.hub.turn_clock(crate::clock::Clock::resume);
    }

    /// Makes the wall clock jump by so many milliseconds, forward or back. Lifetimes don't notice.
    pub fn jump(&self, by_ms: i64) {
        self.hub.turn_clock(|clock| clock.jump(by_ms));
    }

    /// Milliseconds since 1970 on the wall clock.
    pub fn unix_ms(&self) -> i64 {
        self.hub.clock.now().unix_ms
    }

    /// Whether time stands still.
    pub fn is_paused(&self) -> bool {
        self.hub.clock.is_paused()
    }
}
