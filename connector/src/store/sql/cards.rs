//! The statements about cards.

use super::super::cards::{CardId, CardState, CardStore, KeptCard, NewCard};
use super::super::{InboxId, OutboxId, Pending};
use super::{Db, Done, SqlStore, params};
use crate::credential::ClientId;
use crate::protocol::ConversationId;
use crate::unix_time::now_ms;

impl<D> CardStore for SqlStore<D> {
    fn open_card(&self, card: NewCard) -> Pending<CardId> {
        self.work(move |db| open(db, &card))
    }

    fn answer_in_card(&self, card: CardId, part: OutboxId) -> Pending<()> {
        self.work(move |db| {
            db.later(
                "UPDATE cards SET part = :part WHERE id = :id",
                params! { ":part": part.0, ":id": card.0 },
            )
        })
    }

    fn abandon_card(&self, card: CardId) -> Pending<()> {
        self.work(move |db| {
            db.later(
                "UPDATE cards SET abandoned = TRUE, part = NULL WHERE id = :id",
                params! { ":id": card.0 },
            )
        })
    }

    fn close_card(&self, card: CardId) -> Pending<()> {
        self.work(move |db| {
            db.later(
                "UPDATE cards SET closed_at = :now WHERE id = :id",
                params! { ":now": now_ms(), ":id": card.0 },
            )
        })
    }

    fn cards(&self, client_id: &ClientId, at_most: usize) -> Pending<Vec<KeptCard>> {
        let client_id = client_id.clone();
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        self.work(move |db| cards(db, &client_id, at_most))
    }
}

fn open(db: &dyn Db, card: &NewCard) -> Done<CardId> {
    let id = db.insert(
        "INSERT INTO cards
             (client_id, inbox_id, out_track_id, key, conversation_id, in_group, opened_at)
         VALUES (:client_id, :inbox_id, :out_track_id, :key, :conversation_id, :in_group, :now)",
        params! {
            ":client_id": card.client_id.as_str(),
            ":inbox_id": card.message.0,
            ":out_track_id": card.out_track_id,
            ":key": card.key,
            ":conversation_id": card.conversation_id.as_str(),
            ":in_group": card.in_group,
            ":now": now_ms(),
        },
    )?;
    Ok(CardId(id))
}

fn cards(db: &dyn Db, client_id: &ClientId, at_most: i64) -> Done<Vec<KeptCard>> {
    // A crash may have come between the record of the last words' arrival and that of the card.
    db.later(
        "UPDATE cards SET closed_at = :now WHERE closed_at IS NULL AND part IN
             (SELECT id FROM outbox WHERE id = cards.part AND sent_at IS NOT NULL)",
        params! { ":now": now_ms() },
    )?;
    db.all(
        "SELECT id, inbox_id, out_track_id, key, conversation_id, in_group, abandoned, closed_at
         FROM cards WHERE id IN (
             SELECT id FROM cards WHERE client_id = :client_id AND closed_at IS NULL
             UNION SELECT id FROM (
                 SELECT id FROM cards WHERE client_id = :client_id
                 ORDER BY id DESC LIMIT :at_most) AS newest)
         ORDER BY id",
        params! { ":client_id": client_id.as_str(), ":at_most": at_most },
        |row| {
            let closed = row.get::<Option<i64>>(7)?.is_some();
            Ok(KeptCard {
                id: CardId(row.get(0)?),
                card: NewCard {
                    client_id: client_id.clone(),
                    message: InboxId(row.get(1)?),
                    out_track_id: row.get(2)?,
                    key: row.get(3)?,
                    conversation_id: ConversationId::new(row.get::<String>(4)?),
                    in_group: row.get(5)?,
                },
                state: match (closed, row.get(6)?) {
                    (true, _) => CardState::Closed,
                    (false, true) => CardState::Abandoned,
                    (false, false) => CardState::Open,
                },
            })
        },
    )
}
