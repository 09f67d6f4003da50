//! One live socket: a task that reads it and a task that writes it.
//!
//! Writing has a task of its own because a peer that takes nothing must block neither reading nor the
//! driver. The writer puts whatever has queued on the wire with one flush.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tracing::Instrument;

use super::driver::Batch;
use super::session::{CloseReason, Generation};
use super::transport::{Outgoing, Reader, Received, Writer};

/// The driver's end of a live socket. Dropping it lets the tasks come to their own end; a socket whose
/// peer may never end is [`abort`](Self::abort)ed.
pub(super) struct SocketHandle {
    outgoing: mpsc::Sender<Outgoing>,
    reader: AbortHandle,
    writer: AbortHandle,
}

/// Messages that may wait for a slow peer. A peer behind by more than this is stuck.
const OUTGOING: usize = 8_192;

/// How long one batch may take to write.
const WRITING: Duration = Duration::from_secs(10);

/// How long a closing handshake begun by the peer may take us.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a connection that can't be written any more is still read.
const LINGER: Duration = Duration::from_secs(2);

impl SocketHandle {
    /// Starts both tasks in `tasks`; what is read arrives in `batches`.
    pub(super) fn spawn(
        tasks: &mut JoinSet<()>,
        generation: Generation,
        (reader, writer): (Reader, Writer),
        batches: &mpsc::Sender<Batch>,
    ) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let (failed, failure) = oneshot::channel();
        let reader =
            tasks.spawn(read(generation, reader, batches.clone(), failure).in_current_span());
        let writer = tasks.spawn(write(writer, queue, failed).in_current_span());
        Self { outgoing, reader, writer }
    }

    /// Queues a message. Where it can't be written any more it is dropped; the reader reports the end
    /// when nothing is left to read.
    pub(super) fn send(&self, outgoing: Outgoing) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.outgoing.try_send(outgoing) {
            self.writer.abort();
        }
    }

    /// Drops the connection as it is.
    pub(super) fn abort(self) {
        self.reader.abort();
        self.writer.abort();
    }
}

/// Reads until the end, and is the only one to report it: a peer that cuts while we write may have
/// sent messages before, and those are read first.
async fn read(
    generation: Generation,
    mut reader: Reader,
    batches: mpsc::Sender<Batch>,
    mut failure: oneshot::Receiver<CloseReason>,
) {
    let mut unwritable = None;
    let linger = tokio::time::sleep(LINGER);
    tokio::pin!(linger);
    loop {
        let batch = tokio::select! {
            batch = reader.batch() => batch,
            reason = &mut failure, if unwritable.is_none() => {
                unwritable = Some(reason.unwrap_or(CloseReason::Stuck));
                linger.as_mut().reset(tokio::time::Instant::now() + LINGER);
                continue;
            }
            () = &mut linger, if unwritable.is_some() => {
                vec![Received::Closed(unwritable.take().unwrap_or(CloseReason::Stuck))]
            }
        };
        let closed = matches!(batch.last(), Some(Received::Closed(_)));
        if batches.send((generation, batch)).await.is_err() {
            return;
        }
        if closed {
            // The successor is being made already; this only answers the peer's Close frame.
            let _ = tokio::time::timeout(CLOSING, reader.batch()).await;
            return;
        }
    }
}

async fn write(
    mut writer: Writer,
    mut queue: mpsc::Receiver<Outgoing>,
    failed: oneshot::Sender<CloseReason>,
) {
    while let Some(first) = queue.recv().await {
        let written = tokio::time::timeout(WRITING, write_batch(&mut writer, first, &mut queue));
        if let Err(reason) = written.await.unwrap_or(Err(CloseReason::Stuck)) {
            // A reader that has ended already knows.
            let _ = failed.send(reason);
            return;
        }
    }
    // The driver has let go of the connection; the reader's end is near and needs no reason. Waiting
    // for it keeps the channel, and with it the reader's own view of the end, intact.
    let mut failed = failed;
    failed.closed().await;
}

async fn write_batch(
    writer: &mut Writer,
    first: Outgoing,
    queue: &mut mpsc::Receiver<Outgoing>,
) -> Result<(), CloseReason> {
    writer.feed(first).await?;
    while let Ok(next) = queue.try_recv() {
        writer.feed(next).await?;
    }
    writer.flush().await
}
