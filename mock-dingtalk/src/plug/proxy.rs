//! Whom a proxy's request is for.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{HeaderValue, Uri, header, uri::Authority},
};

use crate::core::{Diagnosis, Rule, is_dingtalk};

const SEE: &str = "mock-dingtalk/README.md, Plugging a bot in";

/// The addresses under which the mock itself is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    /// Where the request arrived.
    pub(super) local: SocketAddr,
    /// Where server-made URLs point, if that was chosen.
    pub(super) public_url: Option<&'a str>,
}

/// Where a request wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aim {
    /// To DingTalk, or to the mock by its own address.
    Mock,
    /// To somebody else.
    Elsewhere(Target),
}

/// A host and a port of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Aim {
    /// Of `authority`, whose port is `default_port` if it names none.
    pub(super) fn of(authority: &Authority, default_port: u16, own: Own<'_>) -> Self {
        let host = authority.host();
        let port = authority.port_u16().unwrap_or(default_port);
        if is_dingtalk(host) || own.is(host, port) {
            return Self::Mock;
        }
        Self::Elsewhere(Target { host: host.trim_matches(['[', ']']).to_owned(), port })
    }
}

impl Own<'_> {
    fn is(self, host: &str, port: u16) -> bool {
        let here = port == self.local.port()
            && match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(ip) => ip == self.local.ip(),
                Err(_) => host.eq_ignore_ascii_case("localhost") && self.local.ip().is_loopback(),
            };
        let public = self.public_url.and_then(|url| url::Url::parse(url).ok());
        here || public.is_some_and(|url| {
            url.host_str().is_some_and(|name| name.eq_ignore_ascii_case(host))
                && url.port_or_known_default() == Some(port)
        })
    }
}

/// Makes a proxy's request one for an origin server: the target loses scheme and authority, and
/// `Host` names the authority, as RFC 9112 3.2.2 wants it.
pub(super) fn to_origin_form(request: &mut Request, authority: &Authority) {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(path) = path.parse::<Uri>() {
        *request.uri_mut() = path;
    }
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(header::HOST, host);
    }
    request.headers_mut().remove("proxy-connection");
    request.headers_mut().remove(header::PROXY_AUTHORIZATION);
}

/// Why a request to somebody else is refused.
pub(super) fn foreign(what: &str) -> Diagnosis {
    Diagnosis::new(
        format!("{what}: this proxy stands for DingTalk only"),
        "a name under dingtalk.com or dingtalk.io; NO_PROXY for other hosts, or --passthrough",
        SEE,
    )
    .of(Rule::ForeignHost)
}

/// Why a tunnel in a tunnel is refused.
pub(super) fn nested(what: &str) -> Diagnosis {
    Diagnosis::new(format!("{what} inside of a CONNECT tunnel"), "one CONNECT", SEE)
}

/// Why a `CONNECT` without a host and a port is refused.
pub(super) fn no_target() -> Diagnosis {
    Diagnosis::new("CONNECT without HOST:PORT", "CONNECT api.dingtalk.com:443", SEE)
}

/// Why `https://` of somebody else is not fetched.
pub(super) fn needs_connect(what: &str) -> Diagnosis {
    Diagnosis::new(format!("{what} by its full URL"), "CONNECT, and TLS inside", SEE)
}

/// Why a host that should be passed through to was not reached.
pub(super) fn unreachable(target: &Target, why: &dyn std::fmt::Display) -> Diagnosis {
    let problem = format!("{}:{} cannot be reached: {why}", target.host, target.port);
    Diagnosis::new(problem, "a host that this machine reaches", SEE)
}

/// Why a TLS handshake was refused before any certificate.
pub(super) fn foreign_name(name: &str) -> Diagnosis {
    Diagnosis::new(
        format!("TLS for {name:?}"),
        "a name under dingtalk.com or dingtalk.io, or localhost: there is no other certificate",
        SEE,
    )
    .of(Rule::ForeignHost)
}

/// Why a client gave the handshake up.
pub(super) fn distrust(why: &dyn std::fmt::Display) -> Diagnosis {
    Diagnosis::new(
        format!("the client does not accept the mock's certificate ({why})"),
        "a client that trusts GET /_mock/ca.pem, as `mock-dingtalk env` and `run` arrange it",
        SEE,
    )
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};

    use super::{Aim, Own, Target, to_origin_form};

    #[test]
    fn dingtalk_and_the_mock_itself_are_served_here_and_nobody_else_is() {
        let own =
            Own { local: "127.0.0.1:8700".parse().unwrap(), public_url: Some("http://mock:80") };
        let elsewhere = |host: &str, port| Aim::Elsewhere(Target { host: host.to_owned(), port });
        let cases = [
            ("api.dingtalk.com:443", Aim::Mock),
            ("OAPI.DINGTALK.COM:443", Aim::Mock),
            ("api.dingtalk.io", Aim::Mock),
            ("127.0.0.1:8700", Aim::Mock),
            ("localhost:8700", Aim::Mock),
            ("mock:80", Aim::Mock),
            ("127.0.0.1:8701", elsewhere("127.0.0.1", 8701)),
            ("127.0.0.2:8700", elsewhere("127.0.0.2", 8700)),
            ("mock:8700", elsewhere("mock", 8700)),
            ("notdingtalk.com:443", elsewhere("notdingtalk.com", 443)),
            ("example.com", elsewhere("example.com", 443)),
            ("[::1]:8700", elsewhere("::1", 8700)),
        ];
        for (authority, aim) in cases {
            assert_eq!(Aim::of(&authority.parse().unwrap(), 443, own), aim, "{authority}");
        }
    }

    #[test]
    fn an_absolute_target_becomes_a_path_and_its_host_the_host_header() {
        let mut request = Request::post("https://api.dingtalk.com/v1.0/x?y=1")
            .header("host", "127.0.0.1:1")
            .header("proxy-connection", "keep-alive")
            .body(Body::empty())
            .unwrap();
        let authority = request.uri().authority().unwrap().clone();
        to_origin_form(&mut request, &authority);
        assert_eq!(request.uri().to_string(), "/v1.0/x?y=1");
        assert_eq!(request.headers()["host"], "api.dingtalk.com");
        assert!(!request.headers().contains_key("proxy-connection"));
    }
}
