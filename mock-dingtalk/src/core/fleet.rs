//! All apps of a mock, and the way in for everything that happens.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    Moment,
    ack::ClientFrame,
    app::{App, AppInfo, AppNumber, AppOptions, Cx},
    connection::{Connection, ConnectionKey, ConnectionState},
    effect::Effect,
    fault::{Action, Cut, Point},
    http::{HttpAnswer, HttpCall, Plan},
    ids::Mint,
    journal::{Diagnosis, Draft, Entry, EntryKind, Journals},
    lifetime,
    openapi::{Owner, Reply, Routed},
    ring::Ring,
    ticket::{TicketRefusal, Tickets},
    timer::{Timer, Timers},
    verb_error::{VerbError, check_id, quoted},
};

/// The gateway and the OpenAPI of one mock.
///
/// Every method is an event; what it makes necessary is fetched with [`Fleet::take_effects`].
#[derive(Debug)]
pub(crate) struct Fleet {
    apps: BTreeMap<AppNumber, App>,
    by_client_id: HashMap<Arc<str>, AppNumber>,
    by_connection: HashMap<ConnectionKey, AppNumber>,
    tickets: Tickets,
    timers: Timers,
    journals: Journals,
    effects: Vec<Effect>,
    mint: Mint,
    last_app: u32,
    last_connection: u64,
    unmatched: Ring<String>,
    /// How apps are treated that are minted without a choice.
    lenient: bool,
}

/// What an upgrade request gets.
#[derive(Debug)]
pub(crate) enum UpgradeVerdict {
    /// 101, perhaps later, perhaps ended at once.
    Accept { key: ConnectionKey, at: Option<Duration>, then: Option<Cut> },
    /// Anything but 101.
    Answer(HttpAnswer),
}

impl Fleet {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            apps: BTreeMap::new(),
            by_client_id: HashMap::new(),
            by_connection: HashMap::new(),
            tickets: Tickets::default(),
            timers: Timers::default(),
            journals: Journals::default(),
            effects: Vec::new(),
            mint: Mint::new(seed),
            last_app: 0,
            last_connection: 0,
            unmatched: Ring::new(100, usize::MAX),
            lenient: false,
        }
    }

    /// The same, with apps treated leniently unless they are minted otherwise.
    pub(crate) fn lenient(self, lenient: bool) -> Self {
        Self { lenient, ..self }
    }

    /// What has to be done since the last call, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    // ---- apps ----------------------------------------------------------------------------

    pub(crate) fn mint_app(
        &mut self,
        now: Moment,
        mut options: AppOptions,
    ) -> Result<AppInfo, VerbError> {
        options.lenient.get_or_insert(self.lenient);
        for (field, value) in [
            ("clientId", &options.client_id),
            ("clientSecret", &options.client_secret),
            ("robotCode", &options.robot_code),
            ("corpId", &options.corp_id),
        ] {
            if let Some(value) = value {
                check_id(field, value)?;
            }
        }
        if let Some(name) = &options.client_id
            && (name.contains('/') || name.trim() != name)
        {
            let allowed = "an id without blanks around it and without a slash";
            return Err(VerbError::invalid("clientId", quoted(name), allowed));
        }
        if let Some(name) = options.client_id.as_deref().filter(|id| self.number(id).is_some()) {
            return Err(VerbError::Exists { what: "app", name: name.to_owned() });
        }
        if self.apps.len() >= lifetime::APPS || self.last_app >= MAX_APP_NUMBER {
            return Err(VerbError::TooMany { what: "apps", limit: lifetime::APPS });
        }
        self.last_app += 1;
        let number = AppNumber(self.last_app);
        let seed = options.seed.unwrap_or_else(|| self.mint.seed());
        let app = App::new(number, options, seed);
        if self.number(&app.client_id).is_some() {
            // Two apps with one seed mint the same id.
            return Err(VerbError::Exists { what: "app", name: app.client_id.to_string() });
        }
        let info = app.info();
        self.by_client_id.insert(Arc::clone(&app.client_id), number);
        self.apps.insert(number, app);
        self.with(now, number, |app, cx| {
            app.note(cx, Draft::new(EntryKind::Control, "app minted"));
        });
        Ok(info)
    }

    pub(crate) fn delete_app(&mut self, now: Moment, client_id: &str) -> Result<(), VerbError> {
        let number = self.require(client_id)?;
        self.with(now, number, |app, cx| {
            for key in app.connections.keys().copied().collect::<Vec<_>>() {
                app.cut(cx, key, Cut::Rst, "the app was deleted");
            }
        });
        if let Some(app) = self.apps.remove(&number) {
            self.by_client_id.remove(&app.client_id);
        }
        self.by_connection.retain(|_, owner| *owner != number);
        self.tickets.forget_app(number);
        self.journals.forget(number);
        self.effects.push(Effect::Gone(number));
        Ok(())
    }

    /// Forgets everything, and resets what is connected.
    pub(crate) fn reset(&mut self, now: Moment) {
        for app in self.infos() {
            self.delete_app(now, &app.client_id).expect("it was just listed");
        }
        self.tickets.clear();
        self.timers.clear();
        self.journals.clear();
        self.unmatched = Ring::new(100, usize::MAX);
    }

    pub(crate) fn infos(&self) -> Vec<AppInfo> {
        self.apps.values().map(App::info).collect()
    }

    pub(crate) fn number(&self, client_id: &str) -> Option<AppNumber> {
        self.by_client_id.get(client_id).copied()
    }

    pub(crate) fn require(&self, client_id: &str) -> Result<AppNumber, VerbError> {
        self.number(client_id)
            .ok_or_else(|| VerbError::NotFound { what: "app", name: client_id.to_owned() })
    }

    /// An app to look at.
    pub(crate) fn app(&self, client_id: &str) -> Result<&App, VerbError> {
        let number = self.require(client_id)?;
        Ok(&self.apps[&number])
    }

    /// Uses a verb on an app.
    pub(crate) fn act<R>(
        &mut self,
        now: Moment,
        client_id: &str,
        verb: impl FnOnce(&mut App, &mut Cx<'_>) -> Result<R, VerbError>,
    ) -> Result<R, VerbError> {
        let number = self.require(client_id)?;
        self.with(now, number, verb).expect("a listed app exists")
    }

    // ---- HTTP ----------------------------------------------------------------------------

    /// A bot calls one of DingTalk's APIs. `routed` was made from `call`, outside any lock.
    pub(crate) fn http(&mut self, now: Moment, call: &HttpCall, routed: &Routed) -> HttpAnswer {
        let number = match routed.owner() {
            Owner::ClientId(id) => self.number(id.trim()),
            Owner::Number(number) => Some(*number).filter(|number| self.apps.contains_key(number)),
            Owner::Nobody => None,
        };
        // An id with blanks around it finds the app for faults and journal, and is refused below.
        let exact = match routed.owner() {
            Owner::ClientId(id) => id.trim() == id,
            _ => true,
        };
        let Self { apps, tickets, timers, journals, effects, .. } = self;
        let mut app = number.and_then(|number| apps.get_mut(&number));
        let now = now.jumped(app.as_ref().map_or(0, |app| app.wall_jump_ms));
        let mut cx = Cx { now, effects, journals, timers };
        let fault =
            app.as_mut().and_then(|app| app.faults.take(Point::Path(&call.path), now.since_start));
        let instead = fault.as_ref().and_then(|fault| Reply::of_fault(fault, call.is_oapi()));
        let plan = match &fault {
            Some(Action::Hang) => Plan::Never,
            Some(Action::Drop(how)) => Plan::Cut(how.clone()),
            Some(Action::Delay(by)) => Plan::At(now.since_start.saturating_add(*by)),
            _ => Plan::Now,
        };
        let lenient = app.as_ref().is_some_and(|app| app.api.lenient);
        if instead.is_none() && routed.is_unmatched(lenient) {
            let number = self.unmatched.next_number();
            self.unmatched.push(number, 0, format!("{} {}", call.method, call.path), drop);
        }
        let silent = matches!(plan, Plan::Never | Plan::Cut(_));
        let reply = match instead {
            Some(reply) => reply,
            None if silent => Reply::ok(serde_json::Value::Null),
            None => {
                let app = app.as_deref_mut().filter(|_| exact);
                routed.answer(&mut cx, app, tickets, call)
            }
        };
        let mint = app.as_mut().map_or(&mut self.mint, |app| &mut app.mint);
        let mut answer = reply.finish(mint);
        answer.plan = plan;
        if fault == Some(Action::Truncate) {
            let half = answer.body.floor_char_boundary(answer.body.len() / 2);
            answer.body = answer.body[..half].into();
        }
        let text = match answer.plan {
            Plan::Never => format!("{} {}: fault, no answer", call.method, call.path),
            Plan::Cut(_) => format!("{} {}: fault, connection cut", call.method, call.path),
            Plan::At(_) => format!("{} {}: fault, answered late", call.method, call.path),
            Plan::Now => format!("{} {}", call.method, call.path),
        };
        let draft = Draft::new(EntryKind::Http, text)
            .body(call.journaled())
            .answered(if silent { 0 } else { answer.status }, Arc::clone(&answer.body))
            .diagnosis(answer.diagnosis.clone());
        let owner = app.map(|app| (app.number, &app.client_id));
        let entry = cx.journals.add(now.unix_ms, owner, draft);
        cx.effects.push(Effect::Journaled(entry));
        answer
    }

    /// Calls for which the mock has no answer, the last hundred of them.
    pub(crate) fn unmatched(&self) -> Vec<String> {
        self.unmatched.after(0).map(|(_, call)| call.clone()).collect()
    }

    /// Something was turned away before it could be told whose it was. `status` is 0 where it
    /// was no HTTP.
    pub(crate) fn turned_away(&mut self, now: Moment, what: &str, status: u16, why: Diagnosis) {
        let draft = Draft::new(EntryKind::Http, what).answered(status, "".into());
        let entry = self.journals.add(now.unix_ms, None, draft.diagnosis(Some(why)));
        self.effects.push(Effect::Journaled(entry));
    }

    // ---- WebSocket -----------------------------------------------------------------------

    /// A bot asks for the upgrade. The ticket is used up, unless a fault refuses first.
    pub(crate) fn upgrade(&mut self, now: Moment, ticket: &str) -> UpgradeVerdict {
        let owner = self.tickets.app(ticket);
        let fault = owner
            .and_then(|number| self.apps.get_mut(&number))
            .and_then(|app| app.faults.take(Point::Upgrade, now.since_start));
        let mut at = None;
        let mut then = None;
        match fault {
            None => {}
            Some(Action::Delay(by)) => at = Some(now.since_start.saturating_add(by)),
            Some(Action::AcceptThenCut(how)) => then = Some(how),
            Some(action) => {
                let reply = Reply::of_fault(&action, false)
                    .unwrap_or_else(|| Reply::ok(serde_json::Value::Null));
                let mut answer = reply.finish(&mut self.mint);
                answer.plan = match action {
                    Action::Hang => Plan::Never,
                    Action::Drop(how) => Plan::Cut(how),
                    _ => Plan::Now,
                };
                self.note_upgrade(now, owner, "fault", answer.status, None);
                return UpgradeVerdict::Answer(answer);
            }
        }
        match self.tickets.redeem(ticket, now) {
            Ok((number, open)) if self.apps.contains_key(&number) => {
                self.last_connection += 1;
                let key = ConnectionKey(self.last_connection);
                self.by_connection.insert(key, number);
                self.with(now, number, |app, _| {
                    let id: Arc<str> = app.mint.uuid().to_string().into();
                    app.connections.insert(key, Connection::new(key, id, open, now));
                });
                UpgradeVerdict::Accept { key, at, then }
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
                self.note_upgrade(now, owner, problem, 401, Some(diagnosis));
                UpgradeVerdict::Answer(answer)
            }
        }
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

    /// The socket is gone, whoever ended it.
    pub(crate) fn closed(&mut self, now: Moment, key: ConnectionKey, reason: &str) {
        self.on_connection(now, key, |app, cx| app.gone(cx, key, reason));
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
        self.on_connection(now, key, |app, _| {
            if let Some(connection) = app.connections.get_mut(&key) {
                connection.last_ping_at = Some(now.unix_ms);
            }
        });
    }

    // ---- time ----------------------------------------------------------------------------

    /// When [`Fleet::tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Does what is due, each at its own time. A jump over many pings sends one.
    pub(crate) fn tick(&mut self, now: Moment) {
        while let Some((at, timer)) = self.timers.pop_due(now.since_start) {
            let then = now.at(at);
            match timer {
                Timer::Ping(key) => {
                    self.on_connection(now, key, |app, cx| {
                        app.ping(cx, key);
                        let open = app.connections.get(&key);
                        if open.is_some_and(|c| c.state == ConnectionState::Open) {
                            cx.plan(lifetime::PING_INTERVAL, Timer::Ping(key));
                        }
                    });
                }
                Timer::GraceOver(key) => {
                    self.on_connection(then, key, |app, cx| {
                        app.cut(cx, key, Cut::Rst, "the grace after disconnect is over");
                    });
                }
                Timer::AckDeadline(number, seq, attempt) => {
                    self.with(then, number, |app, cx| app.ack_deadline(cx, seq, attempt));
                }
                Timer::Redeliver(number, seq) => {
                    self.with(then, number, |app, cx| app.redeliver(cx, seq));
                }
                Timer::GhostOver(number, key) => {
                    self.with(then, number, |app, cx| app.end(cx, key, "noticed at last"));
                }
                Timer::Late(number, slot) => {
                    self.with(then, number, |app, cx| app.send_late(cx, slot));
                }
                Timer::PushAgain(number, seq) => {
                    self.with(then, number, |app, cx| app.push_again(cx, seq));
                }
            }
        }
    }

    // ---- journal -------------------------------------------------------------------------

    /// The live connections of all apps.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.apps.values().map(|app| app.connections.len()).sum()
    }

    /// Entries of one app or of all, and how many were dropped.
    pub(crate) fn journal(
        &self,
        client_id: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Entry>>, u64), VerbError> {
        match client_id {
            Some(client_id) => Ok(self.journals.of(self.require(client_id)?, after, limit)),
            None => Ok(self.journals.all(after, limit)),
        }
    }

    // ---- inside --------------------------------------------------------------------------

    fn with<R>(
        &mut self,
        now: Moment,
        number: AppNumber,
        step: impl FnOnce(&mut App, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let Self { apps, timers, journals, effects, .. } = self;
        let app = apps.get_mut(&number)?;
        let now = now.jumped(app.wall_jump_ms);
        Some(step(app, &mut Cx { now, effects, journals, timers }))
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

/// Six hex digits of every token and session.
const MAX_APP_NUMBER: u32 = 0x00ff_ffff;
