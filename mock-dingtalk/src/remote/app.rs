//! One app of a mock that runs elsewhere.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, OnceCell};

use super::{ControlClient, ControlError};
use crate::{
    core::{ConnectionRow, DeliveryRow, Finding, SentRow},
    plug::TrustFiles,
};

/// How long [`RemoteApp::wait_sent`] and [`RemoteApp::wait_connections`] wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// An app of a mock that runs elsewhere. Clones are the same app.
#[derive(Debug, Clone)]
pub struct RemoteApp {
    client: ControlClient,
    client_id: Arc<str>,
    /// The mock's certificate on this machine, once somebody has asked for variables.
    files: Arc<OnceCell<TrustFiles>>,
}

/// Rows of an app at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) deliveries: Vec<DeliveryRow>,
    pub(crate) sent: Vec<SentRow>,
    pub(crate) connections: Vec<ConnectionRow>,
    /// As the control API shows them.
    pub(crate) faults: Vec<Value>,
}

impl RemoteApp {
    /// The app with this `clientId`, which has to be there.
    pub fn named(client: ControlClient, client_id: &str) -> Self {
        Self { client, client_id: client_id.into(), files: Arc::default() }
    }

    /// Mints an app; `options` is the body of `POST /_mock/apps`.
    pub async fn mint(client: ControlClient, options: &Value) -> Result<Self, ControlError> {
        let minted = client.post(client.at(&["apps"]), options).await?;
        let Some(client_id) = minted["clientId"].as_str() else {
            return Err(ControlError::NoMock("a new app has no clientId".to_owned()));
        };
        Ok(Self::named(client, client_id))
    }

    /// `clientId` (`AppKey`).
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Deletes it; its connections are reset.
    pub async fn delete(&self) -> Result<(), ControlError> {
        self.client.delete(self.at(&[])).await
    }

    /// A person writes to the robot in their direct chat; the answer is that of
    /// `POST /_mock/apps/{clientId}/messages`.
    pub async fn say(&self, user: &str, text: &str) -> Result<Value, ControlError> {
        self.call(&["messages"], Some(&json!({ "from": user, "text": text }))).await
    }

    /// What the robot said, once it is so much, or after 10 s as much as there is.
    pub async fn wait_sent(&self, count: usize) -> Result<Vec<SentRow>, ControlError> {
        self.wait_for("sent", count).await
    }

    /// The app's connections, once so many are open, or after 10 s as many as there are.
    pub async fn wait_connections(&self, count: usize) -> Result<Vec<ConnectionRow>, ControlError> {
        self.wait_for("connections", count).await
    }

    /// The variables that make a bot on this machine find the mock and be this app, as
    /// `env --sdk all` prints them. The mock's certificate is fetched into a private temporary
    /// folder, which is removed when the last clone of this is dropped.
    pub async fn env(&self) -> Result<Vec<(String, String)>, ControlError> {
        let mut url = self.client.at(&["env"]);
        url.query_pairs_mut().append_pair("sdk", "all").append_pair("clientId", &self.client_id);
        let variables: Map<String, Value> = read(self.client.get(url).await?)?;
        let files = self.files.get_or_try_init(|| self.fetch_certificate()).await?;
        let here = |(name, value): (String, Value)| {
            let value = match name.as_str() {
                "NODE_EXTRA_CA_CERTS" => files.ca.display().to_string(),
                "REQUESTS_CA_BUNDLE" | "SSL_CERT_FILE" => files.bundle.display().to_string(),
                _ => value.as_str().unwrap_or_default().to_owned(),
            };
            (name, value)
        };
        Ok(variables.into_iter().map(here).collect())
    }

    /// The app's journal as JSON lines, each secret replaced by a mark.
    pub async fn export_journal(&self) -> Result<String, ControlError> {
        let mut url = self.client.at(&["journal"]);
        url.query_pairs_mut().append_pair("app", &self.client_id).append_pair("format", "jsonl");
        let bytes = self.client.bytes(&url).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What the bot did that will not do with DingTalk.
    pub async fn findings(&self) -> Result<Vec<Finding>, ControlError> {
        read(self.client.get(self.at(&["findings"])).await?)
    }

    /// A call of `DELETE`, or of `POST` with this body, below the app.
    pub(crate) async fn call(
        &self,
        segments: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, ControlError> {
        let url = self.at(segments);
        match body {
            Some(body) => self.client.post(url, body).await,
            None => self.client.delete(url).await.map(|()| Value::Null),
        }
    }

    pub(crate) async fn rows(&self) -> Result<Rows, ControlError> {
        let list = async |name: &str| self.client.get(self.at(&[name])).await;
        Ok(Rows {
            deliveries: read(list("deliveries").await?)?,
            sent: read(list("sent").await?)?,
            connections: read(list("connections").await?)?,
            faults: read(list("faults").await?)?,
        })
    }

    /// Waits until `look` finds something in the rows, at most for `patience`. It looks again
    /// whenever something enters the app's journal. `Ok(None)` means that patience ran out.
    pub(crate) async fn wait<R>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&Rows) -> Option<R>,
    ) -> Result<Option<R>, ControlError> {
        let changed = Notify::new();
        let mut events = self.client.at(&["events"]);
        events.query_pairs_mut().append_pair("app", &self.client_id);
        let opened = async || {
            changed.notify_one();
            Ok(())
        };
        let each = |_: &str| {
            changed.notify_one();
            Ok(())
        };
        let listen = self.client.events::<ControlError>(&events, opened, each);
        let search = async {
            loop {
                changed.notified().await;
                if let Some(found) = look(&self.rows().await?) {
                    return Ok(found);
                }
            }
        };
        tokio::select! {
            found = search => found.map(Some),
            ended = listen => {
                ended?;
                Err(ControlError::NoMock("the stream of events ended".to_owned()))
            }
            () = tokio::time::sleep(patience) => Ok(None),
        }
    }

    async fn fetch_certificate(&self) -> Result<TrustFiles, ControlError> {
        let pem = self.client.bytes(&self.client.at(&["ca.pem"])).await?;
        TrustFiles::write(&String::from_utf8_lossy(&pem)).map_err(ControlError::Certificate)
    }

    async fn wait_for<T: DeserializeOwned>(
        &self,
        rows: &str,
        count: usize,
    ) -> Result<T, ControlError> {
        let mut url = self.at(&[rows]);
        url.query_pairs_mut()
            .append_pair("count", &count.to_string())
            .append_pair("wait_ms", &PATIENCE.as_millis().to_string());
        read(self.client.wait(url, PATIENCE).await?)
    }

    fn at(&self, segments: &[&str]) -> url::Url {
        self.client.at(&[&["apps", &*self.client_id], segments].concat())
    }
}

/// What rows and answers say.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, ControlError> {
    serde_json::from_value(value)
        .map_err(|error| ControlError::NoMock(format!("the answer is not as expected ({error})")))
}
