//! `ddingtalk gateway run`: the process itself.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use super::reload::Follower;
use super::robot::Fleet;
use super::systemd::Supervisor;
use crate::cli::access::{AccessArgs, StoreFlag, state_dir};
use crate::cli::agent::AgentArgs;
use crate::cli::cards::CardArgs;
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::signals::{Heard, Signals};
use crate::cli::times::{QueuedAfter, alert_after, duration, queued_after};
use crate::config::accounts::{Account, Accounts};
use crate::config::{self, ProcessEnvironment};
use crate::credential::ClientId;
use crate::gateway::push::Target;
use crate::link::{About, Health, Linked, Listener, Probes, RestartRequest, Server};
use crate::openapi::{CALLS_PER_SECOND, Endpoints};
use crate::store::postgres::PostgresAddress;
use crate::store::{Store, StoreAddress, StoreError};
use crate::stream::proxy::odd_variables;
use crate::telemetry::LogFormat;
use crate::telemetry::log_file::{self, LogFile};
use crate::traces::{Over, Traces};
use crate::{state_dir, telemetry, tls, traces};

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) agent: AgentArgs,
    /// A loopback address for agents and pushes instead of the socket agent.sock in the state directory; the
    /// token is in agent.json beside it.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) agent_listen: Option<SocketAddr>,
    /// A loopback address that answers /healthz, /readyz and /metrics, such as 127.0.0.1:9464 [default: as the
    /// config file says, else none].
    #[arg(long, value_name = "ADDRESS")]
    pub(super) health_listen: Option<SocketAddr>,
    /// Directory for what must survive a restart.
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) store: StoreFlag,
    #[command(flatten)]
    pub(super) access: AccessArgs,
    #[command(flatten)]
    pub(super) cards: CardArgs,
    /// A host, besides DingTalk's, that URLs made by the server may name; may be repeated.
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(super) allow_host: Vec<String>,
    /// Pause between WebSocket pings.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    pub(super) ping_interval: Duration,
    /// Silence after which a connection is replaced.
    #[arg(long, value_name = "TIME", default_value = "9s", value_parser = duration)]
    pub(super) suspect_after: Duration,
    /// Time without a frame after which a connection is renewed.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub(super) renew_after: Duration,
    /// Limit for TCP, TLS and WebSocket handshake together.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) handshake_timeout: Duration,
    /// Calls in any second, over all APIs together.
    #[arg(long, value_name = "N", default_value_t = CALLS_PER_SECOND,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) calls_per_second: u32,
    /// Who is told, in DingTalk, when messages could not arrive for a while: user:STAFFID or
    /// chat:OPENCONVERSATIONID [default: as the config file says, else nobody].
    #[arg(long, value_name = "TARGET")]
    pub(super) alert_to: Option<Target>,
    /// Of shorter outages nobody is told [default: as the config file says, else 30s].
    #[arg(long, value_name = "TIME", value_parser = alert_after)]
    pub(super) alert_after: Option<Duration>,
    /// Do not mark messages as "🤔思考中" while they are answered.
    #[arg(long)]
    pub(super) no_thinking: bool,
    /// Tell people that their message waits behind others of its chat, after this time, or after a sixth of it
    /// behind three or more; off tells nobody. For agents that take one message after the other.
    #[arg(long, value_name = "TIME|off", default_value = "30s", value_parser = queued_after)]
    pub(super) queued_after: QueuedAfter,
    /// Answer for people, too, who let the robot answer in their place (托管); DingTalk documents it nowhere.
    #[arg(long)]
    pub(super) delegate: bool,
    /// How log lines are written to stderr.
    #[arg(long, value_enum, default_value = "text", env = "DINGTALK_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
    /// Log more.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

pub(super) async fn run(args: RunArgs) -> Result<(), Failure> {
    let log = Arc::new(LogFile::default());
    telemetry::start_with_file(args.verbose, args.log_format, &log);
    check_times(&args)?;
    let accounts = args.access.accounts()?;
    let endpoints = config::endpoints(&ProcessEnvironment)?;
    let state_dir = state_dir(args.state_dir.clone())?;
    state_dir::prepare(&state_dir)?;
    let lock = state_dir::lock(&state_dir)?;
    let log_path = state_dir.join(log_file::FILE);
    let kept = log.place(&log_path);
    if let Err(e) = &kept {
        warn!("the log is kept on stderr only: {} cannot be written: {e}", log_path.display());
    }
    let address = args.store.address(&state_dir, accounts.store.clone())?;
    let store = address.open_to_stay()?;
    let tls = tls_for(&endpoints)?;
    let traces = trace_export(&address, &tls)?;
    let listener = Listener::bind(&state_dir, args.agent_listen).await?;
    let mut signals = Signals::catch()?;
    let supervisor = Arc::new(Supervisor::new(&ProcessEnvironment));
    for odd in odd_variables(|name| std::env::var(name).ok()) {
        warn!("{odd}");
    }
    if let Some(file) = &accounts.file {
        info!(accounts = accounts.accounts.len(), "the settings are those of {}", file.display());
    }
    let (restarts, mut restart_queue) = mpsc::channel(1);
    let mut about = About::new(state_dir.clone(), address.clone());
    about.config.clone_from(&accounts.file);
    about.log = kept.is_ok().then_some(log_path);
    about.systemd = supervisor.is_systemd();
    let linked = Arc::new(Linked::new(about, Some(restarts)));
    let (access, linger) = (args.access, args.agent.linger());
    let health = Health::new(Arc::clone(&store), Arc::clone(&linked), named(&accounts));
    let probes = probes(args.health_listen.or(accounts.health_listen), &linked, &health).await?;
    let (health_listen, configured_store) = (accounts.health_listen, accounts.store.clone());
    let exported = traces.as_ref().map(Traces::over);
    let store_too = Arc::clone(&store);
    let shared =
        Shared { args, endpoints, tls, state_dir, store: store_too, linked, traces: exported };
    let mut follower = Follower::new(&accounts, access);
    let mut fleet = Fleet::start(shared, accounts.accounts).await?;
    info!(link = listener.address(), "agents can attach, and pushes be made");
    let link = Server::start(listener, fleet.linked(), &health);
    supervisor.ready();
    let watchdog = supervisor.watch(Arc::clone(&store));
    let linked = fleet.linked();
    let mut alone = pin!(left_alone(&linked, linger));
    let ends = loop {
        tokio::select! {
            heard = signals.heard() => match heard {
                Heard::End(_) => break Ends::Stops,
                Heard::Reload => follower.look_again(),
            },
            Some(request) = restart_queue.recv() => {
                if let Some(ends) = restart(request, access) {
                    break ends;
                }
            }
            accounts = follower.changed() => {
                warn_of_restarts(&accounts, health_listen, configured_store.as_deref());
                health.expect(named(&accounts));
                fleet.follow(accounts.accounts).await;
            }
            failure = fleet.failed() => return Err(failure),
            () = &mut alone => {
                info!("no agent has been attached for as long as --linger says");
                break Ends::Stops;
            }
        }
    };
    match ends {
        Ends::Stops => supervisor.stopping(),
        Ends::BeginsAgain(_) => supervisor.restarting(),
    }
    info!("stopping; answers under way get {} s", crate::gateway::DRAIN.as_secs());
    let unfinished = signals.or_die(fleet.stop()).await;
    // Until here agents could finish their answers.
    drop((link, probes));
    // What was queued last is on disk before this process is another one; a store that fails has said so.
    let _ = signals.or_die(store.barrier()).await;
    if let Some(watchdog) = watchdog {
        watchdog.abort();
        // It holds the store.
        let _ = watchdog.await;
    }
    if let Some(traces) = traces {
        signals.or_die(traces.finish()).await;
    }
    info!(unfinished, "stopped");
    if let Ends::BeginsAgain(program) = ends {
        drop(store);
        drop(lock);
        info!("beginning again");
        let e = Command::new(&program).args(std::env::args_os().skip(1)).exec();
        let message = format!("cannot begin again: {} cannot be run: {e}", program.display());
        return Err(Failure::new(ExitCode::Failed, message));
    }
    Ok(())
}

/// The listener for health checks, where one is wanted.
async fn probes(
    address: Option<SocketAddr>,
    linked: &Arc<Linked>,
    health: &Arc<Health>,
) -> Result<Option<Probes>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let probes = Probes::start(address, Arc::clone(linked), health).await?;
    info!(address = %probes.address(), "health checks are answered");
    Ok(Some(probes))
}

/// The export of traces, where the environment names a collector.
fn trace_export(
    store: &StoreAddress,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<Option<Traces>, Failure> {
    let Some(collector) = traces::collector(&ProcessEnvironment, tls)? else { return Ok(None) };
    let address = store.clone();
    let open = move || address.reader()?.ok_or(StoreError::Closed);
    let traces = Traces::start(collector, Box::new(open))
        .map_err(|e| Failure::new(ExitCode::Failed, format!("no thread for traces: {e}")))?;
    info!("traces are exported");
    Ok(Some(traces))
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
        tokio::time::sleep_until(ends).await;
    }
}

/// How the process ends.
enum Ends {
    Stops,
    /// It becomes this program.
    BeginsAgain(PathBuf),
}

/// Answers a request to restart: what would not start again goes on as it is.
fn restart(request: RestartRequest, access: AccessArgs) -> Option<Ends> {
    let ready = || {
        access.accounts().map_err(|e| e.to_string())?;
        let program = std::env::current_exe().map_err(|e| format!("where is its program? {e}"))?;
        // What was replaced by an update is called so.
        let name = program.to_string_lossy();
        let program = name.strip_suffix(" (deleted)").map_or(program.clone(), PathBuf::from);
        if program.is_file() {
            Ok(program)
        } else {
            Err(format!("its program {} is not there any more", program.display()))
        }
    };
    let ready = ready();
    let _ = request.send(ready.as_ref().map(|_| ()).map_err(Clone::clone));
    match ready {
        Ok(program) => Some(Ends::BeginsAgain(program)),
        Err(e) => {
            warn!("a restart was asked for, and is not made: {e}");
            None
        }
    }
}

/// What the robots share.
pub(super) struct Shared {
    pub(super) args: RunArgs,
    pub(super) endpoints: Endpoints,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) state_dir: PathBuf,
    pub(super) store: Arc<dyn Store>,
    pub(super) linked: Arc<Linked>,
    /// Where messages that are over are told, if traces are exported.
    pub(super) traces: Option<Over>,
}

/// Trusts what the system trusts. Plain HTTP everywhere needs no CA certificates, which a small image may
/// not have; a `wss` endpoint that a plain relay hands on does.
pub(in crate::cli) fn tls_for(endpoints: &Endpoints) -> Result<Arc<rustls::ClientConfig>, Failure> {
    let plain = [&endpoints.openapi, &endpoints.oapi].iter().all(|url| url.scheme() == "http");
    match tls::system_trust() {
        Ok(config) => Ok(config),
        Err(_) if plain => Ok(tls::no_trust()),
        Err(e) => Err(e.into()),
    }
}

/// Refuses times that contradict each other.
fn check_times(args: &RunArgs) -> Result<(), Failure> {
    if args.suspect_after > args.ping_interval {
        return Ok(());
    }
    let (suspect, ping) = (
        humantime::format_duration(args.suspect_after),
        humantime::format_duration(args.ping_interval),
    );
    Err(Failure::new(
        ExitCode::Configuration,
        format!(
            "--suspect-after is {suspect}, no longer than --ping-interval with {ping}, so that every \
             quiet connection would be replaced; give it at least twice that"
        ),
    ))
}

/// A host name or address, without scheme and port.
fn host(text: &str) -> Result<String, String> {
    let bare = url::Host::parse(text).or_else(|_| url::Host::parse(&format!("[{text}]")));
    bare.map(|host| host.to_string())
        .map_err(|_| "is no host; give a name or address without scheme and port".to_owned())
}
