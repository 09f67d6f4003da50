//! The app's access token: cached, renewed early, fetched by one caller at a time.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{OpenApiClient, OpenApiError};
use crate::redact::Secret;

/// Proves to both hosts that a call comes from the app. Valid for 7,200 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken(Secret);

impl AccessToken {
    /// Of what the server gave.
    pub(super) fn new(value: Secret) -> Self {
        Self(value)
    }

    /// The value, for other processes of the app.
    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }

    /// The value, for the query of the old host.
    pub(super) fn reveal(&self) -> &str {
        self.0.expose()
    }

    /// The header of the new host.
    pub(super) fn header(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // A token with a character no header may hold can only be refused by the server.
        if let Ok(mut value) = HeaderValue::from_str(self.0.expose()) {
            value.set_sensitive(true);
            headers.insert("x-acs-dingtalk-access-token", value);
        }
        headers
    }
}

/// Holds the current token.
#[derive(Debug, Default)]
pub(super) struct TokenCache {
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    current: Option<Cached>,
    /// The server refused it.
    refused: Option<AccessToken>,
    /// When the last request failed, and how: whoever waited for it shares its outcome.
    failed: Option<(Instant, OpenApiError)>,
}

#[derive(Debug)]
struct Cached {
    token: AccessToken,
    renew_at: Instant,
    expires_at: Instant,
}

/// A token is renewed this long before it expires; the server hands out a new one only then, so
/// asking earlier is pointless and asking later races the expiry.
pub(super) const RENEW_EARLY: Duration = Duration::from_secs(300);

/// No token is believed to live longer than this, whatever the server says.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// A refusal is believed so long.
const REFUSED: Duration = Duration::from_secs(30);

impl TokenCache {
    /// The cached token, or the one that `request` brings, which is told the last one that the server refused. The lock is held meanwhile, so that callers
    /// that come together make one request, and share its failure too. A renewal that fails leaves the
    /// old token in use while it lasts.
    pub(super) async fn current<F>(
        &self,
        request: impl FnOnce(Option<AccessToken>) -> F,
    ) -> Result<AccessToken, OpenApiError>
    where
        F: Future<Output = Result<(AccessToken, Duration), OpenApiError>>,
    {
        let asked = Instant::now();
        let mut slot = self.slot.lock().await;
        let now = Instant::now();
        if let Some(cached) = slot.current.as_ref().filter(|c| now < c.renew_at) {
            return Ok(cached.token.clone());
        }
        let outcome = match &slot.failed {
            Some((at, e)) if *at >= asked => Err(e.clone()),
            // A secret that is refused does not become right by being tried by each waiting answer.
            Some((at, e)) if !e.is_retryable() && now.duration_since(*at) < REFUSED => {
                Err(e.clone())
            }
            _ => request(slot.refused.clone()).await,
        };
        match outcome {
            Ok((token, lifetime)) => {
                let lifetime = lifetime.min(LONGEST);
                let fresh_for = lifetime.saturating_sub(RENEW_EARLY).max(lifetime / 10 * 9);
                slot.current = Some(Cached {
                    token: token.clone(),
                    renew_at: now + fresh_for,
                    expires_at: now + lifetime,
                });
                slot.failed = None;
                Ok(token)
            }
            Err(e) => {
                slot.failed = Some((Instant::now(), e.clone()));
                let usable = slot.current.as_ref().filter(|c| now < c.expires_at);
                usable.map(|cached| cached.token.clone()).ok_or(e)
            }
        }
    }

    /// Drops `token` if it is still the cached one: the server refused it.
    pub(super) async fn forget(&self, token: &AccessToken) {
        let mut slot = self.slot.lock().await;
        if slot.current.as_ref().is_some_and(|c| c.token == *token) {
            slot.current = None;
        }
        slot.refused = Some(token.clone());
    }
}

/// `POST /v1.0/oauth2/accessToken`: token and its lifetime.
pub(super) async fn request(
    client: &OpenApiClient,
) -> Result<(AccessToken, Duration), OpenApiError> {
    const CALL: &str = "POST /v1.0/oauth2/accessToken";
    let credential = &client.credential;
    let body = json!({
        "appKey": credential.client_id.as_str(),
        "appSecret": credential.client_secret.expose(),
    });
    let url = client.openapi("/v1.0/oauth2/accessToken");
    let host = url.host_str().unwrap_or_default().to_owned();
    let answer = client.post(CALL, url, HeaderMap::new(), &body).await?;
    match answer["accessToken"].as_str() {
        Some(token) if !token.is_empty() => {
            let seconds = answer["expireIn"].as_u64().unwrap_or(7_200);
            Ok((AccessToken(Secret::new(token)), Duration::from_secs(seconds)))
        }
        _ => Err(OpenApiError::Incomprehensible {
            call: CALL,
            host,
            status: 200,
            problem: missing("accessToken", &answer),
        }),
    }
}

/// Says which field a success lacks and which it has.
pub(super) fn missing(field: &str, answer: &Value) -> String {
    let keys: Vec<&str> =
        answer.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
    format!("the body has no `{field}`, only {keys:?}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn token(n: usize) -> AccessToken {
        AccessToken(Secret::new(n.to_string()))
    }

    fn unavailable() -> OpenApiError {
        OpenApiError::Transport {
            call: "",
            host: String::new(),
            reason: String::new(),
            ambiguous: false,
        }
    }

    #[tokio::test]
    async fn callers_that_come_together_make_one_request() {
        let cache = TokenCache::default();
        let requests = AtomicUsize::new(0);
        let ask = || {
            cache.current(|_| async {
                let n = requests.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok((token(n), Duration::from_secs(7_200)))
            })
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert_eq!(a.unwrap(), token(0));
        assert_eq!(b.unwrap(), token(0));
        assert_eq!(c.unwrap(), token(0));
        assert_eq!(requests.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_forgotten_token_is_requested_again_once() {
        let cache = TokenCache::default();
        let first =
            cache.current(|_| async { Ok((token(1), Duration::from_secs(60))) }).await.unwrap();
        cache.forget(&first).await;
        let second =
            cache.current(|_| async { Ok((token(2), Duration::from_secs(60))) }).await.unwrap();
        // A slow caller that was refused with the first token must not throw the second one away.
        cache.forget(&first).await;
        let third = cache.current(|_| async { Err(unavailable()) }).await.unwrap();
        assert_eq!((second, third), (token(2), token(2)));
    }

    #[tokio::test]
    async fn callers_that_come_together_share_a_failure() {
        let cache = TokenCache::default();
        let requests = AtomicUsize::new(0);
        let ask = || {
            cache.current(|_| async {
                requests.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Err(unavailable())
            })
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_err() && b.is_err() && c.is_err());
        assert_eq!(requests.load(Ordering::Relaxed), 1);
        assert!(ask().await.is_err());
        assert_eq!(requests.load(Ordering::Relaxed), 2, "a later caller tries again");
    }

    #[tokio::test]
    async fn a_refusal_is_believed_for_a_while() {
        let cache = TokenCache::default();
        let refused = OpenApiError::Status {
            call: "",
            host: String::new(),
            status: 401,
            code: "authFailed".to_owned(),
            message: String::new(),
            retry_after: None,
        };
        assert!(cache.current(|_| async { Err(refused) }).await.is_err());
        let asked = |_| async { panic!("it is not asked again") };
        assert!(cache.current(asked).await.is_err());
    }

    #[tokio::test]
    async fn an_absurd_lifetime_is_not_believed() {
        let cache = TokenCache::default();
        let forever = |_| async { Ok((token(1), Duration::from_secs(u64::MAX))) };
        assert_eq!(cache.current(forever).await.unwrap(), token(1));
    }

    #[tokio::test]
    async fn a_failed_request_without_a_token_is_an_error() {
        let cache = TokenCache::default();
        assert!(cache.current(|_| async { Err(unavailable()) }).await.is_err());
    }
}
