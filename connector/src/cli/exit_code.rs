//! What the process exits with.

use std::fmt;

use crate::config::ConfigError;
use crate::gateway::StartError;
use crate::link::client::LinkError;
use crate::link::{ListenerError, ProbesError};
use crate::state_dir::StateDirError;
use crate::store::StoreError;
use crate::tls::TlsError;
use crate::traces::CollectorError;

/// Documented in `--help` and the README. 2 is the argument parser's, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0.
    Done,
    /// 1: something else failed.
    Failed,
    /// 2: the command was given what it cannot take.
    Usage,
    /// 10: a setting is missing or does not hold.
    Configuration,
    /// 11: the state directory cannot be used.
    StateDirectory,
    /// 12: an address to listen on is not available.
    Address,
    /// 13: no answer came in time.
    NoAnswer,
    /// 14: the command needs a gateway that runs.
    NoGateway,
    /// 15: a gateway runs, and not all of its robots are connected, or it does not answer.
    NotConnected,
    /// 16: the database on another machine cannot be reached.
    DatabaseAway,
    /// 20: a check of `doctor` failed.
    Unsound,
    /// 130: interrupted by the person at the terminal.
    Interrupted,
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::Configuration => 10,
            ExitCode::StateDirectory => 11,
            ExitCode::Address => 12,
            ExitCode::NoAnswer => 13,
            ExitCode::NoGateway => 14,
            ExitCode::NotConnected => 15,
            ExitCode::DatabaseAway => 16,
            ExitCode::Unsound => 20,
            ExitCode::Interrupted => 130,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(u8::from(code))
    }
}

impl ExitCode {
    /// What another process exits with, or would; what means nothing here is a failure.
    pub(super) fn of(number: u8) -> Self {
        let all = [
            Self::Usage,
            Self::Configuration,
            Self::StateDirectory,
            Self::Address,
            Self::NoAnswer,
            Self::NoGateway,
            Self::NotConnected,
        ];
        all.into_iter().find(|code| u8::from(*code) == number).unwrap_or(Self::Failed)
    }
}

/// A command that did not succeed: one sentence for a person, one code for a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit_code: ExitCode,
    message: String,
}

impl Failure {
    /// Says what, why, and what to try.
    pub fn new(exit_code: ExitCode, message: impl Into<String>) -> Self {
        Self { exit_code, message: message.into() }
    }

    /// The code.
    pub fn exit_code(&self) -> ExitCode {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self::new(ExitCode::Configuration, e.to_string())
    }
}

impl From<StateDirError> for Failure {
    fn from(e: StateDirError) -> Self {
        Self::new(ExitCode::StateDirectory, e.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        let exit_code = match e {
            StoreError::Unreachable { .. } => ExitCode::DatabaseAway,
            _ => ExitCode::StateDirectory,
        };
        Self::new(exit_code, e.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(e: StartError) -> Self {
        match e {
            StartError::Store(e) => e.into(),
            StartError::StateDir(e) => e.into(),
        }
    }
}

impl From<ListenerError> for Failure {
    fn from(e: ListenerError) -> Self {
        let exit_code = match e {
            ListenerError::NotLoopback(_) => ExitCode::Configuration,
            _ => ExitCode::Address,
        };
        Self::new(exit_code, e.to_string())
    }
}

impl From<LinkError> for Failure {
    fn from(e: LinkError) -> Self {
        let exit_code = match e {
            LinkError::NotRunning(_) => ExitCode::NoGateway,
            LinkError::Address { .. } => ExitCode::StateDirectory,
            LinkError::NoAnswer { .. } => ExitCode::NotConnected,
        };
        Self::new(exit_code, e.to_string())
    }
}

impl From<ProbesError> for Failure {
    fn from(e: ProbesError) -> Self {
        let exit_code = match e {
            ProbesError::NotLoopback(_) => ExitCode::Configuration,
            ProbesError::Bind { .. } => ExitCode::Address,
        };
        Self::new(exit_code, e.to_string())
    }
}

impl From<CollectorError> for Failure {
    fn from(e: CollectorError) -> Self {
        Self::new(ExitCode::Configuration, e.to_string())
    }
}

impl From<TlsError> for Failure {
    fn from(e: TlsError) -> Self {
        Self::new(ExitCode::Configuration, e.to_string())
    }
}
