//! Opening the file, and its schema from version to version.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::super::StoreError;

/// Marks the file as ours (`PRAGMA application_id`): "DDTK".
const APPLICATION_ID: i64 = 0x4444_544B;

/// One step from each version to the next. A released step is never changed.
const MIGRATIONS: &[&str] = &[
    // 1. Rows are appended in order, and no index has random keys; that of the inbox holds only
    // what is unfinished.
    "CREATE TABLE inbox (
         id INTEGER PRIMARY KEY,
         client_id TEXT NOT NULL,
         msg_id TEXT,
         message_id TEXT,
         conversation_id TEXT NOT NULL,
         received_at INTEGER NOT NULL,
         finished_at INTEGER,
         failure TEXT,
         data TEXT NOT NULL
     ) STRICT;
     CREATE INDEX inbox_unfinished ON inbox (id) WHERE finished_at IS NULL;
     CREATE TABLE outbox (
         id INTEGER PRIMARY KEY,
         inbox_id INTEGER NOT NULL,
         message TEXT NOT NULL,
         begun INTEGER NOT NULL,
         sent_at INTEGER
     ) STRICT;
     CREATE INDEX outbox_of_message ON outbox (inbox_id);",
    // 2. An agent may say one thing after the other: what was kept is all it said only when its turn has
    // ended.
    "ALTER TABLE inbox ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
     UPDATE inbox SET ended = 1
     WHERE finished_at IS NULL AND id IN (SELECT inbox_id FROM outbox);",
    // 3. Agents outside of the process count their events, so that repeats are recognised.
    "ALTER TABLE inbox ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;",
    // 4. Long answers are several parts of one thing said, there are more kinds of messages, and what
    // was sent under a key can be found by it. No ack waits for this index.
    "ALTER TABLE outbox ADD COLUMN continues INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE sent_message (
         id INTEGER PRIMARY KEY,
         client_id TEXT NOT NULL,
         process_query_key TEXT NOT NULL,
         conversation_id TEXT NOT NULL,
         text TEXT NOT NULL,
         sent_at INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX sent_message_key ON sent_message (process_query_key);",
    // 5. What an agent without a memory of its own remembers.
    "CREATE TABLE session (
         id INTEGER PRIMARY KEY,
         client_id TEXT NOT NULL,
         name TEXT NOT NULL,
         settings TEXT NOT NULL DEFAULT '{}',
         summary TEXT,
         prompt_tokens INTEGER NOT NULL DEFAULT 0,
         completion_tokens INTEGER NOT NULL DEFAULT 0,
         UNIQUE (client_id, name)
     ) STRICT;
     CREATE TABLE exchange (
         session_id INTEGER NOT NULL,
         inbox_id INTEGER NOT NULL,
         question TEXT NOT NULL,
         answer TEXT NOT NULL,
         PRIMARY KEY (session_id, inbox_id)
     ) STRICT, WITHOUT ROWID;",
    // 6. Cards that were begun. `part` is the part of the outbox that is their last words.
    "CREATE TABLE cards (
         id INTEGER PRIMARY KEY,
         client_id TEXT NOT NULL,
         inbox_id INTEGER NOT NULL,
         out_track_id TEXT NOT NULL,
         key TEXT NOT NULL,
         conversation_id TEXT NOT NULL,
         in_group INTEGER NOT NULL,
         part INTEGER,
         abandoned INTEGER NOT NULL DEFAULT 0,
         opened_at INTEGER NOT NULL,
         closed_at INTEGER
     ) STRICT;
     CREATE INDEX cards_open ON cards (id) WHERE closed_at IS NULL;",
    // 7. Who may talk to the robot, and who asked to.
    "CREATE TABLE pairing (
         code TEXT PRIMARY KEY,
         client_id TEXT NOT NULL,
         sender TEXT NOT NULL,
         nick TEXT,
         asked_at INTEGER NOT NULL,
         told_at INTEGER NOT NULL,
         denied INTEGER NOT NULL,
         UNIQUE (client_id, sender)
     ) STRICT;
     CREATE TABLE paired (
         client_id TEXT NOT NULL,
         sender TEXT NOT NULL,
         nick TEXT,
         approved_at INTEGER NOT NULL,
         PRIMARY KEY (client_id, sender)
     ) STRICT;",
    // 8. Calls of a month, and keys of pushes.
    "CREATE TABLE calls (
         client_id TEXT NOT NULL,
         month INTEGER NOT NULL,
         calls INTEGER NOT NULL,
         PRIMARY KEY (client_id, month)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE push (
         client_id TEXT NOT NULL,
         key TEXT NOT NULL,
         digest TEXT NOT NULL,
         outcomes TEXT,
         begun_at INTEGER NOT NULL,
         PRIMARY KEY (client_id, key)
     ) STRICT;
     CREATE INDEX push_age ON push (begun_at);",
    // 9. Sessions end when nothing is added to them for long, and what was never said is not remembered.
    "ALTER TABLE session ADD COLUMN touched_at INTEGER NOT NULL DEFAULT 0;
     UPDATE session SET touched_at = unixepoch() * 1000;
     CREATE INDEX exchange_of_message ON exchange (inbox_id);",
    // 10. Who is to be told of a pairing. Of the earlier ones nobody is.
    "ALTER TABLE paired ADD COLUMN told INTEGER NOT NULL DEFAULT 1;",
    // 11. Whom the robot has met.
    "CREATE TABLE peer (
         client_id TEXT NOT NULL,
         is_group INTEGER NOT NULL,
         id TEXT NOT NULL,
         name TEXT,
         PRIMARY KEY (client_id, is_group, id)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX peer_any_case ON peer (client_id, is_group, id COLLATE NOCASE);",
    // 12. A recall has to know whether a message went to a group. What is older is soon too old for it.
    "ALTER TABLE sent_message ADD COLUMN in_group INTEGER NOT NULL DEFAULT 0;
     UPDATE sent_message SET in_group = 1 WHERE EXISTS (
         SELECT 1 FROM peer WHERE peer.client_id = sent_message.client_id
         AND peer.is_group AND peer.id = sent_message.conversation_id);",
    // 13. When each step of a message was, which way its answer went, and whether an operator ended it.
    "ALTER TABLE inbox ADD COLUMN stored_at INTEGER;
     ALTER TABLE inbox ADD COLUMN acked_at INTEGER;
     ALTER TABLE inbox ADD COLUMN begun_at INTEGER;
     ALTER TABLE inbox ADD COLUMN ended_at INTEGER;
     ALTER TABLE inbox ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE outbox ADD COLUMN said_at INTEGER;
     ALTER TABLE outbox ADD COLUMN via TEXT;
     ALTER TABLE outbox ADD COLUMN process_query_key TEXT;",
    // 14. What is to be done at given times, and what was done. Keys of pushes are made of these ids, which
    // must not come twice.
    "CREATE TABLE schedule (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         client_id TEXT NOT NULL,
         name TEXT,
         timing TEXT NOT NULL,
         target TEXT NOT NULL,
         task TEXT NOT NULL,
         missed TEXT NOT NULL,
         enabled INTEGER NOT NULL,
         created_at INTEGER NOT NULL,
         next_at INTEGER
     ) STRICT;
     CREATE TABLE schedule_run (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         schedule_id INTEGER NOT NULL,
         due_at INTEGER NOT NULL,
         begun_at INTEGER NOT NULL,
         ended_at INTEGER,
         state TEXT NOT NULL,
         detail TEXT,
         says TEXT
     ) STRICT;
     CREATE INDEX schedule_run_of ON schedule_run (schedule_id, id);
     CREATE INDEX schedule_run_open ON schedule_run (id) WHERE ended_at IS NULL;",
    // 15. Until when each robot heard, and how often a message's turn was cut off by the end of its process.
    "CREATE TABLE heard (
         client_id TEXT NOT NULL PRIMARY KEY,
         until INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     ALTER TABLE inbox ADD COLUMN cut_off INTEGER NOT NULL DEFAULT 0;",
];

/// Statements that are kept prepared: all of them.
const PREPARED: usize = 128;

/// Opens or makes the file.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    make_private(path).map_err(|e| StoreError::Open {
        place: path.display().to_string(),
        reason: e.to_string(),
        fix: "make it readable and writable for this user, or name another directory with --state-dir",
    })?;
    let mut connection = Connection::open(path).map_err(|e| complain(path, &e))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let found = look(&connection).map_err(|e| complain(path, &e))?;
    if found > known() {
        return Err(newer(path, found));
    }
    migrate(&mut connection, found).map_err(|e| complain(path, &e))?;
    Ok(connection)
}

/// The newest version that is known.
fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Whether a file can be read as it is.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = look(connection).map_err(|e| complain(path, &e))?;
    let known = known();
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Less => {
            Err(StoreError::Older { place: path.display().to_string(), found, known })
        }
        Ordering::Greater => Err(newer(path, found)),
    }
}

fn newer(path: &Path, found: i64) -> StoreError {
    StoreError::Newer {
        place: path.display().to_string(),
        found,
        known: known(),
        instead: "name another directory with --state-dir",
    }
}

/// SQLite gives its side files the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Looks at the file without changing it; returns its version.
fn look(connection: &Connection) -> rusqlite::Result<i64> {
    // A tool that reads may hold the file for a moment.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let application_id: i64 = connection.query_row("PRAGMA application_id", (), |r| r.get(0))?;
    let version = connection.query_row("PRAGMA user_version", (), |r| r.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |r| r.get(0))?;
    if application_id != APPLICATION_ID && tables > 0 {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error { code: ErrorCode::NotADatabase, extended_code: 0 },
            Some("it belongs to another program".to_owned()),
        ));
    }
    Ok(version)
}

/// The first writes to the file: how it is written, and its tables.
pub(super) fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    // It holds for a file that is made now; an older one keeps its free pages for what comes.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // An acked message must survive a power cut, too.
    connection.pragma_update(None, "synchronous", "full")?;
    let done = usize::try_from(found).unwrap_or(0);
    for (step, version) in MIGRATIONS.iter().zip(1_i64..).skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

pub(super) fn complain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let fix = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "it is left untouched: move it away to start empty, or restore a copy; unanswered \
             messages are in it"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process holds it: end that one, or name another directory with --state-dir"
        }
        Some(ErrorCode::DiskFull) => "make room on its disk",
        _ => {
            "make it readable and writable for this user, or name another directory with --state-dir"
        }
    };
    StoreError::Open { place: path.display().to_string(), reason: error.to_string(), fix }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unix_time::now_ms;

    #[test]
    fn sessions_of_an_older_release_do_not_end_at_once() {
        let dated = MIGRATIONS.iter().position(|step| step.contains("touched_at")).unwrap();
        let mut db = Connection::open_in_memory().unwrap();
        MIGRATIONS[..dated].iter().for_each(|step| db.execute_batch(step).unwrap());
        db.execute_batch("INSERT INTO session (client_id, name) VALUES ('app', 's')").unwrap();
        migrate(&mut db, i64::try_from(dated).unwrap()).unwrap();
        let touched: i64 =
            db.query_row("SELECT touched_at FROM session", (), |row| row.get(0)).unwrap();
        assert!((now_ms() - touched).abs() < 60_000, "{touched}");
    }
}
