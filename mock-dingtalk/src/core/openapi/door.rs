//! Tokens and limits: what a call has to pass before its handler sees it.

use super::{answer::Reply, ask::Ask, limits::Spent, media, routes::Route};
use crate::core::{
    Moment,
    app::{App, Cx},
    findings::Rule,
    http::HttpCall,
    journal::Diagnosis,
    mutation::Mutation,
    permission::Permission,
    token::TokenCheck,
};

/// The app of a call to api.dingtalk.com, if its token is good and its limits are not reached.
pub(super) fn api<'a>(
    cx: &Cx<'_>,
    app: Option<&'a mut App>,
    call: &HttpCall,
    route: &'static Route,
) -> Result<&'a mut App, Reply> {
    let app = match (app, call.token.as_deref()) {
        (_, None) => return Err(without_token().ruled(Rule::HeaderMissing)),
        (None, Some(_)) => return Err(unauthenticated("the token was not issued by this mock")),
        (Some(app), Some(token)) => match app.check_token(token, cx.now) {
            TokenCheck::Valid => app,
            TokenCheck::Expired => return Err(unauthenticated("the token has expired")),
            TokenCheck::Unknown => return Err(unauthenticated("the app has no such token")),
        },
    };
    if let Some(permission) = route.needs.filter(|needed| app.api.permissions.lack(*needed)) {
        let (code, name) = (PERMISSION_DENIED, permission.name());
        let refusal = Reply::denied(403, code, &unpermitted(permission), vec![name.to_owned()]);
        return Err(refusal.diagnosed(lacking(permission)));
    }
    match app.spend_call(route, cx.now) {
        Ok(()) => Ok(app),
        Err(spent) => Err(spent_api(spent)),
    }
}

impl App {
    /// What is to be said of a token that a call of this app brought.
    fn check_token(&self, token: &str, now: Moment) -> TokenCheck {
        match self.token.check(token, now) {
            TokenCheck::Expired if self.mutated(Mutation::TokenEndless) => TokenCheck::Valid,
            TokenCheck::Unknown if self.mutated(Mutation::TokenUnknown) => TokenCheck::Valid,
            check => check,
        }
    }

    /// Counts a call.
    fn spend_call(&mut self, route: &Route, now: Moment) -> Result<(), Spent> {
        if self.mutated(Mutation::CallsUnlimited) {
            return Ok(());
        }
        self.api.limits.spend((route.method, route.pattern), route.counted, now)
    }
}

/// The code for an app that lacks a permission (KB 0013).
pub(super) const PERMISSION_DENIED: &str = "Forbidden.AccessDenied.AccessTokenPermissionDenied";

/// The words that reports quote, for both hosts.
fn unpermitted(permission: Permission) -> String {
    format!("应用尚未开通所需的权限：[{}]", permission.name())
}

fn lacking(permission: Permission) -> Diagnosis {
    let name = permission.name();
    let problem = format!("the app lacks the permission {name}");
    let expected = format!(
        "an app that has it; here, POST /_mock/apps/{{clientId}}/permissions {{\"grant\":[\"{name}\"]}}"
    );
    Diagnosis::new(problem, expected, "openapi.md 0.1 and 0.3 (KB 0013)")
}

/// The same for oapi.dingtalk.com: HTTP 200 and an `errcode` (KB 0013, KB 1433).
pub(super) fn oapi<'a>(
    cx: &Cx<'_>,
    app: Option<&'a mut App>,
    ask: &Ask<'_>,
    route: &'static Route,
) -> Result<&'a mut App, Reply> {
    let refuse = |errcode, errmsg, problem| {
        let expected = "?access_token=, a token that is less than 7200 s old";
        let see = "openapi.md 0.2 and 0.3 (KB 0013)";
        Err(Reply::errcode(errcode, errmsg).diagnosed(Diagnosis::new(problem, expected, see)))
    };
    let invalid = |problem| refuse(40014, "不合法的access_token", problem);
    let app = match (app, media::token(ask.call, ask.form).as_deref()) {
        (_, None) => {
            return refuse(41001, "缺少access_token参数", "access_token is missing")
                .map_err(|refusal: Reply| refusal.ruled(Rule::HeaderMissing));
        }
        (None, Some(_)) => return invalid("the token was not issued by this mock"),
        (Some(app), Some(token)) => match app.check_token(token, cx.now) {
            TokenCheck::Valid => app,
            TokenCheck::Expired => {
                return refuse(42001, "access_token超时", "the token has expired");
            }
            TokenCheck::Unknown => return invalid("the app has no such token"),
        },
    };
    if let Some(permission) = route.needs.filter(|needed| app.api.permissions.lack(*needed)) {
        let refusal = Reply::errcode(60011, &unpermitted(permission));
        return Err(refusal.diagnosed(lacking(permission)));
    }
    match app.spend_call(route, cx.now) {
        Ok(()) => Ok(app),
        Err(spent) => {
            let (errcode, errmsg) = match spent {
                // Of the minute no page of the old host tells: the same code is our choice.
                Spent::Second(_) | Spent::Minute(_) => (90018, "应用调用该接口的QPS超过上限"),
                Spent::Month(_) => (90020, "企业调用接口的次数超过上限"),
            };
            Err(Reply::errcode(errcode, errmsg).diagnosed(spent.diagnosis()))
        }
    }
}

/// What the api host answers when a limit is reached (KB 0013, KB 1433; the status of the monthly
/// one is not documented).
fn spent_api(spent: Spent) -> Reply {
    let (code, message) = match spent {
        Spent::Second(_) => {
            ("Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "应用调用该接口的QPS超过上限")
        }
        Spent::Minute(_) => {
            ("Forbidden.AccessDenied.QpmLimitForAppkeyAndApi", "应用调用该接口的QPM超过上限")
        }
        Spent::Month(_) => {
            ("Forbidden.AccessDenied.ApiCountLimitForOrg", "企业调用接口的次数超过上限")
        }
    };
    Reply::error(403, code, message).diagnosed(spent.diagnosis())
}

const TOKEN: &str = "a token of POST /v1.0/oauth2/accessToken, less than 7200 s old";

fn unauthenticated(problem: &str) -> Reply {
    let diagnosis = Diagnosis::new(problem, TOKEN, "openapi.md 0.1 (KB 0013)");
    Reply::error(400, "InvalidAuthentication", "不合法的access_token").diagnosed(diagnosis)
}

/// Code and words as in a third party's log of probes of 2026-09-11, also where the token came in the query.
fn without_token() -> Reply {
    let problem = "the header x-acs-dingtalk-access-token is missing";
    let diagnosis = Diagnosis::new(problem, TOKEN, "openapi.md 0");
    let message = "缺少参数：x-acs-dingtalk-access-token";
    Reply::error(400, "AuthenticationFailed.MissingParameter", message).diagnosed(diagnosis)
}
