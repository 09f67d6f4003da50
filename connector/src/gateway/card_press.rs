//! A press on one of the robot's own cards, as a message of whoever pressed.

use serde_json::json;
use tracing::{debug, info};

use super::cards::Cards;
use crate::protocol::{CardCallback, SenderStaffId};

/// The `data` of a robot message that says what the press says, in the chat that the card is in; it is kept
/// and answered like any other. `None` if it says nothing, or the card is not known: such a press is acked,
/// and changes nothing.
pub(super) fn as_message(data: &str, cards: &Cards, now_ms: i64) -> Option<String> {
    let Some(press) = CardCallback::parse(data) else {
        debug!("a card callback names no card");
        return None;
    };
    let out_track_id = press.out_track_id.as_str();
    let Some((conversation_id, in_group)) = cards.place(out_track_id) else {
        info!(out_track_id, "a press on a card that is not the robot's own is acked and left");
        return None;
    };
    let (words, user_id) = press.words().zip(press.user_id).or_else(|| {
        debug!(out_track_id, buttons = ?press.action_ids, "a press that says nothing");
        None
    })?;
    let message = json!({
        "msgtype": "text",
        "text": { "content": words },
        "conversationId": conversation_id.as_str(),
        "conversationType": if in_group { "2" } else { "1" },
        "senderStaffId": SenderStaffId::as_str(&user_id),
        // Who presses a button of the robot speaks to it.
        "isInAtList": true,
        "createAt": now_ms,
    });
    Some(message.to_string())
}
