//! All apps of a mock, and the way in for everything that happens.

mod calls;
mod sockets;
mod time;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    Moment,
    app::{App, AppInfo, AppNumber, AppOptions, Cx},
    connection::ConnectionKey,
    effect::Effect,
    fault::{Cut, Faults},
    findings::Findings,
    http::HttpAnswer,
    ids::Mint,
    journal::{Draft, Entry, EntryKind, Journals},
    lifetime,
    mutation::Mutations,
    redact::Kind,
    ring::Ring,
    snapshot::Snapshots,
    ticket::Tickets,
    timer::Schedule,
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
    pub(super) mutations: Mutations,
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
            mutations: Mutations::default(),
        }
    }

    /// The same, with apps treated leniently unless they are minted otherwise.
    pub(crate) fn lenient(self, lenient: bool) -> Self {
        Self { lenient, ..self }
    }

    /// The same, wrong on purpose.
    pub(crate) fn wrong(self, mutations: Mutations) -> Self {
        Self { mutations, ..self }
    }

    /// What has to be done since the last call, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        self.mutations.misdirect(&mut effects, &self.by_connection);
        effects
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
        let mut app = App::new(number, options, seed, now);
        app.mutations = self.mutations;
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

    // ---- journal -------------------------------------------------------------------------

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
        app.keep_within(journals);
        schedule.renew(number, &app.clock);
        Some(result)
    }
}

/// Six hex digits of every token and session.
const MAX_APP_NUMBER: u32 = 0x00ff_ffff;
