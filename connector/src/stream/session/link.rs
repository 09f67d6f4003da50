//! What belongs to one connection and dies with it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::config::SessionConfig;
use super::message::{FrameRef, Generation, Output};
use crate::protocol::{Ack, MessageId};

/// One live connection: its liveness, and the frames it brought that are not acked yet.
#[derive(Debug)]
pub(super) struct Link {
    generation: Generation,
    up_since: Instant,
    last_heard: Instant,
    last_ping: Instant,
    last_frame: Instant,
    renew_after: Duration,
    talks: bool,
    in_flight: HashMap<u64, Option<MessageId>>,
    frames: u64,
}

impl Link {
    pub(super) fn new(generation: Generation, now: Instant, renew_after: Duration) -> Self {
        Self {
            generation,
            up_since: now,
            last_heard: now,
            last_ping: now,
            last_frame: now,
            renew_after,
            talks: false,
            in_flight: HashMap::new(),
            frames: 0,
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Anything at all was read: a frame, a pong, a ping.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// The gateway talks to us on it, which proves it stable.
    pub(super) fn is_healthy(&mut self) {
        self.talks = true;
    }

    /// An event or a call was read: the gateway's routing has chosen this connection, which a ping,
    /// the gateway's own or ours, does not prove.
    pub(super) fn frame_read(&mut self, now: Instant) {
        self.last_frame = now;
        self.talks = true;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.last_ping = now;
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    pub(super) fn ping_at(&self, config: &SessionConfig) -> Instant {
        self.last_ping + config.ping_interval
    }

    pub(super) fn suspect_at(&self, config: &SessionConfig) -> Instant {
        self.last_heard + config.suspect_after
    }

    pub(super) fn renew_at(&self) -> Instant {
        self.last_frame + self.renew_after
    }

    pub(super) fn next_wake(&self, config: &SessionConfig) -> Instant {
        self.ping_at(config).min(self.suspect_at(config)).min(self.renew_at())
    }

    pub(super) fn is_stable(&self, now: Instant, config: &SessionConfig) -> bool {
        self.talks || now.saturating_duration_since(self.up_since) >= config.stable_after
    }

    /// Registers a frame whose ack is owed.
    pub(super) fn take_in(&mut self, message_id: Option<MessageId>) -> FrameRef {
        self.frames += 1;
        self.in_flight.insert(self.frames, message_id);
        FrameRef { generation: self.generation, sequence: self.frames }
    }

    /// Strikes a frame off and writes its ack; `None` when none is owed (any more), so that no frame
    /// is acked twice.
    pub(super) fn settle(&mut self, frame: FrameRef, ack: &Ack) -> Option<String> {
        let message_id = self.in_flight.remove(&frame.sequence)?;
        Some(ack.encode(message_id.as_ref()))
    }
}

/// A connection that is on its way out.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) link: Link,
    pub(super) phase: Phase,
}

/// How a draining connection ends.
#[derive(Debug)]
pub(super) enum Phase {
    /// The gateway said `disconnect`: read until it closes, or until the deadline.
    Announced { deadline: Instant },
    /// Silent, or due for renewal: kept until its replacement stands.
    UntilReplaced,
    /// Replaced or stopped: closed when the last ack is out, or at the deadline.
    Finishing { deadline: Instant },
    /// Our Close frame is out; what still arrives is read until the peer closes, or the deadline.
    Closing { deadline: Instant },
}

impl Draining {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Announced { deadline }
            | Phase::Finishing { deadline }
            | Phase::Closing { deadline } => Some(deadline),
            Phase::UntilReplaced => None,
        }
    }

    /// Lets the last acks out for as long as `finish_grace`, then closes.
    pub(super) fn finish(&mut self, now: Instant, config: &SessionConfig, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.phase = Phase::Finishing { deadline: now + config.finish_grace };
            self.close_when_settled(now, config, out);
        }
    }

    /// Closes a finishing connection that owes no ack.
    pub(super) fn close_when_settled(
        &mut self,
        now: Instant,
        config: &SessionConfig,
        out: &mut Vec<Output>,
    ) {
        if matches!(self.phase, Phase::Finishing { .. }) && self.link.in_flight.is_empty() {
            self.close(now, config, out);
        }
    }

    /// Does what is due; `false` when the connection is over and done with.
    pub(super) fn keep_time(
        &mut self,
        now: Instant,
        config: &SessionConfig,
        out: &mut Vec<Output>,
    ) -> bool {
        match self.phase {
            Phase::UntilReplaced => {}
            Phase::Announced { deadline } | Phase::Finishing { deadline } => {
                if now >= deadline {
                    self.close(now, config, out);
                }
            }
            Phase::Closing { deadline } => {
                if now >= deadline {
                    out.push(Output::DropSocket { generation: self.link.generation });
                    return false;
                }
            }
        }
        true
    }

    fn close(&mut self, now: Instant, config: &SessionConfig, out: &mut Vec<Output>) {
        out.push(Output::CloseSocket { generation: self.link.generation });
        self.phase = Phase::Closing { deadline: now + config.close_grace };
    }
}
