//! The statements, one function each.

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};

use super::super::{InboxId, NewMessage, OutboxId, Recovered, Seen, Unfinished, UnsentPart};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::protocol::{MessageId, MsgId};

/// Finished messages are kept so long, for the operator and to recognise late repeats.
const KEEP_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Rows removed at a time, so that acks never wait for a long clean-up.
const PRUNE_ROWS: i64 = 2_000;

/// Milliseconds since 1970 UTC.
pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn take_in(db: &Transaction<'_>, message: &NewMessage) -> rusqlite::Result<InboxId> {
    db.prepare_cached(
        "INSERT INTO inbox (client_id, msg_id, message_id, conversation_id, received_at, data)
         VALUES (:client_id, :msg_id, :message_id, :conversation_id, :received_at, :data)",
    )?
    .execute(named_params! {
        ":client_id": message.client_id.as_str(),
        ":msg_id": message.msg_id.as_ref().map(MsgId::as_str),
        ":message_id": message.message_id.as_ref().map(MessageId::as_str),
        ":conversation_id": message.conversation_id.as_str(),
        ":received_at": message.received_at,
        ":data": message.data,
    })?;
    Ok(InboxId(db.last_insert_rowid()))
}

pub(super) fn answered(
    db: &Transaction<'_>,
    message: InboxId,
    parts: &[Say],
) -> rusqlite::Result<Vec<OutboxId>> {
    if parts.is_empty() {
        finish(db, message, None)?;
        return Ok(Vec::new());
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO outbox (inbox_id, message, begun) VALUES (:inbox_id, :message, :begun)",
    )?;
    let mut ids = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let text = serde_json::to_string(part)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        let begun = index == 0;
        insert
            .execute(named_params! { ":inbox_id": message.0, ":message": text, ":begun": begun })?;
        ids.push(OutboxId(db.last_insert_rowid()));
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
        (None, Some(inbox_id)) => finish(db, InboxId(inbox_id), None),
        (None, None) => Ok(()),
    }
}

pub(super) fn failed(db: &Transaction<'_>, message: InboxId, reason: &str) -> rusqlite::Result<()> {
    finish(db, message, Some(reason))
}

fn finish(db: &Transaction<'_>, message: InboxId, failure: Option<&str>) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE inbox SET finished_at = :now, failure = :failure WHERE id = :id")?
        .execute(named_params! { ":now": now_ms(), ":failure": failure, ":id": message.0 })?;
    Ok(())
}

pub(super) fn recover(
    db: &Transaction<'_>,
    client_id: &ClientId,
    seen_since: i64,
) -> rusqlite::Result<Recovered> {
    let mut recovered = Recovered::default();
    let mut unfinished = db.prepare(
        "SELECT id, data FROM inbox WHERE finished_at IS NULL AND client_id = :client_id ORDER BY id",
    )?;
    let mut parts = db.prepare(
        "SELECT id, message, begun FROM outbox
         WHERE inbox_id = :inbox_id AND sent_at IS NULL ORDER BY id",
    )?;
    let mut rows = unfinished.query(named_params! { ":client_id": client_id.as_str() })?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let parts = parts
            .query_map(named_params! { ":inbox_id": id }, |row| {
                let text: String = row.get(1)?;
                let message = serde_json::from_str(&text).map_err(|e| {
                    let kind = rusqlite::types::Type::Text;
                    rusqlite::Error::FromSqlConversionFailure(1, kind, Box::new(e))
                })?;
                Ok(UnsentPart { id: OutboxId(row.get(0)?), message, begun: row.get(2)? })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        recovered.unfinished.push(Unfinished { id: InboxId(id), data: row.get(1)?, parts });
    }
    // Rows stand in the order they came: reading back from the newest is cheaper than an index that
    // every ack would have to keep.
    let mut seen = db.prepare(
        "SELECT msg_id, message_id, received_at FROM inbox
         WHERE client_id = :client_id ORDER BY id DESC",
    )?;
    let mut rows = seen.query(named_params! { ":client_id": client_id.as_str() })?;
    while let Some(row) = rows.next()? {
        let at = row.get(2)?;
        if at < seen_since {
            break;
        }
        recovered.seen.push(Seen {
            msg_id: row.get::<_, Option<String>>(0)?.map(MsgId::new),
            message_id: row.get::<_, Option<String>>(1)?.map(MessageId::new),
            at,
        });
    }
    recovered.seen.reverse();
    Ok(recovered)
}

/// Removes some of the messages that were finished and came long ago, oldest first.
pub(super) fn prune(connection: &mut Connection, now: i64) -> rusqlite::Result<()> {
    let before = now.saturating_sub(KEEP_MS);
    let db = connection.transaction()?;
    let young: Option<i64> = db
        .query_row(
            "SELECT id FROM inbox WHERE received_at >= :before ORDER BY id LIMIT 1",
            named_params! { ":before": before },
            |row| row.get(0),
        )
        .optional()?;
    for statement in [
        "DELETE FROM outbox WHERE inbox_id IN (
             SELECT id FROM inbox WHERE finished_at IS NOT NULL AND id < :young
             ORDER BY id LIMIT :rows)",
        "DELETE FROM inbox WHERE id IN (
             SELECT id FROM inbox WHERE finished_at IS NOT NULL AND id < :young
             ORDER BY id LIMIT :rows)",
    ] {
        let young = young.unwrap_or(i64::MAX);
        db.execute(statement, named_params! { ":young": young, ":rows": PRUNE_ROWS })?;
    }
    db.commit()
}
