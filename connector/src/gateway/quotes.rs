//! What the robot said itself and somebody quotes.
//!
//! Of a message that went by the robot API a quote may bring no more than its `processQueryKey`; its
//! words are looked up. One that went by a `sessionWebhook` got no key, and is quoted with its words.

use tracing::warn;

use super::work::Tools;
use crate::agent::Turn;

/// What is said of a quoted message whose words are nowhere.
const UNREADABLE: &str = "[a message that cannot be read]";

/// Puts the robot's own words where a quote came without any.
pub(super) async fn fill(tools: &Tools, turn: &mut Turn) {
    let mut next = turn.quote.as_mut();
    while let Some(quote) = next {
        if let Some(key) = quote.process_query_key.as_ref().filter(|_| quote.text.is_empty()) {
            match tools.store.sent_message(tools.replier.client_id(), key).await {
                Ok(Some(sent)) if sent.conversation_id == turn.conversation_id => {
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
}
