//! The agent link: HTTP on this machine, by which programs get turns, answer them, and push messages.
//!
//! ```text
//! GET  /v1/agent/turns                 the turns, one JSON object a line, as long as it is read
//! POST /v1/agent/turns/{id}/events     what the agent says to one of them
//! POST /v1/messages                    a message that answers nothing
//! GET  /v1/status, GET /v1/metrics, GET /v1/health, GET /v1/ready
//! ```
//!
//! It listens on the Unix socket `agent.sock` of the state directory, which only its owner may use, or on a
//! loopback port with a bearer token. The README has the lines and fields.
//!
//! `turns` is what is known of the open turns, without IO; `desk` puts it behind a lock and moves lines and
//! events; `server` speaks HTTP; `health` judges the process, and `probes` tells it to whoever watches.

mod body;
mod desk;
mod event;
mod fields;
mod health;
mod line;
mod listener;
mod message;
mod metrics;
mod probes;
mod server;
mod status;
mod turns;

pub use desk::Desk;
pub use health::{Health, Judgement};
pub(crate) use listener::{ADDRESS, SOCKET};
pub use listener::{Listener, ListenerError};
pub use probes::{Probes, ProbesError};
pub use server::{Linked, Robot, Server};
