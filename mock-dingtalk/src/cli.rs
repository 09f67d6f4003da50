//! The command line. Data goes to stdout, everything else to stderr.

mod apps;
mod breaking;
mod client;
mod clock;
mod env;
mod exit_code;
mod fault;
mod healthcheck;
mod journal;
mod pages;
mod press;
mod print;
mod ready;
mod replay;
mod rows;
mod run;
mod say;
mod serve;
mod signals;
mod snapshot;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use mock_dingtalk::{Builder, MockDingtalk, MockError};
use tracing_subscriber::EnvFilter;

use self::{exit_code::Exit, rows::List};

#[derive(Debug, Parser)]
#[command(
    name = "mock-dingtalk",
    version,
    about = "DingTalk's stream gateway and OpenAPI as a local server",
    after_help = exit_code::HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until interrupted; print one JSON line when ready.
    Serve(serve::Serve),
    /// Serve while COMMAND runs, with an app of its own in its environment.
    Run(run::Run),
    /// Serve a recorded session again, and say whether the bot behaves as it did.
    Replay(replay::Replay),
    /// Print the variables that make a bot find a running mock.
    Env(env::Env),
    /// Let a person speak to the robot.
    Say(say::Say),
    /// Press a button of a card.
    Press(press::Press),
    /// Print what the robot said.
    Sent(rows::Rows),
    /// Print each push to the bot.
    Deliveries(rows::Rows),
    /// Print each connection.
    Connections(rows::Rows),
    /// Announce the end of connections, as the gateway does.
    Disconnect(breaking::Disconnect),
    /// End connections without notice.
    Cut(breaking::CutNow),
    /// Make things break, and whole again.
    Fault(fault::Fault),
    /// Show or turn the clock of every lifetime.
    Clock(clock::Clock),
    /// Print everything sent and received.
    Journal(journal::Journal),
    /// Print what the bot did that would go wrong with DingTalk.
    Findings(journal::Findings),
    /// Keep a state of the mock, and go back to it.
    Snapshot(snapshot::Snapshot),
    /// Mint, list and delete apps.
    Apps(apps::Apps),
    /// Forget all apps, and reset what is connected.
    Reset(apps::Reset),
    /// Exit with 0 if a mock takes calls, with 1 if not.
    Healthcheck(healthcheck::Healthcheck),
    /// Print the control API as OpenAPI 3.1.
    Openapi(pages::Openapi),
    /// Print what is modelled, how well, and by which source.
    Coverage(pages::Coverage),
}

impl Command {
    async fn run(self) -> Result<ExitCode, Exit> {
        match self {
            Self::Serve(serve) => serve.run().await,
            Self::Run(run) => run.run().await,
            Self::Replay(replay) => replay.run().await,
            Self::Env(env) => env.run().await,
            Self::Say(say) => say.run().await,
            Self::Press(press) => press.run().await,
            Self::Sent(rows) => rows.run(List::Sent).await,
            Self::Deliveries(rows) => rows.run(List::Deliveries).await,
            Self::Connections(rows) => rows.run(List::Connections).await,
            Self::Disconnect(disconnect) => disconnect.run().await,
            Self::Cut(cut) => cut.run().await,
            Self::Fault(fault) => fault.run().await,
            Self::Clock(clock) => clock.run().await,
            Self::Journal(journal) => journal.run().await,
            Self::Findings(findings) => findings.run().await,
            Self::Snapshot(snapshot) => snapshot.run().await,
            Self::Apps(apps) => apps.run().await,
            Self::Reset(reset) => reset.run().await,
            Self::Healthcheck(check) => check.run().await,
            Self::Openapi(openapi) => openapi.run(),
            Self::Coverage(coverage) => coverage.run(),
        }
    }
}

/// What `serve` and `run` have in common.
#[derive(Debug, Args)]
struct Start {
    /// Where to listen; port 0 means a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write the ready line to this file too (mode 0600); it is removed at exit.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// What control calls have to bring; made up if needed and not given.
    #[arg(long, value_name = "TOKEN", env = "MOCK_DINGTALK_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Where server-made URLs point for bots that came by one of DingTalk's names.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Let a proxy's requests for other hosts than DingTalk's through to them.
    #[arg(long)]
    passthrough: bool,
    /// Take what only the mock's own strictness refuses, with a remark.
    #[arg(long)]
    lenient: bool,
    /// Seed of everything that is made up.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Start {
    fn builder(&self) -> Builder {
        let mut builder = MockDingtalk::builder()
            .listen(self.listen)
            .passthrough(self.passthrough)
            .lenient(self.lenient);
        if let Some(token) = self.admin_token.as_ref().filter(|token| !token.is_empty()) {
            builder = builder.admin_token(token);
        }
        if let Some(url) = &self.public_url {
            builder = builder.public_url(url);
        }
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        builder
    }

    async fn start(&self) -> Result<MockDingtalk, Exit> {
        self.builder().start().await.map_err(|error| match error {
            MockError::Listen { address, source } => Exit::unavailable(format!(
                "cannot listen on {address}: {source}; choose another port with --listen, or port \
                 0 for a free one"
            )),
            other => Exit::usage(other.to_string()),
        })
    }
}

/// Threads, on any machine: each has memory of its own that the others cannot use, and all of them
/// wait for one lock.
const WORKERS: usize = 2;

/// Parses, runs, and turns what went wrong into one sentence and an exit code.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("MOCK_DINGTALK_LOG")
        .unwrap_or_else(|_| EnvFilter::new("mock_dingtalk=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.worker_threads(WORKERS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::failed(format!("cannot start: {error}")).report(),
    };
    let done = runtime.block_on(cli.command.run());
    // Handlers that hang on purpose must not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(exit) => exit.report(),
    }
}
