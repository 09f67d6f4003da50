//! The connector as a library, with an agent of a test's own making.

use std::sync::Arc;
use std::time::Duration;

use dingtalk_connector::agent::{Agent, Answer, Attempt, Speaker, Turn};
use dingtalk_connector::credential::{ClientId, Credential};
use dingtalk_connector::gateway::access::{DmPolicy, GroupPolicy};
use dingtalk_connector::gateway::{Gateway, GatewayConfig};
use dingtalk_connector::openapi::{CALLS_PER_SECOND, Endpoints, OpenApiConfig, TrustedHosts};
use dingtalk_connector::redact::Secret;
use dingtalk_connector::store::Store;
use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use dingtalk_connector::stream::SessionConfig;
use dingtalk_connector::tls;
use tokio::sync::mpsc;
use url::Url;

use crate::support::World;

/// A configuration for the app of a world; all is open.
pub(crate) fn config(world: &World, agent: Arc<dyn Agent>) -> GatewayConfig {
    let url = Url::parse(world.mock.url()).unwrap();
    let endpoints = Endpoints { openapi: url.clone(), oapi: url };
    GatewayConfig {
        openapi: OpenApiConfig {
            trusted: TrustedHosts::new(&endpoints, []),
            endpoints,
            credential: Credential {
                client_id: ClientId::new(world.app.client_id()),
                client_secret: Secret::new(world.app.client_secret()),
            },
            tls: tls::no_trust(),
            system_proxy: false,
            timeout: Duration::from_secs(10),
            calls_per_second: CALLS_PER_SECOND,
        },
        session: SessionConfig::default(),
        handshake_timeout: Duration::from_secs(10),
        agent,
        state_dir: world.dir.path().to_owned(),
        dm_policy: DmPolicy::Open,
        group_policy: GroupPolicy::Open,
        show_thinking: true,
        delegate: true,
    }
}

/// The world's own database.
pub(crate) fn store(world: &World) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&world.dir.path().join(FILE)).unwrap())
}

/// Starts a gateway on the world's own database, and waits until it is connected.
pub(crate) async fn start(world: &World, agent: Arc<dyn Agent>) -> Gateway {
    let gateway = Gateway::start(config(world, agent), store(world)).await.unwrap();
    world.app.wait_connections(1).await.unwrap();
    gateway
}

/// A turn that a test answers.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) attempt: Attempt,
    pub(crate) turn: Turn,
    pub(crate) speaker: Speaker,
    /// Ends the turn when it is dropped.
    pub(crate) _end: tokio::sync::oneshot::Sender<()>,
}

/// An agent that hands its turns to a test.
#[derive(Debug)]
pub(crate) struct Scripted(mpsc::UnboundedSender<Asked>);

impl Scripted {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Asked>) {
        let (asks, asked) = mpsc::unbounded_channel();
        (Arc::new(Self(asks)), asked)
    }
}

impl Agent for Scripted {
    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        let (end, ended) = tokio::sync::oneshot::channel();
        self.0.send(Asked { attempt, turn, speaker, _end: end }).unwrap();
        Box::pin(async {
            let _ = ended.await;
            Ok(())
        })
    }
}
