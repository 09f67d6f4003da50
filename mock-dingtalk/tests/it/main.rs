//! The mock over real sockets, seen from outside: by HTTP, by WebSocket, and as a process.

#![expect(clippy::unwrap_used, reason = "in a test, what must be there is unwrapped")]

mod connections;
mod control;
mod faults;
mod fixtures;
mod inbound;
mod isolation;
mod messages;
mod openapi;
mod presets;
mod process;
mod support;
