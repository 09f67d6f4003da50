//! Which faults make sense: the action fits its place, and every number is within its bounds.

use std::time::Duration;

use super::{
    fault::{Action, Cut, Fault, Times, When},
    verb_error::{VerbError, check_cut, quoted},
};

/// The largest frame that a fault makes.
const MAX_OVERSIZE: usize = 16 << 20;
/// Permissions that one answer names.
const MAX_SCOPES: usize = 100;
/// Copies of one frame that a fault makes.
const MAX_COPIES: u32 = 100;
/// Fragments of one frame that a fault makes.
const MAX_PIECES: u32 = 1_000;
/// Bytes that trickle at a time.
const MAX_TRICKLE: usize = 1 << 20;
/// Between two of them.
const TRICKLE_EVERY: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(24);
/// How often a fault of the whole mock acts at most. It meets the control API too, so it has to
/// end by itself.
pub(crate) const MAX_TCP_TIMES: u32 = 10_000;
/// The largest body that a fault makes.
const MAX_LARGE_BODY: u64 = 1 << 30;
/// Where files of people are given an address.
const DOWNLOAD_PATH: &str = "/v1.0/robot/messageFiles/download";
/// Of an address that a fault names, in bytes.
const MAX_ADDRESS: usize = 2_048;
/// Of a path or a pattern, in bytes.
const MAX_PATH: usize = 1_024;
/// What HTTP knows.
pub(crate) const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// Checks a fault of one app.
pub(crate) fn of_app(fault: &Fault) -> Result<(), VerbError> {
    if matches!(fault.when, When::Accept | When::TlsHandshake) {
        let allowed = "accept and tlsHandshake among the faults of the mock only (tcp-faults)";
        return Err(VerbError::invalid("when", "before an app is known", allowed));
    }
    check(fault)
}

/// Checks a fault of the whole mock.
pub(crate) fn of_mock(fault: &Fault) -> Result<(), VerbError> {
    if !matches!(fault.when, When::Accept | When::TlsHandshake) {
        let allowed = "accept or tlsHandshake; all else is a fault of an app";
        return Err(VerbError::invalid("when", "of an app", allowed));
    }
    match fault.times {
        Times::First(1..=MAX_TCP_TIMES) | Times::Nth(1..=MAX_TCP_TIMES) => {}
        _ => {
            let allowed = format!("a number from 1 to {MAX_TCP_TIMES}, or {{\"nth\":3}}");
            return Err(VerbError::invalid("times", "another one", allowed));
        }
    }
    check(fault)
}

fn check(fault: &Fault) -> Result<(), VerbError> {
    if !is_at_home(&fault.action, &fault.when) {
        let value = "of another layer";
        return Err(VerbError::invalid("action.type", value, actions_at(&fault.when)));
    }
    match &fault.when {
        When::Path(path) => check_path(path)?,
        When::Call { method, path } => {
            if !METHODS.contains(&method.as_str()) {
                let allowed = format!("one of {}", METHODS.join(", "));
                return Err(VerbError::invalid("when.method", quoted(method), allowed));
            }
            check_path(path)?;
        }
        _ => {}
    }
    match fault.times {
        Times::Nth(0) | Times::Every(0) | Times::First(0) => {
            return Err(VerbError::invalid("times", "0", "a number from 1"));
        }
        Times::Chance { percent, .. } if percent > 100 => {
            let allowed = "a percentage from 0 to 100";
            return Err(VerbError::invalid("times.percent", percent.to_string(), allowed));
        }
        _ => {}
    }
    check_action(&fault.action, &fault.when)
}

fn check_path(path: &str) -> Result<(), VerbError> {
    let wrong = |allowed: &str| Err(VerbError::invalid("when.path", quoted(path), allowed));
    if !path.starts_with('/') || path.len() > MAX_PATH {
        return wrong("a path that starts with a slash, of at most 1024 bytes");
    }
    if path == "/_mock" || path.starts_with("/_mock/") {
        return wrong("a path of DingTalk's; the control API has no faults");
    }
    if path == "/connect" {
        return wrong("another path; \"when\":\"upgrade\" is for this one");
    }
    Ok(())
}

/// Whether the action can be done at all where the fault acts.
fn is_at_home(action: &Action, when: &When) -> bool {
    let call = matches!(when, When::Open | When::Path(_) | When::Call { .. });
    match action {
        Action::Status(..)
        | Action::EmptyObject
        | Action::Hang
        | Action::Delay(_)
        | Action::Code { .. } => call || *when == When::Upgrade,
        Action::Drop(_) => {
            call || matches!(when, When::Upgrade | When::Accept | When::TlsHandshake)
        }
        Action::Truncate
        | Action::SlowBody(_)
        | Action::HangAfterHead
        | Action::CutBody
        | Action::LargeBody { .. }
        | Action::Redirect(_) => call,
        Action::DownloadUrl(_) => match when {
            When::Path(path) | When::Call { path, .. } => path == DOWNLOAD_PATH,
            _ => false,
        },
        Action::Dribble { .. } => call || matches!(when, When::Connected | When::Accept),
        Action::AcceptThenCut(_) => *when == When::Upgrade,
        Action::Lose
        | Action::Duplicate(_)
        | Action::Late(_)
        | Action::Reorder
        | Action::Raw(_)
        | Action::Oversize(_)
        | Action::MessageId(_)
        | Action::Redeliver(_)
        | Action::CutAtFrame(_)
        | Action::Fragment(_)
        | Action::BadFrame(_) => matches!(when, When::Frame(_)),
        Action::Disconnect { .. }
        | Action::CutAtOnce(_)
        | Action::Mute
        | Action::NoPong
        | Action::Unroute
        | Action::LoseFirst => *when == When::Connected,
        Action::RequireShape => *when == When::Ack,
        Action::Alert => *when == When::TlsHandshake,
    }
}

/// The actions that can be done there, as the control API names them.
fn actions_at(when: &When) -> &'static str {
    match when {
        When::Open | When::Path(_) | When::Call { .. } => {
            "status, code, empty, hang, delay, drop, truncate, slowBody, hangAfterHead, cutBody, \
             dribble, largeBody, redirect, or downloadUrl at /v1.0/robot/messageFiles/download"
        }
        When::Upgrade => "status, code, empty, hang, delay, drop or acceptThenCut",
        When::Frame(_) => {
            "lose, duplicate, late, reorder, raw, oversize, messageId, redeliver, cutAtFrame, \
             fragment or badFrame"
        }
        When::Connected => "mute, noPong, unroute, loseFirst, disconnect, cut or dribble",
        When::Ack => "requireShape",
        When::Accept => "drop or dribble",
        When::TlsHandshake => "alert or drop",
    }
}

const ADDRESS: &str = "an absolute URL of at most 2048 printable ASCII characters, such as http://169.254.169.254/latest";

/// Whether it is a whole URL that can stand in a header. Where it leads is the point of the fault, so that
/// any scheme will do.
fn is_address(url: &str) -> bool {
    url.len() <= MAX_ADDRESS
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && url::Url::parse(url).is_ok()
}

fn check_action(action: &Action, when: &When) -> Result<(), VerbError> {
    let wrong = |field: &str, value: String, allowed: &str| {
        Err(VerbError::invalid(format!("action.{field}"), value, allowed))
    };
    match action {
        Action::Oversize(bytes) if *bytes > MAX_OVERSIZE => {
            wrong("bytes", bytes.to_string(), &format!("at most {MAX_OVERSIZE}"))
        }
        Action::Duplicate(copies) if *copies > MAX_COPIES => {
            wrong("copies", copies.to_string(), &format!("at most {MAX_COPIES}"))
        }
        Action::Fragment(pieces) if !(2..=MAX_PIECES).contains(pieces) => {
            wrong("pieces", pieces.to_string(), &format!("from 2 to {MAX_PIECES}"))
        }
        Action::Dribble { bytes, .. } if !(1..=MAX_TRICKLE).contains(bytes) => {
            wrong("bytes", bytes.to_string(), &format!("from 1 to {MAX_TRICKLE}"))
        }
        Action::LargeBody { bytes, .. } if !(1..=MAX_LARGE_BODY).contains(bytes) => {
            wrong("bytes", bytes.to_string(), &format!("from 1 to {MAX_LARGE_BODY}"))
        }
        Action::Redirect(Some(url)) if !is_address(url) => wrong("to", quoted(url), ADDRESS),
        Action::DownloadUrl(Some(url)) if !is_address(url) => wrong("url", quoted(url), ADDRESS),
        Action::Dribble { every, .. } if !TRICKLE_EVERY.contains(every) => {
            wrong("every", format!("{every:?}"), "from 1ms to 1d")
        }
        Action::Status(status, _) | Action::Code { status, .. }
            if !(200..=599).contains(status) =>
        {
            wrong("status", status.to_string(), "a status from 200 to 599")
        }
        Action::Code { required_scopes: scopes, .. }
            if scopes.len() > MAX_SCOPES
                || scopes.iter().any(|scope| !(1..=128).contains(&scope.len())) =>
        {
            let allowed = format!("at most {MAX_SCOPES} of 1 to 128 bytes");
            wrong("requiredScopes", format!("a list of {}", scopes.len()), &allowed)
        }
        Action::Drop(Cut::Close { .. }) => {
            wrong("how", "close".to_owned(), "rst, fin or blackhole before there is a WebSocket")
        }
        // A call that is dropped is not carried out: there is nothing to swallow in one direction.
        Action::Drop(Cut::OneWay(_)) if *when != When::Accept => {
            wrong("how.direction", "one way".to_owned(), "both")
        }
        Action::AcceptThenCut(cut) | Action::CutAtOnce(cut) | Action::CutAtFrame(cut) => {
            check_cut(cut)
        }
        _ => Ok(()),
    }
}
