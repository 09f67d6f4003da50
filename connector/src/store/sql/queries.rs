//! The statements of messages and answers, one function each.

use std::collections::HashMap;

use tracing::error;

use super::super::{
    InboxId, NewMessage, OutboxId, Recovered, SUSPECT, Said, Seen, StoreError, Unfinished,
    UnsentPart,
};
use super::statement::{Fenced, Next};
use super::{Db, Done, Params, params, sent_messages, sessions};
use crate::credential::ClientId;
use crate::protocol::{MessageId, MsgId};
use crate::unix_time::now_ms;

/// Finished messages are kept so long, for the operator and to recognise late repeats.
pub(in crate::store) const KEEP_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Rows removed at a time, so that acks never wait for a long clean-up.
pub(in crate::store) const PRUNE_ROWS: i64 = 2_000;

/// Keeps a message, whether it was kept before or not; returns its number.
pub(in crate::store) fn keep(db: &dyn Db, message: &NewMessage) -> Done<i64> {
    db.insert(
        "INSERT INTO inbox
             (client_id, msg_id, message_id, conversation_id, received_at, stored_at, data)
         VALUES
             (:client_id, :msg_id, :message_id, :conversation_id, :received_at, :now, :data)",
        params! {
            ":client_id": message.client_id.as_str(),
            ":msg_id": message.msg_id.as_ref().map(MsgId::as_str),
            ":message_id": message.message_id.as_ref().map(MessageId::as_str),
            ":conversation_id": message.conversation_id.as_str(),
            ":received_at": message.received_at,
            ":now": now_ms(),
            ":data": message.data,
        },
    )
}

/// Keeps a part of an answer; `:inbox_id` is its message.
const SAY: &str = "INSERT INTO outbox (inbox_id, message, begun, continues, said_at)
    SELECT :inbox_id, :message, :begun, :continues, :now";

pub(super) fn said(db: &dyn Db, message: InboxId, said: &Said) -> Done<Vec<OutboxId>> {
    let mut ids = Vec::with_capacity(said.parts.len());
    if said.parts.is_empty() {
        db.fence(Fenced::Message(message.0))?;
    }
    for (index, part) in said.parts.iter().enumerate() {
        let text = serde_json::to_string(&part.say)
            .map_err(|e| StoreError::Failed(format!("an answer cannot be written: {e}")))?;
        let params = params! {
            ":inbox_id": message.0,
            ":message": text,
            ":begun": said.begun && index == 0,
            ":continues": part.continues,
            ":now": now_ms(),
        };
        // The first one is the fence for all of them: the bucket stays whose it is until the transaction ends.
        let id = if index == 0 {
            let sql = format!("{SAY} WHERE {}", db.is_mine());
            db.insert_if(&sql, params)?.ok_or(StoreError::NotMine)?
        } else {
            db.insert(SAY, params)?
        };
        ids.push(OutboxId(id));
    }
    if let Some(seq) = said.seq {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        db.later(
            "UPDATE inbox SET seq = :seq WHERE id = :id",
            params! { ":seq": seq, ":id": message.0 },
        )?;
    }
    if said.ended {
        db.later(
            "UPDATE inbox SET ended = TRUE, ended_at = :now WHERE id = :id",
            params! { ":now": now_ms(), ":id": message.0 },
        )?;
        finish_if_done(db, ":id", message.0)?;
    }
    Ok(ids)
}

pub(super) fn begin(db: &dyn Db, part: OutboxId) -> Done<()> {
    db.fence(Fenced::Part(part.0))?;
    begun(db, part)
}

fn begun(db: &dyn Db, part: OutboxId) -> Done<()> {
    db.later("UPDATE outbox SET begun = TRUE WHERE id = :id", params! { ":id": part.0 })
}

pub(super) fn sent(db: &dyn Db, part: OutboxId, next: Option<OutboxId>) -> Done<()> {
    db.later(
        "UPDATE outbox SET sent_at = :now WHERE id = :id",
        params! { ":now": now_ms(), ":id": part.0 },
    )?;
    match next {
        // That the part has arrived is true, whoever may send the next one.
        Some(next) => begin(db, next),
        None => finish_if_done(db, "(SELECT inbox_id FROM outbox WHERE id = :id)", part.0),
    }
}

pub(super) fn failed(db: &dyn Db, message: InboxId, reason: &str) -> Done<()> {
    sessions::unsaid(db, message.0)?;
    finish(db, message, reason)
}

/// Finishes a message whose turn has ended and whose parts have all arrived. `message` says in words of `:id` which.
fn finish_if_done(db: &dyn Db, message: &str, id: i64) -> Done<()> {
    db.later(
        &format!(
            "UPDATE inbox SET finished_at = :now, failure = NULL
             WHERE id = {message} AND ended AND NOT dropped AND NOT EXISTS (
                 SELECT 1 FROM outbox WHERE inbox_id = {message} AND sent_at IS NULL)"
        ),
        params! { ":now": now_ms(), ":id": id },
    )
}

fn finish(db: &dyn Db, message: InboxId, failure: &str) -> Done<()> {
    // The reason of whoever ended it stays.
    db.later(
        "UPDATE inbox SET finished_at = :now, failure = :failure WHERE id = :id AND NOT dropped",
        params! { ":now": now_ms(), ":failure": failure, ":id": message.0 },
    )
}

pub(super) fn recover(
    db: &dyn Db,
    client_id: &ClientId,
    seen_since: i64,
    seen_at_most: i64,
) -> Done<Recovered> {
    let params = params! { ":client_id": client_id.as_str() };
    let of_app = format!("client_id = :client_id AND {}", db.words().not_of_others);
    count_cut_off(db, &of_app, i64::MAX, params)?;
    not_begun(db, &of_app, params)?;
    // Where the table tells repeats by itself nobody has to know them by heart.
    let seen = if db.words().tells_repeats {
        Vec::new()
    } else {
        seen(db, client_id, seen_since, seen_at_most)?
    };
    Ok(Recovered { unfinished: unfinished(db, "inbox", &of_app, params)?, seen })
}

/// Counts the turns that the last process was in the midst of, of messages for which a condition holds: those at
/// the head of their conversation, if they had begun or were stored before a moment, in milliseconds since 1970 UTC.
/// Of one that is suspected already the runtime keeps the count, since it runs alone.
pub(in crate::store) fn count_cut_off(
    db: &dyn Db,
    condition: &str,
    stored_before: i64,
    params: Params<'_>,
) -> Done<()> {
    let mut with = params.to_vec();
    with.push((":stored_before", &stored_before));
    db.later(
        // That a turn began may not have been noted yet.
        &format!(
            "UPDATE inbox SET cut_off = cut_off + 1
             WHERE cut_off < {SUSPECT} AND NOT ended
             AND (begun_at IS NOT NULL OR coalesce(stored_at, 0) < :stored_before) AND id IN (
                 SELECT min(id) FROM inbox
                 WHERE finished_at IS NULL AND {condition} GROUP BY client_id, conversation_id)"
        ),
        &with,
    )
}

/// What an earlier process had begun waits to be begun again.
pub(in crate::store) fn not_begun(db: &dyn Db, condition: &str, params: Params<'_>) -> Done<()> {
    db.later(
        &format!("UPDATE inbox SET begun_at = NULL WHERE finished_at IS NULL AND {condition}"),
        params,
    )
}

pub(super) fn keep_cut_off(db: &dyn Db, message: InboxId, times: u32) -> Done<()> {
    db.later(
        "UPDATE inbox SET cut_off = :times WHERE id = :id",
        params! { ":times": times, ":id": message.0 },
    )
}

pub(super) fn end_in_order(db: &dyn Db, client_id: &ClientId) -> Done<()> {
    db.later(
        &format!(
            "UPDATE inbox SET cut_off = 0
             WHERE finished_at IS NULL AND client_id = :client_id AND {}",
            db.words().not_of_others
        ),
        params! { ":client_id": client_id.as_str() },
    )
}

/// Unfinished messages of `inbox`, or of what goes by that name, for which a condition holds.
pub(in crate::store) fn unfinished(
    db: &dyn Db,
    inbox: &str,
    condition: &str,
    params: Params<'_>,
) -> Done<Vec<Unfinished>> {
    let mut unfinished = db.all(
        &format!(
            "SELECT id, data, received_at, ended,
                 (SELECT count(*) FROM outbox WHERE inbox_id = inbox.id AND NOT continues), seq,
                 cut_off
             FROM {inbox}
             WHERE finished_at IS NULL AND {condition} ORDER BY id",
        ),
        params,
        |row| {
            Ok(Unfinished {
                id: InboxId(row.get(0)?),
                data: row.get(1)?,
                received_at: row.get(2)?,
                parts: Vec::new(),
                ended: row.get(3)?,
                said: u64::try_from(row.get::<i64>(4)?).unwrap_or(0),
                seq: u64::try_from(row.get::<i64>(5)?).unwrap_or(0),
                cut_off: row.get(6)?,
            })
        },
    )?;
    // Of most nothing was said yet: then there is nothing to look for.
    if unfinished.iter().all(|message| message.said == 0) {
        return Ok(unfinished);
    }
    let mut parts = unsent(db, (inbox, condition), params)?;
    let mut unreadable = Vec::new();
    for message in &mut unfinished {
        match parts.remove(&message.id.0) {
            Some(Ok(parts)) => message.parts = parts,
            Some(Err(e)) => {
                unreadable.push((message.id, format!("its kept answer cannot be read: {e}")));
            }
            None => {}
        }
    }
    for (id, reason) in unreadable {
        error!("a message gets no answer: {reason}");
        failed(db, id, &reason)?;
        unfinished.retain(|message| message.id != id);
    }
    Ok(unfinished)
}

/// What is left to be sent of each answer, if that can be read.
fn unsent(
    db: &dyn Db,
    (inbox, condition): (&str, &str),
    params: Params<'_>,
) -> Done<HashMap<i64, serde_json::Result<Vec<UnsentPart>>>> {
    let mut unsent = HashMap::new();
    db.each(
        &format!(
            "SELECT inbox_id, id, message, begun FROM outbox
             WHERE sent_at IS NULL AND inbox_id IN (
                 SELECT id FROM {inbox} WHERE finished_at IS NULL AND {condition})
             ORDER BY id"
        ),
        params,
        &mut |row| {
            let (id, begun) = (OutboxId(row.get(1)?), row.get(3)?);
            let parts = unsent.entry(row.get(0)?).or_insert_with(|| Ok(Vec::new()));
            match serde_json::from_str(&row.get::<String>(2)?) {
                Ok(message) => {
                    if let Ok(parts) = parts {
                        parts.push(UnsentPart { id, message, begun });
                    }
                }
                Err(e) => *parts = Err(e),
            }
            Ok(Next::More)
        },
    )?;
    Ok(unsent)
}

/// The newest ids, oldest first.
fn seen(db: &dyn Db, client_id: &ClientId, since: i64, at_most: i64) -> Done<Vec<Seen>> {
    let mut seen = Vec::new();
    // Rows stand in the order they came: reading back from the newest is cheaper than an index that
    // every ack would have to keep.
    db.each(
        "SELECT msg_id, message_id, received_at FROM inbox
         WHERE client_id = :client_id ORDER BY id DESC LIMIT :at_most",
        params! { ":client_id": client_id.as_str(), ":at_most": at_most },
        &mut |row| {
            let at = row.get(2)?;
            if at < since {
                return Ok(Next::Enough);
            }
            seen.push(Seen {
                msg_id: row.get::<Option<String>>(0)?.map(MsgId::new),
                message_id: row.get::<Option<String>>(1)?.map(MessageId::new),
                at,
            });
            Ok(Next::More)
        },
    )?;
    seen.reverse();
    Ok(seen)
}

/// The first message that is not removed. Only the oldest are looked at: however many are old, a round reads no more
/// than it removes. The newest of all stays whatever its age: without it, ids that sessions still name would be given
/// again.
pub(in crate::store) const YOUNG: &str = "SELECT coalesce(
         min(CASE WHEN received_at >= :before THEN id END), (SELECT max(id) FROM inbox))
     FROM (
         SELECT id, received_at FROM inbox WHERE finished_at IS NOT NULL
         ORDER BY id LIMIT :rows) AS oldest";

/// Removes some of the messages that were finished and came long ago, and of what was sent then, oldest
/// first. Returns whether there may be more. The newest message stays, however old: its id is what the next
/// one counts on from, and sessions and attached agents know turns by these ids.
pub(in crate::store) fn prune(db: &dyn Db, now: i64) -> Done<bool> {
    let before = now.saturating_sub(KEEP_MS);
    let oldest = params! { ":before": before, ":rows": PRUNE_ROWS };
    let young: Option<i64> = db.one(YOUNG, oldest, |row| row.get(0))?;
    let ended = sessions::prune(db, now, PRUNE_ROWS)?;
    let forgotten = sent_messages::prune(db, before, PRUNE_ROWS)?;
    db.execute(
        "DELETE FROM cards WHERE id IN (
             SELECT id FROM (
                 SELECT id, opened_at FROM cards WHERE closed_at IS NOT NULL
                 ORDER BY id LIMIT :rows) AS oldest
             WHERE opened_at < :before)",
        params! { ":before": before, ":rows": PRUNE_ROWS },
    )?;
    let mut removed = 0;
    // That it is old is asked again: another process may have finished a new one in this moment.
    for statement in [
        "DELETE FROM outbox WHERE inbox_id IN (
             SELECT id FROM inbox WHERE finished_at IS NOT NULL AND id < :young AND received_at < :before
             ORDER BY id LIMIT :rows)",
        "DELETE FROM inbox WHERE id IN (
             SELECT id FROM inbox WHERE finished_at IS NOT NULL AND id < :young AND received_at < :before
             ORDER BY id LIMIT :rows)",
    ] {
        let old = params! { ":young": young, ":before": before, ":rows": PRUNE_ROWS };
        removed = db.execute(statement, old)?;
    }
    Ok(i64::try_from(removed.max(forgotten).max(ended))
        .is_ok_and(|messages| messages >= PRUNE_ROWS))
}
