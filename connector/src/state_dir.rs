//! The directory that holds what must survive a restart.

use std::io;
use std::path::{Path, PathBuf};

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write to the state directory {}: {source}; make it writable for this user, or name \
     another one with --state-dir",
    .path.display()
)]
pub struct StateDirError {
    path: PathBuf,
    source: io::Error,
}

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
    attempt().map_err(|source| StateDirError { path: path.to_owned(), source })
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
    fn a_file_in_its_place_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = prepare(&file.path().join("x")).unwrap_err().to_string();
        assert!(message.starts_with("cannot write to the state directory "), "{message}");
        assert!(message.contains("--state-dir"), "{message}");
    }
}
