//! Where turns meet the attached agent: lines out, events in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::event::{Posted, What};
use super::line::Line;
use super::turns::{Judgement, Turns};
use crate::agent::{AgentError, Attempt, Event, Receipt, Speaker, Taken, Turn, TurnId};
use crate::credential::ClientId;

/// The open turns of one robot, and the agent that is attached to it, if there is one.
#[derive(Debug)]
pub struct Desk {
    client_id: ClientId,
    made: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    turns: Turns,
    doors: HashMap<TurnId, Arc<Door>>,
    agent: Option<Reader>,
    /// Agents that have attached so far.
    agents: u64,
    /// When the last one went.
    left: Option<Instant>,
}

/// The way into an open turn.
#[derive(Debug)]
struct Door {
    speaker: Speaker,
    /// When the last event came.
    heard: watch::Sender<Instant>,
    /// Events of a turn are dealt with one after the other.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// Whoever reads lines.
#[derive(Debug)]
struct Reader {
    number: u64,
    lines: mpsc::Sender<Line>,
}

/// Lines that may wait to be read. An agent that leaves more unread is let go; when it attaches again
/// every open turn comes again.
const LINES: usize = 1_024;

/// How often an idle stream gets an empty line, so that a dead reader is noticed.
const HEARTBEAT: Duration = Duration::from_secs(10);

impl Desk {
    /// Without turns and agent.
    pub fn new(client_id: ClientId) -> Arc<Self> {
        Arc::new(Self { client_id, made: Instant::now(), state: Mutex::default() })
    }

    /// The robot's app.
    pub(crate) fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Whether an agent is attached, and how many turns are open.
    pub(super) fn summary(&self) -> (bool, usize) {
        let state = self.state();
        (state.agent.is_some(), state.turns.count())
    }

    /// Since when nobody is attached: `None` if somebody is.
    pub fn alone_since(&self) -> Option<Instant> {
        let state = self.state();
        if state.agent.is_some() { None } else { Some(state.left.unwrap_or(self.made)) }
    }

    /// Offers a turn until what this returns is dropped.
    pub(crate) fn open(self: &Arc<Self>, attempt: Attempt, turn: Turn, speaker: Speaker) -> Opened {
        let (heard, news) = watch::channel(Instant::now());
        let one_at_a_time = tokio::sync::Mutex::default();
        let door = Arc::new(Door { speaker, heard, one_at_a_time });
        let mut state = self.state();
        state.doors.insert(attempt.turn, Arc::clone(&door));
        if let Some(offer) = state.turns.open(attempt, turn) {
            state.write(Line::Turn(Box::new(offer)));
        }
        Opened { desk: Arc::clone(self), id: attempt.turn, door, news }
    }

    /// Attaches an agent, in the place of one that is.
    pub(super) fn attach(self: &Arc<Self>) -> Attached {
        let mut state = self.state();
        if let Some(earlier) = state.agent.take() {
            info!(client_id = %self.client_id, "another agent attached; the first one is let go");
            // One that has not read so far will not miss this.
            let _ = earlier.lines.try_send(Line::Replaced);
        }
        let (lines, unread) = mpsc::channel(LINES);
        state.agents += 1;
        let number = state.agents;
        state.agent = Some(Reader { number, lines });
        let offers = state.turns.attach();
        info!(client_id = %self.client_id, open = offers.len(), "an agent attached");
        state.write(Line::Attached);
        for offer in offers {
            state.write(Line::Turn(Box::new(offer)));
        }
        Attached { desk: Arc::clone(self), number, unread }
    }

    /// Takes an event. Ready when it is dealt with, and what is said in it is kept.
    ///
    /// To be run to its end: whoever asked may go away, and what was begun is not undone.
    pub(super) async fn take(self: Arc<Self>, id: TurnId, posted: Posted) -> Judgement {
        let Posted { seq, attempt, what } = posted;
        let Some(door) = self.state().doors.get(&id).cloned() else {
            return self.state().turns.judge(id, seq, attempt);
        };
        let _turn = door.one_at_a_time.lock().await;
        let judgement = self.state().turns.judge(id, seq, attempt);
        if judgement != Judgement::Next {
            return judgement;
        }
        // The turn may be over, and nobody wait for its events.
        let _ = door.heard.send(Instant::now());
        let (mut said, adopts) = (0, what == What::Adopted);
        let taken = match what {
            What::Typing => {
                door.speaker.typing().await;
                true
            }
            What::Adopted => door.report(seq, Vec::new(), None).await.is_some(),
            What::Partial(text) => {
                door.speaker.partial(text).await;
                true
            }
            What::Say(says) => {
                said = says.len().try_into().unwrap_or(u64::MAX);
                match door.report(seq, says, None).await {
                    Some(Taken::TooMany { retry_after }) => {
                        return Judgement::TooMany { retry_after };
                    }
                    taken => taken.is_some(),
                }
            }
            What::Error(message) => self.end(&door, id, seq, Err(AgentError(message))).await,
            What::Done => self.end(&door, id, seq, Ok(())).await,
        };
        if !taken {
            return Judgement::Ended;
        }
        self.state().turns.took(id, seq, said, adopts);
        // What took long to be kept is no silence of the agent's.
        let _ = door.heard.send(Instant::now());
        Judgement::Next
    }

    async fn end(&self, door: &Door, id: TurnId, seq: u64, end: Result<(), AgentError>) -> bool {
        self.state().turns.ending(id, true);
        let kept = door.report(seq, Vec::new(), Some(end)).await == Some(Taken::Kept);
        if !kept {
            self.state().turns.ending(id, false);
        }
        kept
    }

    /// Ends the stream of the attached agent.
    pub(super) fn let_go(&self) {
        self.state().let_go();
    }

    fn detach(&self, number: u64) {
        let mut state = self.state();
        if state.agent.as_ref().is_some_and(|agent| agent.number == number) {
            info!(client_id = %self.client_id, "the agent is gone");
            state.let_go();
        }
    }

    fn close(&self, id: TurnId) {
        let mut state = self.state();
        state.doors.remove(&id);
        if state.turns.close(id) {
            state.write(Line::Ended(id));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic within.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes a line to the attached agent, if there is one.
    fn write(&mut self, line: Line) {
        let Some(agent) = &self.agent else { return };
        if agent.lines.try_send(line).is_err() {
            warn!("the attached agent does not read its turns; it is let go");
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        self.agent = None;
        self.left = Some(Instant::now());
        self.turns.detach();
    }
}

impl Door {
    /// Reports something that must be kept; `None` if the turn is over, and it was not.
    async fn report(
        &self,
        seq: u64,
        says: Vec<crate::agent::Say>,
        end: Option<Result<(), AgentError>>,
    ) -> Option<Taken> {
        let (receipt, mut kept) = Receipt::new();
        self.speaker.report(Event { seq, says, end, receipt }).await;
        kept.recv().await
    }
}

/// An open turn; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    desk: Arc<Desk>,
    id: TurnId,
    door: Arc<Door>,
    news: watch::Receiver<Instant>,
}

impl Opened {
    /// Waits until no event has come for `patience`.
    pub(crate) async fn silence(mut self, patience: Duration) {
        loop {
            let last = *self.news.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(last + patience) => {}
                Ok(()) = self.news.changed() => continue,
            }
            // Both may be true when the process was held up.
            if self.news.has_changed().unwrap_or(false) {
                continue;
            }
            // An event that has to wait, for the disk or for what was said before it, is no silence. It may
            // be a repeat, which is no news.
            if self.door.one_at_a_time.try_lock().is_ok() {
                return;
            }
            drop(self.door.one_at_a_time.lock().await);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.desk.close(self.id);
    }
}

/// An attached agent's end of the stream; dropping it detaches.
#[derive(Debug)]
pub(super) struct Attached {
    desk: Arc<Desk>,
    number: u64,
    unread: mpsc::Receiver<Line>,
}

impl Attached {
    /// The next line, or an empty one after a while; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        match tokio::time::timeout(HEARTBEAT, self.unread.recv()).await {
            Ok(line) => line.map(|line| line.ndjson(&self.desk.client_id)),
            Err(_) => Some(Bytes::from_static(b"\n")),
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.desk.detach(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_repeat_that_came_when_patience_ended_does_not_keep_a_silent_turn_open() {
        let turn = Turn::of_words("hi");
        let desk = Desk::new(ClientId::new("app"));
        let attempt = Attempt { turn: TurnId(1), resumed: false, said: 0, seq: 0 };
        let opened = desk.open(attempt, turn, Speaker::new().0);
        let door = Arc::clone(&opened.door);
        let judged = door.one_at_a_time.lock().await;
        let mut silence = pin!(opened.silence(Duration::from_millis(1)));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut silence).await;
        assert!(early.is_err(), "an event is being dealt with");
        // It was a repeat: nothing is heard of it.
        drop(judged);
        tokio::time::timeout(Duration::from_secs(20), silence).await.expect("it is silent");
    }
}
