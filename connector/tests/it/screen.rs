//! A program at a terminal, and what it shows there.

use std::io::{Read as _, Write as _};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};

/// How long a question may take to be shown.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program is killed when this is dropped.
pub(crate) struct Screen {
    pub(crate) child: Child,
    pub(crate) keyboard: Pty,
    pub(crate) shown: Receiver<Vec<u8>>,
    /// What was shown behind whatever was waited for.
    pub(crate) text: String,
}

impl Screen {
    pub(crate) fn start(command: Command) -> Self {
        let (keyboard, theirs) = open().unwrap();
        keyboard.resize(Size::new(50, 160)).unwrap();
        let child = command.spawn(theirs).unwrap();
        let fd = std::os::fd::AsFd::as_fd(&keyboard).try_clone_to_owned().unwrap();
        let mut screen = std::fs::File::from(fd);
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // A terminal whose program has gone is an error to read.
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, shown, text: String::new() }
    }

    /// Waits until something is shown, behind whatever was waited for before; returns all up to it.
    pub(crate) fn wait(&mut self, part: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(at) = self.text.find(part) {
                let rest = self.text.split_off(at + part.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text += &plain(&String::from_utf8_lossy(&bytes)),
                Err(e) => panic!("waited in vain for {part:?} ({e}); shown since: {}", self.text),
            }
        }
    }

    pub(crate) fn answer(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without the sequences that move the cursor and colour what follows.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic());
        text + end.map_or("", |end| &part[end + 1..])
    })
}
