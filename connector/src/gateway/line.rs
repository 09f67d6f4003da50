//! A robot's connection. It may be made before there is anything to work with: frames wait in it then, and are
//! not acked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::openapi::{OpenApiClient, OpenApiConfig};
use crate::protocol::{Subscription, topic};
use crate::stream::driver::{self, Dispatched, StreamConfig};
use crate::stream::life::Life;
use crate::stream::proxy::Proxies;
use crate::stream::{SessionConfig, StreamHandle, StreamState, TransportConfig};

/// What the connection of a robot needs.
#[derive(Debug)]
pub struct LineConfig {
    /// Hosts, app, TLS.
    pub openapi: OpenApiConfig,
    /// Times and limits of the stream.
    pub session: SessionConfig,
    /// Limit for TCP, TLS and WebSocket handshake together.
    pub handshake_timeout: Duration,
    /// Whether messages to people for whom the robot answers are taken, too.
    pub delegate: bool,
}

/// A connection that is made and kept from now on. Whoever does not start a robot on it [hangs
/// up](Self::hang_up).
#[derive(Debug)]
pub struct Line {
    pub(super) client: Arc<OpenApiClient>,
    pub(super) stream: Arc<StreamHandle>,
    pub(super) frames: mpsc::Receiver<Dispatched>,
    pub(super) driver: JoinHandle<()>,
}

/// How a connection is to be made.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) session: SessionConfig,
    pub(super) transport: TransportConfig,
    pub(super) delegate: bool,
}

impl Plan {
    pub(super) fn new(
        openapi: &OpenApiConfig,
        session: SessionConfig,
        handshake_timeout: Duration,
        delegate: bool,
    ) -> Self {
        let proxies = if openapi.system_proxy { Proxies::system() } else { Proxies::none() };
        let transport =
            TransportConfig { handshake_timeout, tls: Arc::clone(&openapi.tls), proxies };
        Self { session, transport, delegate }
    }
}

impl Line {
    /// Asks for endpoint and ticket at once, and connects as soon as `clearance` is true.
    pub fn open(config: LineConfig, clearance: watch::Receiver<bool>) -> Self {
        let LineConfig { openapi, session, handshake_timeout, delegate } = config;
        let plan = Plan::new(&openapi, session, handshake_timeout, delegate);
        Self::make(Arc::new(OpenApiClient::new(openapi)), plan, Some(clearance))
    }

    pub(super) fn make(
        client: Arc<OpenApiClient>,
        Plan { session, transport, delegate }: Plan,
        clearance: Option<watch::Receiver<bool>>,
    ) -> Self {
        let subscriptions = subscriptions(delegate);
        let seed = rand::random();
        let config = StreamConfig { session, transport, subscriptions, seed, clearance };
        let (stream, frames, driver) = driver::start(Arc::clone(&client), config);
        Self { client, stream: Arc::new(stream), frames, driver }
    }

    /// The connection's state, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.stream.state()
    }

    /// What it lives through.
    pub fn life(&self) -> Arc<Life> {
        self.stream.life()
    }

    /// Ends it in order.
    pub fn hang_up(&self) {
        self.stream.stop();
    }
}

/// What is asked of the gateway.
fn subscriptions(delegate: bool) -> Vec<Subscription> {
    let delegate = delegate.then_some(topic::DELEGATE_MESSAGE);
    let topics = [topic::BOT_MESSAGE, topic::CARD_CALLBACK].into_iter().chain(delegate);
    topics.map(|topic| Subscription { kind: "CALLBACK", topic }).collect()
}
