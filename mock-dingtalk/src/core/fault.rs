//! Faults: when, how often, and what happens instead.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{fixture::BOT_TOPIC, lifetime};

/// A rule that breaks something on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which calls it applies to.
    pub when: When,
    /// How many of them.
    pub times: Times,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// `action` for the next call that `when` names, once.
    pub fn once(when: When, action: Action) -> Self {
        Self { when, times: Times::First(1), action }
    }

    /// `action` for every call that `when` names, until the fault is cleared.
    pub fn always(when: When, action: Action) -> Self {
        Self { when, times: Times::Always, action }
    }

    /// `action` for the next `times` calls that `when` names.
    pub fn first(times: u32, when: When, action: Action) -> Self {
        Self { when, times: Times::First(times), action }
    }
}

/// The calls that a fault applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// `POST /v1.0/gateway/connections/open`.
    Open,
    /// The WebSocket upgrade.
    Upgrade,
    /// Any HTTP call to this path, as it was written. A `*` stands for any run of characters, so
    /// that `/v1.0/card/*` is every call below it. The control API is never meant.
    Path(String),
    /// HTTP calls with this method only, to such a path.
    Call {
        /// `GET`, `POST` and so on.
        method: String,
        /// As in [`When::Path`].
        path: String,
    },
    /// Frames that go out.
    Frame(FrameSelector),
    /// A connection that has just opened.
    Connected,
    /// What a bot answers to a frame. Only with [`Action::RequireShape`].
    Ack,
    /// A TCP connection has been accepted. Nobody knows yet whose it is, so this is a fault of the
    /// whole mock: see `MockDingtalk::tcp_fault`.
    Accept,
    /// A TLS handshake has begun. A fault of the whole mock too.
    TlsHandshake,
}

/// Which frames a fault applies to; what is not given matches every frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameSelector {
    /// `CALLBACK`, `EVENT` or `SYSTEM`. SYSTEM `disconnect` is never matched.
    pub kind: Option<String>,
    /// The topic; `*` for events.
    pub topic: Option<String>,
    /// The connection's id.
    pub connection: Option<String>,
}

impl FrameSelector {
    /// Robot messages.
    pub fn messages() -> Self {
        Self {
            kind: Some("CALLBACK".to_owned()),
            topic: Some(BOT_TOPIC.to_owned()),
            connection: None,
        }
    }

    fn matches(&self, kind: &str, topic: &str, connection: &str) -> bool {
        let fits = |wanted: &Option<String>, it: &str| wanted.as_deref().is_none_or(|w| w == it);
        fits(&self.kind, kind) && fits(&self.topic, topic) && fits(&self.connection, connection)
    }
}

/// How often a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// On the next so many matching calls.
    First(u32),
    /// On every matching call.
    Always,
    /// On the one with this number only, from 1.
    Nth(u32),
    /// On each one whose number is a multiple of this.
    Every(u32),
    /// On every one for so long (on the app's clock).
    For(Duration),
    /// On this share of them, drawn from this seed: the same ones each time.
    Chance {
        /// From 0 to 100.
        percent: u8,
        /// Of the draw.
        seed: u64,
    },
    /// On every one until this has happened in the app, after the rule was made.
    Until(Happening),
}

/// What ends a fault of [`Times::Until`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// `connections/open` has handed out a ticket.
    Opened,
    /// A connection has opened. A rule for [`When::Connected`] still acts on that one.
    Connected,
    /// A push was acknowledged for the first time.
    Acked,
    /// The robot said something to people.
    Sent,
}

/// What happens instead of the right thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// This status, with such a body.
    Status(u16, ErrorBody),
    /// 200 with `{}`.
    EmptyObject,
    /// No answer at all, while the connection stays.
    Hang,
    /// The right answer, but later (on the app's clock).
    Delay(Duration),
    /// The TCP connection ends instead of an answer.
    Drop(Cut),
    /// An error in DingTalk's shape with this code and message: `{code, requestid, message}` on
    /// api.dingtalk.com, `{errcode, errmsg}` with HTTP 200 on oapi.dingtalk.com if the code is a
    /// number.
    Code {
        /// The HTTP status.
        status: u16,
        /// `code` or `errcode`.
        code: String,
        /// `message` or `errmsg`.
        message: String,
        /// `accessdenieddetail.requiredScopes` on api.dingtalk.com: what the app would have to be
        /// allowed (openapi.md 0.1). Left out if it is empty; at most 100 of 1 to 128 bytes.
        required_scopes: Vec<String>,
    },
    /// The right answer's first half. Ends as a whole body does, so that only its JSON is broken.
    Truncate,
    /// The head comes at once, the body in equal pieces over this time (on the app's clock).
    SlowBody(Duration),
    /// The head comes, and the body never does, while the connection stays.
    HangAfterHead,
    /// Half the body comes, and then TCP ends though `Content-Length` has announced all of it.
    CutBody,
    /// What goes out trickles: so many bytes in each interval (on the app's clock). An answer
    /// that trickles is the last one on its TCP connection; a WebSocket trickles to its end.
    Dribble {
        /// Bytes at a time, 1 to 1 MiB; below TLS, where there is TLS.
        bytes: usize,
        /// Between two of them, 1 ms to a day.
        every: Duration,
    },
    /// The frame is not sent. The push counts as sent.
    Lose,
    /// The frame is sent so many more times, with the same ids.
    Duplicate(u32),
    /// The frame is sent later (on the app's clock).
    Late(Duration),
    /// The frame is sent after the next one on its connection.
    Reorder,
    /// This text is sent instead of the frame: not JSON, wrong types, unknown types and topics.
    Raw(String),
    /// The frame is padded with blanks to so many bytes, at most 16 MiB.
    Oversize(usize),
    /// The frame is sent with this `messageId`.
    MessageId(String),
    /// A robot message comes again after this time if it was not acknowledged.
    Redeliver(Duration),
    /// The connection ends instead of the frame.
    CutAtFrame(Cut),
    /// The frame goes out in so many WebSocket fragments, 2 to 1000, with a ping after the first.
    /// RFC 6455 (5.4) allows that; a client has to put them together.
    Fragment(u32),
    /// The frame goes out in a way that RFC 6455 forbids; a client has to fail the connection.
    BadFrame(BadFrame),
    /// SYSTEM `disconnect` comes at once; without the later end of TCP if `closes` is false.
    Disconnect {
        /// Whether TCP is reset after 10 s.
        closes: bool,
    },
    /// The connection ends, or stops working, at once.
    CutAtOnce(Cut),
    /// Pings are answered and no frame comes any more, though pushes are routed here.
    Mute,
    /// WebSocket pings are not answered any more; all else works.
    NoPong,
    /// Nothing is routed here any more, without notice.
    Unroute,
    /// The first push is lost.
    LoseFirst,
    /// Answers to frames count only in the exact shape of the protocol page.
    RequireShape,
    /// The upgrade succeeds, and the connection ends at once. Only with [`When::Upgrade`].
    AcceptThenCut(Cut),
    /// A fatal TLS alert, `handshake_failure`. Only with [`When::TlsHandshake`].
    Alert,
}

/// How a frame breaks the rules of RFC 6455.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// A reserved bit is set, though no extension was agreed on (5.2).
    ReservedBits,
    /// The opcode is a reserved one, 3 (5.2).
    Opcode,
    /// It is masked, as only a client's may be (5.1).
    Masked,
    /// It continues a message that was never begun (5.4).
    Continuation,
    /// It begins in the midst of another message (5.4).
    Interleaved,
    /// A ping comes before it that is fragmented (5.5).
    FragmentedPing,
    /// A ping of 126 bytes comes before it (5.5).
    LongPing,
    /// Its text is not UTF-8 (8.1).
    Utf8,
}

impl Action {
    /// An error in DingTalk's shape that names no permissions; see [`Action::Code`].
    pub fn code(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self::Code { status, code, message, required_scopes: Vec::new() }
    }
}

/// The body of a made-up error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorBody {
    /// DingTalk's own error object.
    Json,
    /// A page, as proxies and load balancers send it.
    Html,
    /// Nothing.
    Empty,
    /// What an IP address gets that called too often: JSON in neither host's shape (KB 0012).
    Blocked,
}

/// How a connection ends, or stops working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The TCP connection is reset, without a Close frame.
    Rst,
    /// The TCP connection ends in order, without a Close frame.
    Fin,
    /// A WebSocket Close frame, then the end.
    Close {
        /// The close code, 1000 to 4999.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
    /// The connection stays and nothing passes any more, in either direction. The mock keeps
    /// pushing to it until the bot gives it up.
    BlackHole,
    /// The same in one direction; the other one works.
    OneWay(Direction),
}

impl Cut {
    /// Whether the connection is over by it.
    pub(crate) fn ends(&self) -> bool {
        !matches!(self, Self::BlackHole | Self::OneWay(_))
    }
}

/// What a one-way black hole swallows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the mock sends.
    ToBot,
    /// What the bot sends: the mock does not see it.
    FromBot,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rst => f.write_str("rst"),
            Self::Fin => f.write_str("fin"),
            Self::BlackHole => f.write_str("blackhole"),
            Self::OneWay(Direction::ToBot) => f.write_str("blackhole toBot"),
            Self::OneWay(Direction::FromBot) => f.write_str("blackhole fromBot"),
            Self::Close { code, reason } => write!(f, "close {code} {reason}"),
        }
    }
}

/// One row of `faults`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultRow {
    /// Names the rule.
    pub id: u64,
    /// The rule.
    pub fault: Fault,
    /// How often it acted.
    pub hits: u64,
    /// How often it will act again; `None` is without end, or not known.
    pub left: Option<u32>,
    /// How many matching calls there were while it was in force.
    pub seen: u64,
    /// When it is over, on the clock's steady hand.
    pub(crate) until: Option<Duration>,
}

/// Where a fault can act.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point<'a> {
    Upgrade,
    Call { method: &'a str, path: &'a str },
    Frame { kind: &'a str, topic: &'a str, connection: &'a str },
    Connected,
    Ack,
    Accept,
    TlsHandshake,
}

/// The path of `connections/open`.
pub(crate) const OPEN_PATH: &str = "/v1.0/gateway/connections/open";

/// The rules of one app, in the order they were made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRow>,
    last: u64,
}

impl Faults {
    /// `None` when there are too many.
    pub(crate) fn add(&mut self, fault: Fault, now: Duration) -> Option<FaultRow> {
        if self.rules.len() >= lifetime::FAULTS_PER_APP {
            return None;
        }
        self.last += 1;
        let left = match fault.times {
            Times::First(times) => Some(times),
            Times::Nth(_) => Some(1),
            Times::Always
            | Times::Every(_)
            | Times::For(_)
            | Times::Chance { .. }
            | Times::Until(_) => None,
        };
        let until = match fault.times {
            Times::For(time) => Some(now.saturating_add(time)),
            _ => None,
        };
        let row = FaultRow { id: self.last, fault, hits: 0, left, seen: 0, until };
        self.rules.push(row.clone());
        Some(row)
    }

    pub(crate) fn rows(&self) -> &[FaultRow] {
        &self.rules
    }

    pub(crate) fn clear(&mut self, id: Option<u64>) -> usize {
        let before = self.rules.len();
        self.rules.retain(|rule| id.is_some_and(|id| rule.id != id));
        before - self.rules.len()
    }

    /// Ends the rules that were in force until this.
    pub(crate) fn happened(&mut self, happening: Happening) {
        for rule in &mut self.rules {
            if rule.fault.times == Times::Until(happening) {
                rule.left = Some(0);
            }
        }
    }

    /// The action of the first rule that applies here and has something left. Each rule that
    /// matches counts, also when it is not its turn.
    pub(crate) fn take(&mut self, point: Point<'_>, now: Duration) -> Option<Action> {
        for rule in &mut self.rules {
            let over = rule.left == Some(0) || rule.until.is_some_and(|until| now >= until);
            if over || !rule.fault.when.is_at(point) {
                continue;
            }
            rule.seen += 1;
            let acts = match rule.fault.times {
                Times::First(_) | Times::Always | Times::For(_) | Times::Until(_) => true,
                Times::Nth(nth) => rule.seen == u64::from(nth),
                Times::Every(step) => rule.seen % u64::from(step.max(1)) == 0,
                Times::Chance { percent, seed } => draw(seed, rule.seen) < u64::from(percent),
            };
            if acts {
                rule.hits += 1;
                if let Some(left) = &mut rule.left {
                    *left -= 1;
                }
                return Some(rule.fault.action.clone());
            }
        }
        None
    }
}

impl When {
    fn is_at(&self, point: Point<'_>) -> bool {
        match (self, point) {
            (Self::Upgrade, Point::Upgrade)
            | (Self::Connected, Point::Connected)
            | (Self::Ack, Point::Ack)
            | (Self::Accept, Point::Accept)
            | (Self::TlsHandshake, Point::TlsHandshake) => true,
            (Self::Open, Point::Call { path, .. }) => path == OPEN_PATH,
            (Self::Path(wanted), Point::Call { path, .. }) => fits(wanted, path),
            (Self::Call { method: wanted, path: pattern }, Point::Call { method, path }) => {
                wanted == method && fits(pattern, path)
            }
            (Self::Frame(wanted), Point::Frame { kind, topic, connection }) => {
                wanted.matches(kind, topic, connection)
            }
            _ => false,
        }
    }
}

/// Whether a path is one that the pattern means, in which `*` is any run of characters.
fn fits(pattern: &str, path: &str) -> bool {
    let Some((start, pattern)) = pattern.split_once('*') else { return pattern == path };
    let Some(mut rest) = path.strip_prefix(start) else { return false };
    let (middle, end) = pattern.rsplit_once('*').unwrap_or(("", pattern));
    for piece in middle.split('*') {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(end)
}

/// A number from 0 to 99 that depends on nothing but its arguments (the finalizer of `SplitMix64`).
fn draw(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % 100
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Action, Fault, Faults, Happening, Point, Times, When, fits};

    const T0: Duration = Duration::ZERO;

    #[test]
    fn a_rule_acts_as_often_as_it_says_and_where_it_says() {
        let mut faults = Faults::default();
        faults.add(Fault::first(2, When::Open, Action::Hang), T0).unwrap();
        faults
            .add(Fault::always(When::Path("/gettoken".to_owned()), Action::EmptyObject), T0)
            .unwrap();
        let call = |path| Point::Call { method: "POST", path };
        let open = call(super::OPEN_PATH);
        assert_eq!(faults.take(Point::Upgrade, T0), None);
        assert_eq!(faults.take(open, T0), Some(Action::Hang));
        assert_eq!(faults.take(open, T0), Some(Action::Hang));
        assert_eq!(faults.take(open, T0), None);
        for _ in 0..5 {
            assert_eq!(faults.take(call("/gettoken"), T0), Some(Action::EmptyObject));
        }
        assert_eq!(faults.rows()[1].hits, 5);
        assert_eq!(faults.clear(Some(2)), 1);
        assert_eq!(faults.take(call("/gettoken"), T0), None);
        assert_eq!(faults.clear(None), 1);
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        let cases = [
            ("/v1.0/card/*", "/v1.0/card/streaming", true),
            ("/v1.0/card/*", "/v1.0/card/instances/deliver", true),
            ("/v1.0/card/*", "/v1.0/card", false),
            ("/*", "/anything", true),
            ("/*/*/send", "/v1.0/robot/send", true),
            ("/*/*/send", "/v1.0/send", false),
            ("/a*b*c", "/a-b-b-c", true),
            ("/a*b*c", "/a-c-b", false),
            ("/a*a", "/a", false),
            ("/a", "/a", true),
            ("/a", "/ab", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_call_is_meant_by_method_and_path() {
        let mut faults = Faults::default();
        let when = When::Call { method: "PUT".to_owned(), path: "/v1.0/card/*".to_owned() };
        faults.add(Fault::always(when, Action::Hang), T0).unwrap();
        let path = "/v1.0/card/streaming";
        assert_eq!(faults.take(Point::Call { method: "POST", path }, T0), None);
        assert_eq!(faults.take(Point::Call { method: "PUT", path }, T0), Some(Action::Hang));
    }

    #[test]
    fn a_rule_is_in_force_until_what_it_waits_for() {
        let mut faults = Faults::default();
        let times = Times::Until(Happening::Acked);
        faults.add(Fault { when: When::Connected, times, action: Action::Mute }, T0).unwrap();
        for _ in 0..3 {
            assert_eq!(faults.take(Point::Connected, T0), Some(Action::Mute));
            faults.happened(Happening::Sent);
        }
        faults.happened(Happening::Acked);
        assert_eq!(faults.take(Point::Connected, T0), None);
        assert_eq!((faults.rows()[0].hits, faults.rows()[0].left), (3, Some(0)));
    }

    #[test]
    fn a_rule_acts_on_the_calls_that_its_times_name() {
        let acts = |times| {
            let mut faults = Faults::default();
            let fault = Fault { when: When::Connected, times, action: Action::Mute };
            faults.add(fault, T0).unwrap();
            let mut acts = Vec::new();
            for number in 1..=100_u64 {
                let now = Duration::from_secs(number);
                if faults.take(Point::Connected, now).is_some() {
                    acts.push(number);
                }
            }
            acts
        };
        assert_eq!(acts(Times::Nth(3)), [3]);
        assert_eq!(acts(Times::First(2)), [1, 2]);
        assert_eq!(acts(Times::Every(40)), [40, 80]);
        assert_eq!(acts(Times::For(Duration::from_secs(3))), [1, 2]);
        let chance = acts(Times::Chance { percent: 30, seed: 7 });
        assert!((15..45).contains(&chance.len()), "{chance:?}");
        assert_eq!(chance, acts(Times::Chance { percent: 30, seed: 7 }));
        assert_ne!(chance, acts(Times::Chance { percent: 30, seed: 8 }));
        assert!(acts(Times::Chance { percent: 0, seed: 1 }).is_empty());
        assert_eq!(acts(Times::Chance { percent: 100, seed: 1 }).len(), 100);
    }
}
