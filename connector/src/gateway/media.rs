//! Files that came with messages, in the state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use tracing::warn;

use crate::agent::Attachment;
use crate::backoff::Backoff;
use crate::openapi::message_files::MAX_FILE;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::RobotCode;

/// Fetches files and keeps them for a while.
#[derive(Debug)]
pub(super) struct MediaStore {
    client: Arc<OpenApiClient>,
    dir: PathBuf,
}

/// Files are kept so long, as finished messages are.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Files of one message that are fetched at the same time.
const AT_ONCE: usize = 4;
/// Tries of one file, the first included.
const TRIES: u32 = 3;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(3));

impl MediaStore {
    /// Uses the folder `media` of the state directory; what is too old in it is removed.
    pub(super) fn open(client: Arc<OpenApiClient>, state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("media");
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&dir)?;
        let store = Self { client, dir };
        store.clean(SystemTime::now());
        Ok(store)
    }

    /// Removes files that are too old. What cannot be removed is left to the next time.
    pub(super) fn clean(&self, now: SystemTime) {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return };
        for file in files.flatten() {
            let written = file.metadata().and_then(|meta| meta.modified());
            let old = written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > KEEP));
            if old {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    /// Fetches what can be fetched. One that cannot is marked with the reason, and the others come all
    /// the same.
    pub(super) async fn fetch(&self, robot_code: &RobotCode, attachments: &mut [Attachment]) {
        let fetches = attachments.iter().map(|attachment| {
            let code = attachment.media.download_code.clone();
            let name = attachment.media.file_name.clone();
            async move {
                let Some(code) = code else {
                    return Err("it came without a downloadCode".to_owned());
                };
                self.fetch_one(robot_code, &code, name.as_deref()).await
            }
        });
        let outcomes: Vec<_> =
            stream::iter(fetches.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await;
        for (attachment, outcome) in attachments.iter_mut().zip(outcomes) {
            if let Err(reason) = &outcome {
                warn!(kind = ?attachment.kind, "a file of a message cannot be had: {reason}");
            }
            attachment.file = Some(outcome);
        }
    }

    async fn fetch_one(
        &self,
        robot_code: &RobotCode,
        code: &str,
        name: Option<&str>,
    ) -> Result<PathBuf, String> {
        let mut retry = 0;
        let bytes = loop {
            match self.bytes(robot_code, code).await {
                Ok(bytes) => break bytes,
                Err(e) if !e.is_retryable() || retry + 1 == TRIES => return Err(e.to_string()),
                Err(_) => {
                    tokio::time::sleep(BACKOFF.delay(retry, rand::random())).await;
                    retry += 1;
                }
            }
        };
        let name = file_name(name, &bytes);
        let path = self.dir.join(format!("{}-{name}", uuid::Uuid::new_v4().simple()));
        let to = path.clone();
        let written = tokio::task::spawn_blocking(move || write_private(&to, &bytes)).await;
        match written {
            Ok(Ok(())) => Ok(path),
            Ok(Err(e)) => Err(format!("it cannot be written to {}: {e}", path.display())),
            Err(e) => Err(e.to_string()),
        }
    }

    async fn bytes(&self, robot_code: &RobotCode, code: &str) -> Result<Vec<u8>, OpenApiError> {
        let url = self.client.message_file_url(robot_code, code).await?;
        self.client.fetch(&url, MAX_FILE).await
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, bytes)
}

/// A name that is safe in any folder: what a person chose without its odd characters, else one that
/// tells what the bytes are (presigned addresses all end in `.file`).
fn file_name(chosen: Option<&str>, bytes: &[u8]) -> String {
    const LONGEST: usize = 80;
    let safe: String = chosen
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .collect();
    let safe = safe.trim_matches(['.', ' ']);
    if safe.is_empty() {
        return format!("file.{}", extension(bytes));
    }
    // The end of a long name is kept, since the extension is there.
    let skip = safe.chars().count().saturating_sub(LONGEST);
    safe.chars().skip(skip).collect()
}

/// The usual extension of what the first bytes say.
fn extension(bytes: &[u8]) -> &'static str {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let at =
        |from: usize, magic: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(magic));
    match () {
        () if starts(b"\x89PNG") => "png",
        () if starts(b"\xff\xd8\xff") => "jpg",
        () if starts(b"GIF8") => "gif",
        () if starts(b"BM") => "bmp",
        () if starts(b"RIFF") && at(8, b"WEBP") => "webp",
        () if starts(b"RIFF") && at(8, b"WAVE") => "wav",
        () if starts(b"#!AMR") => "amr",
        () if starts(b"OggS") => "ogg",
        () if starts(b"ID3") => "mp3",
        () if at(4, b"ftyp") => "mp4",
        () if starts(b"%PDF") => "pdf",
        () if starts(b"PK\x03\x04") => "zip",
        () => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_are_safe_and_say_what_the_bytes_are() {
        for (chosen, bytes, expected) in [
            (Some("报告 1.pdf"), b"x".as_slice(), "报告 1.pdf"),
            (Some("../../etc/passwd"), b"x", "_.._etc_passwd"),
            (Some("a\0b\n.txt"), b"x", "a_b_.txt"),
            (Some(".."), b"%PDF-1.4", "file.pdf"),
            (None, b"\x89PNG\r\n", "file.png"),
            (None, b"RIFF\0\0\0\0WAVE", "file.wav"),
            (None, b"\0\0\0\x18ftypmp42", "file.mp4"),
            (None, b"", "file.bin"),
        ] {
            assert_eq!(file_name(chosen, bytes), expected);
        }
        let long = format!("{}.docx", "长".repeat(500));
        let name = file_name(Some(&long), b"");
        assert_eq!(name, format!("{}.docx", "长".repeat(75)));
    }
}
