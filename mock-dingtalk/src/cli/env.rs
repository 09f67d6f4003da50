//! `mock-dingtalk env`: asks a running mock how to plug a bot in.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use clap::Args;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use super::exit_code::Exit;

/// Print the variables that make a bot find a running mock.
#[derive(Debug, Args)]
pub(super) struct Env {
    /// The mock's URL, as in its ready line.
    #[arg(long, env = "MOCK_DINGTALK_URL")]
    url: Url,
    /// `clientId` of an app of that mock.
    #[arg(long, value_name = "ID", env = "DINGTALK_CLIENT_ID")]
    client_id: String,
    /// Whom the variables are for: python, node, go, java, connector, or all.
    #[arg(long, default_value = "all")]
    sdk: String,
    /// How they are written: shell (to be evaluated), dotenv, json, or compose.
    #[arg(long, default_value = "shell")]
    format: String,
    /// The admin token of a mock that wants one.
    #[arg(long, value_name = "TOKEN", env = "MOCK_DINGTALK_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

/// The whole exchange may take so long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is a few lines; more than this is none of a mock's.
const MAX_ANSWER: usize = 1 << 20;

impl Env {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let (Some(host), "http") = (self.url.host_str(), self.url.scheme()) else {
            return Err(Exit::usage(format!("`{}` is no mock's URL: http://HOST:PORT", self.url)));
        };
        let address = format!("{host}:{}", self.url.port_or_known_default().unwrap_or(80));
        let unreachable = |why: String| {
            Exit::unavailable(format!("no mock answers at {}: {why}; is it running?", self.url))
        };
        let exchange = tokio::time::timeout(TIMEOUT, self.ask(&address));
        let (status, body) = exchange
            .await
            .map_err(|_| unreachable(format!("nothing within {} s", TIMEOUT.as_secs())))?
            .map_err(|error| unreachable(format!("{error:#}")))?;
        if status != StatusCode::OK {
            let error: Value = serde_json::from_slice(&body).unwrap_or_default();
            let message = error["error"]["message"].as_str().unwrap_or("it is no mock-dingtalk");
            return Err(Exit::failed(format!("{} refused: {message}", self.url)));
        }
        let mut stdout = io::stdout().lock();
        let newline: &[u8] = if body.ends_with(b"\n") { b"" } else { b"\n" };
        stdout
            .write_all(&body)
            .and_then(|()| stdout.write_all(newline))
            .and_then(|()| stdout.flush())
            .map_err(|error| Exit::failed(format!("cannot write to stdout: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(&self, address: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("sdk", &self.sdk)
            .append_pair("clientId", &self.client_id)
            .append_pair("format", &self.format)
            .finish();
        let mut request = Request::get(format!("/_mock/env?{query}")).header(header::HOST, address);
        if let Some(token) = &self.admin_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Body::empty())?).await?;
        let status = response.status();
        let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await?;
        Ok((status, body))
    }
}
