//! An app is a world: nothing in it is seen by another app.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{
    Moment,
    base_url::BaseUrl,
    connection::{Connection, ConnectionKey, ConnectionRow, ConnectionState},
    conversation::Conversations,
    delivery::{Deliveries, DeliveryRow},
    dial::Dial,
    effect::{Effect, Outgoing},
    fault::{Cut, Faults, Happening},
    findings::Findings,
    frame_faults::Held,
    ids::Mint,
    journal::{Draft, EntryKind, Journals},
    lifetime,
    mutation::{Mutation, Mutations},
    openapi::ApiState,
    people::People,
    permission::{Permission, Permissions},
    profile::DeliveryRules,
    ring::Ring,
    sent::{KeptRow, SentRow},
    session::Sessions,
    timer::{Timer, Timers},
    token::AccessToken,
};

/// Names an app inside the mock, in the order of minting. Reused only after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AppNumber(pub(crate) u32);

/// What may be chosen when an app is minted; the rest is made up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppOptions {
    /// `clientId`, the app's name everywhere.
    pub client_id: Option<String>,
    /// `clientSecret`.
    pub client_secret: Option<String>,
    /// `robotCode`; equals the `clientId` unless chosen, as it does for enterprise apps.
    pub robot_code: Option<String>,
    /// `corpId`.
    pub corp_id: Option<String>,
    /// Seed of every id and choice of this app.
    pub seed: Option<u64>,
    /// Whether server-made URLs are `https` and `wss` with an explicit port; see
    /// [`AppOptions::tls`].
    pub tls: bool,
    /// How its pushes behave where the sources leave it open.
    pub delivery: DeliveryRules,
    /// Whether what only the mock's own strictness refuses is taken, with a remark; as the mock
    /// was started if not chosen.
    pub lenient: Option<bool>,
    /// What it may not do; see [`App::revoke`](crate::App::revoke).
    pub missing_permissions: Vec<Permission>,
}

impl AppOptions {
    /// Chooses the `clientId`.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Chooses the `clientSecret`.
    #[must_use]
    pub fn client_secret(mut self, client_secret: impl Into<String>) -> Self {
        self.client_secret = Some(client_secret.into());
        self
    }

    /// Chooses the `robotCode`.
    #[must_use]
    pub fn robot_code(mut self, robot_code: impl Into<String>) -> Self {
        self.robot_code = Some(robot_code.into());
        self
    }

    /// Chooses the `corpId`.
    #[must_use]
    pub fn corp_id(mut self, corp_id: impl Into<String>) -> Self {
        self.corp_id = Some(corp_id.into());
        self
    }

    /// Makes server-made URLs `https` and `wss` with an explicit port, as the Java SDK needs them.
    /// Default: `http` and `ws`.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Chooses how its pushes behave.
    #[must_use]
    pub fn delivery(mut self, rules: DeliveryRules) -> Self {
        self.delivery = rules;
        self
    }

    /// Chooses whether what only the mock's own strictness refuses is taken, with a remark.
    #[must_use]
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = Some(lenient);
        self
    }

    /// Leaves the app without these permissions; without this it has all of them.
    #[must_use]
    pub fn missing_permissions(mut self, missing: impl Into<Vec<Permission>>) -> Self {
        self.missing_permissions = missing.into();
        self
    }

    /// Chooses the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// An app's ids and secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AppInfo {
    /// `clientId` (`AppKey`).
    pub client_id: String,
    /// `clientSecret` (`AppSecret`).
    pub client_secret: String,
    /// `robotCode`.
    pub robot_code: String,
    /// `corpId`.
    pub corp_id: String,
    /// The robot's encrypted id, `chatbotUserId` in frames.
    pub chatbot_user_id: String,
    /// Name of the delivery profile.
    pub profile: &'static str,
    /// Whether server-made URLs are `https` and `wss`.
    pub tls: bool,
    /// Whether it was minted to be treated leniently.
    pub lenient: bool,
    /// The seed in use.
    pub seed: u64,
}

/// What a step of the core works with besides the app itself.
pub(crate) struct Cx<'a> {
    /// On the app's clock.
    pub(crate) now: Moment,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) journals: &'a mut Journals,
    pub(crate) timers: &'a mut Timers,
}

impl Cx<'_> {
    pub(crate) fn plan(&mut self, after: Duration, timer: Timer) {
        self.timers.plan(self.now.since_start.saturating_add(after), timer);
    }
}

/// One app and all that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) number: AppNumber,
    pub(crate) client_id: Arc<str>,
    pub(crate) client_secret: String,
    pub(crate) robot_code: String,
    pub(crate) corp_id: String,
    pub(crate) robot_dingtalk_id: String,
    /// The UUID of the `appId` header.
    pub(crate) header_id: String,
    /// Whether server-made URLs are `https` and `wss`.
    tls: bool,
    seed: u64,
    pub(crate) mint: Mint,
    pub(crate) people: People,
    pub(crate) conversations: Conversations,
    pub(crate) connections: BTreeMap<ConnectionKey, Connection>,
    pub(crate) ended: Ring<Connection>,
    /// Ids of connections that the mint did not draw in this state's past.
    pub(crate) foreign_ids: HashSet<Arc<str>>,
    pub(crate) deliveries: Deliveries,
    /// Deliveries that wait for a connection.
    pub(crate) queued: VecDeque<u64>,
    pub(crate) sessions: Sessions,
    pub(crate) token: AccessToken,
    pub(crate) sent: Ring<KeptRow>,
    pub(crate) faults: Faults,
    pub(crate) api: ApiState,
    pub(crate) delivery: DeliveryRules,
    pub(crate) findings: Findings,
    /// Frames that faults keep back.
    pub(crate) held: BTreeMap<u64, Held>,
    pub(crate) last_held: u64,
    /// What its lifetimes are measured on, driven by the mock's clock.
    pub(crate) clock: Dial,
    /// How the mock is wrong on purpose, if it is.
    pub(crate) mutations: Mutations,
}

impl App {
    /// An app that is minted at `now` on the mock's clock.
    pub(crate) fn new(number: AppNumber, options: AppOptions, seed: u64, now: Moment) -> Self {
        let mut mint = Mint::new(seed);
        let client_id = options.client_id.unwrap_or_else(|| mint.client_id());
        Self {
            number,
            client_secret: options.client_secret.unwrap_or_else(|| mint.client_secret()),
            robot_code: options.robot_code.unwrap_or_else(|| client_id.clone()),
            corp_id: options.corp_id.unwrap_or_else(|| mint.corp_id()),
            robot_dingtalk_id: mint.dingtalk_id(),
            header_id: mint.uuid().to_string(),
            client_id: client_id.into(),
            tls: options.tls,
            seed,
            people: People::fresh(&mut mint),
            mint,
            conversations: Conversations::default(),
            connections: BTreeMap::new(),
            ended: Ring::new(lifetime::ENDED_CONNECTIONS, usize::MAX),
            foreign_ids: HashSet::new(),
            deliveries: Deliveries::default(),
            queued: VecDeque::new(),
            sessions: Sessions::default(),
            token: AccessToken::default(),
            sent: Ring::new(lifetime::ROWS_PER_APP, lifetime::APP_BYTES),
            faults: Faults::default(),
            api: ApiState {
                lenient: options.lenient.unwrap_or(false),
                permissions: Permissions::without(&options.missing_permissions),
                ..ApiState::default()
            },
            delivery: options.delivery,
            findings: Findings::default(),
            held: BTreeMap::new(),
            last_held: 0,
            clock: Dial::following(now),
            mutations: Mutations::default(),
        }
    }

    /// Whether to be wrong in this way.
    pub(crate) fn mutated(&self, mutation: Mutation) -> bool {
        self.mutations.has(mutation)
    }

    pub(crate) fn info(&self) -> AppInfo {
        AppInfo {
            client_id: self.client_id.to_string(),
            client_secret: self.client_secret.clone(),
            robot_code: self.robot_code.clone(),
            corp_id: self.corp_id.clone(),
            chatbot_user_id: self.robot_dingtalk_id.clone(),
            profile: self.delivery.profile.name(),
            tls: self.tls,
            lenient: self.api.lenient,
            seed: self.seed,
        }
    }

    /// Where server-made URLs of this app point for a client that came by `base`.
    pub(crate) fn urls(&self, base: &BaseUrl) -> BaseUrl {
        if self.tls { base.secured() } else { base.clone() }
    }

    /// Writes a line into the app's journal.
    pub(crate) fn note(&self, cx: &mut Cx<'_>, draft: Draft) {
        let entry = cx.journals.add(cx.now.unix_ms, Some((self.number, &self.client_id)), draft);
        cx.effects.push(Effect::Journaled(entry));
    }

    pub(crate) fn changed(&self, cx: &mut Cx<'_>) {
        cx.effects.push(Effect::Changed(self.number));
    }

    /// Writes a frame to a connection, and into the journal.
    pub(crate) fn send(
        &self,
        cx: &mut Cx<'_>,
        key: ConnectionKey,
        id: &Arc<str>,
        what: &str,
        frame: Outgoing,
    ) {
        let body = match &frame {
            Outgoing::Text(text) | Outgoing::Fragments(text, _) | Outgoing::Bad(text, _) => {
                Arc::clone(text)
            }
            Outgoing::Binary(bytes) => String::from_utf8_lossy(bytes).into(),
        };
        self.note(cx, Draft::new(EntryKind::FrameOut, what).on(id).body(body));
        cx.effects.push(Effect::Send { connection: key, frame });
    }

    /// Ends a connection as the core sees it, and moves it to the ended ones.
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>, key: ConnectionKey, reason: &str) {
        let Some(mut connection) = self.connections.remove(&key) else { return };
        connection.close(cx.now, reason);
        let draft = Draft::new(EntryKind::Connection, format!("closed: {reason}"));
        self.note(cx, draft.on(&connection.id));
        self.drop_held(key);
        self.ended.push(self.ended.next_number(), 0, connection, drop);
        self.changed(cx);
    }

    /// The bot's side of a connection is gone. With ghosts, DingTalk does not notice yet.
    pub(crate) fn gone(&mut self, cx: &mut Cx<'_>, key: ConnectionKey, reason: &str) {
        let ghost_for = self.delivery.ghost_for;
        let connection = self.connections.get_mut(&key);
        match connection.filter(|c| c.state == ConnectionState::Open && !ghost_for.is_zero()) {
            None => self.end(cx, key, reason),
            Some(connection) => {
                connection.close(cx.now, reason);
                connection.state = ConnectionState::Ghost;
                let id = Arc::clone(&connection.id);
                let text = format!("ghost, still routed to: {reason}");
                self.note(cx, Draft::new(EntryKind::Connection, text).on(&id));
                cx.plan(ghost_for, Timer::GhostOver(key));
                self.changed(cx);
            }
        }
    }

    /// Ends a connection from this side.
    pub(crate) fn cut(&mut self, cx: &mut Cx<'_>, key: ConnectionKey, how: Cut, reason: &str) {
        let ends = how.ends();
        self.spare_connection(key);
        if let Some(connection) = self.connections.get(&key) {
            let draft = Draft::new(EntryKind::Connection, format!("cut: {how}"));
            self.note(cx, draft.on(&connection.id));
        }
        cx.effects.push(Effect::Cut { connection: key, how });
        if ends {
            self.end(cx, key, reason);
        } else if let Some(connection) = self.connections.get(&key) {
            let draft = Draft::new(EntryKind::Connection, reason);
            self.note(cx, draft.on(&Arc::clone(&connection.id)));
        }
    }

    /// Books what the robot said.
    pub(crate) fn record_sent(&mut self, cx: &mut Cx<'_>, row: SentRow) {
        let text = format!("{} to {} by {}", row.msgtype, row.to, row.via);
        self.note(cx, Draft::new(EntryKind::Sent, text).body(row.text.as_str().into()));
        self.faults.happened(Happening::Sent);
        let kept = KeptRow::new(row);
        self.sent.push(kept.row.seq, kept.bytes(), kept, drop);
        self.changed(cx);
    }

    /// All connections, ended ones first, each in the order of opening.
    pub(crate) fn connection_rows(&self) -> Vec<ConnectionRow> {
        let ended = self.ended.after(0).map(|(_, connection)| connection.row());
        ended.chain(self.connections.values().map(Connection::row)).collect()
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.connections.values().filter(|c| c.state == ConnectionState::Open).count()
    }

    pub(crate) fn sent_rows(&self) -> Vec<SentRow> {
        self.sent_after(0)
    }

    pub(crate) fn sent_after(&self, after: u64) -> Vec<SentRow> {
        self.sent.after(after).map(|(_, kept)| kept.whole()).collect()
    }

    /// How many messages the robot ever finished, forgotten ones included.
    pub(crate) fn sent_count(&self) -> usize {
        let all = usize::try_from(self.sent.next_number() - 1).unwrap_or(usize::MAX);
        if self.api.cards.is_empty() {
            return all;
        }
        all - self.sent.after(0).filter(|(_, kept)| !kept.row.finished).count()
    }

    pub(crate) fn acked_count(&self) -> usize {
        self.deliveries.acked()
    }

    /// What happened so far, in a few words, for error messages.
    pub(crate) fn summary(&self) -> String {
        let mut states = BTreeMap::new();
        for connection in self.connections.values() {
            *states.entry(connection.state.to_string()).or_insert(0) += 1;
        }
        let states: Vec<String> =
            states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let connections = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
        let mut said: Vec<String> = self
            .sent
            .after(0)
            .take(5)
            .map(|(_, kept)| format!("{:?} to {}", kept.row.text, kept.row.to))
            .collect();
        if self.sent.len() > said.len() {
            said.push(format!("{} more", self.sent.len() - said.len()));
        }
        format!(
            "so far: live connections: {connections}, ended: {}; deliveries: {}, acked: {}; \
             sent: {} [{}]",
            self.ended.len(),
            self.deliveries.next_seq() - 1,
            self.acked_count(),
            self.sent_count(),
            said.join(", "),
        )
    }

    pub(crate) fn delivery_rows(&self, after: u64) -> Vec<DeliveryRow> {
        self.deliveries.rows(after).collect()
    }
}
