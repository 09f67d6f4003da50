//! Files of this machine become messages that show them.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use tracing::warn;

use super::persist::{Failing, Prospect, persist};
use super::reply::{FileError, FileProblem};
use crate::agent::{AttachmentKind, Say};
use crate::openapi::media::MediaType;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::RobotMessage;

/// Extensions of what is shown as a picture.
const PICTURES: [&str; 5] = ["jpg", "jpeg", "gif", "png", "bmp"];
/// Extensions of what is played as a voice. mp3 and wav can be uploaded as voices, too, but
/// `sampleAudio` plays amr and ogg only.
const VOICES: [&str; 2] = ["amr", "ogg"];
/// Extensions of what is played as a video.
const VIDEOS: [&str; 1] = ["mp4"];

/// Uploads what is not a message yet, and makes the message that shows it. What DingTalk does not take
/// as what it is goes as a file. `received_at` is when what it answers came, in milliseconds since 1970 UTC.
pub(super) async fn message(
    client: &OpenApiClient,
    received_at: i64,
    say: &Say,
) -> Result<RobotMessage, FileError> {
    let upload = async |media_type, path: &Path, name: &str| {
        Upload { client, received_at, media_type, path, name }.run().await
    };
    let (path, name, shown) = match say {
        Say::Message(message) => return Ok(message.clone()),
        Say::File { kind: AttachmentKind::Picture, path, name } if is(name, &PICTURES) => {
            let media_id = upload(MediaType::Image, path, name).await?;
            return Ok(RobotMessage::Image { media_id });
        }
        Say::Voice { path, name, duration_ms } if is(name, &VOICES) => {
            let duration_ms = *duration_ms;
            let voice = upload(MediaType::Voice, path, name).await;
            let voice = voice.map(|media_id| RobotMessage::Audio { media_id, duration_ms });
            (path, name, voice.map(Some))
        }
        Say::Video { path, name, cover, duration_ms } if is(name, &VIDEOS) => {
            let duration_ms = *duration_ms;
            let cover_name = cover.file_name().map(|name| name.to_string_lossy());
            let cover_name = cover_name.as_deref().unwrap_or_default();
            let video = match upload(MediaType::Image, cover, cover_name).await {
                Ok(cover_media_id) => upload(MediaType::Video, path, name)
                    .await
                    .map(|media_id| RobotMessage::Video { media_id, cover_media_id, duration_ms }),
                Err(e) => Err(e),
            };
            (path, name, video.map(Some))
        }
        Say::File { path, name, .. }
        | Say::Voice { path, name, .. }
        | Say::Video { path, name, .. } => (path, name, Ok(None)),
    };
    match shown {
        Ok(Some(message)) => return Ok(message),
        Ok(None) => {}
        // The file itself is there, and may do as one.
        Err(FileError { problem, detail, .. }) => {
            warn!(name, "it goes as a file: {problem}: {detail}");
        }
    }
    let media_id = upload(MediaType::File, path, name).await?;
    Ok(RobotMessage::File { media_id, name: name.clone() })
}

fn is(name: &str, extensions: &[&str]) -> bool {
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    extension.is_some_and(|e| extensions.contains(&e.as_str()))
}

struct Upload<'a> {
    client: &'a OpenApiClient,
    received_at: i64,
    media_type: MediaType,
    path: &'a Path,
    name: &'a str,
}

impl Upload<'_> {
    /// Returns the `media_id`.
    async fn run(&self) -> Result<String, FileError> {
        let fail = |problem, detail| FileError { name: self.name.to_owned(), problem, detail };
        let (from, limit) = (self.path.to_owned(), self.media_type.limit());
        let read = tokio::task::spawn_blocking(move || read_file(&from, limit)).await;
        let read = read.unwrap_or_else(|e| Err((FileProblem::Unreadable, e.to_string())));
        let bytes =
            read.map_err(|(problem, e)| fail(problem, format!("{}: {e}", self.path.display())))?;
        // Uploaded twice is not said twice: these repeats are not counted.
        let upload = || self.client.upload(self.media_type, self.name, bytes.clone());
        persist(self.received_at, upload, |_| ()).await.map_err(|e| {
            let for_good = e.prospect() == Prospect::Never
                || matches!(e, OpenApiError::Incomprehensible { .. });
            let problem = if for_good { FileProblem::Refused } else { FileProblem::NotNow };
            fail(problem, e.to_string())
        })
    }
}

/// Reads a file that DingTalk would take.
pub(super) fn read_file(path: &Path, limit: usize) -> Result<Bytes, (FileProblem, String)> {
    let unreadable = |e: std::io::Error| (FileProblem::Unreadable, e.to_string());
    // Opening a pipe would wait for somebody who writes to it, and a device has no end.
    let length_of = |metadata: std::fs::Metadata| {
        let odd = || (FileProblem::Unreadable, "it is no regular file".to_owned());
        metadata.is_file().then_some(metadata.len()).ok_or_else(odd)
    };
    length_of(std::fs::metadata(path).map_err(unreadable)?)?;
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let length = length_of(file.metadata().map_err(unreadable)?)?;
    if length > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err((FileProblem::TooLarge, format!("{length} bytes, of at most {limit}")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // It may grow meanwhile.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > limit {
        return Err((FileProblem::TooLarge, format!("more than {limit} bytes")));
    }
    if bytes.is_empty() {
        return Err((FileProblem::Empty, "0 bytes".to_owned()));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_file(&path, 5).unwrap_err().0, FileProblem::Unreadable);
        let file = std::fs::File::create(&path).unwrap();
        assert_eq!(read_file(&path, 5).unwrap_err().0, FileProblem::Empty);
        file.set_len(5).unwrap();
        assert_eq!(read_file(&path, 5).unwrap().len(), 5);
        // More than any memory holds: its length is asked for first.
        file.set_len(1 << 40).unwrap();
        assert_eq!(read_file(&path, 5).unwrap_err().0, FileProblem::TooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link, Path::new("/dev/zero"), dir.path()] {
            let (problem, detail) = read_file(path, 5).unwrap_err();
            assert_eq!(
                (problem, detail.as_str()),
                (FileProblem::Unreadable, "it is no regular file")
            );
        }
    }
}
