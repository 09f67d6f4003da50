//! A life of the process: directory, store, robots and addresses, from taking them to letting go of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::handover::{Coming, Nursery, Report, Times};
use super::reload::Follower;
use super::robot::{Fleet, Shared};
use super::run::RunArgs;
use super::systemd::Supervisor;
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::robots::Ending;
use crate::cli::signals::{Heard, Signals};
use crate::config::ProcessEnvironment;
use crate::config::accounts::{Account, Accounts};
use crate::credential::ClientId;
use crate::gateway::line::{Line, LineConfig};
use crate::link::{
    About, Health, Linked, Listener, ListenerError, NotRestarted, Probes, ProbesError,
    RestartRequest, Server,
};
use crate::openapi::{Endpoints, OpenApiConfig, TrustedHosts};
use crate::state_dir::{self, StateDirLock};
use crate::store::postgres::PostgresAddress;
use crate::store::{Store, StoreAddress, StoreError};
use crate::stream::SessionConfig;
use crate::stream::proxy::odd_variables;
use crate::telemetry::log_file::{self, LogFile};
use crate::traces::{self, Traces};
use crate::unix_time::now_ms;

/// A process that has let go of an address may have it for a moment yet.
const ADDRESS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);
/// For the last answers to go out, that to whoever asked for the restart among them.
const ANSWERS: Duration = Duration::from_secs(2);

/// What is the same in every life.
pub(super) struct Ground {
    pub(super) args: Arc<RunArgs>,
    pub(super) endpoints: Endpoints,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) state_dir: PathBuf,
    pub(super) supervisor: Arc<Supervisor>,
}

/// How a life has ended.
pub(super) enum Ended {
    Stopped,
    /// Another process is at work.
    Left,
    /// None is, after all: with these settings it goes on.
    LeftInVain(Box<Accounts>),
}

/// How it is to end.
enum Ends {
    Stops,
    Leaves(RestartRequest, Times),
}

/// What is held while it lasts.
struct Life {
    lock: StateDirLock,
    store: Arc<dyn Store>,
    fleet: Fleet,
    hold: watch::Sender<bool>,
    linked: Arc<Linked>,
    health: Arc<Health>,
    link: Server,
    probes: Option<Probes>,
    restarts: mpsc::Receiver<RestartRequest>,
    watchdog: Option<JoinHandle<()>>,
    traces: Option<Traces>,
}

/// What another process has left to this one.
#[derive(Default)]
struct Inherited {
    lines: HashMap<ClientId, Line>,
    /// And since when it listens.
    listener: Option<(Listener, i64)>,
    /// Whether that process ends, and says so.
    alone: bool,
}

impl Ground {
    /// What the connection of an account's robot needs.
    pub(super) fn line(&self, account: &Account) -> (String, ClientId, LineConfig) {
        let client_id = account.credential.client_id.clone();
        let config = line_config(&self.args, &self.endpoints, &self.tls, account);
        (account.name.clone(), client_id, config)
    }

    /// Keeps the log in the state directory from now on.
    pub(super) fn place(&self, log: &LogFile) -> Option<PathBuf> {
        let path = self.state_dir.join(log_file::FILE);
        match log.place(&path) {
            Ok(()) => Some(path),
            Err(e) => {
                warn!("the log is kept on stderr only: {} cannot be written: {e}", path.display());
                None
            }
        }
    }

    pub(super) async fn live(
        &self,
        mut accounts: Accounts,
        coming: Option<Coming>,
        (log, follower): (&LogFile, &mut Follower),
        nursery: &mut Nursery,
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        let took_over = coming.is_some();
        let inherited = self.inherit(coming, nursery).await?;
        let alone = inherited.alone;
        let mut life = self.begin(&accounts, inherited, log, took_over, nursery).await?;
        let mut announced = !(took_over && alone);
        if announced {
            self.announce(&mut life);
        }
        let linked = Arc::clone(&life.linked);
        let mut alone = pin!(left_alone(&linked, self.args.agent.linger()));
        let (health_listen, configured_store) = (accounts.health_listen, accounts.store.clone());
        let ends = loop {
            tokio::select! {
                heard = signals.heard() => match heard {
                    Heard::End(_) => break Ends::Stops,
                    Heard::Reload => follower.look_again(),
                },
                Some(request) = life.restarts.recv() => {
                    if let Some(ends) = call(request, &life, nursery, signals).await {
                        break ends;
                    }
                }
                () = nursery.left_alone(), if !announced => {
                    announced = true;
                    self.announce(&mut life);
                }
                settings = follower.changed() => {
                    warn_of_restarts(&settings, health_listen, configured_store.as_deref());
                    accounts.clone_from(&settings);
                    life.health.expect(named(&settings));
                    life.fleet.follow(settings.accounts);
                }
                failure = life.fleet.failed() => return Err(failure),
                () = &mut alone => {
                    info!("no agent has been attached for as long as --linger says");
                    break Ends::Stops;
                }
            }
        };
        match ends {
            Ends::Stops => {
                self.supervisor.stopping();
                life.stop(signals).await;
                Ok(Ended::Stopped)
            }
            Ends::Leaves(request, times) => {
                let left = self.leave(life, request, times, nursery).await;
                Ok(if left { Ended::Left } else { Ended::LeftInVain(Box::new(accounts)) })
            }
        }
    }

    /// Waits until another process has let go of everything, and takes it.
    async fn inherit(
        &self,
        coming: Option<Coming>,
        nursery: &mut Nursery,
    ) -> Result<Inherited, Failure> {
        let Some(Coming { lines }) = coming else { return Ok(Inherited::default()) };
        let Some(predecessor) = nursery.predecessor() else { return Ok(Inherited::default()) };
        Coming::listens(predecessor).await?;
        // A port is not to be had before the other process has let go of it.
        let listener = Listener::take_over(&self.state_dir, self.args.agent_listen).await.ok();
        let listener = listener.map(|listener| (listener, now_ms()));
        let alone = Coming::takes(predecessor).await?;
        Ok(Inherited { lines, listener, alone })
    }

    async fn begin(
        &self,
        accounts: &Accounts,
        inherited: Inherited,
        log: &LogFile,
        took_over: bool,
        nursery: &mut Nursery,
    ) -> Result<Life, Failure> {
        let lock = state_dir::lock(&self.state_dir)?;
        let log = self.place(log);
        let address = self.args.store.address(&self.state_dir, accounts.store.clone())?;
        let store = address.open_to_stay()?;
        let traces = self.trace_export(&address)?;
        let (listener, listening) = match inherited.listener {
            Some(listens) => listens,
            None => (self.bind(took_over).await?, now_ms()),
        };
        for odd in odd_variables(|name| std::env::var(name).ok()) {
            warn!("{odd}");
        }
        if let Some(file) = &accounts.file {
            info!(
                accounts = accounts.accounts.len(),
                "the settings are those of {}",
                file.display()
            );
        }
        let (restarts, requests) = mpsc::channel(1);
        let mut about = About::new(self.state_dir.clone(), address);
        about.config.clone_from(&accounts.file);
        about.log = log;
        about.systemd = self.supervisor.is_systemd();
        let linked = Arc::new(Linked::new(about, Some(restarts)));
        let health = Health::new(Arc::clone(&store), Arc::clone(&linked), named(accounts));
        let mut health_since = None;
        let probes = match self.args.health_listen.or(accounts.health_listen) {
            Some(address) => {
                let start = async || Probes::start(address, Arc::clone(&linked), &health).await;
                let is_taken = |e: &ProbesError| matches!(e, ProbesError::Bind { .. });
                let probes = until_free(took_over, start, is_taken).await?;
                info!(address = %probes.address(), "health checks are answered");
                health_since = Some(now_ms());
                Some(probes)
            }
            None => None,
        };
        let hold = watch::Sender::new(false);
        let shared = Shared {
            args: Arc::clone(&self.args),
            endpoints: self.endpoints.clone(),
            tls: Arc::clone(&self.tls),
            state_dir: self.state_dir.clone(),
            store: Arc::clone(&store),
            linked: Arc::clone(&linked),
            hold: hold.clone(),
            traces: traces.as_ref().map(Traces::over),
            lines: Mutex::new(inherited.lines),
        };
        let fleet = Fleet::start(shared, accounts.accounts.clone()).await?;
        info!(link = listener.address(), "agents can attach, and pushes be made");
        let link = Server::start(listener, Arc::clone(&linked), &health);
        if let Some(predecessor) = nursery.predecessor().filter(|_| took_over) {
            let (pid, at) = (std::process::id(), now_ms());
            predecessor.report(Report::Took { pid, at, listening, probed: health_since }).await;
            info!("this process has taken the place of another one");
        }
        let (restarts, watchdog) = (requests, None);
        let life = Life {
            lock,
            store,
            fleet,
            hold,
            linked,
            health,
            link,
            probes,
            restarts,
            watchdog,
            traces,
        };
        Ok(life)
    }

    /// The export of traces, where the environment names a collector.
    fn trace_export(&self, store: &StoreAddress) -> Result<Option<Traces>, Failure> {
        let collector = traces::collector(&ProcessEnvironment, &self.tls)?;
        let Some(collector) = collector else { return Ok(None) };
        let address = store.clone();
        let open = move || address.reader()?.ok_or(StoreError::Closed);
        let traces = Traces::start(collector, Box::new(open))
            .map_err(|e| Failure::new(ExitCode::Failed, format!("no thread for traces: {e}")))?;
        info!("traces are exported");
        Ok(Some(traces))
    }

    async fn bind(&self, took_over: bool) -> Result<Listener, ListenerError> {
        if !took_over {
            return Listener::bind(&self.state_dir, self.args.agent_listen).await;
        }
        let take = async || Listener::take_over(&self.state_dir, self.args.agent_listen).await;
        until_free(true, take, |e| matches!(e, ListenerError::Bind { .. })).await
    }

    /// Whoever supervises this process knows that it works.
    fn announce(&self, life: &mut Life) {
        self.supervisor.ready();
        life.watchdog = self.supervisor.watch(Arc::clone(&life.store));
    }

    /// Leaves everything to the process that was called; whether it has taken it.
    async fn leave(
        &self,
        life: Life,
        request: RestartRequest,
        mut times: Times,
        nursery: &mut Nursery,
    ) -> bool {
        let Life { lock, store, fleet, linked, link, probes, watchdog, health, traces, .. } = life;
        times.stopped = now_ms();
        let unfinished = fleet.end(Ending::HandOver).await;
        info!(unfinished, "the connections have ended; the other process goes on");
        let listens = nursery.listen().await;
        times.unreachable = now_ms();
        let answers = link.leave();
        drop((probes, health));
        linked.let_agents_go();
        if let Some(watchdog) = watchdog {
            watchdog.abort();
        }
        // It waits for the disk.
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        drop(lock);
        let alone = self.supervisor.follows() && nursery.is_own();
        let left = match (listens, closed) {
            (Ok(()), Ok(())) => nursery.leave(alone, &times).await,
            (Err(e), _) => Err(e),
            (_, Err(e)) => Err(NotRestarted { problem: e.to_string(), exit_code: 1 }),
        };
        let (outcome, is_left) = match left {
            Ok(left) => {
                if alone {
                    self.supervisor.follow(left.pid);
                }
                nursery.succeeded(alone).await;
                info!(told = %left.told, "process {} is in this one's place", left.pid);
                (Ok(left.told), true)
            }
            Err(NotRestarted { problem, exit_code }) => {
                nursery.abandon().await;
                let problem =
                    format!("{problem}; its connections were ended by then, and are made again");
                warn!("a restart was not made: {problem}");
                (Err(NotRestarted { problem, exit_code }), false)
            }
        };
        request.answer(outcome);
        if let Some(answers) = answers {
            let _ = timeout(ANSWERS, answers).await;
        }
        if let Some(traces) = traces {
            traces.finish().await;
        }
        is_left
    }
}

impl Life {
    async fn stop(self, signals: &mut Signals) {
        let Self { lock: _lock, store, fleet, link, probes, watchdog, traces, .. } = self;
        info!("stopping; answers under way get {} s", crate::gateway::DRAIN.as_secs_f32());
        let unfinished = signals.or_die(fleet.end(Ending::Stop)).await;
        // Until here agents could finish their answers.
        drop((link, probes));
        // What was queued last is on disk before this process is gone; a store that fails has said so.
        let _ = signals.or_die(store.barrier()).await;
        if let Some(watchdog) = watchdog {
            watchdog.abort();
        }
        if let Some(traces) = traces {
            signals.or_die(traces.finish()).await;
        }
        // Without its last user the log beside the database goes, and one file is left. It fails only if it panicked.
        let _ = signals.or_die(tokio::task::spawn_blocking(move || store.close())).await;
        info!(unfinished, "stopped");
    }
}

/// Has another process started and connected: everything is to be left to it then. Where it cannot, this one goes
/// on as if nothing had been asked.
async fn call(
    request: RestartRequest,
    life: &Life,
    nursery: &mut Nursery,
    signals: &mut Signals,
) -> Option<Ends> {
    info!("a restart was asked for");
    let connected = life.linked.hearing().iter().map(|id| id.as_str().to_owned()).collect();
    let called = tokio::select! {
        called = timeout(request.patience, nursery.call(connected, &life.hold)) => {
            let late = |_| {
                let time = humantime::format_duration(request.patience);
                let problem =
                    format!("the new process was not connected within {time}, and was ended");
                Err(NotRestarted { problem, exit_code: 1 })
            };
            called.unwrap_or_else(late).map_err(|e| (e, None))
        }
        _ = signals.next() => {
            let problem = "it was told to stop meanwhile".to_owned();
            Err((NotRestarted { problem, exit_code: 1 }, Some(Ends::Stops)))
        }
    };
    match called {
        Ok(times) => Some(Ends::Leaves(request, times)),
        Err((why, ends)) => {
            life.hold.send_replace(false);
            nursery.abandon().await;
            warn!("a restart was not made: {}", why.problem);
            request.answer(Err(why));
            ends
        }
    }
}

/// Takes an address, which `took_over` may have to wait for.
async fn until_free<T, E>(
    took_over: bool,
    take: impl AsyncFn() -> Result<T, E>,
    is_taken: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let end = Instant::now() + ADDRESS;
    loop {
        match take().await {
            Err(e) if took_over && is_taken(&e) && Instant::now() < end => sleep(LOOK).await,
            taken => return taken,
        }
    }
}

/// What the connection of a robot needs.
pub(super) fn line_config(
    args: &RunArgs,
    endpoints: &Endpoints,
    tls: &Arc<rustls::ClientConfig>,
    account: &Account,
) -> LineConfig {
    let allowed = args.allow_host.iter().chain(&account.allow_hosts).cloned();
    LineConfig {
        openapi: OpenApiConfig {
            endpoints: endpoints.clone(),
            credential: account.credential.clone(),
            trusted: TrustedHosts::new(endpoints, allowed),
            tls: Arc::clone(tls),
            system_proxy: true,
            timeout: Duration::from_secs(10),
            calls_per_second: args.calls_per_second,
        },
        session: SessionConfig {
            ping_interval: args.ping_interval,
            suspect_after: args.suspect_after,
            renew_after: args.renew_after,
            // The transport's own limit speaks first, since it knows what it waited for.
            connect_timeout: args.handshake_timeout + Duration::from_secs(5),
            ..SessionConfig::default()
        },
        handshake_timeout: args.handshake_timeout,
        delegate: args.delegate,
    }
}

/// Settings that were read at the start.
fn warn_of_restarts(
    accounts: &Accounts,
    health_listen: Option<SocketAddr>,
    store: Option<&PostgresAddress>,
) {
    let changed = [
        ("healthListen", accounts.health_listen != health_listen),
        ("store", accounts.store.as_deref() != store),
    ];
    for (name, _) in changed.into_iter().filter(|(_, changed)| *changed) {
        warn!("{name} has changed in the settings, which a restart takes");
    }
}

/// The robots that there should be: account and app.
fn named(accounts: &Accounts) -> Vec<(String, ClientId)> {
    let named = |account: &Account| (account.name.clone(), account.credential.client_id.clone());
    accounts.accounts.iter().map(named).collect()
}

/// Waits until no agent has been attached for `linger`.
async fn left_alone(linked: &Linked, linger: Option<Duration>) {
    let Some(linger) = linger else { return std::future::pending().await };
    loop {
        let now = Instant::now();
        let ends = linked.alone_since().map_or(now + linger, |since| since + linger);
        if ends <= now {
            return;
        }
        // Somebody may attach meanwhile; then the time begins anew.
        sleep_until(ends).await;
    }
}
