//! What can go wrong for those who use the library.

use std::{io, net::SocketAddr, time::Duration};

use thiserror::Error;

use crate::{
    core::{Finding, VerbError},
    remote::ControlError,
};

/// A mock that did not start, a verb that could not be done, or something that did not happen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MockError {
    /// The port could not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The public URL is none.
    #[error("`{0}` is no public URL: it must start with http:// or https:// and have a host")]
    PublicUrl(String),
    /// No certificate authority could be made.
    #[error("cannot make a certificate authority: {0}")]
    Authority(String),
    /// The authority's certificate could not be written for a bot to read.
    #[error("cannot write the certificate into the temporary folder: {0}")]
    Certificate(#[source] io::Error),
    /// A proxy to everywhere, for everybody.
    #[error(
        "a passthrough proxy on {0} would be open to everybody: listen on a loopback address, or \
         leave passthrough out"
    )]
    OpenProxy(SocketAddr),
    /// A verb could not be done.
    #[error(transparent)]
    Verb(#[from] VerbError),
    /// A control call came to nothing.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The bot did what will not do with DingTalk.
    #[error("{}", found(.0))]
    Found(Vec<Finding>),
    /// What was waited for did not come in time.
    #[error("waited {patience:?} for {what}; {seen}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        patience: Duration,
        /// What did arrive.
        seen: String,
    },
}

/// One line for each finding.
fn found(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        format!(
            "{} ({}x): {}; expected {}",
            finding.rule, finding.count, finding.message, finding.expected
        )
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
