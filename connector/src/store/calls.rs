//! How many calls an app has made in a month: DingTalk counts them across restarts.

use super::Pending;
use crate::credential::ClientId;

/// Where counts are kept.
pub trait CallStore {
    /// The calls that are kept of an app's month; 0 if none are.
    fn calls(&self, client_id: &ClientId, month: i64) -> Pending<u64>;

    /// Keeps the calls of an app's month, the ones counted before included. A count never falls, and those of
    /// earlier months go.
    fn keep_calls(&self, client_id: &ClientId, month: i64, calls: u64) -> Pending<()>;
}
