//! `--passthrough`: what is not for DingTalk really goes where it wants to.

use std::{io, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::proxy::Target;

/// A host that does not answer within this time is taken for unreachable. Real time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to somebody else.
pub(super) async fn dial(target: &Target) -> io::Result<TcpStream> {
    let address = (target.host.as_str(), target.port);
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(dialled) => dialled,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Carries bytes both ways until both sides have ended.
pub(super) async fn copy(near: OnUpgrade, mut far: TcpStream) {
    let Ok(near) = near.await else { return };
    let mut near = TokioIo::new(near);
    if let Err(error) = tokio::io::copy_bidirectional(&mut near, &mut far).await {
        tracing::debug!(%error, "a tunnel ended badly");
    }
}

/// Sends a request that is in origin form already, and returns its answer.
pub(super) async fn forward(request: Request<Body>, far: TcpStream) -> hyper::Result<Response> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(far)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to another host ended badly");
        }
    });
    Ok(sender.send_request(request).await?.map(Body::new).into_response())
}
