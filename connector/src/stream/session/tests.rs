//! The state machine by example: (state, input) and what must follow.

use super::*;
use crate::protocol::Endpoint;

/// A session with a clock of its own.
struct Bench {
    session: Session,
    start: Moment,
    now: Moment,
    out: Vec<Output>,
}

impl Bench {
    fn new() -> Self {
        let start = Moment { mono: Instant::now(), wall: std::time::SystemTime::now() };
        let session = Session::new(SessionConfig::default(), 7, start);
        Self { session, start, now: start, out: Vec::new() }
    }

    fn connected() -> Self {
        let mut bench = Self::new();
        bench.tick(0);
        bench.up(1);
        bench.out.clear();
        bench
    }

    /// Answers the attempt `generation` with success, up to the standing socket.
    fn up(&mut self, generation: u64) {
        let generation = Generation(generation);
        self.step(Input::Opened { generation, endpoint: endpoint() });
        self.step(Input::SocketUp { generation });
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        self.session.step(self.now, input, &mut self.out);
        let new = self.out.iter().map(short).collect();
        self.out.clear();
        new
    }

    /// Lets `ms` pass on both clocks, waking the session whenever it asks to be woken.
    fn tick(&mut self, ms: u64) -> Vec<String> {
        let end = self.now.mono + Duration::from_millis(ms);
        let mut seen = Vec::new();
        while let Some(wake) = self.session.next_wake().filter(|w| *w <= end) {
            self.go_to(wake.max(self.now.mono));
            seen.extend(self.step(Input::Tick));
        }
        self.go_to(end);
        seen.extend(self.step(Input::Tick));
        seen
    }

    fn go_to(&mut self, mono: Instant) {
        self.now.wall += mono - self.now.mono;
        self.now.mono = mono;
    }

    fn text(&mut self, generation: u64, text: &str) -> Vec<String> {
        self.step(Input::Text { generation: Generation(generation), text: text.to_owned() })
    }

    fn closed(&mut self, generation: u64) -> Vec<String> {
        self.step(Input::SocketClosed {
            generation: Generation(generation),
            reason: CloseReason::Ended,
        })
    }
}

fn endpoint() -> Endpoint {
    Endpoint::parse(r#"{"endpoint":"ws://127.0.0.1:1/connect","ticket":"t"}"#).unwrap()
}

/// One word or two for each output, so that a test reads as a story.
fn short(output: &Output) -> String {
    match output {
        Output::OpenConnection { generation } => format!("open {generation}"),
        Output::ConnectSocket { generation, .. } => format!("connect {generation}"),
        Output::Abandon { generation } => format!("abandon {generation}"),
        Output::SendText { generation, text } => format!("send {generation} {text}"),
        Output::SendPing { generation } => format!("ping {generation}"),
        Output::CloseSocket { generation } => format!("close {generation}"),
        Output::DropSocket { generation } => format!("drop {generation}"),
        Output::Dispatch { frame, .. } => {
            format!("dispatch {}/{}", frame.generation, frame.sequence)
        }
        Output::Publish(StreamState::Waiting { attempt, outage, .. }) => {
            format!("waiting {attempt}: {outage}")
        }
        Output::Publish(StreamState::Opening { attempt }) => format!("opening {attempt}"),
        Output::Publish(StreamState::Connecting { attempt }) => format!("connecting {attempt}"),
        Output::Publish(StreamState::Connected { generation }) => format!("connected {generation}"),
        Output::Publish(StreamState::Stopped) => "stopped".to_owned(),
        Output::Note(note) => format!("note {note:?}"),
    }
}

const BOT: &str = r#"{"type":"CALLBACK","headers":{"topic":"/v1.0/im/bot/messages/get","messageId":"m1"},"data":"{}"}"#;
const DISCONNECT: &str =
    r#"{"type":"SYSTEM","headers":{"topic":"disconnect"},"data":"{\"reason\":\"expired\"}"}"#;
const PING: &str =
    r#"{"type":"SYSTEM","headers":{"topic":"ping","messageId":"p1"},"data":"{\"opaque\": \"x\"}"}"#;

#[test]
fn the_first_attempt_goes_out_at_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.tick(0), ["open 1", "opening 0"]);
    let generation = Generation(1);
    assert_eq!(
        bench.step(Input::Opened { generation, endpoint: endpoint() }),
        ["connect 1", "connecting 0"]
    );
    assert_eq!(bench.step(Input::SocketUp { generation }), ["connected 1"]);
}

#[test]
fn a_ping_frame_is_answered_with_its_own_data() {
    let mut bench = Bench::connected();
    assert_eq!(
        bench.text(1, PING),
        [
            r#"send 1 {"code":200,"headers":{"contentType":"application/json","messageId":"p1"},"message":"OK","data":"{\"opaque\": \"x\"}"}"#
        ]
    );
}

#[test]
fn an_ack_goes_out_once_and_on_the_connection_that_brought_the_frame() {
    let mut bench = Bench::connected();
    assert_eq!(bench.text(1, BOT), ["dispatch 1/1"]);
    let frame = FrameRef { generation: Generation(1), sequence: 1 };
    bench.text(1, DISCONNECT);
    bench.tick(0);
    bench.up(2);
    let ack = Ack::callback(&serde_json::Value::Null);
    let sent = bench.step(Input::HandlerFinished { frame, ack: ack.clone() });
    assert!(sent[0].starts_with("send 1 "), "{sent:?}");
    assert_eq!(bench.step(Input::HandlerFinished { frame, ack }), ["note AckWithoutConnection"]);
}

#[test]
fn disconnect_makes_the_next_connection_before_the_old_one_breaks() {
    let mut bench = Bench::connected();
    bench.text(1, BOT);
    let seen = bench.text(1, DISCONNECT);
    assert_eq!(
        seen,
        [
            r#"waiting 0: the gateway announced disconnect "{\"reason\":\"expired\"}""#,
            "open 2",
            "opening 0"
        ]
    );
    bench.up(2);
    // The old one is still read, until the gateway closes it.
    assert_eq!(bench.text(1, BOT), ["dispatch 1/2"]);
    assert_eq!(bench.closed(1), Vec::<String>::new());
    assert_eq!(bench.text(2, BOT), ["dispatch 2/1"]);
}

#[test]
fn a_gateway_that_never_closes_the_old_connection_gets_ten_seconds() {
    let mut bench = Bench::connected();
    bench.text(1, PING);
    bench.text(1, DISCONNECT);
    bench.up(2);
    for _ in 0..6 {
        bench.text(2, PING);
        bench.tick(1_500);
    }
    bench.text(2, PING);
    let seen = bench.tick(1_500);
    assert!(seen.contains(&"close 1".to_owned()), "{seen:?}");
    bench.text(2, PING);
    let seen = bench.tick(2_500);
    assert!(seen.contains(&"drop 1".to_owned()), "{seen:?}");
}

#[test]
fn pings_go_out_every_four_seconds_and_silence_is_suspect_after_nine() {
    let mut bench = Bench::connected();
    bench.text(1, PING);
    assert_eq!(bench.tick(3_999), Vec::<String>::new());
    assert_eq!(bench.tick(1), ["ping 1"]);
    assert_eq!(bench.tick(4_000), ["ping 1"]);
    assert_eq!(
        bench.tick(1_000),
        ["waiting 0: nothing read for 9 s", "open 2", "opening 0"],
        "a replacement opens at once, and nothing is closed yet"
    );
    let generation = Generation(2);
    bench.step(Input::Opened { generation, endpoint: endpoint() });
    assert_eq!(bench.step(Input::SocketUp { generation }), ["connected 2", "close 1"]);
}

#[test]
fn pongs_keep_a_connection_but_a_frameless_one_is_renewed() {
    let mut bench = Bench::connected();
    let mut outage = None;
    for second in 0..40 * 60 {
        let seen = bench.tick(1_000);
        if let Some(waiting) = seen.iter().find(|s| s.starts_with("waiting")) {
            outage = Some((second, waiting.clone()));
            break;
        }
        bench.step(Input::Heard { generation: Generation(1) });
    }
    let (second, waiting) = outage.expect("renewed within 36 minutes");
    assert_eq!(waiting, "waiting 0: no frame for long: renewed as a precaution");
    assert!((24 * 60 - 1..=36 * 60).contains(&second), "renewed after {second} s");
}

#[test]
fn the_first_retry_after_a_stable_connection_is_immediate_and_the_next_ones_are_not() {
    let mut bench = Bench::connected();
    bench.text(1, PING);
    assert_eq!(bench.closed(1), ["waiting 0: ended without a Close frame", "open 2", "opening 0"]);
    for attempt in 1..12_u32 {
        let generation = Generation(u64::from(attempt) + 1);
        let failure = OpenFailure::Transient { reason: "503".into(), retry_after: None };
        bench.session.step(bench.now, Input::OpenFailed { generation, failure }, &mut bench.out);
        let Some(Output::Publish(StreamState::Waiting { delay, .. })) = bench.out.first() else {
            panic!("{:?}", bench.out)
        };
        let full = Duration::from_secs(60.min(1 << (attempt - 1)));
        assert!(*delay >= full / 2 && *delay <= full, "attempt {attempt}: {delay:?}");
        bench.out.clear();
        let until = bench.session.next_wake().expect("it waits for the next attempt");
        bench.go_to(until);
        bench.step(Input::Tick);
    }
}

#[test]
fn an_unstable_connection_is_not_retried_at_once() {
    let mut bench = Bench::connected();
    let seen = bench.closed(1);
    assert_eq!(seen, ["waiting 1: ended without a Close frame"]);
}

#[test]
fn refused_credentials_pause_half_a_minute_and_never_stop() {
    let mut bench = Bench::new();
    bench.tick(0);
    for attempt in 1..5_u64 {
        let failure = OpenFailure::Refused { reason: "authFailed".into() };
        let generation = Generation(attempt);
        assert_eq!(
            bench.step(Input::OpenFailed { generation, failure }),
            [format!("waiting {attempt}: authFailed")]
        );
        assert_eq!(bench.tick(29_999), Vec::<String>::new());
        assert_eq!(
            bench.tick(8_000),
            [format!("open {}", attempt + 1), format!("opening {attempt}")]
        );
    }
}

#[test]
fn a_server_may_ask_for_patience_up_to_the_cap() {
    for (asked, at_least, at_most) in [(20, 20, 20), (3_600, 60, 60)] {
        let mut bench = Bench::new();
        bench.tick(0);
        let retry_after = Some(Duration::from_secs(asked));
        let failure = OpenFailure::Transient { reason: "503".into(), retry_after };
        bench.step(Input::OpenFailed { generation: Generation(1), failure });
        let wake = bench.session.next_wake().unwrap() - bench.now.mono;
        assert!(wake >= Duration::from_secs(at_least) && wake <= Duration::from_secs(at_most));
    }
}

#[test]
fn news_of_a_former_attempt_changes_nothing() {
    let mut bench = Bench::new();
    bench.tick(0);
    // Attempt 1 is given up at its deadline; its answer arrives afterwards.
    let seen = bench.tick(15_000);
    assert_eq!(seen[0], "abandon 1");
    let generation = Generation(1);
    assert_eq!(
        bench.step(Input::Opened { generation, endpoint: endpoint() }),
        Vec::<String>::new()
    );
    assert_eq!(bench.step(Input::SocketUp { generation }), ["drop 1"]);
    assert_eq!(bench.text(1, BOT), Vec::<String>::new());
}

#[test]
fn a_computer_that_slept_gets_a_new_connection_at_once() {
    let mut bench = Bench::connected();
    bench.text(1, PING);
    bench.now.wall += Duration::from_secs(3_600);
    assert_eq!(
        bench.step(Input::Tick),
        [
            "note ClockJumped(3600s)",
            "waiting 0: the wall clock jumped by 3600 s: the computer slept?",
            "open 2",
            "opening 0"
        ]
    );
}

#[test]
fn a_clock_jump_does_not_shorten_the_pause_after_refused_credentials() {
    let mut bench = Bench::new();
    bench.tick(0);
    let failure = OpenFailure::Refused { reason: "authFailed".into() };
    bench.step(Input::OpenFailed { generation: Generation(1), failure });
    bench.now.wall += Duration::from_secs(3_600);
    assert_eq!(bench.step(Input::Tick), ["note ClockJumped(3600s)"]);
    let wake = bench.session.next_wake().unwrap() - bench.now.mono;
    assert!(wake >= Duration::from_secs(30), "{wake:?}");
}

#[test]
fn the_gateways_pings_do_not_put_off_the_renewal() {
    let mut bench = Bench::connected();
    let renewed = (0..37 * 60).any(|_| {
        bench.text(1, PING);
        bench.tick(1_000).iter().any(|s| s.contains("renewed as a precaution"))
    });
    assert!(renewed);
}

#[test]
fn what_the_gateway_says_is_cut_short_in_the_log() {
    let mut bench = Bench::connected();
    let kind = "x".repeat(5_000_000);
    let seen = bench.text(1, &format!(r#"{{"type":"{kind}"}}"#));
    assert!(seen[0].len() < 200, "{}", seen[0].len());
}

#[test]
fn a_clock_set_back_changes_nothing() {
    let mut bench = Bench::connected();
    bench.now.wall -= Duration::from_secs(3_600);
    assert_eq!(bench.step(Input::Tick), Vec::<String>::new());
}

#[test]
fn stop_lets_the_last_acks_out_and_then_closes() {
    let mut bench = Bench::connected();
    bench.text(1, BOT);
    assert_eq!(bench.step(Input::Stop), ["stopped"]);
    assert!(!bench.session.is_finished());
    let frame = FrameRef { generation: Generation(1), sequence: 1 };
    let seen = bench.step(Input::HandlerFinished { frame, ack: Ack::ping("") });
    assert!(seen[0].starts_with("send 1"), "{seen:?}");
    assert_eq!(seen[1], "close 1");
    // What arrives while the peer closes is still taken in, though it can't be acked any more.
    assert_eq!(bench.text(1, BOT), ["dispatch 1/2"]);
    assert_eq!(bench.closed(1), Vec::<String>::new());
    assert!(bench.session.is_finished());
    assert_eq!(bench.session.next_wake(), None);
}

#[test]
fn stop_ends_in_bounded_time_even_when_nobody_answers() {
    let mut bench = Bench::connected();
    bench.text(1, BOT);
    bench.step(Input::Stop);
    let seen = bench.tick(7_000);
    assert_eq!(seen, ["close 1", "drop 1"]);
    assert!(bench.session.is_finished());
    assert!(bench.now.mono - bench.start.mono <= Duration::from_secs(7));
}

#[test]
fn a_paused_reader_is_not_taken_for_silence() {
    let mut bench = Bench::connected();
    for _ in 0..10 {
        bench.step(Input::ReadingPaused);
        assert!(bench.tick(5_000).iter().all(|s| s.starts_with("ping")));
    }
}

#[test]
fn what_is_no_frame_is_noted_and_harmless() {
    let mut bench = Bench::connected();
    assert_eq!(bench.text(1, "{"), ["note Malformed(Frame(NotJson))"]);
    assert_eq!(bench.text(1, r#"{"type":"NEWS"}"#), [r#"note Malformed(UnknownType("NEWS"))"#]);
    assert_eq!(
        bench.text(1, r#"{"type":"SYSTEM","headers":{"topic":"REGISTERED"}}"#),
        [r#"note Malformed(UnknownSystemTopic("REGISTERED"))"#]
    );
    assert_eq!(
        bench.step(Input::Binary { generation: Generation(1) }),
        ["note Malformed(Frame(Binary))"]
    );
    assert_eq!(bench.text(1, BOT), ["dispatch 1/1"]);
}
