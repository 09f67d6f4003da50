//! The statements of an operator's view of messages.

use super::writer::Note;
use super::{Db, Done, Params, Row, SqlStore, params, queries};
use crate::credential::ClientId;
use crate::protocol::ProcessQueryKey;
use crate::store::inbox::{
    Change, InboxReader, InboxStore, Kept, KeptPart, MessageState, PARKED, STOPPED, Step,
};
use crate::store::{InboxId, Pending, Unfinished};

impl<D> InboxStore for SqlStore<D> {
    fn note(&self, step: Step) {
        self.post(Box::new(Note(move |db: &dyn Db| note(db, &step))));
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
                db.later(
                    "UPDATE inbox SET dropped = TRUE WHERE id = :id",
                    params! { ":id": id.0 },
                )?;
                Ok(Change::Made(()))
            }
            Some(state) => Ok(Change::Unfit(state)),
        })
    }
}

fn note(db: &dyn Db, step: &Step) -> Done<()> {
    match step {
        Step::Acked { message, at } => db.later(
            "UPDATE inbox SET acked_at = :at WHERE id = :id",
            params! { ":at": at, ":id": message.0 },
        ),
        Step::Begun { message, at } => db.later(
            "UPDATE inbox SET begun_at = :at WHERE id = :id",
            params! { ":at": at, ":id": message.0 },
        ),
        Step::Sent { part, via, key } => db.later(
            "UPDATE outbox SET via = :via, process_query_key = :key WHERE id = :id",
            params! {
                ":via": via.name(),
                ":key": key.as_ref().map(ProcessQueryKey::as_str),
                ":id": part.0,
            },
        ),
    }
}

/// The state of a message, if there is one of the app.
fn find(db: &dyn Db, client_id: Option<&ClientId>, id: InboxId) -> Done<Option<MessageState>> {
    db.first(
        "SELECT finished_at, failure, dropped, begun_at FROM inbox
         WHERE id = :id AND client_id = coalesce(:client_id, client_id)",
        params! { ":id": id.0, ":client_id": client_id.map(ClientId::as_str) },
        state,
    )
}

fn retry(db: &dyn Db, id: InboxId) -> Done<Change<Box<Unfinished>>> {
    let params = params! { ":id": id.0 };
    let is_left =
        db.exists("SELECT 1 FROM outbox WHERE inbox_id = :id AND sent_at IS NULL", params)?;
    if !is_left {
        db.later("DELETE FROM outbox WHERE inbox_id = :id", params)?;
        db.later(
            "UPDATE inbox SET ended = FALSE, ended_at = NULL, seq = 0 WHERE id = :id",
            params,
        )?;
    }
    db.later(
        "UPDATE inbox SET finished_at = NULL, failure = NULL, dropped = FALSE, begun_at = NULL, cut_off = 0
         WHERE id = :id",
        params,
    )?;
    let again = queries::unfinished(db, "inbox", "id = :id", params)?.into_iter().next();
    // What cannot be read has failed again.
    Ok(again.map_or(Change::Unfit(MessageState::Failed), |left| Change::Made(Box::new(left))))
}

/// Of a row that begins with `finished_at, failure, dropped, begun_at`.
fn state(row: &dyn Row) -> Done<MessageState> {
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

const COLUMNS: &str = "finished_at, failure, dropped, begun_at, id, client_id, msg_id, message_id, \
                       conversation_id, received_at, stored_at, acked_at, ended_at, data";

/// A connection that only reads.
pub(in crate::store) trait Reading {
    /// Does what reads, and nothing else.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&dyn Db) -> Done<T> + Send + 'static,
    ) -> Done<T>;
}

fn rows(db: &dyn Db, clauses: &str, params: Params<'_>) -> Done<Vec<Kept>> {
    db.all(&format!("SELECT {COLUMNS} FROM inbox {clauses}"), params, kept)
}

fn kept(row: &dyn Row) -> Done<Kept> {
    Ok(Kept {
        state: state(row)?,
        finished_at: row.get(0)?,
        reason: row.get(1)?,
        begun_at: row.get(3)?,
        id: InboxId(row.get(4)?),
        client_id: ClientId::new(row.get::<String>(5)?),
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

/// Whether a row is in a state.
fn is_in(state: MessageState) -> String {
    let is_parked = format!("substr(failure, 1, {}) = :parked", PARKED.len());
    match state {
        MessageState::Waiting => "finished_at IS NULL AND begun_at IS NULL".to_owned(),
        MessageState::Working => "finished_at IS NULL AND begun_at IS NOT NULL".to_owned(),
        MessageState::Failed => {
            format!("failure <> :stopped AND NOT dropped AND NOT {is_parked}")
        }
        MessageState::Parked => format!("{is_parked} AND NOT dropped"),
        MessageState::Stopped => "failure = :stopped AND NOT dropped".to_owned(),
        MessageState::Dropped => "dropped".to_owned(),
        MessageState::Done => "finished_at IS NOT NULL AND failure IS NULL".to_owned(),
    }
}

impl<R: Reading + std::fmt::Debug> InboxReader for R {
    fn list(&self, states: &[MessageState], at_most: usize) -> Done<Vec<Kept>> {
        let wanted: Vec<_> = states.iter().map(|state| is_in(*state)).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // Each parameter has to stand somewhere.
        let clauses = format!(
            "WHERE (({})) AND :stopped <> :parked ORDER BY id DESC LIMIT :at_most",
            wanted.join(") OR (")
        );
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let mut found = self.read(move |db| {
            let params = params! { ":at_most": at_most, ":stopped": STOPPED, ":parked": PARKED };
            rows(db, &clauses, params)
        })?;
        found.reverse();
        Ok(found)
    }

    fn by_name(&self, id: &str) -> Done<Vec<Kept>> {
        let id = id.to_owned();
        self.read(move |db| {
            let params = params! { ":id": id };
            let found = rows(db, "WHERE msg_id = :id ORDER BY id", params)?;
            if !found.is_empty() {
                return Ok(found);
            }
            // By the name of its frame few are asked for, and no index helps.
            rows(db, "WHERE message_id = :id ORDER BY id", params)
        })
    }

    fn by_id(&self, id: InboxId) -> Done<Option<Kept>> {
        self.read(move |db| Ok(rows(db, "WHERE id = :id", params! { ":id": id.0 })?.pop()))
    }

    fn parts(&self, id: InboxId) -> Done<Vec<KeptPart>> {
        self.read(move |db| {
            db.all(
                "SELECT message, said_at, sent_at, via, process_query_key FROM outbox
                 WHERE inbox_id = :id ORDER BY id",
                params! { ":id": id.0 },
                |row| {
                    Ok(KeptPart {
                        say: serde_json::from_str(&row.get::<String>(0)?).ok(),
                        said_at: row.get(1)?,
                        sent_at: row.get(2)?,
                        via: row.get(3)?,
                        process_query_key: row.get(4)?,
                    })
                },
            )
        })
    }
}
