//! What every control call is held to: no unknown query parameter, and errors in one shape.

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Call;
use crate::{
    control::{guard, refusal::Refusal},
    core::{VerbError, quoted},
};

/// Refuses parameters that the call does not have, and gives refusals of the HTTP library (a path
/// that is no text, a body that is too large) the shape of all others.
pub(super) async fn check(call: &Call, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let known = call.query.iter().any(|parameter| parameter.name == name);
        if !known && name != guard::TOKEN_PARAMETER {
            let names: Vec<&str> = call.query.iter().map(|parameter| parameter.name).collect();
            let allowed = match names.as_slice() {
                [] => "no parameters".to_owned(),
                names => format!("only these parameters: {}", names.join(", ")),
            };
            let name = quoted(&name);
            let error = VerbError::invalid(name.trim_matches('"'), quoted(&value), allowed);
            return Refusal::from(error).into_response();
        }
    }
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return response;
    }
    match response.status() {
        StatusCode::BAD_REQUEST => {
            let error = VerbError::invalid("the path", quoted(&path), "percent-encoded UTF-8");
            Refusal::from(error).into_response()
        }
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large().into_response(),
        _ => response,
    }
}
