//! The clocks of a mock and of its apps, for tests.

use std::{sync::Arc, time::Duration};

use crate::{
    core::{AppInfo, Reading, Scale, Turn, VerbError},
    error::MockError,
    hub::Hub,
};

/// Turns the clock of a mock, or of one app in it. What becomes due by a turn has happened when
/// the call returns.
///
/// The clock of an app is driven by the mock's: as long as nobody turns it, both show the same;
/// paused, it stands still whatever the mock's clock does, and misses that for good; with a scale,
/// it passes so many seconds for each that passes on the mock's, also when that one is advanced.
/// The clock of an app that is gone shows the mock's time, and turns nothing.
///
/// Values that a clock cannot show take it to its end: lifetimes a thousand years after the start,
/// the wall clock to 1970 or 9999.
#[derive(Debug, Clone)]
pub struct MockClock {
    hub: Arc<Hub>,
    app: Option<Arc<AppInfo>>,
}

impl MockClock {
    pub(crate) fn new(hub: Arc<Hub>, app: Option<Arc<AppInfo>>) -> Self {
        Self { hub, app }
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.turn(Turn::Advance(by));
    }

    /// Stops time until [`MockClock::resume`]; [`MockClock::advance`] still moves it.
    pub fn pause(&self) {
        self.turn(Turn::Pause);
    }

    /// Lets time run again.
    pub fn resume(&self) {
        self.turn(Turn::Resume);
    }

    /// Makes the wall clock jump by so many milliseconds, forward or back. Lifetimes don't notice.
    pub fn jump(&self, by_ms: i64) {
        self.turn(Turn::Jump(by_ms));
    }

    /// Makes time run `factor` times as fast as real time (the mock's clock) or as the mock's clock
    /// (an app's): from 0.01 to 1000, rounded to three decimals. Anything else is refused.
    pub fn set_scale(&self, factor: f64) -> Result<(), MockError> {
        let scale = Scale::new(factor)
            .ok_or_else(|| VerbError::invalid("scale", factor.to_string(), Scale::ALLOWED))?;
        self.turn(Turn::Scale(scale));
        Ok(())
    }

    /// Milliseconds since 1970 on the wall clock.
    pub fn unix_ms(&self) -> i64 {
        self.read().moment.unix_ms
    }

    /// Time since the mock's start, as lifetimes see it. It never goes back.
    pub fn since_start(&self) -> Duration {
        self.read().moment.since_start
    }

    /// Whether time was stopped on this clock. That of an app stands still too while the mock's
    /// does.
    pub fn is_paused(&self) -> bool {
        self.read().paused
    }

    /// How fast time runs; see [`MockClock::set_scale`].
    pub fn scale(&self) -> f64 {
        self.read().scale.factor()
    }

    fn client_id(&self) -> Option<&str> {
        self.app.as_ref().map(|app| app.client_id.as_str())
    }

    fn turn(&self, turn: Turn) {
        // Fails only for an app that is gone, in which nothing can become due.
        let _ = self.hub.turn_clock(self.client_id(), turn);
    }

    fn read(&self) -> Reading {
        let reading = self.hub.read_clock(self.client_id());
        reading.unwrap_or_else(|_| self.hub.clock.reading())
    }
}
