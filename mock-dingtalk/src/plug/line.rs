//! One connection, from its first byte to HTTP.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, uri::Scheme},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::{AlertDescription, server::Acceptor};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{
    authority::speaks_for,
    passthrough,
    proxy::{self, Aim, Own},
    rewind::Rewind,
};
use crate::{
    core::{Action, Diagnosis, Fleet},
    dingtalk::DIAGNOSIS,
    hub::Hub,
    server::{Arrival, HEAD_TIMEOUT},
};

/// The first byte of a TLS connection: a handshake record (RFC 8446 5.1). No HTTP method has it.
const TLS_HANDSHAKE: u8 = 0x16;
/// A fatal alert, `handshake_failure` (RFC 8446, 6).
const HANDSHAKE_FAILURE: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];
/// A handshake may take so long. Real time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection, and who answers on it.
#[derive(Clone)]
pub(crate) struct Line {
    arrival: Arrival,
    hub: Arc<Hub>,
    router: TowerToHyperService<Router>,
}

/// How deep in a connection a request was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Connection,
    Tunnel,
}

/// A tunnel that a `CONNECT` was granted.
#[derive(Debug)]
enum Tunnel {
    /// It ends in the mock.
    Here(OnUpgrade),
    /// It ends at somebody else.
    Away(OnUpgrade, TcpStream),
}

/// Where a `CONNECT` leaves its tunnel, for when its answer is written.
type Granted = Arc<Mutex<Option<Tunnel>>>;

impl Line {
    pub(crate) fn new(arrival: Arrival, hub: Arc<Hub>, router: Router) -> Self {
        Self { arrival, hub, router: TowerToHyperService::new(router) }
    }

    /// Serves a connection that starts with the byte `first`, which is still to be read.
    pub(crate) async fn serve<S>(self, io: S, first: u8)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // Boxed, so that connections without a tunnel don't pay for those with one.
        match self.talk(io, first, Depth::Connection).await {
            None => {}
            Some(Tunnel::Here(upgrade)) => Box::pin(self.inside(upgrade)).await,
            Some(Tunnel::Away(upgrade, far)) => Box::pin(passthrough::copy(upgrade, far)).await,
        }
    }

    /// Serves what comes through a tunnel.
    async fn inside(&self, upgrade: OnUpgrade) {
        let Ok(upgraded) = upgrade.await else { return };
        let peeked = tokio::time::timeout(HEAD_TIMEOUT, Rewind::peek(TokioIo::new(upgraded))).await;
        if let Ok(Ok((first, io))) = peeked {
            self.talk(io, first, Depth::Tunnel).await;
        }
    }

    async fn talk<S>(&self, io: S, first: u8, depth: Depth) -> Option<Tunnel>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        if first == TLS_HANDSHAKE {
            Box::pin(async { self.http(self.secure(io).await?, depth).await }).await
        } else {
            self.http(io, depth).await
        }
    }

    /// Does the TLS handshake, or says why there was none.
    async fn secure<S>(&self, io: S) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut name = String::new();
        let handshake = async {
            let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
            start.client_hello().server_name().unwrap_or_default().clone_into(&mut name);
            if let Some(fault) = self.hub.step(Fleet::handshaking) {
                return Ok(Err((start.io, fault)));
            }
            // For a foreign name there is no certificate, which ends the handshake with an alert.
            start.into_stream(Arc::clone(&self.hub.settings.plug.tls)).await.map(Ok)
        };
        let error = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(Ok(stream))) => return Some(stream),
            Ok(Ok(Err((io, fault)))) => {
                self.fail(io, fault).await;
                return None;
            }
            Ok(Err(error)) => error,
            Err(_) => std::io::ErrorKind::TimedOut.into(),
        };
        if !name.is_empty() && !speaks_for(&name) {
            self.note("TLS handshake refused", None, proxy::foreign_name(&name));
        } else if is_distrust(&error) {
            self.note("TLS handshake given up", None, proxy::distrust(&error));
        } else {
            tracing::debug!(name, %error, "a TLS handshake failed");
        }
        None
    }

    /// Ends a handshake that a fault does not let through.
    async fn fail<S>(&self, mut io: S, fault: Action)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let patience = match fault {
            Action::Drop(how) => {
                self.arrival.wire.cut(&how);
                HEAD_TIMEOUT
            }
            _ => HANDSHAKE_TIMEOUT,
        };
        let end = async {
            io.write_all(&HANDSHAKE_FAILURE).await?;
            io.shutdown().await?;
            // With something unread, the end would be a reset, and the alert might be lost.
            tokio::io::copy(&mut io, &mut tokio::io::sink()).await
        };
        // It fails where the fault is a cut.
        let _ = tokio::time::timeout(patience, end).await;
    }

    /// Serves HTTP until the connection ends, or becomes something else.
    async fn http<S>(&self, io: S, depth: Depth) -> Option<Tunnel>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let granted = Granted::default();
        let service = service_fn(|request: Request<Incoming>| {
            let (line, granted) = (self.clone(), Arc::clone(&granted));
            async move { line.answer(request.map(Body::new), depth, &granted).await }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended badly");
        }
        granted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn answer(
        &self,
        mut request: Request,
        depth: Depth,
        granted: &Granted,
    ) -> Result<Response, Infallible> {
        if request.method() == Method::CONNECT {
            return Ok(self.connect(request, depth, granted).await);
        }
        if let Some(authority) = request.uri().authority().cloned() {
            let secure = request.uri().scheme() == Some(&Scheme::HTTPS);
            let what = format!("{} {}", request.method(), request.uri());
            let aim = Aim::of(&authority, if secure { 443 } else { 80 }, self.own());
            proxy::to_origin_form(&mut request, &authority);
            if let Aim::Elsewhere(target) = aim {
                return Ok(if !self.hub.settings.plug.passthrough {
                    self.refuse(&what, StatusCode::FORBIDDEN, proxy::foreign(&what))
                } else if secure {
                    self.refuse(&what, StatusCode::FORBIDDEN, proxy::needs_connect(&what))
                } else {
                    let answer = match passthrough::dial(&target).await {
                        Ok(far) => {
                            passthrough::forward(request, far).await.map_err(|e| e.to_string())
                        }
                        Err(error) => Err(error.to_string()),
                    };
                    answer.unwrap_or_else(|why| {
                        let diagnosis = proxy::unreachable(&target, &why);
                        self.refuse(&what, StatusCode::BAD_GATEWAY, diagnosis)
                    })
                });
            }
        }
        request.extensions_mut().insert(self.arrival.clone());
        hyper::service::Service::call(&self.router, request).await
    }

    /// `CONNECT HOST:PORT`: 200 and a tunnel, or a refusal that says why.
    async fn connect(&self, mut request: Request, depth: Depth, granted: &Granted) -> Response {
        let what = format!("CONNECT {}", request.uri());
        let refuse = |status, diagnosis| self.refuse(&what, status, diagnosis);
        let authority = request.uri().authority().cloned();
        let Some(authority) = authority.filter(|authority| authority.port_u16().is_some()) else {
            return refuse(StatusCode::BAD_REQUEST, proxy::no_target());
        };
        if depth == Depth::Tunnel {
            return refuse(StatusCode::FORBIDDEN, proxy::nested(&what));
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let tunnel = match Aim::of(&authority, 443, self.own()) {
            Aim::Mock => Tunnel::Here(upgrade),
            Aim::Elsewhere(target) if self.hub.settings.plug.passthrough => {
                match passthrough::dial(&target).await {
                    Ok(far) => Tunnel::Away(upgrade, far),
                    Err(error) => {
                        let diagnosis = proxy::unreachable(&target, &error);
                        return refuse(StatusCode::BAD_GATEWAY, diagnosis);
                    }
                }
            }
            Aim::Elsewhere(_) => return refuse(StatusCode::FORBIDDEN, proxy::foreign(&what)),
        };
        tracing::debug!("{what}: granted");
        *granted.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
        StatusCode::OK.into_response()
    }

    fn own(&self) -> Own<'_> {
        let public_url = self.hub.settings.public_url.as_deref();
        Own { local: self.arrival.local, public_url }
    }

    fn refuse(&self, what: &str, status: StatusCode, diagnosis: Diagnosis) -> Response {
        let body = Json(json!({ "error": { "message": diagnosis.problem } }));
        let mut response = (status, body).into_response();
        if let Ok(line) = HeaderValue::from_str(&diagnosis.header()) {
            response.headers_mut().insert(DIAGNOSIS, line);
        }
        self.note(what, Some(status), diagnosis);
        response
    }

    fn note(&self, what: &str, status: Option<StatusCode>, diagnosis: Diagnosis) {
        let status = status.map_or(0, |status| status.as_u16());
        self.hub.step(|fleet, now| fleet.turned_away(now, what, status, diagnosis));
    }
}

/// Whether the client said that it does not trust the certificate.
fn is_distrust(error: &std::io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(
        cause,
        Some(rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
        ))
    )
}
