//! Where a database is, and as whom; shown without the password.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

use crate::redact::Secret;

/// A URL such as `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; several hosts stand one after the other with commas.
/// `Display` and `Debug` show no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    url: Secret,
    config: Box<Config>,
    shown: String,
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
    "load_balance_hosts",
    "options",
    "port",
    "sslmode",
    "sslnegotiation",
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

    pub(super) fn config(&self) -> &Config {
        &self.config
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
                _ => value,
            };
            url.extend([&sign.to_string(), name, "=", value]);
            sign = '&';
        }
        let mut config = Config::from_str(&url).map_err(|_| AddressError::Other)?;
        if config.get_hosts().is_empty() {
            return Err(AddressError::Other);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("ddingtalk");
        }
        config.tcp_user_timeout(TIMEOUT * 2);
        config.keepalives_idle(TIMEOUT);
        config.keepalives_interval(TIMEOUT);
        // After a failover the old primary may be a standby.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { url: Secret::new(text), config: Box::new(config), shown: shown(main) })
    }
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
            ("postgres:///chat", AddressError::Other),
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
            assert_eq!(address.config().get_ssl_mode(), config);
            assert_eq!(address.config().get_connect_timeout(), Some(&Duration::from_secs(9)));
            let hosts = ["a", "b"].map(|host| Host::Tcp(host.to_owned()));
            assert_eq!(address.config().get_hosts(), hosts);
        }
    }
}
