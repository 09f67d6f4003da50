//! A way to the mock that can be taken away: a network that is down.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on while it is up; when it is down they are refused.
pub(crate) struct Relay {
    address: SocketAddr,
    to: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Relay {
    /// One that is up.
    pub(crate) async fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let serving = Some(tokio::spawn(serve(listener, to)));
        Self { address, to, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections; new ones are refused.
    pub(crate) async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Only then is the socket closed.
            let _ = serving.await;
        }
    }

    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("nobody took the port");
        self.serving = Some(tokio::spawn(serve(listener, self.to)));
    }
}

async fn serve(listener: TcpListener, to: SocketAddr) {
    // Dropped with this future, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((mut from, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut to) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}
