//! The identity of one DingTalk app.

use crate::redact::Secret;

/// `clientId` of an app, formerly AppKey (企业内部应用) or SuiteKey (第三方应用). Not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Wraps an id as the developer console shows it.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The id as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an app proves itself with: `clientId` and `clientSecret` (formerly AppSecret).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Public half.
    pub client_id: ClientId,
    /// Secret half; goes into the bodies of `connections/open` and `oauth2/accessToken` only.
    pub client_secret: Secret,
    /// Where a person finds both settings, for errors.
    pub place: String,
}
