//! Replies through the `sessionWebhook` that came with a message.

use reqwest::header::HeaderMap;
use url::Url;

use super::{OpenApiClient, OpenApiError};
use crate::protocol::RobotMessage;

impl OpenApiClient {
    /// `POST /robot/sendBySession?session=…` on the URL that came with the message.
    ///
    /// The URL itself is the permission: no access token is sent to it, whoever it names. It lives
    /// for about 90 min; afterwards the answer is errcode 300001. Body limit: 20,000 bytes.
    pub async fn send_by_session(
        &self,
        session_webhook: &Url,
        message: &RobotMessage,
    ) -> Result<(), OpenApiError> {
        if !self.trusted.allows(session_webhook) {
            return Err(OpenApiError::untrusted(session_webhook));
        }
        let body = message.webhook_body();
        self.post("POST /robot/sendBySession", session_webhook.clone(), HeaderMap::new(), &body)
            .await
            .map(|_| ())
    }
}
