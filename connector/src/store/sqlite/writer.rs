//! The thread that owns the connection.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::error;

use super::super::StoreError;
use super::queries;

/// Something to do. If a transaction fails it is done again in another one.
pub(super) trait Job: Send {
    /// Whether it needs a transaction at all.
    fn needs_transaction(&self) -> bool;
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

/// Jobs of one transaction, so that the first of them does not wait for long.
const BATCH: usize = 1_024;
/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Works until nobody can ask any more.
pub(super) fn run(mut connection: Connection, queue: &Receiver<Box<dyn Job>>) {
    let mut pruned: Option<Instant> = None;
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        commit(&mut connection, batch);
        if pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            pruned = Some(Instant::now());
            if let Err(e) = queries::prune(&mut connection, queries::now_ms()) {
                error!("old rows could not be removed from the database: {e}");
            }
        }
    }
}

/// Does a batch in one transaction. If that fails each job has one of its own, so that a single bad
/// one does not fail its neighbours.
fn commit(connection: &mut Connection, mut batch: Vec<Box<dyn Job>>) {
    let whole = together(connection, &mut batch);
    let alone = batch.len() == 1;
    for mut job in batch {
        let outcome = match &whole {
            Ok(()) => Ok(()),
            Err(e) if alone => Err(explain(e)),
            Err(_) => together(connection, std::slice::from_mut(&mut job)).map_err(|e| explain(&e)),
        };
        job.reply(outcome);
    }
}

fn together(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    if !jobs.iter().any(|job| job.needs_transaction()) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs {
        job.perform(&transaction)?;
    }
    transaction.commit()
}

fn explain(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}
