//! When something is to be done: once, every so often, or as a cron pattern has it. Pure: the time is given.

mod plan;
mod timing;

pub use plan::{LATE_MS, MADE_UP, MADE_UP_MS, Missed, Plan, plan};
pub use timing::{Timing, TimingError, Zone};
