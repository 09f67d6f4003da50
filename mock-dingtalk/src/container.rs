//! The mock's image as a module for the `testcontainers` crate (feature `testcontainers`).
//!
//! ```no_run
//! use mock_dingtalk::container::{MockContainer, MockDingtalkImage};
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let mock = MockContainer::start(MockDingtalkImage::default()).await?;
//! let app = mock.app().await?;
//! let _bot = std::process::Command::new("my-bot").envs(app.env().await?).spawn()?;
//! app.wait_connections(1).await?;
//! app.say("user0001", "hello").await?;
//! assert_eq!(app.wait_sent(1).await?[0].text, "hello yourself");
//! # Ok(())
//! # }
//! ```
//!
//! The container goes when its [`MockContainer`] is dropped. `docs/container.md` shows the same in
//! other languages.

use std::borrow::Cow;

use serde_json::json;
/// The crate in the version that this module is for.
pub use testcontainers;
use testcontainers::{
    ContainerAsync, ContainerRequest, Image, TestcontainersError,
    core::{ContainerPort, WaitFor},
    runners::AsyncRunner as _,
};
use thiserror::Error;
use url::{Host, Url};

use crate::remote::{ControlClient, ControlError, RemoteApp};

/// The image of the mock.
///
/// It is ready when it has printed its ready line. More of the container is set with
/// [`testcontainers::ImageExt`]: another tag or name, a network, the arguments of
/// `mock-dingtalk serve`.
#[derive(Debug, Clone)]
pub struct MockDingtalkImage {
    admin_token: String,
}

impl MockDingtalkImage {
    /// Name of the image, as `.ci/image` and the head of `Dockerfile` build it.
    pub const NAME: &str = "mock-dingtalk";
    /// Tag of the image that belongs to this crate: its version.
    pub const TAG: &str = env!("CARGO_PKG_VERSION");
    /// Port in the container on which everything is spoken.
    pub const PORT: ContainerPort = ContainerPort::Tcp(8700);

    /// What control calls have to bring, since the container's port is no loopback one. A random
    /// token is chosen if this is not called.
    #[must_use]
    pub fn with_admin_token(self, token: impl Into<String>) -> Self {
        Self { admin_token: token.into() }
    }

    /// What control calls have to bring.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }
}

impl Default for MockDingtalkImage {
    fn default() -> Self {
        Self { admin_token: uuid::Uuid::new_v4().simple().to_string() }
    }
}

impl Image for MockDingtalkImage {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn tag(&self) -> &str {
        Self::TAG
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        // In the ready line, which is printed when the port is bound. Podman has no health checks in
        // images that are built its own way, so they are not waited for.
        vec![WaitFor::message_on_stdout(r#""wsUrl":"#)]
    }

    fn env_vars(
        &self,
    ) -> impl IntoIterator<Item = (impl Into<Cow<'_, str>>, impl Into<Cow<'_, str>>)> {
        [("MOCK_DINGTALK_ADMIN_TOKEN", self.admin_token.as_str())]
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        &[Self::PORT]
    }
}

/// Why there is no mock in a container.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Docker is not there, has not the image and cannot pull it, or the container does not start.
    #[error("the mock's container does not start")]
    Container(#[from] TestcontainersError),
    /// It starts, and cannot be spoken to.
    #[error("the mock's container cannot be spoken to")]
    Control(#[from] ControlError),
    /// Docker gives an address that is no part of a URL.
    #[error("the mock's container is at `{0}`, which is no address")]
    Address(String),
}

/// A mock in a container that runs, removed when this is dropped.
#[derive(Debug)]
pub struct MockContainer {
    container: ContainerAsync<MockDingtalkImage>,
    control: ControlClient,
}

impl MockContainer {
    /// Starts a container, and waits until its mock takes calls (at most 60 s, or the request's own
    /// `startup_timeout`).
    pub async fn start(
        request: impl Into<ContainerRequest<MockDingtalkImage>>,
    ) -> Result<Self, ContainerError> {
        let container = request.into().start().await?;
        let port = container.get_host_port_ipv4(MockDingtalkImage::PORT).await?;
        let host = match container.get_host().await? {
            // The port is mapped from an IPv4 address, and `localhost` may be another one first.
            Host::Domain(name) if name == "localhost" => "127.0.0.1".to_owned(),
            host => host.to_string(),
        };
        let url = format!("http://{host}:{port}");
        let url = Url::parse(&url).map_err(|_| ContainerError::Address(url))?;
        let token = container.image().admin_token().to_owned();
        let control = ControlClient::to(&url)?.with_token(Some(token));
        Ok(Self { container, control })
    }

    /// Where the mock is for whoever is outside of the container, such as
    /// `http://127.0.0.1:49153`: the base URL of both of DingTalk's APIs. The URLs that it makes
    /// for bots lead through the same mapped port.
    pub fn url(&self) -> &Url {
        self.control.url()
    }

    /// Makes control calls; it brings the admin token.
    pub fn control(&self) -> &ControlClient {
        &self.control
    }

    /// Mints an app, a world of its own.
    pub async fn app(&self) -> Result<RemoteApp, ControlError> {
        RemoteApp::mint(self.control.clone(), &json!({})).await
    }

    /// The container.
    pub fn container(&self) -> &ContainerAsync<MockDingtalkImage> {
        &self.container
    }
}

#[cfg(test)]
mod tests {
    use testcontainers::{ContainerRequest, Image as _, ImageExt as _};

    use super::MockDingtalkImage;

    #[test]
    fn images_have_tokens_of_their_own_and_hand_them_over() {
        let [one, other] = [MockDingtalkImage::default(), MockDingtalkImage::default()];
        assert_ne!(one.admin_token(), other.admin_token());
        let request = ContainerRequest::from(one.with_admin_token("mine"));
        let variables: Vec<_> = request.env_vars().collect();
        assert_eq!(variables, [("MOCK_DINGTALK_ADMIN_TOKEN".into(), "mine".into())]);
        assert_eq!(request.expose_ports(), [MockDingtalkImage::PORT]);
        assert_eq!(request.descriptor(), concat!("mock-dingtalk:", env!("CARGO_PKG_VERSION")));
        assert_eq!(other.with_tag("test").descriptor(), "mock-dingtalk:test");
        assert_eq!(MockDingtalkImage::default().ready_conditions().len(), 1);
    }
}
