//! The ways in which the bot can be wrong.

use clap::ValueEnum;

/// One way to be wrong. `canaries.toml` says which cases catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Robot messages are not acked.
    NoAck,
    /// Robot messages are acked twice.
    DoubleAck,
    /// Each text is answered twice.
    AnswersTwice,
    /// A message that comes again with another `messageId` is taken for a new one.
    DedupeByFrameId,
    /// A text message that is no JSON ends the process.
    DiesOnNonJson,
    /// After SYSTEM `disconnect` it waits for the end of TCP.
    DeafAfterDisconnect,
}
