//! The directory that holds what must survive a restart.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::remedy;
use crate::unix_time::now_ms;

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// Files cannot be made in it.
    #[error(
        "cannot write to the state directory {}: {source}; {}, or name another one with --state-dir",
        .path.display(), remedy::of(source, "make it writable for this user")
    )]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be looked into.
    #[error(
        "cannot look into the state directory {}: {source}; run this as the user who runs the gateway",
        .path.display()
    )]
    NotReadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works with it.
    #[error(
        "another ddingtalk works with the state directory {}; end it, or name another directory with \
         --state-dir",
        .path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

impl StateDirError {
    pub(crate) fn not_writable(path: &Path, source: io::Error) -> Self {
        Self::NotWritable { path: path.to_owned(), source }
    }
}

/// Holds the state directory for this process; the system lets go of it however the process ends.
#[derive(Debug)]
pub struct StateDirLock(File);

impl Drop for StateDirLock {
    fn drop(&mut self) {
        // Whoever holds it next has not written its name for a moment.
        let _ = self.0.set_len(0);
    }
}

/// The process that holds a state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its id; `None` while it has not said.
    pub pid: Option<i32>,
    /// When it took the directory, in milliseconds since 1970 UTC; 0 while it has not said.
    pub since: i64,
}

/// Name of the file that is locked.
const LOCK: &str = "lock";
/// Whoever looks for a [`holder`] holds the file for an instant.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(10);

/// Makes sure that the directory exists, is private (0700) when it is made here, and can be written.
pub fn prepare(path: &Path) -> Result<(), StateDirError> {
    let attempt = || {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        // Permission bits do not tell: root ignores them, a read-only mount has them all.
        let probe = path.join(format!(".probe-{:016x}", rand::random::<u64>()));
        std::fs::write(&probe, b"")?;
        std::fs::remove_file(&probe)
    };
    attempt().map_err(|source| StateDirError::NotWritable { path: path.to_owned(), source })
}

/// Takes a prepared directory for this process: two of them would answer every kept message twice.
pub fn lock(path: &Path) -> Result<StateDirLock, StateDirError> {
    let attempt = || {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path.join(LOCK)).map_err(TryLockError::Error)?;
        let mut looks = 0;
        while let Err(e) = file.try_lock() {
            looks += 1;
            if looks == LOOKS || matches!(e, TryLockError::Error(_)) {
                return Err(e);
            }
            std::thread::sleep(LOOK);
        }
        let name = format!("{} {}\n", std::process::id(), now_ms());
        let written = file.set_len(0).and_then(|()| file.write_all(name.as_bytes()));
        written.map_err(TryLockError::Error)?;
        Ok(file)
    };
    match attempt() {
        Ok(file) => Ok(StateDirLock(file)),
        Err(TryLockError::WouldBlock) => Err(StateDirError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => {
            Err(StateDirError::NotWritable { path: path.to_owned(), source })
        }
    }
}

/// The process that works with a directory; `None` if there is none. What a killed process left does not
/// count.
pub fn holder(path: &Path) -> Result<Option<Holder>, StateDirError> {
    let attempt = || {
        let mut file = match File::open(path.join(LOCK)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) => {}
        }
        let mut name = String::new();
        file.rewind()?;
        file.read_to_string(&mut name)?;
        let mut words = name.split_whitespace();
        let pid = words.next().and_then(|pid| pid.parse().ok());
        let since = words.next().and_then(|since| since.parse().ok()).unwrap_or(0);
        Ok(Some(Holder { pid, since }))
    };
    attempt().map_err(|source| StateDirError::NotReadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_made_and_left_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        prepare(&path).unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn one_process_holds_it_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        let held = lock(dir.path()).unwrap();
        let found = holder(dir.path()).unwrap().unwrap();
        assert_eq!(found.pid, i32::try_from(std::process::id()).ok());
        assert!(found.since > 0);
        let message = lock(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("another ddingtalk works with"), "{message}");
        drop(held);
        assert_eq!(holder(dir.path()).unwrap(), None);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = prepare(&file.path().join("x")).unwrap_err().to_string();
        assert!(message.starts_with("cannot write to the state directory "), "{message}");
        assert!(message.contains("--state-dir"), "{message}");
    }
}
