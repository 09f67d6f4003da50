//! The WebSocket connections: from the ticket to the end.

use std::{sync::Arc, time::Duration};

use super::{Fleet, UpgradeVerdict};
use crate::core::{
    Moment,
    ack::ClientFrame,
    app::{App, AppNumber, Cx},
    connection::{Connection, ConnectionKey, ConnectionState},
    effect::Effect,
    fault::{Action, Cut, Point},
    findings::{Rule, Seen},
    http::{HttpAnswer, Plan},
    journal::{Diagnosis, Draft, EntryKind},
    lifetime,
    mutation::Mutation,
    openapi::Reply,
    ticket::TicketRefusal,
    timer::Timer,
};

impl Fleet {
    /// A bot asks for the upgrade. The ticket is used up, unless a fault refuses first.
    pub(crate) fn upgrade(&mut self, now: Moment, ticket: &str) -> UpgradeVerdict {
        let owner = self.tickets.app(ticket);
        let local = self.local(now, owner);
        let fault = owner
            .and_then(|number| self.apps.get_mut(&number))
            .and_then(|app| app.faults.take(Point::Upgrade, local.since_start));
        if let (Some(number), Some(_)) = (owner, &fault) {
            // Somebody may wait for the fault to act.
            self.effects.push(Effect::Changed(number));
        }
        let mut at = None;
        let mut then = None;
        match fault {
            None => {}
            Some(Action::Delay(by)) => at = Some(local.since_start.saturating_add(by)),
            Some(Action::AcceptThenCut(how)) => then = Some(how),
            Some(action) => {
                let reply = Reply::of_fault(&action, false)
                    .unwrap_or_else(|| Reply::ok(serde_json::Value::Null));
                let mut answer = reply.finish(&mut self.mint);
                answer.owner = owner;
                answer.plan = Plan::of_fault(Some(&action), local.since_start);
                let why = answer.plan.remark().map(|remark| format!("fault, {remark}"));
                let status = if answer.plan.is_silent() { 0 } else { answer.status };
                self.note_upgrade(local, owner, why.as_deref().unwrap_or("fault"), status, None);
                return UpgradeVerdict::Answer(answer);
            }
        }
        let endless = self.mutations.has(Mutation::TicketEndless);
        let shown = if endless { Duration::ZERO } else { local.since_start };
        match self.tickets.redeem(ticket, shown) {
            Ok((number, open)) if self.apps.contains_key(&number) => {
                if self.mutations.has(Mutation::TicketUsedTwice) {
                    self.tickets.give_back(ticket, &open);
                }
                self.last_connection += 1;
                let key = ConnectionKey(self.last_connection);
                self.by_connection.insert(key, number);
                self.with(now, number, |app, cx| {
                    let mut id: Arc<str> = app.mint.uuid().to_string().into();
                    while app.foreign_ids.contains(&id) {
                        id = app.mint.uuid().to_string().into();
                    }
                    app.connections.insert(key, Connection::new(key, id, open, cx.now));
                });
                UpgradeVerdict::Accept { key, app: number, at, then }
            }
            refused => {
                let problem = match refused {
                    Err(TicketRefusal::Used(_)) => "the ticket was used already",
                    Err(TicketRefusal::Expired(_)) => "the ticket is older than 90 s",
                    _ => "no such ticket was issued",
                };
                let diagnosis = Diagnosis::new(
                    problem,
                    "a fresh ticket of connections/open for every connection",
                    "stream-protocol.md 2.3 and 3.2",
                );
                // DingTalk does not document the status; 401 is this mock's choice.
                let answer = Reply::error(401, "authFailed", "鉴权失败")
                    .diagnosed(diagnosis.clone())
                    .finish(&mut self.mint);
                let refusal = refused.err().unwrap_or(TicketRefusal::Unknown);
                let entry = self.journals.next_seq();
                let app = owner.and_then(|number| self.apps.get_mut(&number));
                let findings = app.map_or(&mut self.findings, |app| &mut app.findings);
                findings.judge_ticket(local, entry, ticket, refusal);
                self.note_upgrade(local, owner, problem, 401, Some(diagnosis));
                UpgradeVerdict::Answer(answer)
            }
        }
    }

    /// A request with this ticket, which stays good, asks for no WebSocket as RFC 6455 has it.
    pub(crate) fn refuse_handshake(
        &mut self,
        now: Moment,
        ticket: &str,
        status: u16,
        why: &str,
    ) -> HttpAnswer {
        let owner = self.tickets.app(ticket);
        let local = self.local(now, owner);
        let expected = "GET with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: \
                        13 and a Sec-WebSocket-Key";
        let diagnosis = Diagnosis::new(why, expected, "RFC 6455, 4.1; stream-protocol.md 3.1");
        // DingTalk does not document the answer; the status is the RFC's, the body like the others.
        let mut answer = Reply::error(status, "badHandshake", why)
            .diagnosed(diagnosis.clone())
            .finish(&mut self.mint);
        answer.owner = owner;
        let entry = self.journals.next_seq();
        let app = owner.and_then(|number| self.apps.get_mut(&number));
        let findings = app.map_or(&mut self.findings, |app| &mut app.findings);
        let message = format!("GET /connect: {why}");
        let seen = Seen::new(Rule::CallRefused, "GET /connect", message, expected);
        findings.add(local.unix_ms, entry, seen);
        self.note_upgrade(local, owner, why, status, Some(diagnosis));
        answer
    }

    fn note_upgrade(
        &mut self,
        now: Moment,
        owner: Option<AppNumber>,
        why: &str,
        status: u16,
        diagnosis: Option<Diagnosis>,
    ) {
        let app = owner.and_then(|number| self.apps.get(&number));
        let draft = Draft::new(EntryKind::Http, format!("GET /connect refused: {why}"))
            .answered(status, "".into())
            .diagnosis(diagnosis);
        let owner = app.map(|app| (app.number, &app.client_id));
        let entry = self.journals.add(now.unix_ms, owner, draft);
        self.effects.push(Effect::Journaled(entry));
    }

    /// The upgrade is through: frames may go out. False if the connection was ended meanwhile.
    pub(crate) fn opened(&mut self, now: Moment, key: ConnectionKey) -> bool {
        let mut known = false;
        self.on_connection(now, key, |app, cx| {
            let Some(connection) = app.connections.get_mut(&key) else { return };
            known = true;
            if connection.state != ConnectionState::Connecting {
                return;
            }
            connection.state = ConnectionState::Open;
            let id = Arc::clone(&connection.id);
            app.note(cx, Draft::new(EntryKind::Connection, "open").on(&id));
            cx.plan(lifetime::PING_INTERVAL, Timer::Ping(key));
            app.changed(cx);
            app.connected(cx, key);
            app.push_queued(cx);
        });
        known
    }

    /// A connection is cut with its first order, before anything goes out.
    pub(crate) fn cut_at_first(&mut self, now: Moment, key: ConnectionKey, how: &Cut) {
        self.on_connection(now, key, |app, cx| {
            app.spare_connection(key);
            if let Some(connection) = app.connections.get(&key) {
                let draft = Draft::new(EntryKind::Connection, format!("cut: {how}"));
                app.note(cx, draft.on(&connection.id));
            }
        });
    }

    /// The socket is gone, whoever ended it. `unwritten` is what was pushed to it and never left.
    pub(crate) fn closed(
        &mut self,
        now: Moment,
        key: ConnectionKey,
        reason: &str,
        unwritten: &[Arc<str>],
    ) {
        self.on_connection(now, key, |app, cx| {
            let id = app.connections.get(&key).map(|connection| Arc::clone(&connection.id));
            app.gone(cx, key, reason);
            if let Some(id) = id {
                app.unwritten(cx, (key, &id), unwritten);
            }
        });
        self.by_connection.remove(&key);
    }

    /// A text message came. `frame` was made from `text`, outside any lock.
    pub(crate) fn received(
        &mut self,
        now: Moment,
        key: ConnectionKey,
        frame: ClientFrame,
        text: Arc<str>,
    ) {
        self.on_connection(now, key, |app, cx| app.receive(cx, key, frame, text));
    }

    /// A binary message came.
    pub(crate) fn received_binary(&mut self, now: Moment, key: ConnectionKey, bytes: usize) {
        self.on_connection(now, key, |app, cx| app.receive_binary(cx, key, bytes));
    }

    /// A WebSocket ping came; the socket answers it by itself.
    pub(crate) fn pinged(&mut self, now: Moment, key: ConnectionKey) {
        self.on_connection(now, key, |app, cx| {
            if let Some(connection) = app.connections.get_mut(&key) {
                connection.last_ping_at = Some(cx.now.unix_ms);
            }
        });
    }

    /// The live connections of all apps.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.apps.values().map(|app| app.connections.len()).sum()
    }

    fn on_connection(
        &mut self,
        now: Moment,
        key: ConnectionKey,
        step: impl FnOnce(&mut App, &mut Cx<'_>),
    ) {
        if let Some(number) = self.by_connection.get(&key).copied() {
            self.with(now, number, step);
        }
    }
}
