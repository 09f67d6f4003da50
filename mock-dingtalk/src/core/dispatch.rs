//! Routing: which connection a push goes to, what its answer means, and when it is tried again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    ack::{Ack, ClientFrame},
    app::{App, Cx},
    connection::{ConnectionKey, ConnectionState, SystemFrame},
    delivery::{AckRow, Attempt, Delivery, DeliveryState, Payload, kept},
    effect::Outgoing,
    fault::{Action, Happening, Point},
    frame::Frame,
    journal::{Diagnosis, Draft, EntryKind},
    lifetime,
    message::SaidState,
    mutation::Mutation,
    timer::Timer,
};

impl App {
    /// Pushes a new delivery, or says what becomes of it when nobody is there.
    pub(crate) fn dispatch(&mut self, cx: &mut Cx<'_>, delivery: Delivery) -> SaidState {
        let (seq, kind) = (delivery.seq, delivery.kind);
        let retried = delivery.is_retried() || self.mutated(Mutation::KeepsLost);
        self.deliveries.add(delivery);
        if self.push(cx, seq) {
            return SaidState::Pushed;
        }
        self.nobody_takes(cx, seq, kind, retried)
    }

    /// Keeps what nobody is there for, or loses it.
    fn nobody_takes(
        &mut self,
        cx: &mut Cx<'_>,
        seq: u64,
        kind: &'static str,
        retried: bool,
    ) -> SaidState {
        let state = if retried { DeliveryState::Queued } else { DeliveryState::Lost };
        if let Some(delivery) = self.deliveries.get_mut(seq) {
            delivery.state = state;
            if !retried {
                delivery.payload = None;
            }
        }
        self.deliveries.weigh(seq);
        self.changed(cx);
        if retried {
            self.enqueue(seq);
            self.note(
                cx,
                Draft::new(EntryKind::Connection, format!("{kind} waits: nobody connected")),
            );
            SaidState::Queued
        } else {
            self.note(
                cx,
                Draft::new(EntryKind::Connection, format!("{kind} lost: nobody connected")),
            );
            SaidState::Lost
        }
    }

    /// Pushes a delivery to one of the connections that take it, at random. False if none does.
    fn push(&mut self, cx: &mut Cx<'_>, seq: u64) -> bool {
        let Some(delivery) = self.deliveries.get_mut(seq) else { return true };
        let candidates: Vec<ConnectionKey> = self
            .connections
            .values()
            .filter(|connection| {
                let wrongly = match connection.state {
                    ConnectionState::Draining => self.mutations.has(Mutation::RoutesToDraining),
                    ConnectionState::Open => self.mutations.has(Mutation::SubscriptionIgnored),
                    _ => false,
                };
                wrongly || connection.takes(delivery.kind, &delivery.topic)
            })
            .map(|connection| connection.key)
            .collect();
        if candidates.is_empty() {
            return false;
        }
        let connection = &self.connections[&candidates[self.mint.choose(candidates.len())]];
        let (key, id) = (connection.key, Arc::clone(&connection.id));
        let point = Point::Frame { kind: delivery.kind, topic: &delivery.topic, connection: &id };
        // A redelivered message is the same one: it uses no fault up.
        let again = delivery.kind == "CALLBACK" && !delivery.attempts.is_empty();
        let fault = if again { None } else { self.faults.take(point, cx.now.since_start) };
        let mut message_id =
            std::mem::replace(&mut delivery.next_message_id, self.mint.message_id(cx.now));
        if let Some(Action::MessageId(fixed)) = &fault {
            message_id.clone_from(fixed);
        }
        if let Some(first) = delivery.attempts.first()
            && delivery.kind == "CALLBACK"
            && self.delivery.same_message_id
        {
            message_id.clone_from(&first.message_id);
        }
        if self.mutations.has(Mutation::MessageIdRepeated) {
            "dingmock-repeated".clone_into(&mut message_id);
        }
        let harmless = matches!(fault, None | Some(Action::Redeliver(_)));
        let spared = !harmless || connection.is_spared();
        let base = connection.open.base.http();
        let Some(payload) = &mut delivery.payload else { return true };
        let text = match payload {
            Payload::Robot(message) => {
                if again && self.mutations.has(Mutation::RedeliversAnew) {
                    message.msg_id.push('2');
                }
                let data = message.data(base);
                let topic = &delivery.topic;
                Frame::callback(&self.header_id, &id, &message_id, topic, cx.now.unix_ms, &data)
                    .to_json()
            }
            Payload::Fixture(frame) => frame.write(&self.header_id, &id, &message_id, base, cx.now),
        };
        let what = format!("{} {}", delivery.kind, delivery.topic);
        let is_message = delivery.msg_id.is_some();
        let (attempt_index, retried) = (delivery.attempts.len(), delivery.is_retried());
        self.deliveries.attempted(
            seq,
            Attempt {
                connection_id: Arc::clone(&id),
                message_id,
                at: cx.now.unix_ms,
                since_start: cx.now.since_start,
                entry: cx.journals.next_seq(),
                acks: 0,
                spared,
            },
        );
        let redelivers = match fault {
            Some(Action::Redeliver(after)) => Some(after),
            _ => self.delivery.profile.redelivers_after(),
        };
        let second = candidates.iter().find(|other| **other != key);
        if let Some(second) = second.filter(|_| self.mutated(Mutation::PushedTwice)) {
            self.emit(cx, *second, &what, text.clone(), None);
        }
        self.emit(cx, key, &what, text, fault);
        if let Some(after) = redelivers.filter(|_| attempt_index == 0 && is_message) {
            cx.plan(after, Timer::Redeliver(seq));
        }
        if retried && !self.mutated(Mutation::EventOnce) {
            let deadline = Timer::AckDeadline(seq, attempt_index);
            cx.plan(lifetime::EVENT_ACK, deadline);
        }
        self.changed(cx);
        true
    }

    /// Frames never left, since their connection was closed in the instant in which they were pushed: what they brought
    /// goes to another one. A connection whose end goes unnoticed swallows them.
    pub(crate) fn unwritten(
        &mut self,
        cx: &mut Cx<'_>,
        (key, connection): (ConnectionKey, &str),
        texts: &[Arc<str>],
    ) {
        if self.connections.get(&key).is_some_and(|c| c.state == ConnectionState::Ghost) {
            return;
        }
        // The last attempt at a delivery is taken back first.
        let ids = texts.iter().rev().filter_map(|text| Frame::message_id(text));
        let taken_back: BTreeSet<u64> = ids
            .filter_map(|id| {
                self.deliveries.take_back(connection, &id).map(|delivery| delivery.seq)
            })
            .collect();
        for seq in taken_back {
            let Some(delivery) = self.deliveries.get_mut(seq) else { continue };
            let (kind, again) = (delivery.kind, !delivery.attempts.is_empty());
            let retried = delivery.is_retried() || self.mutated(Mutation::KeepsLost);
            if self.push(cx, seq) {
                continue;
            }
            if again && !retried {
                self.note_no_redelivery(cx);
            } else {
                self.nobody_takes(cx, seq, kind, retried);
            }
        }
    }

    fn note_no_redelivery(&self, cx: &mut Cx<'_>) {
        self.note(cx, Draft::new(EntryKind::Connection, "no redelivery: nobody connected"));
    }

    /// A robot message comes once more, if it was not acknowledged and somebody is there.
    pub(crate) fn redeliver(&mut self, cx: &mut Cx<'_>, seq: u64) {
        let acked_too = self.mutated(Mutation::RedeliversAcked);
        let open = self.deliveries.get_mut(seq).is_some_and(|delivery| {
            (delivery.ack.is_none() || acked_too) && delivery.attempts.len() == 1
        });
        if open && !self.push(cx, seq) {
            self.note_no_redelivery(cx);
        }
    }

    /// Pushes what waited for a connection.
    pub(crate) fn push_queued(&mut self, cx: &mut Cx<'_>) {
        for seq in std::mem::take(&mut self.queued) {
            if !self.push(cx, seq) {
                self.enqueue(seq);
            }
        }
    }

    fn enqueue(&mut self, seq: u64) {
        // The delivery of the oldest one is forgotten too by now.
        if self.queued.len() >= lifetime::ROWS_PER_APP {
            self.queued.pop_front();
        }
        self.queued.push_back(seq);
    }

    /// An attempt was not answered in time.
    pub(crate) fn ack_deadline(&mut self, cx: &mut Cx<'_>, seq: u64, attempt: usize) {
        let over = self.deliveries.get_mut(seq).is_some_and(|delivery| {
            delivery.state == DeliveryState::Sent && delivery.attempts.len() == attempt + 1
        });
        if !over {
            return;
        }
        match self.deliveries.get_mut(seq).filter(|delivery| !delivery.is_retried()) {
            None => self.again_or(cx, seq, DeliveryState::Timeout),
            Some(press) => {
                press.state = DeliveryState::Timeout;
                self.changed(cx);
            }
        }
    }

    /// The gap before another try is over.
    pub(crate) fn push_again(&mut self, cx: &mut Cx<'_>, seq: u64) {
        let waits = self
            .deliveries
            .get_mut(seq)
            .is_some_and(|delivery| delivery.state == DeliveryState::Queued);
        if waits && !self.push(cx, seq) && !self.queued.contains(&seq) {
            self.enqueue(seq);
        }
    }

    /// Plans another try, or ends in `state` after the last one.
    fn again_or(&mut self, cx: &mut Cx<'_>, seq: u64, state: DeliveryState) {
        let Some(delivery) = self.deliveries.get_mut(seq) else { return };
        if let Some(gap) = lifetime::EVENT_GAPS.get(delivery.attempts.len().saturating_sub(1)) {
            delivery.state = DeliveryState::Queued;
            cx.plan(*gap, Timer::PushAgain(seq));
        } else {
            delivery.state = state;
        }
        self.changed(cx);
    }

    /// A bot wrote a text message.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        frame: ClientFrame,
        text: Arc<str>,
    ) {
        let Some(id) = self.connections.get(&key).map(|c| Arc::clone(&c.id)) else { return };
        let what = match frame {
            ClientFrame::Ack(ack) if let Some(problem) = self.misshapen(cx, &text) => {
                self.stray(key);
                self.spare_answer(key, &ack.message_id);
                let diagnosis = Diagnosis::new(
                    format!("the answer does not count: {problem}"),
                    "code, headers.messageId, headers.contentType, message, data (JSON in a string)",
                    "stream-protocol.md 5",
                );
                let draft = Draft::new(EntryKind::FrameIn, "misshapen answer, not counted");
                self.note(cx, draft.on(&id).body(text).diagnosis(Some(diagnosis)));
                self.changed(cx);
                return;
            }
            ClientFrame::Ack(ack) => self.acked(cx, key, &id, ack),
            ClientFrame::Unknown => {
                self.stray(key);
                self.judge_stray(cx, "a text without headers.messageId");
                "stray text, ignored".to_owned()
            }
        };
        self.note(cx, Draft::new(EntryKind::FrameIn, what).on(&id).body(text));
        self.changed(cx);
    }

    /// A bot wrote a binary message, which the protocol has no use for.
    pub(crate) fn receive_binary(&mut self, cx: &mut Cx<'_>, key: ConnectionKey, bytes: usize) {
        let Some(id) = self.connections.get(&key).map(|c| Arc::clone(&c.id)) else { return };
        self.stray(key);
        self.judge_stray(cx, "a binary message");
        let what = format!("stray binary of {bytes} bytes, ignored");
        self.note(cx, Draft::new(EntryKind::FrameIn, what).on(&id));
        self.changed(cx);
    }

    fn stray(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.strays += 1;
        }
    }

    /// Books an ack, and says in one line what it was.
    fn acked(&mut self, cx: &mut Cx<'_>, key: ConnectionKey, id: &Arc<str>, ack: Ack) -> String {
        let Some(connection) = self.connections.get_mut(&key) else { return String::new() };
        match connection.answered(&ack.message_id) {
            Some(SystemFrame::Ping) => {
                connection.last_pong_at = Some(cx.now.unix_ms);
                connection.unanswered_pings = 0;
                return "answer to SYSTEM ping".to_owned();
            }
            Some(SystemFrame::Other) => {
                connection.system_acks += 1;
                return "answer to a SYSTEM frame".to_owned();
            }
            None => {}
        }
        let Some(seq) = self.deliveries.by_message_id(&ack.message_id).map(|found| found.seq)
        else {
            connection.strays += 1;
            self.judge_unknown_ack(cx, &ack.message_id);
            return "answer to an unknown messageId, ignored".to_owned();
        };
        self.judge_ack(cx, seq, &ack.message_id, id);
        let (Some(connection), Some(delivery)) =
            (self.connections.get_mut(&key), self.deliveries.get_mut(seq))
        else {
            return String::new();
        };
        delivery.acks += 1;
        if delivery.ack.is_some() && !delivery.is_retried() {
            return format!("answer number {} to one frame", delivery.acks);
        }
        let again = delivery.state == DeliveryState::Acked;
        let final_too = self.mutations.has(Mutation::LaterFinal);
        let later = delivery.is_retried() && ack.is_later() && !final_too;
        let attempt = delivery
            .attempts
            .iter()
            .rev()
            .find(|attempt| attempt.message_id == ack.message_id)
            .expect("the index of frames names attempts only");
        let after = cx.now.since_start.saturating_sub(attempt.since_start);
        let elsewhere = attempt.connection_id != *id && !self.mutations.has(Mutation::AckElsewhere);
        let first = delivery.ack.is_none();
        let press = delivery.press.clone();
        let in_time = after <= lifetime::PRESS_ACK || self.mutations.has(Mutation::PressLate);
        let late = press.is_some() && !in_time;
        let data = press.as_ref().and(ack.data.clone());
        if !again {
            delivery.ack = Some(AckRow {
                connection_id: id.to_string(),
                on_other_connection: elsewhere,
                code: ack.code,
                message: ack.message.map(kept),
                data: ack.data.map(kept),
                after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
                late,
                at: cx.now.unix_ms,
            });
        }
        let (seq, was_sent) = (delivery.seq, delivery.state == DeliveryState::Sent);
        if !later && !late {
            delivery.state = DeliveryState::Acked;
            if !self.mutations.has(Mutation::RedeliversAcked) {
                delivery.payload = None;
            }
        }
        if first {
            connection.acks += 1;
            self.deliveries.count_acked();
            self.faults.happened(Happening::Acked);
        }
        if later && was_sent {
            self.again_or(cx, seq, DeliveryState::Later);
        }
        self.deliveries.weigh(seq);
        if let Some(press) = press {
            self.pressed(cx, &press, late, data.as_deref());
        }
        match (again, elsewhere, later) {
            (true, ..) => "another answer to one push".to_owned(),
            (_, true, _) => "ack, on another connection than the frame's".to_owned(),
            (_, _, true) => "ack: LATER".to_owned(),
            _ => "ack".to_owned(),
        }
    }

    /// Sends a SYSTEM ping with a fresh `opaque`.
    pub(crate) fn ping(&mut self, cx: &mut Cx<'_>, key: ConnectionKey) {
        let mut message_id = self.mint.system_message_id(cx.now);
        let opaque = self.mint.uuid();
        let open = self.connections.get(&key).is_some_and(|c| c.state == ConnectionState::Open);
        if !open || self.mutated(Mutation::PingMissing) {
            return;
        }
        self.judge_pings(cx, key);
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let id = Arc::clone(&connection.id);
        let point = Point::Frame { kind: "SYSTEM", topic: "ping", connection: &id };
        let fault = self.faults.take(point, cx.now.since_start);
        if let Some(Action::MessageId(fixed)) = &fault {
            message_id.clone_from(fixed);
        }
        connection.ask(message_id.clone(), SystemFrame::Ping);
        connection.unanswered_pings += usize::from(fault.is_none());
        let data = format!("{{\"opaque\":\"{opaque}\"}}");
        let text = Frame::system("ping", Some(&message_id), cx.now.unix_ms, &data).to_json();
        if fault.is_some() {
            self.spare(&text);
        }
        self.emit(cx, key, "SYSTEM ping", text, fault);
    }

    /// Announces the end of a connection, which comes if it `closes`.
    pub(crate) fn announce_end(
        &mut self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        reason: &str,
        with_message_id: bool,
        closes: bool,
    ) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.stays = !closes;
        }
        self.disconnect(cx, key, reason, with_message_id);
    }

    /// Announces the end of a connection: no more pushes, and after the grace TCP is reset.
    pub(crate) fn disconnect(
        &mut self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        reason: &str,
        with_message_id: bool,
    ) {
        let message_id = with_message_id.then(|| self.mint.system_message_id(cx.now));
        let data = serde_json::json!({ "reason": reason }).to_string();
        let time = cx.now.unix_ms;
        let text = Frame::system("disconnect", message_id.as_deref(), time, &data).to_json();
        self.drain(cx, key, message_id, text);
    }

    /// Sends a SYSTEM `disconnect` that is written already, and starts the grace.
    pub(crate) fn drain(
        &mut self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        message_id: Option<String>,
        text: String,
    ) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if connection.state != ConnectionState::Open {
            return;
        }
        connection.state = ConnectionState::Draining;
        let closes = !connection.stays && !self.mutations.has(Mutation::GraceEndless);
        if let Some(message_id) = message_id {
            connection.ask(message_id, SystemFrame::Other);
        }
        let id = Arc::clone(&connection.id);
        self.send(cx, key, &id, "SYSTEM disconnect", Outgoing::Text(text.into()));
        self.note(cx, Draft::new(EntryKind::Connection, "draining").on(&id));
        if closes {
            cx.plan(lifetime::DISCONNECT_GRACE, Timer::GraceOver(key));
        }
        self.changed(cx);
    }
}
