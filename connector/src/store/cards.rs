//! AI cards that were begun: none may be left spinning, whatever becomes of the process.

use super::{InboxId, OutboxId, Pending};
use crate::credential::ClientId;
use crate::protocol::ConversationId;

/// Where cards are kept.
pub trait CardStore {
    /// Keeps a card before it is made.
    fn open_card(&self, card: NewCard) -> Pending<CardId>;

    /// A part of an answer is about to be put into the card as its last words. When that part has
    /// arrived the card is final.
    fn answer_in_card(&self, card: CardId, part: OutboxId) -> Pending<()>;

    /// The card gets no answer any more; what is left is to make it final.
    fn abandon_card(&self, card: CardId) -> Pending<()>;

    /// The card is final, or cannot be made so.
    fn close_card(&self, card: CardId) -> Pending<()>;

    /// An app's cards, oldest first: all that are not final, and of the others the newest of 7 days, so
    /// that there are no more than `at_most` of those.
    fn cards(&self, client_id: &ClientId, at_most: usize) -> Pending<Vec<KeptCard>>;
}

/// Names a card in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CardId(pub(super) i64);

/// A card to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCard {
    /// The app that makes it.
    pub client_id: ClientId,
    /// The message whose answer it shows.
    pub message: InboxId,
    /// `outTrackId`: names it to DingTalk.
    pub out_track_id: String,
    /// The template's variable that holds the words.
    pub key: String,
    /// The chat that it is in.
    pub conversation_id: ConversationId,
    /// Whether that is a group.
    pub in_group: bool,
}

/// A card that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCard {
    /// Names it.
    pub id: CardId,
    /// What is known of it.
    pub card: NewCard,
    /// How far it has come.
    pub state: CardState,
}

/// How far a card has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardState {
    /// It waits for its last words. Whether it was ever made is not known.
    Open,
    /// It gets no answer, and is not final.
    Abandoned,
    /// It is final.
    Closed,
}
