//! What the mock does besides answering calls.

use serde_json::{Value, json};

use crate::{
    control::FAULT_ACTIONS,
    core::{
        Fidelity::{self, Derived, Exact},
        PRESETS, RULES,
    },
};

/// One behaviour.
#[derive(Debug)]
pub(super) struct Behaviour {
    pub(super) area: &'static str,
    pub(super) name: &'static str,
    pub(super) fidelity: Fidelity,
    pub(super) source: String,
    pub(super) note: &'static str,
}

impl Behaviour {
    pub(super) fn json(&self) -> Value {
        json!({
            "area": self.area,
            "name": self.name,
            "status": self.fidelity.name(),
            "source": self.source,
            "note": self.note,
        })
    }
}

type Row = (&'static str, Fidelity, &'static str, &'static str);

const STREAM: &str = "stream-protocol.md";
const INBOUND: &str = "openapi.md 2.2";
const QUOTES: &str = "openapi.md 2.3";
/// For what DingTalk has no counterpart of: the mock does what its README says.
const README: &str = "mock-dingtalk/README.md";

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
        Derived,
        "openapi.md 6.8",
        "an answer counts within 2 s; a later one is marked late and changes nothing",
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
    (
        "files of groups, sent or quoted",
        Derived,
        "openapi.md 5.3",
        "no page: the calls that list and fetch them were seen through one client",
    ),
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
        "calls of an API in a minute",
        Derived,
        "openapi.md 0.3",
        "only where the app's `limits` set one; on the old host with the code of the second",
    ),
    (
        "messages of people in a calendar month",
        Derived,
        "openapi.md 0.4",
        "only where the app's `limits` set one; messages of custom robots are not counted",
    ),
    (
        "people throttled in batchSend",
        Derived,
        "openapi.md 4.1",
        "those that the app's `limits` name",
    ),
    (
        "permissions of an app",
        Derived,
        "openapi.md 0.1, 0.3, 4, 6 and 11",
        "an app has all of them unless it is minted without, or they are revoked; reading people \
         and the files of a group by the codes that users report; how the TOP gateway wraps 60011",
    ),
];

const ANSWERS: &[Row] = &[
    (
        "errors in DingTalk's shapes, with what was wrong in a header",
        Exact,
        "openapi.md 0.1, 0.2",
        "",
    ),
    (
        "404 for unknown paths",
        Derived,
        "openapi.md 0",
        "with the three nearest known calls in `x-mock-diagnosis`; the TOP gateway's `errcode` 22 \
         below `/topapi/`",
    ),
    (
        "XML for callers that do not ask for JSON",
        Derived,
        "openapi.md 0, stream-protocol.md 2",
        "`connections/open` without Accept, others whose Accept names XML alone; the elements are \
         our choice",
    ),
    (
        "leniency",
        Exact,
        README,
        "what no source refuses for certain is taken with a remark, by `--lenient` or an app's \
         `lenient`",
    ),
];

const ROBOTS: &[Row] = &[
    ("signature, words, addresses", Derived, "openapi.md 8", "the order of the checks"),
    ("20 messages a minute", Derived, "openapi.md 8", "then 410100 for 10 minutes"),
];

const TIME: &[Row] = &[
    ("advance, pause, resume, scale, jump of the wall clock", Exact, README, ""),
    ("a clock for each app, driven by the mock's", Exact, README, ""),
    ("lifetimes, limits, faults and pings on the app's clock", Exact, README, ""),
];

const RECORDS: &[Row] = &[
    ("journal as JSON and as JSON lines", Exact, README, "secrets are replaced by marks"),
    ("replay of a recorded session", Exact, README, "without the bytes of files"),
    ("snapshots of all apps", Exact, README, "sockets and journals are not turned back"),
];

const PLUGGING: &[Row] = &[
    ("base URL", Exact, "stream-protocol.md 11", ""),
    ("forward proxy: CONNECT and absolute targets", Exact, "RFC 9110", ""),
    ("TLS for DingTalk's names, authority made at start", Exact, "RFC 5280", ""),
    ("TLS for localhost, 127.0.0.1 and ::1", Exact, "RFC 5280", ""),
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
        ("answers", ANSWERS),
        ("custom robots", ROBOTS),
        ("time", TIME),
        ("records", RECORDS),
        ("plugging in", PLUGGING),
    ];
    let stated = areas.into_iter().flat_map(|(area, rows)| {
        rows.iter().map(move |&(name, fidelity, source, note)| Behaviour {
            area,
            name,
            fidelity,
            source: source.to_owned(),
            note,
        })
    });
    stated.chain(actions()).chain(presets()).chain(findings()).collect()
}

/// What a fault does is given by whoever adds it; how it looks on the wire is the wire's.
fn actions() -> impl Iterator<Item = Behaviour> {
    FAULT_ACTIONS.iter().map(|(name, _)| {
        let source = match *name {
            "code" => "openapi.md 0.1, 0.2",
            "fragment" | "badFrame" | "noPong" => "RFC 6455",
            "alert" => "RFC 8446",
            "redirect" | "largeBody" => "RFC 9110",
            "downloadUrl" => "openapi.md 4.7",
            _ => README,
        };
        Behaviour { area: "fault actions", name, fidelity: Exact, source: source.into(), note: "" }
    })
}

fn presets() -> impl Iterator<Item = Behaviour> {
    PRESETS.iter().map(|known| {
        let links = known.evidence.iter().map(|link| format!("<{link}>"));
        Behaviour {
            area: "presets",
            name: known.name,
            fidelity: Derived,
            source: links.collect::<Vec<_>>().join(", "),
            note: "from reports of users",
        }
    })
}

fn findings() -> impl Iterator<Item = Behaviour> {
    RULES.iter().map(|rule| Behaviour {
        area: "findings",
        name: rule.slug,
        // The page says what is right, and the mock from when on it is a finding.
        fidelity: Derived,
        source: rule.see.to_owned(),
        note: rule.what,
    })
}
