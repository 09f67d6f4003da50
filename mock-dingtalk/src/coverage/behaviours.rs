//! What the mock does besides answering calls.

use serde_json::{Value, json};

use super::Status::{self, Derived, Exact, NotModelled};
use crate::{
    control::FAULT_ACTIONS,
    core::{PRESETS, Preset},
};

/// One behaviour.
#[derive(Debug)]
pub(super) struct Behaviour {
    pub(super) area: &'static str,
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) source: String,
    pub(super) note: &'static str,
}

impl Behaviour {
    pub(super) fn json(&self) -> Value {
        json!({
            "area": self.area,
            "name": self.name,
            "status": self.status.name(),
            "source": self.source,
            "note": self.note,
        })
    }
}

type Row = (&'static str, Status, &'static str, &'static str);

const STREAM: &str = "stream-protocol.md";
const INBOUND: &str = "openapi.md 2.2";
const QUOTES: &str = "openapi.md 2.3";
const ANCHORS: &str = "harness-anchors.md 3";

const FRAMES: &[Row] = &[
    (
        "ticket: 90 s, one connection",
        Derived,
        STREAM,
        "a bad one gets 401; the status is not documented",
    ),
    ("CALLBACK of robot messages", Exact, STREAM, ""),
    ("CALLBACK of AI plugins (graph)", Derived, STREAM, "the body is what the test gives"),
    ("CALLBACK of cards' dynamic data", Derived, STREAM, "the body is what the test gives"),
    (
        "CALLBACK of card buttons",
        NotModelled,
        STREAM,
        "not yet: `callbacks` with the topic and `data` pushes any frame",
    ),
    ("EVENT of any type", Exact, STREAM, ""),
    ("EVENT robot_msg_read, robot_msg_recall", Exact, STREAM, ""),
    ("SYSTEM ping, every 30 s", Derived, STREAM, "the interval is what was observed"),
    ("SYSTEM disconnect, TCP reset after 10 s", Exact, STREAM, ""),
    ("SYSTEM REGISTERED", Derived, STREAM, "only from a fixture: not every gateway sends it"),
    ("acks: code, LATER, data", Exact, STREAM, ""),
];

const TYPES: &[Row] = &[
    ("text", Exact, INBOUND, ""),
    ("richText", Exact, INBOUND, ""),
    ("picture", Exact, INBOUND, ""),
    ("audio", Exact, INBOUND, ""),
    ("video", Exact, INBOUND, ""),
    ("file", Exact, INBOUND, ""),
    ("unknownMsgType", Exact, INBOUND, ""),
    ("markdown", Derived, INBOUND, "reported by clients, on no page"),
    ("actionCard", Derived, INBOUND, "reported by clients, on no page"),
    ("interactiveCard", Derived, INBOUND, "reported by clients, on no page"),
    ("chatRecord", Derived, INBOUND, "reported by clients, on no page"),
    ("reply", Derived, INBOUND, "read by one client in use, on no page"),
    ("numbers and objects as strings", Exact, INBOUND, ""),
    ("missing or empty senderStaffId", Exact, INBOUND, ""),
    ("quota exhausted: errorCode 20001", Exact, "openapi.md 0.4", ""),
    ("files that can be downloaded", Derived, "openapi.md 4.7", "10,000 files and 256 MiB an app"),
];

const QUOTE_FORMS: &[Row] = &[
    ("replied", Exact, QUOTES, ""),
    ("idOnly", Exact, QUOTES, ""),
    ("withoutType", Derived, QUOTES, "seen in reports, on no page"),
    ("quoteMessage", Derived, QUOTES, "seen in reports, on no page"),
    ("quoteContent", Derived, QUOTES, "seen in reports, on no page"),
    ("the robot's own card", Derived, QUOTES, "by its processQueryKey"),
    ("quotes within quotes", Derived, QUOTES, "three deep"),
];

const DELIVERY: &[Row] = &[
    ("documented", Exact, "stream-protocol.md 12", ""),
    ("observed-60s", Derived, "stream-protocol.md 12", "reports of users"),
    ("observed-16s", Derived, "stream-protocol.md 12", "a report of one user"),
    ("one open connection, at random", Exact, "stream-protocol.md 12", ""),
    (
        "offline: robot messages are lost, events wait",
        Derived,
        "stream-protocol.md 12",
        "how long events wait is not documented",
    ),
    (
        "events again after 3 s or LATER",
        Derived,
        "stream-protocol.md 12",
        "three pushes in all; neither number nor gaps are documented",
    ),
    ("GHOST connections", Derived, "stream-protocol.md 12", "how long is chosen by `ghostFor`"),
];

const LIMITS: &[Row] = &[
    ("20 calls of an API in a second", Exact, "openapi.md 0.4", ""),
    (
        "calls in a calendar month",
        Derived,
        "openapi.md 0.4",
        "only where the app's `limits` set one",
    ),
    (
        "permissions of an app",
        NotModelled,
        "openapi.md 0.3",
        "an app of the mock may do everything; a fault with the code says otherwise",
    ),
    (
        "XML answers to calls without Accept",
        NotModelled,
        "openapi.md 0",
        "not yet: no known client reads them",
    ),
];

const PLUGGING: &[Row] = &[
    ("base URL", Exact, "stream-protocol.md 11", ""),
    ("forward proxy: CONNECT and absolute targets", Exact, "RFC 9110", ""),
    ("TLS for DingTalk's names, authority made at start", Exact, "RFC 5280", ""),
    (
        "URLs that follow the Host of the call",
        Derived,
        "our choice",
        "so that a mapped container port works",
    ),
    ("official Python SDK, unmodified", Exact, "dingtalk-stream-sdk-python", ""),
    ("official Node SDK, unmodified", Exact, "dingtalk-stream-sdk-nodejs", ""),
    (
        "Java SDK",
        Derived,
        "dingtalk-stream-sdk-java",
        "`env --sdk java` prints how; it has not been tried",
    ),
];

/// All of them, area by area.
pub(super) fn all() -> Vec<Behaviour> {
    let areas = [
        ("frames", FRAMES),
        ("message types", TYPES),
        ("quotes", QUOTE_FORMS),
        ("delivery", DELIVERY),
        ("limits", LIMITS),
        ("plugging in", PLUGGING),
    ];
    let stated = areas.into_iter().flat_map(|(area, rows)| {
        rows.iter().map(move |&(name, status, source, note)| Behaviour {
            area,
            name,
            status,
            source: source.to_owned(),
            note,
        })
    });
    let actions = FAULT_ACTIONS.iter().map(|(name, _)| Behaviour {
        area: "fault actions",
        name,
        status: Exact,
        source: ANCHORS.to_owned(),
        note: "",
    });
    stated.chain(actions).chain(presets()).collect()
}

fn presets() -> impl Iterator<Item = Behaviour> {
    PRESETS.iter().map(|known| {
        let available = known.preset != Preset::TlsHandshakeFail;
        Behaviour {
            area: "presets",
            name: known.name,
            status: if available { Derived } else { NotModelled },
            source: known
                .evidence
                .iter()
                .map(|link| format!("<{link}>"))
                .collect::<Vec<_>>()
                .join(", "),
            note: if available { "from reports of single users" } else { known.ends },
        }
    })
}
