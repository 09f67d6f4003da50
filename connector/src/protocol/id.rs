//! Identifiers, one type each, because DingTalk names three different things almost alike.

/// Declares a newtype over an opaque, case-sensitive wire string.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Wraps a wire value as it is; ids are opaque and their case matters.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The wire value.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// `headers.messageId`: names one *frame*. A redelivered message may come in a frame with a new one.
    MessageId
}
id! {
    /// `msgId` of a chat message: stays the same over redeliveries.
    MsgId
}
id! {
    /// `headers.eventId`: the idempotency key of an EVENT frame.
    EventId
}
id! {
    /// `conversationId` (`cid…==`): a chat with one person, or a group.
    ConversationId
}
id! {
    /// `senderStaffId`: the userId of a person of the robot's organisation.
    SenderStaffId
}
id! {
    /// `senderId` (`$:LWCP_v1:$…`): the encrypted id every sender has.
    SenderId
}
id! {
    /// `robotCode`: equals the app's `clientId` for an organisation's own apps.
    RobotCode
}
id! {
    /// `processQueryKey`: names a message that the robot sent by the robot API; a card's `carrierId`.
    ProcessQueryKey
}
