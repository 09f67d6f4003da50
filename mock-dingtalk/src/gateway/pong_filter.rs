//! Takes pongs out of what a WebSocket writes: the library answers pings by itself.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether pongs go out.
pub(super) type Pongs = Arc<AtomicBool>;

/// A connection whose pongs can be held back.
#[derive(Debug)]
pub(super) struct PongFilter<S> {
    inner: S,
    pongs: Pongs,
    place: Place,
}

impl<S> PongFilter<S> {
    /// Over a connection on which no frame has been written yet.
    pub(super) fn new(inner: S, pongs: Pongs) -> Self {
        Self { inner, pongs, place: Place::default() }
    }
}

/// Where in the frames that are written the next byte stands (RFC 6455, 5.2).
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The current header, as far as it went by.
    head: [u8; 10],
    have: usize,
    /// Of the payload, with what masks it, still to come.
    left: u64,
    /// Whether the current frame is one to swallow.
    swallows: bool,
}

impl Place {
    /// Goes over bytes up to the end of the frame or of `bytes`, and says how many those are and
    /// whether they are to be swallowed.
    fn go(&mut self, bytes: &[u8], pongs: bool) -> (usize, bool) {
        let mut gone = 0;
        if self.left == 0 {
            while self.have < self.head_len() {
                let Some(byte) = bytes.get(gone) else { return (gone, self.swallows) };
                if self.have == 0 {
                    self.swallows = !pongs && byte & 0x0f == PONG;
                }
                self.head[self.have] = *byte;
                self.have += 1;
                gone += 1;
            }
            self.left = self.rest();
        }
        let rest = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - gone);
        self.left -= rest as u64;
        let swallows = self.swallows;
        if self.left == 0 {
            *self = Self::default();
        }
        (gone + rest, swallows)
    }

    /// How long the header is without what masks the payload, as far as is known.
    fn head_len(&self) -> usize {
        match self.head[1] & 0x7f {
            _ if self.have < 2 => 2,
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    /// What follows a whole header.
    fn rest(&self) -> u64 {
        let payload = match self.head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        payload.saturating_add(mask)
    }
}

const PONG: u8 = 0xa;

impl<S: AsyncRead + Unpin> AsyncRead for PongFilter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PongFilter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pongs = self.pongs.load(Ordering::Acquire);
        let mut after = self.place;
        let (bytes, swallows) = after.go(buf, pongs);
        if swallows {
            self.place = after;
            return Poll::Ready(Ok(bytes));
        }
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &buf[..bytes]))?;
        self.place.go(&buf[..written], pongs);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };

    use super::Place;

    fn written(frame: Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        /// However the bytes are cut into writes, pongs vanish and all else stays.
        #[test]
        fn only_pongs_are_swallowed(
            frames in prop::collection::vec((any::<bool>(), 0..70_000_usize, any::<bool>()), 0..6),
            pieces in prop::collection::vec(1..9_000_usize, 1..8),
        ) {
            let (mut all, mut expected) = (Vec::new(), Vec::new());
            for (is_pong, size, masked) in frames {
                let mut frame = if is_pong {
                    Frame::pong(vec![1; size % 126])
                } else {
                    Frame::message(vec![2; size], OpCode::Data(Data::Binary), true)
                };
                frame.header_mut().mask = masked.then_some([1, 2, 3, 4]);
                let bytes = written(frame);
                if !is_pong {
                    expected.extend_from_slice(&bytes);
                }
                all.extend_from_slice(&bytes);
            }
            let (mut place, mut passed, mut rest) = (Place::default(), Vec::new(), &all[..]);
            for size in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (gone, swallows) = place.go(&rest[..rest.len().min(*size)], false);
                prop_assert!(gone > 0);
                if !swallows {
                    passed.extend_from_slice(&rest[..gone]);
                }
                rest = &rest[gone..];
            }
            prop_assert_eq!(passed, expected);
        }
    }
}
