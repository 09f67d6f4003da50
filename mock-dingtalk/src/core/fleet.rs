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
    dial::{Dial, Reading, Turn},
    effect::Effect,
    fault::{Action, Cut, Faults, Point},
    findings::{Findings, Rule, Secrets, Seen},
    http::{HttpAnswer, HttpCall, Plan},
    ids::Mint,
    journal::{Diagnosis, Draft, Entry, EntryKind, Journals},
    lifetime,
    openapi::{Owner, Reply, Routed},
    redact::Kind,
    ring::Ring,
    snapshot::Snapshots,
    ticket::{TicketRefusal, Tickets},
    timer::{Schedule, Timer, Timers},
    verb_error::{VerbError, check_id, quoted},
};

/// The gateway and the OpenAPI of one mock.
///
/// Every method is an event; what it makes necessary is fetched with [`Fleet::take_effects`].
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(super) apps: BTreeMap<AppNumber, App>,
    pub(super) by_client_id: HashMap<Arc<str>, AppNumber>,
    by_connection: HashMap<ConnectionKey, AppNumber>,
    pub(super) tickets: Tickets,
    pub(super) schedule: Schedule,
    journals: Journals,
    effects: Vec<Effect>,
    pub(super) mint: Mint,
    pub(super) last_app: u32,
    last_connection: u64,
    unmatched: Ring<String>,
    /// What belongs to no app.
    pub(crate) findings: Findings,
    pub(crate) snapshots: Snapshots,
    /// Faults of TCP and TLS, before anybody knows whose a connection is.
    pub(super) tcp_faults: Faults,
    /// How apps are treated that are minted without a choice.
    lenient: bool,
}

/// What an upgrade request gets.
#[derive(Debug)]
pub(crate) enum UpgradeVerdict {
    /// 101, perhaps later (on the app's clock), perhaps ended at once.
    Accept { key: ConnectionKey, app: AppNumber, at: Option<Duration>, then: Option<Cut> },
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
            schedule: Schedule::default(),
            journals: Journals::default(),
            effects: Vec::new(),
            mint: Mint::new(seed),
            last_app: 0,
            last_connection: 0,
            unmatched: Ring::new(100, usize::MAX),
            findings: Findings::default(),
            snapshots: Snapshots::default(),
            tcp_faults: Faults::default(),
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
        let app = App::new(number, options, seed, now);
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
        self.schedule.forget(number);
        self.journals.forget(number);
        self.effects.push(Effect::Gone(number));
        Ok(())
    }

    /// Forgets everything but snapshots, and resets what is connected.
    pub(crate) fn reset(&mut self, now: Moment) {
        for app in self.infos() {
            self.delete_app(now, &app.client_id).expect("it was just listed");
        }
        self.tickets.clear();
        self.schedule.clear();
        self.journals.clear();
        self.unmatched = Ring::new(100, usize::MAX);
        self.findings = Findings::default();
        self.tcp_faults.clear(None);
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
        let now = self.local(now, number);
        let Self { apps, tickets, schedule, journals, effects, findings, .. } = self;
        let mut app = number.and_then(|number| apps.get_mut(&number));
        // Without an app nothing is planned.
        let mut nobodys = Timers::default();
        let timers = number.map_or(&mut nobodys, |number| schedule.of(number));
        let mut cx = Cx { now, effects, journals, timers };
        let point = Point::Call { method: &call.method, path: &call.path };
        let fault = app.as_mut().and_then(|app| app.faults.take(point, now.since_start));
        let instead = fault.as_ref().and_then(|fault| Reply::of_fault(fault, call.is_oapi()));
        let plan = Plan::of_fault(fault.as_ref(), now.since_start);
        let lenient = app.as_ref().is_some_and(|app| app.api.lenient);
        if instead.is_none() && routed.is_unmatched(lenient) {
            let number = self.unmatched.next_number();
            let path: String = call.path.chars().take(UNMATCHED_PATH).collect();
            self.unmatched.push(number, 0, format!("{} {path}", call.method), drop);
        }
        let silent = plan.is_silent();
        let reply = match instead {
            Some(reply) => reply,
            None if silent => Reply::ok(serde_json::Value::Null),
            None => {
                if let Some(app) = &mut app {
                    app.findings.answer_is_broken(fault.is_some());
                }
                let app = app.as_deref_mut().filter(|_| exact);
                routed.answer(&mut cx, app, tickets, call)
            }
        };
        let mint = app.as_mut().map_or(&mut self.mint, |app| &mut app.mint);
        let mut answer = reply.finish(mint);
        answer.plan = plan;
        answer.owner = number;
        if fault == Some(Action::Truncate) {
            if let Some(file) = &mut answer.file {
                file.truncate(file.len() / 2);
            }
            let half = answer.body.floor_char_boundary(answer.body.len() / 2);
            answer.body = answer.body[..half].into();
        }
        let text = match answer.plan.remark() {
            Some(remark) => format!("{} {}: fault, {remark}", call.method, call.path),
            None => format!("{} {}", call.method, call.path),
        };
        let draft = Draft::new(EntryKind::Http, text)
            .body(call.journaled())
            .answered(if silent { 0 } else { answer.status }, Arc::clone(&answer.body))
            .diagnosis(answer.diagnosis.clone());
        let owner = app.as_ref().map(|app| (app.number, &app.client_id));
        let entry = cx.journals.add(now.unix_ms, owner, draft);
        let secrets = app.as_ref().map(|app| Secrets {
            client_secret: app.client_secret.clone(),
            token: app.token.last().map(str::to_owned),
        });
        let findings = app.map_or(findings, |app| &mut app.findings);
        findings.judge_call(now, entry.seq, call, routed, &answer, secrets.as_ref());
        cx.effects.push(Effect::Journaled(entry));
        if let Some(app) = number.and_then(|number| apps.get(&number)) {
            schedule.renew(app.number, &app.clock);
        }
        answer
    }

    /// Calls for which the mock has no answer, the last hundred of them.
    pub(crate) fn unmatched(&self) -> Vec<String> {
        self.unmatched.after(0).map(|(_, call)| call.clone()).collect()
    }

    /// Something was turned away before it could be told whose it was. `status` is 0 where it
    /// was no HTTP.
    pub(crate) fn turned_away(&mut self, now: Moment, what: &str, status: u16, why: Diagnosis) {
        let rule = why.rule.unwrap_or(Rule::TurnedAway);
        let mut seen = Seen::new(rule, what, why.problem.as_str(), why.expected.as_str());
        seen.see = Some(why.see.clone());
        self.findings.add(now.unix_ms, self.journals.next_seq(), seen);
        let draft = Draft::new(EntryKind::Http, what).answered(status, "".into());
        self.note(now, draft.diagnosis(Some(why)));
    }

    // ---- WebSocket -----------------------------------------------------------------------

    /// A bot asks for the upgrade. The ticket is used up, unless a fault refuses first.
    pub(crate) fn upgrade(&mut self, now: Moment, ticket: &str) -> UpgradeVerdict {
        let owner = self.tickets.app(ticket);
        let local = self.local(now, owner);
        let fault = owner
            .and_then(|number| self.apps.get_mut(&number))
            .and_then(|app| app.faults.take(Point::Upgrade, local.since_start));
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
        match self.tickets.redeem(ticket, local.since_start) {
            Ok((number, open)) if self.apps.contains_key(&number) => {
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
        self.on_connection(now, key, |app, cx| {
            if let Some(connection) = app.connections.get_mut(&key) {
                connection.last_ping_at = Some(cx.now.unix_ms);
            }
        });
    }

    // ---- time ----------------------------------------------------------------------------

    /// When [`Fleet::tick`] has something to do, on the mock's clock.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.schedule.next()
    }

    /// The clock of an app, if there still is such an app.
    pub(crate) fn clock_of(&self, number: AppNumber) -> Option<&Dial> {
        self.apps.get(&number).map(|app| &app.clock)
    }

    /// What the clock of an app shows.
    pub(crate) fn read_clock(&self, now: Moment, client_id: &str) -> Result<Reading, VerbError> {
        Ok(self.app(client_id)?.clock.reading(now))
    }

    /// Turns the clock of an app, and does at once what has become due in it.
    pub(crate) fn turn_clock(
        &mut self,
        now: Moment,
        client_id: &str,
        turn: Turn,
    ) -> Result<Reading, VerbError> {
        self.act(now, client_id, |app, cx| {
            app.clock.turn(now, turn);
            cx.now = app.clock.read(now);
            app.note(cx, Draft::new(EntryKind::Control, turn.to_string()));
            // Who waits for a time looks at the clock again.
            app.changed(cx);
            Ok(())
        })?;
        self.tick(now);
        self.read_clock(now, client_id)
    }

    /// Does what is due in any app, each at its own time. A jump over many pings sends one.
    pub(crate) fn tick(&mut self, now: Moment) {
        while let Some(number) = self.schedule.next_app(now.since_start) {
            let local = self.local(now, Some(number));
            let Some((at, timer)) = self.schedule.pop_due(number, local.since_start) else {
                debug_assert!(false, "the schedule names an app in which nothing is due");
                self.schedule.forget(number);
                continue;
            };
            let known = match timer {
                Timer::Ping(key) | Timer::GraceOver(key) => self.by_connection.contains_key(&key),
                _ => true,
            };
            self.with(now, number, |app, cx| {
                if known {
                    app.come(cx, at, timer);
                }
            });
        }
    }

    // ---- journal -------------------------------------------------------------------------

    /// What [`Fleet::next_deadline`] has to be, found by looking at every app; and whether
    /// something that is due at `now` was not done.
    #[cfg(test)]
    pub(crate) fn deadline_by_search(&mut self, now: Moment) -> (Option<Duration>, bool) {
        let mut soonest: Option<Duration> = None;
        let mut overdue = false;
        for (number, app) in &self.apps {
            let Some(at) = self.schedule.of(*number).next() else { continue };
            overdue |= at <= app.clock.read(now).since_start;
            if let Some(due) = app.clock.outer_at(at) {
                soonest = Some(soonest.map_or(due, |soonest| soonest.min(due)));
            }
        }
        (soonest, overdue)
    }

    /// How many timers an app has.
    #[cfg(test)]
    pub(crate) fn timers(&mut self, client_id: &str) -> usize {
        self.number(client_id).map_or(0, |number| self.schedule.of(number).len())
    }

    /// The live connections of all apps.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.apps.values().map(|app| app.connections.len()).sum()
    }

    /// The secrets that apps have now.
    pub(crate) fn secrets(&self) -> Vec<(Kind, String)> {
        let of_apps = self.apps.values().flat_map(|app| {
            let token = app.token.last().map(|token| (Kind::Token, token.to_owned()));
            [Some((Kind::Secret, app.client_secret.clone())), token].into_iter().flatten()
        });
        of_apps.chain(self.tickets.ids().map(|id| (Kind::Ticket, id.to_owned()))).collect()
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

    /// The time of an app when the mock's clock shows `now`; that time itself where there is none.
    pub(crate) fn local(&self, now: Moment, number: Option<AppNumber>) -> Moment {
        let clock = number.and_then(|number| self.clock_of(number));
        clock.map_or(now, |clock| clock.read(now))
    }

    /// Writes a line into the mock's own journal.
    pub(super) fn note(&mut self, now: Moment, draft: Draft) {
        let entry = self.journals.add(now.unix_ms, None, draft);
        self.effects.push(Effect::Journaled(entry));
    }

    pub(super) fn with<R>(
        &mut self,
        now: Moment,
        number: AppNumber,
        step: impl FnOnce(&mut App, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let Self { apps, schedule, journals, effects, .. } = self;
        let app = apps.get_mut(&number)?;
        let now = app.clock.read(now);
        let timers = schedule.of(number);
        let result = step(app, &mut Cx { now, effects, journals, timers });
        if timers.is_crowded() {
            timers.sweep(|timer| app.awaits(timer));
        }
        schedule.renew(number, &app.clock);
        Some(result)
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

/// Letters of the path of a call that has no answer.
const UNMATCHED_PATH: usize = 1_000;

/// Six hex digits of every token and session.
const MAX_APP_NUMBER: u32 = 0x00ff_ffff;
