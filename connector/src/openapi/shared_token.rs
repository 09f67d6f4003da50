//! The access token that several processes of an app share: who needs one takes what another has fetched.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tracing::debug;

use super::access_token::{AccessToken, RENEW_EARLY, request};
use super::{OpenApiClient, OpenApiError};
use crate::redact::Secret;
use crate::unix_time::now_ms;

/// A token, and when it expires in milliseconds since 1970 UTC.
pub type Expiring = (Secret, i64);

/// Where processes of an app leave their token for each other.
pub trait TokenShelf: fmt::Debug + Send + Sync + 'static {
    /// The newest token.
    fn take(&self) -> Pin<Box<dyn Future<Output = Option<Expiring>> + Send + '_>>;

    /// Leaves a token there; whether it gets there is not waited for.
    fn put(&self, token: Secret, expires_at: i64);
}

/// So long another process's token is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The token of another process, unless it is the one that the server `refused`, or is about to expire; else a
/// fresh one, which others get. With it how long it lives.
pub(super) async fn fetch(
    shelf: &dyn TokenShelf,
    client: &OpenApiClient,
    refused: Option<&AccessToken>,
) -> Result<(AccessToken, Duration), OpenApiError> {
    let found = tokio::time::timeout(PATIENCE, shelf.take()).await.ok().flatten();
    if let Some(shared) = found.and_then(|found| usable(found, refused, now_ms())) {
        debug!("another process has an access token");
        return Ok(shared);
    }
    let (token, lifetime) = request(client).await?;
    let lives = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    shelf.put(token.secret().clone(), now_ms().saturating_add(lives));
    Ok((token, lifetime))
}

fn usable(
    (token, expires_at): Expiring,
    refused: Option<&AccessToken>,
    now: i64,
) -> Option<(AccessToken, Duration)> {
    let token = AccessToken::new(token);
    let left = Duration::from_millis(u64::try_from(expires_at.saturating_sub(now)).unwrap_or(0));
    (left > RENEW_EARLY && refused != Some(&token)).then_some((token, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_unless_it_was_refused_or_ends_soon() {
        let token = |text: &str| Secret::new(text);
        let refused = AccessToken::new(token("b"));
        let early = i64::try_from(RENEW_EARLY.as_millis()).unwrap();
        let found = |text, expires_at, refused| usable((token(text), expires_at), refused, 1_000);
        let (usable, left) = found("a", 1_000 + early + 1, Some(&refused)).unwrap();
        assert_eq!(
            (usable, left),
            (AccessToken::new(token("a")), RENEW_EARLY + Duration::from_millis(1))
        );
        assert_eq!(found("a", 1_000 + early, None), None);
        assert_eq!(found("a", i64::MIN, None), None);
        assert_eq!(found("b", i64::MAX, Some(&refused)), None);
    }
}
