//! An accepted TCP connection that can be broken on purpose.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
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
}

const INTACT: u8 = 0;
/// Reads and writes fail, so that whoever holds the wire drops it.
const CUT: u8 = 1;
/// What is written is swallowed, what comes is thrown away.
const BLACK_HOLE: u8 = 2;

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, WireControl) {
        let stream = Arc::new(stream);
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(INTACT),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        let control = WireControl { stream: Arc::downgrade(&stream), shared: Arc::clone(&shared) };
        (Self { stream, shared }, control)
    }
}

impl WireControl {
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

    /// Lets nothing pass any more; the connection itself stays until the peer ends it.
    pub(crate) fn black_hole(&self) {
        self.switch(BLACK_HOLE);
    }

    fn switch(&self, mode: u8) {
        self.shared.mode.store(mode, Ordering::Release);
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
            if mode == CUT {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            ready!(self.stream.poll_read_ready(cx))?;
            let read = if mode == BLACK_HOLE {
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
            match self.shared.mode.load(Ordering::Acquire) {
                CUT => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                BLACK_HOLE => return Poll::Ready(Ok(buf.len())),
                _ => {}
            }
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shared.mode.load(Ordering::Acquire) != INTACT {
            return Poll::Ready(Ok(()));
        }
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
