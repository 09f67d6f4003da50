//! Strangers and their codes.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{Instrument, info, warn};

use super::{AccessPolicy, DmPolicy, audit, peer};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::gateway::push::{Delivery, Outcome, Push, Pusher, Target, What};
use crate::gateway::replicas::Replicas;
use crate::gateway::work::{Halt, keep_trying};
use crate::protocol::{BotMessage, SenderStaffId};
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
/// The same where they tell of it.
const REFRESH_TOLD: Duration = Duration::from_secs(30);

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
    /// Reads who was paired.
    pub(crate) async fn open(
        client_id: ClientId,
        store: Arc<dyn Store>,
    ) -> Result<Arc<Self>, StoreError> {
        let pairing = Arc::new(Self { client_id, store, paired: Arc::default() });
        pairing.refresh().await?;
        Ok(pairing)
    }

    /// Keeps looking as long as this lives, or when other processes tell. `teller` tells those who were paired
    /// since, while the policy is to pair; without one an agent decides itself who may talk, and nobody is told.
    pub(crate) fn keep_fresh(
        self: &Arc<Self>,
        teller: Arc<Pusher>,
        policy: Option<watch::Receiver<AccessPolicy>>,
        replicas: Option<Arc<Replicas>>,
    ) {
        let look = Self::look(Arc::downgrade(self), teller, policy, replicas);
        tokio::spawn(look.in_current_span());
    }

    pub(crate) fn people(&self) -> Arc<PairedPeople> {
        Arc::clone(&self.paired)
    }

    async fn look(
        pairing: Weak<Self>,
        teller: Arc<Pusher>,
        policy: Option<watch::Receiver<AccessPolicy>>,
        replicas: Option<Arc<Replicas>>,
    ) {
        loop {
            match &replicas {
                None => tokio::time::sleep(REFRESH).await,
                Some(replicas) => tokio::select! {
                    () = tokio::time::sleep(REFRESH_TOLD) => {}
                    () = replicas.pairing.notified() => {}
                },
            }
            let Some(pairing) = pairing.upgrade() else { return };
            let pairs =
                policy.as_ref().is_some_and(|policy| policy.borrow().dm == DmPolicy::Pairing);
            match (pairing.refresh().await, pairs) {
                (Ok(untold), true) => {
                    for sender in untold {
                        pairing.tell(sender, &teller).await;
                    }
                }
                (Err(StoreError::Closed), _) => return,
                // Of other failures whoever takes messages in speaks.
                (Ok(_) | Err(_), _) => {}
            }
        }
    }

    /// Returns who is to be told.
    async fn refresh(&self) -> Result<Vec<String>, StoreError> {
        let paired = self.store.paired(&self.client_id).await?;
        let untold = paired.iter().filter(|person| !person.told);
        let untold = untold.map(|person| person.sender.clone()).collect();
        self.paired.replace(paired.into_iter().map(|person| person.sender).collect());
        Ok(untold)
    }

    /// Tells a person of the pairing, at most once: whoever is not reached can write all the same.
    async fn tell(&self, sender: String, teller: &Pusher) {
        match self.store.take_telling(&self.client_id, sender.clone()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => return warn!(sender, "a paired person is not told yet: {e}"),
        }
        if sender.starts_with(ENCRYPTED) {
            return info!(sender, "paired; not told, since messages are pushed to userIds only");
        }
        let to = vec![Target::User(SenderStaffId::new(&sender))];
        let what = What::Say(Say::text(WELCOME));
        match teller.push(Push { to, what, key: None }).await.as_deref() {
            Ok([Delivery { outcome: Outcome::Delivered { .. }, .. }]) => {
                info!(sender, "paired, and told so");
            }
            other => warn!(sender, "paired, but could not be told: {other:?}"),
        }
    }

    /// Decides on a stranger's message, and writes the audit line.
    pub(crate) async fn ask(
        &self,
        message: &BotMessage,
        stranger: &Stranger,
    ) -> Result<Admission, Halt> {
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

/// So begin encrypted ids (`senderId`), which `batchSend` does not take.
const ENCRYPTED: &str = "$:";

const WELCOME: &str = "配对成功，现在可以和我对话了。\nWe are paired: you can talk to me now.";

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
