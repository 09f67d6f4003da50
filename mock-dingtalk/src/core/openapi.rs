//! DingTalk's HTTP APIs, on both hosts.

mod access_token;
mod answer;
mod batch_send;
mod connections_open;
mod credentials;
mod message_body;
mod send_by_session;

use serde_json::Value;

pub(crate) use self::answer::Reply;
use super::{
    app::{App, AppNumber, Cx},
    fault::OPEN_PATH,
    http::HttpCall,
    ids,
    journal::Diagnosis,
    ticket::Tickets,
};

/// The calls that the mock knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    ConnectionsOpen,
    AccessToken,
    GetToken,
    SendBySession,
    BatchSend,
}

/// Method, path and what is there.
const ROUTES: [(&str, &str, Api); 5] = [
    ("POST", OPEN_PATH, Api::ConnectionsOpen),
    ("POST", "/v1.0/oauth2/accessToken", Api::AccessToken),
    ("GET", "/gettoken", Api::GetToken),
    ("POST", "/robot/sendBySession", Api::SendBySession),
    ("POST", "/v1.0/robot/oToMessages/batchSend", Api::BatchSend),
];

/// A call after routing: what it asks for, and the app it says it is of.
pub(crate) struct Routed {
    api: Option<Api>,
    /// The body as JSON, if it is JSON.
    json: Option<Value>,
    /// What names the app: `clientId`, or an id that holds the app's number.
    owner: Owner,
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
        let api = ROUTES
            .iter()
            .find(|(method, path, _)| *method == call.method && *path == call.path)
            .map(|(_, _, api)| *api);
        let json: Option<Value> = serde_json::from_slice(&call.body).ok();
        let member = |name: &str| {
            let text = json.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
            text.map_or(Owner::Nobody, |text| Owner::ClientId(text.to_owned()))
        };
        let number = |id: Option<String>| {
            id.as_deref().and_then(ids::owner).map_or(Owner::Nobody, Owner::Number)
        };
        let owner = match api {
            Some(Api::ConnectionsOpen) => member("clientId"),
            Some(Api::AccessToken) => member("appKey"),
            Some(Api::GetToken) => call.query("appkey").map_or(Owner::Nobody, Owner::ClientId),
            Some(Api::SendBySession) => number(call.query("session")),
            Some(Api::BatchSend) => number(call.token.clone()),
            // Paths that are not there yet can still be told apart by their token, for faults.
            None => number(call.token.clone().or_else(|| call.query("access_token"))),
        };
        Self { api, json, owner }
    }

    /// Whether the mock has nothing at this method and path.
    pub(crate) fn is_unmatched(&self) -> bool {
        self.api.is_none()
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Answers for an app, or for nobody when the call names none that exists.
    pub(crate) fn answer(
        &self,
        cx: &mut Cx<'_>,
        app: Option<&mut App>,
        tickets: &mut Tickets,
        call: &HttpCall,
    ) -> Reply {
        let json = self.json.as_ref();
        match self.api {
            Some(Api::ConnectionsOpen) => connections_open::answer(cx, app, tickets, call, json),
            Some(Api::AccessToken) => access_token::answer(cx, app, json),
            Some(Api::GetToken) => access_token::answer_old(cx, app, call),
            Some(Api::SendBySession) => send_by_session::answer(cx, app, call, json),
            Some(Api::BatchSend) => batch_send::answer(cx, app, call, json),
            None => not_found(call),
        }
    }
}

/// The api host's body is from aliyun/alibabacloud-go-sdk#5, the oapi host's from its table of
/// global return codes.
fn not_found(call: &HttpCall) -> Reply {
    let other_method = ROUTES.iter().find(|(_, path, _)| *path == call.path);
    let (problem, expected) = match other_method {
        Some((method, path, _)) => {
            (format!("{} is not a method of {path}", call.method), format!("{method} {path}"))
        }
        None => (
            format!("{} {} is not modelled by this mock", call.method, call.path),
            ROUTES.map(|(method, path, _)| format!("{method} {path}")).join(", "),
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
