//! The access token of an app. One token serves both hosts.

use std::time::Duration;

use super::{Moment, app::AppNumber, ids::Mint, lifetime};

/// The token last handed out.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessToken {
    current: Option<(String, Duration)>,
}

/// What is to be said of a token that a call brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenCheck {
    /// It is the app's, and still valid.
    Valid,
    /// It was the app's.
    Expired,
    /// The app never had it, or has a newer one.
    Unknown,
}

impl AccessToken {
    /// The valid token with its life renewed, or a new one (KB 0033: a repeated call returns the
    /// same token and renews it).
    pub(crate) fn fetch(&mut self, mint: &mut Mint, app: AppNumber, now: Moment) -> String {
        let expires = now.since_start.saturating_add(lifetime::ACCESS_TOKEN);
        match &mut self.current {
            Some((value, until)) if *until > now.since_start => {
                *until = expires;
                value.clone()
            }
            _ => {
                let value = mint.access_token(app);
                self.current = Some((value.clone(), expires));
                value
            }
        }
    }

    /// Ends the token before its time, if there is one. The next fetch gives another one.
    pub(crate) fn revoke(&mut self) {
        self.current = None;
    }

    /// How long the token has to live; nothing if there is none.
    pub(crate) fn lives_for(&self, now: Moment) -> Duration {
        let until = self.current.as_ref().map_or(Duration::ZERO, |(_, until)| *until);
        until.saturating_sub(now.since_start)
    }

    /// The token last handed out.
    pub(crate) fn last(&self) -> Option<&str> {
        self.current.as_ref().map(|(value, _)| value.as_str())
    }

    pub(crate) fn check(&self, value: &str, now: Moment) -> TokenCheck {
        match &self.current {
            Some((current, until)) if current == value => {
                if *until > now.since_start {
                    TokenCheck::Valid
                } else {
                    TokenCheck::Expired
                }
            }
            _ => TokenCheck::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AccessToken, Mint, TokenCheck};
    use crate::core::{Moment, app::AppNumber};

    #[test]
    fn a_token_stays_the_same_until_it_expires() {
        let (mut token, mut mint) = (AccessToken::default(), Mint::new(1));
        let at = |s| Moment { since_start: Duration::from_secs(s), unix_ms: 0 };
        let first = token.fetch(&mut mint, AppNumber(1), at(0));
        assert_eq!(token.fetch(&mut mint, AppNumber(1), at(7199)), first);
        assert_eq!(token.check(&first, at(7199 + 7199)), TokenCheck::Valid);
        assert_eq!(token.check(&first, at(7199 + 7200)), TokenCheck::Expired);
        let second = token.fetch(&mut mint, AppNumber(1), at(7199 + 7200));
        assert_ne!(first, second);
        assert_eq!(token.check(&first, at(7199 + 7200)), TokenCheck::Unknown);
        token.revoke();
        assert_eq!(token.check(&second, at(7199 + 7200)), TokenCheck::Unknown);
        assert_ne!(token.fetch(&mut mint, AppNumber(1), at(7199 + 7200)), second);
    }
}
