//! Whatever happens in whatever order: the laws of the core hold.

mod ledger;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Action, AppInfo, AppOptions, BaseUrl, ClientFrame, ConnectionKey, ConnectionState, Cut,
    DeliveryRow, DeliveryRules, DeliveryState, Effect, ErrorBody, Fault, Fleet, FrameSelector,
    HttpCall, Moment, Outgoing, Profile, Reading, Routed, Say, Scale, Times, Turn, UpgradeVerdict,
    When, connection::Connection, fixture::fixture_names,
};

const APPS: usize = 3;

/// Something that can happen. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Happening {
    Open { app: usize, subscriptions: usize, secret: bool },
    Upgrade { ticket: usize },
    Opened { connection: usize },
    Closed { connection: usize, unwritten: bool },
    Say { app: usize },
    Push { app: usize, fixture: usize },
    PushEvent { app: usize },
    Ack { connection: usize, frame: usize, later: bool },
    Junk { connection: usize, text: String },
    Disconnect { app: usize },
    Cut { app: usize, how: usize },
    Fault { app: usize, fault: usize, times: usize },
    Rules { app: usize, rules: DeliveryRules },
    Wait { ms: u64 },
    Jump { ms: i32 },
    Turn { app: usize, turn: Turn },
    Call { path: usize, body: String },
    Delete { app: usize },
    Snapshot { slot: usize },
    Restore { slot: usize },
}

const SLOTS: usize = 2;

fn happening() -> impl Strategy<Value = Happening> {
    let n = 0..64_usize;
    prop_oneof![
        4 => (0..APPS, 0..4_usize, prop::bool::weighted(0.9))
            .prop_map(|(app, subscriptions, secret)| Happening::Open { app, subscriptions, secret }),
        4 => n.clone().prop_map(|ticket| Happening::Upgrade { ticket }),
        4 => n.clone().prop_map(|connection| Happening::Opened { connection }),
        1 => (n.clone(), any::<bool>())
            .prop_map(|(connection, unwritten)| Happening::Closed { connection, unwritten }),
        6 => (0..APPS).prop_map(|app| Happening::Say { app }),
        1 => (0..APPS, n.clone()).prop_map(|(app, fixture)| Happening::Push { app, fixture }),
        3 => (0..APPS).prop_map(|app| Happening::PushEvent { app }),
        5 => (n.clone(), n.clone(), any::<bool>())
            .prop_map(|(connection, frame, later)| Happening::Ack { connection, frame, later }),
        1 => (n.clone(), ".*").prop_map(|(connection, text)| Happening::Junk { connection, text }),
        1 => (0..APPS).prop_map(|app| Happening::Disconnect { app }),
        1 => (0..APPS, 0..4_usize).prop_map(|(app, how)| Happening::Cut { app, how }),
        2 => (0..APPS, n.clone(), n.clone())
            .prop_map(|(app, fault, times)| Happening::Fault { app, fault, times }),
        1 => (0..APPS, rules()).prop_map(|(app, rules)| Happening::Rules { app, rules }),
        4 => (0..APPS, turn()).prop_map(|(app, turn)| Happening::Turn { app, turn }),
        1 => any::<i32>().prop_map(|ms| Happening::Jump { ms }),
        4 => prop_oneof![0..5_000_u64, 0..200_000_u64].prop_map(|ms| Happening::Wait { ms }),
        1 => (0..6_usize, ".*").prop_map(|(path, body)| Happening::Call { path, body }),
        1 => (0..APPS).prop_map(|app| Happening::Delete { app }),
        2 => (0..SLOTS).prop_map(|slot| Happening::Snapshot { slot }),
        2 => (0..SLOTS).prop_map(|slot| Happening::Restore { slot }),
    ]
}

fn rules() -> impl Strategy<Value = DeliveryRules> {
    let profile =
        prop::sample::select(vec![Profile::Documented, Profile::Observed60s, Profile::Observed16s]);
    let ghost_for = prop_oneof![Just(0), 0..200_000_u64].prop_map(Duration::from_millis);
    (profile, any::<bool>(), ghost_for).prop_map(|(profile, same_message_id, ghost_for)| {
        DeliveryRules { profile, same_message_id, ghost_for }
    })
}

fn turn() -> impl Strategy<Value = Turn> {
    let ms = prop_oneof![8 => 0..200_000_u64, 1 => any::<u64>()];
    prop_oneof![
        3 => ms.prop_map(|ms| Turn::Advance(Duration::from_millis(ms))),
        2 => Just(Turn::Pause),
        2 => Just(Turn::Resume),
        1 => any::<i64>().prop_map(Turn::Jump),
        2 => (0.01..=1_000.0_f64).prop_map(|factor| Turn::Scale(Scale::new(factor).unwrap())),
    ]
}

/// Each action of frames and connections, and some of calls.
fn fault(index: usize, times: usize) -> Fault {
    let frame = |action| Fault::once(When::Frame(FrameSelector::default()), action);
    let connected = |action| Fault::once(When::Connected, action);
    let soon = Duration::from_secs(5);
    let faults = [
        Fault::once(When::Open, Action::Status(503, ErrorBody::Html)),
        Fault::once(When::Upgrade, Action::Status(403, ErrorBody::Empty)),
        Fault::once(When::Open, Action::Hang),
        Fault::once(When::Open, Action::Delay(soon)),
        Fault::once(When::Upgrade, Action::Delay(soon)),
        Fault::once(When::Upgrade, Action::AcceptThenCut(Cut::Rst)),
        Fault::once(When::Ack, Action::RequireShape),
        frame(Action::Lose),
        frame(Action::Duplicate(2)),
        frame(Action::Late(soon)),
        frame(Action::Late(Duration::MAX)),
        frame(Action::Reorder),
        frame(Action::Raw("no JSON".to_owned())),
        frame(Action::Oversize(3_000)),
        frame(Action::MessageId("fixed".to_owned())),
        frame(Action::Redeliver(soon)),
        frame(Action::CutAtFrame(Cut::Fin)),
        frame(Action::CutAtFrame(Cut::BlackHole)),
        connected(Action::Disconnect { closes: false }),
        connected(Action::Disconnect { closes: true }),
        connected(Action::CutAtOnce(Cut::Rst)),
        connected(Action::Mute),
        connected(Action::Unroute),
        connected(Action::LoseFirst),
    ];
    let times = [
        Times::First(1),
        Times::First(3),
        Times::Nth(2),
        Times::Every(2),
        Times::For(soon),
        Times::Chance { percent: 50, seed: 1 },
    ][times % 6];
    Fault { times, ..faults[index % faults.len()].clone() }
}

/// What the outside knows, kept apart from the core to judge it by.
struct World {
    fleet: Fleet,
    now: Moment,
    /// Name and secret of each app; `None` when it was deleted.
    apps: Vec<Option<(String, String)>>,
    /// Ticket, app, whether it was used.
    tickets: Vec<(String, usize, bool)>,
    connections: Vec<(ConnectionKey, usize)>,
    /// messageId, app, connection.
    frames: Vec<(String, usize, ConnectionKey)>,
    /// Whether something made frames share a messageId.
    repeats: bool,
    /// What each app's clock showed last.
    shown: Vec<Duration>,
    /// What was known when a snapshot was taken.
    kept: [Option<Known>; SLOTS],
}

/// What a snapshot has to bring back.
#[derive(Clone)]
struct Known {
    apps: Vec<Option<(String, String)>>,
    tickets: Vec<(String, usize, bool)>,
    shown: Vec<Option<Shown>>,
}

/// What is seen of an app.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    clock: Reading,
    info: AppInfo,
    summary: Vec<String>,
    /// Only while nothing waits for a connection, which a restore may bring about.
    deliveries: Option<Vec<DeliveryRow>>,
}

/// Status and JSON of a call: method, path and query.
fn call(
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
    fn new(seed: u64) -> Self {
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

    fn show(&self) -> Vec<Option<Shown>> {
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
    fn close_all(&mut self) {
        for connection in 0..self.connections.len() {
            self.happen(Happening::Closed { connection, unwritten: false });
        }
    }

    fn take_snapshot(&mut self, slot: usize) {
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

    fn restore(&mut self, slot: usize) {
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

    fn name(&self, app: usize) -> Option<String> {
        self.apps[app].as_ref().map(|(name, _)| name.clone())
    }

    fn call(&mut self, method: &str, path: &str, query: &str, body: &str) -> (u16, Value) {
        call(&mut self.fleet, self.now, (method, path, query), None, body)
    }

    #[expect(clippy::too_many_lines, reason = "one short arm for each thing that can happen")]
    fn happen(&mut self, happening: Happening) {
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
    fn carry_out(&mut self) {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_happenings_keeps_the_laws(
        seed: u64,
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new(seed);
        for happening in happenings {
            world.happen(happening);
        }
    }

    #[test]
    fn the_same_happenings_give_the_same_effects(
        seed: u64,
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let play = || {
            let mut world = World::new(seed);
            for happening in happenings.clone() {
                world.happen(happening);
            }
            let (entries, _) = world.fleet.journal(None, 0, usize::MAX).unwrap();
            serde_json::to_string(&entries.iter().map(|entry| &**entry).collect::<Vec<_>>()).unwrap()
        };
        prop_assert_eq!(play(), play());
    }

    #[test]
    fn the_same_happenings_after_a_restore_lead_to_the_same_state(
        seed: u64,
        before in prop::collection::vec(happening(), 1..60),
        after in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new(seed);
        for happening in before {
            world.happen(happening);
        }
        world.close_all();
        world.kept[0].take().map(|_| world.fleet.snapshots.remove("0"));
        world.take_snapshot(0);
        let known = (world.connections.len(), world.frames.len());
        let mut play = || {
            for happening in &after {
                if !matches!(happening, Happening::Snapshot { .. } | Happening::Restore { .. }) {
                    world.happen(happening.clone());
                }
            }
            world.close_all();
            let led_to = (world.show(), world.tickets.clone());
            world.restore(0);
            world.connections.truncate(known.0);
            world.frames.truncate(known.1);
            led_to
        };
        let first = play();
        prop_assert_eq!(first, play());
    }

    #[test]
    fn pushes_go_only_to_open_connections_that_subscribed(
        states in prop::collection::vec((0..4_usize, any::<bool>()), 1..12),
        seed: u64,
    ) {
        let mut world = World::new(seed);
        let mut right = HashSet::new();
        for (state, subscribed) in states {
            let known = world.connections.len();
            world.happen(Happening::Open { app: 0, subscriptions: usize::from(subscribed), secret: true });
            world.happen(Happening::Upgrade { ticket: world.tickets.len() - 1 });
            let (key, _) = world.connections[known];
            if state > 0 {
                world.happen(Happening::Opened { connection: known });
            }
            let name = world.name(0).unwrap();
            let now = world.now;
            match state {
                1 if subscribed => { right.insert(key); }
                2 => world.fleet.act(now, &name, |app, cx| {
                    app.disconnect(cx, key, "x", true);
                    Ok(())
                }).unwrap(),
                3 => world.happen(Happening::Closed { connection: known, unwritten: false }),
                _ => {}
            }
        }
        world.carry_out();
        let mut hit: HashMap<ConnectionKey, usize> = HashMap::new();
        for _ in 0..40 {
            world.happen(Happening::Say { app: 0 });
        }
        for (_, _, key) in &world.frames {
            *hit.entry(*key).or_default() += 1;
        }
        prop_assert!(hit.keys().all(|key| right.contains(key)));
        prop_assert_eq!(hit.is_empty(), right.is_empty());
        let app = world.fleet.app(&world.name(0).unwrap()).unwrap();
        let open = |c: &&Connection| c.state == ConnectionState::Open;
        prop_assert!(app.connections.values().filter(open).count() >= right.len());
    }

    #[test]
    fn reading_what_a_client_wrote_never_panics(text: String, bytes: Vec<u8>) {
        let _ = ClientFrame::parse(&text);
        let _ = ClientFrame::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn what_was_never_written_goes_to_another_connection() {
    let mut world = World::new(1);
    for connection in 0..2 {
        world.happen(Happening::Open { app: 0, subscriptions: 1, secret: true });
        world.happen(Happening::Upgrade { ticket: connection });
        world.happen(Happening::Opened { connection });
    }
    world.happen(Happening::Say { app: 0 });
    world.carry_out();
    let name = world.name(0).unwrap();
    let rows = |world: &World| world.fleet.app(&name).unwrap().delivery_rows(0);
    let to = |world: &World| world.frames.last().unwrap().2;
    let at = |world: &World| world.connections.iter().position(|(key, _)| *key == to(world));
    let first = to(&world);
    world.happen(Happening::Closed { connection: at(&world).unwrap(), unwritten: true });
    world.carry_out();
    let row = &rows(&world)[0];
    assert_eq!((row.attempts.len(), row.state), (1, DeliveryState::Sent), "as if it were new");
    assert_ne!(to(&world), first);
    // Nobody is left.
    world.happen(Happening::Closed { connection: at(&world).unwrap(), unwritten: true });
    let row = &rows(&world)[0];
    assert_eq!((row.attempts.len(), row.state), (0, DeliveryState::Lost));
}

#[test]
fn a_clock_that_stands_still_gathers_no_timers_of_what_is_gone() {
    let mut world = World::new(1);
    world.happen(Happening::Turn { app: 0, turn: Turn::Pause });
    let name = world.name(0).unwrap();
    for turn in 0..1_200 {
        world.happen(Happening::Open { app: 0, subscriptions: 1, secret: true });
        world.happen(Happening::Upgrade { ticket: turn });
        world.happen(Happening::Opened { connection: turn });
        world.happen(Happening::Closed { connection: turn, unwritten: false });
    }
    let left = world.fleet.timers(&name);
    assert!(left <= 1_001, "{left} timers");
}
