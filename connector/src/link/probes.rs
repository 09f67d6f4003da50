//! What watches the process from outside asks here: a loopback port without a token, which tells how the
//! process is and does nothing.
//!
//! ```text
//! GET /healthz   200 while the process is alive and its store takes what is written
//! GET /readyz    200 while, besides, messages can arrive at every robot; else 503 with the reasons
//! GET /metrics   for Prometheus
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::health::{self, Health};
use super::linked::Linked;
use super::metrics::metrics;
use super::server::Refusal;

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbesError {
    /// An address that other machines may reach: anybody there could read how the robots are doing.
    #[error(
        "--health-listen is {0}, which other machines may reach; give a loopback address such as \
         127.0.0.1:9464, or ask by `ddingtalk health`"
    )]
    NotLoopback(SocketAddr),
    /// The address is not to be had.
    #[error(
        "cannot listen on {address} for health checks: {source}; give --health-listen another address"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running listener; it ends when this is dropped.
#[derive(Debug)]
pub struct Probes {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Probes {
    /// Listens on a loopback address; port 0 takes a free one.
    pub async fn start(
        address: SocketAddr,
        robots: Arc<Linked>,
        health: &Arc<Health>,
    ) -> Result<Self, ProbesError> {
        if !address.ip().is_loopback() {
            return Err(ProbesError::NotLoopback(address));
        }
        let failed = |source| ProbesError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .merge(health::routes(health, "/healthz", "/readyz"))
            .fallback(async || Refusal(StatusCode::NOT_FOUND, PATHS.to_owned()))
            .method_not_allowed_fallback(async || {
                Refusal(StatusCode::METHOD_NOT_ALLOWED, PATHS.to_owned())
            })
            .with_state(robots);
        let task = tokio::spawn(async move {
            // It goes on after errors of single connections, and ends with this task.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const PATHS: &str = "there is GET /healthz, GET /readyz, GET /metrics";
