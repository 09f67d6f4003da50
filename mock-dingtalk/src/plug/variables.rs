//! The variables that make an SDK find the mock, and what has to be done beside them.

use super::trust::TrustFiles;
use crate::core::AppInfo;

/// Whom the variables are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// The official Python SDK: a base URL, read when it is imported; and the proxy for
    /// `media/upload`, whose host is built in (stream-protocol.md 8.1).
    Python,
    /// The official Node SDK: both hosts are built in, axios obeys the proxy (8.2).
    Node,
    /// The official Go SDK: a base URL, given in code (8.3).
    Go,
    /// The official Java SDK: the hosts are built in (8.4).
    Java,
    /// `ddingtalk`.
    Connector,
    /// Every variable that harms nobody who does not need it. Java's are not among them: a JVM
    /// whose trust store is missing does not do TLS at all.
    All,
}

/// A variable and its value.
pub(crate) type Variable = (&'static str, String);

/// What plugs one bot in.
#[derive(Debug)]
pub(crate) struct Variables {
    /// In the order they are printed.
    pub(crate) variables: Vec<Variable>,
    /// What variables cannot do, a line each.
    pub(crate) notes: Vec<String>,
}

impl Variables {
    /// For an app of the mock at `url` (`http://HOST:PORT`).
    pub(crate) fn new(sdk: Sdk, url: &str, app: &AppInfo, trust: &TrustFiles) -> Self {
        let url = url.to_owned();
        let ca = trust.ca.display().to_string();
        let bundle = trust.bundle.display().to_string();
        let is = |whom: &[Sdk]| sdk == Sdk::All || whom.contains(&sdk);
        let mut variables = vec![
            ("DINGTALK_CLIENT_ID", app.client_id.clone()),
            ("DINGTALK_CLIENT_SECRET", app.client_secret.clone()),
        ];
        if is(&[Sdk::Python, Sdk::Go, Sdk::Connector]) {
            variables.push(("DINGTALK_OPENAPI_ENDPOINT", url.clone()));
        }
        if is(&[Sdk::Connector]) {
            variables.push(("DINGTALK_OAPI_ENDPOINT", url.clone()));
        }
        if is(&[Sdk::Python, Sdk::Node]) {
            // Libraries disagree on the case; where both are set, they must not differ.
            variables.push(("HTTPS_PROXY", url.clone()));
            variables.push(("https_proxy", url.clone()));
        }
        if is(&[Sdk::Node]) {
            variables.push(("NODE_EXTRA_CA_CERTS", ca.clone()));
        }
        if is(&[Sdk::Python]) {
            variables.push(("REQUESTS_CA_BUNDLE", bundle.clone()));
            variables.push(("SSL_CERT_FILE", bundle));
        }
        if sdk == Sdk::Java {
            variables.push(("JAVA_TOOL_OPTIONS", java_options(&url, trust)));
        }
        let direct = direct(&url);
        variables.push(("NO_PROXY", direct.clone()));
        variables.push(("no_proxy", direct));
        variables.push(("MOCK_DINGTALK_URL", url));
        let notes = match sdk {
            Sdk::Node => vec![
                "axios, which the SDK uses, obeys HTTPS_PROXY; Node's own fetch does not."
                    .to_owned(),
            ],
            Sdk::Go => vec![
                "The SDK reads no variable. Pass the base URL to its client:".to_owned(),
                r#"client.WithOpenApiHost(os.Getenv("DINGTALK_OPENAPI_ENDPOINT"))"#.to_owned(),
            ],
            Sdk::Java => java_notes(&ca, trust),
            Sdk::Python | Sdk::Connector | Sdk::All => Vec::new(),
        };
        Self { variables, notes }
    }
}

/// What must not go through the proxy: the mock's own address, by which its URLs lead to it.
fn direct(url: &str) -> String {
    let (host, _) = host_and_port(url);
    let mut direct = "127.0.0.1,localhost".to_owned();
    if !["127.0.0.1", "localhost"].contains(&host) {
        direct = format!("{direct},{host}");
    }
    direct
}

fn host_and_port(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let address = rest.split('/').next().unwrap_or(rest);
    match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (address, if scheme == "https" { "443" } else { "80" }),
    }
}

/// System properties of JSSE and of `java.net`.
fn java_options(url: &str, trust: &TrustFiles) -> String {
    let (host, port) = host_and_port(url);
    let host = host.trim_matches(['[', ']']);
    format!(
        "-Dhttps.proxyHost={host} -Dhttps.proxyPort={port} -Dhttp.nonProxyHosts=127.0.0.1|localhost \
         -Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStorePassword=changeit",
        java_store(trust)
    )
}

fn java_store(trust: &TrustFiles) -> String {
    trust.folder().join("truststore.p12").display().to_string()
}

fn java_notes(ca: &str, trust: &TrustFiles) -> Vec<String> {
    let store = java_store(trust);
    vec![
        "Java reads no PEM file. First make the trust store that JAVA_TOOL_OPTIONS names:"
            .to_owned(),
        format!(
            "keytool -importcert -noprompt -alias mock-dingtalk -file '{ca}' -keystore '{store}' \
             -storetype PKCS12 -storepass changeit"
        ),
        "It replaces the JVM's own roots. Mint the app with the profile tls: the SDK wants wss."
            .to_owned(),
        "These properties lead what uses java.net; that all of the SDK does has not been tried."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{direct, host_and_port};

    #[test]
    fn the_mocks_own_address_is_never_proxied() {
        let cases = [
            ("http://127.0.0.1:8700", ("127.0.0.1", "8700"), "127.0.0.1,localhost"),
            ("http://localhost:8700", ("localhost", "8700"), "127.0.0.1,localhost"),
            ("http://mock:8700", ("mock", "8700"), "127.0.0.1,localhost,mock"),
            ("https://mock/below", ("mock", "443"), "127.0.0.1,localhost,mock"),
            ("http://[::1]:8700", ("[::1]", "8700"), "127.0.0.1,localhost,[::1]"),
            ("http://[::1]", ("[::1]", "80"), "127.0.0.1,localhost,[::1]"),
        ];
        for (url, address, list) in cases {
            assert_eq!(host_and_port(url), address);
            assert_eq!(direct(url), list);
        }
    }
}
