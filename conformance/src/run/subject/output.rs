//! What a bot writes, of which the end is kept.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How much of it is kept, in bytes, from its end.
const KEPT: usize = 4_000;
/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// One pipe for all that the processes of a bot write, so that it stays in its order.
#[derive(Debug)]
pub(super) struct Output {
    writer: Option<PipeWriter>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    over: oneshot::Receiver<()>,
}

impl Output {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let tail = Arc::<Mutex<VecDeque<u8>>>::default();
        let (told, over) = oneshot::channel();
        let kept = Arc::clone(&tail);
        // It ends with the last process that can write, which may outlive the case.
        std::thread::Builder::new().name("bot-output".to_owned()).spawn(move || {
            keep(reader, &kept);
            // Whoever would hear it may be gone.
            let _ = told.send(());
        })?;
        Ok(Self { writer: Some(writer), tail, over })
    }

    /// For a process to write to.
    pub(super) fn writer(&self) -> io::Result<PipeWriter> {
        let writer = self.writer.as_ref().expect("it is taken with the tail only");
        writer.try_clone()
    }

    /// The end of what was written. What still writes is given `patience`.
    pub(super) async fn tail(&mut self, patience: Duration) -> String {
        self.writer = None;
        let _ = tokio::time::timeout(patience, &mut self.over).await;
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        let cut = bytes.len() == KEPT;
        // A character may have been cut in two.
        let broken = bytes.iter().take_while(|byte| cut && is_inner(**byte)).count();
        String::from_utf8_lossy(&bytes[broken..]).into_owned()
    }
}

/// Whether a byte stands within a character of UTF-8.
fn is_inner(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn keep(mut reader: PipeReader, tail: &Mutex<VecDeque<u8>>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let fresh = &chunk[read.saturating_sub(KEPT)..read];
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        let over = (tail.len() + fresh.len()).saturating_sub(KEPT);
        tail.drain(..over);
        tail.extend(fresh);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::{KEPT, Output};

    #[tokio::test]
    async fn of_much_output_only_the_end_is_kept() {
        for (text, times, end) in
            [("short", 1, "short"), ("钉", 100_000, "钉"), ("x\n", 9_000, "x\n")]
        {
            let mut output = Output::new().unwrap();
            let mut writer = output.writer().unwrap();
            let whole = text.repeat(times);
            let written = tokio::task::spawn_blocking(move || writer.write_all(whole.as_bytes()));
            written.await.unwrap().unwrap();
            let tail = output.tail(Duration::from_mins(1)).await;
            assert!(tail.len() <= KEPT && tail.ends_with(end), "{tail}");
            assert!(tail.len() > KEPT - 3 || times == 1, "{}", tail.len());
            assert!(!tail.contains('\u{fffd}'), "{tail}");
        }
    }

    #[tokio::test]
    async fn whoever_still_writes_is_not_waited_for_in_vain() {
        let mut output = Output::new().unwrap();
        let mut writer = output.writer().unwrap();
        writer.write_all(b"still here").unwrap();
        // The pipe is read by its thread, however little time there is.
        while output.tail(Duration::from_millis(1)).await.is_empty() {}
        assert_eq!(output.tail(Duration::from_millis(1)).await, "still here");
    }
}
