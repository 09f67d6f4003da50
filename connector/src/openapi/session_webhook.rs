//! Replies through the `sessionWebhook` that came with a message.

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::access_token::missing;
use super::{OpenApiClient, OpenApiError, answer};

const CALL: &str = "POST /robot/sendBySession";

impl OpenApiClient {
    /// `POST /robot/sendBySession?session=…` on the URL that came with the message.
    ///
    /// `body` is that of [`RobotMessage::webhook_body`](crate::protocol::RobotMessage::webhook_body).
    /// The URL itself is the permission: no access token is sent to it, whoever it names. It lives
    /// for about 90 min; afterwards the answer is errcode 300001. Body limit: 20,000 bytes.
    pub async fn send_by_session(
        &self,
        session_webhook: &Url,
        body: &Value,
    ) -> Result<(), OpenApiError> {
        if !self.trusted.allows(session_webhook) {
            return Err(OpenApiError::untrusted(session_webhook));
        }
        let url = session_webhook.clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        let answer = self.post(CALL, url, HeaderMap::new(), body).await?;
        // This host says so when it has taken a message; anything else was somebody else's answer.
        if answer::errcode(&answer) == Some(0) {
            return Ok(());
        }
        let problem = missing("errcode", &answer);
        Err(OpenApiError::Incomprehensible { call: CALL, host, status: 200, problem })
    }
}
