//! How a connection ends, or stops working.

use std::fmt;

/// How a connection ends, or stops working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The TCP connection is reset, without a Close frame.
    Rst,
    /// The TCP connection ends in order, without a Close frame.
    Fin,
    /// A WebSocket Close frame, then the end.
    Close {
        /// The close code, 1000 to 4999.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
    /// The connection stays and nothing passes any more, in either direction. The mock keeps
    /// pushing to it until the bot gives it up.
    BlackHole,
    /// The same in one direction; the other one works.
    OneWay(Direction),
}

impl Cut {
    /// Whether the connection is over by it.
    pub(crate) fn ends(&self) -> bool {
        !matches!(self, Self::BlackHole | Self::OneWay(_))
    }
}

/// What a one-way black hole swallows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the mock sends.
    ToBot,
    /// What the bot sends: the mock does not see it.
    FromBot,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rst => f.write_str("rst"),
            Self::Fin => f.write_str("fin"),
            Self::BlackHole => f.write_str("blackhole"),
            Self::OneWay(Direction::ToBot) => f.write_str("blackhole toBot"),
            Self::OneWay(Direction::FromBot) => f.write_str("blackhole fromBot"),
            Self::Close { code, reason } => write!(f, "close {code} {reason}"),
        }
    }
}
