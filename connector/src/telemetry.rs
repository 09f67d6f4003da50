//! Logs, on stderr, so that stdout carries data only.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for the whole process. `RUST_LOG` overrules `verbose`.
///
/// Secrets are kept out of it: they live in types that show a mask, URLs are logged with their queries
/// masked, and records of the WebSocket crate, which quote URLs, are not collected.
pub fn start(verbose: bool) {
    let default = if verbose { "info,dingtalk_connector=debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would complain with a macro that panics when stderr takes nothing: a full disk.
        .log_internal_errors(false)
        .init();
}
