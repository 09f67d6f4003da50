//! `messageFiles/download`, and the presigned address that it hands out.

use std::time::Duration;

use ring::hmac;
use serde_json::json;

use super::{
    answer::Reply,
    ask::{Ask, refuse},
};
use crate::core::{
    app::{App, Cx},
    http::HttpCall,
    journal::Diagnosis,
    lifetime,
    media::{Media, hex},
    mutation::Mutation,
};

const SEE: &str = "openapi.md 4.7 (KB 0719)";

/// `POST /v1.0/robot/messageFiles/download`. The codes are the page's, also where they name the
/// robot for a missing `downloadCode`.
pub(super) fn download(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    const EMPTY: &str = "invalidParameter.robotCode.empty";
    let body = ask.object(EMPTY, SEE)?;
    let robot = body.required("robotCode", EMPTY, SEE)?;
    let code = body.required("downloadCode", EMPTY, SEE)?;
    if robot != app.robot_code {
        let problem = "robotCode is not the app's robot";
        let expected = app.robot_code.clone();
        return Err(refuse("invalidParameter.robotCode.auth", problem, expected, SEE));
    }
    let live = |media: &&Media| media.expires.is_some_and(|end| end > cx.now.since_start);
    let Some(media) = app.api.media.get(code).filter(live) else {
        let problem = format!("the downloadCode {code:?} is unknown, or too old");
        let expected = "the downloadCode of a message of the last day";
        return Err(refuse("invalidParameter.robotCode.downloadCode", problem, expected, SEE));
    };
    // The file's own id tells whose it is, which the code of a fixture does not.
    let code = media.id.as_str();
    let expires = cx.now.unix_ms / 1_000 + lifetime::DOWNLOAD_URL_SECONDS;
    let lives = Duration::from_secs(lifetime::DOWNLOAD_URL_SECONDS.unsigned_abs());
    let until = cx.now.since_start.saturating_add(lives).as_millis();
    let signature = sign(app, code, expires, until);
    let url = format!(
        "{}/robot-files/{code}.file?Expires={expires}&OSSAccessKeyId=dingmock&Signature={signature}",
        app.urls(&ask.call.base).http(),
    );
    Ok(Reply::ok(json!({ "downloadUrl": url })))
}

/// `GET /robot-files/{code}.file?…`: what the object storage answers. A Content-Type becomes part
/// of what its signature is of, so a request that brings one is refused.
pub(super) fn serve(cx: &Cx<'_>, app: Option<&mut App>, call: &HttpCall, name: &str) -> Reply {
    let denied = |code: &str, message: &str, problem: String, expected: &str| {
        Reply::storage(403, code, message).diagnosed(Diagnosis::new(problem, expected, SEE))
    };
    let mismatch = |problem: String, expected: &str| {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your key and signing method.";
        denied("SignatureDoesNotMatch", message, problem, expected)
    };
    let code = name.strip_suffix(".file").unwrap_or(name);
    let expires: i64 = call.query("Expires").and_then(|at| at.parse().ok()).unwrap_or(0);
    let signature = call.query("Signature").unwrap_or_default();
    let until = deadline(&signature);
    let app = app.filter(|app| signature == sign(app, code, expires, until));
    let Some(app) = app else {
        let problem = "the address is not as messageFiles/download gave it".to_owned();
        return mismatch(problem, "the downloadUrl, unchanged");
    };
    if let Some(kind) = &call.content_type
        && !app.mutated(Mutation::FileWithType)
    {
        let problem = format!("the request has Content-Type: {kind}");
        return mismatch(problem, "a GET without Content-Type");
    }
    if cx.now.since_start.as_millis() >= until && !app.mutated(Mutation::FileAddressEndless) {
        let problem = format!("the address ended at {expires}");
        return denied("AccessDenied", "Request has expired.", problem, "a fresh downloadUrl");
    }
    match app.api.media.get(code) {
        Some(media) => Reply::file("application/octet-stream", app.as_served(media)),
        None => Reply::no_such_key(SEE),
    }
}

/// Letters and digits only, so that no client has to encode it. It begins with the end on the
/// steady hand of the clock, in milliseconds: a jump of the wall ends nothing.
fn sign(app: &App, code: &str, expires: i64, until: u128) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, app.client_secret.as_bytes());
    let tag = hmac::sign(&key, format!("GET\n\n\n{expires}\n{until}\n/{code}").as_bytes());
    format!("{until:016x}{}", hex(&tag.as_ref()[..16]))
}

/// The end that a signature begins with.
pub(super) fn deadline(signature: &str) -> u128 {
    signature.get(..16).and_then(|hex| u128::from_str_radix(hex, 16).ok()).unwrap_or(0)
}
