//! The loop around the session: every source becomes an input, every output an effect.
//!
//! This is the only `select!` of the stream, and nothing in it waits: sockets have tasks of their own,
//! and frames that their receiver is not ready for wait in a bounded backlog, beyond which reading
//! pauses.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{Instrument, debug, error, info, warn};

use super::hearing::Hearing;
use super::life::Life;
use super::session::{
    FrameRef, Generation, Input, Malformed, Moment, Note, OpenFailure, Outage, Output, Session,
    SessionConfig, StreamState,
};
use super::socket::SocketHandle;
use super::transport::{self, ConnectError, Outgoing, Reader, Received, TransportConfig, Writer};
use crate::openapi::OpenApiClient;
use crate::protocol::{Ack, DataFrame, Endpoint, Subscription};
use crate::unix_time::now_ms;

/// What a stream needs.
#[derive(Debug)]
pub struct StreamConfig {
    /// Times and limits.
    pub session: SessionConfig,
    /// How connections are made.
    pub transport: TransportConfig,
    /// What the gateway should push.
    pub subscriptions: Vec<Subscription>,
    /// Seed of all jitter.
    pub seed: u64,
    /// Before it is true no WebSocket is connected; endpoint and ticket are asked for all the same.
    pub clearance: Option<watch::Receiver<bool>>,
}

/// A frame to be handled. Its ack goes back with [`StreamHandle::ack`].
#[derive(Debug)]
pub struct Dispatched {
    /// Names the frame in its ack.
    pub frame: FrameRef,
    /// The frame: an EVENT or a CALLBACK.
    pub data_frame: DataFrame,
}

/// A running stream.
#[derive(Debug)]
pub struct StreamHandle {
    acks: mpsc::Sender<(FrameRef, Ack)>,
    state: watch::Receiver<StreamState>,
    life: Arc<Life>,
    hearing: watch::Receiver<Hearing>,
    stop: Arc<Notify>,
}

/// What happened since the start; logged at the end.
#[derive(Debug, Default)]
struct Counters {
    opens: u64,
    frames: u64,
    acks: u64,
    acks_without_connection: u64,
    malformed: u64,
}

/// What became of an attempt. These have a channel of their own: they are few, and must get through
/// while reading pauses.
enum Progress {
    Opened(Generation, Result<Endpoint, OpenFailure>),
    Connected(Generation, Result<(Reader, Writer), ConnectError>),
}

/// What one connection brought, in order, its end included.
pub(super) type Batch = (Generation, Vec<Received>);

/// Acks that may wait for the driver.
const ACKS: usize = 4_096;
/// Frames that may wait for their receiver, in the channel and once more in the backlog.
const FRAMES: usize = 1_024;
/// Batches that may wait for the driver.
const BATCHES: usize = 8;
/// Attempts under way are never more than one or two.
const PROGRESS: usize = 16;
/// Kinds of malformed messages that are remembered as logged.
const MALFORMED_KINDS: usize = 100;

/// Starts the stream. Frames arrive in the receiver, which ends when the stream has stopped; the task
/// ends then, too, and before only if it failed.
pub fn start(
    client: Arc<OpenApiClient>,
    config: StreamConfig,
) -> (StreamHandle, mpsc::Receiver<Dispatched>, JoinHandle<()>) {
    let (acks, ack_queue) = mpsc::channel(ACKS);
    let (frames, frame_queue) = mpsc::channel(FRAMES);
    let (batches, batch_queue) = mpsc::channel(BATCHES);
    let (progress, progress_queue) = mpsc::channel(PROGRESS);
    let (publisher, state) = watch::channel(StreamState::Opening { attempt: 0 });
    let (ears, hearing) = watch::channel(Hearing::NotYet);
    let stop = Arc::new(Notify::new());
    let life = Arc::new(Life::default());
    let driver = Driver {
        session: Session::new(config.session, config.seed, now()),
        client,
        transport: config.transport,
        subscriptions: config.subscriptions.into(),
        clearance: config.clearance,
        outputs: Vec::new(),
        attempts: HashMap::new(),
        sockets: HashMap::new(),
        tasks: JoinSet::new(),
        backlog: VecDeque::new(),
        batches,
        progress,
        publisher,
        life: Arc::clone(&life),
        ears,
        counters: Counters::default(),
        malformed: BTreeMap::new(),
    };
    let inbox = Inbox {
        acks: ack_queue,
        batches: batch_queue,
        progress: progress_queue,
        stop: Arc::clone(&stop),
    };
    let task = tokio::spawn(driver.run(inbox, frames).in_current_span());
    (StreamHandle { acks, state, life, hearing, stop }, frame_queue, task)
}

impl StreamHandle {
    /// Acks a frame, on the connection that brought it; if that is gone, nowhere.
    pub async fn ack(&self, frame: FrameRef, ack: Ack) {
        // A stream that has stopped takes no acks; the message will come again or has been kept.
        let _ = self.acks.send((frame, ack)).await;
    }

    /// The state, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.state.clone()
    }

    /// What it lives through.
    pub fn life(&self) -> Arc<Life> {
        Arc::clone(&self.life)
    }

    /// Whether messages can arrive, now and whenever that changes.
    pub fn hearing(&self) -> watch::Receiver<Hearing> {
        self.hearing.clone()
    }

    /// Asks the stream to end: last acks go out, Close frames are exchanged, in bounded time. The
    /// frame receiver ends when that is done.
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}

/// Every source of the loop but the timer.
struct Inbox {
    acks: mpsc::Receiver<(FrameRef, Ack)>,
    batches: mpsc::Receiver<Batch>,
    progress: mpsc::Receiver<Progress>,
    stop: Arc<Notify>,
}

struct Driver {
    session: Session,
    client: Arc<OpenApiClient>,
    transport: TransportConfig,
    subscriptions: Arc<[Subscription]>,
    clearance: Option<watch::Receiver<bool>>,
    outputs: Vec<Output>,
    attempts: HashMap<Generation, AbortHandle>,
    sockets: HashMap<Generation, SocketHandle>,
    tasks: JoinSet<()>,
    backlog: VecDeque<Dispatched>,
    batches: mpsc::Sender<Batch>,
    progress: mpsc::Sender<Progress>,
    publisher: watch::Sender<StreamState>,
    life: Arc<Life>,
    /// Ends with the stream.
    ears: watch::Sender<Hearing>,
    counters: Counters,
    malformed: BTreeMap<Malformed, u64>,
}

impl Driver {
    async fn run(mut self, mut inbox: Inbox, frames: mpsc::Sender<Dispatched>) {
        let mut ack_batch = Vec::new();
        self.step(Input::Tick);
        while !(self.session.is_finished() && self.backlog.is_empty()) {
            let wake = self.session.next_wake().unwrap_or_else(|| now().mono + IDLE);
            let paused = self.backlog.len() >= FRAMES;
            tokio::select! {
                () = inbox.stop.notified() => self.step(Input::Stop),
                _ = inbox.acks.recv_many(&mut ack_batch, ACKS),
                    if !inbox.acks.is_closed() || !inbox.acks.is_empty() => {
                    for (frame, ack) in ack_batch.drain(..) {
                        self.step(Input::HandlerFinished { frame, ack });
                    }
                }
                Some(progress) = inbox.progress.recv() => self.progress(progress),
                Some((generation, batch)) = inbox.batches.recv(), if !paused => {
                    self.received(generation, batch);
                }
                permit = frames.reserve(), if !self.backlog.is_empty() => {
                    if let Ok(permit) = permit {
                        permit.send(self.backlog.pop_front().expect("the backlog is not empty"));
                        self.hand_out(&frames);
                    } else {
                        // Nobody takes frames any more, so that none may be acked either.
                        self.backlog.clear();
                        self.step(Input::Stop);
                    }
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(e) = ended && e.is_panic() {
                        error!(error = %e, "a task of the stream failed; its connection will be found silent");
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {
                    self.step(if paused { Input::ReadingPaused } else { Input::Tick });
                }
            }
            // Under load the timer's branch may not be chosen for a while.
            if self.session.next_wake().is_some_and(|wake| wake <= Instant::now()) {
                self.step(if paused { Input::ReadingPaused } else { Input::Tick });
            }
        }
        self.tasks.shutdown().await;
        let Counters { opens, frames, acks, acks_without_connection, malformed } = self.counters;
        info!(opens, frames, acks, acks_without_connection, malformed, "the stream has ended");
    }

    fn progress(&mut self, progress: Progress) {
        let input = match progress {
            Progress::Opened(generation, outcome) => {
                self.attempts.remove(&generation);
                match outcome {
                    Ok(endpoint) => Input::Opened { generation, endpoint },
                    Err(failure) => Input::OpenFailed { generation, failure },
                }
            }
            Progress::Connected(generation, Ok(halves)) => {
                self.attempts.remove(&generation);
                let socket =
                    SocketHandle::spawn(&mut self.tasks, generation, halves, &self.batches);
                self.sockets.insert(generation, socket);
                Input::SocketUp { generation }
            }
            Progress::Connected(generation, Err(e)) => {
                self.attempts.remove(&generation);
                let failure = OpenFailure::Transient { reason: e.to_string(), retry_after: None };
                Input::OpenFailed { generation, failure }
            }
        };
        self.step(input);
    }

    fn received(&mut self, generation: Generation, batch: Vec<Received>) {
        if !matches!(batch[..], [Received::Closed(_)]) {
            self.life.heard(batch.iter().any(|one| matches!(one, Received::Sign)));
        }
        for received in batch {
            let input = match received {
                Received::Text(text) => Input::Text { generation, text },
                Received::Binary => Input::Binary { generation },
                Received::Sign => Input::Heard { generation },
                Received::Closed(reason) => {
                    self.sockets.remove(&generation);
                    Input::SocketClosed { generation, reason }
                }
            };
            self.step(input);
        }
    }

    /// Hands out what the receiver has room for.
    fn hand_out(&mut self, frames: &mpsc::Sender<Dispatched>) {
        while let Some(next) = self.backlog.pop_front() {
            if let Err(
                mpsc::error::TrySendError::Full(next) | mpsc::error::TrySendError::Closed(next),
            ) = frames.try_send(next)
            {
                return self.backlog.push_front(next);
            }
        }
    }

    fn step(&mut self, input: Input) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.session.step(now(), input, &mut outputs);
        for output in outputs.drain(..) {
            self.carry_out(output);
        }
        self.outputs = outputs;
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::OpenConnection { generation } => {
                self.counters.opens += 1;
                self.life.opened();
                let client = Arc::clone(&self.client);
                let subscriptions = Arc::clone(&self.subscriptions);
                self.attempt(generation, async move {
                    Progress::Opened(generation, client.open_connection(&subscriptions).await)
                });
            }
            Output::ConnectSocket { generation, endpoint } => {
                let config = self.transport.clone();
                let clearance = self.clearance.clone();
                self.attempt(generation, async move {
                    if let Some(mut clearance) = clearance {
                        // Whoever could give it is gone: nothing is in the way.
                        let _ = clearance.wait_for(|given| *given).await;
                    }
                    Progress::Connected(generation, transport::connect(&endpoint, &config).await)
                });
            }
            Output::Abandon { generation } => {
                if let Some(task) = self.attempts.remove(&generation) {
                    task.abort();
                }
            }
            Output::SendText { generation, text } => {
                self.counters.acks += 1;
                self.send(generation, Outgoing::Text(text));
            }
            Output::SendPing { generation } => self.send(generation, Outgoing::Ping),
            Output::CloseSocket { generation } => self.send(generation, Outgoing::Close),
            Output::DropSocket { generation } => {
                if let Some(socket) = self.sockets.remove(&generation) {
                    socket.abort();
                }
            }
            Output::Dispatch { frame, data_frame } => {
                self.counters.frames += 1;
                self.life.frame();
                self.backlog.push_back(Dispatched { frame, data_frame });
            }
            Output::Publish(state) => self.publish(state),
            Output::Note(note) => self.note(note),
        }
    }

    fn attempt(
        &mut self,
        generation: Generation,
        work: impl Future<Output = Progress> + Send + 'static,
    ) {
        let progress = self.progress.clone();
        let attempt = async move {
            // The driver may be gone; then nobody needs to know.
            let _ = progress.send(work.await).await;
        };
        let task = self.tasks.spawn(attempt.in_current_span());
        self.attempts.insert(generation, task);
    }

    fn send(&self, generation: Generation, outgoing: Outgoing) {
        if let Some(socket) = self.sockets.get(&generation) {
            socket.send(outgoing);
        }
    }

    fn publish(&self, state: StreamState) {
        match &state {
            StreamState::Waiting { attempt, delay, outage } => {
                let delay_ms = delay.as_millis();
                match outage {
                    Outage::NoConnection(OpenFailure::Refused { .. }) => {
                        error!(attempt, delay_ms, "no connection: {outage}");
                    }
                    Outage::NoConnection(_) => warn!(attempt, delay_ms, "no connection: {outage}"),
                    Outage::DisconnectAnnounced(_) | Outage::Renewal => {
                        info!(attempt, delay_ms, "making the next connection: {outage}");
                    }
                    Outage::Closed(_) | Outage::Silent(_) | Outage::ClockJumped(_) => {
                        warn!(attempt, delay_ms, "making a new connection: {outage}");
                    }
                }
            }
            StreamState::Opening { attempt } => debug!(attempt, "asking for a connection"),
            StreamState::Connecting { attempt } => debug!(attempt, "connecting"),
            StreamState::Connected { generation } => info!(%generation, "connected to the gateway"),
            StreamState::Stopped => info!("the stream stops"),
        }
        self.ears.send_replace(self.life.enters(&state, now_ms()));
        self.publisher.send_replace(state);
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Malformed(kind) => {
                self.counters.malformed += 1;
                let known = self.malformed.len();
                match self.malformed.get_mut(&kind) {
                    Some(times) => {
                        *times += 1;
                        debug!(times, "the gateway sent {kind} again");
                    }
                    None if known < MALFORMED_KINDS => {
                        warn!("the gateway sent {kind}; skipped, and from now on silently");
                        self.malformed.insert(kind, 1);
                    }
                    None => debug!("the gateway sent {kind}"),
                }
            }
            Note::AckWithoutConnection => {
                self.counters.acks_without_connection += 1;
                debug!("an ack came when its connection was gone");
            }
            // The transition that follows says it.
            Note::ClockJumped(_) => {}
        }
    }
}

/// How long the loop sleeps when the session has no timer.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Both clocks; the session has none of its own.
fn now() -> Moment {
    Moment { mono: Instant::now(), wall: SystemTime::now() }
}
