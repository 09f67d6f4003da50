//! The robots of the process, as the configuration has them now.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::{Instrument, error, info, warn};

use super::life::line_config;
use super::run::RunArgs;
use crate::cli::agent::AgentArgs;
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::robots::{Ending, Maker, Robots};
use crate::config::ProcessEnvironment;
use crate::config::accounts::{Account, DEFAULT};
use crate::credential::ClientId;
use crate::gateway::access::AccessPolicy;
use crate::gateway::deafness::AlertConfig;
use crate::gateway::line::Line;
use crate::gateway::{Gateway, GatewayConfig};
use crate::link::{Desk, Linked, Missing, Robot};
use crate::openapi::Endpoints;
use crate::state_dir;
use crate::store::{Store, StoreError};
use crate::traces::Over;

/// What the robots share.
pub(super) struct Shared {
    pub(super) args: Arc<RunArgs>,
    pub(super) endpoints: Endpoints,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) state_dir: PathBuf,
    pub(super) store: Arc<dyn Store>,
    pub(super) linked: Arc<Linked>,
    /// While it is true no turn begins.
    pub(super) hold: watch::Sender<bool>,
    /// Where messages that are over are told, if traces are exported.
    pub(super) traces: Option<Over>,
    /// Connections that were made before there was a store, by app.
    pub(super) lines: Mutex<HashMap<ClientId, Line>>,
}

impl Shared {
    /// Whether an account's robot can go on with other settings.
    fn is_same(&self, old: &Account, new: &Account) -> bool {
        let kind = |account: &Account| self.args.agent.kind(account.agent);
        old.credential == new.credential
            && old.alert == new.alert
            && old.allow_hosts == new.allow_hosts
            && kind(old) == kind(new)
    }
}

/// All robots, and what each was started with.
pub(super) struct Fleet {
    shared: Arc<Shared>,
    robots: Robots,
    known: HashMap<String, Known>,
}

struct Known {
    account: Account,
    /// An agent that is attached stays so when the robot is started again.
    desk: Arc<Desk>,
    policy: watch::Sender<AccessPolicy>,
}

impl Fleet {
    /// Starts them all. Fails when none can start.
    pub(super) async fn start(shared: Shared, accounts: Vec<Account>) -> Result<Self, Failure> {
        let robots = Robots::new();
        let mut fleet = Self { shared: Arc::new(shared), robots, known: HashMap::new() };
        let alone = accounts.len() == 1;
        let (mut at_work, mut waits) = (0, false);
        for account in accounts {
            let (name, span) = (account.name.clone(), Robots::span(&account.name, alone));
            let maker = fleet.enlist(account);
            let first = match maker.start().instrument(span.clone()).await {
                Ok(gateway) => Some(gateway),
                Err(e) if alone && e.exit_code() != ExitCode::DatabaseAway => return Err(e),
                Err(e) => {
                    waits |= e.exit_code() == ExitCode::DatabaseAway;
                    span.in_scope(|| {
                        error!("the robot cannot start, and is tried again: {e}");
                    });
                    None
                }
            };
            at_work += usize::from(first.is_some());
            fleet.robots.keep(&name, span, maker, first);
        }
        if at_work == 0 && !waits {
            let message = "no account could start; the log says why";
            return Err(Failure::new(ExitCode::Failed, message));
        }
        Ok(fleet)
    }

    /// Waits until nothing can go on, and says why.
    pub(super) async fn failed(&mut self) -> Failure {
        self.robots.failed().await
    }

    /// Ends all; returns how many answers are unfinished.
    pub(super) async fn end(self, ending: Ending) -> usize {
        self.robots.end_all(ending).await
    }

    /// Makes the robots those of `accounts`: access rules change under a running robot, another credential,
    /// agent or alert takes a new one, and the others are not touched.
    pub(super) fn follow(&mut self, accounts: Vec<Account>) {
        let mut gone: Vec<String> = self.known.keys().cloned().collect();
        gone.retain(|name| accounts.iter().all(|account| account.name != *name));
        for name in gone {
            info!(account = name, "the account is gone from the settings; its robot stops");
            self.dismiss(&name);
        }
        // All that end are told so before any begins: they may have exchanged their apps.
        for account in &accounts {
            let known = self.known.get(&account.name);
            if known.is_some_and(|known| !self.shared.is_same(&known.account, account)) {
                self.robots.end(&account.name);
            }
        }
        for account in accounts {
            self.follow_one(account);
        }
    }

    fn follow_one(&mut self, account: Account) {
        let name = account.name.clone();
        let Some(known) = self.known.get_mut(&name) else {
            info!(account = name, "the account is new in the settings; its robot starts");
            let span = Robots::span(&name, false);
            let maker = self.enlist(account);
            return self.robots.replace(&name, span, maker);
        };
        if known.policy.send_if_modified(|policy| {
            let changes = *policy != account.access;
            policy.clone_from(&account.access);
            changes
        }) {
            info!(account = name, "who may talk to the robot changes with the settings");
        }
        if self.shared.is_same(&known.account, &account) {
            known.account = account;
            return;
        }
        info!(
            account = name,
            "the robot begins again with the credential, agent, alerts and hosts of the settings"
        );
        let old_app = known.account.credential.client_id.clone();
        let is_other_app = old_app != account.credential.client_id;
        let maker = self.enlist(account);
        if is_other_app {
            self.shared.linked.remove(&old_app);
        }
        self.robots.replace(&name, Robots::span(&name, false), maker);
    }

    fn dismiss(&mut self, name: &str) {
        if let Some(known) = self.known.remove(name) {
            self.shared.linked.remove(&known.account.credential.client_id);
            self.robots.end(name);
        }
    }

    /// What makes the robot of an account, from now on.
    fn enlist(&mut self, account: Account) -> OneRobot {
        let client_id = &account.credential.client_id;
        let old = self.known.remove(&account.name);
        let old_desk = old.map(|known| known.desk).filter(|desk| desk.client_id() == client_id);
        let desk = old_desk.unwrap_or_else(|| Desk::new(client_id.clone()));
        let policy = watch::Sender::new(account.access.clone());
        let maker = OneRobot {
            shared: Arc::clone(&self.shared),
            account: account.clone(),
            desk: Arc::clone(&desk),
            policy: policy.subscribe(),
        };
        self.known.insert(account.name.clone(), Known { account, desk, policy });
        maker
    }
}

/// The robot of one account, which shares nothing with others but the store, by its `clientId`.
struct OneRobot {
    shared: Arc<Shared>,
    account: Account,
    desk: Arc<Desk>,
    /// Who may talk to it, now and later.
    policy: watch::Receiver<AccessPolicy>,
}

impl Maker for OneRobot {
    type Robot = Gateway;

    async fn start(&self) -> Result<Gateway, Failure> {
        let started = self.make().await;
        if let Err(e) = &started {
            self.shared.linked.miss(self.missing(e.to_string()));
        }
        started
    }

    fn app(&self) -> &str {
        self.account.credential.client_id.as_str()
    }

    fn failed(&self, why: &str) {
        self.shared.linked.miss(self.missing(why.to_owned()));
    }

    /// Without the store nothing can be kept, whatever is started.
    async fn is_hopeless(&self) -> bool {
        self.shared.store.barrier().await == Err(StoreError::Closed)
    }
}

impl OneRobot {
    fn missing(&self, problem: String) -> Missing {
        let client_id = self.desk.client_id().clone();
        Missing { account: self.account.name.clone(), client_id, problem }
    }

    async fn make(&self) -> Result<Gateway, Failure> {
        let Shared { args, endpoints, tls, state_dir, store, linked, hold, lines, traces } =
            &*self.shared;
        let Account { name, credential, agent, alert, .. } = self.account.clone();
        let account = name.clone();
        let state_dir = match name.as_str() {
            DEFAULT => state_dir.clone(),
            name => state_dir.join("accounts").join(name),
        };
        state_dir::prepare(&state_dir)?;
        let kind = args.agent.kind(agent);
        let desk = Arc::clone(&self.desk);
        let agent =
            args.agent.build(kind, &ProcessEnvironment, &credential.client_id, store, &desk)?;
        let (dm_policy, group_policy) = {
            let policy = self.policy.borrow();
            (policy.dm, policy.group)
        };
        info!(
            client_id = %credential.client_id,
            openapi = %endpoints.openapi,
            state_dir = %state_dir.display(),
            agent = kind.name(),
            ?dm_policy,
            ?group_policy,
            "starting"
        );
        let early =
            lines.lock().unwrap_or_else(PoisonError::into_inner).remove(&credential.client_id);
        let line = line_config(args, endpoints, tls, &self.account);
        let config = GatewayConfig {
            openapi: line.openapi,
            session: line.session,
            handshake_timeout: line.handshake_timeout,
            agent,
            state_dir,
            access: self.policy.clone(),
            show_thinking: !args.no_thinking,
            queued_after: args.queued_after.0,
            delegate: line.delegate,
            cards: args.cards.clone().into(),
            alert: AlertConfig {
                to: args.alert_to.clone().or(alert.to),
                after: args.alert_after.unwrap_or(alert.after),
            },
            held: hold.subscribe(),
            traces: traces.clone(),
        };
        let gateway = match early {
            Some(early) => Gateway::start_on(config, early, Arc::clone(store)).await?,
            None => Gateway::start(config, Arc::clone(store)).await?,
        };
        let lacks = AgentArgs::lacks(kind, &ProcessEnvironment);
        if let Some(lacks) = lacks {
            warn!("{lacks}");
        }
        linked.put(Robot { lacks, ..Robot::of(account, desk, kind, &gateway) });
        Ok(gateway)
    }
}
