//! The smallest bot that keeps to the protocol: an echo bot on plain sockets, without an SDK.
//!
//! `--broken WAY` makes it wrong in one way: a canary, which the suite has to catch.

mod bot;
mod http;
mod reply;
mod way;

use std::process::ExitCode;

use clap::Parser;

/// An echo bot for DingTalk's Stream mode.
#[derive(Debug, Clone, Parser)]
struct Cli {
    #[arg(long, env = "DINGTALK_CLIENT_ID")]
    client_id: String,
    #[arg(long, env = "DINGTALK_CLIENT_SECRET", hide_env_values = true)]
    client_secret: String,
    /// http://HOST:PORT
    #[arg(long, env = "DINGTALK_OPENAPI_ENDPOINT")]
    endpoint: String,
    /// Be wrong in this way.
    #[arg(long, value_name = "WAY")]
    broken: Option<way::Way>,
}

impl Cli {
    fn is(&self, way: way::Way) -> bool {
        self.broken == Some(way)
    }
}

fn main() -> ExitCode {
    bot::Bot::new(Cli::parse()).run();
    // Only a broken one comes to an end.
    ExitCode::FAILURE
}
