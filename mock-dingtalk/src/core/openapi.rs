//! DingTalk's HTTP APIs, on both hosts.

mod access_token;
mod answer;
mod ask;
mod batch_send;
mod card_create;
mod card_more;
mod card_update;
mod connections_open;
mod corp_token;
mod credentials;
mod door;
mod emotion;
mod endpoints;
mod form;
mod found;
mod group_files;
mod limits;
mod media;
mod members;
mod message_body;
mod message_files;
mod msg_key;
mod not_found;
mod not_modelled;
mod pushes;
mod read_status;
mod recall;
mod robot_send;
mod routes;
mod send_by_session;
mod send_to_chat;
mod state;
mod too_large;
mod users;

use serde_json::Value;

pub use self::emotion::ReactionRow;
use self::form::Form;
pub(crate) use self::{
    answer::Reply,
    card_update::outgrown,
    endpoints::{EndpointRow, Fidelity, endpoints},
    state::ApiState,
};
use self::{
    ask::Ask,
    found::Found,
    routes::{Host, Kind},
};
use super::{
    app::{App, AppNumber, Cx},
    connection::PEER_UA,
    findings::Rule,
    http::HttpCall,
    ids,
    journal::Diagnosis,
    ticket::Tickets,
};

/// A call after routing: what it asks for, and the app it says it is of.
pub(crate) struct Routed {
    found: Option<Found>,
    /// The body as JSON, if it is JSON.
    json: Option<Value>,
    /// The body as a form, if it is one.
    form: Option<Form>,
    /// What names the app: `clientId`, or an id that holds the app's number.
    owner: Owner,
    /// The path is known, and the call came by the name of DingTalk's other host.
    elsewhere: bool,
    /// The body was larger than this and is not here.
    over: Option<usize>,
}

/// What a call says about whose it is.
#[derive(Debug)]
pub(crate) enum Owner {
    ClientId(String),
    Number(AppNumber),
    Nobody,
}

impl Routed {
    pub(crate) fn new(call: &HttpCall) -> Self {
        let found = found::find(&call.method, &call.path);
        let json: Option<Value> = serde_json::from_slice(&call.body).ok();
        let form = call.content_type.as_deref().and_then(|kind| Form::parse(kind, &call.body));
        let member = |name: &str| {
            let text = json.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
            text.map_or(Owner::Nobody, |text| Owner::ClientId(text.to_owned()))
        };
        let number = |id: Option<String>| {
            id.as_deref().and_then(ids::owner).map_or(Owner::Nobody, Owner::Number)
        };
        let owner = match found.as_ref().map(|found| &found.route.kind) {
            Some(Kind::ConnectionsOpen) => member("clientId"),
            Some(Kind::AccessToken) => member("appKey"),
            Some(Kind::CorpToken) => member("client_id"),
            Some(Kind::GetToken) => call.query("appkey").map_or(Owner::Nobody, Owner::ClientId),
            Some(Kind::SendBySession) => number(call.query("session")),
            Some(Kind::RobotSend) => number(call.query("access_token")),
            Some(Kind::Oapi(_) | Kind::Top(_)) => number(media::token(call, form.as_ref())),
            Some(Kind::Media | Kind::File | Kind::Dentry) => {
                let id = found.as_ref().and_then(|found| found.params.first());
                id.and_then(|id| media::owner(id)).map_or(Owner::Nobody, Owner::Number)
            }
            // In the URL it is refused, but says whose call it is.
            Some(Kind::Api(_)) => number(call.token.clone().or_else(|| call.query("access_token"))),
            // Paths that are not there yet can still be told apart by their token, for faults.
            None => number(call.token.clone().or_else(|| call.query("access_token"))),
        };
        let elsewhere =
            found.as_ref().is_some_and(|found| not_found::is_elsewhere(found.route, call));
        Self { found, json, form, owner, elsewhere, over: None }
    }

    /// A call whose body was larger than `most` bytes and is not here.
    pub(crate) fn too_large(call: &HttpCall, most: usize) -> Self {
        Self { over: Some(most), ..Self::new(call) }
    }

    /// Whether the mock has nothing at this method, path and host. An app that is treated leniently
    /// may write the path in other letters, and call either host.
    pub(crate) fn is_unmatched(&self, lenient: bool) -> bool {
        let strict = |found: &Found| found.is_strict() && !self.elsewhere;
        !self.found.as_ref().is_some_and(|found| strict(found) || lenient)
    }

    /// The path as the table has it, with `{}` for what varies.
    pub(crate) fn pattern(&self) -> Option<&'static str> {
        self.found.as_ref().map(|found| found.route.pattern)
    }

    /// The members that its JSON may have.
    pub(crate) fn members(&self) -> &'static [&'static str] {
        self.found.as_ref().map_or(&[], |found| found.route.members)
    }

    /// Whether it asks for a connection.
    pub(crate) fn opens(&self) -> bool {
        matches!(self.found.as_ref().map(|found| &found.route.kind), Some(Kind::ConnectionsOpen))
    }

    /// Whether another client makes the call, which a scenario has let join.
    pub(crate) fn is_peers(&self) -> bool {
        self.json.as_ref().is_some_and(|body| body["ua"] == PEER_UA)
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json.as_ref()
    }

    /// Whether the path differs from a known one in the case of letters.
    pub(crate) fn cased(&self, call: &HttpCall) -> bool {
        match &self.found {
            Some(found) => found.other_case,
            None => not_found::cased(call),
        }
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Answers for an app, or for nobody when the call names none that exists.
    pub(crate) fn answer(
        &self,
        cx: &mut Cx<'_>,
        mut app: Option<&mut App>,
        tickets: &mut Tickets,
        call: &HttpCall,
    ) -> Reply {
        let lenient = app.as_ref().is_some_and(|app| app.api.lenient);
        let mut reply = match (&self.found, self.over) {
            (_, Some(most)) => too_large::answer(call, most),
            (Some(found), None) if !self.is_unmatched(lenient) => {
                let mut reply = self.handled(cx, app.as_deref_mut(), tickets, call, found);
                if let Some(tolerated) = app.and_then(|app| app.api.tolerated.take()) {
                    reply = reply.remarked(tolerated);
                }
                reply.remarked_if(remark(found, call))
            }
            _ => not_found::answer(cx, call),
        };
        if call.wants_xml() {
            reply = reply.into_xml();
        }
        reply
    }

    fn handled(
        &self,
        cx: &mut Cx<'_>,
        app: Option<&mut App>,
        tickets: &mut Tickets,
        call: &HttpCall,
        found: &Found,
    ) -> Reply {
        let json = self.json.as_ref();
        let ask = Ask { call, json, form: self.form.as_ref(), params: &found.params };
        match found.route.kind {
            Kind::ConnectionsOpen => connections_open::answer(cx, app, tickets, call, json),
            Kind::AccessToken => access_token::answer(cx, app, json),
            Kind::GetToken => access_token::answer_old(cx, app, call),
            Kind::CorpToken => corp_token::answer(cx, app, &found.params, json),
            Kind::SendBySession => send_by_session::answer(cx, app, call, json),
            Kind::RobotSend => robot_send::answer(cx, app, call, json),
            Kind::Media => media::public(app, &found.params[0]),
            Kind::File => message_files::serve(cx, app, call, &found.params[0]),
            Kind::Dentry => group_files::serve(cx, app, call, &found.params[0]),
            Kind::Oapi(handler) => door::oapi(cx, app, &ask, found.route)
                .and_then(|app| handler(cx, app, &ask))
                .unwrap_or_else(|refusal| refusal),
            Kind::Top(handler) => door::oapi(cx, app, &ask, found.route)
                .map_err(|refusal| refusal.wrapped(cx.now.unix_ms))
                .and_then(|app| handler(cx, app, &ask))
                .unwrap_or_else(|refusal| refusal)
                .numbered(cx.now.unix_ms)
                .remarked_if(users::token_in_form(&ask)),
            Kind::Api(handler) => door::api(cx, app, call, found.route)
                .and_then(|app| handler(cx, app, &ask))
                .unwrap_or_else(|refusal| refusal),
        }
    }
}

/// What is amiss with an address or a type that was understood all the same.
fn remark(found: &Found, call: &HttpCall) -> Option<Diagnosis> {
    let (method, path, route) = (&call.method, &call.path, found.route);
    if found.other_case {
        let problem = format!("the path is written {path}");
        return Some(Diagnosis::new(problem, route.pattern, "openapi.md 4.4 (KB 0723)"));
    }
    if !not_found::is_of(route, call) {
        let problem = format!("{method} {path} came by {}", call.host.as_deref()?);
        return Some(Diagnosis::new(problem, route.host.name(), "openapi.md 0"));
    }
    let has_json = route.host == Host::Api && !call.body.is_empty();
    if has_json && !call.content_type.as_deref().is_some_and(is_json) {
        // Whether DingTalk refuses it is not documented, but of the old host (43004).
        let kind = call.content_type.as_deref().unwrap_or("missing");
        let problem = format!("Content-Type is {kind}");
        let diagnosis = Diagnosis::new(problem, "Content-Type: application/json", "openapi.md 0");
        return Some(diagnosis.of(Rule::HeaderMissing));
    }
    None
}

/// Whether a `Content-Type` says JSON, with whatever parameters.
fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
