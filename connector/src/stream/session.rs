//! The session with the gateway as a state machine: inputs in, outputs out, time and randomness given.
//!
//! It knows nothing of sockets, stores or agents. The session is in one `State`; beside it stands a
//! bounded set of draining connections, old ones that still bring frames and carry acks while their
//! successor is made (make before break). Every input names the connection *generation* it is about,
//! so that news of a former connection can never be mistaken for news of the present one.

mod config;
mod link;
mod message;
mod opens;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub use config::SessionConfig;
pub use message::{
    CloseReason, FrameRef, Generation, Input, Malformed, Moment, Note, OpenFailure, Outage, Output,
    StreamState,
};

use self::link::{Draining, Link, Phase};
use self::opens::OpenGate;
use crate::protocol::{Ack, DataFrame, Endpoint, FrameError, FrameType, topic};

/// The state machine.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    rng: StdRng,
    state: State,
    draining: Vec<Draining>,
    generations: u64,
    opens: OpenGate,
    last: Moment,
}

/// What the session is doing about having a connection. `attempt` counts tries since the last stable
/// connection; 0 goes out at once.
#[derive(Debug)]
enum State {
    /// Pausing before the next attempt, which must not go out before `not_before` even if there is
    /// reason to hurry.
    Waiting { attempt: u32, until: Instant, not_before: Instant },
    /// Asking for endpoint and ticket.
    Opening { attempt: u32, generation: Generation, deadline: Instant },
    /// Shaking hands; endpoint and ticket went out with the output.
    Connecting { attempt: u32, generation: Generation, deadline: Instant },
    /// Up.
    Connected { attempt: u32, link: Link },
    /// Stop was asked for; draining connections may remain for a moment.
    Stopped,
}

impl Session {
    /// A session that makes its first attempt on the first step. `seed` drives all jitter.
    pub fn new(config: SessionConfig, seed: u64, now: Moment) -> Self {
        Self {
            config,
            rng: StdRng::seed_from_u64(seed),
            state: State::Waiting { attempt: 0, until: now.mono, not_before: now.mono },
            draining: Vec::new(),
            generations: 0,
            opens: OpenGate::new(config.opens_per_window, config.open_window),
            last: now,
        }
    }

    /// When to step with [`Input::Tick`] at the latest; `None` when only an input can change anything.
    pub fn next_wake(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Opening { deadline, .. } | State::Connecting { deadline, .. } => Some(*deadline),
            State::Connected { link, .. } => Some(link.next_wake(&self.config)),
            State::Stopped => None,
        };
        let draining = self.draining.iter().filter_map(Draining::deadline);
        draining.chain(state).min()
    }

    /// Whether stop is complete: no connection is left and none will be made.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Stopped) && self.draining.is_empty()
    }

    /// Takes one input at `now`, then does what is due; what is to be done is appended to `out` in order.
    ///
    /// The input goes first: it may be the very sign of life that a deadline waits for.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        self.notice_clock_jump(now, out);
        match input {
            Input::Tick => {}
            Input::Opened { generation, endpoint } => self.opened(now, generation, endpoint, out),
            Input::OpenFailed { generation, failure } => {
                self.attempt_failed(now, generation, failure, out);
            }
            Input::SocketUp { generation } => self.socket_up(now, generation, out),
            Input::Text { generation, text } => self.text(now, generation, &text, out),
            Input::Binary { generation } => {
                self.heard(now, generation);
                out.push(Output::Note(Note::Malformed(Malformed::Frame(FrameError::Binary))));
            }
            Input::Heard { generation } => self.heard(now, generation),
            Input::ReadingPaused => self.reading_paused(now),
            Input::SocketClosed { generation, reason } => {
                self.socket_closed(now, generation, reason, out);
            }
            Input::HandlerFinished { frame, ack } => self.handler_finished(now, frame, &ack, out),
            Input::Stop => self.stop(now, out),
        }
        self.keep_time(now, out);
    }

    // Attempts.

    fn opened(&mut self, now: Moment, of: Generation, endpoint: Endpoint, out: &mut Vec<Output>) {
        // An answer for an attempt given up meanwhile: its ticket is left to expire.
        if let State::Opening { attempt, generation, .. } = self.state
            && generation == of
        {
            let deadline = now.mono + self.config.connect_timeout;
            self.state = State::Connecting { attempt, generation, deadline };
            out.push(Output::ConnectSocket { generation, endpoint });
            out.push(Output::Publish(StreamState::Connecting { attempt }));
        }
    }

    fn attempt_failed(
        &mut self,
        now: Moment,
        of: Generation,
        failure: OpenFailure,
        out: &mut Vec<Output>,
    ) {
        let (State::Opening { attempt, generation, .. }
        | State::Connecting { attempt, generation, .. }) = self.state
        else {
            return;
        };
        if generation != of {
            return;
        }
        let at_least = match &failure {
            OpenFailure::Refused { .. } => self.jittered(self.config.refused_pause),
            OpenFailure::Transient { retry_after, .. } => {
                retry_after.unwrap_or_default().min(self.config.backoff_cap)
            }
        };
        self.wait(now, attempt + 1, at_least, Outage::NoConnection(failure), out);
    }

    fn socket_up(&mut self, now: Moment, of: Generation, out: &mut Vec<Output>) {
        let State::Connecting { attempt, generation, .. } = self.state else {
            return out.push(Output::DropSocket { generation: of });
        };
        if generation != of {
            return out.push(Output::DropSocket { generation: of });
        }
        let renew_after = self.config.renew_after.mul_f64(self.rng.random_range(0.8..1.2));
        let link = Link::new(generation, now.mono, renew_after);
        self.state = State::Connected { attempt, link };
        out.push(Output::Publish(StreamState::Connected { generation }));
        for old in &mut self.draining {
            if matches!(old.phase, Phase::UntilReplaced) {
                old.finish(now.mono, &self.config, out);
            }
        }
    }

    /// Goes for the next attempt after `delay` at least, and after whatever back-off and the limit on
    /// opens demand.
    fn wait(
        &mut self,
        now: Moment,
        attempt: u32,
        at_least: Duration,
        outage: Outage,
        out: &mut Vec<Output>,
    ) {
        let backoff = match attempt.checked_sub(1) {
            None => Duration::ZERO,
            Some(retry) => self.config.backoff().delay(retry, self.rng.random()),
        };
        let wanted = now.mono + backoff.max(at_least);
        let until = self.opens.earliest(wanted);
        self.state = State::Waiting { attempt, until, not_before: now.mono + at_least };
        out.push(Output::Publish(StreamState::Waiting {
            attempt,
            delay: until.saturating_duration_since(now.mono),
            outage,
        }));
    }

    fn open(&mut self, now: Moment, attempt: u32, out: &mut Vec<Output>) {
        self.generations += 1;
        let generation = Generation(self.generations);
        self.opens.record(now.mono);
        let deadline = now.mono + self.config.open_timeout;
        self.state = State::Opening { attempt, generation, deadline };
        out.push(Output::OpenConnection { generation });
        out.push(Output::Publish(StreamState::Opening { attempt }));
    }

    // A live connection.

    fn text(&mut self, now: Moment, of: Generation, text: &str, out: &mut Vec<Output>) {
        let Some(link) = self.link_mut(of) else {
            return;
        };
        link.heard(now.mono);
        let frame = match DataFrame::parse(text) {
            Ok(frame) => frame,
            Err(e) => return out.push(Output::Note(Note::Malformed(Malformed::Frame(e)))),
        };
        match frame.frame_type {
            FrameType::Unknown(kind) => {
                let kind = Malformed::UnknownType(excerpt(&kind));
                out.push(Output::Note(Note::Malformed(kind)));
            }
            FrameType::System if frame.headers.topic == topic::DISCONNECT => {
                self.disconnect_announced(now, of, excerpt(&frame.data), out);
            }
            FrameType::System if frame.headers.topic == topic::PING => {
                link.is_healthy();
                // Nothing may follow a Close frame.
                if !self.is_closing(of) {
                    let text = Ack::ping(frame.data).encode(frame.headers.message_id.as_ref());
                    out.push(Output::SendText { generation: of, text });
                }
            }
            FrameType::System => {
                // CONNECTED, REGISTERED and KEEPALIVE occur in the Node SDK only; they want no answer.
                let kind = Malformed::UnknownSystemTopic(excerpt(&frame.headers.topic));
                out.push(Output::Note(Note::Malformed(kind)));
            }
            FrameType::Event | FrameType::Callback => {
                link.frame_read(now.mono);
                let frame_ref = link.take_in(frame.headers.message_id.clone());
                out.push(Output::Dispatch { frame: frame_ref, data_frame: frame });
            }
        }
    }

    fn handler_finished(&mut self, now: Moment, frame: FrameRef, ack: &Ack, out: &mut Vec<Output>) {
        let closing = self.is_closing(frame.generation);
        let owed = self.link_mut(frame.generation).and_then(|link| link.settle(frame, ack));
        out.push(match owed {
            Some(text) if !closing => Output::SendText { generation: frame.generation, text },
            _ => Output::Note(Note::AckWithoutConnection),
        });
        // The last ack of a connection that only waited for it.
        let config = &self.config;
        for old in &mut self.draining {
            old.close_when_settled(now.mono, config, out);
        }
    }

    fn heard(&mut self, now: Moment, of: Generation) {
        if let Some(link) = self.link_mut(of) {
            link.heard(now.mono);
        }
    }

    fn reading_paused(&mut self, now: Moment) {
        if let State::Connected { link, .. } = &mut self.state {
            link.heard(now.mono);
        }
    }

    fn disconnect_announced(
        &mut self,
        now: Moment,
        of: Generation,
        data: String,
        out: &mut Vec<Output>,
    ) {
        let deadline = now.mono + self.config.disconnect_grace;
        if matches!(&self.state, State::Connected { link, .. } if link.generation() == of) {
            self.replace(
                now,
                Phase::Announced { deadline },
                Outage::DisconnectAnnounced(data),
                out,
            );
        } else if let Some(old) = self.draining.iter_mut().find(|d| d.link.generation() == of)
            && matches!(old.phase, Phase::UntilReplaced)
        {
            old.phase = Phase::Announced { deadline };
        }
    }

    fn socket_closed(
        &mut self,
        now: Moment,
        of: Generation,
        reason: CloseReason,
        out: &mut Vec<Output>,
    ) {
        self.draining.retain(|d| d.link.generation() != of);
        match &self.state {
            State::Connected { link, attempt } if link.generation() == of => {
                let next = self.attempt_after(now, *attempt, link);
                self.wait(now, next, Duration::ZERO, Outage::Closed(reason), out);
            }
            State::Connecting { generation, .. } if *generation == of => {
                let failure =
                    OpenFailure::Transient { reason: reason.to_string(), retry_after: None };
                self.attempt_failed(now, of, failure, out);
            }
            _ => {}
        }
    }

    /// Make before break: the present connection drains in `phase`, the next attempt starts.
    fn replace(&mut self, now: Moment, phase: Phase, outage: Outage, out: &mut Vec<Output>) {
        let State::Connected { attempt, link } = &self.state else {
            return;
        };
        let next = self.attempt_after(now, *attempt, link);
        let former = std::mem::replace(&mut self.state, State::Stopped);
        if let State::Connected { link, .. } = former {
            self.drain(Draining { link, phase }, out);
        }
        self.wait(now, next, Duration::ZERO, outage, out);
    }

    fn drain(&mut self, draining: Draining, out: &mut Vec<Output>) {
        if self.draining.len() == self.config.max_draining {
            let oldest = self.draining.remove(0);
            out.push(Output::DropSocket { generation: oldest.link.generation() });
        }
        self.draining.push(draining);
    }

    /// Number of the attempt that follows `link`: 0, at once, when it proved stable.
    fn attempt_after(&self, now: Moment, attempt: u32, link: &Link) -> u32 {
        if link.is_stable(now.mono, &self.config) { 0 } else { attempt + 1 }
    }

    // Stop.

    fn stop(&mut self, now: Moment, out: &mut Vec<Output>) {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Stopped => return,
            State::Waiting { .. } => {}
            State::Opening { generation, .. } | State::Connecting { generation, .. } => {
                out.push(Output::Abandon { generation });
            }
            State::Connected { link, .. } => {
                self.drain(Draining { link, phase: Phase::UntilReplaced }, out);
            }
        }
        for old in &mut self.draining {
            old.finish(now.mono, &self.config, out);
        }
        out.push(Output::Publish(StreamState::Stopped));
    }

    // Time.

    /// Does whatever is due at `now`.
    fn keep_time(&mut self, now: Moment, out: &mut Vec<Output>) {
        let config = &self.config;
        self.draining.retain_mut(|old| old.keep_time(now.mono, config, out));
        match &mut self.state {
            State::Opening { generation, deadline, .. } if now.mono >= *deadline => {
                let generation = *generation;
                self.timed_out(now, generation, "connections/open did not answer in time", out);
            }
            State::Connecting { generation, deadline, .. } if now.mono >= *deadline => {
                let generation = *generation;
                self.timed_out(now, generation, "the WebSocket handshake did not end in time", out);
            }
            State::Connected { link, .. } => {
                if now.mono >= link.suspect_at(config) {
                    let silence = now.mono.saturating_duration_since(link.last_heard());
                    self.replace(now, Phase::UntilReplaced, Outage::Silent(silence), out);
                } else if now.mono >= link.renew_at() {
                    self.replace(now, Phase::UntilReplaced, Outage::Renewal, out);
                } else if now.mono >= link.ping_at(config) {
                    link.pinged(now.mono);
                    out.push(Output::SendPing { generation: link.generation() });
                }
            }
            State::Opening { .. }
            | State::Connecting { .. }
            | State::Waiting { .. }
            | State::Stopped => {}
        }
        // Last, because each of the above may lead to an attempt that is due at once.
        if let State::Waiting { attempt, until, .. } = self.state
            && now.mono >= until
        {
            self.open(now, attempt, out);
        }
    }

    fn timed_out(
        &mut self,
        now: Moment,
        generation: Generation,
        what: &str,
        out: &mut Vec<Output>,
    ) {
        out.push(Output::Abandon { generation });
        let failure = OpenFailure::Transient { reason: what.to_owned(), retry_after: None };
        self.attempt_failed(now, generation, failure, out);
    }

    /// A computer that slept wakes with a wall clock far ahead of the monotonic one, and with a socket
    /// that may be dead without knowing. A step of the wall clock alone looks the same and costs only
    /// one handover.
    fn notice_clock_jump(&mut self, now: Moment, out: &mut Vec<Output>) {
        let mono = now.mono.saturating_duration_since(self.last.mono);
        let forward = now.wall.duration_since(self.last.wall).unwrap_or_default();
        self.last = now;
        let jump = forward.saturating_sub(mono);
        if jump < self.config.clock_jump {
            return;
        }
        out.push(Output::Note(Note::ClockJumped(jump)));
        match &mut self.state {
            State::Connected { .. } => {
                self.replace(now, Phase::UntilReplaced, Outage::ClockJumped(jump), out);
            }
            State::Waiting { until, not_before, .. } => {
                *until = self.opens.earliest(now.mono.max(*not_before));
            }
            State::Opening { .. } | State::Connecting { .. } | State::Stopped => {}
        }
    }

    // Helpers.

    fn jittered(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.rng.random_range(1.0..1.25))
    }

    fn link_mut(&mut self, of: Generation) -> Option<&mut Link> {
        let present = match &mut self.state {
            State::Connected { link, .. } => Some(link),
            _ => None,
        };
        present
            .into_iter()
            .chain(self.draining.iter_mut().map(|d| &mut d.link))
            .find(|link| link.generation() == of)
    }

    fn is_closing(&self, of: Generation) -> bool {
        self.draining
            .iter()
            .any(|d| d.link.generation() == of && matches!(d.phase, Phase::Closing { .. }))
    }
}

/// The beginning of a text that the gateway chose, for logs and counters.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 80;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
