//! Asks DingTalk step by step whether a robot can work, and says what to mend where.
//!
//! Nothing is sent and nothing changed: permissions are asked by calls that DingTalk refuses for what is in
//! them, and for a missing permission before that. Whatever a failed check makes pointless is skipped, and
//! what no API tells is skipped, too, unless a message that came, or the running gateway, has shown it.

mod advice;
mod app;
mod check;
mod network;
mod report;
mod witness;

pub use advice::{Advice, Page};
pub use app::{Probe, Told, examine};
pub use check::{Check, Finding, Problem, Row, Status};
pub use network::reach;
pub use report::Report;
pub use witness::Witness;
