//! How often a fault acts.

use std::time::Duration;

/// How often a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// On the next so many matching calls.
    First(u32),
    /// On every matching call.
    Always,
    /// On the one with this number only, from 1.
    Nth(u32),
    /// On each one whose number is a multiple of this.
    Every(u32),
    /// On every one for so long (on the app's clock).
    For(Duration),
    /// On this share of them, drawn from this seed: the same ones each time.
    Chance {
        /// From 0 to 100.
        percent: u8,
        /// Of the draw.
        seed: u64,
    },
    /// On every one until this has happened in the app, after the rule was made.
    Until(Happening),
}

/// What ends a fault of [`Times::Until`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// `connections/open` has handed out a ticket.
    Opened,
    /// A connection has opened. A rule for
    /// [`When::Connected`](super::When::Connected) still acts on that one.
    Connected,
    /// A push was acknowledged for the first time.
    Acked,
    /// The robot said something to people.
    Sent,
}

impl Times {
    /// Whether it acts on the match with this number, from 1, unless it is over.
    pub(super) fn acts_on(self, number: u64) -> bool {
        match self {
            Self::First(_) | Self::Always | Self::For(_) | Self::Until(_) => true,
            Self::Nth(nth) => number == u64::from(nth),
            Self::Every(step) => number.is_multiple_of(u64::from(step.max(1))),
            Self::Chance { percent, seed } => draw(seed, number) < u64::from(percent),
        }
    }

    /// How often it will act; `None` is without end, or not known.
    pub(super) fn count(self) -> Option<u32> {
        match self {
            Self::First(times) => Some(times),
            Self::Nth(_) => Some(1),
            Self::Always | Self::Every(_) | Self::For(_) | Self::Chance { .. } | Self::Until(_) => {
                None
            }
        }
    }

    /// When it is over, if that is a matter of time.
    pub(super) fn end(self, now: Duration) -> Option<Duration> {
        match self {
            Self::For(time) => Some(now.saturating_add(time)),
            _ => None,
        }
    }
}

/// A number from 0 to 99 that depends on nothing but its arguments (the finalizer of `SplitMix64`).
fn draw(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % 100
}
