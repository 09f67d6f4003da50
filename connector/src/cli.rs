//! Command line: definitions and dispatch.

mod access;
mod agent;
mod build;
mod cards;
mod channels;
mod checkup;
mod completion;
mod config;
mod cron;
#[cfg(feature = "dev")]
mod dev;
mod doctor;
pub mod exit_code;
mod gateway;
mod health;
mod inbox;
mod link;
mod logs;
mod message;
mod onboard;
mod output;
mod pairing;
mod policy;
mod robots;
mod setup;
mod signals;
mod terminal;
mod times;
mod trace;

use clap::{Parser, Subcommand};

use self::exit_code::{ExitCode, Failure};

/// Connects a DingTalk app robot to an AI agent.
#[derive(Debug, Parser)]
#[command(name = "ddingtalk", version, long_version = build::LONG_VERSION, arg_required_else_help = true, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything out: mock DingTalk, connector, echo agent and chat page in one process.
    #[cfg(feature = "dev")]
    Dev(dev::Args),
    /// From nothing to a robot that answers, question by question.
    Onboard(channels::Add),
    /// The robots of the config file: add, list, status, remove, logs.
    Channels(channels::Args),
    /// Connect the robot and keep it connected; status, restart, stop.
    Gateway(Box<gateway::Args>),
    /// What the gateway has logged.
    Logs(logs::Args),
    /// Send a message that answers nothing, take one back, see who has read it.
    Message(message::Args),
    /// What is sent at given times: add, list, remove, run, history, enable, disable.
    Cron(cron::Args),
    /// Messages that wait, are worked on, or failed: list, show, retry, drop.
    Inbox(inbox::Args),
    /// What became of a message, step by step.
    Trace(trace::Args),
    /// Find out whether the robots can work, and what is to be mended where.
    Doctor(doctor::Args),
    /// Ask the running gateway whether it is alive: for health checks.
    Health(health::Args),
    /// Who asked to talk to a robot, and who may: list, approve, deny, revoke.
    Pairing(pairing::Args),
    /// Who may talk to a robot.
    Policy(policy::Args),
    /// The settings: where they are, whether they hold, other ones.
    Config(config::Args),
    /// Print a script that completes commands and flags in a shell.
    Completion(completion::Args),
}

const ENVIRONMENT: &str = "\
Environment of `ddingtalk gateway`:
  DINGTALK_CLIENT_ID          Client ID (AppKey) of the app
  DINGTALK_CLIENT_SECRET      Client Secret (AppSecret) of the app
  DINGTALK_OPENAPI_ENDPOINT   default https://api.dingtalk.com
  DINGTALK_OAPI_ENDPOINT      default https://oapi.dingtalk.com
  OPENCLAW_STATE_DIR          its folder `ddingtalk` is the state directory; default ~/.openclaw
  OPENCLAW_CONFIG_PATH        config file; default openclaw.json in ~/.openclaw
  OPENAI_BASE_URL             agent openai: default https://api.openai.com/v1; /v1 may be left out
  OPENAI_API_KEY              agent openai: its key; local servers need none
  OPENAI_MODEL                agent openai: the model
  DINGTALK_CARDS, DINGTALK_CARD_TEMPLATE, DINGTALK_CARD_KEY
                              the same as --cards, --card-template, --card-key
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY   proxy for HTTP calls and the WebSocket
  SSL_CERT_FILE               CA bundle to trust instead of the system's
  RUST_LOG                    log filter, such as debug
  DINGTALK_LOG_FORMAT         the same as --log-format: text or json

Exit codes:
  0 done   1 failed   2 wrong usage   10 configuration   11 state directory
  12 address not available   13 no answer in time   14 no gateway runs
  15 a robot is not connected   16 the database is away
  20 doctor: a check failed
  130, 143 interrupted";

/// Runs a parsed command line; returns what the process exits with.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return report(&Failure::new(ExitCode::Failed, format!("cannot start: {e}"))),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            #[cfg(feature = "dev")]
            Command::Dev(args) => dev::run(args).await,
            Command::Onboard(args) => onboard::onboard(args).await,
            Command::Channels(args) => channels::run(args).await,
            Command::Gateway(args) => gateway::run(*args).await,
            Command::Logs(args) => logs::run(args, None).await,
            Command::Message(args) => message::run(args).await,
            Command::Cron(args) => cron::run(args).await,
            Command::Inbox(args) => inbox::run(args).await,
            Command::Trace(args) => trace::run(args),
            Command::Doctor(args) => doctor::run(args).await,
            Command::Health(args) => health::run(args).await,
            Command::Pairing(args) => pairing::run(args).await,
            Command::Policy(args) => policy::run(args),
            Command::Config(args) => config::run(args),
            Command::Completion(args) => completion::run(&args),
        }
    });
    // Answers under way had their time; whatever is left must not delay the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::Done,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    output::error(&failure.to_string());
    failure.exit_code()
}
