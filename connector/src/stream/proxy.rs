//! The way through an HTTP proxy: `CONNECT`, as the HTTP calls of the same process take it.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Which proxy leads where.
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

impl Proxies {
    /// What the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, in capitals or not)
    /// or the system says, by the rules that the HTTP client has, too.
    pub fn system() -> Self {
        Self(Some(Arc::new(Matcher::from_system())))
    }

    /// None are used.
    pub fn none() -> Self {
        Self(None)
    }

    /// The proxy for a connection to `authority`, if it takes one.
    pub(super) fn to(&self, authority: &str, tls: bool) -> Option<Proxy> {
        let scheme = if tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{authority}/").parse().ok()?;
        self.0.as_ref()?.intercept(&uri).map(Proxy)
    }
}

impl Proxies {
    /// Host and port of the proxy on the way to `authority`, without what it wants to be told.
    pub(crate) fn on_the_way_to(&self, authority: &str, tls: bool) -> Option<String> {
        self.to(authority, tls).map(|proxy| proxy.authority())
    }
}

/// What the variables of proxies hold that has no effect, one sentence each; values may be secret and are
/// not shown.
pub fn odd_variables(var: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let target = Uri::from_static("https://api.dingtalk.com/");
    let mut odd = Vec::new();
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            let Some(value) = var(&name).filter(|value| !value.trim().is_empty()) else { continue };
            let proxy = Matcher::builder().all(value).build().intercept(&target);
            let scheme = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str());
            if !matches!(scheme, Some("http" | "https")) {
                odd.push(format!("{name} is no proxy that can be used; give http://HOST:PORT"));
            }
        }
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let Some(value) = var(name) else { continue };
        let is_odd = |entry: &&str| {
            let with_port = entry.matches(':').count() == 1;
            entry.starts_with('[') || entry.starts_with("*.") || with_port
        };
        for entry in value.split(',').map(str::trim).filter(is_odd) {
            odd.push(format!(
                "{name} has {entry:?}, which matches nothing; give a name or address without port, \
                 brackets and *."
            ));
        }
    }
    odd
}

impl fmt::Debug for Proxies {
    // A proxy's address may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Proxies(system)" } else { "Proxies(none)" })
    }
}

/// One proxy.
pub(super) struct Proxy(Intercept);

/// Bytes of a proxy's answer that are read at most.
const ANSWER: usize = 16 * 1024;

impl Proxy {
    /// Its host, without brackets.
    pub(super) fn host(&self) -> &str {
        let host = self.0.uri().host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.0.uri().port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// Whether the proxy itself is spoken to by TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.0.uri().scheme_str() == Some("https")
    }

    /// Host and port, without what it wants to be told.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.0.uri().host().unwrap_or_default(), self.port())
    }

    /// Opens a tunnel to `authority` on a connection to the proxy. The name is not looked up here.
    pub(super) async fn tunnel(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        authority: &str,
    ) -> Result<(), String> {
        if !matches!(self.0.uri().scheme_str(), Some("http" | "https")) {
            return Err("it is neither http:// nor https://".to_owned());
        }
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(auth) = self.0.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(auth.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let failed = |e: std::io::Error| e.to_string();
        stream.write_all(&request).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let mut answer = Vec::new();
        // Byte by byte, since what follows the answer is the other side's.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= ANSWER {
                return Err("its answer has no end".to_owned());
            }
            answer.push(stream.read_u8().await.map_err(failed)?);
        }
        match status(&answer) {
            Some(200..=299) => Ok(()),
            Some(407) => Err("it wants a user name and password (407); give them as \
                              http://USER:PASSWORD@HOST:PORT"
                .to_owned()),
            Some(status) => Err(format!("it answered CONNECT with HTTP {status}")),
            None => Err("its answer is no HTTP".to_owned()),
        }
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(https: &str, http: &str, no: &str) -> Proxies {
        let matcher = Matcher::builder().https(https).http(http).no(no).build();
        Proxies(Some(Arc::new(matcher)))
    }

    #[test]
    fn who_goes_through_which_proxy() {
        let proxies =
            proxies("http://u:p@proxy:8080", "plain:3128", "127.0.0.1,.inner.example,::1");
        for (authority, tls, expected) in [
            ("api.dingtalk.com:443", true, Some("proxy:8080")),
            ("api.dingtalk.com:80", false, Some("plain:3128")),
            ("127.0.0.1:7000", true, None),
            ("127.0.0.1:7000", false, None),
            ("[::1]:7000", true, None),
            ("a.inner.example:443", true, None),
            ("inner.example.com:443", true, Some("proxy:8080")),
        ] {
            let proxy = proxies.to(authority, tls).map(|proxy| proxy.authority());
            assert_eq!(proxy.as_deref(), expected, "{authority}");
        }
        assert!(Proxies::none().to("api.dingtalk.com:443", true).is_none());
        assert!(!format!("{proxies:?}").contains(":p@"));
    }

    #[test]
    fn variables_without_effect_are_named_and_never_shown() {
        let odd = |name: &'static str, value: &'static str| {
            odd_variables(|asked| (asked == name).then(|| value.to_owned()))
        };
        for (name, value) in [
            ("HTTPS_PROXY", "http://u:s3cr3t@:::bad"),
            ("all_proxy", "socks5://u:s3cr3t@proxy:1080"),
            ("no_proxy", "a, proxy:8080"),
            ("NO_PROXY", "[::1]"),
            ("NO_PROXY", "*.dingtalk.com"),
        ] {
            let odd = odd(name, value);
            assert!(odd.len() == 1 && odd[0].starts_with(name), "{name}={value}: {odd:?}");
            assert!(!odd[0].contains("s3cr3t"), "{odd:?}");
        }
        for (name, value) in [
            ("HTTPS_PROXY", "http://u:s3cr3t@proxy:8080"),
            ("HTTP_PROXY", "proxy:8080"),
            ("ALL_PROXY", "https://[::1]:8080"),
            ("HTTPS_PROXY", ""),
            ("NO_PROXY", "*, ::1, fd00::/8, 10.0.0.0/8, .dingtalk.com"),
        ] {
            assert_eq!(odd(name, value), Vec::<String>::new(), "{name}={value}");
        }
    }

    #[test]
    fn the_forms_of_no_proxy() {
        for (no, host, bypassed) in [
            ("*", "api.dingtalk.com", true),
            ("dingtalk.com", "api.dingtalk.com", true),
            (".dingtalk.com", "api.dingtalk.com", true),
            (".dingtalk.com", "dingtalk.com", true),
            ("DingTalk.COM", "api.dingtalk.com", true),
            ("talk.com", "api.dingtalk.com", false),
            (" a , api.dingtalk.com ", "api.dingtalk.com", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("fd00::/8", "[fd00::1]", true),
            ("::1", "[::1]", true),
            // These are not known, as the README says.
            ("[::1]", "[::1]", false),
            ("api.dingtalk.com:443", "api.dingtalk.com", false),
            ("*.dingtalk.com", "api.dingtalk.com", false),
            ("", "api.dingtalk.com", false),
        ] {
            let proxies = proxies("http://proxy:8080", "http://proxy:8080", no);
            for tls in [true, false] {
                let proxy = proxies.to(&format!("{host}:443"), tls);
                assert_eq!(proxy.is_none(), bypassed, "{no:?} for {host}");
            }
        }
    }

    #[test]
    fn a_proxy_with_an_ipv6_address_has_a_host_without_brackets() {
        let proxy = proxies("http://[::1]:3128", "", "").to("[fd00::1]:443", true).unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("::1", 3128));
        assert_eq!(proxy.authority(), "[::1]:3128");
    }

    async fn tunnel(answer: &str) -> (Result<(), String>, String) {
        let proxy = proxies("http://u:p@proxy:8080", "", "").to("api.dingtalk.com:443", true);
        let script = tokio::io::duplex(ANSWER * 2);
        let (mut here, mut there) = script;
        there.write_all(answer.as_bytes()).await.unwrap();
        let outcome = proxy.unwrap().tunnel(&mut here, "api.dingtalk.com:443").await;
        drop(here);
        let mut asked = String::new();
        there.read_to_string(&mut asked).await.unwrap();
        (outcome, asked)
    }

    #[tokio::test]
    async fn the_proxy_is_told_the_name_and_who_asks() {
        let (outcome, asked) = tunnel("HTTP/1.0 200 Connection established\r\nA: b\r\n\r\n").await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(
            asked,
            "CONNECT api.dingtalk.com:443 HTTP/1.1\r\nHost: api.dingtalk.com:443\r\n\
             Proxy-Authorization: Basic dTpw\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_quoted_without_the_password() {
        let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"a".repeat(ANSWER);
        for (answer, part) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user name and password"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403"),
            ("SSH-2.0-x\r\n\r\n", "no HTTP"),
            (endless.as_str(), "no end"),
        ] {
            let reason = tunnel(answer).await.0.unwrap_err();
            assert!(reason.contains(part) && !reason.contains("u:p"), "{reason}");
        }
    }
}
