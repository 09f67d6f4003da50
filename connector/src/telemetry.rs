//! Logs: on stderr, so that stdout carries data only, and, for a gateway, in the state directory.

pub mod lines;
pub mod log_file;

use std::io::IsTerminal;
use std::sync::Arc;

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use self::lines::JsonLines;
use self::log_file::LogFile;

/// How log lines are written to stderr.
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
///
/// Secrets are kept out of it: they live in types that show a mask, URLs are logged with their queries
/// masked, and records of the WebSocket crate, which quote URLs, are not collected.
pub fn start(verbose: bool) {
    with_file(verbose, LogFormat::Text, None);
}

/// Starts logging for a command that says itself what is wrong: nothing is logged unless `RUST_LOG` says so.
pub fn start_for_tools() {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_some() {
        start(false);
    }
}

/// As [`start`], in this format, with a file beside stderr.
pub fn start_with_file(verbose: bool, format: LogFormat, file: &Arc<LogFile>) {
    with_file(verbose, format, Some(file));
}

fn with_file(verbose: bool, format: LogFormat, file: Option<&Arc<LogFile>>) {
    let default = if verbose { "info,dingtalk_connector=debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = fmt::layer()
        .with_writer(std::io::stderr)
        // It would complain with a macro that panics when stderr takes nothing: a full disk.
        .log_internal_errors(false);
    let stderr = match format {
        LogFormat::Text => {
            stderr.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed()
        }
        LogFormat::Json => stderr.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let file = file.map(|file| JsonLines::new(Arc::clone(file)));
    tracing_subscriber::registry().with(filter).with(stderr).with(file).init();
}
