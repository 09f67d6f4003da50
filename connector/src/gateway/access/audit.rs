//! One log line for each decision on a message (target `audit`), without a word of the message.

use tracing::info;

use super::peer;
use crate::protocol::{BotMessage, MsgId};

/// The message goes to the agent.
pub(crate) fn admitted(message: &BotMessage, rule: &str, reason: &str) {
    line(message, "admit", rule, reason);
}

/// The message goes nowhere.
pub(crate) fn refused(message: &BotMessage, rule: &str, reason: &str) {
    line(message, "refuse", rule, reason);
}

/// The message goes to the agent, which decides; the rule and reason are what the account's own rules say.
pub(crate) fn left(message: &BotMessage, rule: &str, reason: &str) {
    line(message, "left to OpenClaw", rule, reason);
}

fn line(message: &BotMessage, decision: &str, rule: &str, reason: &str) {
    info!(
        target: "audit",
        decision,
        rule,
        sender = peer(message),
        chat = %message.conversation_id,
        msg_id = message.msg_id.as_ref().map(MsgId::as_str),
        // The target is not printed.
        "audit: access: {reason}"
    );
}
