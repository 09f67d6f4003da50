//! The store in one SQLite file of the state directory.
//!
//! One thread owns the connection. It takes whatever has queued, does it in one transaction, syncs
//! once, and then answers all: a commit costs its `fsync` however many messages share it, and nothing
//! waits for company.

mod calls;
mod cards;
mod heard;
mod inbox;
mod pairing;
mod peers;
mod pushes;
mod queries;
mod schedules;
mod schema;
mod sent_messages;
mod sessions;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use rusqlite::Transaction;
use tokio::sync::oneshot;

pub use self::inbox::SqliteReader;
use self::writer::{Barrier, Job, Work};
use super::pairing::{Asked, PairedPerson, PairingRequest, PairingStore, Waiting};
use super::sessions::{Exchange, HistoryLimits, Session, SessionKey, SessionStore, Tokens};
use super::{
    InboxId, NewMessage, Newest, OutboxId, Pending, Recovered, Said, SentMessage, Store, StoreError,
};
use crate::agent::SessionSettings;
use crate::credential::ClientId;
use crate::protocol::ProcessQueryKey;

/// An open file. Dropping it waits until everything queued is durable.
pub struct SqliteStore {
    /// `None` once it is closed. What waits in it is bounded by its callers, who wait for
    /// the results.
    jobs: RwLock<Option<mpsc::Sender<Box<dyn Job>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Name of the file in the state directory.
pub const FILE: &str = "ddingtalk.sqlite3";

/// Bytes that the database takes on disk, its log included.
pub fn size(file: &Path) -> u64 {
    let log = file.with_extension("sqlite3-wal");
    [file, &log].iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

impl SqliteStore {
    /// Opens the file, or makes it, readable by its owner only, and brings its schema up to date.
    ///
    /// A file that is damaged or of a newer release is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        let (jobs, queue) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer::run(connection, &queue))
            .map_err(|e| StoreError::Failed(format!("no thread for it: {e}")))?;
        Ok(Self { jobs: RwLock::new(Some(jobs)), writer: Mutex::new(Some(writer)) })
    }

    fn work<T, F>(&self, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.queue(|reply| Box::new(Work::new(work, reply)))
    }

    fn queue<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Box<dyn Job>,
    ) -> Pending<T> {
        let (reply, outcome) = oneshot::channel();
        self.post(job(reply));
        Box::pin(async { outcome.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

impl SqliteStore {
    /// Lets go of the file once everything queued is durable, and blocks until then. What is asked for later is
    /// [`StoreError::Closed`].
    pub fn close(&self) {
        drop(self.jobs.write().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // It fails only if the thread panicked, which was reported then.
            let _ = writer.join();
        }
    }

    fn post(&self, job: Box<dyn Job>) {
        if let Some(jobs) = &*self.jobs.read().unwrap_or_else(PoisonError::into_inner) {
            // Without its thread the reply is dropped, and that says so.
            let _ = jobs.send(job);
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for SqliteStore {
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

    fn take_in(&self, message: NewMessage) -> Pending<InboxId> {
        self.work(move |db| queries::take_in(db, &message))
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
        self.work(queries::probe)
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

    fn newest(&self, client_id: &ClientId) -> Pending<Option<Newest>> {
        let client_id = client_id.clone();
        self.work(move |db| queries::newest(db, &client_id))
    }

    fn failed(&self, message: InboxId, reason: String) -> Pending<()> {
        self.work(move |db| queries::failed(db, message, &reason))
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

impl SessionStore for SqliteStore {
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

impl PairingStore for SqliteStore {
    fn paired(&self, client_id: &ClientId) -> Pending<Vec<PairedPerson>> {
        let client_id = client_id.clone();
        self.work(move |db| pairing::paired(db, &client_id))
    }

    fn everybody_paired(&self) -> Pending<Vec<PairedPerson>> {
        self.work(pairing::everybody)
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

    fn pairing_requests(&self, now: i64) -> Pending<Vec<Waiting>> {
        self.work(move |db| pairing::requests(db, now))
    }

    fn decide_pairing(&self, code: String, approved: bool, now: i64) -> Pending<Option<Waiting>> {
        self.work(move |db| pairing::decide(db, &code, approved, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Say;
    use crate::store::contract;
    use crate::store::inbox::{InboxReader, InboxStore, Step};

    #[tokio::test]
    async fn the_contract_holds() {
        let dir = tempfile::tempdir().unwrap();
        contract::holds(|| SqliteStore::open(&dir.path().join(FILE))).await;
    }

    #[tokio::test]
    async fn calls_and_keys_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        contract::calls_and_keys_are_kept(|| SqliteStore::open(&dir.path().join(FILE))).await;
    }

    #[tokio::test]
    async fn schedules_and_their_runs_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        contract::schedules_and_their_runs_are_kept(|| SqliteStore::open(&path)).await;
    }

    #[tokio::test]
    async fn messages_are_followed_retried_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let (open, read) = (|| SqliteStore::open(&path), || SqliteReader::open(&path));
        contract::messages_are_followed_retried_and_ended(open, read).await;
    }

    #[tokio::test]
    async fn what_can_wait_is_written_when_it_is_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let store = SqliteStore::open(&path).unwrap();
        let message = store.take_in(contract::message("app", 1)).await.unwrap();
        let reader = SqliteReader::open(&path).unwrap();
        store.note(Step::Acked { message, at: 7 });
        let acked = || reader.by_id(message).unwrap().unwrap().acked_at;
        assert_eq!(acked(), None, "nothing else was written");
        let quiet = std::time::Instant::now();
        while acked().is_none() {
            assert!(quiet.elapsed() < std::time::Duration::from_secs(20), "it is never written");
            std::thread::yield_now();
        }
        assert_eq!(acked(), Some(7));
    }

    #[tokio::test]
    async fn a_reader_says_what_it_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let message = SqliteReader::open(&path).unwrap_err().to_string();
        assert!(message.contains("cannot open the database"), "{message}");
        assert!(!path.exists());
        drop(SqliteStore::open(&path).unwrap());
        let db = rusqlite::Connection::open(&path).unwrap();
        for (version, part) in [(3, "start its gateway once"), (99, "use the newer release")] {
            db.pragma_update(None, "user_version", version).unwrap();
            let message = SqliteReader::open(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[tokio::test]
    async fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join(FILE)).unwrap();
        store.recover(&ClientId::new("app"), 0, 9).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).collect();
        assert!(files.len() > 1, "the write-ahead log is beside it");
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_does_not_stop_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let app = ClientId::new("app");
        let store = SqliteStore::open(&path).unwrap();
        for n in 1..=2 {
            let id = store.take_in(contract::message("app", n)).await.unwrap();
            let parts = vec![Say::text("a").into(), Say::text("b").into()];
            store.said(id, Said { parts, seq: None, begun: true, ended: true }).await.unwrap();
        }
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute("UPDATE outbox SET message = '{\"odd\":1}' WHERE id = 2", ()).unwrap();
        let unfinished = store.recover(&app, 0, 9).await.unwrap().unfinished;
        assert_eq!(unfinished.len(), 1);
        assert_eq!(unfinished[0].data, r#"{"n":2}"#);
        let reason: String =
            db.query_row("SELECT failure FROM inbox WHERE id = 1", (), |row| row.get(0)).unwrap();
        assert!(reason.contains("cannot be read"), "{reason}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let newer = dir.path().join("newer");
        let db = rusqlite::Connection::open(&newer).unwrap();
        db.pragma_update(None, "application_id", 0x4444_544B).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let foreign = dir.path().join("foreign");
        let db = rusqlite::Connection::open(&foreign).unwrap();
        db.execute_batch("CREATE TABLE mine (a)").unwrap();
        drop(db);
        let damaged = dir.path().join("damaged");
        std::fs::write(&damaged, "this is no database. ".repeat(500)).unwrap();
        let missing = dir.path().join("a/b");
        for (path, part) in [
            (&newer, "has schema version 99, and this release knows "),
            (&foreign, "it belongs to another program"),
            (&damaged, "it is left untouched"),
            (&missing, "name another directory with --state-dir"),
        ] {
            let before = std::fs::read(path).ok();
            let message = SqliteStore::open(path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(std::fs::read(path).ok() == before, "{} was changed", path.display());
        }
    }
}
