//! The statements of an operator's view of messages.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, named_params};

use super::writer::Note;
use super::{SqliteStore, queries, schema};
use crate::credential::ClientId;
use crate::protocol::ProcessQueryKey;
use crate::store::inbox::{
    Change, InboxReader, InboxStore, Kept, KeptPart, MessageState, PARKED, STOPPED, Step,
};
use crate::store::{InboxId, Pending, StoreError, Unfinished};

impl InboxStore for SqliteStore {
    fn note(&self, step: Step) {
        self.post(Box::new(Note(move |db: &Transaction<'_>| note(db, &step))));
    }

    fn retry(&self, client_id: Option<&ClientId>, id: InboxId) -> Pending<Change<Box<Unfinished>>> {
        let client_id = client_id.cloned();
        self.work(move |db| match find(db, client_id.as_ref(), id)? {
            None => Ok(Change::Unknown),
            Some(
                MessageState::Failed
                | MessageState::Parked
                | MessageState::Stopped
                | MessageState::Dropped,
            ) => retry(db, id),
            Some(state) => Ok(Change::Unfit(state)),
        })
    }

    fn end(
        &self,
        client_id: Option<&ClientId>,
        id: InboxId,
        reason: String,
    ) -> Pending<Change<()>> {
        let client_id = client_id.cloned();
        self.work(move |db| match find(db, client_id.as_ref(), id)? {
            None => Ok(Change::Unknown),
            Some(
                MessageState::Waiting
                | MessageState::Working
                | MessageState::Failed
                | MessageState::Parked,
            ) => {
                queries::failed(db, id, &reason)?;
                db.prepare_cached("UPDATE inbox SET dropped = 1 WHERE id = :id")?
                    .execute(named_params! { ":id": id.0 })?;
                Ok(Change::Made(()))
            }
            Some(state) => Ok(Change::Unfit(state)),
        })
    }
}

fn note(db: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    match step {
        Step::Acked { message, at } => db
            .prepare_cached("UPDATE inbox SET acked_at = :at WHERE id = :id")?
            .execute(named_params! { ":at": at, ":id": message.0 })?,
        Step::Begun { message, at } => db
            .prepare_cached("UPDATE inbox SET begun_at = :at WHERE id = :id")?
            .execute(named_params! { ":at": at, ":id": message.0 })?,
        Step::Sent { part, via, key } => db
            .prepare_cached(
                "UPDATE outbox SET via = :via, process_query_key = :key WHERE id = :id",
            )?
            .execute(named_params! {
                ":via": via.name(),
                ":key": key.as_ref().map(ProcessQueryKey::as_str),
                ":id": part.0,
            })?,
    };
    Ok(())
}

/// The state of a message, if there is one of the app.
fn find(
    db: &Transaction<'_>,
    client_id: Option<&ClientId>,
    id: InboxId,
) -> rusqlite::Result<Option<MessageState>> {
    let client_id = client_id.map(ClientId::as_str);
    db.prepare_cached(
        "SELECT finished_at, failure, dropped, begun_at FROM inbox
         WHERE id = :id AND client_id = coalesce(:client_id, client_id)",
    )?
    .query_row(named_params! { ":id": id.0, ":client_id": client_id }, state)
    .optional()
}

fn retry(db: &Transaction<'_>, id: InboxId) -> rusqlite::Result<Change<Box<Unfinished>>> {
    let params = named_params! { ":id": id.0 };
    let is_left: bool = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE inbox_id = :id AND sent_at IS NULL)",
        params,
        |row| row.get(0),
    )?;
    if !is_left {
        db.execute("DELETE FROM outbox WHERE inbox_id = :id", params)?;
        db.execute("UPDATE inbox SET ended = 0, ended_at = NULL, seq = 0 WHERE id = :id", params)?;
    }
    db.execute(
        "UPDATE inbox SET finished_at = NULL, failure = NULL, dropped = 0, begun_at = NULL, cut_off = 0
         WHERE id = :id",
        params,
    )?;
    let again = queries::unfinished(db, "id = :id", params)?.into_iter().next();
    // What cannot be read has failed again.
    Ok(again.map_or(Change::Unfit(MessageState::Failed), |left| Change::Made(Box::new(left))))
}

/// Of a row that begins with `finished_at, failure, dropped, begun_at`.
fn state(row: &Row<'_>) -> rusqlite::Result<MessageState> {
    let (finished_at, failure): (Option<i64>, Option<String>) = (row.get(0)?, row.get(1)?);
    let (dropped, begun_at): (bool, Option<i64>) = (row.get(2)?, row.get(3)?);
    Ok(match (finished_at, failure) {
        (None, _) if begun_at.is_some() => MessageState::Working,
        (None, _) => MessageState::Waiting,
        (Some(_), _) if dropped => MessageState::Dropped,
        (Some(_), Some(reason)) if reason == STOPPED => MessageState::Stopped,
        (Some(_), Some(reason)) if reason.starts_with(PARKED) => MessageState::Parked,
        (Some(_), Some(_)) => MessageState::Failed,
        (Some(_), None) => MessageState::Done,
    })
}

/// Reads the file without writing to it, whoever else has it open.
#[derive(Debug)]
pub struct SqliteReader {
    db: Connection,
    path: PathBuf,
}

const COLUMNS: &str = "finished_at, failure, dropped, begun_at, id, client_id, msg_id, message_id, \
                       conversation_id, received_at, stored_at, acked_at, ended_at, data";

impl SqliteReader {
    /// Opens a file that is there, of this very release.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db =
            Connection::open_with_flags(path, flags).map_err(|e| schema::complain(path, &e))?;
        schema::check(&db, path)?;
        Ok(Self { db, path: path.to_owned() })
    }

    fn rows<P: rusqlite::Params>(&self, clauses: &str, params: P) -> Result<Vec<Kept>, StoreError> {
        let read = || {
            let mut query = self.db.prepare(&format!("SELECT {COLUMNS} FROM inbox {clauses}"))?;
            query.query_map(params, kept)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|e| schema::complain(&self.path, &e))
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        state: state(row)?,
        finished_at: row.get(0)?,
        reason: row.get(1)?,
        begun_at: row.get(3)?,
        id: InboxId(row.get(4)?),
        client_id: ClientId::new(row.get::<_, String>(5)?),
        msg_id: row.get(6)?,
        message_id: row.get(7)?,
        conversation_id: row.get(8)?,
        received_at: row.get(9)?,
        stored_at: row.get(10)?,
        acked_at: row.get(11)?,
        ended_at: row.get(12)?,
        data: row.get(13)?,
    })
}

impl InboxReader for SqliteReader {
    fn list(&self, states: &[MessageState], at_most: usize) -> Result<Vec<Kept>, StoreError> {
        let is_wanted = |state: MessageState| match state {
            MessageState::Waiting => "finished_at IS NULL AND begun_at IS NULL",
            MessageState::Working => "finished_at IS NULL AND begun_at IS NOT NULL",
            MessageState::Failed => {
                "failure <> :stopped AND NOT dropped AND instr(failure, :parked) <> 1"
            }
            MessageState::Parked => "instr(failure, :parked) = 1 AND NOT dropped",
            MessageState::Stopped => "failure = :stopped AND NOT dropped",
            MessageState::Dropped => "dropped",
            MessageState::Done => "finished_at IS NOT NULL AND failure IS NULL",
        };
        let wanted: Vec<_> = states.iter().map(|state| is_wanted(*state)).collect();
        // Of no state there is nothing; and each parameter has to stand somewhere.
        let wanted =
            if wanted.is_empty() { "0".to_owned() } else { format!("({})", wanted.join(") OR (")) };
        let clauses =
            format!("WHERE ({wanted}) AND :stopped <> :parked ORDER BY id DESC LIMIT :at_most");
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let mut rows = self.rows(
            &clauses,
            named_params! { ":at_most": at_most, ":stopped": STOPPED, ":parked": PARKED },
        )?;
        rows.reverse();
        Ok(rows)
    }

    fn by_name(&self, id: &str) -> Result<Vec<Kept>, StoreError> {
        self.rows("WHERE msg_id = :id OR message_id = :id ORDER BY id", named_params! { ":id": id })
    }

    fn by_id(&self, id: InboxId) -> Result<Option<Kept>, StoreError> {
        Ok(self.rows("WHERE id = :id", named_params! { ":id": id.0 })?.pop())
    }

    fn parts(&self, id: InboxId) -> Result<Vec<KeptPart>, StoreError> {
        let read = || {
            let mut query = self.db.prepare(
                "SELECT message, said_at, sent_at, via, process_query_key FROM outbox
                 WHERE inbox_id = :id ORDER BY id",
            )?;
            let part = |row: &Row<'_>| {
                Ok(KeptPart {
                    say: serde_json::from_str(&row.get::<_, String>(0)?).ok(),
                    said_at: row.get(1)?,
                    sent_at: row.get(2)?,
                    via: row.get(3)?,
                    process_query_key: row.get(4)?,
                })
            };
            query
                .query_map(named_params! { ":id": id.0 }, part)?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|e| schema::complain(&self.path, &e))
    }
}
