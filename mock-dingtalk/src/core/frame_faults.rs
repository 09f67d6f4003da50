//! What faults do to frames and connections.

use std::sync::Arc;

use serde_json::Value;

use super::{
    app::{App, Cx},
    connection::ConnectionKey,
    effect::{Effect, Ill, Outgoing},
    fault::{Action, Happening, Point},
    journal::{Draft, EntryKind},
    timer::Timer,
};

/// The reason that real ones gave (dingtalk-stream-sdk-python#22).
pub(super) const REASON: &str = "persistent connection is timeout";

/// A frame that was kept back.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    connection: ConnectionKey,
    what: String,
    text: Arc<str>,
    /// Goes out after the next frame, instead of at a time.
    after_next: bool,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Frames kept back at a time; more are sent at once.
const MAX_HELD: usize = 1_000;

impl App {
    /// Sends a frame, unless a fault or the connection's state has something else in mind.
    pub(crate) fn emit(
        &mut self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        what: &str,
        text: String,
        fault: Option<Action>,
    ) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let id = Arc::clone(&connection.id);
        let loses = !what.starts_with("SYSTEM") && std::mem::take(&mut connection.loses_next);
        if connection.muted || loses || fault == Some(Action::Lose) {
            let draft = Draft::new(EntryKind::Connection, format!("fault: {what} not sent"));
            self.note(cx, draft.on(&id).body(text.into()));
            return;
        }
        let text: Arc<str> = text.into();
        let held = |after_next| Held {
            connection: key,
            what: what.to_owned(),
            text: Arc::clone(&text),
            after_next,
        };
        let full = self.held.len() >= MAX_HELD;
        match fault {
            Some(Action::Late(by)) if !full => {
                self.last_held += 1;
                self.held.insert(self.last_held, held(false));
                cx.plan(by, Timer::Late(self.last_held));
                return;
            }
            // One that comes while another waits lets that one go.
            Some(Action::Reorder) if !full && !self.is_reordering(key) => {
                self.last_held += 1;
                self.held.insert(self.last_held, held(true));
                return;
            }
            Some(Action::CutAtFrame(how)) => {
                self.cut(cx, key, how, "fault: cut instead of a frame");
                return;
            }
            Some(Action::Raw(raw)) => {
                let what = format!("fault: instead of {what}");
                self.spare(&raw);
                self.send(cx, key, &id, &what, Outgoing::Text(raw.into()));
            }
            Some(Action::Oversize(bytes)) => {
                let padded = format!("{text}{}", " ".repeat(bytes.saturating_sub(text.len())));
                self.send(cx, key, &id, what, Outgoing::Text(padded.into()));
            }
            Some(Action::Fragment(pieces)) => {
                let what = format!("fault: {what} in {pieces} fragments");
                self.send(cx, key, &id, &what, Outgoing::Fragments(text, pieces));
            }
            Some(Action::BadFrame(how)) => {
                let what = format!("fault: {what} in a forbidden way");
                self.send(cx, key, &id, &what, Outgoing::Bad(text, how));
            }
            other => {
                let copies = match other {
                    Some(Action::Duplicate(copies)) => copies,
                    _ => 0,
                };
                for _ in 0..=copies {
                    self.send(cx, key, &id, what, Outgoing::Text(Arc::clone(&text)));
                }
            }
        }
        self.send_reordered(cx, key);
    }

    fn is_reordering(&self, key: ConnectionKey) -> bool {
        self.held.values().any(|held| held.after_next && held.connection == key)
    }

    /// Forgets what was kept back for a connection that has ended.
    pub(crate) fn drop_held(&mut self, key: ConnectionKey) {
        self.held.retain(|_, held| held.connection != key);
    }

    /// Sends what waited for another frame to go first.
    fn send_reordered(&mut self, cx: &mut Cx<'_>, key: ConnectionKey) {
        let waits = |held: &Held| held.after_next && held.connection == key;
        let slots: Vec<u64> =
            self.held.iter().filter(|(_, held)| waits(held)).map(|(slot, _)| *slot).collect();
        for slot in slots {
            self.send_late(cx, slot);
        }
    }

    /// Sends a frame that was kept back, if its connection still lives.
    pub(crate) fn send_late(&mut self, cx: &mut Cx<'_>, slot: u64) {
        let Some(held) = self.held.remove(&slot) else { return };
        let Some(connection) = self.connections.get(&held.connection) else { return };
        let id = Arc::clone(&connection.id);
        self.send(cx, held.connection, &id, &held.what, Outgoing::Text(held.text));
    }

    /// A connection has opened: the fault that was made for it acts.
    pub(crate) fn connected(&mut self, cx: &mut Cx<'_>, key: ConnectionKey) {
        if let Some(action) = self.faults.take(Point::Connected, cx.now.since_start) {
            self.break_connection(cx, key, &action);
        }
        self.faults.happened(Happening::Connected);
    }

    /// Does to a connection what a fault says.
    pub(crate) fn break_connection(
        &mut self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        action: &Action,
    ) {
        if matches!(action, Action::Dribble { .. }) {
            self.spare_connection(key);
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let what = match action {
            Action::Mute => {
                connection.muted = true;
                "fault: no frame comes here any more"
            }
            Action::NoPong => {
                cx.effects.push(Effect::Sicken { connection: key, with: Ill::NoPong });
                "fault: pings are not answered any more"
            }
            Action::Dribble { bytes, every } => {
                let with = Ill::Dribble { bytes: *bytes, every: *every };
                cx.effects.push(Effect::Sicken { connection: key, with });
                "fault: what goes out trickles"
            }
            Action::Unroute => {
                connection.unrouted = true;
                "fault: nothing is routed here any more"
            }
            Action::LoseFirst => {
                connection.loses_next = true;
                "fault: the first push is lost"
            }
            Action::CutAtOnce(how) => {
                self.cut(cx, key, how.clone(), "fault: cut");
                return;
            }
            Action::Disconnect { closes } => {
                connection.stays = !closes;
                self.disconnect(cx, key, REASON, true);
                return;
            }
            _ => return,
        };
        let id = Arc::clone(&connection.id);
        self.note(cx, Draft::new(EntryKind::Connection, what).on(&id));
    }

    /// Whether a strict shape is asked for, and this answer has another one; says what is wrong.
    pub(crate) fn misshapen(&mut self, cx: &Cx<'_>, text: &str) -> Option<&'static str> {
        let strict = self.faults.take(Point::Ack, cx.now.since_start);
        (strict == Some(Action::RequireShape)).then(|| shape_problem(text)).flatten()
    }
}

/// What an answer lacks of the form on the protocol page (stream-protocol 5).
fn shape_problem(text: &str) -> Option<&'static str> {
    let Ok(Value::Object(ack)) = serde_json::from_str(text) else { return Some("not an object") };
    let header = |name: &str| ack.get("headers").and_then(|h| h.get(name)).and_then(Value::as_str);
    if ack.get("code").and_then(Value::as_i64).is_none() {
        return Some("code is not a whole number");
    }
    if header("messageId").is_none() {
        return Some("headers.messageId is not a string");
    }
    if header("contentType") != Some("application/json") {
        return Some("headers.contentType is not application/json");
    }
    if ack.get("message").and_then(Value::as_str).is_none() {
        return Some("message is not a string");
    }
    match ack.get("data").and_then(Value::as_str).map(serde_json::from_str::<Value>) {
        Some(Ok(_)) => None,
        _ => Some("data is not JSON in a string"),
    }
}
