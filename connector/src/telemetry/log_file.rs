//! A log file that stays small: a full one is put aside, and the oldest goes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name of the file in the state directory.
pub const FILE: &str = "ddingtalk.log";
/// Bytes of a file that is full.
const FULL: u64 = 8 << 20;
/// Full files that are kept: `ddingtalk.log.1`, the newest of them, and so on.
pub const KEPT: usize = 3;
/// Bytes that wait for the file to be named.
const EARLY: usize = 64 << 10;

/// A file, 0600, of at most 8 MiB, with three full ones beside it. What cannot be written is dropped: a
/// full disk must not stop whoever logs.
#[derive(Debug)]
pub struct LogFile(Mutex<State>);

#[derive(Debug)]
enum State {
    /// The state directory is not known to be ours yet.
    Early(String),
    Open {
        path: PathBuf,
        file: File,
        bytes: u64,
    },
}

impl Default for LogFile {
    /// Keeps the first lines until it [is placed](Self::place).
    fn default() -> Self {
        Self(Mutex::new(State::Early(String::new())))
    }
}

impl LogFile {
    /// Opens or makes the file; what it has stays.
    pub fn open(path: &Path) -> io::Result<Self> {
        let log = Self::default();
        log.place(path)?;
        Ok(log)
    }

    /// From now on lines go to this file, and those that waited, too.
    pub fn place(&self, path: &Path) -> io::Result<()> {
        let (file, bytes) = open(path)?;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = State::Open { path: path.to_owned(), file, bytes };
        if let State::Early(lines) = std::mem::replace(&mut *state, open) {
            state.write(&lines, FULL);
        }
        Ok(())
    }

    pub(super) fn line(&self, line: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.write(&format!("{line}\n"), FULL);
    }
}

impl State {
    fn write(&mut self, lines: &str, full: u64) {
        match self {
            Self::Early(waiting) => {
                if waiting.len() + lines.len() <= EARLY {
                    waiting.push_str(lines);
                }
            }
            Self::Open { path, file, bytes } => {
                if *bytes > 0
                    && *bytes + lines.len() as u64 > full
                    && let Ok(next) = rotate(path)
                {
                    (*file, *bytes) = next;
                }
                if file.write_all(lines.as_bytes()).is_ok() {
                    *bytes += lines.len() as u64;
                }
            }
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

fn rotate(path: &Path) -> io::Result<(File, u64)> {
    for n in (1..KEPT).rev() {
        match std::fs::rename(full_one(path, n), full_one(path, n + 1)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    std::fs::rename(path, full_one(path, 1))?;
    open(path)
}

/// The n-th full file, counted from the newest.
pub fn full_one(path: &Path, n: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let log = LogFile::default();
        log.line("early");
        log.place(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "early\n");
        let mut state = log.0.lock().unwrap();
        for n in 0..60 {
            state.write(&format!("line {n:02}\n"), 40);
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let all: String = (1..=KEPT).rev().map(|n| read(&full_one(&path, n))).collect();
        let all = all + &read(&path);
        assert!(all.ends_with("line 58\nline 59\n"), "{all}");
        assert_eq!(all.lines().count(), 16, "five in each full one, and one more");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), KEPT + 1);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_waits_too_long_for_its_file_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogFile::default();
        for _ in 0..200 {
            log.line(&"x".repeat(1_000));
        }
        log.place(&dir.path().join(FILE)).unwrap();
        assert!(dir.path().join(FILE).metadata().unwrap().len() <= EARLY as u64);
    }
}
