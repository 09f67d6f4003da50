//! `ddingtalk gateway`: connect the robot and keep it connected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use tokio::time::Instant;
use tracing::{Instrument, error, info, warn};

use super::access::{AccessArgs, state_dir};
use super::agent::AgentArgs;
use super::cards::CardArgs;
use super::exit_code::{ExitCode, Failure};
use super::robots::{Maker, Robots};
use super::signals::Signals;
use super::times::duration;
use crate::agent::AgentKind;
use crate::config::accounts::{Account, Accounts, DEFAULT};
use crate::config::{self, ProcessEnvironment};
use crate::gateway::access::AccessPolicy;
use crate::gateway::{Gateway, GatewayConfig};
use crate::link::{Desk, Linked, Listener, Robot, Server};
use crate::openapi::{CALLS_PER_SECOND, Endpoints, OpenApiConfig, TrustedHosts};
use crate::store::sqlite::{FILE, SqliteStore};
use crate::store::{Store, StoreError};
use crate::stream::SessionConfig;
use crate::stream::proxy::odd_variables;
use crate::{state_dir, telemetry, tls};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run in the foreground (the same as without a word).
    Run(RunArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    agent: AgentArgs,
    /// A loopback address for agents and pushes instead of the socket agent.sock in the state directory; the
    /// token is in agent.json beside it.
    #[arg(long, value_name = "ADDRESS")]
    agent_listen: Option<SocketAddr>,
    /// Directory for what must survive a restart.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    cards: CardArgs,
    /// A host, besides DingTalk's, that URLs made by the server may name; may be repeated.
    #[arg(long, value_name = "HOST", value_parser = host)]
    allow_host: Vec<String>,
    /// Pause between WebSocket pings.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    ping_interval: Duration,
    /// Silence after which a connection is replaced.
    #[arg(long, value_name = "TIME", default_value = "9s", value_parser = duration)]
    suspect_after: Duration,
    /// Time without a frame after which a connection is renewed.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    renew_after: Duration,
    /// Limit for TCP, TLS and WebSocket handshake together.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    handshake_timeout: Duration,
    /// Calls in any second, over all APIs together.
    #[arg(long, value_name = "N", default_value_t = CALLS_PER_SECOND,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    calls_per_second: u32,
    /// Do not mark messages as "🤔思考中" while they are answered.
    #[arg(long)]
    no_thinking: bool,
    /// Answer for people, too, who let the robot answer in their place (托管); DingTalk documents it nowhere.
    #[arg(long)]
    delegate: bool,
    /// Log more.
    #[arg(long, short)]
    verbose: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let args = match args.verb {
        Some(Verb::Run(args)) => args,
        None => args.run,
    };
    telemetry::start(args.verbose);
    check_times(&args)?;
    let Accounts { accounts, file, .. } = args.access.accounts()?;
    let endpoints = config::endpoints(&ProcessEnvironment)?;
    let state_dir = state_dir(args.state_dir.clone())?;
    state_dir::prepare(&state_dir)?;
    let _lock = state_dir::lock(&state_dir)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state_dir.join(FILE))?);
    let tls = tls_for(&endpoints)?;
    let listener = Listener::bind(&state_dir, args.agent_listen).await?;
    let mut signals = Signals::catch()?;
    for odd in odd_variables(|name| std::env::var(name).ok()) {
        warn!("{odd}");
    }
    if let Some(file) = file {
        info!(accounts = accounts.len(), "the settings are those of {}", file.display());
    }
    let linked = Arc::new(Linked::default());
    let shared = Arc::new(Shared { args, endpoints, tls, state_dir, store, linked });
    let mut robots = Robots::new();
    let alone = accounts.len() == 1;
    let mut at_work = 0;
    for account in accounts {
        let span = Robots::span(&account.name, alone);
        let desk = Desk::new(account.credential.client_id.clone());
        let maker = OneRobot { shared: Arc::clone(&shared), account, desk };
        let first = match maker.start().instrument(span.clone()).await {
            Ok(gateway) => Some(gateway),
            Err(e) if alone => return Err(e),
            Err(e) => {
                span.in_scope(|| error!("the robot cannot start, and is tried again: {e}"));
                None
            }
        };
        at_work += usize::from(first.is_some());
        robots.keep(span, maker, first);
    }
    if at_work == 0 {
        return Err(Failure::new(ExitCode::Failed, "no account could start; the log says why"));
    }
    info!(link = listener.address(), "agents can attach, and pushes be made");
    let link = Server::start(listener, Arc::clone(&shared.linked));
    tokio::select! {
        _ = signals.next() => {}
        failure = robots.failed() => return Err(failure),
        () = left_alone(&shared.linked, shared.args.agent.linger()) => {
            info!("no agent has been attached for as long as --linger says");
        }
    }
    info!("stopping; answers under way get {} s", crate::gateway::DRAIN.as_secs());
    let unfinished = signals.or_die(robots.stop()).await;
    // Until here agents could finish their answers.
    drop(link);
    info!(unfinished, "stopped");
    Ok(())
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

/// What the robots share.
struct Shared {
    args: RunArgs,
    endpoints: Endpoints,
    tls: Arc<rustls::ClientConfig>,
    state_dir: PathBuf,
    store: Arc<dyn Store>,
    linked: Arc<Linked>,
}

/// The robot of one account, which shares nothing with others but the store, by its `clientId`.
struct OneRobot {
    shared: Arc<Shared>,
    account: Account,
    /// An agent that is attached stays so when the robot is started again.
    desk: Arc<Desk>,
}

impl Maker for OneRobot {
    type Robot = Gateway;

    async fn start(&self) -> Result<Gateway, Failure> {
        let Shared { args, endpoints, tls, state_dir, store, linked } = &*self.shared;
        let Account { name, credential, access, agent } = self.account.clone();
        let state_dir = match name.as_str() {
            DEFAULT => state_dir.clone(),
            name => state_dir.join("accounts").join(name),
        };
        state_dir::prepare(&state_dir)?;
        let kind = args.agent.kind(agent);
        // OpenClaw knows its people, and decides on each message.
        let access = if kind == AgentKind::OpenClaw { AccessPolicy::everybody() } else { access };
        let desk = Arc::clone(&self.desk);
        let agent =
            args.agent.build(kind, &ProcessEnvironment, &credential.client_id, store, &desk)?;
        info!(
            client_id = %credential.client_id,
            openapi = %endpoints.openapi,
            state_dir = %state_dir.display(),
            agent = kind.name(),
            dm_policy = ?access.dm,
            group_policy = ?access.group,
            "starting"
        );
        let config = GatewayConfig {
            openapi: OpenApiConfig {
                endpoints: endpoints.clone(),
                credential,
                trusted: TrustedHosts::new(endpoints, args.allow_host.iter().cloned()),
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
            agent,
            state_dir,
            access,
            show_thinking: !args.no_thinking,
            delegate: args.delegate,
            cards: args.cards.clone().into(),
        };
        let gateway = Gateway::start(config, Arc::clone(store)).await?;
        let (pusher, vitals) = (gateway.pusher(), gateway.vitals());
        linked.put(Robot { desk, agent: kind, pusher, vitals });
        Ok(gateway)
    }

    /// Without the store nothing can be kept, whatever is started.
    async fn is_hopeless(&self) -> bool {
        self.shared.store.barrier().await == Err(StoreError::Closed)
    }
}

/// Trusts what the system trusts. Plain HTTP everywhere needs no CA certificates, which a small image may
/// not have; a `wss` endpoint that a plain relay hands on does.
fn tls_for(endpoints: &Endpoints) -> Result<Arc<rustls::ClientConfig>, Failure> {
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
