//! `GET /_mock/ca.pem`: whom a bot has to trust.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::hub::Hub;

/// The certificate of this mock's authority. Its key is not to be had.
pub(crate) async fn show(State(hub): State<Arc<Hub>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (kind, hub.settings.plug.authority.certificate_pem()).into_response()
}
