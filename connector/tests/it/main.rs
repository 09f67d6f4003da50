//! The connector over real sockets: mostly the program itself, against the mock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

mod accounts;
mod answers;
mod cards;
mod cli;
mod commands;
mod defects;
mod delivery;
mod dev;
mod durable;
mod fetch;
mod golden;
mod hostile;
mod link;
mod link_client;
mod media;
mod model;
mod openai;
mod pains;
mod pieces;
mod played;
mod policy;
mod proxy;
mod push;
mod recall;
mod reconnect;
mod refused;
mod relay;
mod scripted;
mod secrets;
mod send_errors;
mod shutdown;
mod store;
mod support;
mod thinking;
