//! Strangers and their codes.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tracing::{Instrument, warn};

use super::{audit, peer};
use crate::credential::ClientId;
use crate::gateway::work::{StoreGone, keep_trying};
use crate::protocol::BotMessage;
use crate::store::pairing::{Asked, PairingRequest};
use crate::store::{Store, StoreError};
use crate::unix_time::now_ms;

/// A person who must be paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranger {
    /// The userId, or the encrypted id of somebody without one.
    pub(crate) id: String,
    /// Display name.
    pub(crate) nick: Option<String>,
}

impl Stranger {
    pub(super) fn of(message: &BotMessage) -> Option<Self> {
        let id = peer(message)?.to_owned();
        Some(Self { id, nick: message.sender_nick.clone() })
    }
}

/// Who was paired, as far as this process knows. The store knows better: it is asked about everybody
/// who is not in here, and every second about those who are.
#[derive(Debug, Default)]
pub(crate) struct PairedPeople(RwLock<HashSet<String>>);

impl PairedPeople {
    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(super) fn replace(&self, ids: HashSet<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ids;
    }

    fn add(&self, id: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id);
    }
}

/// How often other processes' doing is looked for.
const REFRESH: Duration = Duration::from_secs(1);

/// Asks the store about strangers.
#[derive(Debug)]
pub(crate) struct Pairing {
    client_id: ClientId,
    store: Arc<dyn Store>,
    paired: Arc<PairedPeople>,
}

/// What becomes of a stranger's message.
pub(crate) enum Admission {
    /// The stranger is none any more.
    Paired,
    /// This is said.
    Say(String),
    /// Nothing is said.
    Quiet,
}

impl Pairing {
    /// Reads who was paired, and keeps looking as long as the result lives.
    pub(crate) async fn start(
        client_id: ClientId,
        store: Arc<dyn Store>,
    ) -> Result<Arc<Self>, StoreError> {
        let pairing = Arc::new(Self { client_id, store, paired: Arc::default() });
        pairing.refresh().await?;
        tokio::spawn(Self::keep_fresh(Arc::downgrade(&pairing)).in_current_span());
        Ok(pairing)
    }

    pub(crate) fn people(&self) -> Arc<PairedPeople> {
        Arc::clone(&self.paired)
    }

    async fn keep_fresh(pairing: Weak<Self>) {
        loop {
            tokio::time::sleep(REFRESH).await;
            let Some(pairing) = pairing.upgrade() else { return };
            // Of other failures whoever takes messages in speaks.
            if let Err(StoreError::Closed) = pairing.refresh().await {
                return;
            }
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let paired = self.store.paired(&self.client_id).await?;
        self.paired.replace(paired.into_iter().map(|person| person.sender).collect());
        Ok(())
    }

    /// Decides on a stranger's message, and writes the audit line.
    pub(crate) async fn ask(
        &self,
        message: &BotMessage,
        stranger: &Stranger,
    ) -> Result<Admission, StoreGone> {
        const RULE: &str = "dmPolicy=pairing";
        let request = || PairingRequest {
            client_id: self.client_id.clone(),
            sender: stranger.id.clone(),
            nick: stranger.nick.clone(),
        };
        Ok(match keep_trying(|| self.store.ask_pairing(request(), now_ms())).await? {
            Asked::Paired => {
                self.paired.add(stranger.id.clone());
                audit::admitted(message, RULE, "the sender was paired");
                Admission::Paired
            }
            Asked::Tell { code } => {
                audit::refused(message, RULE, "the sender is not paired, and gets a code");
                Admission::Say(hint(&code, &stranger.id))
            }
            Asked::Told => {
                audit::refused(message, RULE, "the sender is not paired, and has a code");
                Admission::Quiet
            }
            Asked::Denied => {
                audit::refused(message, RULE, "the sender's request was denied");
                Admission::Quiet
            }
            Asked::Full => {
                audit::refused(message, RULE, "the sender is not paired");
                warn!(
                    sender = stranger.id,
                    "no code for a stranger, since as many wait as may: see `ddingtalk pairing list`"
                );
                Admission::Quiet
            }
        })
    }
}

/// What a stranger is told.
fn hint(code: &str, id: &str) -> String {
    format!(
        "您还未与我配对。请将配对码发给我的管理员，1 小时内有效：\n\
         We are not paired yet. Please send this code to whoever runs me; it is good for 1 hour:\n\n\
         {code}\n\n\
         您的 ID (your id): {id}\n\
         管理员执行 (the operator runs): ddingtalk pairing approve {code}"
    )
}
