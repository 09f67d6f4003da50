//! What the two hosts say when there is nothing at a path.

use super::{
    answer::Reply,
    routes::{ROUTES, matches},
};
use crate::core::{http::HttpCall, journal::Diagnosis};

/// The api host's body is from aliyun/alibabacloud-go-sdk#5, the oapi host's from its table of
/// global return codes.
pub(super) fn answer(call: &HttpCall) -> Reply {
    let near = ROUTES.iter().find(|route| matches(route.pattern, &call.path).is_some());
    let (problem, expected) = match near {
        Some(route) if route.method == call.method => (
            format!("{} {} differs from it in the case of letters", call.method, call.path),
            format!("{} {}", route.method, route.pattern),
        ),
        Some(route) => (
            format!("{} is not a method of {}", call.method, route.pattern),
            format!("{} {}", route.method, route.pattern),
        ),
        None => (
            format!("{} {} is not modelled by this mock", call.method, call.path),
            nearest(&call.path),
        ),
    };
    let diagnosis = Diagnosis::new(problem, expected, "openapi.md 10, the endpoint table");
    if call.is_oapi() {
        Reply::errcode(404, "请求的URI地址不存在").diagnosed(diagnosis)
    } else {
        let message = "Specified api is not found, please check your url and method.";
        Reply::error(404, "InvalidAction.NotFound", message).diagnosed(diagnosis)
    }
}

/// Whether a known path differs from it in the case of letters only.
pub(super) fn cased(call: &HttpCall) -> bool {
    ROUTES.iter().any(|route| {
        route.method == call.method
            && matches(route.pattern, &call.path).is_some_and(|(_, other_case)| other_case)
    })
}

/// The three calls that share the longest beginning with the path.
fn nearest(path: &str) -> String {
    let shared = |pattern: &str| {
        pattern.bytes().zip(path.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
    };
    let mut routes: Vec<_> = ROUTES.iter().collect();
    routes.sort_by_key(|route| std::cmp::Reverse(shared(route.pattern)));
    let named = routes.iter().take(3).map(|route| format!("{} {}", route.method, route.pattern));
    named.collect::<Vec<_>>().join(", ")
}
