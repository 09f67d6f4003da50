//! Serves a recorded session again: the same answers, the same frames, at the recorded pace.
//!
//! `recording` reads an export of the journal, `script` says what a call or an answer means for
//! it; both are pure. `serve` is the port. It takes base URLs only: no proxy, no TLS.

mod outcome;
mod recording;
mod same;
mod script;
mod serve;

pub use self::{
    outcome::Outcome,
    recording::{Recording, RecordingError},
    serve::Replay,
};
