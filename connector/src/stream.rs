//! Stream mode: one live connection to DingTalk's gateway, kept whatever happens.
//!
//! [`session`] decides, without IO or clock; [`driver`] is the loop that feeds it and carries out what
//! it says; [`transport`] is the only place that knows the WebSocket crate.

pub mod driver;
mod hearing;
pub mod life;
pub mod proxy;
pub mod session;
mod socket;
pub mod transport;

pub use driver::{Dispatched, StreamConfig, StreamHandle};
pub use hearing::Hearing;
pub use session::{FrameRef, Generation, OpenFailure, Outage, SessionConfig, StreamState};
pub use transport::TransportConfig;
