//! The certificate authority of one mock, and the certificates it makes for DingTalk's names.
//!
//! It is made to be harmless even where somebody forgets that it is trusted: its key never leaves
//! the process, its name constraints are critical and let it speak for DingTalk's two domains and
//! for this very machine only (`localhost`, 127.0.0.1, `::1`, where whoever could abuse it is at
//! home already), it is good for TLS servers only, and it ends after 24 hours.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, DistinguishedName, DnType,
    Error, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};

use crate::core::{DINGTALK_DOMAINS, Moment, is_dingtalk};

/// How long the authority and its certificates are good: our choice.
const LIFETIME: Duration = Duration::from_hours(24);
/// Clocks of containers differ a little; a certificate of the future is refused.
const HEAD_START: Duration = Duration::from_mins(5);
/// Certificates that are kept. Bots use a handful of names.
const MAX_LEAVES: usize = 64;
/// This machine by name.
const LOCALHOST: &str = "localhost";
/// This machine by address.
const LOOPBACK: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
/// The certificate of a client that names nobody, as it does when it connects to an IP address.
/// It holds every name that such a client can mean.
const NAMELESS: [&str; 4] = ["api.dingtalk.com", LOCALHOST, "127.0.0.1", "::1"];

/// Whether the mock has a certificate for a name.
pub(super) fn speaks_for(name: &str) -> bool {
    let own = name.eq_ignore_ascii_case(LOCALHOST);
    own || is_dingtalk(name)
        || name.parse::<IpAddr>().is_ok_and(|ip| LOOPBACK.0 == ip || LOOPBACK.1 == ip)
}

/// Signs for DingTalk's names and this machine. Cheap to clone by [`Arc`]; its key is dropped with it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    window: CertificateParams,
    leaf_key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    leaves: Mutex<Leaves>,
}

/// The last certificates that were made, the oldest first.
#[derive(Default)]
struct Leaves {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    order: VecDeque<String>,
}

impl Authority {
    /// Makes keys and certificate; `now` is the wall clock at the start. It fails only without
    /// randomness.
    pub(crate) fn new(now: Moment) -> Result<Self, Error> {
        let now = Duration::from_millis(u64::try_from(now.unix_ms).unwrap_or_default());
        let epoch = date_time_ymd(1970, 1, 1);
        let mut window = CertificateParams::default();
        window.not_before = epoch + now.saturating_sub(HEAD_START);
        window.not_after = epoch + now + LIFETIME;
        window.distinguished_name = named("mock-dingtalk");

        let mut params = window.clone();
        params.distinguished_name = named("mock-dingtalk, key in memory only");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: DINGTALK_DOMAINS
                .into_iter()
                .chain([LOCALHOST])
                .map(|domain| GeneralSubtree::DnsName(domain.to_owned()))
                .chain([
                    GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(LOOPBACK.0.octets(), 32)),
                    GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(LOOPBACK.1.octets(), 128)),
                ])
                .collect(),
            // An address that no subtree permits is refused, since subtrees of its form are given
            // (RFC 5280, 4.2.1.10).
            excluded_subtrees: Vec::new(),
        });
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let leaf_key = KeyPair::generate()?;
        let der = PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into());
        let signing_key =
            ring::sign::any_ecdsa_type(&der).expect("ring reads the key that it has just made");
        Ok(Self { issuer, window, leaf_key, signing_key, leaves: Mutex::default() })
    }

    /// The authority's certificate, to be trusted by a bot. Never the key.
    pub(crate) fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A TLS server that is every DingTalk name and this machine, and nobody else.
    pub(crate) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Nothing is kept for clients that may never come back.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    /// The certificate for a name, or for those who name nobody; made when it is first asked for.
    fn leaf(&self, name: &str) -> Result<Arc<CertifiedKey>, Error> {
        let name = name.to_ascii_lowercase();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.by_name.get(&name) {
            return Ok(Arc::clone(leaf));
        }
        let names: &[&str] = if name.is_empty() { &NAMELESS } else { &[&name] };
        let chain = vec![self.sign(names)?, self.issuer.der().clone()];
        let leaf = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.signing_key)));
        if leaves.order.len() >= MAX_LEAVES
            && let Some(oldest) = leaves.order.pop_front()
        {
            leaves.by_name.remove(&oldest);
        }
        leaves.order.push_back(name.clone());
        leaves.by_name.insert(name, Arc::clone(&leaf));
        Ok(leaf)
    }

    /// Signs whatever names; that clients refuse foreign ones is the constraints' doing.
    fn sign(&self, names: &[&str]) -> Result<CertificateDer<'static>, Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_before = self.window.not_before;
        params.not_after = self.window.not_after;
        params.distinguished_name = self.window.distinguished_name.clone();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&self.leaf_key, &self.issuer)?.der().clone())
    }
}

impl ResolvesServerCert for Authority {
    /// `None` ends the handshake with an alert.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        if !name.is_empty() && !speaks_for(name) {
            return None;
        }
        match self.leaf(name) {
            Ok(leaf) => Some(leaf),
            Err(error) => {
                tracing::warn!(name, %error, "cannot make a certificate");
                None
            }
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The one crypto provider of the workspace, without installing it for the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        pki_types::{ServerName, UnixTime},
    };

    use super::{Authority, HEAD_START, LIFETIME, MAX_LEAVES, provider};
    use crate::core::Moment;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn authority() -> Authority {
        Authority::new(Moment { since_start: Duration::ZERO, unix_ms: NOW_MS }).unwrap()
    }

    /// What a client that trusts the authority, and only it, says of a certificate for `name`.
    fn verify(authority: &Authority, name: &'static str, at: Duration) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        verifier
            .unwrap()
            .verify_server_cert(
                &authority.sign(&[name]).unwrap(),
                &[],
                &ServerName::try_from(name).unwrap(),
                &[],
                UnixTime::since_unix_epoch(at),
            )
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    fn now() -> Duration {
        Duration::from_millis(NOW_MS.unsigned_abs())
    }

    #[test]
    fn clients_accept_its_certificates_for_dingtalk_and_this_machine_and_for_nobody_else() {
        let authority = authority();
        let names = [
            ("api.dingtalk.com", true),
            ("wss-open-connection-union.dingtalk.com", true),
            ("dingtalk.com", true),
            ("api.dingtalk.io", true),
            ("example.com", false),
            ("notdingtalk.com", false),
            ("dingtalk.com.example.com", false),
            ("localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("localhost.example.com", false),
            ("127.0.0.2", false),
            ("10.0.0.1", false),
            ("::2", false),
        ];
        for (name, good) in names {
            let verdict = verify(&authority, name, now());
            assert_eq!(verdict.is_ok(), good, "{name}: {verdict:?}");
            if let Err(why) = verdict {
                assert!(why.contains("NameConstraint"), "{name}: {why}");
            }
        }
    }

    #[test]
    fn it_ends_after_a_day() {
        let authority = authority();
        let second = Duration::from_secs(1);
        let begin = now().checked_sub(HEAD_START).unwrap();
        let cases = [
            (begin, true),
            (begin.checked_sub(second).unwrap(), false),
            (now() + LIFETIME, true),
            (now() + LIFETIME + second, false),
        ];
        for (at, good) in cases {
            assert_eq!(verify(&authority, "api.dingtalk.com", at).is_ok(), good, "{at:?}");
        }
    }

    #[test]
    fn its_name_constraints_are_critical() {
        let der = authority().issuer.der().to_vec();
        // An extension is its OID (2.5.29.30), then TRUE if it is critical (RFC 5280, 4.1.2.9).
        let critical = [0x06, 0x03, 0x55, 0x1d, 0x1e, 0x01, 0x01, 0xff];
        assert!(der.windows(critical.len()).any(|window| window == critical));
    }

    #[test]
    fn a_certificate_is_made_once_and_only_the_last_ones_are_kept() {
        let authority = authority();
        let first = authority.leaf("api.dingtalk.com").unwrap();
        assert!(Arc::ptr_eq(&first, &authority.leaf("API.dingtalk.com").unwrap()));
        for n in 0..MAX_LEAVES {
            authority.leaf(&format!("host{n}.dingtalk.com")).unwrap();
        }
        assert!(!Arc::ptr_eq(&first, &authority.leaf("api.dingtalk.com").unwrap()));
        let leaves = authority.leaves.lock().unwrap();
        assert_eq!((leaves.by_name.len(), leaves.order.len()), (MAX_LEAVES, MAX_LEAVES));
    }
}
