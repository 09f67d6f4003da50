//! Every endpoint that bots and SDKs are known to call.

use serde_json::{Value, json};

use super::Status::{self, Derived, Exact, NotModelled};

/// How much bots need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    Nice,
    /// DingTalk itself refuses it, or nobody may call it.
    Refused,
    /// Not called for itself: other rows lead there.
    Part,
}

impl Need {
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Must => "M",
            Self::Nice => "N",
            Self::Refused => "R",
            Self::Part => "+",
        }
    }
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) need: Need,
    pub(super) method: &'static str,
    /// `{}` stands for any one segment, `*` for any rest.
    pub(super) path: &'static str,
    pub(super) status: Status,
    pub(super) source: &'static str,
    pub(super) note: &'static str,
}

impl Endpoint {
    pub(super) fn json(&self) -> Value {
        json!({
            "need": self.need.letter(),
            "method": self.method,
            "path": self.path,
            "status": self.status.name(),
            "source": self.source,
            "note": self.note,
        })
    }

    #[cfg(test)]
    pub(super) fn is(&self, method: &str, pattern: &str) -> bool {
        self.method == method && self.path == pattern
    }
}

const fn must(
    method: &'static str,
    path: &'static str,
    status: Status,
    source: &'static str,
    note: &'static str,
) -> Endpoint {
    Endpoint { need: Need::Must, method, path, status, source, note }
}

const fn nice(
    method: &'static str,
    path: &'static str,
    status: Status,
    source: &'static str,
    note: &'static str,
) -> Endpoint {
    Endpoint { need: Need::Nice, method, path, status, source, note }
}

const CHATS: &str = "a direct chat stands in for one between two people";
const SPACES: &str = "not yet: its answers were only seen through one client";
const LEGACY: &str = "on purpose: legacy cards, replaced by card instances";
const DOCUMENTS: &str = "on purpose: documents and knowledge bases are no part of a robot's chat";
const CHUNKS: &str = "on purpose: no page documents it any more, and one client calls it";
const ONBOARDING: &str = "on purpose: makes an app by a person's scan, before there is a bot";
const OTHERS: &str = "on purpose: another product than messages of a robot";

pub(super) static ENDPOINTS: &[Endpoint] = &[
    must("POST", "/v1.0/gateway/connections/open", Exact, "stream-protocol.md 2", ""),
    must("POST", "/v1.0/oauth2/accessToken", Exact, "openapi.md 1", ""),
    nice("POST", "/v1.0/oauth2/{}/token", Exact, "openapi.md 1", ""),
    must("GET", "/gettoken", Exact, "openapi.md 1", ""),
    must(
        "POST",
        "/robot/sendBySession",
        Derived,
        "openapi.md 3",
        "image, file and video are taken, as clients send them and no page says; `limits` forbid \
         them",
    ),
    nice(
        "POST",
        "/robot/send",
        NotModelled,
        "openapi.md 8",
        "not yet: custom robots have a webhook of their own and no stream",
    ),
    must("POST", "/v1.0/robot/oToMessages/batchSend", Exact, "openapi.md 4.1", ""),
    must("POST", "/v1.0/robot/groupMessages/send", Exact, "openapi.md 4.2", ""),
    must("POST", "/v1.0/robot/otoMessages/batchRecall", Exact, "openapi.md 4.4", ""),
    must("POST", "/v1.0/robot/groupMessages/recall", Exact, "openapi.md 4.4", ""),
    nice(
        "GET",
        "/v1.0/robot/oToMessages/readStatus",
        Derived,
        "openapi.md 4.5",
        "who has read is said through the control API",
    ),
    nice(
        "POST",
        "/v1.0/robot/groupMessages/query",
        Derived,
        "openapi.md 4.5",
        "who has read is said through the control API",
    ),
    nice("POST", "/v1.0/robot/privateChatMessages/send", Derived, "openapi.md 4.3", CHATS),
    nice("POST", "/v1.0/robot/privateChatMessages/query", Derived, "openapi.md 4.5", CHATS),
    nice("POST", "/v1.0/robot/privateChatMessages/batchRecall", Derived, "openapi.md 4.4", CHATS),
    must(
        "POST",
        "/v1.0/robot/emotion/reply",
        Derived,
        "openapi.md 4.6",
        "no page: fields from the generated SDK, values from clients",
    ),
    must(
        "POST",
        "/v1.0/robot/emotion/recall",
        Derived,
        "openapi.md 4.6",
        "no page: fields from the generated SDK, values from clients",
    ),
    must(
        "POST",
        "/v1.0/robot/messageFiles/download",
        Derived,
        "openapi.md 4.7",
        "a code is good for 24 h, an address for 1 h; neither is documented",
    ),
    Endpoint {
        need: Need::Part,
        method: "GET",
        path: "/robot-files/{}",
        status: Derived,
        source: "openapi.md 4.7",
        note: "the mock's own path for the presigned address that `messageFiles/download` gives",
    },
    Endpoint {
        need: Need::Refused,
        method: "POST",
        path: "/v1.0/robot/messageFiles/upload",
        status: NotModelled,
        source: "openapi.md 10",
        note: "on purpose: one client calls it, and DingTalk has no such API",
    },
    must("POST", "/media/upload", Exact, "openapi.md 5", ""),
    nice(
        "GET",
        "/media/downloadFile",
        Derived,
        "openapi.md 5",
        "on the mock's own host; the body's headers are not documented",
    ),
    nice(
        "GET",
        "/media/{}",
        Derived,
        "openapi.md 5",
        "in place of down.dingtalk.com; the body's headers are not documented",
    ),
    nice("POST", "/file/upload/*", NotModelled, "openapi.md 5", CHUNKS),
    nice("POST", "/transaction/*", NotModelled, "openapi.md 5", CHUNKS),
    must("POST", "/v1.0/card/instances", Exact, "openapi.md 6.2", ""),
    must("POST", "/v1.0/card/instances/deliver", Exact, "openapi.md 6.3", ""),
    must("POST", "/v1.0/card/instances/createAndDeliver", Exact, "openapi.md 6.4", ""),
    must("PUT", "/v1.0/card/instances", Exact, "openapi.md 6.5", ""),
    must(
        "PUT",
        "/v1.0/card/streaming",
        Derived,
        "openapi.md 6.6, 6.7",
        "a guid counts once, and nothing changes after the end; more than 64 KiB is refused",
    ),
    nice(
        "PUT",
        "/v1.0/card/instances/spaces",
        NotModelled,
        "openapi.md 6.9",
        "not yet: one client calls it",
    ),
    nice(
        "POST",
        "/v1.0/card/callbacks/register",
        NotModelled,
        "openapi.md 6.9",
        "not yet: needed only for callbacks over HTTP, which stream bots do without",
    ),
    nice(
        "POST",
        "/v1.0/card/tops/close",
        NotModelled,
        "openapi.md 6.9",
        "not yet: no client is known",
    ),
    nice("POST", "/v1.0/im/v1.0/robot/interactiveCards/send", NotModelled, "openapi.md 10", LEGACY),
    nice("PUT", "/v1.0/im/robots/interactiveCards", NotModelled, "openapi.md 10", LEGACY),
    nice(
        "POST",
        "/v1.0/innerApi/robot/stream/away/template/update",
        NotModelled,
        "openapi.md 10",
        "on purpose: internal, and undocumented",
    ),
    must("POST", "/topapi/v2/user/get", Exact, "openapi.md 7", ""),
    must("GET", "/user/get", Exact, "openapi.md 7", ""),
    nice("POST", "/topapi/v2/user/getbymobile", Exact, "openapi.md 7", ""),
    nice("POST", "/topapi/user/getbyunionid", Exact, "openapi.md 7", ""),
    nice("GET", "/v1.0/contact/users/me", Exact, "openapi.md 7", ""),
    nice("POST", "/v1.0/convFile/conversations/spaces/query", NotModelled, "openapi.md 7", SPACES),
    nice("POST", "/v1.0/storage/spaces/{}/dentries/listAll", NotModelled, "openapi.md 7", SPACES),
    nice(
        "POST",
        "/v1.0/storage/spaces/{}/dentries/{}/downloadInfos/query",
        NotModelled,
        "openapi.md 7",
        SPACES,
    ),
    nice("*", "/v1.0/doc/*", NotModelled, "openapi.md 10", DOCUMENTS),
    nice("*", "/v2.0/wiki/*", NotModelled, "openapi.md 10", DOCUMENTS),
    nice("POST", "/app/registration/*", NotModelled, "openapi.md 10", ONBOARDING),
    nice("POST", "/v1.0/robot/groups/robots/query", NotModelled, "openapi.md 10", OTHERS),
    nice("POST", "/v1.0/robot/plugins/*", NotModelled, "openapi.md 10", OTHERS),
    nice("POST", "/v1.0/robot/ding/*", NotModelled, "openapi.md 10", OTHERS),
];
