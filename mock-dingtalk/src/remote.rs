//! A mock that runs elsewhere, over its control API.

mod app;
mod client;

pub(crate) use self::app::{Rows, read};
pub use self::{
    app::RemoteApp,
    client::{ControlClient, ControlError},
};
