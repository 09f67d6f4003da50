//! One connection, driven from a thread that is nobody's runtime.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Connection, Error, Socket, Statement};

use super::super::StoreError;
use super::super::replicas::ReplicaId;
use super::address::Server;
use super::tls::{Stream, Tls};
use super::{Me, PostgresAddress};
use crate::tls::{no_trust, system_trust, trust_of};

/// So long an answer is waited for; then the link is given up. A server that is slower than that is as good as away.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// The same for making a connection: the hosts of an address share it, and none gets less than its own limit.
const CONNECT: Duration = Duration::from_secs(5);

/// The same for what an operator asks, which may have to look at all that is kept.
const SEARCH: Duration = Duration::from_secs(600);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    address: PostgresAddress,
    tls: Tls,
    me: Arc<Me>,
    /// So long an answer to a statement is waited for.
    answer: Duration,
}

/// What went wrong with a connection.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// It broke, or was never made, or nothing is answered on it. Another one may do.
    Away(String),
    /// The server refuses what was asked for, and would again.
    Refused(StoreError),
}

impl Trouble {
    pub(super) fn error(self) -> StoreError {
        match self {
            Self::Away(reason) => StoreError::Unreachable { reason },
            Self::Refused(error) => error,
        }
    }
}

impl Connector {
    pub(super) fn new(address: &PostgresAddress, me: &Arc<Me>) -> Result<Self, StoreError> {
        let tls = match (address.ssl_mode(), address.root_cert()) {
            (SslMode::Disable, _) => Ok(no_trust()),
            (_, Some(path)) => trust_of(path),
            (_, None) => system_trust(),
        };
        let tls = tls.map_err(|e| StoreError::Open {
            place: address.to_string(),
            reason: e.to_string(),
            fix: "name the PEM file of its CA in its address (sslrootcert=/PATH), or say sslmode=disable there \
                  where the way to it is safe",
        })?;
        let (address, me) = (address.clone(), Arc::clone(me));
        Ok(Self { address, tls: Tls::new(&tls), me, answer: ANSWER })
    }

    /// Makes connections on which statements may take long.
    pub(super) fn patient(self) -> Self {
        Self { answer: SEARCH, ..self }
    }

    /// This process among those that share the database.
    pub(super) fn replica(&self) -> &ReplicaId {
        &self.me.id
    }

    pub(super) fn address(&self) -> &PostgresAddress {
        &self.address
    }

    /// Connects to the first host that takes writes.
    pub(super) async fn connect(
        &self,
    ) -> Result<(Client, Connection<Socket, Stream<Socket>>), Trouble> {
        let servers = self.address.servers();
        let mut troubles = Vec::new();
        for server in servers {
            match self.connect_to(server, servers.len()).await {
                Ok(connected) => return Ok(connected),
                Err(trouble) => troubles.push((server, trouble)),
            }
        }
        Err(none_of(troubles))
    }

    async fn connect_to(
        &self,
        Server { config, .. }: &Server,
        of: usize,
    ) -> Result<(Client, Connection<Socket, Stream<Socket>>), Trouble> {
        let share = CONNECT / u32::try_from(of).unwrap_or(u32::MAX);
        let limit = config.get_connect_timeout().map_or(share, |own| share.max(*own));
        match tokio::time::timeout(limit, config.connect(self.tls.clone())).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(e)) => Err(self.refusal(&e)),
            Err(_) => Err(Trouble::Away(format!("no connection within {} s", limit.as_secs_f32()))),
        }
    }

    /// How each session is to be, whatever is usual at the server. One that says nothing in the midst of a transaction has
    /// lost its process, and must not keep the others waiting until their leases are over.
    pub(super) fn session(&self) -> String {
        format!(
            "SET search_path = ddingtalk; SET idle_in_transaction_session_timeout = '1500ms';
             SET statement_timeout = 0; SET lock_timeout = 0;
             SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning; SET ddingtalk.replica = '{}';
             SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') = 'off'",
            self.me.id
        )
    }

    /// Why a connection was not made.
    fn refusal(&self, error: &Error) -> Trouble {
        let fix = match error.code() {
            Some(code)
                if *code == SqlState::INVALID_PASSWORD
                    || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
            {
                "check user and password in its address, and who is let in (pg_hba.conf)"
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
                "make it (createdb), or name another one in its address"
            }
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                "let the user connect to it and create a schema in it"
            }
            Some(_) => return Trouble::Away(reason(error)),
            None => match said(error) {
                text if text.contains("NotValidForName") || text.contains("not valid for") => {
                    "write a name of its certificate as the host in its address, or give it a certificate for this \
                     one (subjectAltName)"
                }
                text if text.contains("server does not support TLS") => {
                    "switch TLS on over there (ssl = on), or say sslmode=disable in its address where the way to it \
                     is safe"
                }
                text if text.contains("TLS") && self.address.root_cert().is_some() => {
                    "name the PEM file of the CA that vouches for its certificate as sslrootcert in its address, or \
                     give it a certificate of that one"
                }
                text if text.contains("TLS") => {
                    "name the PEM file of its CA as sslrootcert in its address (or in a bundle as SSL_CERT_FILE), or \
                     say sslmode=disable there where the way to it is safe"
                }
                text if text.contains("password missing")
                    || text.contains("invalid configuration") =>
                {
                    "write its address as postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                }
                text => return Trouble::Away(text),
            },
        };
        let (place, reason) = (self.address.to_string(), reason(error));
        Trouble::Refused(StoreError::Open { place, reason, fix })
    }
}

/// Why there is no connection to any of the hosts. One that is away may come back, and be the one.
fn none_of(mut troubles: Vec<(&Server, Trouble)>) -> Trouble {
    if troubles.len() == 1
        && let Some((_, only)) = troubles.pop()
    {
        return only;
    }
    let is_away = troubles.iter().any(|(_, trouble)| matches!(trouble, Trouble::Away(_)));
    if !is_away && let Some((_, first)) = troubles.first() {
        return first.clone();
    }
    let reason = |(server, trouble): (&Server, Trouble)| {
        let reason = match trouble {
            Trouble::Away(reason) | Trouble::Refused(StoreError::Open { reason, .. }) => reason,
            Trouble::Refused(error) => error.to_string(),
        };
        format!("{}: {reason}", server.place)
    };
    Trouble::Away(troubles.into_iter().map(reason).collect::<Vec<_>>().join("; "))
}

/// What an error says, with what it was caused by.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What the server says, else what the driver does.
fn reason(error: &Error) -> String {
    error.as_db_error().map_or_else(|| said(error), |e| e.message().to_owned())
}

/// What a statement that failed says about the connection.
pub(super) fn trouble(error: &Error) -> Trouble {
    match error.code() {
        Some(code) => {
            let class = &code.code()[..2];
            match class {
                // A statement that somebody ended may be done again.
                _ if *code == SqlState::QUERY_CANCELED => {
                    Trouble::Refused(StoreError::Failed(reason(error)))
                }
                // The connection, an operator who ends it, a standby that takes nothing, room for connections.
                "08" | "57" => Trouble::Away(reason(error)),
                _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION
                    || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                    || *code == SqlState::TOO_MANY_CONNECTIONS =>
                {
                    Trouble::Away(reason(error))
                }
                _ if *code == SqlState::DISK_FULL => Trouble::Refused(StoreError::Full),
                _ => Trouble::Refused(StoreError::Failed(reason(error))),
            }
        }
        None if error.is_closed() => Trouble::Away("the link to it broke".to_owned()),
        None => {
            let text = said(error);
            if text.contains("communicating with the server") {
                Trouble::Away(text)
            } else {
                Trouble::Refused(StoreError::Failed(text))
            }
        }
    }
}

/// A statement that the server knows, and the names of its parameters in order.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) statement: Statement,
    pub(super) names: Rc<[String]>,
}

/// A connection that stands.
pub(super) struct Link {
    pub(super) client: Rc<Client>,
    prepared: RefCell<HashMap<String, Prepared>>,
    /// What the server calls it: process, and since when.
    pub(super) backend: (i32, String),
    /// So long an answer to a statement is waited for.
    pub(super) answer: Duration,
}

impl Link {
    /// Connects; the runtime drives the connection from then on, whenever it is waited on.
    pub(super) fn connect(runtime: &Runtime, connector: &Connector) -> Result<Self, Trouble> {
        runtime.block_on(async {
            let (client, connection) = connector.connect().await?;
            tokio::spawn(async move {
                // How it ended shows where something is asked for.
                let _ = connection.await;
            });
            let backend = answered(async {
                client.batch_execute(&connector.session()).await?;
                let row = client
                    .query_one(
                        "SELECT pid, CAST(backend_start AS text) FROM pg_stat_activity
                         WHERE pid = pg_backend_pid()",
                        &[],
                    )
                    .await?;
                Ok((row.get(0), row.get(1)))
            })
            .await?;
            let (client, answer) = (Rc::new(client), connector.answer);
            Ok(Self { client, prepared: RefCell::default(), backend, answer })
        })
    }

    /// A statement with named parameters, prepared at most once.
    pub(super) fn prepare(&self, runtime: &Runtime, sql: &str) -> Result<Prepared, Trouble> {
        if let Some(prepared) = self.prepared.borrow().get(sql) {
            return Ok(prepared.clone());
        }
        let (numbered, names) = numbered(sql);
        let statement =
            runtime.block_on(answered_within(self.answer, self.client.prepare(&numbered)))?;
        let prepared = Prepared { statement, names: names.into() };
        self.prepared.borrow_mut().insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn answered<T>(
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    answered_within(ANSWER, answer).await
}

/// The same, with another limit.
pub(super) async fn answered_within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|e| trouble(&e)),
        Err(_) => Err(Trouble::Away(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// `:name` becomes `$n`; returns the names in the order of their numbers.
fn numbered(sql: &str) -> (String, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(':') {
        text.push_str(before);
        let end = after
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(after.len());
        let name = &after[..end];
        let number = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        text.push('$');
        text.push_str(&(number + 1).to_string());
        rest = &after[end..];
    }
    text.push_str(rest);
    (text, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parameters_become_numbers() {
        let (text, names) = numbered("UPDATE t SET a = :a, b = :b_c WHERE a < :a LIMIT :n");
        assert_eq!(text, "UPDATE t SET a = $1, b = $2 WHERE a < $1 LIMIT $3");
        assert_eq!(names, ["a", "b_c", "n"]);
        assert_eq!(numbered("SELECT 1"), ("SELECT 1".to_owned(), Vec::new()));
    }
}
