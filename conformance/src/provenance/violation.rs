//! What can be wrong between the fixtures and their record.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong, with the path of the file or entry it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Violation {
    /// A fixture that the record does not mention.
    FileWithoutEntry {
        /// Path of the fixture.
        path: String,
    },
    /// An entry for a file that is not there.
    EntryWithoutFile {
        /// Path in the entry.
        path: String,
    },
    /// A second entry for the same path.
    DuplicateEntry {
        /// Path in both entries.
        path: String,
    },
    /// An origin that is none of the known ones.
    UnknownOrigin {
        /// Path in the entry.
        path: String,
        /// Word that stands there.
        origin: String,
    },
    /// A source without a word in it.
    EmptySource {
        /// Path in the entry.
        path: String,
    },
    /// An HTTP status out of range, or on something that is no HTTP response.
    BadStatus {
        /// Path in the entry.
        path: String,
        /// Number that stands there.
        status: u16,
    },
    /// A `.json` file that is not JSON.
    NotJson {
        /// Path of the fixture.
        path: String,
        /// Where reading stopped.
        reason: String,
    },
    /// A frame without a type or data that its direction demands.
    NotAFrame {
        /// Path of the fixture.
        path: String,
        /// What is missing.
        reason: String,
    },
    /// A field that must hold JSON in a string, and does not.
    EmbeddedNotJson {
        /// Path of the fixture.
        path: String,
        /// Name of the field.
        field: String,
        /// What it holds, or where reading stopped.
        reason: String,
    },
}

impl Violation {
    /// Path of the file or entry in question.
    pub fn path(&self) -> &str {
        match self {
            Self::FileWithoutEntry { path }
            | Self::EntryWithoutFile { path }
            | Self::DuplicateEntry { path }
            | Self::UnknownOrigin { path, .. }
            | Self::EmptySource { path }
            | Self::BadStatus { path, .. }
            | Self::NotJson { path, .. }
            | Self::NotAFrame { path, .. }
            | Self::EmbeddedNotJson { path, .. } => path,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path())?;
        match self {
            Self::FileWithoutEntry { .. } => {
                f.write_str("no entry says where this file comes from; add one to provenance.toml")
            }
            Self::EntryWithoutFile { .. } => {
                f.write_str("the file is not there; restore it, or remove its entry")
            }
            Self::DuplicateEntry { .. } => {
                f.write_str("more than one entry for this path; keep one")
            }
            Self::UnknownOrigin { origin, .. } => {
                write!(f, "origin `{origin}` is unknown; take documented, sdk, observed or derived")
            }
            Self::EmptySource { .. } => {
                f.write_str("the source is empty; name the page, package or issue")
            }
            Self::BadStatus { status, .. } => write!(
                f,
                "status {status} cannot be; a response in gateway/ or openapi/ takes 100 to 599"
            ),
            Self::NotJson { reason, .. } => {
                write!(f, "not JSON ({reason}); only hostile/ may hold such files")
            }
            Self::NotAFrame { reason, .. } => {
                write!(f, "not a frame of the stream ({reason}); only hostile/ may hold such files")
            }
            Self::EmbeddedNotJson { field, reason, .. } => {
                write!(f, "`{field}` must be JSON in a string ({reason})")
            }
        }
    }
}
