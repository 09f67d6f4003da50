//! The files that make a bot trust the mock's authority. No trust store of the machine is touched.

use std::{
    ffi::OsString,
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use rand::Rng;

/// Certificates in a folder of their own; both go when this is dropped. Keys are never written.
#[derive(Debug)]
pub(crate) struct TrustFiles {
    folder: PathBuf,
    /// The authority alone, for clients that add it to the usual roots.
    pub(crate) ca: PathBuf,
    /// The authority and the usual roots, for clients that take this file instead of them.
    pub(crate) bundle: PathBuf,
}

/// Where machines keep the usual roots, and what bots may have been told instead.
const ROOT_VARIABLES: [&str; 2] = ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];
const ROOTS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/lib/python3/dist-packages/certifi/cacert.pem",
];
/// The usual roots have a quarter of a megabyte; more than this is something else.
const MAX_ROOTS: u64 = 8 << 20;

impl TrustFiles {
    /// Writes them into a new folder below the machine's temporary one. Nobody else may look in.
    pub(crate) fn write(ca_pem: &str) -> io::Result<Self> {
        let name = format!("mock-dingtalk-{:016x}", rand::rng().next_u64());
        let folder = std::env::temp_dir().join(name);
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        // From here on the folder goes, whatever happens.
        let files = Self { ca: folder.join("ca.pem"), bundle: folder.join("bundle.pem"), folder };
        write_private(&files.ca, ca_pem)?;
        let chosen = ROOT_VARIABLES.iter().filter_map(std::env::var_os);
        let usual = usual_roots(chosen.chain(ROOTS.map(OsString::from)));
        write_private(&files.bundle, &format!("{ca_pem}{}", usual.unwrap_or_default()))?;
        Ok(files)
    }

    /// The folder, in which a bot's tools may keep what they make of the certificate.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for TrustFiles {
    fn drop(&mut self) {
        // Somebody may have cleaned up already.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The first of the files that is there and holds certificates.
fn usual_roots(candidates: impl Iterator<Item = OsString>) -> Option<String> {
    candidates.filter(|path| !path.is_empty()).find_map(|path| {
        let mut text = String::new();
        fs::File::open(path).ok()?.take(MAX_ROOTS).read_to_string(&mut text).ok()?;
        text.contains("BEGIN CERTIFICATE").then_some(text)
    })
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::usual_roots;

    #[test]
    fn the_first_file_with_certificates_has_the_usual_roots() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> OsString {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.into()
        };
        let second = "-----BEGIN CERTIFICATE-----\nsecond";
        let candidates = [
            OsString::new(),
            folder.path().join("missing").into(),
            file("empty", ""),
            file("second", second),
            file("third", "-----BEGIN CERTIFICATE-----\nthird"),
        ];
        assert_eq!(usual_roots(candidates.into_iter()).as_deref(), Some(second));
        assert_eq!(usual_roots(std::iter::empty()), None);
    }
}
