//! The only place that prints: data on stdout, everything else on stderr.
#![expect(clippy::print_stderr, reason = "errors of the command line go to stderr")]

#[cfg(feature = "dev")]
use std::io::{self, Write};

/// One line of data. A reader that has gone away is no failure.
#[cfg(feature = "dev")]
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Why a command failed.
pub(super) fn error(message: &str) {
    eprintln!("error: {message}");
}
