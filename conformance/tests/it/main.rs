//! The program as a user meets it, as a process of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

mod cli;
mod reports;
mod run;
mod support;
