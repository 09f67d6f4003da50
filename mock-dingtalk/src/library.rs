//! The library: a mock inside the test's own process.

mod api;
mod app;
mod cards;
mod clock;
mod findings;
mod inbound;
mod journal;
#[cfg(feature = "mutations")]
mod mutations;
mod snapshots;
mod whole;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use rand::Rng;
use tokio::task::JoinHandle;

pub use self::{app::App, clock::MockClock};
use crate::{
    clock::Clock,
    core::{AppInfo, AppOptions, Fault, FaultRow, Mutations, VerbError},
    error::MockError,
    hub::{Hub, Settings},
    plug::{Authority, Plug},
    routes,
    server::{self, Port},
};

/// A running mock. It stops, and its port is free again, when this is dropped.
///
/// It lives on the tokio runtime it was started on and installs nothing global.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mock_dingtalk::MockError> {
/// let mock = mock_dingtalk::MockDingtalk::start().await?;
/// let app = mock.app();
/// // A bot would be started here, with `mock.url()`, `app.client_id()`, `app.client_secret()`.
/// let said = app.say("user0001", "hi").await?;
/// assert_eq!(said.state, mock_dingtalk::SaidState::Lost);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MockDingtalk {
    hub: Arc<Hub>,
    port: Port,
    tasks: Vec<JoinHandle<()>>,
    url: String,
    verifies: bool,
}

/// Choices before a mock starts.
#[derive(Debug, Clone)]
pub struct Builder {
    listen: SocketAddr,
    seed: Option<u64>,
    public_url: Option<String>,
    admin_token: Option<String>,
    passthrough: bool,
    lenient: bool,
    verifies: bool,
    mutations: Mutations,
}

impl Builder {
    /// Where to listen. Default: a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Seed of everything that is made up. Default: another one each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Where server-made URLs point for clients that came by one of DingTalk's own names.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// What control calls have to bring. Without it, none on loopback, and a made-up one
    /// elsewhere; see [`MockDingtalk::admin_token`].
    #[must_use]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.admin_token = Some(token.into());
        self
    }

    /// Lets a proxy's requests for hosts that are not DingTalk's through to them, instead of
    /// refusing them with 403. On loopback addresses only. Default: off.
    #[must_use]
    pub fn passthrough(mut self, passes: bool) -> Self {
        self.passthrough = passes;
        self
    }

    /// Takes what only the mock's own strictness refuses, with a remark, unless an app is minted
    /// otherwise. Default: off.
    #[must_use]
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Panics on drop if a bot called something that the mock does not model. Default: off.
    #[must_use]
    pub fn verify_on_drop(mut self, verifies: bool) -> Self {
        self.verifies = verifies;
        self
    }

    /// Starts the mock on the current tokio runtime. Returns when the port is open.
    pub async fn start(self) -> Result<MockDingtalk, MockError> {
        if let Some(url) = &self.public_url {
            let fits = url::Url::parse(url)
                .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
            if !fits {
                return Err(MockError::PublicUrl(url.clone()));
            }
        }
        if self.passthrough && !self.listen.ip().is_loopback() {
            return Err(MockError::OpenProxy(self.listen));
        }
        let (port, address) = Port::bind(self.listen)
            .await
            .map_err(|source| MockError::Listen { address: self.listen, source })?;
        let admin_token = match self.admin_token {
            Some(token) => Some(token),
            None if address.ip().is_loopback() => None,
            None => Some(format!("dingmock-admin-{:032x}", {
                let mut rng = rand::rng();
                u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
            })),
        };
        let seed = self.seed.unwrap_or_else(|| rand::rng().next_u64());
        let clock = Clock::start();
        let authority =
            Authority::new(clock.now()).map_err(|error| MockError::Authority(error.to_string()))?;
        let plug = Arc::new(Plug::new(authority, self.passthrough));
        let (public_url, lenient) = (self.public_url, self.lenient);
        let mutations = self.mutations;
        let settings = Settings { address, public_url, admin_token, lenient, mutations, plug };
        let hub = Arc::new(Hub::new(seed, clock, settings));
        let router = routes::router(Arc::clone(&hub));
        let tasks = vec![
            tokio::spawn(server::serve(port.clone(), Arc::clone(&hub), router)),
            tokio::spawn({
                let hub = Arc::clone(&hub);
                async move { hub.run_timers().await }
            }),
        ];
        let url = format!("http://{}", hub.settings.reachable());
        Ok(MockDingtalk { hub, port, tasks, url, verifies: self.verifies })
    }
}

impl MockDingtalk {
    /// Starts a mock on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self, MockError> {
        Self::builder().start().await
    }

    /// Chooses before starting.
    pub fn builder() -> Builder {
        Builder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: None,
            public_url: None,
            admin_token: None,
            passthrough: false,
            lenient: false,
            verifies: false,
            mutations: Mutations::default(),
        }
    }

    /// `http://HOST:PORT`: the base URL of both DingTalk hosts, of the control API and of the
    /// chat page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `ws://HOST:PORT/connect`, where the gateway takes connections.
    pub fn ws_url(&self) -> String {
        self.url.replacen("http", "ws", 1) + "/connect"
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.hub.settings.address
    }

    /// What control calls have to bring, if anything.
    pub fn admin_token(&self) -> Option<&str> {
        self.hub.settings.admin_token.as_deref()
    }

    /// The certificate of the authority that signs for DingTalk's names in this mock, as PEM. It
    /// is good for 24 hours, for those names only, and its key exists in this process only.
    pub fn ca_pem(&self) -> String {
        self.hub.settings.plug.authority.certificate_pem()
    }

    /// Mints an app with made-up ids: a world of its own.
    pub fn app(&self) -> App {
        self.app_with(AppOptions::default()).expect("a made-up app fails no check")
    }

    /// Mints an app with chosen ids.
    pub fn app_with(&self, options: AppOptions) -> Result<App, MockError> {
        let info = self.hub.step(|fleet, now| fleet.mint_app(now, options))?;
        Ok(App::new(Arc::clone(&self.hub), info))
    }

    /// All apps, in the order of minting.
    pub fn apps(&self) -> Vec<AppInfo> {
        self.hub.look(crate::core::Fleet::infos)
    }

    /// The clock that drives those of all apps; see [`App::clock`].
    pub fn clock(&self) -> MockClock {
        MockClock::new(Arc::clone(&self.hub), None)
    }

    /// Calls of bots for which the mock has no answer, as `METHOD PATH`, the last hundred.
    pub fn unmatched(&self) -> Vec<String> {
        self.hub.look(crate::core::Fleet::unmatched)
    }

    /// Adds a rule that breaks TCP or TLS before anybody knows whose a connection is:
    /// [`When::Accept`](crate::When::Accept) or
    /// [`When::TlsHandshake`](crate::When::TlsHandshake). It meets whoever comes, the control API
    /// too, and therefore has to say how often: [`Times::First`](crate::Times::First) or
    /// [`Times::Nth`](crate::Times::Nth).
    pub fn tcp_fault(&self, fault: Fault) -> Result<FaultRow, MockError> {
        Ok(self.hub.step(|fleet, now| fleet.add_tcp_fault(now, fault))?)
    }

    /// The rules of [`MockDingtalk::tcp_fault`], with how often each acted.
    pub fn tcp_faults(&self) -> Vec<FaultRow> {
        self.hub.look(|fleet| fleet.tcp_faults().to_vec())
    }

    /// Removes one of them, by its id.
    pub fn remove_tcp_fault(&self, id: u64) -> Result<(), MockError> {
        match self.hub.step(|fleet, _| fleet.clear_tcp_faults(Some(id))) {
            0 => Err(VerbError::NotFound { what: "tcp fault", name: id.to_string() }.into()),
            _ => Ok(()),
        }
    }

    /// Removes them, and says how many there were.
    pub fn clear_tcp_faults(&self) -> usize {
        self.hub.step(|fleet, _| fleet.clear_tcp_faults(None))
    }

    /// Forgets all apps, and resets what is connected.
    pub fn reset(&self) {
        self.hub.step(crate::core::Fleet::reset);
    }
}

impl Drop for MockDingtalk {
    fn drop(&mut self) {
        self.port.close();
        self.hub.close_sockets();
        for task in &self.tasks {
            task.abort();
        }
        self.hub.settings.plug.remove_files();
        let unmatched = if self.verifies { self.unmatched() } else { Vec::new() };
        assert!(
            unmatched.is_empty() || std::thread::panicking(),
            "bots called what this mock does not model: {}",
            unmatched.join(", ")
        );
    }
}
