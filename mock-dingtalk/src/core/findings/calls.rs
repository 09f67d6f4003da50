//! What HTTP calls and upgrades show.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{Findings, Rule, Seen, hint, recent};
use crate::core::{
    Moment,
    app::{App, Cx},
    foreign::is_foreign,
    http::{HttpAnswer, HttpCall},
    mutation::Mutation,
    openapi::Routed,
    ticket::TicketRefusal,
    token::AccessToken,
};

/// A webhook is better not used in this time before its end.
pub(crate) const NEAR_EXPIRY: Duration = Duration::from_mins(5);
/// Fetches of one token within [`FETCHES_WITHIN`].
const MAX_FETCHES: usize = 2;
const FETCHES_WITHIN: Duration = Duration::from_mins(10);
/// A token with less than this to live may be fetched anew.
const FRESH: Duration = Duration::from_mins(5);
/// Calls of `connections/open` within [`OPENS_WITHIN`].
const MAX_OPENS: usize = 10;
const OPENS_WITHIN: Duration = Duration::from_secs(10);
/// Answers remembered for each session.
const MAX_ANSWERS: usize = 32;
/// What is wrong with one body is said of so many members.
const MAX_UNKNOWN: usize = 5;

/// What the app is known by, to find it where it does not belong.
pub(crate) struct Secrets {
    pub(crate) client_secret: String,
    pub(crate) token: Option<String>,
}

impl Findings {
    /// Judges a call after it was answered.
    pub(crate) fn judge_call(
        &mut self,
        now: Moment,
        entry: u64,
        call: &HttpCall,
        routed: &Routed,
        answer: &HttpAnswer,
        secrets: Option<&Secrets>,
    ) {
        let pattern = routed.pattern();
        let place = format!("{} {}", call.method, pattern.unwrap_or(&call.path));
        if let Some(diagnosis) = &answer.diagnosis {
            let refused = answer.status >= 400 || answer.body.contains("\"errcode\":");
            let general = if refused && !answer.body.contains("\"errcode\":0") {
                Rule::CallRefused
            } else {
                Rule::CallRemarked
            };
            let cased = routed.cased(call);
            let rule = diagnosis.rule.unwrap_or(if cased { Rule::PathCase } else { general });
            let message = format!("{place}: {}", diagnosis.problem);
            let mut seen = Seen::new(rule, place.as_str(), message, diagnosis.expected.as_str());
            seen.see = Some(diagnosis.see.clone());
            self.add(now.unix_ms, entry, seen);
        }
        if let Some(what) = secret_in_url(call, pattern, secrets) {
            let message = format!("{place}: {what} is in the URL");
            let expected = "secrets in headers or bodies";
            self.add(
                now.unix_ms,
                entry,
                Seen::new(Rule::SecretInUrl, place.as_str(), message, expected),
            );
        }
        if is_foreign(call) {
            let host = call.host.as_deref().unwrap_or_default();
            let message = format!("{place}: it was asked of {host}, to which an answer led");
            let expected = "no call to a host that is neither DingTalk's nor configured";
            let seen = Seen::new(Rule::ForeignHostAsked, place.as_str(), message, expected);
            self.add(now.unix_ms, entry, seen);
        }
        let members = routed.members();
        if let (false, Some(Value::Object(body))) = (members.is_empty(), routed.json()) {
            for (name, allowed) in unknown_members(body, members).into_iter().take(MAX_UNKNOWN) {
                let message = format!("{place}: the body has the member {name:?}");
                let place = format!("{place} {name}");
                let expected = format!("of {}", allowed.join(", "));
                self.add(
                    now.unix_ms,
                    entry,
                    Seen::new(Rule::UnknownField, place, message, expected),
                );
            }
        }
    }

    /// Judges a ticket that opened nothing.
    pub(crate) fn judge_ticket(
        &mut self,
        now: Moment,
        entry: u64,
        ticket: &str,
        refusal: TicketRefusal,
    ) {
        let (rule, problem) = match refusal {
            TicketRefusal::Used(_) => (Rule::TicketReused, "was used already"),
            TicketRefusal::Expired(_) => (Rule::TicketExpired, "is older than 90 s"),
            TicketRefusal::Unknown => (Rule::TicketUnknown, "was never issued"),
        };
        let message = format!("the ticket {} {problem}", hint(ticket));
        let expected = "a fresh ticket of connections/open for every connection";
        self.add(now.unix_ms, entry, Seen::new(rule, "", message, expected));
    }
}

/// Members of a body that no page has, each with those that it may be. Within an object they are
/// looked at where `known` has some of it, as `object.member`.
fn unknown_members(
    body: &Map<String, Value>,
    known: &[&'static str],
) -> Vec<(String, Vec<&'static str>)> {
    let mut unknown = Vec::new();
    let outer: Vec<&str> = known.iter().copied().filter(|name| !name.contains('.')).collect();
    for (name, value) in body {
        if !outer.contains(&name.as_str()) {
            unknown.push((name.clone(), outer.clone()));
            continue;
        }
        let within = |known: &&'static str| {
            known.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'))
        };
        let inner: Vec<&str> = known.iter().filter_map(within).collect();
        if let (false, Value::Object(members)) = (inner.is_empty(), value) {
            let more = members.keys().filter(|member| !inner.contains(&member.as_str()));
            unknown.extend(more.map(|member| (format!("{name}.{member}"), inner.clone())));
        }
    }
    unknown
}

/// What is in a URL and should not be.
fn secret_in_url(
    call: &HttpCall,
    pattern: Option<&str>,
    secrets: Option<&Secrets>,
) -> Option<&'static str> {
    if call.query.is_empty() || pattern == Some("/gettoken") {
        return None;
    }
    let new_host = !call.is_oapi();
    url::form_urlencoded::parse(call.query.as_bytes()).find_map(|(name, value)| {
        let is = |secret: Option<&str>| secret.is_some_and(|secret| secret == value);
        let client_secret = is(secrets.map(|secrets| secrets.client_secret.as_str()))
            || matches!(&*name, "clientSecret" | "appSecret" | "appsecret" | "client_secret");
        let token = is(secrets.and_then(|secrets| secrets.token.as_deref()))
            || matches!(&*name, "access_token" | "accessToken");
        match &*name {
            _ if client_secret => Some("the client secret"),
            _ if token && (new_host || pattern == Some("/robot/sendBySession")) => {
                Some("the access token")
            }
            "ticket" => Some("a ticket"),
            _ => None,
        }
    })
}

impl App {
    /// Hands the token out, and minds how often.
    pub(crate) fn fetch_token(&mut self, cx: &Cx<'_>) -> String {
        let (now, left) = (cx.now.since_start, self.token.lives_for(cx.now));
        let watch = &mut self.findings.watch;
        if left <= FRESH {
            // From here on it is another token, or another life of it.
            watch.fetches.clear();
        }
        if !watch.broken_answer {
            let fetches = recent(&mut watch.fetches, now, FETCHES_WITHIN);
            if fetches > MAX_FETCHES {
                let message = format!(
                    "the token was fetched {fetches} times within {} s, and would live for {} s \
                     more",
                    FETCHES_WITHIN.as_secs(),
                    left.as_secs()
                );
                let expected = "one token kept until shortly before its end";
                self.found(cx, Seen::new(Rule::TokenFetchedOften, "", message, expected));
            }
        }
        if self.mutated(Mutation::TokenRenewed) {
            self.token = AccessToken::default();
        }
        self.token.fetch(&mut self.mint, self.number, cx.now)
    }

    /// A connection is asked for.
    pub(crate) fn judge_open(&mut self, cx: &Cx<'_>) {
        let opens = recent(&mut self.findings.watch.opens, cx.now.since_start, OPENS_WITHIN);
        if opens > MAX_OPENS {
            let message =
                format!("connections/open came {opens} times within {} s", OPENS_WITHIN.as_secs());
            let expected = "a pause that grows with each failure";
            self.found(cx, Seen::new(Rule::ReconnectStorm, "", message, expected));
        }
    }

    /// A session was answered with this body.
    pub(crate) fn judge_answer(&mut self, cx: &Cx<'_>, session: &str, body: &[u8]) {
        if self.findings.watch.broken_answer {
            return;
        }
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let hash = hasher.finish();
        let Some(session) = self.sessions.get_mut(session) else { return };
        if !session.answers.contains(&hash) {
            if session.answers.len() < MAX_ANSWERS {
                session.answers.push(hash);
            }
            return;
        }
        let msg_id = session.msg_id.clone();
        let pushes = self.deliveries.pushes_of(&msg_id);
        let again = match pushes {
            0 | 1 => String::new(),
            _ => format!(", which was pushed {pushes} times"),
        };
        let message = format!("msgId {msg_id}{again}, got the same answer again");
        let expected = "one answer to a msgId, however often it is pushed";
        self.found(cx, Seen::new(Rule::AnswerRepeated, msg_id, message, expected));
    }
}
