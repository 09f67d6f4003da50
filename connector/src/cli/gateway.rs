//! `ddingtalk gateway`: connect the robot and keep it connected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use tracing::info;

use super::agent::AgentArgs;
use super::cards::CardArgs;
use super::exit_code::{ExitCode, Failure};
use super::signals::Signals;
use super::times::duration;
use crate::config::{self, ProcessEnvironment};
use crate::gateway::access::{DmPolicy, GroupPolicy};
use crate::gateway::{Gateway, GatewayConfig};
use crate::link::{Desk, Listener, Robot, Server};
use crate::openapi::{CALLS_PER_SECOND, Endpoints, OpenApiConfig, TrustedHosts};
use crate::store::Store;
use crate::store::sqlite::{FILE, SqliteStore};
use crate::stream::SessionConfig;
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
    /// Who may talk to the robot alone.
    #[arg(long, value_enum, default_value = "pairing")]
    dm_policy: DmPolicy,
    /// In which groups it answers.
    #[arg(long, value_enum, default_value = "allowlist")]
    group_policy: GroupPolicy,
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
    let env = ProcessEnvironment;
    let credential = config::credential(&env)?;
    let endpoints = config::endpoints(&env)?;
    let state_dir = match args.state_dir {
        Some(dir) => dir,
        None => config::default_state_dir(&env)?,
    };
    state_dir::prepare(&state_dir)?;
    let _lock = state_dir::lock(&state_dir)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state_dir.join(FILE))?);
    let desk = Desk::new(credential.client_id.clone());
    let agent = args.agent.build(&env, &credential.client_id, &store, &desk)?;
    let trusted = TrustedHosts::new(&endpoints, args.allow_host);
    let tls = tls_for(&endpoints)?;
    let listener = Listener::bind(&state_dir, args.agent_listen).await?;
    let mut signals = Signals::catch()?;
    info!(
        client_id = %credential.client_id,
        openapi = %endpoints.openapi,
        state_dir = %state_dir.display(),
        agent = args.agent.kind.name(),
        link = listener.address(),
        dm_policy = ?args.dm_policy,
        group_policy = ?args.group_policy,
        "starting"
    );
    let config = GatewayConfig {
        openapi: OpenApiConfig {
            endpoints,
            credential,
            trusted,
            tls,
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
        dm_policy: args.dm_policy,
        group_policy: args.group_policy,
        show_thinking: !args.no_thinking,
        delegate: args.delegate,
        cards: args.cards.into(),
    };
    let mut gateway = Gateway::start(config, store).await?;
    let robot =
        Robot { desk, agent: args.agent.kind, pusher: gateway.pusher(), stream: gateway.state() };
    let link = Server::start(listener, vec![robot]);
    tokio::select! {
        _ = signals.next() => {}
        failure = gateway.failed() => return Err(Failure::new(ExitCode::Failed, failure)),
    }
    info!("stopping; answers under way get {} s", crate::gateway::DRAIN.as_secs());
    let unfinished = signals.or_die(gateway.stop()).await;
    // Until here agents could finish their answers.
    drop(link);
    info!(unfinished, "stopped");
    Ok(())
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
