//! Values that must not be seen: secrets, and URLs that carry one.

use std::fmt;

use url::Url;

/// A secret string. `Debug` shows a mask, there is no `Display` and no `Serialize`; reading it takes
/// the explicit [`Secret::expose`], so that every use can be found by its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Displays a URL without user info, and with every query value masked: `sessionWebhook` carries
/// its session, the gateway endpoint its ticket, and a presigned link its signature there.
pub struct RedactedUrl<'a>(pub &'a Url);

impl fmt::Display for RedactedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0;
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        if url.query().is_none_or(str::is_empty) {
            return Ok(());
        }
        for (n, pair) in url.query().unwrap_or_default().split('&').enumerate() {
            f.write_str(if n == 0 { "?" } else { "&" })?;
            // As it is encoded, which keeps it on one line; what has no name may be the value.
            match pair.split_once('=') {
                Some((key, _)) => write!(f, "{key}={MASK}")?,
                None => f.write_str(MASK)?,
            }
        }
        Ok(())
    }
}

/// What stands in a secret's place.
const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_shows_the_mask_only() {
        assert_eq!(format!("{:?}", Secret::new("s3cr3t")), "***");
    }

    #[test]
    fn a_redacted_url_keeps_host_and_path_and_masks_values() {
        let url =
            Url::parse("https://u:p@oapi.dingtalk.com:8443/robot/sendBySession?session=ab12&x=1")
                .unwrap();
        assert_eq!(
            RedactedUrl(&url).to_string(),
            "https://oapi.dingtalk.com:8443/robot/sendBySession?session=***&x=***"
        );
    }

    #[test]
    fn what_has_no_name_is_masked_and_a_line_stays_one() {
        for (query, shown) in
            [("", ""), ("?", ""), ("?s3cr3t", "?***"), ("?a%0Ab=1&&c=", "?a%0Ab=***&***&c=***")]
        {
            let url = Url::parse(&format!("https://host/x{query}")).unwrap();
            assert_eq!(RedactedUrl(&url).to_string(), format!("https://host/x{shown}"));
        }
    }
}
