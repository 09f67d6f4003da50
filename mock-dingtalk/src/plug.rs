//! Plugging in: how bots with DingTalk's hosts built in are led here.
//!
//! One port speaks everything. The first byte tells TLS from HTTP; HTTP tells a proxy's requests
//! (`CONNECT`, absolute targets) from others by their form; inside a tunnel the first byte decides
//! again. What comes out at the end is always HTTP for the same router.

mod authority;
mod line;
mod passthrough;
mod proxy;
mod rewind;

use std::sync::Arc;

use rustls::ServerConfig;

pub(crate) use self::{authority::Authority, line::Line};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Plug {
    /// Who signs for DingTalk's names.
    pub(crate) authority: Arc<Authority>,
    /// TLS with the authority's certificates.
    tls: Arc<ServerConfig>,
    /// Whether a proxy's requests for other hosts are let through to them.
    passthrough: bool,
}

impl Plug {
    pub(crate) fn new(authority: Authority, passthrough: bool) -> Self {
        let authority = Arc::new(authority);
        let tls = authority.server_config();
        Self { authority, tls, passthrough }
    }
}
