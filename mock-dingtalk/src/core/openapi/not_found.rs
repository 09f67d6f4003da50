//! What the two hosts say when there is nothing at a path.

use std::cmp::Reverse;

use serde_json::json;

use super::{
    answer::Reply,
    found::matches,
    not_modelled::NotModelled,
    routes::{Host, ROUTES, Route},
};
use crate::core::{
    app::Cx,
    http::{HttpCall, is_host},
    journal::Diagnosis,
};

/// The api host's body is from aliyun/alibabacloud-go-sdk#5. The others are in a third party's log
/// of probes of 2026-09-11: the TOP gateway names the method that it made of the path, and paths without a version get the
/// old host's 404 on the new one too.
pub(super) fn answer(cx: &Cx<'_>, call: &HttpCall) -> Reply {
    let diagnosis = diagnosis(call);
    if let Some(path) = call.path.strip_prefix("/topapi/") {
        let sub_msg = format!("不合法ApiName，ApiName = dingtalk.oapi.{}", path.replace('/', "."));
        return Reply::ok(json!({
            "errcode": 22,
            "sub_msg": sub_msg,
            "errmsg": format!("Invalid method[submsg={sub_msg}]"),
            "request_id": format!("{:x}", cx.now.unix_ms),
        }))
        .diagnosed(diagnosis);
    }
    let versioned = ["/v1.0/", "/v2.0/"].iter().any(|version| call.path.starts_with(version));
    let oapi = call.host.as_deref().is_some_and(|host| is_host(host, "oapi"));
    if !versioned || oapi {
        return Reply::errcode(404, "请求的URI地址不存在").diagnosed(diagnosis);
    }
    let message = "Specified api is not found, please check your url and method.";
    Reply::error(404, "InvalidAction.NotFound", message).diagnosed(diagnosis)
}

fn diagnosis(call: &HttpCall) -> Diagnosis {
    let known = ROUTES.iter().find(|route| {
        route.method == call.method
            && is_elsewhere(route, call)
            && matches(route.pattern, &call.path).is_some()
    });
    let (problem, see) = match (known, NotModelled::find(&call.method, &call.path)) {
        (Some(route), _) => (
            format!("{} {} is a call of {}", call.method, call.path, route.host.name()),
            "openapi.md 0",
        ),
        (None, Some(entry)) => (
            format!("{} {} is not modelled on purpose: {}", call.method, call.path, entry.reason),
            entry.source,
        ),
        (None, None) => (
            format!("there is no {} {}", call.method, call.path),
            "GET /_mock/coverage, or openapi.md 10",
        ),
    };
    Diagnosis::new(problem, nearest(call), see)
}

/// The three calls that are most like this one, and what of each it meets.
fn nearest(call: &HttpCall) -> String {
    let mut near: Vec<Near> = ROUTES.iter().map(|route| Near::of(route, call)).collect();
    near.sort_by_key(Near::rank);
    let named: Vec<String> = near.iter().take(3).map(Near::named).collect();
    named.join(", ")
}

/// How near a call is to a route.
#[derive(Debug)]
struct Near {
    route: &'static Route,
    /// Which of [`CRITERIA`] are met.
    met: [bool; 4],
    /// Letters that both begin and end with.
    alike: usize,
}

/// Method; path, in whatever letters; no letter of the path is large that should be small, or the
/// reverse; host, as far as the call names one of DingTalk's.
const CRITERIA: [&str; 4] = ["method", "path", "case", "host"];

impl Near {
    fn of(route: &'static Route, call: &HttpCall) -> Self {
        let found = matches(route.pattern, &call.path);
        let shared = |a: &mut dyn Iterator<Item = u8>, b: &mut dyn Iterator<Item = u8>| {
            a.zip(b).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
        };
        let (pattern, path) = (route.pattern, call.path.as_str());
        let alike = shared(&mut pattern.bytes(), &mut path.bytes())
            + shared(&mut pattern.bytes().rev(), &mut path.bytes().rev());
        let same_path = found.is_some();
        let case = found.map_or_else(|| same_case(pattern, path), |(_, other_case)| !other_case);
        let met = [route.method == call.method, same_path, case, is_of(route, call)];
        Self { route, met, alike }
    }

    /// Paths that are met come first, then those that are most alike.
    fn rank(&self) -> Reverse<(bool, usize, bool, bool)> {
        let [method, path, _, host] = self.met;
        Reverse((path, self.alike, method, host))
    }

    fn named(&self) -> String {
        let met = CRITERIA
            .iter()
            .zip(self.met)
            .map(|(criterion, met)| format!("{criterion} {}", if met { '✓' } else { '✗' }));
        let met = met.collect::<Vec<_>>().join(", ");
        format!("{} {} ({met})", self.route.method, self.route.pattern)
    }
}

/// Whether a known path differs from it in the case of letters only.
pub(super) fn cased(call: &HttpCall) -> bool {
    ROUTES.iter().any(|route| {
        route.method == call.method
            && matches(route.pattern, &call.path).is_some_and(|(_, other_case)| other_case)
    })
}

/// Whether no segment of a path is one of the pattern in other letters.
fn same_case(pattern: &str, path: &str) -> bool {
    path.split('/').all(|have| {
        let mut alike = pattern.split('/').filter(|want| want.eq_ignore_ascii_case(have));
        alike.clone().next().is_none() || alike.any(|want| want == have)
    })
}

/// Whether a call that names one of DingTalk's two hosts names the route's.
pub(super) fn is_of(route: &Route, call: &HttpCall) -> bool {
    let Some(host) = call.host.as_deref() else { return true };
    let own = route.host.name().split('.').next().unwrap_or_default();
    let named = ["api", "oapi"].into_iter().find(|name| is_host(host, name));
    named.is_none_or(|name| name == own)
}

/// Whether DingTalk has nothing at this path on the host that the call names. Files are on hosts
/// of their own, which a client may reach by any name.
pub(super) fn is_elsewhere(route: &Route, call: &HttpCall) -> bool {
    matches!(route.host, Host::Api | Host::Oapi) && !is_of(route, call)
}

#[cfg(test)]
mod tests {
    use super::{Near, same_case};
    use crate::core::{base_url::BaseUrl, http::HttpCall, openapi::routes::ROUTES};

    fn call(method: &str, path: &str, host: &str) -> HttpCall {
        HttpCall {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            content_type: None,
            token: None,
            host: Some(host.to_owned()),
            accept: None,
            authorization: None,
            peer: None,
            base: BaseUrl::plain("mock:1"),
            body: bytes::Bytes::new(),
        }
    }

    #[test]
    fn the_nearest_calls_are_listed_with_what_is_met_and_what_is_not() {
        let cases = [
            (
                "GET",
                "/v1.0/card/streaming",
                "127.0.0.1:1",
                "PUT /v1.0/card/streaming (method ✗, path ✓, case ✓, host ✓)",
            ),
            (
                "POST",
                "/v1.0/robot/otomessages/batchSend",
                "api.dingtalk.com",
                "POST /v1.0/robot/oToMessages/batchSend (method ✓, path ✓, case ✗, host ✓)",
            ),
            (
                "POST",
                "/v1.0/robot/oToMessage/batchSend",
                "oapi.dingtalk.com",
                "POST /v1.0/robot/oToMessages/batchSend (method ✓, path ✗, case ✓, host ✗)",
            ),
            (
                "GET",
                "/GetToken",
                "api.dingtalk.com:443",
                "GET /gettoken (method ✓, path ✓, case ✗, host ✗)",
            ),
        ];
        for (method, path, host, first) in cases {
            let named = super::nearest(&call(method, path, host));
            assert!(named.starts_with(first), "{method} {path}: {named}");
            assert_eq!(named.matches("host ").count(), 3, "{named}");
        }
    }

    #[test]
    fn a_segment_in_other_letters_is_told_apart_from_another_segment() {
        assert!(same_case("/a/b", "/x/b"));
        assert!(!same_case("/a/b", "/x/B"));
        let near = Near::of(&ROUTES[0], &call("POST", "/", "mock"));
        assert_eq!(near.met, [true, false, true, true]);
    }
}
