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
mod trust;
mod variables;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

pub(crate) use self::{
    authority::Authority,
    line::Line,
    trust::TrustFiles,
    variables::{Sdk, Variable, Variables},
};
use crate::{core::AppInfo, error::MockError};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Plug {
    /// Who signs for DingTalk's names.
    pub(crate) authority: Arc<Authority>,
    /// TLS with the authority's certificates.
    tls: Arc<ServerConfig>,
    /// Whether a proxy's requests for other hosts are let through to them.
    passthrough: bool,
    /// The authority's certificate on disk, once somebody needed it there.
    files: Mutex<Option<TrustFiles>>,
}

impl Plug {
    pub(crate) fn new(authority: Authority, passthrough: bool) -> Self {
        let authority = Arc::new(authority);
        let tls = authority.server_config();
        Self { authority, tls, passthrough, files: Mutex::new(None) }
    }

    /// The variables for a bot on this machine, and the files they name.
    pub(crate) fn variables(
        &self,
        sdk: Sdk,
        url: &str,
        app: &AppInfo,
    ) -> Result<Variables, MockError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match &mut *files {
            Some(files) => files,
            none => none.insert(
                TrustFiles::write(&self.authority.certificate_pem())
                    .map_err(MockError::Certificate)?,
            ),
        };
        Ok(Variables::new(sdk, url, app, files))
    }

    /// Takes the files away.
    pub(crate) fn remove_files(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
