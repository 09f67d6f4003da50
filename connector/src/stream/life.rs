//! What a stream lives through, kept for whoever asks while it runs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::Outage;
use crate::unix_time::now_ms;

/// Ends of connections, and failures to make one, that are remembered.
const OUTAGES: usize = 10;

/// Written by the driver only.
#[derive(Debug, Default)]
pub struct Life(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    opens: u64,
    frames: u64,
    heard: Option<Instant>,
    pong: Option<Instant>,
    frame: Option<Instant>,
    outages: VecDeque<PastOutage>,
}

/// A stream's life until now. Ages are of the monotonic clock, which stands still while the computer
/// sleeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LifeReport {
    /// Calls of `connections/open`.
    pub opens: u64,
    /// EVENT and CALLBACK frames.
    pub frames: u64,
    /// Since anything was read.
    pub heard_ago: Option<Duration>,
    /// Since a WebSocket ping or pong was read.
    pub pong_ago: Option<Duration>,
    /// Since an EVENT or CALLBACK frame was read.
    pub frame_ago: Option<Duration>,
    /// The last ten reasons for a new connection, oldest first.
    pub outages: Vec<PastOutage>,
}

/// Why a new connection was made, or tried to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOutage {
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
    /// Why, as the log has it.
    pub reason: String,
}

impl Life {
    pub(super) fn opened(&self) {
        self.seen().opens += 1;
    }

    /// Something was read; a ping or pong among it, or not.
    pub(super) fn heard(&self, sign: bool) {
        let now = Instant::now();
        let mut seen = self.seen();
        seen.heard = Some(now);
        if sign {
            seen.pong = Some(now);
        }
    }

    pub(super) fn frame(&self) {
        let mut seen = self.seen();
        seen.frames += 1;
        seen.frame = Some(Instant::now());
    }

    pub(super) fn outage(&self, outage: &Outage) {
        let mut seen = self.seen();
        if seen.outages.len() == OUTAGES {
            seen.outages.pop_front();
        }
        seen.outages.push_back(PastOutage { at: now_ms(), reason: outage.to_string() });
    }

    /// The life until now.
    pub fn report(&self) -> LifeReport {
        let seen = self.seen();
        let ago = |then: Option<Instant>| then.map(|then| then.elapsed());
        LifeReport {
            opens: seen.opens,
            frames: seen.frames,
            heard_ago: ago(seen.heard),
            pong_ago: ago(seen.pong),
            frame_ago: ago(seen.frame),
            outages: seen.outages.iter().cloned().collect(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_outages_are_remembered_oldest_first() {
        let life = Life::default();
        assert_eq!(life.report(), LifeReport::default());
        for n in 1..=12 {
            life.outage(&Outage::Silent(Duration::from_secs(n)));
        }
        life.heard(false);
        let report = life.report();
        let reasons: Vec<_> = report.outages.iter().map(|outage| &outage.reason).collect();
        assert_eq!((reasons.len(), reasons[0].as_str()), (10, "nothing read for 3 s"));
        assert_eq!(reasons[9], "nothing read for 12 s");
        assert!(report.heard_ago.is_some() && report.pong_ago.is_none());
    }
}
