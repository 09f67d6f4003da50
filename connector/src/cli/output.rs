//! The only place that prints: data on stdout, everything else on stderr.
#![expect(clippy::print_stderr, reason = "errors of the command line go to stderr")]

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

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
    // Whoever started a long-lived process may not read any more.
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// The name of somebody or something, if there is one.
pub(super) fn shown(name: Option<&str>) -> String {
    name.map_or("-".to_owned(), printable)
}

/// A name that people chose themselves must not move the cursor.
pub(super) fn printable(name: &str) -> String {
    // Marks of direction would change what stands around it.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().filter(|c| !c.is_control() && !turns(*c)).collect()
}

/// A time in milliseconds since 1970 UTC, with its milliseconds.
pub(super) fn moment(unix_ms: i64) -> humantime::Rfc3339Timestamp {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since)
}

/// A time in milliseconds since 1970 UTC.
pub(super) fn time(unix_ms: i64) -> humantime::Rfc3339Timestamp {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since)
}

/// The beginning of some words, in one line.
pub(super) fn excerpt(words: &str) -> String {
    const LENGTH: usize = 60;
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = printable(&line).chars().take(LENGTH).collect();
    if short.chars().count() == LENGTH {
        short.push('…');
    }
    short
}
