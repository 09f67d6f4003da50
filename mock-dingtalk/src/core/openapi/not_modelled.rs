//! What DingTalk has and this mock leaves out, with the reason.

use super::routes::Host;

/// Calls that the mock answers with DingTalk's 404 on purpose.
#[derive(Debug)]
pub(crate) struct NotModelled {
    /// `*` is any.
    pub(crate) method: &'static str,
    /// As in a route; `*` as the last segment stands for everything below.
    pub(crate) pattern: &'static str,
    pub(crate) host: Host,
    /// Where the call is described.
    pub(crate) source: &'static str,
    /// Why it is left out.
    pub(crate) reason: &'static str,
}

const fn api(pattern: &'static str, source: &'static str, reason: &'static str) -> NotModelled {
    NotModelled { method: "*", pattern, host: Host::Api, source, reason }
}

const fn oapi(pattern: &'static str, source: &'static str, reason: &'static str) -> NotModelled {
    NotModelled { method: "*", pattern, host: Host::Oapi, source, reason }
}

const DOCS: &str = "documents and wikis are another product: no robot message leads there";
const DRIVE: &str = "of the drive only files quoted in groups are modelled";
const CHUNKS: &str = "chunked upload is granted to nobody new, and the one client that calls it uses \
                      paths that no page has";
const CLOSED: &str = "closed to new apps since 2024-12-31: cards of /v1.0/card took its place";
const GROUPS: &str = "administration of robots in groups, called by no known connector";
const REGISTRATION: &str = "apps are minted by the mock's control API";

/// All of them; the first that fits counts.
pub(crate) static NOT_MODELLED: &[NotModelled] = &[
    api("/v1.0/doc/*", "openapi.md 6.9 and 10", DOCS),
    api("/v2.0/doc/*", "openapi.md 10", DOCS),
    api("/v1.0/wiki/*", "openapi.md 10", DOCS),
    api("/v2.0/wiki/*", "openapi.md 7", DOCS),
    api("/v1.0/drive/*", "openapi.md 5.3", DRIVE),
    api("/v1.0/storage/*", "openapi.md 5.3", DRIVE),
    api("/v2.0/storage/*", "openapi.md 5.3", DRIVE),
    api("/v1.0/convFile/*", "openapi.md 5.3", DRIVE),
    oapi("/file/upload/*", "openapi.md 5.2 (KB 1582-1584)", CHUNKS),
    oapi("/transaction/*", "openapi.md 5.2 (DingTalk-Real-AI/dingtalk-openclaw-connector)", CHUNKS),
    api(
        "/v1.0/robot/messageFiles/upload",
        "openapi.md 4.7 (AlibabaCloudDocs/openclaw-dingtalk)",
        "it is in neither the pages nor the official SDK: 404 is the best guess",
    ),
    api(
        "/v1.0/robot/ding/*",
        "openapi.md 4.9 (KB 0712, KB 0713)",
        "DING calls people by phone and short message, which is no conversation",
    ),
    api(
        "/v1.0/robot/plugins/*",
        "openapi.md 4.9 (KB 0727-0729)",
        "they change what people see in the input box, which nothing here shows",
    ),
    api("/v1.0/robot/groups/*", "openapi.md 4.9 (KB 0726)", GROUPS),
    api("/v1.0/robot/installed/*", "openapi.md 4.9 (aliyun/dingtalk-sdk robot_1_0)", GROUPS),
    api("/v1.0/robot/statuses/*", "openapi.md 4.9 (aliyun/dingtalk-sdk robot_1_0)", GROUPS),
    api("/v1.0/robot/managements/*", "openapi.md 4.9 (aliyun/dingtalk-sdk robot_1_0)", GROUPS),
    api(
        "/v1.0/robot/groupMessages/batchRecall",
        "openapi.md 4.4 (aliyun/dingtalk-sdk robot_1_0)",
        "only in the official SDK, for robots without robotCode",
    ),
    api("/v1.0/im/v1.0/robot/interactiveCards/send", "openapi.md 6.9 (KB 1474)", CLOSED),
    api("/v1.0/im/robots/interactiveCards", "openapi.md 6.9 (KB 1474)", CLOSED),
    api(
        "/v1.0/card/me/*",
        "openapi.md 6.9 (aliyun/dingtalk-sdk card_1_0)",
        "cards in the name of a person want a person's token",
    ),
    api(
        "/v1.0/innerApi/*",
        "openapi.md 4.9 (PyPI dingtalk-stream)",
        "internal calls without a page; the off-duty prompt shows while no bot is connected",
    ),
    oapi("/app/registration/*", "openapi.md 7", REGISTRATION),
    api("/v1.0/contact/*", "openapi.md 7", "of contacts only what connectors read of one person"),
];

impl NotModelled {
    /// The entry of a call, if it is left out on purpose.
    pub(super) fn find(method: &str, path: &str) -> Option<&'static Self> {
        NOT_MODELLED
            .iter()
            .find(|entry| ["*", method].contains(&entry.method) && entry.covers(path))
    }

    fn covers(&self, path: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(above) => {
                path.get(..above.len()).is_some_and(|start| start.eq_ignore_ascii_case(above))
            }
            None => self.pattern.eq_ignore_ascii_case(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NOT_MODELLED, NotModelled};
    use crate::core::openapi::{endpoints::Fidelity, found::matches, routes::ROUTES};

    #[test]
    fn what_is_left_out_is_found_by_its_path_and_below() {
        let cases = [
            ("GET", "/v1.0/doc/spaces/1/docs", Some("/v1.0/doc/*")),
            ("POST", "/V1.0/Doc/x", Some("/v1.0/doc/*")),
            ("POST", "/v1.0/im/robots/interactiveCards", Some("/v1.0/im/robots/interactiveCards")),
            ("POST", "/v1.0/im/robots/interactiveCards/x", None),
            ("POST", "/v1.0/documents", None),
            ("POST", "/v1.0/döc/x", None),
        ];
        for (method, path, pattern) in cases {
            let found = NotModelled::find(method, path).map(|entry| entry.pattern);
            assert_eq!(found, pattern, "{method} {path}");
        }
    }

    #[test]
    fn nothing_is_both_modelled_and_left_out_under_one_path() {
        for entry in NOT_MODELLED {
            let both = ROUTES.iter().any(|route| matches(route.pattern, entry.pattern).is_some());
            assert!(!both, "{}", entry.pattern);
            assert!(!entry.reason.is_empty() && !entry.source.is_empty(), "{}", entry.pattern);
        }
    }

    #[test]
    fn a_derived_route_says_what_is_derived() {
        for route in ROUTES {
            let derived = route.fidelity == Fidelity::Derived;
            assert_eq!(derived, !route.note.is_empty(), "{} {}", route.method, route.pattern);
            assert!(!route.source.is_empty(), "{} {}", route.method, route.pattern);
        }
    }
}
