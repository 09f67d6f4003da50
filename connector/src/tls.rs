//! The one TLS set-up that HTTPS and WebSocket share: rustls on ring, trusting what the system trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
#[error(
    "no trusted CA certificates: {0}; install the system's CA certificates (package \
     ca-certificates) or name a bundle in SSL_CERT_FILE"
)]
pub struct TlsError(#[source] rustls::Error);

/// Trusts the system's roots, or the bundle that `SSL_CERT_FILE` names.
pub fn system_trust() -> Result<Arc<ClientConfig>, TlsError> {
    let config = builder().with_platform_verifier().map_err(TlsError)?.with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts nobody: for endpoints that are all plain HTTP, where a machine without any CA certificates
/// must do. A TLS connection attempted all the same fails.
pub fn no_trust() -> Arc<ClientConfig> {
    let config = builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Arc::new(config)
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
}
