//! One app of a running mock.

use std::{sync::Arc, time::Duration};

use super::MockClock;
use crate::{
    core::{
        AppInfo, ConnectionRow, ConnectionState, ConversationKind, Cut, DeliveryRow, DeliveryRules,
        Entry, Fault, FaultRow, Outgoing, Preset, Said, Say, SayConversation, SentRow, VerbError,
        check_cut,
    },
    error::MockError,
    hub::Hub,
    plug::Sdk,
};

/// How long the waiting verbs wait, in real time.
const PATIENCE: Duration = Duration::from_secs(10);

/// An app: credentials for a bot, and verbs for a test. Clones are the same app.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) hub: Arc<Hub>,
    info: Arc<AppInfo>,
}

impl App {
    pub(crate) fn new(hub: Arc<Hub>, info: AppInfo) -> Self {
        Self { hub, info: Arc::new(info) }
    }

    /// Every id and secret of the app.
    pub fn info(&self) -> &AppInfo {
        &self.info
    }

    /// `clientId` (`AppKey`).
    pub fn client_id(&self) -> &str {
        &self.info.client_id
    }

    /// `clientSecret` (`AppSecret`).
    pub fn client_secret(&self) -> &str {
        &self.info.client_secret
    }

    /// `robotCode`.
    pub fn robot_code(&self) -> &str {
        &self.info.robot_code
    }

    /// The variables that make a bot in another process find the mock and be this app:
    /// credentials, base URLs, proxy and certificates, as `env --sdk all` prints them.
    ///
    /// The certificate is written to a private temporary folder, which is removed when the mock
    /// stops. That writing is all that can fail.
    pub fn env(&self) -> Result<Vec<(&'static str, String)>, MockError> {
        let url = format!("http://{}", self.hub.settings.reachable());
        Ok(self.hub.settings.plug.variables(Sdk::All, &url, &self.info)?.variables)
    }

    // ---- people speak --------------------------------------------------------------------

    /// A person writes to the robot in their direct chat. An unknown `user` is created.
    pub async fn say(&self, user: &str, text: &str) -> Result<Said, MockError> {
        let say = Say { from: user.to_owned(), conversation: None, text: text.to_owned() };
        self.say_with(&say).await
    }

    /// A person mentions the robot in the group with this title, which is created if need be.
    pub async fn say_in_group(
        &self,
        user: &str,
        title: &str,
        text: &str,
    ) -> Result<Said, MockError> {
        let conversation = SayConversation {
            kind: ConversationKind::Group,
            id: None,
            title: Some(title.to_owned()),
        };
        self.say_with(&Say {
            from: user.to_owned(),
            conversation: Some(conversation),
            text: text.to_owned(),
        })
        .await
    }

    /// A person speaks, with every choice.
    #[expect(clippy::unused_async, reason = "verbs of people are awaited, as over HTTP")]
    pub async fn say_with(&self, say: &Say) -> Result<Said, MockError> {
        self.act(|app, cx| app.say(cx, say))
    }

    /// Pushes a fixture: `stream/NAME` with ids made anew, `hostile/NAME` as it stands.
    pub fn push_fixture(&self, name: &str) -> Result<Said, MockError> {
        self.act(|app, cx| app.push_fixture(cx, name))
    }

    /// Writes a text message to one of the open connections, whatever it may be.
    pub fn push_raw(&self, text: &str) -> Result<Said, MockError> {
        let frame = Outgoing::Text(text.into());
        self.act(|app, cx| Ok(app.push_verbatim(cx, None, "raw", frame)))
    }

    // ---- what came of it -----------------------------------------------------------------

    /// What the robot said so far.
    pub fn sent(&self) -> Result<Vec<SentRow>, MockError> {
        self.look(crate::core::App::sent_rows)
    }

    /// All that the robot said, once it is `count` messages.
    pub async fn wait_sent(&self, count: usize) -> Result<Vec<SentRow>, MockError> {
        self.wait_sent_within(count, PATIENCE).await
    }

    /// All that the robot said, once it is `count` messages; gives up after `patience`.
    pub async fn wait_sent_within(
        &self,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<SentRow>, MockError> {
        let enough = |app: &crate::core::App| (app.sent_count() >= count).then(|| app.sent_rows());
        self.wait(patience, format!("{count} sent messages"), enough).await
    }

    /// Each push to the bot.
    pub fn deliveries(&self) -> Result<Vec<DeliveryRow>, MockError> {
        self.look(|app| app.delivery_rows(0))
    }

    /// All deliveries, once `count` of them are answered.
    pub async fn wait_acked(&self, count: usize) -> Result<Vec<DeliveryRow>, MockError> {
        self.wait_acked_within(count, PATIENCE).await
    }

    /// All deliveries, once `count` of them are answered; gives up after `patience`.
    pub async fn wait_acked_within(
        &self,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<DeliveryRow>, MockError> {
        let enough =
            |app: &crate::core::App| (app.acked_count() >= count).then(|| app.delivery_rows(0));
        self.wait(patience, format!("{count} acked deliveries"), enough).await
    }

    /// All connections, ended ones first.
    pub fn connections(&self) -> Result<Vec<ConnectionRow>, MockError> {
        self.look(crate::core::App::connection_rows)
    }

    /// The open connections, once there are at least `count`. Draining ones don't count.
    pub async fn wait_connections(&self, count: usize) -> Result<Vec<ConnectionRow>, MockError> {
        self.wait_connections_within(count, PATIENCE).await
    }

    /// The open connections, once there are at least `count`; gives up after `patience`.
    pub async fn wait_connections_within(
        &self,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<ConnectionRow>, MockError> {
        let enough = |app: &crate::core::App| {
            (app.open_connections() >= count).then(|| {
                let mut rows = app.connection_rows();
                rows.retain(|row| row.state == ConnectionState::Open);
                rows
            })
        };
        self.wait(patience, format!("{count} open connections"), enough).await
    }

    /// What `found` makes of all connections, once it makes something of them.
    pub async fn wait_for_connections<R>(
        &self,
        what: &str,
        mut found: impl FnMut(&[ConnectionRow]) -> Option<R>,
    ) -> Result<R, MockError> {
        self.wait(PATIENCE, what.to_owned(), |app| found(&app.connection_rows())).await
    }

    /// The app's journal: everything sent and received, oldest first.
    pub fn journal(&self) -> Result<Vec<Arc<Entry>>, MockError> {
        let (entries, _) =
            self.hub.look(|fleet| fleet.journal(Some(self.client_id()), 0, usize::MAX))?;
        Ok(entries)
    }

    /// The app's own clock: every lifetime in it is measured there. It follows the mock's until it
    /// is turned by itself.
    pub fn clock(&self) -> MockClock {
        MockClock::new(Arc::clone(&self.hub), Some(Arc::clone(&self.info)))
    }

    // ---- breaking things -----------------------------------------------------------------

    /// Announces the end of one connection, by its id or `all`: SYSTEM `disconnect` now, TCP reset
    /// 10 s later.
    pub fn disconnect(&self, connection: &str, reason: &str) -> Result<usize, MockError> {
        self.disconnect_with(connection, reason, true)
    }

    /// The same with a choice: the protocol page shows the frame without `messageId`.
    pub fn disconnect_with(
        &self,
        connection: &str,
        reason: &str,
        with_message_id: bool,
    ) -> Result<usize, MockError> {
        self.act(|app, cx| {
            let keys = app.named(connection)?;
            for key in &keys {
                app.disconnect(cx, *key, reason, with_message_id);
            }
            Ok(keys.len())
        })
    }

    /// Ends one connection, by its id or `all`, without notice.
    pub fn cut(&self, connection: &str, how: &Cut) -> Result<usize, MockError> {
        check_cut(how)?;
        self.act(|app, cx| {
            let keys = app.named(connection)?;
            for key in &keys {
                app.cut(cx, *key, how.clone(), "cut on demand");
            }
            Ok(keys.len())
        })
    }

    /// Adds a rule that breaks something.
    pub fn fault(&self, fault: Fault) -> Result<FaultRow, MockError> {
        self.act(|app, cx| app.add_fault(cx, fault))
    }

    /// Makes a named fault act, and gives the rules that it consists of (none if it acts at once).
    /// The rule of [`Preset::TlsHandshakeFail`] is one of the whole mock:
    /// [`MockDingtalk::tcp_faults`](crate::MockDingtalk::tcp_faults) has it.
    pub fn preset(&self, preset: Preset) -> Result<Vec<FaultRow>, MockError> {
        Ok(self.hub.step(|fleet, now| fleet.apply_preset(now, self.client_id(), preset))?)
    }

    /// How its pushes behave where the sources leave it open; from now on.
    pub fn set_delivery(&self, rules: DeliveryRules) -> Result<(), MockError> {
        self.act(|app, _| {
            app.delivery = rules;
            Ok(())
        })
    }

    /// The fault rules, with how often each acted.
    pub fn faults(&self) -> Result<Vec<FaultRow>, MockError> {
        self.look(|app| app.faults.rows().to_vec())
    }

    /// Removes all fault rules, and says how many there were.
    pub fn clear_faults(&self) -> Result<usize, MockError> {
        self.act(|app, _| Ok(app.faults.clear(None)))
    }

    /// Ends the access token before its time, as DingTalk may: calls with it are refused, and the
    /// next fetch gives another one.
    pub fn revoke_token(&self) -> Result<(), MockError> {
        self.act(|app, _| {
            app.token.revoke();
            Ok(())
        })
    }

    // ---- inside --------------------------------------------------------------------------

    pub(crate) fn act<R>(
        &self,
        verb: impl FnOnce(&mut crate::core::App, &mut crate::core::Cx<'_>) -> Result<R, VerbError>,
    ) -> Result<R, MockError> {
        Ok(self.hub.step(|fleet, now| fleet.act(now, self.client_id(), verb))?)
    }

    pub(crate) fn look<R>(&self, at: impl FnOnce(&crate::core::App) -> R) -> Result<R, MockError> {
        Ok(self.hub.look(|fleet| fleet.app(self.client_id()).map(at))?)
    }

    async fn wait<R>(
        &self,
        patience: Duration,
        what: String,
        look: impl FnMut(&crate::core::App) -> Option<R>,
    ) -> Result<R, MockError> {
        match self.hub.wait(self.client_id(), patience, look).await? {
            Some(found) => Ok(found),
            None => Err(MockError::TimedOut {
                what,
                patience,
                seen: self.look(crate::core::App::summary)?,
            }),
        }
    }
}
