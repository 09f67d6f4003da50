//! What to do about a file that cannot be written.

use std::io::{Error, ErrorKind};

/// By what the system said; `otherwise` is for whatever has no better answer.
pub(crate) fn of(e: &Error, otherwise: &'static str) -> &'static str {
    match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk",
        ErrorKind::ReadOnlyFilesystem => "mount its file system for writing",
        _ => otherwise,
    }
}
