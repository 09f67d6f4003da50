//! The store in one SQLite file of the state directory, which one process has for itself.

pub(in crate::store) mod engine;
mod reader;
mod schema;

use std::path::{Path, PathBuf};

pub use self::reader::SqliteReader;
use super::StoreError;
use super::sql::{Dialect, SqlStore};

/// An open file. Dropping it waits until everything queued is durable.
pub type SqliteStore = SqlStore<Sqlite>;

/// Marks a store as one in an SQLite file.
#[derive(Debug)]
pub struct Sqlite(());

impl Dialect for Sqlite {}

/// Name of the file in the state directory.
pub const FILE: &str = "ddingtalk.sqlite3";

/// Bytes that the database takes on disk, its log included.
pub fn size(file: &Path) -> u64 {
    [file, &log(file)].iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// The write-ahead log of a file; it is there while somebody works with it, and after a crash.
fn log(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

impl SqlStore<Sqlite> {
    /// Opens the file, or makes it, readable by its owner only, and brings its schema up to date.
    ///
    /// A file that is damaged or of a newer release is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Self::start(Sqlite(()), move || schema::open(&path).map(engine::File))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;
    use crate::agent::Say;
    use crate::credential::ClientId;
    use crate::store::Said;
    use crate::store::Store;
    use crate::store::contract;
    use crate::store::inbox::{InboxReader, InboxStore, Step};
    use crate::store::pairing::PairingReader;

    #[tokio::test]
    async fn the_contract_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        contract::holds(|| SqliteStore::open(&path), || SqliteReader::open(&path), false).await;
    }

    #[tokio::test]
    async fn calls_and_keys_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        contract::calls_and_keys_are_kept(|| SqliteStore::open(&dir.path().join(FILE))).await;
    }

    #[tokio::test]
    async fn schedules_and_their_runs_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        contract::schedules_and_their_runs_are_kept(|| SqliteStore::open(&path)).await;
    }

    #[tokio::test]
    async fn messages_are_followed_retried_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let (open, read) = (|| SqliteStore::open(&path), || SqliteReader::open(&path));
        contract::messages_are_followed_retried_and_ended(open, read).await;
    }

    #[tokio::test]
    async fn what_can_wait_is_written_when_it_is_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let store = SqliteStore::open(&path).unwrap();
        let message = store.take_in(contract::message("app", 1)).await.unwrap().id;
        let reader = SqliteReader::open(&path).unwrap();
        store.note(Step::Acked { message, at: 7 });
        let acked = || reader.by_id(message).unwrap().unwrap().acked_at;
        assert_eq!(acked(), None, "nothing else was written");
        let quiet = std::time::Instant::now();
        while acked().is_none() {
            assert!(quiet.elapsed() < std::time::Duration::from_secs(20), "it is never written");
            std::thread::yield_now();
        }
        assert_eq!(acked(), Some(7));
    }

    #[tokio::test]
    async fn a_reader_says_what_it_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let message = SqliteReader::open(&path).unwrap_err().to_string();
        assert!(message.contains("cannot open the database"), "{message}");
        assert!(!path.exists());
        drop(SqliteStore::open(&path).unwrap());
        let db = rusqlite::Connection::open(&path).unwrap();
        for (version, part) in [(3, "start its gateway once"), (99, "use the newer release")] {
            db.pragma_update(None, "user_version", version).unwrap();
            let message = SqliteReader::open(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    /// What stands in a directory, byte for byte.
    fn files(dir: &Path) -> BTreeMap<OsString, Vec<u8>> {
        let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
    }

    #[tokio::test]
    async fn a_reader_makes_and_changes_nothing_and_sees_what_is_written_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        // Everything that an address of a file has to escape.
        let path = dir.path().join("a b?c#d%20\u{9489}.sqlite3");
        let store = SqliteStore::open(&path).unwrap();
        let first = store.take_in(contract::message("app", 1)).await.unwrap().id;
        drop(store);
        let before = files(dir.path());
        assert_eq!(before.len(), 1, "{:?}", before.keys());
        let reader = SqliteReader::open(&path).unwrap();
        assert!(reader.by_id(first).unwrap().is_some());
        assert!(reader.pairing_requests(0).unwrap().is_empty());
        assert!(files(dir.path()) == before);
        // It holds up nobody, and sees what whoever comes then writes.
        let store = SqliteStore::open(&path).unwrap();
        let second = store.take_in(contract::message("app", 2)).await.unwrap().id;
        assert!(reader.by_id(second).unwrap().is_some());
        let third = store.take_in(contract::message("app", 3)).await.unwrap().id;
        assert!(reader.by_id(third).unwrap().is_some());
    }

    #[tokio::test]
    async fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join(FILE)).unwrap();
        store.recover(&ClientId::new("app"), 0, 9).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).collect();
        assert!(files.len() > 1, "the write-ahead log is beside it");
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_does_not_stop_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let app = ClientId::new("app");
        let store = SqliteStore::open(&path).unwrap();
        for n in 1..=2 {
            let id = store.take_in(contract::message("app", n)).await.unwrap().id;
            let parts = vec![Say::text("a").into(), Say::text("b").into()];
            store.said(id, Said { parts, seq: None, begun: true, ended: true }).await.unwrap();
        }
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute("UPDATE outbox SET message = '{\"odd\":1}' WHERE id = 2", ()).unwrap();
        let unfinished = store.recover(&app, 0, 9).await.unwrap().unfinished;
        assert_eq!(unfinished.len(), 1);
        assert_eq!(unfinished[0].data, r#"{"n":2}"#);
        let reason: String =
            db.query_row("SELECT failure FROM inbox WHERE id = 1", (), |row| row.get(0)).unwrap();
        assert!(reason.contains("cannot be read"), "{reason}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let newer = dir.path().join("newer");
        let db = rusqlite::Connection::open(&newer).unwrap();
        db.pragma_update(None, "application_id", 0x4444_544B).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let foreign = dir.path().join("foreign");
        let db = rusqlite::Connection::open(&foreign).unwrap();
        db.execute_batch("CREATE TABLE mine (a)").unwrap();
        drop(db);
        let damaged = dir.path().join("damaged");
        std::fs::write(&damaged, "this is no database. ".repeat(500)).unwrap();
        let missing = dir.path().join("a/b");
        for (path, part) in [
            (&newer, "has schema version 99, and this release knows "),
            (&foreign, "it belongs to another program"),
            (&damaged, "it is left untouched"),
            (&missing, "name another directory with --state-dir"),
        ] {
            let before = std::fs::read(path).ok();
            let message = SqliteStore::open(path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(std::fs::read(path).ok() == before, "{} was changed", path.display());
        }
    }
}
