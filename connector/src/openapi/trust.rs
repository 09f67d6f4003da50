//! Which hosts a URL made by the server may name.

use url::{Host, Url};

use super::Endpoints;

/// DingTalk's own hosts, the configured endpoints, and what the operator added.
///
/// A message, or whoever forges one, must not make the connector talk to an arbitrary address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedHosts {
    /// Host and port of the configured endpoints, loopback included.
    endpoints: Vec<(String, u16)>,
    /// `--allow-host` and `allowHosts`: any port.
    allowed: Vec<String>,
}

/// Every subdomain counts too.
const DINGTALK: [&str; 2] = ["dingtalk.com", "dingtalk.io"];

/// A host name or address as `--allow-host` and `allowHosts` take it, without scheme and port.
pub fn bare_host(text: &str) -> Option<String> {
    let host = Host::parse(text).or_else(|_| Host::parse(&format!("[{text}]")));
    host.ok().map(|host| host.to_string())
}

impl TrustedHosts {
    /// Trusts DingTalk, the endpoints, and `allowed` host names.
    pub fn new(endpoints: &Endpoints, allowed: impl IntoIterator<Item = String>) -> Self {
        let endpoints = [&endpoints.openapi, &endpoints.oapi].into_iter().filter_map(authority);
        Self {
            endpoints: endpoints.collect(),
            allowed: allowed.into_iter().map(|h| h.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether `url` may be contacted.
    pub fn allows(&self, url: &Url) -> bool {
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return false;
        }
        let Some((host, port)) = authority(url) else { return false };
        let is_dingtalk = matches!(url.host(), Some(Host::Domain(_)))
            && DINGTALK.iter().any(|domain| {
                host == *domain
                    || host.strip_suffix(domain).is_some_and(|prefix| prefix.ends_with('.'))
            });
        // To DingTalk itself nothing goes in the clear: session, ticket and messages are in these URLs.
        let is_dingtalk = is_dingtalk && matches!(url.scheme(), "https" | "wss");
        is_dingtalk || self.allowed.contains(&host) || self.endpoints.contains(&(host, port))
    }
}

impl TrustedHosts {
    /// Whether a file may be fetched from `url`: what [`allows`](Self::allows), and the storage of
    /// DingTalk's cloud, whose presigned addresses are plain HTTP at times.
    pub fn allows_storage(&self, url: &Url) -> bool {
        if self.allows(url) {
            return true;
        }
        let (Some(Host::Domain(host)), "http" | "https") = (url.host(), url.scheme()) else {
            return false;
        };
        if !matches!(url.port_or_known_default(), Some(80 | 443)) {
            return false;
        }
        let host = host.to_ascii_lowercase();
        let below = |domain: &str| host.strip_suffix(domain)?.strip_suffix('.');
        // Other services of that cloud have names of their own there, some of them their customers'.
        let is_bucket = |name: &str| {
            name.rsplit_once('.').is_some_and(|(_, service)| service.starts_with("oss-"))
        };
        DINGTALK.iter().any(|domain| below(domain).is_some())
            || below(STORAGE).is_some_and(is_bucket)
    }
}

/// Where presigned addresses lead: a bucket below a region of Alibaba Cloud OSS
/// (`bucket.oss-cn-zhangjiakou.aliyuncs.com`).
const STORAGE: &str = "aliyuncs.com";

fn authority(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_ascii_lowercase(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dingtalk_the_endpoints_and_allowed_hosts_are_trusted() {
        let endpoints = Endpoints {
            openapi: Url::parse("http://127.0.0.1:8080").unwrap(),
            oapi: Url::parse("https://oapi.example.org").unwrap(),
        };
        let trusted = TrustedHosts::new(&endpoints, ["Files.Example.com".to_owned()]);
        for (url, allowed) in [
            ("https://oapi.dingtalk.com/robot/sendBySession?session=1", true),
            ("wss://wss-open-connection-union.dingtalk.com:443/connect", true),
            ("https://api.dingtalk.io/x", true),
            ("http://oapi.dingtalk.com/robot/sendBySession?session=1", false),
            ("ws://wss-open-connection.dingtalk.com/connect", false),
            ("https://dingtalk.com.evil.org/", false),
            ("https://evildingtalk.com/", false),
            ("https://dingtalk.com@evil.org/", false),
            ("ws://127.0.0.1:8080/connect", true),
            ("http://127.0.0.1:8081/", false),
            ("http://localhost:8080/", false),
            ("wss://oapi.example.org/connect", true),
            ("https://files.example.com:9/", true),
            ("file:///etc/passwd", false),
            ("http://169.254.169.254/", false),
        ] {
            assert_eq!(trusted.allows(&Url::parse(url).unwrap()), allowed, "{url}");
        }
    }

    #[test]
    fn files_come_from_dingtalks_storage_too() {
        let trusted = TrustedHosts::default();
        for (url, allowed) in [
            ("https://down.dingtalk.com/media/x.png", true),
            ("http://down.dingtalk.com/media/x.png", true),
            ("http://zjk-dingtalk.oss-cn-zhangjiakou.aliyuncs.com/f?Signature=x", true),
            ("https://b.oss-cn-hangzhou.aliyuncs.com:443/f", true),
            ("http://b.oss-cn-hangzhou.aliyuncs.com:8080/f", false),
            ("https://oss-cn-hangzhou.aliyuncs.com/f", false),
            ("https://oss-x.ecs.aliyuncs.com/f", false),
            ("https://api.cn-hangzhou.fc.aliyuncs.com/f", false),
            ("http://down.dingtalk.com:22/f", false),
            ("https://aliyuncs.com/f", false),
            ("https://evilaliyuncs.com/f", false),
            ("https://aliyuncs.com.evil.org/f", false),
            ("http://169.254.169.254/latest", false),
            ("http://127.0.0.1/f", false),
            ("ftp://down.dingtalk.com/f", false),
        ] {
            assert_eq!(trusted.allows_storage(&Url::parse(url).unwrap()), allowed, "{url}");
        }
    }
}
