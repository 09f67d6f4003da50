//! Verbs that could not be done, and the checks that verbs share.

use thiserror::Error;

use super::fault::Cut;

/// A verb that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerbError {
    /// A value is not what it has to be.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Invalid {
        /// The field's name.
        field: String,
        /// The value, quoted or described.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// The sort of thing.
        what: &'static str,
        /// What it was called.
        name: String,
    },
    /// It exists already.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// The sort of thing.
        what: &'static str,
        /// What it is called.
        name: String,
    },
    /// A bound is reached.
    #[error("no more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are kept.
        limit: usize,
    },
}

impl VerbError {
    pub(crate) fn invalid(
        field: impl Into<String>,
        value: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self::Invalid { field: field.into(), value: value.into(), allowed: allowed.into() }
    }
}

/// What a Close frame may say (RFC 6455, 7.4 and 5.5).
pub(crate) fn check_cut(cut: &Cut) -> Result<(), VerbError> {
    let Cut::Close { code, reason } = cut else { return Ok(()) };
    let sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !sendable {
        let allowed = "a code that may be sent: 1000-1003, 1007-1014 or 3000-4999";
        return Err(VerbError::invalid("code", code.to_string(), allowed));
    }
    if reason.len() > 123 {
        let value = format!("{} bytes long", reason.len());
        return Err(VerbError::invalid("reason", value, "at most 123 bytes"));
    }
    Ok(())
}

/// An id that people choose: short, and without control characters.
pub(crate) fn check_id(field: &str, id: &str) -> Result<(), VerbError> {
    if id.is_empty() || id.len() > 128 || id.chars().any(char::is_control) {
        return Err(VerbError::invalid(
            field,
            quoted(id),
            "1 to 128 bytes without control characters",
        ));
    }
    Ok(())
}

/// The title of a group: as an id, and somewhat longer.
pub(crate) fn check_title(field: &str, title: &str) -> Result<(), VerbError> {
    if title.is_empty() || title.len() > MAX_TITLE || title.chars().any(char::is_control) {
        let allowed = format!("1 to {MAX_TITLE} bytes without control characters");
        return Err(VerbError::invalid(field, quoted(title), allowed));
    }
    Ok(())
}

/// DingTalk's own limit is not documented.
const MAX_TITLE: usize = 255;

/// A value for an error message: in quotation marks, and not too long.
pub(crate) fn quoted(value: &str) -> String {
    let end = value.floor_char_boundary(200);
    let more = if end < value.len() { "…" } else { "" };
    format!("{:?}{more}", &value[..end])
}
