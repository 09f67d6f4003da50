//! The mock over real sockets, seen from outside: by HTTP, by WebSocket, and as a process.

#![expect(clippy::unwrap_used, reason = "in a test, what must be there is unwrapped")]

mod caller;
mod card_api;
mod catalogue;
mod cli;
mod connections;
mod control;
mod faults;
mod fixtures;
mod inbound;
mod isolation;
mod media_api;
mod messages;
mod openapi;
mod plug;
mod plug_env;
mod presets;
mod process;
mod robot_api;
mod schema;
mod support;
mod user_api;
