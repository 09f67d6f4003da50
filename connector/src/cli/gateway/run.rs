//! `ddingtalk gateway run`: the process itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::handover::{Coming, Nursery};
use super::life::{Ended, Ground};
use super::reload::Follower;
use super::systemd::Supervisor;
use crate::cli::access::{AccessArgs, StoreFlag, state_dir};
use crate::cli::agent::AgentArgs;
use crate::cli::cards::CardArgs;
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::signals::Signals;
use crate::cli::times::{QueuedAfter, alert_after, duration, queued_after};
use crate::config::{self, ProcessEnvironment};
use crate::gateway::push::Target;
use crate::openapi::{CALLS_PER_SECOND, Endpoints, bare_host};
use crate::telemetry::LogFormat;
use crate::telemetry::log_file::LogFile;
use crate::{state_dir, telemetry, tls};

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
    /// A host, besides DingTalk's and allowHosts of the config file, that URLs made by the server may name; may be
    /// repeated.
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
    let mut signals = Signals::catch()?;
    let mut nursery = Nursery::of_process(&ProcessEnvironment, &mut signals)?;
    #[cfg(target_os = "linux")]
    if args.agent.linger().is_some() {
        super::scope::leave_service(&ProcessEnvironment).await;
    }
    let ended = live(args, &log, &mut nursery, &mut signals).await;
    match ended {
        Ok(Ends::Stopped) => Ok(()),
        Ok(Ends::Left) => {
            let code = nursery.keep(signals).await;
            if code == 0 { Ok(()) } else { end_as(code) }
        }
        Err(failure) => {
            nursery.failed(&failure).await;
            Err(failure)
        }
    }
}

/// Works until it is told to stop, or another process has taken its place.
async fn live(
    args: RunArgs,
    log: &LogFile,
    nursery: &mut Nursery,
    signals: &mut Signals,
) -> Result<Ends, Failure> {
    check_times(&args)?;
    let access = args.access.with(&args.agent);
    let mut accounts = access.accounts()?;
    let mut follower = Follower::new(&accounts, move || access.followed());
    let endpoints = config::endpoints(&ProcessEnvironment)?;
    let state_dir = state_dir(args.state_dir.clone())?;
    state_dir::prepare(&state_dir)?;
    let tls = tls_for(&endpoints)?;
    let supervisor = Arc::new(Supervisor::new(&ProcessEnvironment));
    let ground = Ground { args: Arc::new(args), endpoints, tls, state_dir, supervisor };
    let mut coming = None;
    if let Some(predecessor) = nursery.predecessor() {
        ground.place(log);
        let robots = accounts.accounts.iter().map(|account| ground.line(account)).collect();
        coming = Some(Coming::connect(predecessor, robots).await?);
    }
    loop {
        let kept = (log, &mut follower);
        match ground.live(accounts, coming.take(), kept, nursery, signals).await? {
            Ended::Stopped => return Ok(Ends::Stopped),
            Ended::Left => return Ok(Ends::Left),
            Ended::LeftInVain(settings) => accounts = *settings,
        }
    }
}

/// How the process ends.
enum Ends {
    Stopped,
    /// Another one is in its place.
    Left,
}

/// Ends as the child did.
#[expect(clippy::exit, reason = "the status of a child is none of this program's own codes")]
fn end_as(code: i32) -> ! {
    std::process::exit(code)
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
pub(in crate::cli) fn host(text: &str) -> Result<String, String> {
    bare_host(text)
        .ok_or_else(|| "is no host; give a name or address without scheme and port".to_owned())
}
