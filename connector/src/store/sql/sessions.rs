//! The statements for sessions, one function each.

use super::super::StoreError;
use super::super::sessions::{Exchange, HistoryLimits, Session, SessionKey, Tokens};
use super::{Db, Done, Row, params};
use crate::agent::SessionSettings;
use crate::unix_time::now_ms;

pub(super) fn session(db: &dyn Db, key: &SessionKey) -> Done<Session> {
    let found = db.first(
        "SELECT id, settings, summary, prompt_tokens, completion_tokens FROM session
         WHERE client_id = :client_id AND name = :name",
        params! { ":client_id": key.client_id.as_str(), ":name": key.name },
        |row| Ok((row.get::<i64>(0)?, read(row)?)),
    )?;
    let Some((id, mut session)) = found else { return Ok(Session::default()) };
    session.exchanges = db.all(
        "SELECT inbox_id, question, answer FROM exchange
         WHERE session_id = :id ORDER BY inbox_id",
        params! { ":id": id },
        |row| Ok(Exchange { turn: row.get(0)?, question: row.get(1)?, answer: row.get(2)? }),
    )?;
    Ok(session)
}

fn read(row: &dyn Row) -> Done<Session> {
    let settings = serde_json::from_str(&row.get::<String>(1)?)
        .map_err(|e| StoreError::Failed(format!("settings of a session cannot be read: {e}")))?;
    let count = |column| row.get(column).map(|n: i64| u64::try_from(n).unwrap_or(0));
    let tokens = Tokens { prompt: count(3)?, completion: count(4)? };
    Ok(Session { settings, summary: row.get(2)?, exchanges: Vec::new(), tokens })
}

pub(super) fn exchanged(
    db: &dyn Db,
    key: &SessionKey,
    exchange: &Exchange,
    tokens: Tokens,
    limits: HistoryLimits,
) -> Done<()> {
    let id = id_of(db, key)?;
    let inserted = db.execute(
        "INSERT INTO exchange (session_id, inbox_id, question, answer)
         VALUES (:id, :turn, :question, :answer) ON CONFLICT DO NOTHING",
        params! {
            ":id": id,
            ":turn": exchange.turn,
            ":question": exchange.question,
            ":answer": exchange.answer,
        },
    )?;
    if inserted == 0 {
        return Ok(());
    }
    count(db, id, tokens)?;
    let limit = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    db.later(
        "DELETE FROM exchange WHERE session_id = :id AND inbox_id IN (
             SELECT inbox_id FROM (
                 SELECT inbox_id, row_number() OVER newer AS number, sum(
                     octet_length(question) + octet_length(answer)
                 ) OVER newer AS bytes
                 FROM exchange WHERE session_id = :id
                 WINDOW newer AS (ORDER BY inbox_id DESC)
             ) AS kept WHERE number > 1 AND (number > :exchanges OR bytes > :bytes))",
        params! {
            ":id": id,
            ":exchanges": limit(limits.exchanges),
            ":bytes": limit(limits.bytes),
        },
    )
}

pub(super) fn summarised(db: &dyn Db, key: &SessionKey, up_to: i64, summary: &str) -> Done<()> {
    let id = id_of(db, key)?;
    db.later(
        "DELETE FROM exchange WHERE session_id = :id AND inbox_id <= :up_to",
        params! { ":id": id, ":up_to": up_to },
    )?;
    db.later(
        "UPDATE session SET summary = :summary WHERE id = :id",
        params! { ":id": id, ":summary": summary },
    )
}

pub(super) fn used(db: &dyn Db, key: &SessionKey, tokens: Tokens) -> Done<()> {
    let id = id_of(db, key)?;
    count(db, id, tokens)
}

fn count(db: &dyn Db, session: i64, tokens: Tokens) -> Done<()> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    db.later(
        "UPDATE session SET prompt_tokens = prompt_tokens + :prompt,
             completion_tokens = completion_tokens + :completion WHERE id = :id",
        params! {
            ":id": session,
            ":prompt": count(tokens.prompt),
            ":completion": count(tokens.completion),
        },
    )
}

/// Forgets the exchange of a turn if nobody saw any of its answer.
pub(super) fn unsaid(db: &dyn Db, turn: i64) -> Done<()> {
    db.later(
        "DELETE FROM exchange WHERE inbox_id = :turn AND NOT EXISTS (
             SELECT 1 FROM outbox WHERE inbox_id = :turn AND sent_at IS NOT NULL)",
        params! { ":turn": turn },
    )
}

/// Sessions end when nothing was added to them for so long.
pub(in crate::store) const KEEP_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Ends some of the sessions that nothing was added to for long; returns how many.
pub(super) fn prune(db: &dyn Db, now: i64, rows: i64) -> Done<usize> {
    let before = now.saturating_sub(KEEP_MS);
    let mut ended = 0;
    for statement in [
        "DELETE FROM exchange WHERE session_id IN (
             SELECT id FROM session WHERE touched_at < :before ORDER BY id LIMIT :rows)",
        "DELETE FROM session WHERE id IN (
             SELECT id FROM session WHERE touched_at < :before ORDER BY id LIMIT :rows)",
    ] {
        ended = db.execute(statement, params! { ":before": before, ":rows": rows })?;
    }
    Ok(ended)
}

pub(super) fn forget(db: &dyn Db, key: &SessionKey) -> Done<()> {
    let id = id_of(db, key)?;
    db.later("DELETE FROM exchange WHERE session_id = :id", params! { ":id": id })?;
    db.later(
        "UPDATE session SET summary = NULL, prompt_tokens = 0, completion_tokens = 0
         WHERE id = :id",
        params! { ":id": id },
    )
}

pub(super) fn set(db: &dyn Db, key: &SessionKey, settings: &SessionSettings) -> Done<()> {
    let text = serde_json::to_string(settings)
        .map_err(|e| StoreError::Failed(format!("settings cannot be written: {e}")))?;
    let id = id_of(db, key)?;
    db.later(
        "UPDATE session SET settings = :settings WHERE id = :id",
        params! { ":id": id, ":settings": text },
    )
}

/// The row of a session to which something is added; made if there is none.
fn id_of(db: &dyn Db, key: &SessionKey) -> Done<i64> {
    db.one(
        "INSERT INTO session (client_id, name, touched_at) VALUES (:client_id, :name, :now)
         ON CONFLICT (client_id, name) DO UPDATE SET touched_at = excluded.touched_at RETURNING id",
        params! { ":client_id": key.client_id.as_str(), ":name": key.name, ":now": now_ms() },
        |row| row.get(0),
    )
}
