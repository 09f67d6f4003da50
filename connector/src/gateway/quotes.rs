//! What the robot said itself and somebody quotes.
//!
//! Of a message that went by the robot API a quote may bring no more than its `processQueryKey`; its
//! words are looked up. One that went by a `sessionWebhook` got no key, and is quoted with its words.

use tracing::warn;

use super::work::Tools;
use crate::agent::Turn;
use crate::protocol::{ConversationId, ConversationType, SenderStaffId};

/// Where a push to people is remembered: the ids of their chats are not known, and they share one key.
pub(super) fn people(users: &[SenderStaffId]) -> ConversationId {
    let names: Vec<_> = users.iter().map(|user| format!("user:{user}")).collect();
    ConversationId::new(names.join("\n"))
}

/// Whether something was sent to where it is quoted: what others were told is nobody's business.
fn is_here(turn: &Turn, sent_to: &ConversationId) -> bool {
    let pushed_to = |user: &SenderStaffId| {
        let name = format!("user:{user}");
        sent_to.as_str().lines().any(|line| line == name)
    };
    *sent_to == turn.conversation_id
        || turn.conversation_type == ConversationType::Direct
            && turn.sender_staff_id.as_ref().is_some_and(pushed_to)
}

/// What is said of a quoted message whose words are nowhere.
const UNREADABLE: &str = "[a message that cannot be read]";

/// Puts the robot's own words where a quote came without any.
pub(super) async fn fill(tools: &Tools, turn: &mut Turn) {
    let Some(mut quoted) = turn.quote.take() else { return };
    let mut next = Some(&mut quoted);
    while let Some(quote) = next {
        if let Some(key) = quote.process_query_key.as_ref().filter(|_| quote.text.is_empty()) {
            match tools.store.sent_message(tools.replier.client_id(), key).await {
                Ok(Some(sent)) if is_here(turn, &sent.conversation_id) => {
                    quote.text = sent.text;
                }
                Ok(_) => {}
                // The question is worth an answer all the same.
                Err(e) => warn!("a quoted message cannot be looked up: {e}"),
            }
        }
        if quote.text.is_empty() {
            UNREADABLE.clone_into(&mut quote.text);
        }
        next = quote.quote.as_deref_mut();
    }
    turn.quote = Some(quoted);
}
