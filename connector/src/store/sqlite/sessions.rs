//! The statements for sessions, one function each.

use rusqlite::types::Type;
use rusqlite::{Error, OptionalExtension, Row, Transaction, named_params};

use super::super::sessions::{Exchange, HistoryLimits, Session, SessionKey, Tokens};
use crate::agent::SessionSettings;
use crate::unix_time::now_ms;

pub(super) fn session(db: &Transaction<'_>, key: &SessionKey) -> rusqlite::Result<Session> {
    let found = db
        .prepare_cached(
            "SELECT id, settings, summary, prompt_tokens, completion_tokens FROM session
             WHERE client_id = :client_id AND name = :name",
        )?
        .query_row(
            named_params! { ":client_id": key.client_id.as_str(), ":name": key.name },
            |row| Ok((row.get::<_, i64>(0)?, read(row)?)),
        )
        .optional()?;
    let Some((id, mut session)) = found else { return Ok(Session::default()) };
    session.exchanges = db
        .prepare_cached(
            "SELECT inbox_id, question, answer FROM exchange
             WHERE session_id = :id ORDER BY inbox_id",
        )?
        .query_map(named_params! { ":id": id }, |row| {
            Ok(Exchange { turn: row.get(0)?, question: row.get(1)?, answer: row.get(2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(session)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    let settings: String = row.get(1)?;
    let settings = serde_json::from_str(&settings)
        .map_err(|e| Error::FromSqlConversionFailure(1, Type::Text, Box::new(e)))?;
    let count = |column| row.get(column).map(|n: i64| u64::try_from(n).unwrap_or(0));
    let tokens = Tokens { prompt: count(3)?, completion: count(4)? };
    Ok(Session { settings, summary: row.get(2)?, exchanges: Vec::new(), tokens })
}

pub(super) fn exchanged(
    db: &Transaction<'_>,
    key: &SessionKey,
    exchange: &Exchange,
    tokens: Tokens,
    limits: HistoryLimits,
) -> rusqlite::Result<()> {
    let id = id_of(db, key)?;
    let inserted = db
        .prepare_cached(
            "INSERT INTO exchange (session_id, inbox_id, question, answer)
             VALUES (:id, :turn, :question, :answer) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":id": id,
            ":turn": exchange.turn,
            ":question": exchange.question,
            ":answer": exchange.answer,
        })?;
    if inserted == 0 {
        return Ok(());
    }
    count(db, id, tokens)?;
    let limit = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    db.prepare_cached(
        "DELETE FROM exchange WHERE session_id = :id AND inbox_id IN (
             SELECT inbox_id FROM (
                 SELECT inbox_id, row_number() OVER newer AS number, sum(
                     length(CAST(question AS BLOB)) + length(CAST(answer AS BLOB))
                 ) OVER newer AS bytes
                 FROM exchange WHERE session_id = :id
                 WINDOW newer AS (ORDER BY inbox_id DESC)
             ) WHERE number > 1 AND (number > :exchanges OR bytes > :bytes))",
    )?
    .execute(named_params! {
        ":id": id,
        ":exchanges": limit(limits.exchanges),
        ":bytes": limit(limits.bytes),
    })?;
    Ok(())
}

pub(super) fn summarised(
    db: &Transaction<'_>,
    key: &SessionKey,
    up_to: i64,
    summary: &str,
) -> rusqlite::Result<()> {
    let id = id_of(db, key)?;
    db.prepare_cached("DELETE FROM exchange WHERE session_id = :id AND inbox_id <= :up_to")?
        .execute(named_params! { ":id": id, ":up_to": up_to })?;
    db.prepare_cached("UPDATE session SET summary = :summary WHERE id = :id")?
        .execute(named_params! { ":id": id, ":summary": summary })?;
    Ok(())
}

pub(super) fn used(db: &Transaction<'_>, key: &SessionKey, tokens: Tokens) -> rusqlite::Result<()> {
    let id = id_of(db, key)?;
    count(db, id, tokens)
}

fn count(db: &Transaction<'_>, session: i64, tokens: Tokens) -> rusqlite::Result<()> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    db.prepare_cached(
        "UPDATE session SET prompt_tokens = prompt_tokens + :prompt,
             completion_tokens = completion_tokens + :completion WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": session,
        ":prompt": count(tokens.prompt),
        ":completion": count(tokens.completion),
    })?;
    Ok(())
}

/// Forgets the exchange of a turn if nobody saw any of its answer.
pub(super) fn unsaid(db: &Transaction<'_>, turn: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM exchange WHERE inbox_id = :turn AND NOT EXISTS (
             SELECT 1 FROM outbox WHERE inbox_id = :turn AND sent_at IS NOT NULL)",
    )?
    .execute(named_params! { ":turn": turn })?;
    Ok(())
}

/// Sessions end when nothing was added to them for so long.
pub(super) const KEEP_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Ends some of the sessions that nothing was added to for long; returns how many.
pub(super) fn prune(db: &Transaction<'_>, now: i64, rows: i64) -> rusqlite::Result<usize> {
    let before = now.saturating_sub(KEEP_MS);
    let mut ended = 0;
    for statement in [
        "DELETE FROM exchange WHERE session_id IN (
             SELECT id FROM session WHERE touched_at < :before ORDER BY id LIMIT :rows)",
        "DELETE FROM session WHERE id IN (
             SELECT id FROM session WHERE touched_at < :before ORDER BY id LIMIT :rows)",
    ] {
        ended = db.execute(statement, named_params! { ":before": before, ":rows": rows })?;
    }
    Ok(ended)
}

pub(super) fn forget(db: &Transaction<'_>, key: &SessionKey) -> rusqlite::Result<()> {
    let id = id_of(db, key)?;
    db.prepare_cached("DELETE FROM exchange WHERE session_id = :id")?
        .execute(named_params! { ":id": id })?;
    db.prepare_cached(
        "UPDATE session SET summary = NULL, prompt_tokens = 0, completion_tokens = 0
         WHERE id = :id",
    )?
    .execute(named_params! { ":id": id })?;
    Ok(())
}

pub(super) fn set(
    db: &Transaction<'_>,
    key: &SessionKey,
    settings: &SessionSettings,
) -> rusqlite::Result<()> {
    let text =
        serde_json::to_string(settings).map_err(|e| Error::ToSqlConversionFailure(Box::new(e)))?;
    let id = id_of(db, key)?;
    db.prepare_cached("UPDATE session SET settings = :settings WHERE id = :id")?
        .execute(named_params! { ":id": id, ":settings": text })?;
    Ok(())
}

/// The row of a session to which something is added; made if there is none.
fn id_of(db: &Transaction<'_>, key: &SessionKey) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO session (client_id, name, touched_at) VALUES (:client_id, :name, :now)
         ON CONFLICT (client_id, name) DO UPDATE SET touched_at = excluded.touched_at RETURNING id",
    )?
    .query_row(
        named_params! {
            ":client_id": key.client_id.as_str(),
            ":name": key.name,
            ":now": now_ms(),
        },
        |row| row.get(0),
    )
}
