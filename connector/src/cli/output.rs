//! The only place that prints: data on stdout, everything else on stderr.
#![expect(clippy::print_stderr, reason = "errors of the command line go to stderr")]

use std::io::{self, Write};

use super::exit_code::{ExitCode, Failure};

/// One line of data. A reader that has gone away is no failure.
pub(super) fn line(text: &str) -> io::Result<()> {
    read(text).map(drop)
}

/// One line of data; tells whether anybody reads it still.
pub(super) fn read(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// One line of data of a command that has nothing else to do.
pub(super) fn data(text: &str) -> Result<(), Failure> {
    line(text).map_err(|e| Failure::new(ExitCode::Failed, format!("cannot print: {e}")))
}

/// A question, on the line where it is answered.
pub(super) fn prompt(question: &str) {
    eprint!("{question}");
    // Whoever cannot see it cannot answer it either.
    let _ = io::stderr().flush();
}

/// A word beside the data.
pub(super) fn note(message: &str) {
    eprintln!("{message}");
}

/// Why a command failed.
pub(super) fn error(message: &str) {
    eprintln!("error: {message}");
}
