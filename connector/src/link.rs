//! The agent link: HTTP on this machine, by which programs get turns, answer them, and push messages.
//!
//! ```text
//! GET  /v1/agent/turns                 the turns, one JSON object a line, as long as it is read
//! POST /v1/agent/turns/{id}/events     what the agent says to one of them
//! POST /v1/messages                    a message that answers nothing
//! POST /v1/messages/{key}/recall       takes a message back
//! GET  /v1/messages/{key}/read         who has read it
//! GET, POST /v1/schedules, DELETE /v1/schedules/{id}, GET /v1/schedules/{id}/runs
//! POST /v1/schedules/{id}/run, …/enable, …/disable    what is sent at given times
//! POST /v1/inbox/{id}/retry, POST /v1/inbox/{id}/drop    a message that failed, one that is to end
//! GET  /v1/status, GET /v1/metrics, GET /v1/health, GET /v1/ready
//! POST /v1/restart                     the process ends in order and begins again
//! ```
//!
//! It listens on the Unix socket `agent.sock` of the state directory, which only its owner may use, or on a
//! loopback port with a bearer token. The README has the lines and fields.
//!
//! `turns` is what is known of the open turns, without IO; `desk` puts it behind a lock and moves lines and
//! events; `server` speaks HTTP; `health` judges the process, and `probes` tells it to whoever watches.

mod body;
pub mod client;
mod desk;
mod event;
mod fields;
mod health;
mod inbox;
mod line;
mod linked;
mod listener;
mod message;
mod metrics;
mod parameters;
mod probes;
mod schedules;
mod sent;
mod server;
mod status;
mod turns;

pub use desk::Desk;
pub use health::{Health, Judgement};
pub use inbox::NO_NOTE;
pub use linked::{About, Linked, Missing, NotRestarted, RestartRequest, Robot};
pub use listener::{Listener, ListenerError};
pub use probes::{Probes, ProbesError};
pub use server::Server;
