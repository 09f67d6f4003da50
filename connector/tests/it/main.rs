//! The connector over real sockets: mostly the program itself, against the mock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

mod cli;
mod defects;
mod delivery;
mod dev;
mod durable;
mod embedded;
mod fetch;
mod golden;
mod hostile;
mod link;
mod link_client;
mod media;
mod pieces;
mod policy;
mod push;
mod reconnect;
mod refused;
mod relay;
mod secrets;
mod shutdown;
mod store;
mod support;
mod thinking;
