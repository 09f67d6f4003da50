//! The port: accepts TCP connections and serves HTTP on them.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::wire::{Wire, WireControl};

/// What a handler knows of the TCP connection that a request came on.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Breaks the connection.
    pub(crate) wire: WireControl,
    /// The address that the client reached.
    pub(crate) local: SocketAddr,
}

/// The listening socket. It can be closed from outside the accept loop, at once.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    listener: Arc<Mutex<Option<TcpListener>>>,
}

/// A connection without a request may stay so long. Longer than any client pools one: a reply
/// that meets a connection just being closed would fail for no reason of the bot's.
const HEAD_TIMEOUT: Duration = Duration::from_mins(10);

impl Port {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((Self { listener: Arc::new(Mutex::new(Some(listener))) }, bound))
    }

    /// Frees the port.
    pub(crate) fn close(&self) {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The next connection, or `None` when the port was closed.
    async fn accept(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        std::future::poll_fn(|cx| {
            match &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(listener) => listener.poll_accept(cx).map(Some),
                None => Poll::Ready(None),
            }
        })
        .await
    }
}

/// Serves until the port is closed. Dropping the future ends all connections that have
/// not become WebSocket ones.
pub(crate) async fn serve(port: Port, router: Router) {
    let mut connections = JoinSet::new();
    while let Some(accepted) = port.accept().await {
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, router.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: a pause lets some be closed.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Everything is HTTP/1 so far. Other things that may speak on this port (TLS, a proxy's
/// CONNECT) are to be told apart here, by a peek at the first bytes.
async fn serve_connection(stream: TcpStream, router: Router) {
    let Ok(local) = stream.local_addr() else { return };
    // A frame is written whole; waiting for more only delays it. It fails only on a dead socket.
    let _ = stream.set_nodelay(true);
    let (wire, control) = Wire::new(stream);
    let arrival = Arrival { wire: control, local };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(arrival.clone());
        hyper::service::Service::call(&router, request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended badly");
    }
}
