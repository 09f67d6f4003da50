//! Until when an app's robot could be heard by: what is missing from its ears is known after a restart, too.

use super::Pending;
use crate::credential::ClientId;

/// Where these moments are kept.
pub trait HeardStore {
    /// Until when messages could arrive, in milliseconds since 1970 UTC; `None` before the first connection.
    fn heard_until(&self, client_id: &ClientId) -> Pending<Option<i64>>;

    /// Keeps such a moment, in place of the one before.
    fn keep_heard(&self, client_id: &ClientId, until: i64) -> Pending<()>;
}
