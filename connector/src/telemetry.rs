//! Logs, on stderr, so that stdout carries data only.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line: `timestamp`, `level`, `target`, `message`, its fields beside them, and the
    /// account's `span`.
    Json,
}

/// Starts logging for the whole process, as text. `RUST_LOG` overrules `verbose`.
pub fn start(verbose: bool) {
    start_as(verbose, LogFormat::Text);
}

/// Starts logging for a command that says itself what is wrong: nothing is logged unless `RUST_LOG` says so.
pub fn start_for_tools() {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_some() {
        start(false);
    }
}

/// Starts logging for the whole process. `RUST_LOG` overrules `verbose`.
///
/// Secrets are kept out of it: they live in types that show a mask, URLs are logged with their queries
/// masked, and records of the WebSocket crate, which quote URLs, are not collected.
pub fn start_as(verbose: bool, format: LogFormat) {
    let default = if verbose { "info,dingtalk_connector=debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain with a macro that panics when stderr takes nothing: a full disk.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => {
            lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
        }
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).init(),
    }
}
