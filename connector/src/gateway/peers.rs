//! Remembers who wrote, so that a push finds them by ids whose case was lost on the way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tracing::{info, warn};

use super::push::Target;
use crate::agent::Standing;
use crate::credential::ClientId;
use crate::protocol::{BotMessage, ConversationId, ConversationType, SenderStaffId};
use crate::store::Store;
use crate::store::peers::Peer;

/// The peers of one robot.
#[derive(Debug)]
pub(super) struct Peers {
    client_id: ClientId,
    store: Arc<dyn Store>,
    /// Those that this process has kept already.
    kept: Mutex<HashSet<Peer>>,
}

/// Peers that are known to be kept; when there are more, all are kept anew.
const KNOWN: usize = 10_000;

impl Peers {
    pub(super) fn new(client_id: ClientId, store: Arc<dyn Store>) -> Self {
        Self { client_id, store, kept: Mutex::default() }
    }

    /// Keeps whoever wrote a message that is answered, and the group it was written in. Nothing waits for it.
    pub(super) fn met(&self, message: &BotMessage) {
        let peer = |is_group, id: &str, name: &Option<String>| Peer {
            client_id: self.client_id.clone(),
            is_group,
            id: id.to_owned(),
            name: name.clone(),
        };
        let sender = message.sender_staff_id.as_ref();
        let person = sender.map(|id| peer(false, id.as_str(), &message.sender_nick));
        let group = (message.conversation_type == ConversationType::Group)
            .then(|| peer(true, message.conversation_id.as_str(), &message.conversation_title));
        for peer in person.into_iter().chain(group) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KNOWN {
                kept.clear();
            }
            if kept.insert(peer.clone()) {
                // Without it a push needs the exact id, as it does for strangers.
                drop(self.store.met(peer));
            }
        }
    }

    /// Whether the connector may act by itself for whoever wrote, as far as that is known without asking the
    /// store: the rules admit them, or leave them to an agent that has worked for them before.
    pub(super) fn are_met(&self, message: &BotMessage, standing: Standing) -> bool {
        match (standing, &message.sender_staff_id) {
            (Standing::Admitted, _) => true,
            (Standing::Unsettled, Some(user)) => {
                let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.iter().any(|peer| !peer.is_group && peer.id == user.as_str())
            }
            (Standing::Unsettled, None) | (Standing::Refused, _) => false,
        }
    }

    /// The same, known from earlier processes too.
    pub(super) async fn were_met(&self, message: &BotMessage, standing: Standing) -> bool {
        if self.are_met(message, standing) {
            return true;
        }
        let (Standing::Unsettled, Some(user)) = (standing, &message.sender_staff_id) else {
            return false;
        };
        match self.store.peers_like(&self.client_id, false, user.as_str()).await {
            Ok(found) => found.iter().any(|id| id == user.as_str()),
            Err(e) => {
                warn!(%user, "it is not known whether somebody was answered before: {e}");
                false
            }
        }
    }

    /// Recipients by their exact ids, as far as they are known. One that fits several stays as it is.
    pub(super) async fn exactly(&self, targets: Vec<Target>) -> Vec<Target> {
        join_all(targets.into_iter().map(|target| self.one(target))).await
    }

    async fn one(&self, target: Target) -> Target {
        let (is_group, id) = match &target {
            Target::User(user) => (false, user.as_str()),
            Target::Chat(group) => (true, group.as_str()),
        };
        let found = match self.store.peers_like(&self.client_id, is_group, id).await {
            Ok(found) => found,
            Err(e) => {
                warn!(%target, "it is not known whether the recipient's id is exact: {e}");
                return target;
            }
        };
        let [exact] = &found[..] else { return target };
        if exact == id {
            return target;
        }
        info!(%target, exact, "the recipient is written in another case");
        if is_group {
            Target::Chat(ConversationId::new(exact))
        } else {
            Target::User(SenderStaffId::new(exact))
        }
    }
}
