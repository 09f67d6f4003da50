//! The folder of fetched files: their names, how long they stay, and how much of them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::warn;

use crate::markdown::is_mark;

/// A folder that only its owner reads.
#[derive(Debug, Clone)]
pub(super) struct MediaDir {
    path: PathBuf,
}

/// Files are kept so long, as finished messages are.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Bytes kept at most; over it the oldest files go.
pub(super) const CAP: u64 = 2 << 30;
/// Bytes of a file that tell what it is.
const HEAD: usize = 16;

impl MediaDir {
    /// Makes the folder if it is not there.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self { path })
    }

    /// Writes what comes until there is no more, and returns the beginning of it with its length. The
    /// file has no name of its own yet: [`keep`](Self::keep) gives it one.
    pub(super) fn write(path: &Path, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<Written> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut written = Written { head: Vec::new(), length: 0 };
        while let Some(chunk) = chunks.blocking_recv() {
            file.write_all(&chunk)?;
            let wanted = HEAD.saturating_sub(written.head.len()).min(chunk.len());
            written.head.extend_from_slice(&chunk[..wanted]);
            written.length += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        }
        Ok(written)
    }

    /// Where the next file is written to.
    pub(super) fn partial(&self) -> PathBuf {
        self.path.join(format!("{}.part", uuid::Uuid::new_v4().simple()))
    }

    /// Gives a file that was written its name.
    pub(super) fn keep(
        &self,
        partial: &Path,
        chosen: Option<&str>,
        written: &Written,
    ) -> io::Result<PathBuf> {
        let name = file_name(chosen, &written.head);
        let path = self.path.join(format!("{}-{name}", uuid::Uuid::new_v4().simple()));
        std::fs::rename(partial, &path)?;
        Ok(path)
    }

    /// Removes files that are too old or too many. What cannot be removed is left to the next time.
    pub(super) fn clean(&self, now: SystemTime, cap: u64) {
        let Ok(files) = std::fs::read_dir(&self.path) else { return };
        let kept = files.flatten().filter_map(|file| {
            let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some(Kept { path: file.path(), written: meta.modified().ok()?, length: meta.len() })
        });
        for path in excess(kept.collect(), now, cap) {
            if let Err(e) = std::fs::remove_file(&path) {
                warn!("an old file of a message cannot be removed: {}: {e}", path.display());
            }
        }
    }
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    head: Vec<u8>,
    /// Bytes.
    pub(super) length: u64,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    written: SystemTime,
    length: u64,
}

/// Which files have to go.
fn excess(mut files: Vec<Kept>, now: SystemTime, cap: u64) -> Vec<PathBuf> {
    files.sort_by_key(|file| std::cmp::Reverse(file.written));
    let mut total = 0_u64;
    let goes = |file: &Kept| {
        total = total.saturating_add(file.length);
        total > cap || now.duration_since(file.written).is_ok_and(|age| age > KEEP)
    };
    files
        .into_iter()
        .filter_map({
            let mut goes = goes;
            move |file| goes(&file).then_some(file.path)
        })
        .collect()
}

/// A name that is safe in any folder: what a person chose without its odd characters, else one that
/// tells what the bytes are (presigned addresses all end in `.file`).
fn file_name(chosen: Option<&str>, head: &[u8]) -> String {
    // In bytes, as file systems count them: 255 with what stands before it.
    const LONGEST: usize = 180;
    let safe: String = chosen
        .unwrap_or_default()
        .chars()
        .map(|c| {
            // Accents may be characters of their own, as in names from macOS.
            let word = c.is_alphanumeric() || is_mark(c) && c != '\u{200d}';
            if word || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' }
        })
        .collect();
    let safe = safe.trim_matches(['.', ' ']);
    if safe.is_empty() {
        return format!("file.{}", extension(head));
    }
    // The end of a long name is kept, since the extension is there.
    let mut start = safe.len().saturating_sub(LONGEST);
    while !safe.is_char_boundary(start) {
        start += 1;
    }
    safe.get(start..).unwrap_or_default().to_owned()
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
    use super::*;

    #[test]
    fn names_are_safe_and_say_what_the_bytes_are() {
        for (chosen, bytes, expected) in [
            (Some("报告 1.pdf"), b"x".as_slice(), "报告 1.pdf"),
            (Some("../../etc/passwd"), b"x", "_.._etc_passwd"),
            (Some("a\0b\n.txt"), b"x", "a_b_.txt"),
            (Some(".."), b"%PDF-1.4", "file.pdf"),
            (Some("re\u{301}sume\u{301}.pdf"), b"x", "re\u{301}sume\u{301}.pdf"),
            (Some("a\u{202e}gpj.exe"), b"x", "a_gpj.exe"),
            (Some("C:\\x\\CON.txt . "), b"x", "C__x_CON.txt"),
            (None, b"\x89PNG\r\n", "file.png"),
            (None, b"RIFF\0\0\0\0WAVE", "file.wav"),
            (None, b"\0\0\0\x18ftypmp42", "file.mp4"),
            (None, b"", "file.bin"),
        ] {
            assert_eq!(file_name(chosen, bytes), expected);
        }
    }

    #[test]
    fn a_file_with_a_long_name_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let media = MediaDir::open(dir.path().join("media")).unwrap();
        for name in [format!("{}.docx", "长".repeat(75)), format!("x{}.docx", "长".repeat(500))] {
            let (chunks, incoming) = mpsc::channel(4);
            chunks.try_send(Bytes::from_static(b"%PD")).unwrap();
            chunks.try_send(Bytes::from_static(b"F-1.4 and so on")).unwrap();
            drop(chunks);
            let partial = media.partial();
            let written = MediaDir::write(&partial, incoming).unwrap();
            assert_eq!((written.head.as_slice(), written.length), (&b"%PDF-1.4 and so "[..], 18));
            let path = media.keep(&partial, Some(&name), &written).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"%PDF-1.4 and so on");
            assert!(path.to_string_lossy().ends_with("长.docx"), "{}", path.display());
        }
    }

    #[test]
    fn cleaning_removes_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let media = MediaDir::open(dir.path().join("media")).unwrap();
        let now = SystemTime::now();
        for (name, age) in [("old", 2 * KEEP), ("young", KEEP / 2)] {
            let file = File::create(media.path.join(name)).unwrap();
            file.set_modified(now.checked_sub(age).unwrap()).unwrap();
        }
        std::fs::create_dir(media.path.join("folder")).unwrap();
        media.clean(now, CAP);
        let left = std::fs::read_dir(&media.path).unwrap().map(|file| file.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["folder", "young"]);
    }

    #[test]
    fn the_old_go_and_of_too_many_the_oldest() {
        let now = SystemTime::UNIX_EPOCH + 100 * KEEP;
        let file = |name: &str, age: Duration, length| Kept {
            path: name.into(),
            written: now.checked_sub(age).unwrap(),
            length,
        };
        let day = Duration::from_secs(24 * 3_600);
        let files = || {
            vec![
                file("old", 8 * day, 1),
                file("today", day / 2, 40),
                file("yesterday", day, 40),
                file("before", 2 * day, 40),
            ]
        };
        let gone = |cap| -> Vec<String> {
            let paths = excess(files(), now, cap).into_iter();
            paths.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(gone(1_000), ["old"]);
        assert_eq!(gone(80), ["before", "old"]);
        assert_eq!(gone(0), ["today", "yesterday", "before", "old"]);
    }
}
