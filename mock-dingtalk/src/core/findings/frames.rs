//! What frames and their answers show.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{Finding, Rule, Seen, Severity};
use crate::core::{
    app::{App, Cx},
    connection::ConnectionKey,
    delivery::{Attempt, Delivery},
};

/// An EVENT has to be answered within this time (KB appendix-b).
const EVENT: Duration = Duration::from_secs(3);
/// A press on a card's button (KB event-callback-card).
const CARD: Duration = Duration::from_secs(2);
/// Anything else. No page has a deadline; a comment of the Node SDK and reports of users say 60 s.
const OTHER: Duration = Duration::from_secs(60);
/// SYSTEM pings that may go unanswered.
const PINGS: usize = 3;
/// Frames pushed as they stand whose answers are no finding.
const MAX_VERBATIM: usize = 256;

const CARD_TOPIC: &str = "/v1.0/card/instances/callback";

/// How long the answer to a push may take.
fn deadline(kind: &str, topic: &str) -> Duration {
    match (kind, topic) {
        ("EVENT", _) => EVENT,
        (_, CARD_TOPIC) => CARD,
        _ => OTHER,
    }
}

impl Delivery {
    fn named(&self, message_id: &str) -> String {
        let message = self.msg_id.as_deref().map(|id| format!(", msgId {id}")).unwrap_or_default();
        format!("{} {} (messageId {message_id}{message})", self.kind, self.topic)
    }

    fn place(&self) -> String {
        format!("{} {}", self.kind, self.topic)
    }
}

impl App {
    /// Books what the next journal entry shows.
    pub(crate) fn found(&mut self, cx: &Cx<'_>, seen: Seen) {
        self.findings.add(cx.now.unix_ms, cx.journals.next_seq(), seen);
    }

    /// An answer does not count because of a fault: neither it nor its lack is judged.
    pub(crate) fn spare_answer(&mut self, key: ConnectionKey, message_id: &str) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.unanswered_pings = 0;
        }
        if let Some(delivery) = self.deliveries.by_message_id(message_id) {
            let answered = |attempt: &&mut Attempt| attempt.message_id == message_id;
            for attempt in delivery.attempts.iter_mut().filter(answered) {
                attempt.spared = true;
            }
        }
    }

    /// An answer came that names a frame of a delivery.
    pub(crate) fn judge_ack(&mut self, cx: &Cx<'_>, seq: u64, message_id: &str, on: &Arc<str>) {
        let Some(delivery) = self.deliveries.get_mut(seq) else { return };
        let sent: Vec<usize> = (0..delivery.attempts.len())
            .filter(|index| delivery.attempts[*index].message_id == message_id)
            .collect();
        let Some(last) = sent.last().copied() else { return };
        delivery.attempts[last].acks += 1;
        // Attempts that share an id share their answers.
        let acks: u64 = sent.iter().map(|index| delivery.attempts[*index].acks).sum();
        if sent.iter().any(|index| delivery.attempts[*index].spared) {
            return;
        }
        let attempt = &delivery.attempts[last];
        let after = cx.now.since_start.saturating_sub(attempt.since_start);
        let limit = deadline(delivery.kind, &delivery.topic);
        let (named, place) = (delivery.named(message_id), delivery.place());
        let elsewhere = attempt.connection_id != *on;
        let brought_by = Arc::clone(&attempt.connection_id);
        if acks > sent.len() as u64 {
            let message = format!("{named} was answered {acks} times");
            self.found(cx, Seen::new(Rule::AckRepeated, place, message, "one answer to a frame"));
            return;
        }
        if after > limit {
            let message = format!("{named} was answered after {} ms", after.as_millis());
            let expected = format!("an answer within {} ms", limit.as_millis());
            self.found(cx, Seen::new(Rule::AckLate, place.as_str(), message, expected));
        }
        if elsewhere {
            let message =
                format!("{named} came on connection {brought_by} and was answered on {on}");
            let expected = "the answer on the connection that brought the frame";
            self.found(cx, Seen::new(Rule::AckElsewhere, place, message, expected));
        }
    }

    /// An answer came that names no frame.
    pub(crate) fn judge_unknown_ack(&mut self, cx: &Cx<'_>, message_id: &str) {
        if self.findings.watch.verbatim.iter().any(|id| id == message_id) {
            return;
        }
        let message = format!("an answer names messageId {message_id}, which awaits none");
        let expected = "headers.messageId of the frame, once";
        self.found(cx, Seen::new(Rule::AckUnknown, "", message, expected));
    }

    /// A message came that answers nothing.
    pub(crate) fn judge_stray(&mut self, cx: &Cx<'_>, what: &str) {
        let expected = "answers to frames only; WebSocket pings to see whether the gateway lives";
        self.found(cx, Seen::new(Rule::StrayMessage, what, format!("{what} came"), expected));
    }

    /// A text goes out as it stands: what it leads to is nobody's fault.
    pub(crate) fn spare(&mut self, text: &str) {
        let frame: Option<Value> = serde_json::from_str(text).ok();
        let id = frame.as_ref().and_then(|frame| frame["headers"]["messageId"].as_str());
        if let Some(id) = id {
            self.spare_id(id.to_owned());
        }
    }

    /// An answer that names this is nobody's fault.
    pub(crate) fn spare_id(&mut self, message_id: String) {
        let verbatim = &mut self.findings.watch.verbatim;
        if verbatim.len() >= MAX_VERBATIM {
            verbatim.remove(0);
        }
        verbatim.push(message_id);
    }

    /// A connection is broken from this side: what was on its way is not judged.
    pub(crate) fn spare_connection(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        connection.spared = true;
        for (_, delivery) in self.deliveries.after_mut(self.findings.watch.judged) {
            let last = delivery.attempts.last_mut();
            if let Some(attempt) = last.filter(|last| last.connection_id == connection.id) {
                attempt.spared = true;
            }
        }
    }

    /// A SYSTEM ping is about to go out.
    pub(crate) fn judge_pings(&mut self, cx: &Cx<'_>, key: ConnectionKey) {
        let Some(connection) = self.connections.get(&key) else { return };
        let open = connection.unanswered_pings;
        if open < PINGS || connection.is_spared() {
            return;
        }
        let id = Arc::clone(&connection.id);
        let message = format!("{open} SYSTEM pings on connection {id} are not answered");
        let expected = "code 200 with the `opaque` of each SYSTEM ping";
        self.found(cx, Seen::new(Rule::PingUnanswered, &*id, message, expected));
    }

    /// The findings, after a look for answers that are missing by now.
    pub(crate) fn findings_now(
        &mut self,
        cx: &Cx<'_>,
        after: u64,
        least: Severity,
    ) -> Vec<Finding> {
        self.judge_missing(cx);
        self.findings.rows(after, least)
    }

    /// Forgets the findings, those that nobody has read yet included, and says how many there were.
    pub(crate) fn clear_findings(&mut self, cx: &Cx<'_>) -> usize {
        self.judge_missing(cx);
        self.findings.clear()
    }

    fn judge_missing(&mut self, cx: &Cx<'_>) {
        let mut missing = Vec::new();
        let mut decided = true;
        let mut judged = self.findings.watch.judged;
        for (seq, delivery) in self.deliveries.after_mut(judged) {
            let Some(attempt) = delivery.attempts.last() else {
                // An EVENT that waits for its first connection may still be pushed.
                decided &= !delivery.is_retried();
                if decided {
                    judged = seq;
                }
                continue;
            };
            let limit = deadline(delivery.kind, &delivery.topic);
            let due = cx.now.since_start.saturating_sub(attempt.since_start) > limit;
            let answered = delivery.ack.is_some();
            if !answered && due && !attempt.spared && !delivery.blamed {
                let named = delivery.named(&attempt.message_id);
                let message = format!("{named} was not answered within {} ms", limit.as_millis());
                missing.push((delivery.place(), message, attempt.entry));
                delivery.blamed = true;
            }
            decided &= answered || due;
            if decided {
                judged = seq;
            }
        }
        self.findings.watch.judged = judged;
        for (place, message, entry) in missing {
            let expected = "code 200 as soon as the message is kept, before it is worked on";
            let seen = Seen::new(Rule::AckMissing, place, message, expected);
            self.findings.add(cx.now.unix_ms, entry, seen);
        }
    }
}
