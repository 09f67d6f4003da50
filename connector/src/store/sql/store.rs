//! The store that does its statements on one thread.
//!
//! The thread takes whatever has queued, does it in one transaction, and then answers all: a commit costs its
//! sync however many messages share it, and nothing waits for company.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::super::pairing::{Asked, PairedPerson, PairingRequest, PairingStore, Waiting};
use super::super::replicas::ReplicaStore;
use super::super::sessions::{Exchange, HistoryLimits, Session, SessionKey, SessionStore, Tokens};
use super::super::{
    InboxId, NewMessage, OutboxId, Pending, Recovered, Said, SentMessage, Store, StoreError,
    TakenIn,
};
use super::statement::Fenced;
use super::writer::Engine;
use super::writer::{self, Barrier, Job, Work};
use super::{Db, Done, pairing, queries, sent_messages, sessions};
use crate::agent::SessionSettings;
use crate::credential::ClientId;
use crate::protocol::ProcessQueryKey;

/// An open database. Dropping it waits until everything queued is durable.
pub struct SqlStore<D> {
    /// `None` once it is closed. What waits in it is bounded by its callers, who wait for
    /// the results.
    jobs: RwLock<Option<mpsc::Sender<Box<dyn Job>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// What the engine has beside its connection.
    pub(in crate::store) dialect: D,
}

/// What an engine has beside its connection.
pub trait Dialect: Send + Sync + Sized + 'static {
    /// What the processes that share a store need of it, where several may.
    fn replicas(_: Arc<SqlStore<Self>>) -> Option<Arc<dyn ReplicaStore>> {
        None
    }
}

impl<D> SqlStore<D> {
    /// Starts the thread, and opens the engine on it; waits until it is open.
    pub(in crate::store) fn start<E: Engine>(
        dialect: D,
        open: impl FnOnce() -> Done<E> + Send + 'static,
    ) -> Done<Self> {
        let (jobs, queue) = mpsc::channel();
        let (opened, outcome) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || match open() {
                Ok(engine) => {
                    if opened.send(Ok(())).is_ok() {
                        writer::run(engine, &queue);
                    }
                }
                // Whoever waits is in the next lines.
                Err(e) => drop(opened.send(Err(e))),
            })
            .map_err(|e| StoreError::Failed(format!("no thread for it: {e}")))?;
        outcome.recv().unwrap_or(Err(StoreError::Closed))?;
        Ok(Self { jobs: RwLock::new(Some(jobs)), writer: Mutex::new(Some(writer)), dialect })
    }

    pub(in crate::store) fn work<T, F>(&self, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&dyn Db) -> Done<T> + Send + 'static,
    {
        self.queue(|reply| Box::new(Work::new(work, reply)))
    }

    /// Work in a transaction of its own, which no other job keeps open.
    pub(in crate::store) fn work_alone<T, F>(&self, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&dyn Db) -> Done<T> + Send + 'static,
    {
        self.queue(|reply| Box::new(Work::alone(work, reply)))
    }

    /// The same, before all that was asked earlier and is not begun.
    pub(in crate::store) fn work_first<T, F>(&self, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&dyn Db) -> Done<T> + Send + 'static,
    {
        self.queue(|reply| Box::new(Work::first(work, reply)))
    }

    /// Does work, and blocks until it is done.
    pub(in crate::store) fn wait<T, F>(&self, work: F) -> Done<T>
    where
        T: Send + 'static,
        F: FnMut(&dyn Db) -> Done<T> + Send + 'static,
    {
        let (reply, outcome) = oneshot::channel();
        self.post(Box::new(Work::new(work, reply)));
        // A runtime lets none of its own threads block.
        let waited = std::thread::scope(|s| s.spawn(|| outcome.blocking_recv()).join());
        waited.ok().and_then(Result::ok).unwrap_or(Err(StoreError::Closed))
    }

    fn queue<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Done<T>>) -> Box<dyn Job>,
    ) -> Pending<T> {
        let (reply, outcome) = oneshot::channel();
        self.post(job(reply));
        Box::pin(async { outcome.await.unwrap_or(Err(StoreError::Closed)) })
    }

    /// Ends the writer when everything queued is durable, and waits for that.
    fn end(&self) {
        drop(self.jobs.write().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // It fails only if the thread panicked, which was reported then.
            let _ = writer.join();
        }
    }

    pub(super) fn post(&self, job: Box<dyn Job>) {
        if let Some(jobs) = &*self.jobs.read().unwrap_or_else(PoisonError::into_inner) {
            // Without its thread the reply is dropped, and that says so.
            let _ = jobs.send(job);
        }
    }
}

impl<D> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}

impl<D> Drop for SqlStore<D> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<D: Dialect> Store for SqlStore<D> {
    fn replicas(self: Arc<Self>) -> Option<Arc<dyn ReplicaStore>> {
        D::replicas(self)
    }

    fn close(&self) {
        self.end();
    }

    fn recover(
        &self,
        client_id: &ClientId,
        seen_since: i64,
        seen_at_most: usize,
    ) -> Pending<Recovered> {
        let client_id = client_id.clone();
        let seen_at_most = i64::try_from(seen_at_most).unwrap_or(i64::MAX);
        self.work(move |db| queries::recover(db, &client_id, seen_since, seen_at_most))
    }

    fn take_in(&self, message: NewMessage) -> Pending<TakenIn> {
        self.work(move |db| db.take_in(&message))
    }

    fn keep_cut_off(&self, message: InboxId, times: u32) -> Pending<()> {
        self.work(move |db| queries::keep_cut_off(db, message, times))
    }

    fn end_in_order(&self, client_id: &ClientId) -> Pending<()> {
        let client_id = client_id.clone();
        self.work(move |db| queries::end_in_order(db, &client_id))
    }

    fn barrier(&self) -> Pending<()> {
        self.queue(|reply| Box::new(Barrier(reply)))
    }

    fn probe(&self) -> Pending<()> {
        self.work(|db| db.probe())
    }

    fn said(&self, message: InboxId, said: Said) -> Pending<Vec<OutboxId>> {
        self.work(move |db| queries::said(db, message, &said))
    }

    fn begin(&self, part: OutboxId) -> Pending<()> {
        self.work(move |db| queries::begin(db, part))
    }

    fn sent(&self, part: OutboxId, next: Option<OutboxId>) -> Pending<()> {
        self.work(move |db| queries::sent(db, part, next))
    }

    fn failed(&self, message: InboxId, reason: String) -> Pending<()> {
        self.work(move |db| {
            db.fence(Fenced::Message(message.0))?;
            queries::failed(db, message, &reason)
        })
    }

    fn remember_sent(&self, message: SentMessage) -> Pending<()> {
        self.work(move |db| sent_messages::remember(db, &message))
    }

    fn sent_message(
        &self,
        client_id: &ClientId,
        key: &ProcessQueryKey,
    ) -> Pending<Option<SentMessage>> {
        let (client_id, key) = (client_id.clone(), key.clone());
        self.work(move |db| sent_messages::find(db, &client_id, &key))
    }
}

impl<D> SessionStore for SqlStore<D> {
    fn session(&self, key: &SessionKey) -> Pending<Session> {
        let key = key.clone();
        self.work(move |db| sessions::session(db, &key))
    }

    fn exchanged(
        &self,
        key: &SessionKey,
        exchange: Exchange,
        tokens: Tokens,
        limits: HistoryLimits,
    ) -> Pending<()> {
        let key = key.clone();
        self.work(move |db| sessions::exchanged(db, &key, &exchange, tokens, limits))
    }

    fn summarised(&self, key: &SessionKey, up_to: i64, summary: String) -> Pending<()> {
        let key = key.clone();
        self.work(move |db| sessions::summarised(db, &key, up_to, &summary))
    }

    fn used(&self, key: &SessionKey, tokens: Tokens) -> Pending<()> {
        let key = key.clone();
        self.work(move |db| sessions::used(db, &key, tokens))
    }

    fn forget(&self, key: &SessionKey) -> Pending<()> {
        let key = key.clone();
        self.work(move |db| sessions::forget(db, &key))
    }

    fn set(&self, key: &SessionKey, settings: SessionSettings) -> Pending<()> {
        let key = key.clone();
        self.work(move |db| sessions::set(db, &key, &settings))
    }
}

impl<D> PairingStore for SqlStore<D> {
    fn paired(&self, client_id: &ClientId) -> Pending<Vec<PairedPerson>> {
        let client_id = client_id.clone();
        self.work(move |db| pairing::paired(db, &client_id))
    }

    fn take_telling(&self, client_id: &ClientId, sender: String) -> Pending<bool> {
        let client_id = client_id.clone();
        self.work(move |db| pairing::take_telling(db, &client_id, &sender))
    }

    fn revoke_pairing(
        &self,
        sender: String,
        client_id: Option<ClientId>,
    ) -> Pending<Vec<PairedPerson>> {
        self.work(move |db| pairing::revoke(db, &sender, client_id.as_ref()))
    }

    fn ask_pairing(&self, request: PairingRequest, now: i64) -> Pending<Asked> {
        self.work(move |db| pairing::ask(db, &request, now))
    }

    fn decide_pairing(&self, code: String, approved: bool, now: i64) -> Pending<Option<Waiting>> {
        self.work(move |db| pairing::decide(db, &code, approved, now))
    }
}
