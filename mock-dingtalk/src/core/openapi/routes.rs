//! Every call that is answered: by whom, and how true to DingTalk.

use super::{
    Reply, ask::Ask, batch_send, card_create, card_more, card_update, emotion, endpoints::Fidelity,
    group_files, media, members, message_files, read_status, recall, send_to_chat, users,
};
use crate::core::{
    app::{App, Cx},
    fault::OPEN_PATH,
    permission::Permission,
};

/// Answers a call whose token is the app's. Both sides of the result are answers.
pub(super) type Handler = fn(&mut Cx<'_>, &mut App, &Ask<'_>) -> Result<Reply, Reply>;

/// How a call says whose it is, and who answers it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    ConnectionsOpen,
    AccessToken,
    GetToken,
    CorpToken,
    SendBySession,
    /// The webhook of a custom robot, named by a token of its own.
    RobotSend,
    /// `/media/{id}`, which everybody may fetch.
    Media,
    /// The presigned address of a file.
    File,
    /// The address of a group's file, which wants headers.
    Dentry,
    /// Token in the query or the form.
    Oapi(Handler),
    /// The same, refused in the words of the TOP gateway.
    Top(Handler),
    /// Token in the header `x-acs-dingtalk-access-token`.
    Api(Handler),
}

/// Which of DingTalk's hosts serves a call. By its own address the mock answers for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// `api.dingtalk.com`.
    Api,
    /// `oapi.dingtalk.com`.
    Oapi,
    /// `down.dingtalk.com`.
    Down,
    /// Object storage, whose address another call hands out.
    Storage,
}

impl Host {
    /// The name, at home.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api.dingtalk.com",
            Self::Oapi => "oapi.dingtalk.com",
            Self::Down => "down.dingtalk.com",
            Self::Storage => "object storage",
        }
    }
}

/// A call that the mock knows.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// A path; `{}` stands for any one segment.
    pub(crate) pattern: &'static str,
    pub(crate) host: Host,
    pub(crate) fidelity: Fidelity,
    /// Where its shape comes from.
    pub(crate) source: &'static str,
    /// What is inferred, chosen or left out; empty if nothing is.
    pub(crate) note: &'static str,
    pub(super) kind: Kind,
    /// Letters of the path may be written large or small.
    pub(super) any_case: bool,
    /// Whether the monthly quota of calls counts it (KB 1432, 1433: not tokens, not contacts).
    pub(super) counted: bool,
    /// What an app has to be permitted.
    pub(super) needs: Option<Permission>,
    /// The members of the body that pages document or official SDKs send, from `members.rs`; those of
    /// an object in it as `object.member`, where they are known.
    pub(super) members: &'static [&'static str],
}

const fn route(
    method: &'static str,
    pattern: &'static str,
    kind: Kind,
    source: &'static str,
) -> Route {
    let host = match kind {
        Kind::ConnectionsOpen | Kind::AccessToken | Kind::CorpToken | Kind::Api(_) => Host::Api,
        Kind::Media => Host::Down,
        Kind::File | Kind::Dentry => Host::Storage,
        _ => Host::Oapi,
    };
    Route {
        method,
        pattern,
        host,
        fidelity: Fidelity::Exact,
        source,
        note: "",
        kind,
        any_case: false,
        counted: matches!(kind, Kind::Api(_) | Kind::Oapi(_)),
        needs: None,
        members: &[],
    }
}

impl Route {
    const fn uncounted(self) -> Self {
        Self { counted: false, ..self }
    }

    const fn needs(self, permission: Permission) -> Self {
        Self { needs: Some(permission), ..self }
    }

    const fn takes(self, members: &'static [&'static str]) -> Self {
        Self { members, ..self }
    }

    const fn any_case(self) -> Self {
        Self { any_case: true, ..self }
    }

    /// What of its answers has no source.
    const fn derived(self, note: &'static str) -> Self {
        Self { fidelity: Fidelity::Derived, note, ..self }
    }
}

const SENT: &str = "the code for a media_id that nobody uploaded; one code for all that an action \
                    card misses";
const STORAGE: &str = "the path: DingTalk's leads to its object storage, whose codes and statuses \
                       these are; 404 for a file that made room for others";
const READERS: &str = "the codes for a missing and an unknown key, borrowed from the recalls, and for \
                       another robot, borrowed from the sending calls";
const TOP: &str = "90018 for the limit of a second, which the TOP gateway may wrap in another code; \
                   the words of errmsg; a token in a form is taken, with a remark";

/// Every call that the mock knows.
pub(crate) static ROUTES: &[Route] = &[
    route(
        "POST",
        OPEN_PATH,
        Kind::ConnectionsOpen,
        "stream-protocol.md 2 (developerpedia, stream/protocol)",
    )
    .takes(members::CONNECTIONS_OPEN)
    .derived("the XML for callers without Accept; what a malformed body gets, beyond the one seen"),
    route("POST", "/v1.0/oauth2/accessToken", Kind::AccessToken, "openapi.md 1.1 (KB 0033)")
        .takes(members::ACCESS_TOKEN),
    route("POST", "/v1.0/oauth2/{}/token", Kind::CorpToken, "openapi.md 1.2 (KB 0037)")
        .takes(members::CORP_TOKEN)
        .derived(
            "401 for another corporation; the code for a body that is no JSON, borrowed from \
             accessToken",
        ),
    route(
        "GET",
        "/gettoken",
        Kind::GetToken,
        "openapi.md 1.3 (KB 1444); errors as in a third party's log of probes of 2026-09-11",
    ),
    route("POST", "/robot/sendBySession", Kind::SendBySession, "openapi.md 3 (KB 0699)")
        .takes(members::REPLY)
        .derived("image, file and video have no page; which codes of /robot/send apply here"),
    route("POST", "/robot/send", Kind::RobotSend, "openapi.md 8 (KB 0717)")
        .takes(members::ROBOT_SEND)
        .derived(
            "order of the checks; a message of the same msgUuid is taken and not said again; of \
             the codes for an unknown token (300001, 300005, 400101) the one seen last",
        ),
    route(
        "POST",
        "/v1.0/robot/oToMessages/batchSend",
        Kind::Api(batch_send::answer),
        "openapi.md 4.1 and 4.8 (KB 0714, KB 0699)",
    )
    .takes(members::BATCH_SEND)
    .needs(Permission::RobotSendMessage)
    .derived(
        "the code for a media_id that nobody uploaded; one code for all that an action card \
         misses; the 15,000 bytes of groupMessages/send for msgParam, unless the app is lenient",
    ),
    route(
        "POST",
        "/v1.0/robot/groupMessages/send",
        Kind::Api(send_to_chat::group),
        "openapi.md 4.2 (KB 0716)",
    )
    .takes(members::GROUP_SEND)
    .needs(Permission::RobotSendMessage)
    .derived(SENT),
    route(
        "POST",
        "/v1.0/robot/privateChatMessages/send",
        Kind::Api(send_to_chat::private),
        "openapi.md 4.3 (KB 0715)",
    )
    .takes(members::PRIVATE_SEND)
    .needs(Permission::RobotSendMessage)
    .derived("a direct chat stands in for one between two people; else as groupMessages/send"),
    // KB 0723 writes it so, and batchSend otherwise; clients use both spellings.
    route(
        "POST",
        "/v1.0/robot/otoMessages/batchRecall",
        Kind::Api(recall::direct),
        "openapi.md 4.4 (KB 0723)",
    )
    .takes(members::DIRECT_RECALL)
    .needs(Permission::RobotSendMessage)
    .any_case()
    .derived("the reasons in failedResult"),
    route(
        "POST",
        "/v1.0/robot/groupMessages/recall",
        Kind::Api(recall::group),
        "openapi.md 4.4 (KB 0725)",
    )
    .takes(members::CHAT_RECALL)
    .needs(Permission::RobotSendMessage)
    .derived("the reasons in failedResult"),
    route(
        "POST",
        "/v1.0/robot/privateChatMessages/batchRecall",
        Kind::Api(recall::private),
        "openapi.md 4.4 (KB 0724)",
    )
    .takes(members::CHAT_RECALL)
    .needs(Permission::RobotSendMessage)
    .derived("the reasons in failedResult"),
    route(
        "GET",
        "/v1.0/robot/oToMessages/readStatus",
        Kind::Api(read_status::direct),
        "openapi.md 4.5 (KB 0720)",
    )
    .needs(Permission::RobotSendMessage)
    .derived(READERS),
    route(
        "POST",
        "/v1.0/robot/groupMessages/query",
        Kind::Api(read_status::group),
        "openapi.md 4.5 (KB 0722)",
    )
    .takes(members::READERS_OF)
    .needs(Permission::RobotSendMessage)
    .derived(READERS),
    route(
        "POST",
        "/v1.0/robot/privateChatMessages/query",
        Kind::Api(read_status::private),
        "openapi.md 4.5 (KB 0721)",
    )
    .takes(members::READERS_OF)
    .needs(Permission::RobotSendMessage)
    .derived(READERS),
    route(
        "POST",
        "/v1.0/robot/emotion/reply",
        Kind::Api(emotion::reply),
        "openapi.md 4.6 (aliyun/dingtalk-sdk robot_1_0)",
    )
    .takes(members::EMOTION)
    .needs(Permission::RobotSendMessage)
    .derived("the codes: the call has no page"),
    route(
        "POST",
        "/v1.0/robot/emotion/recall",
        Kind::Api(emotion::recall),
        "openapi.md 4.6 (aliyun/dingtalk-sdk robot_1_0)",
    )
    .takes(members::EMOTION)
    .needs(Permission::RobotSendMessage)
    .derived("the codes, and the answer for a reaction that is not there"),
    route(
        "POST",
        "/v1.0/robot/messageFiles/download",
        Kind::Api(message_files::download),
        "openapi.md 4.7 (KB 0719)",
    )
    .takes(members::MESSAGE_FILE)
    .needs(Permission::RobotSendMessage)
    .derived("how long code and address last"),
    route("POST", "/topapi/v2/user/get", Kind::Top(users::get), "openapi.md 7 (KB 0056)")
        .takes(members::USER_GET)
        .needs(Permission::GetMember)
        .uncounted()
        .derived(TOP),
    route(
        "POST",
        "/topapi/v2/user/getbymobile",
        Kind::Top(users::by_mobile),
        "openapi.md 7 (KB 0063)",
    )
    .takes(members::USER_BY_MOBILE)
    .needs(Permission::GetMemberByMobile)
    .uncounted()
    .derived(TOP),
    route(
        "POST",
        "/topapi/user/getbyunionid",
        Kind::Top(users::by_union_id),
        "openapi.md 7 (KB 0064)",
    )
    .takes(members::USER_BY_UNION_ID)
    .needs(Permission::GetMember)
    .uncounted()
    .derived(TOP),
    route(
        "GET",
        "/user/get",
        Kind::Oapi(users::get_old),
        "openapi.md 7 (DingTalk-Real-AI/dingtalk-openclaw-connector)",
    )
    .needs(Permission::GetMember)
    .uncounted()
    .derived("only the members that a client in use reads"),
    route(
        "GET",
        "/v1.0/contact/users/me",
        Kind::Api(users::me),
        "openapi.md 7 (casdoor/casdoor#4469)",
    )
    .uncounted()
    .derived("the words of message"),
    route("GET", "/robot-files/{}", Kind::File, "openapi.md 4.7 (KB 0719)")
        .derived(STORAGE),
    route(
        "POST",
        "/v1.0/card/instances",
        Kind::Api(card_create::create),
        "openapi.md 6.2 (KB 0780)",
    )
    .takes(members::CARD_CREATE)
    .needs(Permission::CardInstanceWrite)
    .derived("templates are not looked up"),
    route(
        "PUT",
        "/v1.0/card/instances",
        Kind::Api(card_update::update),
        "openapi.md 6.5 (KB 0782)",
    )
    .takes(members::CARD_UPDATE)
    .needs(Permission::CardInstanceWrite)
    .derived("param.invalid for what is no string"),
    route(
        "POST",
        "/v1.0/card/instances/deliver",
        Kind::Api(card_create::deliver),
        "openapi.md 6.1 and 6.3 (KB 0781)",
    )
    .takes(members::CARD_DELIVER)
    .needs(Permission::CardInstanceWrite)
    .derived("errorMsg for spaces other than IM_ROBOT; templates are not looked up"),
    route(
        "POST",
        "/v1.0/card/instances/createAndDeliver",
        Kind::Api(card_create::create_and_deliver),
        "openapi.md 6.4 (KB 0783)",
    )
    .takes(members::CARD_CREATE_AND_DELIVER)
    .needs(Permission::CardInstanceWrite)
    .derived("errorMsg for spaces other than IM_ROBOT; templates are not looked up"),
    route(
        "PUT",
        "/v1.0/card/instances/spaces",
        Kind::Api(card_more::spaces),
        "openapi.md 6.9 (KB 0787)",
    )
    .takes(members::CARD_SPACES)
    .needs(Permission::CardInstanceWrite)
    .derived("the codes, shared with the other card calls"),
    route(
        "PUT",
        "/v1.0/card/streaming",
        Kind::Api(card_update::stream),
        "openapi.md 6.6 and 6.7 (KB 0785)",
    )
    .takes(members::CARD_STREAMING)
    .needs(Permission::CardStreamingWrite)
    .derived(
        "nothing changes after the end; more than 64 KiB is refused; the variables of unknown \
         templates are inferred from what the card came with",
    ),
    route(
        "POST",
        "/v1.0/card/callbacks/register",
        Kind::Api(card_more::register),
        "openapi.md 6.8 (KB 0786)",
    )
    .takes(members::CARD_CALLBACK)
    .needs(Permission::CardInstanceWrite)
    .derived("the codes; presses are told over Stream only, never to callbackUrl"),
    route(
        "POST",
        "/v1.0/card/tops/close",
        Kind::Api(card_more::close_top),
        "openapi.md 6.9 (KB 0784)",
    )
    .takes(members::CARD_TOP)
    .needs(Permission::CardInstanceWrite)
    .derived("the codes, shared with the other card calls"),
    route(
        "POST",
        "/v1.0/convFile/conversations/spaces/query",
        Kind::Api(group_files::space),
        "openapi.md 5.3 (soimy/openclaw-channel-dingtalk)",
    )
    .takes(members::SPACE_QUERY)
    .needs(Permission::ConvFileSpaceRead)
    .derived("the codes; unionId in the query or the body"),
    route(
        "POST",
        "/v1.0/storage/spaces/{}/dentries/listAll",
        Kind::Api(group_files::list),
        "openapi.md 5.3 (soimy/openclaw-channel-dingtalk)",
    )
    .takes(members::DENTRIES)
    .needs(Permission::StorageFileRead)
    .derived(
        "the codes, also for a body that is no JSON object; the files of one group, newest first, \
         at most 50 in one answer",
    ),
    route(
        "POST",
        "/v1.0/storage/spaces/{}/dentries/{}/downloadInfos/query",
        Kind::Api(group_files::download),
        "openapi.md 5.3 (soimy/openclaw-channel-dingtalk)",
    )
    .takes(members::DENTRIES)
    .needs(Permission::StorageDownloadInfoRead)
    .derived("the codes, also for a body that is no JSON object; the names of the headers"),
    route(
        "GET",
        "/storage-files/{}",
        Kind::Dentry,
        "openapi.md 5.3 (soimy/openclaw-channel-dingtalk)",
    )
    .derived(STORAGE),
    route("POST", "/media/upload", Kind::Oapi(media::upload), "openapi.md 5.1 (KB 0646)")
        .derived(
            "extensions of type file beyond the documented ones are taken, with a remark; of the \
             codes for one thing the first of the page: 40006, not 45001; 44001, not 34010 or 34011",
        )
        .takes(members::MEDIA_UPLOAD),
    route("GET", "/media/downloadFile", Kind::Oapi(media::download), "openapi.md 5.1 (KB 0013)"),
    route("GET", "/media/{}", Kind::Media, "openapi.md 5.1 (clients in use)")
        .derived("the answer for an unknown id"),
];

#[cfg(test)]
mod tests {
    use super::ROUTES;

    #[test]
    fn every_route_with_a_body_says_what_it_may_hold() {
        for route in ROUTES {
            let has_body = ["POST", "PUT"].contains(&route.method);
            let path = route.pattern;
            assert_eq!(!route.members.is_empty(), has_body, "{} {path}", route.method);
            for member in route.members {
                let outer = member.split_once('.').map(|(outer, _)| outer);
                assert!(
                    outer.is_none_or(|outer| route.members.contains(&outer)),
                    "{path} {member}"
                );
            }
        }
    }
}
