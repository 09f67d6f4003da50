//! Whom a robot has met: the people and groups that wrote to it, by ids in their exact case.
//!
//! Ids of DingTalk are case-sensitive, and programs that hand them on write them in lower case now and then.

use super::Pending;
use crate::credential::ClientId;

/// Where peers are kept.
pub trait PeerStore {
    /// Keeps a person or group, or a newer name of one.
    fn met(&self, peer: Peer) -> Pending<()>;

    /// The ids of people, or of groups, that are `id` apart from its case; at most two of them.
    fn peers_like(&self, client_id: &ClientId, is_group: bool, id: &str) -> Pending<Vec<String>>;
}

/// Somebody who wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The app that was written to.
    pub client_id: ClientId,
    /// Whether it is a group.
    pub is_group: bool,
    /// `senderStaffId`, or the group's `conversationId`.
    pub id: String,
    /// Display name of the person, or title of the group.
    pub name: Option<String>,
}
