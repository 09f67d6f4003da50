//! One HTTP call on a connection of its own.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens TCP to the host of `http://HOST:PORT/…` or `ws://HOST:PORT/…`, and gives the host and the
/// path with it.
pub(crate) fn connect(url: &str) -> io::Result<(TcpStream, String, String)> {
    let (_, rest) = url.split_once("://").ok_or(io::ErrorKind::InvalidInput)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    Ok((stream, host.to_owned(), format!("/{path}")))
}

/// Posts JSON and gives the JSON of a 200.
pub(crate) fn post(url: &str, body: &Value) -> io::Result<Value> {
    match call(url, None, body)? {
        (200, answer) => serde_json::from_str(&answer).map_err(io::Error::other),
        (status, _) => Err(io::Error::other(format!("status {status}"))),
    }
}

/// Posts JSON, with an access token if there is one; status and body of the answer.
pub(crate) fn call(url: &str, token: Option<&str>, body: &Value) -> io::Result<(u16, String)> {
    let (mut stream, host, path) = connect(url)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let body = body.to_string();
    let token = token.map(|token| format!("x-acs-dingtalk-access-token: {token}\r\n"));
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{body}",
        token.unwrap_or_default(),
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}
