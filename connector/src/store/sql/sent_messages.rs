//! What the robot sent and can be quoted.

use super::super::SentMessage;
use super::{Db, Done, params};
use crate::credential::ClientId;
use crate::protocol::{ConversationId, ProcessQueryKey};

pub(super) fn remember(db: &dyn Db, message: &SentMessage) -> Done<()> {
    db.later(
        "INSERT INTO sent_message
             (client_id, process_query_key, conversation_id, in_group, text, sent_at)
         VALUES (:client_id, :key, :conversation_id, :in_group, :text, :sent_at)",
        params! {
            ":client_id": message.client_id.as_str(),
            ":key": message.process_query_key.as_str(),
            ":conversation_id": message.conversation_id.as_str(),
            ":in_group": message.in_group,
            ":text": message.text,
            ":sent_at": message.sent_at,
        },
    )
}

/// The newest one under a key.
pub(super) fn find(
    db: &dyn Db,
    client_id: &ClientId,
    key: &ProcessQueryKey,
) -> Done<Option<SentMessage>> {
    db.first(
        "SELECT conversation_id, text, sent_at, in_group FROM sent_message
         WHERE process_query_key = :key AND client_id = :client_id ORDER BY id DESC LIMIT 1",
        params! { ":key": key.as_str(), ":client_id": client_id.as_str() },
        |row| {
            Ok(SentMessage {
                client_id: client_id.clone(),
                process_query_key: key.clone(),
                conversation_id: ConversationId::new(row.get::<String>(0)?),
                text: row.get(1)?,
                sent_at: row.get(2)?,
                in_group: row.get(3)?,
            })
        },
    )
}

/// Forgets some of what was sent before a time, oldest first; returns how many.
pub(super) fn prune(db: &dyn Db, before: i64, rows: i64) -> Done<usize> {
    db.execute(
        "DELETE FROM sent_message WHERE id IN (
             SELECT id FROM (
                 SELECT id, sent_at FROM sent_message ORDER BY id LIMIT :rows) AS oldest
             WHERE sent_at < :before)",
        params! { ":before": before, ":rows": rows },
    )
}
