//! The command line. Data goes to stdout, everything else to stderr.

mod apps;
mod arguments;
mod breaking;
mod client;
mod clock;
mod custom_robots;
mod env;
mod exit_code;
mod fault;
mod files;
mod healthcheck;
mod journal;
mod lists;
mod pages;
mod press;
mod print;
mod pushes;
mod read;
mod ready;
mod replay;
mod rows;
mod run;
mod say;
mod scenario;
mod serve;
mod settings;
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
    /// Play scenario files against a bot.
    Scenario(scenario::Scenario),
    /// Print the variables that make a bot find a running mock.
    Env(env::Env),
    /// Print the certificate that a bot has to trust for TLS.
    Ca(env::Ca),
    /// Let a person speak to the robot.
    Say(say::Say),
    /// Press a button of a card.
    Press(press::Press),
    /// Let a person read a message of the robot.
    Read(read::Read),
    /// Push an EVENT frame.
    Event(pushes::Event),
    /// Push a CALLBACK of another topic than robot messages.
    Callback(pushes::Callback),
    /// Push a text message as it stands.
    Frame(pushes::Frame),
    /// Keep a person's file, or fetch the bytes of one.
    Files(files::Files),
    /// List custom robots, or put one into a group.
    CustomRobots(custom_robots::CustomRobots),
    /// Print what the robot said.
    Sent(rows::Rows),
    /// Print each push to the bot.
    Deliveries(rows::Rows),
    /// Print each connection.
    Connections(rows::Rows),
    /// Print the robot's reactions that stand.
    Reactions(lists::Reactions),
    /// Announce the end of connections, as the gateway does.
    Disconnect(breaking::Disconnect),
    /// End connections without notice.
    Cut(breaking::CutNow),
    /// Make things break, and whole again.
    Fault(fault::Fault),
    /// Show or change how often the app may call.
    Limits(settings::Limits),
    /// Show, grant or revoke the app's permissions.
    Permissions(settings::Permissions),
    /// End the app's access token before its time.
    Token(settings::Token),
    /// Show or change how strictly the app's calls are read.
    Strictness(settings::Strictness),
    /// Show or change how the app's pushes behave.
    Delivery(settings::Delivery),
    /// Show or turn the clock of every lifetime.
    Clock(clock::Clock),
    /// Print everything sent and received.
    Journal(journal::Journal),
    /// Print what the bot did that would go wrong with DingTalk.
    Findings(journal::Findings),
    /// Print the calls of bots for which the mock has no answer.
    Unmatched(lists::Unmatched),
    /// Keep a state of the mock, and go back to it.
    Snapshot(snapshot::Snapshot),
    /// Mint, list and delete apps.
    Apps(apps::Apps),
    /// Forget all apps, and reset what is connected.
    Reset(apps::Reset),
    /// Print the fixtures that `say --fixture` takes.
    Fixtures(lists::Fixtures),
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
            Self::Scenario(scenario) => scenario.run().await,
            Self::Env(env) => env.run().await,
            Self::Ca(ca) => ca.run().await,
            Self::Say(say) => say.run().await,
            Self::Read(read) => read.run().await,
            Self::Event(event) => event.run().await,
            Self::Callback(callback) => callback.run().await,
            Self::Frame(frame) => frame.run().await,
            Self::Files(files) => files.run().await,
            Self::CustomRobots(robots) => robots.run().await,
            Self::Reactions(reactions) => reactions.run().await,
            Self::Limits(limits) => limits.run().await,
            Self::Permissions(permissions) => permissions.run().await,
            Self::Token(token) => token.run().await,
            Self::Strictness(strictness) => strictness.run().await,
            Self::Delivery(delivery) => delivery.run().await,
            Self::Unmatched(unmatched) => unmatched.run().await,
            Self::Fixtures(fixtures) => fixtures.run().await,
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
