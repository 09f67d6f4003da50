//! The statements, one function each.

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};
use tracing::error;

use super::super::{
    InboxId, NewMessage, Newest, OutboxId, Recovered, SUSPECT, Said, Seen, Unfinished, UnsentPart,
};
use super::{sent_messages, sessions};
use crate::credential::ClientId;
use crate::protocol::{MessageId, MsgId};
use crate::unix_time::now_ms;

/// Finished messages are kept so long, for the operator and to recognise late repeats.
const KEEP_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Pages given back to the file system at a time.
const FREED_PAGES: u32 = 2_000;
/// Rows removed at a time, so that acks never wait for a long clean-up.
const PRUNE_ROWS: i64 = 2_000;

pub(super) fn take_in(db: &Transaction<'_>, message: &NewMessage) -> rusqlite::Result<InboxId> {
    db.prepare_cached(
        "INSERT INTO inbox
             (client_id, msg_id, message_id, conversation_id, received_at, stored_at, data)
         VALUES
             (:client_id, :msg_id, :message_id, :conversation_id, :received_at, :now, :data)",
    )?
    .execute(named_params! {
        ":client_id": message.client_id.as_str(),
        ":msg_id": message.msg_id.as_ref().map(MsgId::as_str),
        ":message_id": message.message_id.as_ref().map(MessageId::as_str),
        ":conversation_id": message.conversation_id.as_str(),
        ":received_at": message.received_at,
        ":now": now_ms(),
        ":data": message.data,
    })?;
    Ok(InboxId(db.last_insert_rowid()))
}

/// Writes the schema's version once more, which changes a page of the file and nothing else.
pub(super) fn probe(db: &Transaction<'_>) -> rusqlite::Result<()> {
    let version: i64 = db.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    db.pragma_update(None, "user_version", version)
}

pub(super) fn said(
    db: &Transaction<'_>,
    message: InboxId,
    said: &Said,
) -> rusqlite::Result<Vec<OutboxId>> {
    let mut insert = db.prepare_cached(
        "INSERT INTO outbox (inbox_id, message, begun, continues, said_at)
         VALUES (:inbox_id, :message, :begun, :continues, :now)",
    )?;
    let mut ids = Vec::with_capacity(said.parts.len());
    for (index, part) in said.parts.iter().enumerate() {
        let text = serde_json::to_string(&part.say)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        let begun = said.begun && index == 0;
        insert.execute(named_params! {
            ":inbox_id": message.0,
            ":message": text,
            ":begun": begun,
            ":continues": part.continues,
            ":now": now_ms(),
        })?;
        ids.push(OutboxId(db.last_insert_rowid()));
    }
    if let Some(seq) = said.seq {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        db.prepare_cached("UPDATE inbox SET seq = :seq WHERE id = :id")?
            .execute(named_params! { ":seq": seq, ":id": message.0 })?;
    }
    if said.ended {
        db.prepare_cached("UPDATE inbox SET ended = 1, ended_at = :now WHERE id = :id")?
            .execute(named_params! { ":now": now_ms(), ":id": message.0 })?;
        finish_if_done(db, message)?;
    }
    Ok(ids)
}

pub(super) fn begin(db: &Transaction<'_>, part: OutboxId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE outbox SET begun = 1 WHERE id = :id")?
        .execute(named_params! { ":id": part.0 })?;
    Ok(())
}

pub(super) fn sent(
    db: &Transaction<'_>,
    part: OutboxId,
    next: Option<OutboxId>,
) -> rusqlite::Result<()> {
    let inbox_id: Option<i64> = db
        .prepare_cached("UPDATE outbox SET sent_at = :now WHERE id = :id RETURNING inbox_id")?
        .query_row(named_params! { ":now": now_ms(), ":id": part.0 }, |row| row.get(0))
        .optional()?;
    match (next, inbox_id) {
        (Some(next), _) => begin(db, next),
        (None, Some(inbox_id)) => finish_if_done(db, InboxId(inbox_id)),
        (None, None) => Ok(()),
    }
}

pub(super) fn failed(db: &Transaction<'_>, message: InboxId, reason: &str) -> rusqlite::Result<()> {
    sessions::unsaid(db, message.0)?;
    finish(db, message, reason)
}

/// Finishes a message whose turn has ended and whose parts have all arrived.
fn finish_if_done(db: &Transaction<'_>, message: InboxId) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE inbox SET finished_at = :now, failure = NULL
         WHERE id = :id AND ended AND NOT dropped
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE inbox_id = :id AND sent_at IS NULL)",
    )?
    .execute(named_params! { ":now": now_ms(), ":id": message.0 })?;
    Ok(())
}

fn finish(db: &Transaction<'_>, message: InboxId, failure: &str) -> rusqlite::Result<()> {
    // The reason of whoever ended it stays.
    db.prepare_cached(
        "UPDATE inbox SET finished_at = :now, failure = :failure WHERE id = :id AND NOT dropped",
    )?
    .execute(named_params! { ":now": now_ms(), ":failure": failure, ":id": message.0 })?;
    Ok(())
}

pub(super) fn recover(
    db: &Transaction<'_>,
    client_id: &ClientId,
    seen_since: i64,
    seen_at_most: i64,
) -> rusqlite::Result<Recovered> {
    count_cut_off(db, client_id)?;
    let params = named_params! { ":client_id": client_id.as_str() };
    // What an earlier process had begun waits to be begun again.
    db.execute(
        "UPDATE inbox SET begun_at = NULL WHERE finished_at IS NULL AND client_id = :client_id",
        params,
    )?;
    Ok(Recovered {
        unfinished: unfinished(db, "client_id = :client_id", params)?,
        seen: seen(db, client_id, seen_since, seen_at_most)?,
    })
}

/// Counts the turns that the last process was in the midst of: those at the head of their conversation. Of
/// one that is suspected already the runtime keeps the count, since it runs alone.
pub(super) fn count_cut_off(db: &Transaction<'_>, client_id: &ClientId) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE inbox SET cut_off = cut_off + 1
         WHERE cut_off < :suspect AND NOT ended AND id IN (
             SELECT min(id) FROM inbox
             WHERE finished_at IS NULL AND client_id = :client_id GROUP BY conversation_id)",
        named_params! { ":suspect": SUSPECT, ":client_id": client_id.as_str() },
    )?;
    Ok(())
}

pub(super) fn keep_cut_off(
    db: &Transaction<'_>,
    message: InboxId,
    times: u32,
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE inbox SET cut_off = :times WHERE id = :id")?
        .execute(named_params! { ":times": times, ":id": message.0 })?;
    Ok(())
}

pub(super) fn end_in_order(db: &Transaction<'_>, client_id: &ClientId) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE inbox SET cut_off = 0 WHERE finished_at IS NULL AND client_id = :client_id",
        named_params! { ":client_id": client_id.as_str() },
    )?;
    Ok(())
}

/// Unfinished messages for which a condition holds.
pub(super) fn unfinished<P: rusqlite::Params>(
    db: &Transaction<'_>,
    condition: &str,
    params: P,
) -> rusqlite::Result<Vec<Unfinished>> {
    let mut messages = db.prepare(&format!(
        "SELECT id, data, received_at, ended,
             (SELECT count(*) FROM outbox WHERE inbox_id = inbox.id AND NOT continues), seq,
             cut_off
         FROM inbox
         WHERE finished_at IS NULL AND {condition} ORDER BY id",
    ))?;
    let mut parts = db.prepare(
        "SELECT id, message, begun FROM outbox
         WHERE inbox_id = :inbox_id AND sent_at IS NULL ORDER BY id",
    )?;
    let (mut unfinished, mut unreadable) = (Vec::new(), Vec::new());
    let mut rows = messages.query(params)?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let parts = parts
            .query_map(named_params! { ":inbox_id": id }, |row| {
                let text: String = row.get(1)?;
                let (id, begun) = (OutboxId(row.get(0)?), row.get(2)?);
                Ok(serde_json::from_str(&text).map(|message| UnsentPart { id, message, begun }))
            })?
            .collect::<rusqlite::Result<Result<Vec<_>, _>>>()?;
        let id = InboxId(id);
        match parts {
            Ok(parts) => {
                let (data, received_at) = (row.get(1)?, row.get(2)?);
                let (ended, said): (_, i64) = (row.get(3)?, row.get(4)?);
                let said = u64::try_from(said).unwrap_or(0);
                let seq = u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0);
                let cut_off = row.get(6)?;
                unfinished.push(Unfinished {
                    id,
                    received_at,
                    data,
                    parts,
                    said,
                    seq,
                    ended,
                    cut_off,
                });
            }
            Err(e) => unreadable.push((id, format!("its kept answer cannot be read: {e}"))),
        }
    }
    for (id, reason) in unreadable {
        error!("a message gets no answer: {reason}");
        failed(db, id, &reason)?;
    }
    Ok(unfinished)
}

/// Rows stand in the order they came.
pub(super) fn newest(
    db: &Transaction<'_>,
    client_id: &ClientId,
) -> rusqlite::Result<Option<Newest>> {
    db.query_row(
        "SELECT received_at, data FROM inbox WHERE client_id = :client_id ORDER BY id DESC LIMIT 1",
        named_params! { ":client_id": client_id.as_str() },
        |row| Ok(Newest { received_at: row.get(0)?, data: row.get(1)? }),
    )
    .optional()
}

/// The newest ids, oldest first.
fn seen(
    db: &Transaction<'_>,
    client_id: &ClientId,
    since: i64,
    at_most: i64,
) -> rusqlite::Result<Vec<Seen>> {
    // Rows stand in the order they came: reading back from the newest is cheaper than an index that
    // every ack would have to keep.
    let mut query = db.prepare(
        "SELECT msg_id, message_id, received_at FROM inbox
         WHERE client_id = :client_id ORDER BY id DESC LIMIT :at_most",
    )?;
    let params = named_params! { ":client_id": client_id.as_str(), ":at_most": at_most };
    let mut rows = query.query(params)?;
    let mut seen = Vec::new();
    while let Some(row) = rows.next()? {
        let at = row.get(2)?;
        if at < since {
            break;
        }
        seen.push(Seen {
            msg_id: row.get::<_, Option<String>>(0)?.map(MsgId::new),
            message_id: row.get::<_, Option<String>>(1)?.map(MessageId::new),
            at,
        });
    }
    seen.reverse();
    Ok(seen)
}

/// Removes some of the messages that were finished and came long ago, and of what was sent then, oldest
/// first. Returns whether there may be more. The newest message stays, however old: its id is what the next
/// one counts on from, and sessions and attached agents know turns by these ids.
pub(super) fn prune(connection: &mut Connection, now: i64) -> rusqlite::Result<bool> {
    let before = now.saturating_sub(KEEP_MS);
    let db = connection.transaction()?;
    // The newest stays whatever its age: without it, ids that sessions still name would be given again.
    let young: Option<i64> = db.query_row(
        "SELECT coalesce(
             (SELECT id FROM inbox WHERE received_at >= :before ORDER BY id LIMIT 1),
             (SELECT max(id) FROM inbox))",
        named_params! { ":before": before },
        |row| row.get(0),
    )?;
    let ended = sessions::prune(&db, now, PRUNE_ROWS)?;
    let forgotten = sent_messages::prune(&db, before, PRUNE_ROWS)?;
    db.execute(
        "DELETE FROM cards WHERE id IN (
             SELECT id FROM cards WHERE closed_at IS NOT NULL AND opened_at < :before
             ORDER BY id LIMIT :rows)",
        named_params! { ":before": before, ":rows": PRUNE_ROWS },
    )?;
    let mut removed = 0;
    for statement in [
        "DELETE FROM outbox WHERE inbox_id IN (
             SELECT id FROM inbox WHERE finished_at IS NOT NULL AND id < :young
             ORDER BY id LIMIT :rows)",
        "DELETE FROM inbox WHERE id IN (
             SELECT id FROM inbox WHERE finished_at IS NOT NULL AND id < :young
             ORDER BY id LIMIT :rows)",
    ] {
        let params = named_params! { ":young": young, ":rows": PRUNE_ROWS };
        removed = db.execute(statement, params)?;
    }
    db.commit()?;
    // What was removed leaves free pages; some of them are given back each time.
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({FREED_PAGES})"))?;
    Ok(i64::try_from(removed.max(forgotten).max(ended))
        .is_ok_and(|messages| messages >= PRUNE_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_rows_go_some_at_a_time_and_it_says_whether_there_are_more() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db, 0).unwrap();
        let now = 2 * KEEP_MS;
        let insert = |received_at: i64, finished_at: Option<i64>, count: i64| {
            for _ in 0..count {
                db.execute(
                    "INSERT INTO inbox (client_id, conversation_id, received_at, finished_at, data)
                     VALUES ('app', 'cid', ?1, ?2, '')",
                    (received_at, finished_at),
                )
                .unwrap();
            }
        };
        insert(1, None, 1);
        insert(2, Some(2), PRUNE_ROWS + 1);
        insert(now, Some(now), 1);
        assert!(prune(&mut db, now).unwrap());
        assert!(!prune(&mut db, now).unwrap());
        let left: i64 = db.query_row("SELECT count(*) FROM inbox", (), |row| row.get(0)).unwrap();
        assert_eq!(left, 2, "the unfinished one and the young one");
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db, 0).unwrap();
        let insert = |db: &Connection| -> i64 {
            db.query_row(
                "INSERT INTO inbox (client_id, conversation_id, received_at, finished_at, data)
                 VALUES ('app', 'cid', 1, 1, '') RETURNING id",
                (),
                |row| row.get(0),
            )
            .unwrap()
        };
        insert(&db);
        let last = insert(&db);
        // Nobody wrote for long, and the program was started again.
        assert!(!prune(&mut db, 10 * KEEP_MS).unwrap());
        let left: i64 = db.query_row("SELECT count(*) FROM inbox", (), |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
        let next = insert(&db);
        assert!(next > last, "{next}");
    }

    #[test]
    fn a_session_ends_when_nothing_is_added_to_it_for_long() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db, 0).unwrap();
        let now = 2 * sessions::KEEP_MS;
        db.execute_batch(&format!(
            "INSERT INTO session (id, client_id, name, touched_at)
             VALUES (1, 'app', 'old', {}), (2, 'app', 'young', {});
             INSERT INTO exchange VALUES (1, 1, 'q', 'a'), (2, 2, 'q', 'a');",
            now - sessions::KEEP_MS - 1,
            now - sessions::KEEP_MS,
        ))
        .unwrap();
        prune(&mut db, now).unwrap();
        for table in [
            "SELECT group_concat(id) FROM session",
            "SELECT group_concat(session_id) FROM exchange",
        ] {
            let left: String = db.query_row(table, (), |row| row.get(0)).unwrap();
            assert_eq!(left, "2", "{table}");
        }
    }
}
