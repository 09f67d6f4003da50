//! The connector over real sockets: mostly the program itself, against the mock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

mod accounts;
mod cli;
mod delivery;
mod dev;
mod durable;
mod fetch;
mod golden;
mod hostile;
mod media;
mod policy;
mod proxy;
mod reconnect;
mod refused;
mod relay;
mod secrets;
mod shutdown;
mod store;
mod support;
