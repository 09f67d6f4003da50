//! The one TLS set-up that HTTPS and WebSocket share: rustls on ring, trusting what the system trusts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The system has none.
    #[error(
        "no trusted CA certificates: {0}; install the system's CA certificates (package \
         ca-certificates) or name a bundle in SSL_CERT_FILE"
    )]
    NoTrust(#[source] rustls::Error),
    /// The bundle that is named is not there, which would only show as certificates that nobody vouches
    /// for.
    #[error("SSL_CERT_FILE is {}, which cannot be read: {source}; name a PEM bundle, or unset it", .path.display())]
    Bundle {
        /// Its value.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file that should say whom to trust does not.
    #[error("{} names no CA: {reason}", .path.display())]
    Roots {
        /// It.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Trusts the system's roots, or the bundle that `SSL_CERT_FILE` names.
pub fn system_trust() -> Result<Arc<ClientConfig>, TlsError> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        File::open(&path).map_err(|source| TlsError::Bundle { path, source })?;
    }
    let config =
        builder().with_platform_verifier().map_err(TlsError::NoTrust)?.with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts the certificates of a PEM file, and nobody else.
pub fn trust_of(path: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let wrong = |reason: String| TlsError::Roots { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
        let cert = cert.map_err(|e| wrong(e.to_string()))?;
        roots.add(cert).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(Arc::new(builder().with_root_certificates(roots).with_no_client_auth()))
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
