//! Words over a pair of sockets: one end is the standard input of the process that was started.

use std::io;
use std::os::fd::AsFd;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tracing::warn;

/// Says words.
#[derive(Debug)]
pub(super) struct Mouth(OwnedWriteHalf);

/// Hears words.
#[derive(Debug)]
pub(super) struct Ear(Lines<BufReader<OwnedReadHalf>>);

/// Both ends of one socket.
pub(super) fn halves(socket: std::os::unix::net::UnixStream) -> io::Result<(Ear, Mouth)> {
    socket.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(socket)?.into_split();
    Ok((Ear(BufReader::new(read).lines()), Mouth(write)))
}

/// The standard input, which must be a socket.
pub(super) fn of_stdin() -> io::Result<(Ear, Mouth)> {
    let socket =
        std::os::unix::net::UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // Anything else has no peer.
    socket.peer_addr()?;
    halves(socket)
}

impl Mouth {
    /// Says a word. That nobody hears it is known by the ear.
    pub(super) async fn say(&mut self, word: &impl Serialize) {
        let mut line = serde_json::to_vec(word).expect("words are JSON");
        line.push(b'\n');
        let _ = self.0.write_all(&line).await;
    }
}

impl Ear {
    /// The next word; `None` when there will be none. What is not understood is left out.
    ///
    /// Can be dropped at any time.
    pub(super) async fn hear<W: DeserializeOwned>(&mut self) -> Option<W> {
        loop {
            let line = self.0.next_line().await.ok()??;
            match serde_json::from_str(&line) {
                Ok(word) => return Some(word),
                Err(e) => warn!("a word of another process is not understood: {e}"),
            }
        }
    }
}
