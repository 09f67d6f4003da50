//! Keys of pushes: a caller that asks again gets the outcome instead of a second message.

use super::Pending;
use crate::credential::ClientId;

/// Keys are remembered so long, in milliseconds: 7 days.
pub const KEY_LIFE_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// Where keys are kept.
pub trait PushStore {
    /// Keeps a push before anything of it is sent, unless there is one under its key: then that is returned,
    /// and nothing changes.
    fn begin_push(&self, push: NewPush) -> Pending<Option<KeptPush>>;

    /// Keeps what became of it.
    fn end_push(&self, client_id: &ClientId, key: &str, outcomes: String) -> Pending<()>;
}

/// A push to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPush {
    /// The app that sends it.
    pub client_id: ClientId,
    /// Unique within the app.
    pub key: String,
    /// Tells one message from another.
    pub digest: String,
    /// When, in milliseconds since 1970 UTC.
    pub at: i64,
}

/// A push that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPush {
    /// Tells one message from another.
    pub digest: String,
    /// What became of it, if that is known.
    pub outcomes: Option<String>,
}
