//! Which endpoints bots and SDKs are known to call, and how much they need them: the table of
//! openapi.md 10, one row for each call.

use crate::core::{EndpointRow, Fidelity, endpoints};

/// How much bots need a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// No client is known to call it.
    Nobody,
    /// Not called for itself: the answer of another call leads there.
    Part,
    /// DingTalk itself refuses it, or nobody may call it.
    Refused,
    /// Some clients call it.
    Nice,
    /// Every kind of bot calls it.
    Must,
}

impl Need {
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Must => "M",
            Self::Nice => "N",
            Self::Refused => "R",
            Self::Part => "+",
            Self::Nobody => "-",
        }
    }

    /// How much an endpoint is needed: as much as the most needed call that it stands for.
    pub(super) fn of(row: &EndpointRow) -> Self {
        let calls = CALLS.iter().filter(|call| call.is_of(row)).map(|call| call.need);
        let others = PARTS.iter().filter(|path| **path == row.pattern).map(|_| Self::Part);
        calls.chain(others).max().unwrap_or(Self::Nobody)
    }
}

/// A call that clients are known to make, or that is documented for them.
#[derive(Debug)]
pub(super) struct KnownCall {
    pub(super) need: Need,
    /// `*` is any.
    pub(super) method: &'static str,
    /// `{}` is any one segment, and `*` at the end everything below.
    pub(super) path: &'static str,
}

impl KnownCall {
    /// Whether this endpoint is the call, or everything below a path that the call stands under.
    pub(super) fn is_of(&self, row: &EndpointRow) -> bool {
        let method = row.method == "*" || row.method == self.method;
        let path = match row.pattern.strip_suffix('*') {
            // A path that is answered is no part of what is left out around it.
            Some(above) => {
                self.path.starts_with(above)
                    && !endpoints().any(|other| {
                        other.fidelity != Fidelity::NotModelled
                            && other.method == self.method
                            && other.pattern == self.path
                    })
            }
            None => row.pattern == self.path,
        };
        method && path
    }
}

const fn must(method: &'static str, path: &'static str) -> KnownCall {
    KnownCall { need: Need::Must, method, path }
}

const fn nice(method: &'static str, path: &'static str) -> KnownCall {
    KnownCall { need: Need::Nice, method, path }
}

/// The paths that stand in for addresses on other hosts, which answers lead to.
const PARTS: [&str; 2] = ["/robot-files/{}", "/storage-files/{}"];

/// Row by row.
pub(super) static CALLS: &[KnownCall] = &[
    must("POST", "/v1.0/gateway/connections/open"),
    must("POST", "/v1.0/oauth2/accessToken"),
    nice("POST", "/v1.0/oauth2/{}/token"),
    must("GET", "/gettoken"),
    must("POST", "/robot/sendBySession"),
    nice("POST", "/robot/send"),
    must("POST", "/v1.0/robot/oToMessages/batchSend"),
    must("POST", "/v1.0/robot/groupMessages/send"),
    must("POST", "/v1.0/robot/otoMessages/batchRecall"),
    must("POST", "/v1.0/robot/groupMessages/recall"),
    nice("GET", "/v1.0/robot/oToMessages/readStatus"),
    nice("POST", "/v1.0/robot/groupMessages/query"),
    nice("POST", "/v1.0/robot/privateChatMessages/send"),
    nice("POST", "/v1.0/robot/privateChatMessages/query"),
    nice("POST", "/v1.0/robot/privateChatMessages/batchRecall"),
    must("POST", "/v1.0/robot/emotion/reply"),
    must("POST", "/v1.0/robot/emotion/recall"),
    must("POST", "/v1.0/robot/messageFiles/download"),
    KnownCall { need: Need::Refused, method: "POST", path: "/v1.0/robot/messageFiles/upload" },
    must("POST", "/media/upload"),
    nice("GET", "/media/downloadFile"),
    nice("GET", "/media/{}"),
    nice("POST", "/file/upload/single"),
    nice("POST", "/file/upload/chunk"),
    nice("POST", "/file/upload/transaction"),
    nice("POST", "/transaction/enable"),
    nice("POST", "/transaction/submit"),
    must("POST", "/v1.0/card/instances"),
    must("POST", "/v1.0/card/instances/deliver"),
    must("POST", "/v1.0/card/instances/createAndDeliver"),
    must("PUT", "/v1.0/card/instances"),
    must("PUT", "/v1.0/card/streaming"),
    nice("PUT", "/v1.0/card/instances/spaces"),
    nice("POST", "/v1.0/card/callbacks/register"),
    nice("POST", "/v1.0/card/tops/close"),
    nice("POST", "/v1.0/im/v1.0/robot/interactiveCards/send"),
    nice("PUT", "/v1.0/im/robots/interactiveCards"),
    nice("POST", "/v1.0/innerApi/robot/stream/away/template/update"),
    must("POST", "/topapi/v2/user/get"),
    must("GET", "/user/get"),
    nice("POST", "/topapi/v2/user/getbymobile"),
    nice("POST", "/topapi/user/getbyunionid"),
    nice("GET", "/v1.0/contact/users/me"),
    nice("POST", "/v1.0/convFile/conversations/spaces/query"),
    nice("POST", "/v1.0/storage/spaces/{}/dentries/listAll"),
    nice("POST", "/v1.0/storage/spaces/{}/dentries/{}/downloadInfos/query"),
    nice("*", "/v1.0/doc/*"),
    nice("*", "/v2.0/wiki/*"),
    nice("POST", "/app/registration/init"),
    nice("POST", "/app/registration/begin"),
    nice("POST", "/app/registration/poll"),
    nice("POST", "/v1.0/robot/groups/robots/query"),
    nice("POST", "/v1.0/robot/plugins/*"),
    nice("POST", "/v1.0/robot/ding/*"),
];
