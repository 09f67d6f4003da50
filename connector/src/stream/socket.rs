//! One live socket: a task that reads it and a task that writes it.
//!
//! Writing has a task of its own because a peer that takes nothing must block neither reading nor the
//! driver. The writer puts whatever has queued on the wire with one flush.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::driver::Event;
use super::session::{CloseReason, Generation};
use super::transport::{Outgoing, Reader, Received, Writer};

/// The driver's end of a live socket. Dropping it lets the tasks come to their own end; a socket whose
/// peer may never end is [`abort`](Self::abort)ed.
pub(super) struct SocketHandle {
    outgoing: mpsc::Sender<Outgoing>,
    tasks: [AbortHandle; 2],
}

/// Messages that may wait for a slow peer. A peer behind by more than this is stuck.
const OUTGOING: usize = 8_192;

/// How long a closing handshake begun by the peer may take us.
const CLOSING: Duration = Duration::from_secs(1);

impl SocketHandle {
    /// Starts both tasks in `tasks`; what is read arrives in `events`.
    pub(super) fn spawn(
        tasks: &mut JoinSet<()>,
        generation: Generation,
        (reader, writer): (Reader, Writer),
        events: &mpsc::Sender<Event>,
    ) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let reader = tasks.spawn(read(generation, reader, events.clone()));
        let writer = tasks.spawn(write(generation, writer, queue, events.clone()));
        Self { outgoing, tasks: [reader, writer] }
    }

    /// Queues a message; an error means that the connection is of no use any more.
    pub(super) fn send(&self, outgoing: Outgoing) -> Result<(), CloseReason> {
        self.outgoing.try_send(outgoing).map_err(|_| CloseReason::Stuck)
    }

    /// Drops the connection as it is.
    pub(super) fn abort(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

async fn read(generation: Generation, mut reader: Reader, events: mpsc::Sender<Event>) {
    loop {
        let batch = reader.batch().await;
        let closed = matches!(batch.last(), Some(Received::Closed(_)));
        if events.send(Event::Received(generation, batch)).await.is_err() {
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
    generation: Generation,
    mut writer: Writer,
    mut queue: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<Event>,
) {
    while let Some(first) = queue.recv().await {
        if let Err(reason) = write_batch(&mut writer, first, &mut queue).await {
            let closed = vec![Received::Closed(reason)];
            // The driver may be gone; then nobody needs to know.
            let _ = events.send(Event::Received(generation, closed)).await;
            return;
        }
    }
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
