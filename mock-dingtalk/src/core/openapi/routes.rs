//! Which call a method and a path mean.

use super::{
    Reply, ask::Ask, batch_send, card_create, card_update, emotion, media, message_files,
    read_status, recall, send_to_chat, users,
};
use crate::core::{
    app::{App, Cx},
    fault::OPEN_PATH,
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
    /// `/media/{id}`, which everybody may fetch.
    Media,
    /// The presigned address of a file.
    File,
    /// Token in the query or the form.
    Oapi(Handler),
    /// The same, refused in the words of the TOP gateway.
    Top(Handler),
    /// Token in the header `x-acs-dingtalk-access-token`.
    Api(Handler),
}

/// A call that the mock knows.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// A path; `{}` stands for any one segment.
    pub(super) pattern: &'static str,
    pub(super) kind: Kind,
    /// Letters of the path may be written large or small.
    any_case: bool,
    /// Whether the monthly quota of calls counts it (KB 1432, 1433: not tokens, not contacts).
    pub(super) counted: bool,
}

const fn route(method: &'static str, pattern: &'static str, kind: Kind) -> Route {
    Route {
        method,
        pattern,
        kind,
        any_case: false,
        counted: matches!(kind, Kind::Api(_) | Kind::Oapi(_)),
    }
}

const fn uncounted(method: &'static str, pattern: &'static str, kind: Kind) -> Route {
    Route { counted: false, ..route(method, pattern, kind) }
}

const fn any_case(method: &'static str, pattern: &'static str, kind: Kind) -> Route {
    Route { any_case: true, ..route(method, pattern, kind) }
}

pub(super) static ROUTES: &[Route] = &[
    route("POST", OPEN_PATH, Kind::ConnectionsOpen),
    route("POST", "/v1.0/oauth2/accessToken", Kind::AccessToken),
    route("POST", "/v1.0/oauth2/{}/token", Kind::CorpToken),
    route("GET", "/gettoken", Kind::GetToken),
    route("POST", "/robot/sendBySession", Kind::SendBySession),
    route("POST", "/v1.0/robot/oToMessages/batchSend", Kind::Api(batch_send::answer)),
    route("POST", "/v1.0/robot/groupMessages/send", Kind::Api(send_to_chat::group)),
    route("POST", "/v1.0/robot/privateChatMessages/send", Kind::Api(send_to_chat::private)),
    // KB 0723 writes it so, and batchSend otherwise; clients use both spellings.
    any_case("POST", "/v1.0/robot/otoMessages/batchRecall", Kind::Api(recall::direct)),
    route("POST", "/v1.0/robot/groupMessages/recall", Kind::Api(recall::group)),
    route("POST", "/v1.0/robot/privateChatMessages/batchRecall", Kind::Api(recall::private)),
    route("GET", "/v1.0/robot/oToMessages/readStatus", Kind::Api(read_status::direct)),
    route("POST", "/v1.0/robot/groupMessages/query", Kind::Api(read_status::group)),
    route("POST", "/v1.0/robot/privateChatMessages/query", Kind::Api(read_status::private)),
    route("POST", "/v1.0/robot/emotion/reply", Kind::Api(emotion::reply)),
    route("POST", "/v1.0/robot/emotion/recall", Kind::Api(emotion::recall)),
    route("POST", "/v1.0/robot/messageFiles/download", Kind::Api(message_files::download)),
    uncounted("POST", "/topapi/v2/user/get", Kind::Top(users::get)),
    uncounted("POST", "/topapi/v2/user/getbymobile", Kind::Top(users::by_mobile)),
    uncounted("POST", "/topapi/user/getbyunionid", Kind::Top(users::by_union_id)),
    uncounted("GET", "/user/get", Kind::Oapi(users::get_old)),
    uncounted("GET", "/v1.0/contact/users/me", Kind::Api(users::me)),
    route("GET", "/robot-files/{}", Kind::File),
    route("POST", "/v1.0/card/instances", Kind::Api(card_create::create)),
    route("PUT", "/v1.0/card/instances", Kind::Api(card_update::update)),
    route("POST", "/v1.0/card/instances/deliver", Kind::Api(card_create::deliver)),
    route(
        "POST",
        "/v1.0/card/instances/createAndDeliver",
        Kind::Api(card_create::create_and_deliver),
    ),
    route("PUT", "/v1.0/card/streaming", Kind::Api(card_update::stream)),
    route("POST", "/media/upload", Kind::Oapi(media::upload)),
    route("GET", "/media/downloadFile", Kind::Oapi(media::download)),
    route("GET", "/media/{}", Kind::Media),
];

/// Method and pattern of each call that is answered.
#[cfg(test)]
pub(crate) fn modelled_calls() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method, route.pattern))
}

/// What a call matched.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) route: &'static Route,
    /// The segments that `{}` stood for, decoded.
    pub(super) params: Vec<String>,
    /// The path differs in the case of letters.
    pub(super) other_case: bool,
}

/// The route of a call.
pub(super) fn find(method: &str, path: &str) -> Option<Found> {
    ROUTES.iter().find_map(|route| {
        if route.method != method {
            return None;
        }
        let (params, other_case) = matches(route.pattern, path)?;
        (!other_case || route.any_case).then_some(Found { route, params, other_case })
    })
}

/// The parameters, and whether letters differ in case.
pub(super) fn matches(pattern: &str, path: &str) -> Option<(Vec<String>, bool)> {
    let (mut params, mut other_case) = (Vec::new(), false);
    let mut rest = path.split('/');
    for want in pattern.split('/') {
        let have = rest.next()?;
        if want == "{}" {
            if have.is_empty() {
                return None;
            }
            params.push(decoded(have));
        } else if want != have {
            if !want.eq_ignore_ascii_case(have) {
                return None;
            }
            other_case = true;
        }
    }
    rest.next().is_none().then_some((params, other_case))
}

/// A path segment without its percent signs. A plus sign stays one, unlike in a query.
fn decoded(segment: &str) -> String {
    let plus_kept = segment.replace('+', "%2B");
    url::form_urlencoded::parse(plus_kept.as_bytes())
        .next()
        .map(
            |(key, value)| {
                if segment.contains('=') { format!("{key}={value}") } else { key.into_owned() }
            },
        )
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ROUTES, find, matches};

    #[test]
    fn a_placeholder_takes_one_whole_segment() {
        let cases = [
            ("/a/{}/b", "/a/x/b", Some((vec!["x".to_owned()], false))),
            ("/a/{}/b", "/a//b", None),
            ("/a/{}/b", "/a/x/y/b", None),
            ("/a/{}", "/a/%40l%2FA", Some((vec!["@l/A".to_owned()], false))),
            ("/a/{}", "/a/cid+x==", Some((vec!["cid+x==".to_owned()], false))),
            ("/A/b", "/a/b", Some((vec![], true))),
            ("/a/b", "/a/b/", None),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn only_the_recall_of_direct_messages_is_taken_in_any_case() {
        assert!(find("POST", "/v1.0/robot/oToMessages/batchRecall").unwrap().other_case);
        assert!(!find("POST", "/v1.0/robot/otoMessages/batchRecall").unwrap().other_case);
        assert!(find("POST", "/v1.0/robot/otoMessages/batchSend").is_none());
    }

    #[test]
    fn no_route_hides_a_later_one() {
        for (index, one) in ROUTES.iter().enumerate() {
            for later in &ROUTES[index + 1..] {
                let hides = one.method == later.method
                    && matches(one.pattern, later.pattern)
                        .is_some_and(|(_, other_case)| !other_case);
                assert!(!hides, "{} {} hides {}", one.method, one.pattern, later.pattern);
            }
        }
    }
}
