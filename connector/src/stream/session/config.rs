//! Times and limits of a session.

use std::time::Duration;

use crate::backoff::Backoff;

/// Times and limits of a session. The defaults are what an operator wants; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// A WebSocket ping goes out this long after the last one. Default 4 s.
    pub ping_interval: Duration,
    /// Nothing read for this long makes a connection suspect. Default 9 s: two pings unanswered.
    pub suspect_after: Duration,
    /// No frame for about this long (±20 %) renews the connection, because a link that answers pings
    /// and brings nothing cannot be told from a quiet one. Default 30 min.
    pub renew_after: Duration,
    /// Up for this long proves a connection stable, as does one healthy frame. Default 30 s.
    pub stable_after: Duration,
    /// Limit for `connections/open`. Default 15 s, above the HTTP client's own.
    pub open_timeout: Duration,
    /// Limit for TCP, TLS and WebSocket handshake together. Default 15 s, above the transport's own.
    pub connect_timeout: Duration,
    /// First back-off. Default 1 s.
    pub backoff_base: Duration,
    /// Longest back-off. Default 60 s.
    pub backoff_cap: Duration,
    /// Shortest pause after refused credentials (up to a quarter longer). Default 30 s.
    pub refused_pause: Duration,
    /// At most this many opens in any [`open_window`](Self::open_window). Default 10.
    pub opens_per_window: usize,
    /// See [`opens_per_window`](Self::opens_per_window). Default 10 s.
    pub open_window: Duration,
    /// How long an announced `disconnect` is read on. Default 10 s, when the gateway closes TCP.
    pub disconnect_grace: Duration,
    /// How long a replaced or stopped connection may wait for its last acks. Default 5 s.
    pub finish_grace: Duration,
    /// How long the peer may take to answer our Close frame. Default 2 s.
    pub close_grace: Duration,
    /// Draining connections kept at most; the oldest is dropped beyond that. Default 3.
    pub max_draining: usize,
    /// A wall clock this far ahead of the monotonic one counts as a jump. Default 10 s.
    pub clock_jump: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(4),
            suspect_after: Duration::from_secs(9),
            renew_after: Duration::from_secs(30 * 60),
            stable_after: Duration::from_secs(30),
            open_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(15),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            refused_pause: Duration::from_secs(30),
            opens_per_window: 10,
            open_window: Duration::from_secs(10),
            disconnect_grace: Duration::from_secs(10),
            finish_grace: Duration::from_secs(5),
            close_grace: Duration::from_secs(2),
            max_draining: 3,
            clock_jump: Duration::from_secs(10),
        }
    }
}

impl SessionConfig {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.backoff_base, self.backoff_cap)
    }
}
