//! People who write in many chats; even numbers are direct ones, odd ones groups.

use mock_dingtalk::{ConversationKind, Say, SayConversation};

/// The message `number` in a chat.
pub(crate) fn numbered(chat: usize, number: usize) -> Say {
    let conversation = (chat % 2 == 1).then(|| SayConversation {
        kind: ConversationKind::Group,
        id: None,
        title: Some(format!("Group {chat}")),
    });
    let text = format!("chat {chat} message {number}");
    Say { from: format!("user{chat:04}"), conversation, text }
}
