//! What happens instead of the right thing.

use std::time::Duration;

use serde::Serialize;

use super::cut::Cut;

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
    /// The right answer, with blanks behind it up to so many bytes, 1 to 1 GiB. They are made as they
    /// are sent. A file is longer by that; JSON is the same.
    LargeBody {
        /// Of the whole body.
        bytes: u64,
        /// Whether `Content-Length` says so beforehand.
        announced: bool,
    },
    /// 302 to this address, without a body. `None` is the same address by a host that is not
    /// `DingTalk`'s: the mock plays it under the other name of its own address (`localhost` or
    /// `127.0.0.1`), serves what was asked for, and finds `foreign-host-asked`.
    Redirect(Option<String>),
    /// The right answer with this `downloadUrl`; `None` is the right one by such a foreign host. Only at
    /// `/v1.0/robot/messageFiles/download`.
    DownloadUrl(Option<String>),
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
    /// The upgrade succeeds, and the connection ends at once. Only with
    /// [`When::Upgrade`](super::When::Upgrade).
    AcceptThenCut(Cut),
    /// A fatal TLS alert, `handshake_failure`. Only with
    /// [`When::TlsHandshake`](super::When::TlsHandshake).
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
