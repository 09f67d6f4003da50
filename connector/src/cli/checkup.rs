//! Asks DingTalk about an app, for whoever wants to know: `doctor`, the wizard, `channels status --probe`. The
//! checks are those of [`doctor`](crate::doctor), by the way that a gateway would take.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::access::{StoreFlag, reader};
use super::exit_code::Failure;
use super::inbox::{CLOSED, OPEN};
use crate::config::{self, ProcessEnvironment};
use crate::credential::{ClientId, Credential};
use crate::doctor::{Probe, Report, Witness, examine};
use crate::gateway::push::Target;
use crate::link::client::{LinkClient, LinkError};
use crate::openapi::{CALLS_PER_SECOND, Endpoints, OpenApiClient, OpenApiConfig, TrustedHosts};
use crate::store::{Newest, StoreReader};
use crate::stream::TransportConfig;
use crate::stream::proxy::Proxies;

/// By which way DingTalk is asked.
#[derive(Debug, Clone)]
pub(super) struct Checkup {
    endpoints: Endpoints,
    tls: Arc<rustls::ClientConfig>,
    timeout: Duration,
    /// Hosts that URLs made by the server may name.
    allowed: Vec<String>,
}

/// What may be done for the checks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Consent<'a> {
    /// No connection may be made.
    pub(super) no_connect: bool,
    /// This one may be sent a test message.
    pub(super) send_to: Option<&'a Target>,
}

/// Limit for each step, unless a flag says something else.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Checkup {
    /// At the hosts that the environment names.
    pub(super) fn new() -> Result<Self, Failure> {
        let endpoints = config::endpoints(&ProcessEnvironment)?;
        let tls = super::gateway::tls_for(&endpoints)?;
        Ok(Self::at(endpoints, tls, TIMEOUT))
    }

    /// The same, where these hosts are allowed, too.
    pub(super) fn allowing(&self, hosts: &[String]) -> Self {
        Self { allowed: [&self.allowed, hosts].concat(), ..self.clone() }
    }

    /// At these hosts.
    pub(super) fn at(
        endpoints: Endpoints,
        tls: Arc<rustls::ClientConfig>,
        timeout: Duration,
    ) -> Self {
        Self { endpoints, tls, timeout, allowed: Vec::new() }
    }

    /// Calls in an app's name.
    pub(super) fn client(&self, credential: &Credential) -> OpenApiClient {
        OpenApiClient::new(OpenApiConfig {
            endpoints: self.endpoints.clone(),
            credential: credential.clone(),
            trusted: TrustedHosts::new(&self.endpoints, self.allowed.iter().cloned()),
            tls: Arc::clone(&self.tls),
            system_proxy: true,
            timeout: self.timeout,
            calls_per_second: CALLS_PER_SECOND,
        })
    }

    /// How connections are made.
    pub(super) fn transport(&self) -> TransportConfig {
        TransportConfig {
            handshake_timeout: self.timeout,
            tls: Arc::clone(&self.tls),
            proxies: Proxies::system(),
        }
    }

    /// Asks all there is to ask about an app.
    pub(super) async fn app(
        &self,
        report: &mut Report,
        (account, credential): (&str, &Credential),
        known: &Known,
        consent: Consent<'_>,
    ) {
        let probe = Probe {
            account,
            client: &self.client(credential),
            base: &self.endpoints.openapi,
            transport: &self.transport(),
            witness: known.of_app(&credential.client_id),
            connects: !consent.no_connect,
            send_to: consent.send_to,
        };
        examine(report, &probe).await;
    }
}

/// What the gateway of a state directory knows, if there is one. Nothing is written for it.
#[derive(Debug, Default)]
pub(super) struct Known {
    status: Value,
    /// Why its gateway could not be asked.
    unasked: Option<LinkError>,
    store: Option<Box<dyn StoreReader>>,
}

/// The newest message of an app is looked for among so many.
const NEWEST: usize = 500;

impl Known {
    /// Of a state directory; without one nothing is known.
    pub(super) async fn of(dir: Option<&Path>, store: &StoreFlag) -> Self {
        let Some(dir) = dir else { return Self::default() };
        let asked = match LinkClient::open(dir) {
            Ok(link) => link.get(&["v1", "status"]).await,
            Err(e) => Err(e),
        };
        let (status, unasked) = match asked {
            Ok((_, status)) => (status, None),
            Err(e) => (Value::Null, Some(e)),
        };
        // One that cannot be read is the gateway's to complain about.
        let store = store.find(dir).and_then(|store| reader(&store)).ok();
        Self { status, unasked, store }
    }

    /// Why its gateway could not be asked.
    pub(super) fn unasked(&self) -> Option<&LinkError> {
        self.unasked.as_ref()
    }

    /// The state of an app's connection; `null` where no gateway runs, or not with this app.
    pub(super) fn stream(&self, client_id: &ClientId) -> Value {
        self.robot(client_id).map(|robot| robot["stream"].clone()).into()
    }

    fn robot(&self, client_id: &ClientId) -> Option<&Value> {
        let mut robots = self.status["robots"].as_array()?.iter();
        robots.find(|robot| robot["clientId"].as_str() == Some(client_id.as_str()))
    }

    fn of_app(&self, client_id: &ClientId) -> Witness {
        let connected = self.robot(client_id).filter(|robot| robot["stream"] == "connected");
        Witness {
            connected_since: connected.and_then(|robot| robot["streamSince"].as_i64()),
            newest: self.newest(client_id),
        }
    }

    fn newest(&self, client_id: &ClientId) -> Option<Newest> {
        let kept = self.store.as_ref()?.list(&[OPEN, CLOSED].concat(), NEWEST).ok()?;
        let newest = kept.into_iter().rev().find(|kept| kept.client_id == *client_id)?;
        Some(Newest { received_at: newest.received_at, data: newest.data })
    }
}
