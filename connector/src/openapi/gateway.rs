//! `POST /v1.0/gateway/connections/open`.

use reqwest::header::HeaderMap;

use super::{OpenApiClient, OpenApiError};
use crate::protocol::{Endpoint, OpenConnectionRequest, Subscription};
use crate::stream::OpenFailure;

const CALL: &str = "POST /v1.0/gateway/connections/open";

impl OpenApiClient {
    /// `POST /v1.0/gateway/connections/open`: asks for an endpoint and a ticket for one WebSocket.
    ///
    /// Needs no access token; the credentials travel in the body.
    pub async fn open_connection(
        &self,
        subscriptions: &[Subscription],
    ) -> Result<Endpoint, OpenFailure> {
        let url = self.openapi("/v1.0/gateway/connections/open");
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = OpenConnectionRequest::new(&self.credential, subscriptions);
        let answer = self.post(CALL, url, HeaderMap::new(), &request).await;
        let answer = answer.map_err(|e| self.classify(&host, e))?;
        let endpoint = Endpoint::parse(&answer.to_string())
            .map_err(|e| transient(format!("{CALL}: {host} answered HTTP 200, but {e}")))?;
        if !self.trusted.allows(endpoint.url()) {
            return Err(transient(OpenApiError::untrusted(endpoint.url()).to_string()));
        }
        Ok(endpoint)
    }

    /// Tells refused credentials, which only a person can mend, from what may pass.
    fn classify(&self, host: &str, e: OpenApiError) -> OpenFailure {
        match e {
            OpenApiError::Status { status, code, message, .. }
                if status == 401 || code == "authFailed" =>
            {
                let client_id = &self.credential.client_id;
                OpenFailure::Refused {
                    reason: format!(
                        "{host} refused clientId {client_id} (HTTP {status} {code} {message}); \
                         check {} against the page 凭证与基础信息 (Credentials) of the app, for \
                         stray blanks too, and that the app is enabled",
                        self.credential.place
                    ),
                }
            }
            OpenApiError::Status { retry_after, .. } => {
                OpenFailure::Transient { reason: e.to_string(), retry_after }
            }
            e => OpenFailure::Transient { reason: e.to_string(), retry_after: e.retry_after() },
        }
    }
}

fn transient(reason: String) -> OpenFailure {
    OpenFailure::Transient { reason, retry_after: None }
}
