//! The thread that owns the connection.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::error;

use super::super::StoreError;
use super::{Db, Done};
use crate::unix_time::now_ms;

/// A connection that writes.
pub(in crate::store) trait Engine {
    /// Does work in one transaction: all of it holds, or nothing.
    fn transaction(&mut self, work: &mut dyn FnMut(&dyn Db) -> Done<()>) -> Result<(), Failure>;

    /// What became of the transaction of which that was [unknown](Failure::Unknown).
    fn settle(&mut self) -> Settled;

    /// Removes some old rows; whether there are more.
    fn prune(&mut self, now: i64) -> Done<bool>;
}

/// Why a transaction failed.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// Its work could not be done.
    Job(StoreError),
    /// It could not begin or be committed, which no other would do any better. Nothing of it holds.
    Transaction(StoreError),
    /// The link broke while it was committed: all of it holds, or nothing.
    Unknown,
}

/// What became of a transaction whose commit was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Settled {
    /// It holds.
    Committed,
    /// Nothing of it holds.
    Lost,
    /// That cannot be asked yet.
    NotYet,
}

/// Something to do. If a transaction fails it is done again in another one.
pub(super) trait Job: Send {
    /// Whether it needs a transaction at all.
    fn needs_transaction(&self) -> bool;
    /// Whether it can wait until something else is written.
    fn can_wait(&self) -> bool {
        false
    }
    /// Whether no other may be in its transaction.
    fn is_alone(&self) -> bool {
        false
    }
    /// Whether it waits for none of those that came before it, and is alone.
    fn overtakes(&self) -> bool {
        false
    }
    /// Does it; nothing of it holds before the commit.
    fn perform(&mut self, db: &dyn Db) -> Done<()>;
    /// Tells whoever asked how it ended. They may have left.
    fn reply(self: Box<Self>, outcome: Done<()>);
}

/// A job whose work is a function.
pub(super) struct Work<T, F> {
    perform: F,
    is_alone: bool,
    overtakes: bool,
    done: Option<Done<T>>,
    reply: oneshot::Sender<Done<T>>,
}

impl<T, F> Work<T, F> {
    pub(super) fn new(work: F, reply: oneshot::Sender<Done<T>>) -> Self {
        Self { perform: work, is_alone: false, overtakes: false, done: None, reply }
    }

    /// Such as no other may be in its transaction.
    pub(super) fn alone(work: F, reply: oneshot::Sender<Done<T>>) -> Self {
        Self { is_alone: true, ..Self::new(work, reply) }
    }

    /// The same, before all that waits.
    pub(super) fn first(work: F, reply: oneshot::Sender<Done<T>>) -> Self {
        Self { overtakes: true, ..Self::alone(work, reply) }
    }
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&dyn Db) -> Done<T> + Send,
{
    fn needs_transaction(&self) -> bool {
        true
    }

    fn is_alone(&self) -> bool {
        self.is_alone
    }

    fn overtakes(&self) -> bool {
        self.overtakes
    }

    fn perform(&mut self, db: &dyn Db) -> Done<()> {
        let done = (self.perform)(db);
        match done {
            // An answer like any other: nothing has failed in the database.
            Ok(_) | Err(StoreError::NotMine | StoreError::NoRoom) => {
                self.done = Some(done);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn reply(self: Box<Self>, outcome: Done<()>) {
        let Self { done, reply, .. } = *self;
        let _ = reply.send(outcome.and_then(|()| done.unwrap_or(Err(StoreError::Closed))));
    }
}

/// A job that only waits for those before it.
pub(super) struct Barrier(pub(super) oneshot::Sender<Done<()>>);

impl Job for Barrier {
    fn needs_transaction(&self) -> bool {
        false
    }

    fn perform(&mut self, _: &dyn Db) -> Done<()> {
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Done<()>) {
        let _ = self.0.send(outcome);
    }
}

/// A job that nobody waits for.
pub(super) struct Note<F>(pub(super) F);

impl<F> Job for Note<F>
where
    F: FnMut(&dyn Db) -> Done<()> + Send,
{
    fn needs_transaction(&self) -> bool {
        true
    }

    fn can_wait(&self) -> bool {
        true
    }

    fn perform(&mut self, db: &dyn Db) -> Done<()> {
        (self.0)(db)
    }

    fn reply(self: Box<Self>, _: Done<()>) {}
}

/// Jobs of one transaction, so that the first of them does not wait for long.
const BATCH: usize = 1_024;
/// A transaction takes up no more jobs after this time, so that it holds its locks no longer, and that what overtakes
/// the others comes soon: a database far away needs a millisecond for each of them.
const LONGEST: Duration = Duration::from_millis(100);
/// What can wait does so until nothing came for this long.
const QUIET: Duration = Duration::from_secs(1);
/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How often it is asked what became of a transaction.
const SETTLE_EVERY: Duration = Duration::from_millis(200);

type Batch = Vec<Box<dyn Job>>;

/// Works until nobody can ask any more.
pub(super) fn run(mut engine: impl Engine, jobs: &Receiver<Box<dyn Job>>) {
    let mut queue = Queue::new(jobs);
    let mut pruned: Option<Instant> = None;
    // Jobs that are done or not, which is not known.
    let mut limbo: Batch = Vec::new();
    loop {
        let batch = match queue.next_batch((!limbo.is_empty()).then_some(SETTLE_EVERY)) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if !limbo.is_empty() {
            limbo = settle(&mut engine, limbo);
        }
        if !batch.is_empty() {
            let Committed { unknown, rest } = commit(&mut engine, batch);
            limbo.extend(unknown);
            queue.put_back(rest);
        }
        if pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) && limbo.is_empty() {
            pruned = match engine.prune(now_ms()) {
                // The rest after the next batch.
                Ok(true) => None,
                // While it cannot be reached others say so.
                Ok(false) | Err(StoreError::Unreachable { .. }) => Some(Instant::now()),
                Err(e) => {
                    error!("old rows could not be removed from the database: {e}");
                    Some(Instant::now())
                }
            };
        }
    }
    for job in settle(&mut engine, limbo) {
        job.reply(Err(StoreError::Closed));
    }
}

/// Answers those of whose jobs it is known by now what became of them; returns the others.
fn settle(engine: &mut impl Engine, limbo: Batch) -> Batch {
    let outcome = match engine.settle() {
        Settled::Committed => Ok(()),
        Settled::Lost => Err(StoreError::Unreachable { reason: "the link to it broke".to_owned() }),
        Settled::NotYet => return limbo,
    };
    for job in limbo {
        job.reply(outcome.clone());
    }
    Vec::new()
}

/// What waits to be done.
struct Queue<'a> {
    jobs: &'a Receiver<Box<dyn Job>>,
    /// What came, in order.
    waiting: VecDeque<Box<dyn Job>>,
    /// What overtakes that.
    first: VecDeque<Box<dyn Job>>,
    /// So many of `first` come before what waits: those that were there at the end of the last batch. However many
    /// come, what waits has its turn.
    before: Option<usize>,
}

impl<'a> Queue<'a> {
    fn new(jobs: &'a Receiver<Box<dyn Job>>) -> Self {
        Self { jobs, waiting: VecDeque::new(), first: VecDeque::new(), before: None }
    }

    fn put(&mut self, job: Box<dyn Job>) {
        let queue = if job.overtakes() { &mut self.first } else { &mut self.waiting };
        queue.push_back(job);
    }

    /// What was taken and not begun.
    fn put_back(&mut self, batch: Batch) {
        for job in batch.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    /// What is done in the next transaction. Waits for something that cannot wait itself, but not for ever, and for
    /// anything at all at most for a time.
    fn next_batch(&mut self, at_most: Option<Duration>) -> Result<Batch, RecvTimeoutError> {
        let batch = self.choose(at_most)?;
        if !batch.iter().any(|job| job.overtakes()) {
            self.before = None;
        }
        Ok(batch)
    }

    fn choose(&mut self, at_most: Option<Duration>) -> Result<Batch, RecvTimeoutError> {
        let mut batch = Batch::new();
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.put(job);
            }
            let before = self.before.get_or_insert(self.first.len());
            let is_urgent = self.waiting.iter().any(|job| !job.can_wait());
            if (*before > 0 || !is_urgent)
                && let Some(job) = self.first.pop_front()
            {
                *before = before.saturating_sub(1);
                self.put_back(batch);
                return Ok(vec![job]);
            }
            while batch.len() < BATCH
                && let Some(next) = self.waiting.pop_front()
            {
                if !next.is_alone() {
                    batch.push(next);
                } else if batch.is_empty() {
                    return Ok(vec![next]);
                } else {
                    self.waiting.push_front(next);
                    return Ok(batch);
                }
            }
            if batch.len() >= BATCH || !batch.iter().all(|job| job.can_wait()) {
                return Ok(batch);
            }
            let next = match at_most {
                _ if !batch.is_empty() => self.jobs.recv_timeout(QUIET),
                Some(at_most) => self.jobs.recv_timeout(at_most),
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(next) => self.put(next),
                Err(e) if batch.is_empty() => return Err(e),
                Err(_) => return Ok(batch),
            }
        }
    }
}

/// What is left of a batch.
struct Committed {
    /// It is not known whether these are done.
    unknown: Batch,
    /// These were not done: there was no time.
    rest: Batch,
}

/// Does a batch in one transaction, or as much of it as there is time for. If a job fails in it each has one of its
/// own, while there is time, so that a single bad one does not fail its neighbours, until one cannot begin or be
/// committed.
fn commit(engine: &mut impl Engine, mut batch: Batch) -> Committed {
    let (begun, outcome) = together(engine, &mut batch);
    let mut rest = match outcome {
        Ok(()) | Err(Failure::Unknown | Failure::Job(_)) => batch.split_off(begun),
        // That is told to all of them.
        Err(Failure::Transaction(_)) => Batch::new(),
    };
    let mut all = match outcome {
        Ok(()) => Some(Ok(())),
        Err(Failure::Job(e)) if batch.len() == 1 => Some(Err(e)),
        Err(Failure::Job(_)) => None,
        Err(Failure::Transaction(e)) => Some(Err(e)),
        Err(Failure::Unknown) => return Committed { unknown: batch, rest },
    };
    let mut unknown = Vec::new();
    let (since, count) = (Instant::now(), batch.len());
    let mut jobs = batch.into_iter();
    while let Some(mut job) = jobs.next() {
        if all.is_none() && jobs.len() + 1 < count && since.elapsed() >= LONGEST {
            rest = std::iter::once(job).chain(jobs).chain(rest).collect();
            break;
        }
        let outcome = match &all {
            Some(outcome) => outcome.clone(),
            None => match together(engine, std::slice::from_mut(&mut job)).1 {
                Ok(()) => Ok(()),
                Err(Failure::Job(e)) => Err(e),
                Err(Failure::Transaction(e)) => {
                    all = Some(Err(e.clone()));
                    Err(e)
                }
                Err(Failure::Unknown) => {
                    let reason = "the link to it broke".to_owned();
                    all = Some(Err(StoreError::Unreachable { reason }));
                    unknown.push(job);
                    continue;
                }
            },
        };
        job.reply(outcome);
    }
    Committed { unknown, rest }
}

/// Does jobs in one transaction while there is time; returns how many were begun.
fn together(engine: &mut impl Engine, jobs: &mut [Box<dyn Job>]) -> (usize, Result<(), Failure>) {
    if !jobs.iter().any(|job| job.needs_transaction()) {
        return (jobs.len(), Ok(()));
    }
    let mut begun = 0;
    let outcome = engine.transaction(&mut |db| {
        let since = Instant::now();
        // It may be done again.
        begun = 0;
        for job in &mut *jobs {
            if begun > 0 && since.elapsed() >= LONGEST {
                break;
            }
            begun += 1;
            job.perform(db)?;
        }
        Ok(())
    });
    (begun, outcome)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rusqlite::Connection;

    use super::super::super::sqlite::engine::File;
    use super::*;

    type Reply = oneshot::Receiver<Result<(), StoreError>>;

    fn insert(value: &'static str) -> (Box<dyn Job>, Reply) {
        let (reply, outcome) = oneshot::channel();
        let work = move |db: &dyn Db| db.execute(value, &[]).map(drop);
        (Box::new(Work::new(work, reply)), outcome)
    }

    /// Until nothing is left.
    fn commit_all(engine: &mut impl Engine, mut batch: Batch) {
        while !batch.is_empty() {
            batch = commit(engine, batch).rest;
        }
    }

    /// Takes two thirds of the time that a transaction has.
    fn slow(sql: &'static str) -> (Box<dyn Job>, Reply) {
        let (reply, outcome) = oneshot::channel();
        let work = move |db: &dyn Db| {
            let since = Instant::now();
            while since.elapsed() < LONGEST * 2 / 3 {
                std::hint::spin_loop();
            }
            db.execute(sql, &[]).map(drop)
        };
        (Box::new(Work::new(work, reply)), outcome)
    }

    fn outcomes(replies: Vec<Reply>) -> Vec<bool> {
        replies.into_iter().map(|mut reply| reply.try_recv().unwrap().is_ok()).collect()
    }

    #[test]
    fn a_job_that_fails_fails_alone() {
        let mut db = File(Connection::open_in_memory().unwrap());
        db.0.execute_batch("CREATE TABLE t (a INTEGER NOT NULL) STRICT").unwrap();
        let insert_all =
            ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (NULL)", "DELETE FROM t"];
        let (batch, replies) = insert_all.into_iter().map(insert).unzip();
        commit_all(&mut db, batch);
        assert_eq!(outcomes(replies), [true, false, true]);
    }

    #[test]
    fn what_overtakes_waits_for_none_of_those_before_it() {
        let (jobs, queue) = std::sync::mpsc::channel();
        let mut queue = Queue::new(&queue);
        let work = |_: &dyn Db| Ok(());
        let other = || -> Box<dyn Job> { Box::new(Work::new(work, oneshot::channel().0)) };
        let alone = || -> Box<dyn Job> { Box::new(Work::alone(work, oneshot::channel().0)) };
        let first = || -> Box<dyn Job> { Box::new(Work::first(work, oneshot::channel().0)) };
        for job in [other(), other(), alone(), other(), first()] {
            jobs.send(job).unwrap();
        }
        drop(jobs);
        let next = |queue: &mut Queue<'_>| queue.next_batch(None).map(|batch| batch.len());
        let batch = queue.next_batch(None).unwrap();
        assert!(batch.len() == 1 && batch[0].overtakes());
        let two = queue.next_batch(None).unwrap();
        assert_eq!(two.len(), 2);
        queue.put_back(two);
        assert_eq!(next(&mut queue), Ok(2), "what was not begun comes again");
        assert!(queue.next_batch(None).unwrap()[0].is_alone());
        assert_eq!(next(&mut queue), Ok(1));
        assert_eq!(next(&mut queue), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_transaction_takes_up_no_more_when_its_time_is_over() {
        let mut db = File(Connection::open_in_memory().unwrap());
        db.0.execute_batch("CREATE TABLE t (a)").unwrap();
        let (batch, mut replies): (Vec<_>, Vec<_>) =
            (0..3).map(|_| slow("INSERT INTO t VALUES (1)")).unzip();
        let left = commit(&mut db, batch);
        assert_eq!((left.unknown.len(), left.rest.len()), (0, 1));
        assert!(replies.pop().unwrap().try_recv().is_err(), "it has not been begun");
        assert_eq!(outcomes(replies), [true; 2]);
        let rows: i64 = db.0.query_row("SELECT count(*) FROM t", (), |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
    }

    /// One job fails in the middle: what overtakes need not wait until all others were done by themselves.
    #[test]
    fn jobs_that_are_done_one_by_one_make_room_when_their_time_is_over() {
        let mut db = File(Connection::open_in_memory().unwrap());
        db.0.execute_batch("CREATE TABLE t (a INTEGER NOT NULL) STRICT").unwrap();
        let (good, bad) = ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (NULL)");
        let jobs = [slow(good), insert(bad), insert(good), insert(good)];
        let (batch, replies): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let Committed { unknown, rest } = commit(&mut db, batch);
        assert_eq!((unknown.len(), rest.len()), (0, 2), "what was not begun comes again");
        commit_all(&mut db, rest);
        assert_eq!(outcomes(replies), [true, false, true, true]);
    }

    /// A process with many robots beats all the time, and has messages to keep all the same.
    #[test]
    fn what_waits_has_its_turn_however_much_overtakes_it() {
        let (jobs, queue) = std::sync::mpsc::channel();
        let mut queue = Queue::new(&queue);
        let work = |_: &dyn Db| Ok(());
        let put = |overtakes| {
            let reply = oneshot::channel().0;
            let job: Box<dyn Job> = if overtakes {
                Box::new(Work::first(work, reply))
            } else {
                Box::new(Work::new(work, reply))
            };
            jobs.send(job).unwrap();
        };
        (0..3).for_each(|_| put(true));
        put(false);
        let mut order = String::new();
        for _ in 0..8 {
            let overtakes = queue.next_batch(None).unwrap()[0].overtakes();
            order.push(if overtakes { 'f' } else { 'w' });
            // There is always more of both.
            put(true);
            put(false);
        }
        assert_eq!(order, "fffwffff");
        assert!(!queue.next_batch(None).unwrap()[0].overtakes());
    }

    #[test]
    fn a_full_disk_is_named_and_passes() {
        let mut db = File(Connection::open_in_memory().unwrap());
        db.0.execute_batch("CREATE TABLE t (a)").unwrap();
        db.0.pragma_update_and_check(None, "max_page_count", 2, |_| Ok(())).unwrap();
        let big = || insert("INSERT INTO t VALUES (zeroblob(100000))");
        let (batch, replies): (Vec<_>, Vec<_>) = (0..2).map(|_| big()).unzip();
        commit_all(&mut db, batch);
        for mut reply in replies {
            assert_eq!(reply.try_recv().unwrap(), Err(StoreError::Full));
        }
        db.0.pragma_update_and_check(None, "max_page_count", 1_000, |_| Ok(())).unwrap();
        let (batch, replies) = (0..2).map(|_| big()).unzip();
        commit(&mut db, batch);
        assert_eq!(outcomes(replies), [true; 2]);
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_transaction_that_cannot_begin_is_tried_once_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut db = File(Connection::open(&path).unwrap());
        db.0.execute_batch("CREATE TABLE t (a)").unwrap();
        db.0.busy_handler(Some(|_| {
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
