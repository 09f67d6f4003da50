//! Whether messages can arrive, and since when not: what people mean by an outage.

use std::time::Duration;

use super::session::{Outage, StreamState};

/// What is known about a stream's ears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hearing {
    /// No connection has stood since the start.
    #[default]
    NotYet,
    /// One stands.
    Hears,
    /// None stands any more.
    Deaf {
        /// Since when, in milliseconds since 1970 UTC: the last sign of life, not when its lack was noticed.
        since: i64,
        /// It was given up for another one while nothing was known to be wrong with it.
        handover: bool,
    },
}

/// A connection that is being replaced in order brings messages for so long at most.
const HANDOVER: Duration = Duration::from_secs(10);

impl Hearing {
    /// After a state of the stream, at `now` in milliseconds since 1970 UTC. Tries to connect are one outage.
    pub(super) fn next(self, state: &StreamState, now: i64) -> Self {
        match (self, state) {
            (_, StreamState::Connected { .. }) => Self::Hears,
            (Self::Hears, StreamState::Waiting { outage, .. }) => {
                let (unheard, handover) = match outage {
                    Outage::Silent(silence) => (*silence, false),
                    Outage::ClockJumped(jump) => (*jump, false),
                    Outage::DisconnectAnnounced(_) | Outage::Renewal => (Duration::ZERO, true),
                    Outage::NoConnection(_) | Outage::Closed(_) => (Duration::ZERO, false),
                };
                Self::Deaf { since: now.saturating_sub(millis(unheard)), handover }
            }
            (Self::Hears, _) => Self::Deaf { since: now, handover: false },
            (before, _) => before,
        }
    }

    /// Whether messages can arrive at `now`, in milliseconds since 1970 UTC.
    pub fn is_well(self, now: i64) -> bool {
        match self {
            Self::Hears => true,
            Self::Deaf { since, handover } => {
                handover && now.saturating_sub(since) < millis(HANDOVER)
            }
            Self::NotYet => false,
        }
    }

    /// How long messages have not been able to arrive at `now`, in milliseconds since 1970 UTC; `None` while
    /// they can, and before the first connection.
    pub(super) fn deaf_for(self, now: i64) -> Option<Duration> {
        let Self::Deaf { since, .. } = self else { return None };
        let ms = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
        (!self.is_well(now)).then_some(Duration::from_millis(ms))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::session::{CloseReason, Generation, OpenFailure};
    use super::*;

    const CONNECTED: StreamState = StreamState::Connected { generation: Generation(1) };

    fn waiting(outage: Outage) -> StreamState {
        StreamState::Waiting { attempt: 1, delay: Duration::ZERO, outage }
    }

    fn no_connection() -> StreamState {
        let failure = OpenFailure::Transient { reason: "503".to_owned(), retry_after: None };
        waiting(Outage::NoConnection(failure))
    }

    #[test]
    fn an_outage_begins_with_the_last_sign_of_life_and_ends_with_a_connection() {
        let second = Duration::from_secs(1);
        for (outage, since, handover) in [
            (Outage::Closed(CloseReason::Ended), 90_000, false),
            (Outage::Silent(9 * second), 81_000, false),
            (Outage::ClockJumped(60 * second), 30_000, false),
            (Outage::Renewal, 90_000, true),
            (Outage::DisconnectAnnounced(String::new()), 90_000, true),
        ] {
            let deaf = Hearing::Hears.next(&waiting(outage.clone()), 90_000);
            assert_eq!(deaf, Hearing::Deaf { since, handover }, "{outage:?}");
            let still = deaf
                .next(&StreamState::Opening { attempt: 0 }, 91_000)
                .next(&no_connection(), 92_000);
            assert_eq!(still, deaf, "{outage:?}");
            assert_eq!(still.is_well(99_999), handover, "{outage:?}");
            assert_eq!(still.deaf_for(99_999).is_none(), handover, "{outage:?}");
            assert!(!still.is_well(100_000), "{outage:?}");
            let ms = still.deaf_for(100_000).unwrap().as_millis();
            assert_eq!(i64::try_from(ms).unwrap(), 100_000 - since, "{outage:?}");
            assert_eq!(still.next(&CONNECTED, 100_000), Hearing::Hears);
        }
    }

    #[test]
    fn what_never_connected_is_not_well() {
        let never = Hearing::NotYet.next(&no_connection(), 1);
        assert_eq!((never, never.is_well(2)), (Hearing::NotYet, false));
        let stopped = Hearing::Hears.next(&StreamState::Stopped, 3);
        assert_eq!(stopped, Hearing::Deaf { since: 3, handover: false });
    }
}
