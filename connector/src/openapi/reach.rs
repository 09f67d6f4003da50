//! Whether a host answers at all.

use std::time::SystemTime;

use reqwest::header::DATE;
use url::Url;

use super::{OpenApiClient, OpenApiError};

/// An answer, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// HTTP status.
    pub status: u16,
    /// Its `Date`: the server's clock, in whole seconds.
    pub date: Option<SystemTime>,
}

impl OpenApiClient {
    /// `GET /`: which call it would be does not matter, any answer shows that the host is there.
    pub async fn reach(&self, base: &Url) -> Result<Reached, OpenApiError> {
        const CALL: &str = "GET /";
        let host = base.host_str().unwrap_or_default();
        let request = self.http.get(base.clone()).header("accept", "application/json");
        let response = request.send().await.map_err(|e| OpenApiError::transport(CALL, host, e))?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(Reached { status: response.status().as_u16(), date })
    }
}
