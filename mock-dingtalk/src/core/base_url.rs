//! Where URLs made by the server point.

/// The address a client reached the mock by, as it shall appear in `endpoint` and
/// `sessionWebhook`.
///
/// It follows the `Host` of the call, so that a port mapped out of a container works unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    http: String,
    ws: String,
}

impl BaseUrl {
    /// Takes `host` (a `Host` header) if it is fit for a URL, else the address `arrived_at`.
    ///
    /// A DingTalk name means that the client was led here by other means than a base URL: then
    /// `public_url` counts, if there is one.
    pub(crate) fn choose(host: Option<&str>, public_url: Option<&str>, arrived_at: &str) -> Self {
        match host.filter(|host| is_host(host)) {
            Some(host) if !is_dingtalk(host) => Self::plain(host),
            Some(_) => public_url.map_or_else(|| Self::plain(arrived_at), Self::public),
            None => Self::plain(arrived_at),
        }
    }

    /// From `HOST:PORT`.
    pub(crate) fn plain(host: &str) -> Self {
        Self { http: format!("http://{host}"), ws: format!("ws://{host}") }
    }

    /// From a URL that starts with `http://` or `https://`.
    pub(crate) fn public(url: &str) -> Self {
        let url = url.trim_end_matches('/');
        let ws = match url.strip_prefix("https://") {
            Some(rest) => format!("wss://{rest}"),
            None => format!("ws://{}", url.strip_prefix("http://").unwrap_or(url)),
        };
        Self { http: url.to_owned(), ws }
    }

    /// The same address as `https` and `wss`, with its port written out: the Java SDK reads the
    /// port from the URL and knows no default (stream-protocol.md 2.3). The port is the same one,
    /// since one port speaks all.
    pub(crate) fn secured(&self) -> Self {
        let (scheme, rest) = self.http.split_once("://").unwrap_or(("http", &self.http));
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, format!("/{path}")),
            None => (rest, String::new()),
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = match (has_port, scheme) {
            (true, _) => "",
            (false, "https") => ":443",
            (false, _) => ":80",
        };
        Self {
            http: format!("https://{host}{port}{path}"),
            ws: format!("wss://{host}{port}{path}"),
        }
    }

    /// `http://HOST`.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// `ws://HOST`.
    pub(crate) fn ws(&self) -> &str {
        &self.ws
    }
}

fn is_host(host: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !host.is_empty() && host.len() <= 255 && host.chars().all(fit)
}

/// The domains of DingTalk, at home and overseas (stream-protocol.md 1).
pub(crate) const DINGTALK_DOMAINS: [&str; 2] = ["dingtalk.com", "dingtalk.io"];

/// Whether a host, with or without a port, is one of DingTalk's names.
pub(crate) fn is_dingtalk(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    DINGTALK_DOMAINS.iter().any(|domain| {
        name == *domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::BaseUrl;

    #[test]
    fn the_host_of_the_call_wins_unless_it_is_dingtalks_or_unfit() {
        let public = Some("https://mock.example/");
        let cases = [
            (Some("127.0.0.1:80"), None, "http://127.0.0.1:80", "ws://127.0.0.1:80"),
            (Some("127.0.0.1:80"), public, "http://127.0.0.1:80", "ws://127.0.0.1:80"),
            (Some("mock:8080"), None, "http://mock:8080", "ws://mock:8080"),
            (Some("[::1]:80"), None, "http://[::1]:80", "ws://[::1]:80"),
            (Some("api.dingtalk.com:443"), public, "https://mock.example", "wss://mock.example"),
            (Some("API.DingTalk.com"), None, "http://here:1", "ws://here:1"),
            (Some("notdingtalk.com"), None, "http://notdingtalk.com", "ws://notdingtalk.com"),
            (Some("a b\"/"), None, "http://here:1", "ws://here:1"),
            (None, public, "http://here:1", "ws://here:1"),
        ];
        for (host, public, http, ws) in cases {
            let base = BaseUrl::choose(host, public, "here:1");
            assert_eq!((base.http(), base.ws()), (http, ws), "{host:?}");
        }
    }

    #[test]
    fn secured_urls_have_their_port_written_out() {
        let cases = [
            ("http://127.0.0.1:8700", "https://127.0.0.1:8700", "wss://127.0.0.1:8700"),
            ("http://mock", "https://mock:80", "wss://mock:80"),
            ("http://[::1]", "https://[::1]:80", "wss://[::1]:80"),
            ("http://[::1]:7", "https://[::1]:7", "wss://[::1]:7"),
            ("https://a.dingtalk.com", "https://a.dingtalk.com:443", "wss://a.dingtalk.com:443"),
            ("https://mock/below", "https://mock:443/below", "wss://mock:443/below"),
        ];
        for (url, http, ws) in cases {
            let base = BaseUrl::public(url).secured();
            assert_eq!((base.http(), base.ws()), (http, ws), "{url}");
        }
    }
}
