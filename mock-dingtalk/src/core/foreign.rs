//! A host that is not `DingTalk`'s. The mock plays it under the other name of its own address, so that a
//! bot that goes there is seen.

use url::{Host, Url};

use super::http::HttpCall;

/// The query parameter that marks calls of the foreign host.
const MARK: &str = "mock-foreign-host";

/// The same address by another name than the one that the bot was given: `localhost` for
/// `127.0.0.1`, and the other way round. Only the port is the same.
pub(super) fn foreign(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.to_owned() };
    let other = match url.host() {
        Some(Host::Domain("localhost")) => "127.0.0.1",
        _ => "localhost",
    };
    // What is parsed as HTTP has a host that can be replaced; and if not, the mark tells all the same.
    let _ = url.set_host(Some(other));
    url.query_pairs_mut().append_pair(MARK, "1");
    url.into()
}

/// Whether a call came to the foreign host.
pub(super) fn is_foreign(call: &HttpCall) -> bool {
    call.query(MARK).is_some()
}

#[cfg(test)]
mod tests {
    use super::foreign;

    #[test]
    fn the_foreign_host_has_another_name_and_the_same_port() {
        let cases = [
            ("http://127.0.0.1:80/f?a=b%2F", "http://localhost/f?a=b%2F&mock-foreign-host=1"),
            ("http://localhost:9/f", "http://127.0.0.1:9/f?mock-foreign-host=1"),
            ("https://[::1]:9/f", "https://localhost:9/f?mock-foreign-host=1"),
            ("http://mock:8700/f", "http://localhost:8700/f?mock-foreign-host=1"),
        ];
        for (url, other) in cases {
            assert_eq!(foreign(url), other);
        }
    }
}
