//! `POST /v1.0/gateway/connections/open`.

use serde_json::{Map, Value, json};

use super::{answer::Reply, credentials};
use crate::core::{
    app::{App, Cx},
    fault::Happening,
    http::HttpCall,
    journal::Diagnosis,
    lifetime,
    ticket::{OpenCall, Subscription, Tickets},
};

const SEE: &str = "stream-protocol.md 2 (developerpedia, stream/protocol)";

/// Hands out an endpoint and a ticket. Fields that DingTalk does not document are let through.
pub(super) fn answer(
    cx: &mut Cx<'_>,
    app: Option<&mut App>,
    tickets: &mut Tickets,
    call: &HttpCall,
    json: Option<&Value>,
) -> Reply {
    let read = match json {
        Some(Value::Object(body)) => Request::read(body),
        _ => Err(Diagnosis::new(
            "the body is not a JSON object",
            r#"{"clientId":"..","clientSecret":"..","subscriptions":[..]}"#,
            SEE,
        )),
    };
    let request = match read {
        Ok(request) => request,
        // The one 400 with JSON that was seen (chzealot/dingtalk-dify-connector#5).
        Err(diagnosis) => {
            return Reply::error(400, "systemError", "系统错误").diagnosed(diagnosis);
        }
    };
    let app = match credentials::check(app, request.client_id, request.client_secret, SEE) {
        Ok(app) => app,
        Err(diagnosis) => {
            return Reply::error(401, "authFailed", "鉴权失败").diagnosed(diagnosis);
        }
    };
    if app.connections.len() >= lifetime::CONNECTIONS_PER_APP {
        let problem = format!("the app has {} connections", lifetime::CONNECTIONS_PER_APP);
        let diagnosis = Diagnosis::new(problem, "fewer", "this mock's own bound");
        return Reply::error(503, "system.busy", "系统繁忙").diagnosed(diagnosis);
    }
    let ticket = app.mint.ticket();
    let base = app.urls(&call.base);
    let endpoint = format!("{}/connect", base.ws());
    let open = OpenCall {
        subscriptions: request.subscriptions,
        ua: request.ua.to_owned(),
        local_ip: request.local_ip.map(str::to_owned),
        base,
    };
    app.faults.happened(Happening::Opened);
    tickets.issue(ticket.clone(), app.number, open, cx.now.since_start);
    Reply::ok(json!({ "endpoint": endpoint, "ticket": ticket }))
}

#[derive(Debug)]
struct Request<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    subscriptions: Vec<Subscription>,
    ua: &'a str,
    local_ip: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn read(body: &'a Map<String, Value>) -> Result<Self, Diagnosis> {
        let required = |name: &str| match body.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
            Some(Value::String(_)) => Err(wrong(&format!("{name} is empty"), "a string")),
            Some(_) => Err(wrong(&format!("{name} is no string"), "a string")),
            None => Err(wrong(&format!("{name} is missing"), "a string")),
        };
        let optional = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(&format!("{name} is no string"), "a string, or nothing")),
        };
        let subscriptions = match body.get("subscriptions") {
            Some(Value::Array(list)) => subscriptions(list)?,
            Some(_) => return Err(wrong("subscriptions is no array", FORM)),
            None => return Err(wrong("subscriptions is missing", FORM)),
        };
        let (ua, local_ip) = (optional("ua")?.unwrap_or_default(), optional("localIp")?);
        let pair = |pair: &Subscription| pair.kind.len() + pair.topic.len();
        let bytes =
            ua.len() + local_ip.map_or(0, str::len) + subscriptions.iter().map(pair).sum::<usize>();
        if bytes > MAX_BYTES {
            let problem = format!("ua, localIp and subscriptions have {bytes} bytes");
            return Err(wrong(&problem, &format!("at most {MAX_BYTES}, a bound of this mock")));
        }
        Ok(Self {
            client_id: required("clientId")?,
            client_secret: required("clientSecret")?,
            subscriptions,
            ua,
            local_ip,
        })
    }
}

/// Reads the pairs, each once: Node sends the same pair twice when two clients share a process.
fn subscriptions(list: &[Value]) -> Result<Vec<Subscription>, Diagnosis> {
    if list.len() > MAX_SUBSCRIPTIONS {
        let problem = format!("{} subscriptions", list.len());
        return Err(wrong(&problem, &format!("at most {MAX_SUBSCRIPTIONS}")));
    }
    let mut pairs: Vec<Subscription> = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let (Some(kind), Some(topic)) = (text("type"), text("topic")) else {
            return Err(wrong(&format!("subscriptions[{index}] lacks type or topic"), FORM));
        };
        if !["EVENT", "CALLBACK", "SYSTEM"].contains(&kind) {
            let problem = format!("subscriptions[{index}].type is {kind:?}");
            return Err(wrong(&problem, "EVENT, CALLBACK or SYSTEM"));
        }
        let pair = Subscription { kind: kind.to_owned(), topic: topic.to_owned() };
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

const FORM: &str = r#"[{"type":"CALLBACK","topic":"/v1.0/im/bot/messages/get"}]"#;
/// More than all topics there are; a bound of the mock.
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// Bytes of what a ticket and its connection remember of the call; a bound of the mock.
const MAX_BYTES: usize = 16 << 10;

fn wrong(problem: &str, expected: &str) -> Diagnosis {
    Diagnosis::new(problem, expected, SEE)
}
