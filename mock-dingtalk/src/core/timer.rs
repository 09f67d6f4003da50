//! What the core has planned, by time.

use std::{collections::BTreeMap, time::Duration};

use super::{app::AppNumber, connection::ConnectionKey};

/// Something to do when its time has come. Whether it still applies is judged then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Send a SYSTEM ping.
    Ping(ConnectionKey),
    /// The grace after SYSTEM `disconnect` is over.
    GraceOver(ConnectionKey),
    /// An EVENT was not acknowledged in time: the attempt with this number is over.
    AckDeadline(AppNumber, u64, usize),
    /// A robot message was not acknowledged: push it once more.
    Redeliver(AppNumber, u64),
    /// DingTalk notices that a connection is gone.
    GhostOver(AppNumber, ConnectionKey),
    /// A frame was held back long enough.
    Late(AppNumber, u64),
    /// Push an EVENT again.
    PushAgain(AppNumber, u64),
}

/// All timers, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    planned: BTreeMap<(Duration, u64), Timer>,
    last: u64,
}

impl Timers {
    pub(crate) fn plan(&mut self, at: Duration, timer: Timer) {
        self.last += 1;
        self.planned.insert((at, self.last), timer);
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.planned.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the soonest timer that is due at `until`.
    pub(crate) fn pop_due(&mut self, until: Duration) -> Option<(Duration, Timer)> {
        let entry = self.planned.first_entry()?;
        let (at, _) = *entry.key();
        (at <= until).then(|| (at, entry.remove()))
    }

    pub(crate) fn clear(&mut self) {
        self.planned.clear();
    }
}
