//! An accepted TCP connection that can be broken on purpose.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    task::AbortHandle,
};

use crate::{
    core::{AppNumber, Cut, Direction},
    hub::Hub,
};

/// What hyper and the WebSocket read from and write to.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Arc<TcpStream>,
    shared: Arc<Shared>,
}

/// The other end of the strings: breaks a [`Wire`] wherever it has gone to.
#[derive(Debug, Clone)]
pub(crate) struct WireControl {
    stream: Weak<TcpStream>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mode: AtomicU8,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// Bytes that may go out before the next interval, if the wire trickles.
    allowance: AtomicUsize,
    /// Told when a writer has nothing left of it.
    starved: Notify,
    /// Who grants it.
    pace: Mutex<Option<AbortHandle>>,
}

/// Reads and writes fail, so that whoever holds the wire drops it.
const CUT: u8 = 1;
/// What is written is swallowed.
const SWALLOW_OUT: u8 = 2;
/// What comes is thrown away.
const SWALLOW_IN: u8 = 4;
/// What is written goes out so many bytes at a time.
const TRICKLE: u8 = 8;

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, WireControl) {
        let stream = Arc::new(stream);
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(0),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            allowance: AtomicUsize::new(0),
            starved: Notify::new(),
            pace: Mutex::new(None),
        });
        let control = WireControl { stream: Arc::downgrade(&stream), shared: Arc::clone(&shared) };
        (Self { stream, shared }, control)
    }

    /// The first byte that comes, which is still to be read then. `None` at the end.
    pub(crate) async fn peek(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        Ok((self.stream.peek(&mut first).await? > 0).then_some(first[0]))
    }

    /// Reads and throws away until the peer ends the connection.
    pub(crate) async fn drain(&self) {
        let mut thrown_away = [0; 1024];
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut thrown_away) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.set_pace(None);
    }
}

impl Shared {
    fn set_pace(&self, pace: Option<AbortHandle>) {
        let old = {
            let mut held = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, pace)
        };
        if let Some(old) = old {
            old.abort();
        }
    }
}

impl WireControl {
    /// Breaks the connection as told. There is no Close frame below the WebSocket: that is a reset.
    pub(crate) fn cut(&self, how: &Cut) {
        match how {
            Cut::Rst | Cut::Close { .. } => self.reset(),
            Cut::Fin => self.finish(),
            Cut::BlackHole => self.switch(SWALLOW_IN | SWALLOW_OUT),
            Cut::OneWay(Direction::ToBot) => self.switch(SWALLOW_OUT),
            Cut::OneWay(Direction::FromBot) => self.switch(SWALLOW_IN),
        }
    }

    /// Resets the connection: the peer's next read or write fails.
    pub(crate) fn reset(&self) {
        if let Some(stream) = self.stream.upgrade() {
            // Without linger, closing sends RST. It fails only on a socket that is gone already.
            let _ = stream.set_zero_linger();
        }
        self.switch(CUT);
    }

    /// Ends the connection in order: the peer reads the end of the stream.
    pub(crate) fn finish(&self) {
        if let Some(stream) = self.stream.upgrade() {
            // It fails only on a socket that is gone already.
            let _ = SockRef::from(&*stream).shutdown(Shutdown::Write);
        }
        self.switch(CUT);
    }

    /// From now on at most so many bytes go out in each interval on the app's clock, the first of
    /// them at once. There is no end to it but the connection's; another call changes the pace.
    pub(crate) fn dribble(
        &self,
        hub: &Arc<Hub>,
        app: Option<AppNumber>,
        bytes: usize,
        every: Duration,
    ) {
        let (hub, shared) = (Arc::clone(hub), Arc::clone(&self.shared));
        shared.allowance.store(bytes, Ordering::Release);
        let pace = tokio::spawn(async move {
            let now = || hub.time_of(app);
            let (mut due, mut granted) = (now(), now());
            loop {
                shared.starved.notified().await;
                if shared.allowance.load(Ordering::Acquire) > 0 {
                    // It was told twice of the hunger that is over.
                    continue;
                }
                // What is due was missed by a jump of the clock, unless nobody wrote meanwhile; or
                // the clock was set back.
                let time = now();
                if time < granted || time.saturating_sub(granted) >= every {
                    due = time;
                }
                due = due.saturating_add(every);
                hub.sleep_until(app, due).await;
                granted = now();
                shared.allowance.store(bytes, Ordering::Release);
                shared.writer.wake();
            }
        });
        self.shared.set_pace(Some(pace.abort_handle()));
        self.switch(TRICKLE);
        if self.stream.strong_count() == 0 {
            // The wire was dropped before it could see this.
            self.shared.set_pace(None);
        }
    }

    fn switch(&self, mode: u8) {
        self.shared.mode.fetch_or(mode, Ordering::AcqRel);
        self.shared.reader.wake();
        self.shared.writer.wake();
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.reader.register(cx.waker());
        loop {
            let mode = self.shared.mode.load(Ordering::Acquire);
            if mode & CUT != 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            ready!(self.stream.poll_read_ready(cx))?;
            let read = if mode & SWALLOW_IN != 0 {
                let mut thrown_away = [0; 1024];
                match self.stream.try_read(&mut thrown_away) {
                    Ok(0) => return Poll::Ready(Ok(())),
                    other => other.map(|_| None),
                }
            } else {
                self.stream.try_read(buf.initialize_unfilled()).map(Some)
            };
            match read {
                Ok(Some(bytes)) => {
                    buf.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.writer.register(cx.waker());
        loop {
            let mode = self.shared.mode.load(Ordering::Acquire);
            if mode & CUT != 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if mode & SWALLOW_OUT != 0 {
                return Poll::Ready(Ok(buf.len()));
            }
            let mut piece = buf;
            if mode & TRICKLE != 0 {
                let allowed = self.shared.allowance.load(Ordering::Acquire);
                if allowed == 0 && !buf.is_empty() {
                    self.shared.starved.notify_one();
                    return Poll::Pending;
                }
                piece = &buf[..buf.len().min(allowed)];
            }
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(bytes) => {
                    if mode & TRICKLE != 0 {
                        // Only the writer takes; who grants does so only when nothing is left.
                        self.shared.allowance.fetch_sub(bytes, Ordering::AcqRel);
                    }
                    // The task of the handshake wrote last, and would keep its memory as long as
                    // a waker of it is here.
                    drop(self.shared.writer.take());
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mode = self.shared.mode.load(Ordering::Acquire);
        if mode & (CUT | SWALLOW_IN | SWALLOW_OUT) != 0 {
            return Poll::Ready(Ok(()));
        }
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::Arc,
        task::{Context, Wake, Waker},
    };

    use tokio::{
        io::AsyncWrite,
        net::{TcpListener, TcpStream},
    };

    use super::Wire;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    /// A task lives as long as its wakers, and each connection has had one before it became a
    /// WebSocket.
    #[tokio::test]
    async fn who_wrote_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, _) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept(),);
        let stream = stream.unwrap();
        stream.writable().await.unwrap();
        let (mut wire, _control) = Wire::new(stream);
        let task = Arc::new(Task);
        {
            let waker = Waker::from(Arc::clone(&task));
            let written = Pin::new(&mut wire).poll_write(&mut Context::from_waker(&waker), b"x");
            assert!(matches!(written, std::task::Poll::Ready(Ok(1))), "{written:?}");
        }
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
