//! The thread that owns the connection.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::error;

use super::super::StoreError;
use super::queries;
use crate::unix_time::now_ms;

/// Something to do. If a transaction fails it is done again in another one.
pub(super) trait Job: Send {
    /// Whether it needs a transaction at all.
    fn needs_transaction(&self) -> bool;
    /// Whether it can wait until something else is written.
    fn can_wait(&self) -> bool {
        false
    }
    /// Does it; nothing of it holds before the commit.
    fn perform(&mut self, db: &Transaction<'_>) -> rusqlite::Result<()>;
    /// Tells whoever asked how it ended. They may have left.
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A job whose work is a function.
pub(super) struct Work<T, F> {
    perform: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work<T, F> {
    pub(super) fn new(work: F, reply: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { perform: work, done: None, reply }
    }
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn needs_transaction(&self) -> bool {
        true
    }

    fn perform(&mut self, db: &Transaction<'_>) -> rusqlite::Result<()> {
        self.done = Some((self.perform)(db)?);
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        let _ = reply.send(outcome.and_then(|()| done.ok_or(StoreError::Closed)));
    }
}

/// A job that only waits for those before it.
pub(super) struct Barrier(pub(super) oneshot::Sender<Result<(), StoreError>>);

impl Job for Barrier {
    fn needs_transaction(&self) -> bool {
        false
    }

    fn perform(&mut self, _: &Transaction<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let _ = self.0.send(outcome);
    }
}

/// A job that nobody waits for.
pub(super) struct Note<F>(pub(super) F);

impl<F> Job for Note<F>
where
    F: FnMut(&Transaction<'_>) -> rusqlite::Result<()> + Send,
{
    fn needs_transaction(&self) -> bool {
        true
    }

    fn can_wait(&self) -> bool {
        true
    }

    fn perform(&mut self, db: &Transaction<'_>) -> rusqlite::Result<()> {
        (self.0)(db)
    }

    fn reply(self: Box<Self>, _: Result<(), StoreError>) {}
}

/// Jobs of one transaction, so that the first of them does not wait for long.
const BATCH: usize = 1_024;
/// What can wait does so until nothing came for this long.
const QUIET: Duration = Duration::from_secs(1);
/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Works until nobody can ask any more.
pub(super) fn run(mut connection: Connection, queue: &Receiver<Box<dyn Job>>) {
    let mut pruned: Option<Instant> = None;
    while let Some(batch) = next_batch(queue) {
        commit(&mut connection, batch);
        if pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            pruned = match queries::prune(&mut connection, now_ms()) {
                // The rest after the next batch.
                Ok(true) => None,
                Ok(false) => Some(Instant::now()),
                Err(e) => {
                    error!("old rows could not be removed from the database: {e}");
                    Some(Instant::now())
                }
            };
        }
    }
}

/// What is done in the next transaction; `None` when nobody can ask any more. Waits for something that cannot
/// wait itself, but not for ever.
fn next_batch(queue: &Receiver<Box<dyn Job>>) -> Option<Vec<Box<dyn Job>>> {
    let mut batch = vec![queue.recv().ok()?];
    loop {
        while batch.len() < BATCH
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        if batch.len() >= BATCH || !batch.iter().all(|job| job.can_wait()) {
            return Some(batch);
        }
        match queue.recv_timeout(QUIET) {
            Ok(next) => batch.push(next),
            Err(_) => return Some(batch),
        }
    }
}

/// Why a transaction failed.
enum Failure {
    /// One of its jobs could not be done.
    Job(rusqlite::Error),
    /// It could not begin or be committed, which no other would do any better.
    Transaction(rusqlite::Error),
}

/// Does a batch in one transaction. If a job fails in it each has one of its own, so that a single bad
/// one does not fail its neighbours, until one cannot begin or be committed.
fn commit(connection: &mut Connection, mut batch: Vec<Box<dyn Job>>) {
    let mut all = match together(connection, &mut batch) {
        Ok(()) => Some(Ok(())),
        Err(Failure::Job(e)) if batch.len() == 1 => Some(Err(explain(&e))),
        Err(Failure::Job(_)) => None,
        Err(Failure::Transaction(e)) => Some(Err(explain(&e))),
    };
    for mut job in batch {
        let outcome = match &all {
            Some(outcome) => outcome.clone(),
            None => match together(connection, std::slice::from_mut(&mut job)) {
                Ok(()) => Ok(()),
                Err(Failure::Job(e)) => Err(explain(&e)),
                Err(Failure::Transaction(e)) => {
                    all = Some(Err(explain(&e)));
                    Err(explain(&e))
                }
            },
        };
        job.reply(outcome);
    }
}

fn together(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
    if !jobs.iter().any(|job| job.needs_transaction()) {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Failure::Transaction)?;
    for job in jobs {
        job.perform(&transaction).map_err(Failure::Job)?;
    }
    transaction.commit().map_err(Failure::Transaction)
}

fn explain(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Reply = oneshot::Receiver<Result<(), StoreError>>;

    fn insert(value: &'static str) -> (Box<dyn Job>, Reply) {
        let (reply, outcome) = oneshot::channel();
        let work = move |db: &Transaction<'_>| db.execute(value, ()).map(drop);
        (Box::new(Work::new(work, reply)), outcome)
    }

    fn outcomes(replies: Vec<Reply>) -> Vec<bool> {
        replies.into_iter().map(|mut reply| reply.try_recv().unwrap().is_ok()).collect()
    }

    #[test]
    fn a_job_that_fails_fails_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (a INTEGER NOT NULL) STRICT").unwrap();
        let insert_all =
            ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (NULL)", "DELETE FROM t"];
        let (batch, replies) = insert_all.into_iter().map(insert).unzip();
        commit(&mut db, batch);
        assert_eq!(outcomes(replies), [true, false, true]);
    }

    #[test]
    fn a_full_disk_is_named_and_passes() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (a)").unwrap();
        db.pragma_update_and_check(None, "max_page_count", 2, |_| Ok(())).unwrap();
        let big = || insert("INSERT INTO t VALUES (zeroblob(100000))");
        let (batch, replies): (Vec<_>, Vec<_>) = (0..2).map(|_| big()).unzip();
        commit(&mut db, batch);
        for mut reply in replies {
            assert_eq!(reply.try_recv().unwrap(), Err(StoreError::Full));
        }
        db.pragma_update_and_check(None, "max_page_count", 1_000, |_| Ok(())).unwrap();
        let (batch, replies) = (0..2).map(|_| big()).unzip();
        commit(&mut db, batch);
        assert_eq!(outcomes(replies), [true; 2]);
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_transaction_that_cannot_begin_is_tried_once_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut db = Connection::open(&path).unwrap();
        db.execute_batch("CREATE TABLE t (a)").unwrap();
        db.busy_handler(Some(|_| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            false
        }))
        .unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (batch, replies) = (0..3).map(|_| insert("INSERT INTO t VALUES (1)")).unzip();
        commit(&mut db, batch);
        assert_eq!(outcomes(replies), [false; 3]);
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        drop(other);
        let (batch, replies) = (0..3).map(|_| insert("INSERT INTO t VALUES (1)")).unzip();
        commit(&mut db, batch);
        assert_eq!(outcomes(replies), [true; 3]);
    }
}
