//! The state machine against arbitrary sequences of inputs, judged from outside by a reference ledger.
//!
//! The ledger plays the gateway and the driver: it answers attempts (or not), breaks sockets, sends
//! frames, finishes handlers late, twice or with wrong references, and lets time pass. After every
//! step it checks what must always hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

/// One thing that happens. Numbers pick among what is possible at that moment, so that every sequence
/// means something and shrinks well.
#[derive(Debug, Clone)]
enum Act {
    Pass { ms: u64 },
    JumpClock { seconds: u64 },
    AnswerOpen { pick: usize },
    RefuseOpen { pick: usize, credentials: bool },
    SocketStands { pick: usize },
    Break { pick: usize, code: Option<u16> },
    Frame { pick: usize, kind: usize },
    Pong { pick: usize },
    Finish { pick: usize },
    FinishAgain { pick: usize },
    Pause,
    Stop,
}

const FRAMES: [&str; 8] = [
    r#"{"type":"CALLBACK","headers":{"topic":"/v1.0/im/bot/messages/get","messageId":"m"},"data":"{}"}"#,
    r#"{"type":"EVENT","headers":{"topic":"*","messageId":"e"},"data":"{}"}"#,
    r#"{"type":"SYSTEM","headers":{"topic":"ping","messageId":"p"},"data":"{}"}"#,
    r#"{"type":"SYSTEM","headers":{"topic":"disconnect"},"data":"{}"}"#,
    r#"{"type":"SYSTEM","headers":{"topic":"KEEPALIVE"}}"#,
    r#"{"type":"CALLBACK"}"#,
    "nonsense",
    "[]",
];

fn act() -> impl Strategy<Value = Act> {
    let pick = any::<usize>();
    prop_oneof![
        6 => prop_oneof![0..100_u64, 0..5_000_u64, 0..70_000_u64].prop_map(|ms| Act::Pass { ms }),
        1 => (0..100_u64).prop_map(|seconds| Act::JumpClock { seconds }),
        6 => pick.prop_map(|pick| Act::AnswerOpen { pick }),
        2 => (pick, any::<bool>())
            .prop_map(|(pick, credentials)| Act::RefuseOpen { pick, credentials }),
        6 => pick.prop_map(|pick| Act::SocketStands { pick }),
        3 => (pick, proptest::option::of(1000..1012_u16))
            .prop_map(|(pick, code)| Act::Break { pick, code }),
        8 => (pick, 0..FRAMES.len()).prop_map(|(pick, kind)| Act::Frame { pick, kind }),
        4 => pick.prop_map(|pick| Act::Pong { pick }),
        6 => pick.prop_map(|pick| Act::Finish { pick }),
        2 => pick.prop_map(|pick| Act::FinishAgain { pick }),
        1 => Just(Act::Pause),
        1 => Just(Act::Stop),
    ]
}

/// What the ledger knows of a socket.
#[derive(Debug, Default)]
struct Socket {
    /// We were told to send Close.
    closing: bool,
    /// The gateway announced its end, then.
    announced: Option<Instant>,
    /// A successor was asked for while it was the present one.
    outlived: bool,
    /// Acks owed.
    owed: BTreeSet<u64>,
}

struct Ledger {
    session: Session,
    config: SessionConfig,
    now: Moment,
    out: Vec<Output>,
    opening: BTreeSet<Generation>,
    connecting: BTreeSet<Generation>,
    sockets: BTreeMap<Generation, Socket>,
    dispatched: Vec<FrameRef>,
    acked: BTreeSet<(Generation, u64)>,
    opens: VecDeque<Instant>,
    stopped_at: Option<Instant>,
    replaced_at: Option<Instant>,
    refused_at: Option<Instant>,
}

impl Ledger {
    fn new(seed: u64) -> Self {
        let now = Moment { mono: Instant::now(), wall: std::time::SystemTime::now() };
        let config = SessionConfig::default();
        Self {
            session: Session::new(config, seed, now),
            config,
            now,
            out: Vec::new(),
            opening: BTreeSet::new(),
            connecting: BTreeSet::new(),
            sockets: BTreeMap::new(),
            dispatched: Vec::new(),
            acked: BTreeSet::new(),
            opens: VecDeque::new(),
            stopped_at: None,
            replaced_at: None,
            refused_at: None,
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Pass { ms } => self.pass(Duration::from_millis(ms)),
            Act::JumpClock { seconds } => {
                self.now.wall += Duration::from_secs(seconds);
                self.step(Input::Tick);
            }
            Act::AnswerOpen { pick } => {
                if let Some(generation) = take(&mut self.opening, pick) {
                    self.connecting.insert(generation);
                    self.step(Input::Opened { generation, endpoint: endpoint() });
                }
            }
            Act::RefuseOpen { pick, credentials } => {
                let from =
                    if self.opening.is_empty() { &mut self.connecting } else { &mut self.opening };
                if let Some(generation) = take(from, pick) {
                    let reason = String::new();
                    let failure = if credentials {
                        OpenFailure::Refused { reason }
                    } else {
                        OpenFailure::Transient { reason, retry_after: None }
                    };
                    self.step(Input::OpenFailed { generation, failure });
                }
            }
            Act::SocketStands { pick } => {
                if let Some(generation) = take(&mut self.connecting, pick) {
                    self.sockets.insert(generation, Socket::default());
                    self.step(Input::SocketUp { generation });
                }
            }
            Act::Break { pick, code } => {
                let reason = match code {
                    Some(code) => CloseReason::Closed { code, reason: String::new() },
                    None => CloseReason::Ended,
                };
                if let Some(generation) = nth(self.sockets.keys(), pick) {
                    self.sockets.remove(&generation);
                    self.step(Input::SocketClosed { generation, reason });
                }
            }
            Act::Frame { pick, kind } => {
                if let Some(generation) = nth(self.sockets.keys(), pick) {
                    if FRAMES[kind].contains("disconnect") {
                        let socket = self.sockets.get_mut(&generation).unwrap();
                        socket.announced.get_or_insert(self.now.mono);
                    }
                    self.step(Input::Text { generation, text: FRAMES[kind].to_owned() });
                }
            }
            Act::Pong { pick } => {
                if let Some(generation) = nth(self.sockets.keys(), pick) {
                    self.step(Input::Heard { generation });
                }
            }
            Act::Finish { pick } => {
                if !self.dispatched.is_empty() {
                    let frame = self.dispatched.remove(pick % self.dispatched.len());
                    self.step(Input::HandlerFinished { frame, ack: Ack::ping("") });
                }
            }
            Act::FinishAgain { pick } => {
                if let Some((generation, sequence)) = nth(self.acked.iter(), pick) {
                    let frame = FrameRef { generation, sequence };
                    self.step(Input::HandlerFinished { frame, ack: Ack::ping("") });
                }
            }
            Act::Pause => self.step(Input::ReadingPaused),
            Act::Stop => {
                self.stopped_at.get_or_insert(self.now.mono);
                self.step(Input::Stop);
            }
        }
    }

    /// Lets time pass, waking the session as it asks.
    fn pass(&mut self, by: Duration) {
        let end = self.now.mono + by;
        while let Some(wake) = self.session.next_wake().filter(|w| *w <= end) {
            let wake = wake.max(self.now.mono);
            self.now.wall += wake - self.now.mono;
            self.now.mono = wake;
            self.step(Input::Tick);
            assert!(
                self.session.next_wake().is_none_or(|next| next > self.now.mono),
                "a due wake-up is done with after one step"
            );
        }
        self.now.wall += end - self.now.mono;
        self.now.mono = end;
    }

    fn step(&mut self, input: Input) {
        let settling = match &input {
            Input::HandlerFinished { frame, .. } => Some(*frame),
            _ => None,
        };
        self.session.step(self.now, input, &mut self.out);
        for output in std::mem::take(&mut self.out) {
            self.carry_out(output, settling);
        }
        self.check();
    }

    fn carry_out(&mut self, output: Output, settling: Option<FrameRef>) {
        match output {
            Output::OpenConnection { generation } => {
                assert!(self.stopped_at.is_none(), "no attempt after stop");
                let pause = self.refused_at.map(|t| self.now.mono - t);
                assert!(
                    pause.is_none_or(|p| p >= self.config.refused_pause),
                    "{pause:?} after a refusal"
                );
                self.opens.push_back(self.now.mono);
                while self
                    .opens
                    .front()
                    .is_some_and(|t| *t + self.config.open_window < self.now.mono)
                {
                    self.opens.pop_front();
                }
                assert!(self.opens.len() <= 10, "{} opens in 10 s", self.opens.len());
                assert!(self.opening.insert(generation), "generations are never used twice");
                for socket in self.sockets.values_mut() {
                    socket.outlived = true;
                }
            }
            Output::ConnectSocket { generation, .. } => {
                assert!(self.connecting.contains(&generation));
            }
            Output::SendText { generation, .. } => {
                let socket = self.sockets.get(&generation);
                let socket = socket.expect("nothing is sent on a connection that is gone");
                assert!(!socket.closing, "nothing is sent behind a Close frame");
                if let Some(frame) = settling {
                    assert_eq!(generation, frame.generation, "acks go out where the frame came in");
                    assert!(
                        self.acked.insert((frame.generation, frame.sequence)),
                        "a frame is acked once"
                    );
                    assert!(
                        self.sockets.get_mut(&generation).unwrap().owed.remove(&frame.sequence)
                    );
                }
            }
            Output::SendPing { generation } => assert!(self.sockets.contains_key(&generation)),
            Output::CloseSocket { generation } => {
                let socket =
                    self.sockets.get_mut(&generation).expect("only a live socket is closed");
                assert!(!socket.closing, "a socket is closed once");
                socket.closing = true;
            }
            Output::DropSocket { generation } => {
                assert!(
                    self.sockets.remove(&generation).is_some(),
                    "only a live socket is dropped"
                );
            }
            Output::Dispatch { frame, .. } => {
                let socket = self.sockets.get_mut(&frame.generation);
                assert!(socket.expect("frames come from live sockets").owed.insert(frame.sequence));
                self.dispatched.push(frame);
            }
            Output::Publish(StreamState::Waiting { attempt, delay, outage }) => {
                self.check_delay(attempt, delay, &outage);
                let refused = matches!(outage, Outage::NoConnection(OpenFailure::Refused { .. }));
                self.refused_at = refused.then_some(self.now.mono);
            }
            Output::Publish(StreamState::Connected { .. }) => {
                self.replaced_at = Some(self.now.mono);
            }
            // An abandoned attempt is aborted by the driver, but its news may be on the way.
            Output::Abandon { .. } | Output::Publish(_) | Output::Note(_) => {}
        }
    }

    fn check_delay(&self, attempt: u32, delay: Duration, outage: &Outage) {
        let full = Duration::from_secs(60)
            .min(Duration::from_secs(1) * 2_u32.saturating_pow(attempt.max(1) - 1));
        let refused = matches!(outage, Outage::NoConnection(OpenFailure::Refused { .. }));
        let gate = self.config.open_window + super::opens::MARGIN;
        let (least, most) = match (attempt, refused) {
            (0, _) => (Duration::ZERO, Duration::ZERO),
            (_, true) => (Duration::from_secs(30), Duration::from_secs(60)),
            (_, false) => (full / 2, full),
        };
        assert!(delay >= least, "attempt {attempt} waits {delay:?}, less than {least:?}");
        // Only the limit on opens may add to it.
        let gated = self.opens.len() == 10;
        assert!(
            delay <= most || (gated && delay <= gate),
            "attempt {attempt} waits {delay:?}, more than {most:?}"
        );
    }

    fn check(&self) {
        // Two sockets only in a handover: every live one but the newest is closing, announced by the
        // gateway, waiting for its successor, or owes its last acks for a moment.
        let newest = self.sockets.keys().next_back();
        let replaced = |socket: &Socket| {
            let in_grace =
                self.replaced_at.is_some_and(|t| self.now.mono <= t + self.config.finish_grace);
            let successor_stands = matches!(self.session.state, State::Connected { .. });
            !successor_stands || (in_grace && !socket.owed.is_empty())
        };
        for (generation, socket) in &self.sockets {
            let announced =
                socket.announced.is_some_and(|t| self.now.mono <= t + self.config.disconnect_grace);
            assert!(
                Some(generation) == newest
                    || socket.closing
                    || announced
                    || (socket.outlived && replaced(socket)),
                "socket {generation} is live outside a handover: {socket:?}"
            );
        }
        assert!(self.sockets.len() <= 1 + self.config.max_draining + self.connecting.len());
        if self.stopped_at.is_none() {
            assert!(self.session.next_wake().is_some(), "retries never stop before Stop");
            assert!(!self.session.is_finished());
        }
    }

    /// Stop, then time: the end must come by itself, within the graces.
    fn end(mut self) {
        self.act(&Act::Stop);
        self.pass(self.config.finish_grace + self.config.close_grace);
        assert!(self.session.is_finished(), "{:?}", self.session);
        assert!(self.sockets.is_empty(), "{:?}", self.sockets);
        assert_eq!(self.session.next_wake(), None);
        self.act(&Act::Pass { ms: 100_000 });
        for generation in std::mem::take(&mut self.connecting) {
            self.sockets.insert(generation, Socket::default());
            self.step(Input::SocketUp { generation });
        }
        assert!(self.sockets.is_empty(), "a socket that stands after Stop is dropped");
        assert!(self.session.is_finished());
    }
}

fn endpoint() -> Endpoint {
    Endpoint::parse(r#"{"endpoint":"ws://127.0.0.1:1/connect","ticket":"t"}"#).unwrap()
}

fn nth<'a, T: Copy + 'a>(
    mut items: impl ExactSizeIterator<Item = &'a T>,
    pick: usize,
) -> Option<T> {
    let len = items.len();
    (len > 0).then(|| *items.nth(pick % len).expect("the index is within the length"))
}

fn take(set: &mut BTreeSet<Generation>, pick: usize) -> Option<Generation> {
    let generation = nth(set.iter(), pick)?;
    set.remove(&generation);
    Some(generation)
}

proptest! {
    #![proptest_config(Config::with_cases(3_000))]

    #[test]
    fn no_sequence_of_inputs_breaks_the_laws_of_the_session(
        seed in any::<u64>(),
        acts in proptest::collection::vec(act(), 1..150),
    ) {
        let mut ledger = Ledger::new(seed);
        ledger.pass(Duration::ZERO);
        for act in acts {
            ledger.act(&act);
        }
        ledger.end();
    }
}
