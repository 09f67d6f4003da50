//! "🤔思考中" below a message, from its receipt to the end of its turn.
//!
//! It is a courtesy: no answer waits for it, and it is left out when the call budget has no room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::debug;

use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{ConversationId, MsgId, RobotCode};

/// The mark of one message; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Thinking {
    _ends: oneshot::Sender<()>,
}

/// Which message is marked.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) robot_code: RobotCode,
    pub(super) conversation_id: ConversationId,
    pub(super) msg_id: MsgId,
}

/// Pauses before the tries to show it: the call may overtake the message that it marks.
const SHOW: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(400), Duration::from_millis(1_200)];
/// Pauses before the tries to take it back: what stays would look like an answer to come.
const HIDE: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

impl Thinking {
    /// Shows the mark; the work for it is done in `chores`. One that an earlier process may have `shown` is
    /// only taken back.
    pub(super) fn begin(
        client: &Arc<OpenApiClient>,
        marked: Marked,
        shown: bool,
        chores: &mut JoinSet<()>,
    ) -> Self {
        let (ends, mut end) = oneshot::channel();
        let client = Arc::clone(client);
        chores.spawn(async move {
            let may_be_shown = shown || show(&client, &marked, &mut end).await;
            if may_be_shown {
                if !end.is_terminated() {
                    let _ = end.await;
                }
                hide(&client, &marked).await;
            }
        });
        Self { _ends: ends }
    }
}

/// Tries until the `end`. Returns whether the mark may stand. A call that is under way is not broken off: it
/// might arrive after the one that takes the mark back.
async fn show(client: &OpenApiClient, marked: &Marked, end: &mut oneshot::Receiver<()>) -> bool {
    let Marked { robot_code, conversation_id, msg_id } = marked;
    let mut may_be_shown = false;
    for pause in SHOW {
        if tokio::time::timeout(pause, &mut *end).await.is_ok() {
            return may_be_shown;
        }
        match client.show_thinking(robot_code, conversation_id, msg_id).await {
            Ok(()) => return true,
            Err(e) => {
                may_be_shown |= e.is_ambiguous();
                debug!(msg_id = msg_id.as_str(), "a message is not marked: {e}");
                if !is_worth_another_try(&e) {
                    return may_be_shown;
                }
            }
        }
    }
    may_be_shown
}

async fn hide(client: &OpenApiClient, marked: &Marked) {
    let Marked { robot_code, conversation_id, msg_id } = marked;
    for (index, pause) in HIDE.into_iter().enumerate() {
        tokio::time::sleep(pause).await;
        let insists = index + 1 == HIDE.len();
        match client.hide_thinking(robot_code, conversation_id, msg_id, insists).await {
            Ok(()) => return,
            Err(e) => {
                debug!(msg_id = msg_id.as_str(), "a message's mark stays: {e}");
                let no_room = matches!(e, OpenApiError::NotSpared { .. }) || e.is_too_fast();
                if !no_room && !is_worth_another_try(&e) {
                    return;
                }
            }
        }
    }
}

/// Whether the call may have come too early, or to a server in trouble.
fn is_worth_another_try(e: &OpenApiError) -> bool {
    match e {
        OpenApiError::Status { code, .. } if code == "system.err" => true,
        e => e.is_retryable() && !e.is_too_fast(),
    }
}
