//! The ways in which the bot can be wrong.

use clap::ValueEnum;

/// One way to be wrong. `canaries.toml` says which cases catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Robot messages are not acked.
    NoAck,
    /// Robot messages are acked twice.
    DoubleAck,
    /// A robot message is acked by its `msgId` instead of its frame's `messageId`.
    WrongId,
    /// An ack that is owed at a SYSTEM `disconnect` goes out on the next connection.
    AckElsewhere,
    /// After the end of its connection it stays away.
    NoReconnect,
    /// It tries to connect again without a pause.
    Storm,
    /// Each text is answered twice.
    AnswersTwice,
    /// A message that comes again with another `messageId` is taken for a new one.
    DedupeByFrameId,
    /// An HTTP 200 is a success, whatever `errcode` is in it.
    IgnoresErrcode,
    /// A `sessionWebhook` is used though its `sessionWebhookExpiredTime` is over.
    ReadsExpiredWebhook,
    /// The access token is in the URL of a call.
    LeaksToken,
    /// An access token that is refused is used again.
    KeepsToken,
    /// Chats are told apart by the last 8 characters of their `conversationId`.
    Last8Characters,
    /// Of texts that come at once, the last one is answered first.
    DropsOrder,
    /// A text message that is no JSON ends the process.
    DiesOnNonJson,
    /// An EVENT that asks to be put off is put off each time.
    AlwaysLater,
    /// After SYSTEM `disconnect` it waits for the end of TCP.
    DeafAfterDisconnect,
}

impl Way {
    /// Whether it keeps something back until nothing more comes.
    pub(crate) fn keeps_back(self) -> bool {
        matches!(self, Self::AckElsewhere | Self::DropsOrder)
    }
}
