//! From here to a host: proxy, name, port, certificate, answer, clock.

use std::time::{Duration, SystemTime};

use url::Url;

use super::advice::Advice;
use super::check::{Check, Finding, Problem};
use super::report::Report;
use crate::openapi::{OpenApiClient, Reached};
use crate::stream::proxy::odd_variables;
use crate::stream::transport::{ConnectError, TransportConfig, reach as dial};

/// A clock that is off by more than this is noticed: lifetimes of answers' addresses are told by it.
const OFF: Duration = Duration::from_secs(30);
/// And by more than this certificates and lifetimes are judged wrongly.
const FAR_OFF: Duration = Duration::from_secs(300);

/// Looks at the way to the host of `base`.
pub async fn reach(
    report: &mut Report,
    base: &Url,
    client: &OpenApiClient,
    transport: &TransportConfig,
) {
    let host = base.host_str().unwrap_or_default().to_owned();
    let port = base.port_or_known_default().unwrap_or(443);
    let is_tls = base.scheme() == "https";
    let proxy = transport.proxies.on_the_way_to(&format!("{host}:{port}"), is_tls);
    let dns = match proxy {
        Some(_) => Finding::Moot("the proxy looks the name up".to_owned()),
        None => name(base, port, transport.handshake_timeout).await,
    };
    let stands =
        if matches!(dns, Finding::Fail(_)) { None } else { Some(dial(base, transport).await) };
    report.add(Check::Proxy, &host, through(proxy.as_deref(), stands.as_ref()));
    let mut add = |check, finding| match report.blocker(check, &host, &host) {
        Some(blocker) => report.add(check, &host, Finding::Blocked(blocker)),
        None => report.add(check, &host, finding),
    };
    add(Check::Dns, dns);
    add(Check::Tcp, connected(proxy.is_some(), stands.as_ref()));
    add(Check::Tls, certified(is_tls, stands.as_ref()));
    let answer = match &stands {
        Some(Ok(())) => Some(client.reach(base).await),
        _ => None,
    };
    let sent = SystemTime::now();
    add(Check::Https, answered(answer.as_ref()));
    let date = answer.and_then(|answer| answer.ok()?.date);
    add(Check::Clock, clock(date, sent));
}

fn fail(what: impl Into<String>, advice: Advice) -> Finding {
    Finding::Fail(Problem { what: what.into(), advice })
}

fn through(proxy: Option<&str>, stands: Option<&Result<(), ConnectError>>) -> Finding {
    let odd = odd_variables(|name| std::env::var(name).ok());
    let refused = match (proxy, stands) {
        (Some(proxy), Some(Err(e @ ConnectError::Tcp { host, .. }))) if host == proxy => Some(e),
        (Some(_), Some(Err(e @ ConnectError::Proxy { .. }))) => Some(e),
        _ => None,
    };
    if let Some(e) = refused {
        let en = "start the proxy, let it lead to DingTalk's hosts, or take it out of HTTPS_PROXY, HTTP_PROXY and \
                  ALL_PROXY; NO_PROXY=dingtalk.com leads past it";
        let zh = "启动代理并放行钉钉域名，或从 HTTPS_PROXY、HTTP_PROXY、ALL_PROXY 中去掉它；NO_PROXY=dingtalk.com 可绕过代理";
        return fail(e.to_string(), Advice::here(en, zh));
    }
    if !odd.is_empty() {
        let en = "correct the variable, or unset it";
        let advice = Advice::here(en, "改正该环境变量，或取消设置");
        return Finding::Warn(Problem { what: odd.join("; "), advice });
    }
    Finding::Pass(match proxy {
        Some(proxy) => format!("by the proxy {proxy}"),
        None => "none is on the way".to_owned(),
    })
}

async fn name(base: &Url, port: u16, patience: Duration) -> Finding {
    let domain = match base.host() {
        Some(url::Host::Domain(name)) => name.to_owned(),
        Some(address) => return Finding::Pass(format!("{address} is an address")),
        None => return Finding::Pass("there is no name".to_owned()),
    };
    let looked_up =
        tokio::time::timeout(patience, tokio::net::lookup_host((domain.as_str(), port)));
    let why = match looked_up.await {
        Ok(Ok(addresses)) => match addresses.count() {
            0 => "the name has no address".to_owned(),
            count => return Finding::Pass(format!("the name has {count} addresses")),
        },
        Ok(Err(e)) => e.to_string(),
        Err(_) => format!("no answer within {} s", patience.as_secs()),
    };
    let en = "check the DNS servers of this machine or container (/etc/resolv.conf) and the endpoint's spelling";
    let zh = "检查本机或容器的 DNS（/etc/resolv.conf），以及接口地址是否写错";
    fail(format!("{domain} cannot be looked up: {why}"), Advice::here(en, zh))
}

fn connected(by_proxy: bool, stands: Option<&Result<(), ConnectError>>) -> Finding {
    let e = match stands {
        Some(Err(e @ (ConnectError::Tcp { .. } | ConnectError::Timeout { .. }))) => e,
        _ if by_proxy => return Finding::Pass("the proxy leads there".to_owned()),
        _ => return Finding::Pass("connected".to_owned()),
    };
    let en = "let this machine reach *.dingtalk.com on port 443 (firewall, security group), or name a proxy in \
              HTTPS_PROXY";
    let zh =
        "放行本机到 *.dingtalk.com 443 端口的访问（防火墙、安全组），或在 HTTPS_PROXY 中设置代理";
    fail(e.to_string(), Advice::here(en, zh))
}

fn certified(is_tls: bool, stands: Option<&Result<(), ConnectError>>) -> Finding {
    if !is_tls {
        return Finding::Moot("the endpoint is plain http://".to_owned());
    }
    let Some(Err(e @ ConnectError::Tls { source, .. })) = stands else {
        return Finding::Pass("the certificate is trusted".to_owned());
    };
    let reason = source.to_string().to_lowercase().replace(' ', "");
    let advice = if reason.contains("expired") || reason.contains("notvalidyet") {
        let en = "set this machine's clock (NTP); if it is right, whatever stands between has a certificate that ran out";
        Advice::here(en, "校准本机时钟（NTP）；若时钟无误，则中间设备的证书已过期")
    } else if reason.contains("notvalidforname") {
        let en = "something between here and DingTalk answers in its place: a captive portal, a wrong DNS entry, a proxy";
        Advice::here(en, "中间有设备冒充钉钉应答：网络认证页、错误的 DNS 记录或代理，请排查")
    } else if reason.contains("invalidpeercertificate") {
        let en = "install the system's CA certificates (package ca-certificates), or name the bundle of the company's \
                  proxy in SSL_CERT_FILE";
        let zh =
            "安装系统 CA 证书（ca-certificates 软件包），或用 SSL_CERT_FILE 指定公司代理的 CA 证书";
        Advice::here(en, zh)
    } else {
        let en = "check that the endpoint speaks TLS on this port, and that no proxy or firewall breaks it";
        Advice::here(en, "确认该端口使用 TLS，且没有代理或防火墙中断它")
    };
    fail(e.to_string(), advice)
}

fn answered(answer: Option<&Result<Reached, crate::openapi::OpenApiError>>) -> Finding {
    match answer {
        Some(Ok(reached)) => Finding::Pass(format!("HTTP {}", reached.status)),
        Some(Err(e)) => {
            let en = "see whether a proxy or firewall holds the call back; a busy DingTalk answers again soon";
            fail(
                e.to_string(),
                Advice::here(en, "检查是否有代理或防火墙拦截；若是钉钉繁忙，稍后再试"),
            )
        }
        None => fail("the connection broke off", Advice::here("try again", "请重试")),
    }
}

/// `date` is the server's clock as the answer came, at `now` here.
fn clock(date: Option<SystemTime>, now: SystemTime) -> Finding {
    let Some(date) = date else {
        let advice = Advice::here(
            "compare it yourself, such as with `date -u`",
            "请自行核对，例如 `date -u`",
        );
        let what = "the answer has no Date header to compare with".to_owned();
        return Finding::Skip(Problem { what, advice });
    };
    // The header has whole seconds, and was written a moment ago.
    let (off, direction) = match now.duration_since(date) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(e) => (e.duration(), "behind"),
    };
    if off <= OFF {
        return Finding::Pass(format!("within {} s of the server's", OFF.as_secs()));
    }
    let what = format!("this machine's clock is {} s {direction} the server's", off.as_secs());
    let en = "let the clock be set over the network (NTP: chrony, systemd-timesyncd), or restart what sleeps";
    let problem = Problem {
        what,
        advice: Advice::here(en, "开启网络校时（NTP：chrony、systemd-timesyncd）"),
    };
    if off > FAR_OFF { Finding::Fail(problem) } else { Finding::Warn(problem) }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Row, Status};
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        for (date, status, part) in [
            (Some(now - second), Status::Pass, "within 30 s"),
            (Some(now + 20 * second), Status::Pass, "within 30 s"),
            (Some(now - 31 * second), Status::Warn, "31 s ahead of"),
            (Some(now + 300 * second), Status::Warn, "300 s behind"),
            (Some(now - 301 * second), Status::Fail, "301 s ahead of"),
            (None, Status::Skip, "no Date header"),
        ] {
            let row =
                Row { check: Check::Clock, subject: String::new(), finding: clock(date, now) };
            assert_eq!(row.status(), status, "{date:?}");
            assert!(row.detail().contains(part), "{}", row.detail());
        }
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_explained() {
        for (reason, part) in [
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            ("invalid peer certificate: certificate expired: verification time …", "clock"),
            ("invalid peer certificate: NotValidYet", "clock"),
            ("invalid peer certificate: certificate not valid for name \"a\"", "captive portal"),
            ("received corrupt message of type InvalidContentType", "speaks TLS"),
        ] {
            let source = std::io::Error::other(reason);
            let stands = Err(ConnectError::Tls { host: "h:443".to_owned(), source });
            let Finding::Fail(problem) = certified(true, Some(&stands)) else { panic!("{reason}") };
            assert!(problem.advice.en.contains(part), "{reason}: {}", problem.advice.en);
        }
    }
}
