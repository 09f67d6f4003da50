//! What a stream lives through, kept for whoever asks while it runs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hearing::Hearing;
use super::session::StreamState;
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
    hearing: Hearing,
    deaf: Deafness,
}

/// Times in which messages could not arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deafness {
    /// How many there were, the one that lasts included.
    pub times: u64,
    /// How long they were together.
    pub time: Duration,
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
    /// How often and how long no message could arrive since the first connection.
    pub deaf: Deafness,
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

    /// The stream's state is another one at `now`, in milliseconds since 1970 UTC. Returns whether messages can
    /// arrive from then on.
    pub(super) fn enters(&self, state: &StreamState, now: i64) -> Hearing {
        let mut seen = self.seen();
        if let StreamState::Waiting { outage, .. } = state {
            if seen.outages.len() == OUTAGES {
                seen.outages.pop_front();
            }
            seen.outages.push_back(PastOutage { at: now, reason: outage.to_string() });
        }
        let next = seen.hearing.next(state, now);
        if next == Hearing::Hears {
            seen.deaf = seen.deaf_until(now);
        }
        seen.hearing = next;
        next
    }

    /// Whether messages can arrive.
    pub fn hearing(&self) -> Hearing {
        self.seen().hearing
    }

    /// The life until now.
    pub fn report(&self) -> LifeReport {
        let seen = self.seen();
        let deaf = seen.deaf_until(now_ms());
        let ago = |then: Option<Instant>| then.map(|then| then.elapsed());
        LifeReport {
            opens: seen.opens,
            frames: seen.frames,
            heard_ago: ago(seen.heard),
            pong_ago: ago(seen.pong),
            frame_ago: ago(seen.frame),
            outages: seen.outages.iter().cloned().collect(),
            deaf,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// With the time that lasts, if one does.
    fn deaf_until(&self, now: i64) -> Deafness {
        let Deafness { times, time } = self.deaf;
        match self.hearing.deaf_for(now) {
            Some(more) => Deafness { times: times + 1, time: time + more },
            None => self.deaf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::{Generation, Outage};
    use super::*;

    fn waiting(outage: Outage) -> StreamState {
        StreamState::Waiting { attempt: 1, delay: Duration::ZERO, outage }
    }

    #[test]
    fn times_without_a_connection_are_added_up() {
        const CONNECTED: StreamState = StreamState::Connected { generation: Generation(1) };
        let life = Life::default();
        let deaf = |now| {
            let Deafness { times, time } = life.seen().deaf_until(now);
            (times, time.as_millis())
        };
        life.enters(&StreamState::Opening { attempt: 0 }, 0);
        assert_eq!(deaf(5_000), (0, 0), "none has stood yet");
        life.enters(&CONNECTED, 10_000);
        life.enters(&waiting(Outage::Silent(Duration::from_secs(9))), 30_000);
        assert_eq!(deaf(31_000), (1, 10_000), "it lasts");
        life.enters(&StreamState::Opening { attempt: 1 }, 32_000);
        life.enters(&CONNECTED, 33_000);
        assert_eq!(deaf(60_000), (1, 12_000));
        life.enters(&waiting(Outage::Renewal), 60_000);
        life.enters(&CONNECTED, 61_000);
        assert_eq!(deaf(62_000), (1, 12_000), "the old one brought messages meanwhile");
        life.enters(&StreamState::Stopped, 70_000);
        assert_eq!(deaf(71_000), (2, 13_000));
    }

    #[test]
    fn the_last_ten_outages_are_remembered_oldest_first() {
        let life = Life::default();
        assert_eq!(life.report(), LifeReport::default());
        for n in 1..=12 {
            life.enters(&waiting(Outage::Silent(Duration::from_secs(n))), 0);
        }
        life.heard(false);
        let report = life.report();
        let reasons: Vec<_> = report.outages.iter().map(|outage| &outage.reason).collect();
        assert_eq!((reasons.len(), reasons[0].as_str()), (10, "nothing read for 3 s"));
        assert_eq!(reasons[9], "nothing read for 12 s");
        assert!(report.heard_ago.is_some() && report.pong_ago.is_none());
    }
}
