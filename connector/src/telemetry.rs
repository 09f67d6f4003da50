//! Logs: on stderr, so that stdout carries data only, and, for a gateway, in the state directory.

pub mod lines;
pub mod log_file;

use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use self::lines::JsonLines;
use self::log_file::LogFile;

/// Starts logging for the whole process. `RUST_LOG` overrules `verbose`.
///
/// Secrets are kept out of it: they live in types that show a mask, URLs are logged with their queries
/// masked, and records of the WebSocket crate, which quote URLs, are not collected.
pub fn start(verbose: bool) {
    with_file(verbose, None);
}

/// The same, with a file beside stderr.
pub fn start_with_file(verbose: bool, file: &Arc<LogFile>) {
    with_file(verbose, Some(file));
}

fn with_file(verbose: bool, file: Option<&Arc<LogFile>>) {
    let default = if verbose { "info,dingtalk_connector=debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would complain with a macro that panics when stderr takes nothing: a full disk.
        .log_internal_errors(false);
    let file = file.map(|file| JsonLines::new(Arc::clone(file)));
    tracing_subscriber::registry().with(filter).with(stderr).with(file).init();
}
