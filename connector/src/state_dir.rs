//! The directory that holds what must survive a restart.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// Files cannot be made in it.
    #[error(
        "cannot write to the state directory {}: {source}; make it writable for this user, or name \
         another one with --state-dir",
        .path.display()
    )]
    NotWritable {
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
pub struct StateDirLock(#[expect(dead_code, reason = "its being open is the lock")] File);

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
        let file = options.open(path.join("lock")).map_err(TryLockError::Error)?;
        file.try_lock()?;
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
        let held = lock(dir.path()).unwrap();
        let message = lock(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("another ddingtalk works with"), "{message}");
        drop(held);
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
