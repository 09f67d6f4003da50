//! Where a database is, and as whom; shown without the password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use url::form_urlencoded;

use crate::redact::Secret;

/// A URL such as `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; several hosts stand one after the other with commas.
/// `Display` and `Debug` show no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    url: Secret,
    servers: Vec<Server>,
    ssl_mode: SslMode,
    root_cert: Option<PathBuf>,
    shown: String,
}

/// One of the hosts.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// How to connect to it.
    pub(super) config: Config,
    /// `HOST:PORT`, or the directory of its socket.
    pub(super) place: String,
}

/// Text that is no address of a database. It does not hold the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins otherwise.
    #[error("a database is named as postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Scheme,
    /// A setting behind `?` is not known.
    #[error(
        "the database's address has a setting that is not known behind its ?: it takes {}; %3F stands for a ? in \
         a password",
        SETTINGS.join(", ")
    )]
    Setting,
    /// `sslmode` has another value.
    #[error(
        "sslmode is one of disable, prefer, require, verify-ca, verify-full; a certificate is checked in any case"
    )]
    SslMode,
    /// `target_session_attrs` has another value.
    #[error(
        "target_session_attrs is read-write or primary: messages are kept where they can be written, and of several \
         hosts that one is looked for in any case"
    )]
    SessionAttrs,
    /// There is no host, or hosts, addresses and ports do not belong together.
    #[error(
        "name a host in the database's address, and of several each with its port, or one port for all: \
         postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE"
    )]
    Hosts,
    /// The rest of it.
    #[error(
        "the database's address cannot be understood: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, and in a \
         password %40 for @, %3A for :, %2F for /, %23 for #, %25 for %"
    )]
    Other,
}

/// What may stand behind the `?`.
const SETTINGS: &[&str] = &[
    "application_name",
    "connect_timeout",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "options",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// Limit for making a connection, unless the address has one; and the silence after which a link is given up.
const TIMEOUT: Duration = Duration::from_secs(2);

impl PostgresAddress {
    /// Whether a text names a PostgreSQL database rather than anything else.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// The hosts, in the order they are tried.
    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Whether connections are in TLS.
    pub(super) fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// The PEM file of whom to trust instead of what the system trusts.
    pub(super) fn root_cert(&self) -> Option<&Path> {
        self.root_cert.as_deref()
    }
}

impl FromStr for PostgresAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if !Self::is_meant(text) {
            return Err(AddressError::Scheme);
        }
        let (main, settings) = text.split_once('?').unwrap_or((text, ""));
        let mut url = main.to_owned();
        let mut sign = '?';
        let mut root_cert = None;
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').ok_or(AddressError::Setting)?;
            if !SETTINGS.contains(&name) {
                return Err(AddressError::Setting);
            }
            // The name in a certificate is always checked.
            let value = match (name, value) {
                ("sslmode", "verify-ca" | "verify-full") => "require",
                ("sslmode", "disable" | "prefer" | "require") => value,
                ("sslmode", _) => return Err(AddressError::SslMode),
                // The first is what there is without it. After a failover the old primary may be a standby, so that
                // each is asked in any case.
                ("sslrootcert", "system") | ("target_session_attrs", "read-write" | "primary") => {
                    continue;
                }
                ("sslrootcert", path) => {
                    root_cert = Some(unescaped(path));
                    continue;
                }
                ("target_session_attrs", _) => return Err(AddressError::SessionAttrs),
                _ => value,
            };
            url.extend([&sign.to_string(), name, "=", value]);
            sign = '&';
        }
        let mut config = Config::from_str(&url).map_err(|_| AddressError::Other)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("ddingtalk");
        }
        config.tcp_user_timeout(TIMEOUT * 2);
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(TIMEOUT);
        }
        config.keepalives_interval(TIMEOUT);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let servers = servers(&config).ok_or(AddressError::Hosts)?;
        let ssl_mode = config.get_ssl_mode();
        Ok(Self { url: Secret::new(text), servers, ssl_mode, root_cert, shown: shown(main) })
    }
}

/// A path as it stands in a URL.
fn unescaped(path: &str) -> PathBuf {
    // A plus sign is one here.
    let pair = format!("path={}", path.replace('+', "%2B"));
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, path)| PathBuf::from(path.into_owned())).unwrap_or_default()
}

/// Each host by itself, so that one that says nothing keeps nobody from the others. `None` if there is none, or their
/// numbers do not agree.
fn servers(config: &Config) -> Option<Vec<Server>> {
    let (hosts, addresses, ports) =
        (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    let fit = |len: usize| len == 0 || len == count;
    if count == 0
        || !fit(hosts.len())
        || !fit(addresses.len())
        || !(fit(ports.len()) || ports.len() == 1)
    {
        return None;
    }
    let server = |n: usize| {
        let mut one = like(config);
        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        one.port(port);
        let mut place = String::new();
        if let Some(address) = addresses.get(n) {
            one.hostaddr(*address);
            place = format!("{address}:{port}");
        }
        match hosts.get(n) {
            Some(Host::Tcp(host)) => {
                one.host(host);
                place = format!("{host}:{port}");
            }
            Some(Host::Unix(path)) => {
                one.host_path(path);
                place = path.display().to_string();
            }
            None => {}
        }
        Server { config: one, place }
    };
    Some((0..count).map(server).collect())
}

/// The same without hosts.
fn like(config: &Config) -> Config {
    let mut one = Config::new();
    one.ssl_mode(config.get_ssl_mode());
    one.ssl_negotiation(config.get_ssl_negotiation());
    one.target_session_attrs(config.get_target_session_attrs());
    one.keepalives(config.get_keepalives());
    one.keepalives_idle(config.get_keepalives_idle());
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(dbname) = config.get_dbname() {
        one.dbname(dbname);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        one.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    one
}

/// Without the password.
fn shown(main: &str) -> String {
    let (scheme, rest) = main.split_once("://").unwrap_or(("postgres", main));
    match rest.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => main.to_owned(),
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::{Host, SslMode};

    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (text, shown) in [
            ("postgres://bot:s3cr3t@db:5433/chat", "postgres://bot@db:5433/chat"),
            (
                "postgresql://bot:s%40:3@a:1,b:2/chat?sslmode=verify-full",
                "postgresql://bot@a:1,b:2/chat",
            ),
            ("postgres://bot:s@3@db/chat", "postgres://bot@db/chat"),
            ("postgres://db/chat", "postgres://db/chat"),
            ("postgres://bot@/chat?host=/run/pg", "postgres://bot@/chat"),
        ] {
            let address = PostgresAddress::from_str(text).unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert!(!format!("{address:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for (text, error) in [
            ("mysql://s3cr3t@db/chat", AddressError::Scheme),
            ("postgres://u:s3cr3t@db/chat?sslmode=s3cr3t", AddressError::SslMode),
            ("postgres://u:s3cr3t?1@db/chat", AddressError::Setting),
            ("postgres://u:p@db/chat?s3cr3t=1", AddressError::Setting),
            ("postgres://u:p@db:s3cr3t/chat", AddressError::Other),
            ("postgres:///chat", AddressError::Hosts),
            ("postgres://u@a:1,b:2,c/chat?port=3", AddressError::Hosts),
            ("postgres://u@a/chat?target_session_attrs=any", AddressError::SessionAttrs),
        ] {
            let found = PostgresAddress::from_str(text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("s3cr3t"));
        }
    }

    #[test]
    fn tls_is_asked_for_as_libpq_does() {
        for (mode, config) in [
            ("disable", SslMode::Disable),
            ("require", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            let text = format!("postgres://u@a,b/c?sslmode={mode}&connect_timeout=9");
            let address = PostgresAddress::from_str(&text).unwrap();
            assert_eq!(address.ssl_mode(), config);
            for (server, host) in address.servers().iter().zip(["a", "b"]) {
                assert_eq!(server.config.get_ssl_mode(), config);
                assert_eq!(server.config.get_connect_timeout(), Some(&Duration::from_secs(9)));
                assert_eq!(server.config.get_hosts(), [Host::Tcp(host.to_owned())]);
            }
        }
    }

    #[test]
    fn of_several_hosts_each_is_one_with_the_same_settings() {
        let text =
            "postgres://u:p@a:1,b:2/c?options=-cx%3D1&target_session_attrs=primary&keepalives=0";
        let address = PostgresAddress::from_str(text).unwrap();
        let places: Vec<_> = address.servers().iter().map(|server| server.place.as_str()).collect();
        assert_eq!(places, ["a:1", "b:2"]);
        for (server, port) in address.servers().iter().zip([1, 2]) {
            let config = &server.config;
            assert_eq!((config.get_user(), config.get_password()), (Some("u"), Some(&b"p"[..])));
            assert_eq!((config.get_dbname(), config.get_options()), (Some("c"), Some("-cx=1")));
            assert_eq!((config.get_ports(), config.get_hosts().len()), (&[port][..], 1));
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert!(!config.get_keepalives());
        }
        let places = |text: &str| -> Vec<_> {
            let address = PostgresAddress::from_str(text).unwrap();
            address.servers().iter().map(|server| server.place.clone()).collect()
        };
        assert_eq!(places("postgres://a,b/c"), ["a:5432", "b:5432"]);
        assert_eq!(places("postgres://u@/c?host=/run/pg"), ["/run/pg"]);
        assert_eq!(places("postgres://u@/c?hostaddr=127.0.0.1&port=7"), ["127.0.0.1:7"]);
    }

    #[test]
    fn whom_to_trust_may_be_named() {
        for (value, path) in
            [("system", None), ("/etc/db%20ca/a+b.pem", Some(Path::new("/etc/db ca/a+b.pem")))]
        {
            let text = format!("postgres://u@a/c?sslmode=verify-full&sslrootcert={value}");
            let address = PostgresAddress::from_str(&text).unwrap();
            assert_eq!(address.root_cert(), path);
        }
    }
}
