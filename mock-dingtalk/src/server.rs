//! The port: accepts TCP connections.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    core::{Action, Cut, Direction, Fleet},
    hub::Hub,
    plug::Line,
    wire::{Wire, WireControl},
};

/// What a handler knows of the TCP connection that a request came on.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Breaks the connection.
    pub(crate) wire: WireControl,
    /// The address that the client reached.
    pub(crate) local: SocketAddr,
    /// The address that the client came from.
    pub(crate) peer: SocketAddr,
}

/// The listening socket. It can be closed from outside the accept loop, at once.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    listener: Arc<Mutex<Option<TcpListener>>>,
}

/// A connection without a request may stay so long. Longer than any client pools one: a reply
/// that meets a connection just being closed would fail for no reason of the bot's.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_mins(10);

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
pub(crate) async fn serve(port: Port, hub: Arc<Hub>, router: Router) {
    let mut connections = JoinSet::new();
    while let Some(accepted) = port.accept().await {
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(serve_connection(stream, peer, Arc::clone(&hub), router.clone()));
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

/// Looks at the first byte, which tells TLS from HTTP, and leaves the rest to [`Line`].
async fn serve_connection(stream: TcpStream, peer: SocketAddr, hub: Arc<Hub>, router: Router) {
    let Ok(local) = stream.local_addr() else { return };
    // A frame is written whole; waiting for more only delays it. It fails only on a dead socket.
    let _ = stream.set_nodelay(true);
    let (wire, control) = Wire::new(stream);
    match hub.step(Fleet::accepted) {
        Some(Action::Drop(how)) => {
            control.cut(&how);
            if how != Cut::OneWay(Direction::ToBot) {
                if how != Cut::Rst {
                    // The peer ends it: with something unread, an end from here would be a reset.
                    let _ = tokio::time::timeout(HEAD_TIMEOUT, wire.drain()).await;
                }
                return;
            }
        }
        Some(Action::Dribble { bytes, every }) => control.dribble(&hub, None, bytes, every),
        _ => {}
    }
    let peeked = tokio::time::timeout(HEAD_TIMEOUT, wire.peek()).await;
    let Ok(Ok(Some(first))) = peeked else { return };
    let arrival = Arrival { wire: control, local, peer };
    Line::new(arrival, hub, router).serve(wire, first).await;
}
