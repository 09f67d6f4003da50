//! A fleet, and all that is known of it from outside, with the laws that hold at every moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::happening::{APPS, Happening, SLOTS, fault};
use crate::core::{
    Action, AppInfo, AppOptions, BaseUrl, ClientFrame, ConnectionKey, Cut, DeliveryRow,
    DeliveryState, Effect, Fleet, HttpCall, Moment, Outgoing, Reading, Routed, Say, UpgradeVerdict,
    fixture::fixture_names,
};

/// What the outside knows, kept apart from the core to judge it by.
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) now: Moment,
    /// Name and secret of each app; `None` when it was deleted.
    pub(super) apps: Vec<Option<(String, String)>>,
    /// Ticket, app, whether it was used.
    pub(super) tickets: Vec<(String, usize, bool)>,
    pub(super) connections: Vec<(ConnectionKey, usize)>,
    /// messageId, app, connection.
    pub(super) frames: Vec<(String, usize, ConnectionKey)>,
    /// Whether something made frames share a messageId.
    repeats: bool,
    /// What each app's clock showed last.
    shown: Vec<Duration>,
    /// What was known when a snapshot was taken.
    pub(super) kept: [Option<Known>; SLOTS],
}

/// What a snapshot has to bring back.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) apps: Vec<Option<(String, String)>>,
    pub(super) tickets: Vec<(String, usize, bool)>,
    shown: Vec<Option<Shown>>,
}

/// What is seen of an app.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    clock: Reading,
    info: AppInfo,
    summary: Vec<String>,
    /// Only while nothing waits for a connection, which a restore may bring about.
    deliveries: Option<Vec<DeliveryRow>>,
}

/// Status and JSON of a call: method, path and query.
pub(super) fn call(
    fleet: &mut Fleet,
    now: Moment,
    (method, path, query): (&str, &str, &str),
    token: Option<String>,
    body: &str,
) -> (u16, Value) {
    let call = HttpCall {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        content_type: Some("application/json".to_owned()),
        token,
        host: None,
        accept: Some("application/json".to_owned()),
        authorization: None,
        peer: None,
        base: BaseUrl::plain("mock:1"),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let answer = fleet.http(now, &call, &Routed::new(&call));
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut fleet = Fleet::new(seed);
        let now = Moment { since_start: Duration::ZERO, unix_ms: 1_780_000_000_000 };
        let apps = (0..APPS)
            .map(|_| {
                let info = fleet.mint_app(now, AppOptions::default()).unwrap();
                Some((info.client_id, info.client_secret))
            })
            .collect();
        Self {
            fleet,
            now,
            apps,
            tickets: Vec::new(),
            connections: Vec::new(),
            frames: Vec::new(),
            repeats: false,
            shown: vec![Duration::ZERO; APPS],
            kept: [const { None }; SLOTS],
        }
    }

    pub(super) fn show(&self) -> Vec<Option<Shown>> {
        let show = |name: &String| {
            let app = self.fleet.app(name).unwrap();
            let people: Vec<_> = app.people.all().collect();
            let chats: Vec<_> = app.conversations.all().collect();
            Shown {
                clock: self.fleet.read_clock(self.now, name).unwrap(),
                info: app.info(),
                summary: vec![
                    format!("{people:?}"),
                    format!("{chats:?}"),
                    format!("{:?}", app.sent_rows()),
                    format!("{:?}", app.token),
                ],
                deliveries: app.queued.is_empty().then(|| app.delivery_rows(0)),
            }
        };
        self.apps.iter().map(|app| app.as_ref().map(|(name, _)| show(name))).collect()
    }

    /// Closes all connections, so that no socket outlives a restore.
    pub(super) fn close_all(&mut self) {
        for connection in 0..self.connections.len() {
            self.happen(Happening::Closed { connection, unwritten: false });
        }
    }

    pub(super) fn take_snapshot(&mut self, slot: usize) {
        let name = slot.to_string();
        // A snapshot is taken after what was due.
        self.fleet.tick(self.now);
        if self.kept[slot].is_some() {
            assert!(self.fleet.take_snapshot(self.now, &name).is_err(), "the name is in use");
            self.fleet.snapshots.remove(&name).unwrap();
        }
        self.fleet.take_snapshot(self.now, &name).unwrap();
        let (apps, tickets) = (self.apps.clone(), self.tickets.clone());
        self.kept[slot] = Some(Known { apps, tickets, shown: self.show() });
    }

    pub(super) fn restore(&mut self, slot: usize) {
        let name = slot.to_string();
        let before = self.now;
        let Some(known) = self.kept[slot].clone() else {
            assert!(self.fleet.restore(before, &name).is_err(), "there is no such snapshot");
            return;
        };
        self.fleet.tick(self.now);
        let journal = self.fleet.journal(None, 0, usize::MAX).unwrap().0.len();
        let deleted =
            self.apps.iter().zip(&known.apps).any(|(now, then)| then.is_none() && now.is_some());
        self.fleet.restore(self.now, &name).unwrap();
        let entries = self.fleet.journal(None, 0, usize::MAX).unwrap().0.len();
        assert!(deleted || entries > journal, "the journal is history");
        (self.apps, self.tickets) = (known.apps, known.tickets);
        for (now, then) in self.show().into_iter().zip(known.shown) {
            match (now, then) {
                (Some(now), Some(then)) => {
                    assert_eq!((&now.clock, &now.info), (&then.clock, &then.info));
                    assert_eq!(now.summary, then.summary);
                    if then.deliveries.is_some() {
                        assert_eq!(now.deliveries, then.deliveries);
                    }
                }
                (now, then) => assert_eq!(now, then),
            }
        }
        assert!(!self.fleet.deadline_by_search(self.now).1, "something is overdue");
        // Ids that were undone are drawn again, and time went back.
        self.repeats = true;
        self.shown = vec![Duration::ZERO; APPS];
    }

    /// The frames that were pushed to a connection, as far as it matters.
    fn pushed_to(&self, key: ConnectionKey) -> Vec<Arc<str>> {
        let frames = self.frames.iter().filter(|(_, _, to)| *to == key);
        let text = |(id, ..): &(String, usize, ConnectionKey)| {
            serde_json::json!({ "headers": { "messageId": id } }).to_string().into()
        };
        frames.map(text).collect()
    }

    pub(super) fn name(&self, app: usize) -> Option<String> {
        self.apps[app].as_ref().map(|(name, _)| name.clone())
    }

    fn call(&mut self, method: &str, path: &str, query: &str, body: &str) -> (u16, Value) {
        call(&mut self.fleet, self.now, (method, path, query), None, body)
    }

    #[expect(clippy::too_many_lines, reason = "one short arm for each thing that can happen")]
    pub(super) fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Open { app, subscriptions, secret } => {
                let Some((name, right)) = self.apps[app].clone() else { return };
                let topic = "/v1.0/im/bot/messages/get";
                let subscriptions = [
                    json!([{"type": "CALLBACK", "topic": "/v1.0/card/instances/callback"}]),
                    json!([{"type": "CALLBACK", "topic": topic}]),
                    json!([{"type": "EVENT", "topic": "*"}]),
                    json!([{"type": "CALLBACK", "topic": topic}, {"type": "EVENT", "topic": "*"}]),
                ][subscriptions]
                    .clone();
                let secret = if secret { right } else { "wrong".to_owned() };
                let body = json!({
                    "clientId": name, "clientSecret": secret, "subscriptions": subscriptions,
                });
                let path = "/v1.0/gateway/connections/open";
                let (status, answer) = self.call("POST", path, "", &body.to_string());
                if let Some(ticket) = answer["ticket"].as_str().filter(|_| status == 200) {
                    self.tickets.push((ticket.to_owned(), app, false));
                }
            }
            Happening::Upgrade { ticket } => {
                let count = self.tickets.len();
                let Some((ticket, app, used)) = self.tickets.get_mut(ticket % count.max(1)) else {
                    return;
                };
                if let UpgradeVerdict::Accept { key, .. } = self.fleet.upgrade(now, ticket) {
                    assert!(!*used, "a ticket was accepted twice");
                    *used = true;
                    self.connections.push((key, *app));
                }
            }
            Happening::Opened { connection } => {
                if let Some((key, _)) = self.pick(connection) {
                    self.fleet.opened(now, key);
                }
            }
            Happening::Closed { connection, unwritten } => {
                if let Some((key, _)) = self.pick(connection) {
                    let unwritten = if unwritten { self.pushed_to(key) } else { Vec::new() };
                    self.fleet.closed(now, key, "closed", &unwritten);
                }
            }
            Happening::Say { app } => {
                let Some(name) = self.name(app) else { return };
                let say = Say {
                    from: "user0001".to_owned(),
                    conversation: None,
                    text: format!("for app {app}"),
                };
                self.fleet.act(now, &name, |app, cx| app.say(cx, &say)).unwrap();
            }
            Happening::Push { app, fixture } => {
                let Some(name) = self.name(app) else { return };
                let fixture = fixture_names().nth(fixture % fixture_names().count()).unwrap();
                // Acks are no frames of a server; they are refused.
                let _ = self.fleet.act(now, &name, |app, cx| app.push_fixture(cx, fixture));
            }
            Happening::PushEvent { app } => {
                let Some(name) = self.name(app) else { return };
                let event = "stream/event_user_add_org";
                self.fleet.act(now, &name, |app, cx| app.push_fixture(cx, event)).unwrap();
            }
            Happening::Ack { connection, frame, later } => {
                let (Some((key, _)), false) = (self.pick(connection), self.frames.is_empty())
                else {
                    return;
                };
                let recent = self.frames.len().min(8);
                let (id, _, _) = &self.frames[self.frames.len() - 1 - frame % recent];
                let data = if later { r#"{"status":"LATER"}"# } else { "{}" };
                let text = json!({"code": 200, "headers": {"messageId": id}, "data": data});
                let text = text.to_string();
                let frame = ClientFrame::parse(&text);
                self.fleet.received(now, key, frame, text.into());
            }
            Happening::Junk { connection, text } => {
                if let Some((key, _)) = self.pick(connection) {
                    self.fleet.received(now, key, ClientFrame::parse(&text), text.as_str().into());
                    self.fleet.received_binary(now, key, text.len());
                    self.fleet.pinged(now, key);
                }
            }
            Happening::Disconnect { app } => {
                let Some(name) = self.name(app) else { return };
                self.fleet
                    .act(now, &name, |app, cx| {
                        for key in app.named("all")? {
                            app.disconnect(cx, key, "rotation", true);
                        }
                        Ok(())
                    })
                    .unwrap();
            }
            Happening::Cut { app, how } => {
                let Some(name) = self.name(app) else { return };
                let close = Cut::Close { code: 1001, reason: String::new() };
                let how = [Cut::Rst, Cut::Fin, Cut::BlackHole, close][how].clone();
                self.fleet
                    .act(now, &name, |app, cx| {
                        if let Some(key) = app.named("all")?.first() {
                            app.cut(cx, *key, how, "cut");
                        }
                        Ok(())
                    })
                    .unwrap();
            }
            Happening::Fault { app, fault: index, times } => {
                let Some(name) = self.name(app) else { return };
                let fault = fault(index, times);
                let action = &fault.action;
                self.repeats |= matches!(action, Action::Duplicate(_) | Action::MessageId(_));
                self.fleet.act(now, &name, |app, cx| app.add_fault(cx, fault)).unwrap();
            }
            Happening::Rules { app, rules } => {
                let Some(name) = self.name(app) else { return };
                self.repeats |= rules.same_message_id;
                self.fleet
                    .act(now, &name, |app, _| {
                        app.delivery = rules;
                        Ok(())
                    })
                    .unwrap();
            }
            Happening::Wait { ms } => {
                self.now.since_start += Duration::from_millis(ms);
                self.now.unix_ms += i64::try_from(ms).unwrap();
                self.fleet.tick(self.now);
                assert!(!self.fleet.deadline_by_search(self.now).1, "something is overdue");
            }
            Happening::Jump { ms } => {
                self.now.unix_ms += i64::from(ms);
                self.fleet.tick(self.now);
            }
            Happening::Turn { app, turn } => {
                let Some(name) = self.name(app) else { return };
                let others = |fleet: &Fleet| {
                    let others = fleet.infos().into_iter().filter(|info| info.client_id != name);
                    others
                        .map(|info| fleet.read_clock(now, &info.client_id).unwrap())
                        .collect::<Vec<_>>()
                };
                self.fleet.tick(now);
                let before = others(&self.fleet);
                let shown = self.fleet.turn_clock(now, &name, turn).unwrap();
                assert_eq!(others(&self.fleet), before, "a turn moved another app");
                assert_eq!(self.fleet.read_clock(now, &name), Ok(shown));
                assert!(!self.fleet.deadline_by_search(now).1, "something is overdue");
            }
            Happening::Call { path, body } => {
                let path = [
                    "/v1.0/gateway/connections/open",
                    "/v1.0/oauth2/accessToken",
                    "/gettoken",
                    "/robot/sendBySession",
                    "/v1.0/robot/oToMessages/batchSend",
                    "/nothing",
                ][path];
                for method in ["GET", "POST"] {
                    let (status, _) = self.call(method, path, &body, &body);
                    assert!(status < 500, "{method} {path} {body:?}: {status}");
                }
            }
            Happening::Delete { app } => {
                if let Some((name, _)) = self.apps[app].take() {
                    self.fleet.delete_app(now, &name).unwrap();
                }
            }
            Happening::Snapshot { slot } => self.take_snapshot(slot),
            Happening::Restore { slot } => self.restore(slot),
        }
        self.carry_out();
        self.check();
    }

    fn pick(&self, index: usize) -> Option<(ConnectionKey, usize)> {
        let count = self.connections.len();
        (count > 0).then(|| self.connections[index % count])
    }

    /// Reads what went out the way a bot would.
    pub(super) fn carry_out(&mut self) {
        for effect in self.fleet.take_effects() {
            let Effect::Send { connection, frame } = effect else { continue };
            let (_, app) = *self
                .connections
                .iter()
                .find(|(key, _)| *key == connection)
                .expect("frames go to connections that were accepted");
            let Outgoing::Text(text) = frame else { continue };
            if let Ok(frame) = serde_json::from_str::<Value>(&text) {
                self.check_frame(&frame, &text, connection, app);
            }
        }
    }

    fn check_frame(&mut self, frame: &Value, text: &str, key: ConnectionKey, app: usize) {
        if let Some(rest) = text.split("for app ").nth(1) {
            assert!(rest.starts_with(&app.to_string()), "a message went to another app");
        }
        if frame["type"] == "CALLBACK"
            && text.contains("for app ")
            && let Some(id) = frame["headers"]["messageId"].as_str()
        {
            let known = self.frames.iter().any(|(known, ..)| known == id);
            assert!(self.repeats || !known, "a messageId came twice");
            self.frames.push((id.to_owned(), app, key));
        } else if frame["type"] == "EVENT"
            && let Some(id) = frame["headers"]["messageId"].as_str()
        {
            self.frames.push((id.to_owned(), app, key));
        }
    }

    /// The laws that hold at every moment.
    fn check(&mut self) {
        let (soonest, _) = self.fleet.deadline_by_search(self.now);
        assert_eq!(self.fleet.next_deadline(), soonest, "the index is wrong");
        for (app, shown) in self.apps.iter().zip(&mut self.shown) {
            let Some((name, _)) = app else { continue };
            let now = self.fleet.read_clock(self.now, name).unwrap().moment.since_start;
            assert!(now >= *shown, "the time of an app went back");
            *shown = now;
        }
        for (number, app) in self.apps.iter().enumerate() {
            let Some((name, _)) = app else { continue };
            let app = self.fleet.app(name).unwrap();
            let rows = app.delivery_rows(0);
            let answered = rows.iter().filter(|row| row.ack.is_some()).count();
            assert_eq!(app.acked_count(), answered);
            let counted: u64 = app.connection_rows().iter().map(|row| row.acks).sum();
            assert_eq!(counted, answered as u64, "each answered push is counted once");
            for row in rows {
                assert_eq!(row.ack.is_some(), row.acks > 0);
                match row.state {
                    DeliveryState::Lost => assert!(row.attempts.is_empty()),
                    DeliveryState::Acked => assert!(row.ack.is_some()),
                    DeliveryState::Sent => assert!(!row.attempts.is_empty()),
                    _ => assert_eq!(row.kind, "EVENT"),
                }
                assert!(row.attempts.len() <= if row.kind == "EVENT" { 3 } else { 2 });
            }
            let (entries, _) = self.fleet.journal(Some(name), 0, usize::MAX).unwrap();
            assert!(entries.iter().all(|entry| entry.app.as_deref() == Some(name)));
            let ids: HashSet<_> = app.connections.values().map(|c| &c.id).collect();
            assert_eq!(ids.len(), app.connections.len(), "two live connections have one id");
            for connection in app.connections.values() {
                let owner = self.connections.iter().find(|(key, _)| *key == connection.key);
                assert_eq!(owner.map(|(_, app)| *app), Some(number));
            }
        }
        assert!(self.fleet.live() <= self.connections.len());
    }
}
