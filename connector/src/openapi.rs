//! Calls to DingTalk's two HTTP hosts, and posts to the `sessionWebhook` URLs it hands out.
//!
//! `api.dingtalk.com` takes the token in a header and answers failures with 4xx/5xx and
//! `{code, message, requestid}`; `oapi.dingtalk.com` answers everything with HTTP 200 and `errcode`.
//! Every call has a timeout and a size limit, and follows no redirect.

pub mod access_token;
mod answer;
mod budget;
pub mod card;
pub mod drive;
pub mod emotion;
pub mod error;
pub mod gateway;
mod governor;
pub mod media;
pub mod message_files;
pub mod reach;
pub mod robot;
pub mod robot_sent;
pub mod session_webhook;
pub mod shared_token;
pub mod trust;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

pub use error::OpenApiError;
pub use governor::CallBudget;
pub use reach::Reached;
pub use robot::BatchSendResult;
pub use shared_token::{Expiring, TokenShelf};
pub use trust::{TrustedHosts, bare_host};

use crate::credential::Credential;
use access_token::{AccessToken, TokenCache};
use governor::Governor;

/// The two hosts; both can be replaced, for private deployments and for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// `https://api.dingtalk.com`.
    pub openapi: Url,
    /// `https://oapi.dingtalk.com`.
    pub oapi: Url,
}

/// A client for one app.
#[derive(Debug)]
pub struct OpenApiClient {
    http: reqwest::Client,
    endpoints: Endpoints,
    credential: Credential,
    trusted: TrustedHosts,
    token: TokenCache,
    /// What the processes of an app share.
    shared: OnceLock<Arc<dyn TokenShelf>>,
    governor: Governor,
}

/// What a client needs.
#[derive(Debug)]
pub struct OpenApiConfig {
    /// The hosts.
    pub endpoints: Endpoints,
    /// The app.
    pub credential: Credential,
    /// Hosts that server-made URLs may name.
    pub trusted: TrustedHosts,
    /// TLS for HTTPS hosts.
    pub tls: Arc<rustls::ClientConfig>,
    /// Whether proxies named by the environment are used.
    pub system_proxy: bool,
    /// Limit for one call, connect and body included. Default 10 s.
    pub timeout: Duration,
    /// Calls in any second, over all APIs together. Default [`CALLS_PER_SECOND`].
    pub calls_per_second: u32,
}

/// Calls in any second that no app is refused for (standard edition: 20 for an app and API).
pub const CALLS_PER_SECOND: u32 = 20;

impl OpenApiClient {
    /// Builds the client; nothing is sent yet.
    pub fn new(config: OpenApiConfig) -> Self {
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured((*config.tls).clone())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(Duration::from_secs(5)))
            .tcp_nodelay(true)
            .user_agent(concat!("ddingtalk/", env!("CARGO_PKG_VERSION")));
        if !config.system_proxy {
            http = http.no_proxy();
        }
        Self {
            http: http.build().expect("a rustls configuration and constants build a client"),
            endpoints: config.endpoints,
            credential: config.credential,
            trusted: config.trusted,
            token: TokenCache::default(),
            shared: OnceLock::new(),
            governor: Governor::new(config.calls_per_second),
        }
    }

    /// The app this client speaks for.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// POSTs JSON and reads the answer as JSON, whatever its meaning.
    async fn post(
        &self,
        call: &'static str,
        url: Url,
        headers: HeaderMap,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Value, OpenApiError> {
        self.send(Method::POST, call, url, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        call: &'static str,
        url: Url,
        headers: HeaderMap,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Value, OpenApiError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = self.http.request(method, url).header("accept", "application/json");
        let request = request.headers(headers).json(body);
        let response = request.send().await.map_err(|e| OpenApiError::transport(call, &host, e))?;
        answer::read(call, &host, response).await
    }

    /// Makes a call that needs an access token, within the call budget. A token that the server no longer
    /// takes is renewed, and the call made again, once.
    async fn with_token<T, F>(
        &self,
        call: &'static str,
        send: impl Fn(AccessToken) -> F,
    ) -> Result<T, OpenApiError>
    where
        F: Future<Output = Result<T, OpenApiError>>,
    {
        let attempt = async || {
            let token = self.token_for(call).await?;
            let admitted = self.governor.admit().await;
            let outcome = send(token.clone()).await;
            self.governor.ended(admitted);
            if outcome.as_ref().is_err_and(OpenApiError::is_bad_token) {
                self.token.forget(&token).await;
            }
            outcome
        };
        let outcome = match attempt().await {
            Err(e) if e.is_bad_token() => attempt().await,
            outcome => outcome,
        };
        self.governor.learn(&outcome);
        outcome
    }

    /// GETs with the access token in its header.
    async fn get_with_token(&self, call: &'static str, url: &Url) -> Result<Value, OpenApiError> {
        self.with_token(call, |token| self.get(call, url.clone(), token.header())).await
    }

    async fn get(
        &self,
        call: &'static str,
        url: Url,
        headers: HeaderMap,
    ) -> Result<Value, OpenApiError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = self.http.get(url).header("accept", "application/json").headers(headers);
        let response = request.send().await.map_err(|e| OpenApiError::transport(call, &host, e))?;
        answer::read(call, &host, response).await
    }

    /// POSTs with the access token in its header.
    async fn post_with_token(
        &self,
        call: &'static str,
        path: &str,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Value, OpenApiError> {
        self.send_with_token(&Method::POST, call, &self.openapi(path), body).await
    }

    /// PUTs with the access token in its header, likewise.
    async fn put_with_token(
        &self,
        call: &'static str,
        path: &str,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Value, OpenApiError> {
        self.send_with_token(&Method::PUT, call, &self.openapi(path), body).await
    }

    async fn send_with_token(
        &self,
        method: &Method,
        call: &'static str,
        url: &Url,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Value, OpenApiError> {
        let send =
            |token: AccessToken| self.send(method.clone(), call, url.clone(), token.header(), body);
        self.with_token(call, send).await
    }

    /// The same, for a call that can be left out: it is made if the call budget has room now.
    async fn send_if_spare(
        &self,
        method: &Method,
        call: &'static str,
        path: &str,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Value, OpenApiError> {
        let send = async || {
            let admitted = self.governor.admit_spare();
            let admitted = admitted.ok_or(OpenApiError::NotSpared { call })?;
            let token = self.token_for(call).await?;
            let url = self.openapi(path);
            let outcome = self.send(method.clone(), call, url, token.header(), body).await;
            self.governor.ended(admitted);
            if outcome.as_ref().is_err_and(OpenApiError::is_bad_token) {
                self.token.forget(&token).await;
            }
            outcome
        };
        let outcome = match send().await {
            Err(e) if e.is_bad_token() => send().await,
            outcome => outcome,
        };
        self.governor.learn(&outcome);
        outcome
    }

    /// The call budget as it is now.
    pub fn call_budget(&self) -> CallBudget {
        self.governor.report()
    }

    /// So many processes share the app's calls, this one among them: each makes that part of them in a second.
    pub fn share_calls(&self, live: u32) {
        self.governor.share(live);
    }

    /// Counts calls that earlier processes made in a [month](CallBudget::month).
    pub fn add_calls(&self, month: i64, calls: u64) {
        self.governor.add(month, calls);
    }

    /// A token for a call, whose failure means that the call was never made.
    async fn token_for(&self, call: &'static str) -> Result<AccessToken, OpenApiError> {
        let no_token = |cause| OpenApiError::NoToken { call, cause: Box::new(cause) };
        self.access_token().await.map_err(no_token)
    }

    /// A valid access token, from the cache, from another process, or fresh. Callers that come together wait for
    /// one request.
    pub async fn access_token(&self) -> Result<AccessToken, OpenApiError> {
        let fresh = async |refused: Option<AccessToken>| match self.shared.get() {
            Some(shared) => shared_token::fetch(&**shared, self, refused.as_ref()).await,
            None => access_token::request(self).await,
        };
        self.token.current(fresh).await
    }

    /// Shares the access token with other processes of the app from now on. The first shelf stays.
    pub fn share_token(&self, with: Arc<dyn TokenShelf>) {
        let _ = self.shared.set(with);
    }

    /// A path on the OpenAPI host.
    fn openapi(&self, path: &str) -> Url {
        below(&self.endpoints.openapi, path)
    }

    /// A path on the old host.
    fn oapi(&self, path: &str) -> Url {
        below(&self.endpoints.oapi, path)
    }
}

/// A path below whatever path a base URL has.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    url.set_path(&(prefix + path));
    url
}
