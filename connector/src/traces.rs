//! What `ddingtalk trace` shows, exported as OpenTelemetry spans: one trace for each message that is over,
//! one span for each step.
//!
//! The spans are made of the times in the store, so that a message that was finished by another process than
//! the one that took it in has one whole trace, too. It is off unless the environment names a collector, by
//! OpenTelemetry's own variables.

mod export;
mod spans;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::warn;

use self::export::Worker;
pub use self::export::{CollectorError, collector};
pub use self::spans::trace_id;
use crate::store::{InboxId, StoreError, StoreReader};

/// Messages that may wait to be exported. Further ones are not: traces hold up no answer.
const WAITING: usize = 10_000;
/// What is still to be exported at the end of the process gets so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Opens what reads the store; called once, on a thread that may block.
pub type OpenReader = Box<dyn FnOnce() -> Result<Box<dyn StoreReader>, StoreError> + Send>;

/// The export of a process. Its end is [`finish`](Self::finish).
#[derive(Debug)]
pub struct Traces {
    over: Over,
    worker: JoinHandle<()>,
    /// Dropped by the worker when it has ended.
    ended: tokio::sync::oneshot::Receiver<()>,
}

/// Tells of messages that are over.
#[derive(Debug, Clone)]
pub struct Over {
    queue: SyncSender<Told>,
    left_out: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Told {
    Message(InboxId),
    End,
}

impl Traces {
    /// Begins, within a runtime. The reader is opened on the export's own thread.
    pub fn start(collector: export::Collector, open: OpenReader) -> std::io::Result<Self> {
        let (queue, told) = sync_channel(WAITING);
        let (alive, ended) = tokio::sync::oneshot::channel();
        let left_out = Arc::new(AtomicU64::new(0));
        let worker = Worker::new(collector, Arc::clone(&left_out));
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            match open() {
                Ok(reader) => worker.run(&*reader, &told, &runtime),
                Err(e) => warn!("no traces are exported: {e}"),
            }
            drop(alive);
        };
        let worker = std::thread::Builder::new().name("traces".to_owned()).spawn(work)?;
        Ok(Self { over: Over { queue, left_out }, worker, ended })
    }

    /// Where messages that are over are told.
    pub fn over(&self) -> Over {
        self.over.clone()
    }

    /// Exports what was told until now, for at most 2 s, and ends.
    pub async fn finish(self) {
        let Self { over, worker, ended } = self;
        // A queue that is full has an end by itself: its worker is not waited for.
        let _ = over.queue.try_send(Told::End);
        if tokio::time::timeout(LAST_WORDS, ended).await.is_ok() {
            // It has ended; a panic was reported then.
            let _ = worker.join();
        }
    }
}

impl Over {
    /// A message is over, and that is durable.
    pub fn tell(&self, message: InboxId) {
        match self.queue.try_send(Told::Message(message)) {
            Err(TrySendError::Full(_)) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
            // Where there is no reader that was said.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
    }
}
