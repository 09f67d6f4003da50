//! The WebSocket itself: dial, shake hands, read in batches, write in batches. The only file that
//! names the WebSocket crate.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use super::proxy::{Proxies, Proxy};
use super::session::CloseReason;
use crate::protocol::Endpoint;

/// How connections are made.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Limit for TCP, TLS and WebSocket handshake together. Default 10 s.
    pub handshake_timeout: Duration,
    /// TLS for `wss`.
    pub tls: Arc<rustls::ClientConfig>,
    /// Proxies that may lie between.
    pub proxies: Proxies,
}

/// Why no connection stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address, or the port takes no connection.
    #[error("cannot connect to {host}: {source}")]
    Tcp {
        /// Host and port.
        host: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The proxy on the way does not lead there.
    #[error("the proxy {proxy} does not lead to {host}: {reason}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port.
        host: String,
        /// Cause.
        reason: String,
    },
    /// TLS failed: an untrusted certificate, a wrong name, or no TLS at all.
    #[error("TLS with {host} failed: {source}")]
    Tls {
        /// Host and port.
        host: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The server answered the upgrade with something else; an expired or used ticket looks so too.
    #[error("{host} refused the WebSocket with HTTP {status}")]
    Refused {
        /// Host and port.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The handshake broke.
    #[error("the WebSocket handshake with {host} broke: {reason}")]
    Handshake {
        /// Host and port.
        host: String,
        /// Cause.
        reason: String,
    },
    /// It took too long.
    #[error("{host} did not finish the handshake within {} s", .after.as_secs())]
    Timeout {
        /// Host and port.
        host: String,
        /// The limit.
        after: Duration,
    },
}

/// One thing read.
#[derive(Debug)]
pub(super) enum Received {
    /// A text message.
    Text(String),
    /// A binary message, which the protocol does not use.
    Binary,
    /// A ping or pong.
    Sign,
    /// The end.
    Closed(CloseReason),
}

/// One thing to write.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A text message.
    Text(String),
    /// A ping.
    Ping,
    /// A Close frame with code 1000; nothing may follow.
    Close,
}

/// Reads one connection.
pub(super) struct Reader {
    stream: futures_util::stream::ReadyChunks<SplitStream<Socket>>,
}

/// Writes one connection.
pub(super) struct Writer {
    sink: SplitSink<Socket, Message>,
}

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Plain or TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// As many messages as are ready are read, and acked, at a time.
const READ_BATCH: usize = 128;

/// Kept small: one connection needs no more, and the crate's default is 128 KiB each way.
const BUFFER: usize = 16 * 1024;

/// Longer messages than this end the connection, in bytes. The gateway's own limit is not documented;
/// the largest frame any SDK is known to accept by default is 1 MiB.
const MAX_MESSAGE: usize = 4 << 20;

/// Connects and shakes hands.
pub(super) async fn connect(
    endpoint: &Endpoint,
    config: &TransportConfig,
) -> Result<(Reader, Writer), ConnectError> {
    let url = endpoint.url_with_ticket();
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let authority = format!("{host}:{port}");
    let after = config.handshake_timeout;
    tokio::time::timeout(after, dial(&url, &host, port, config)).await.unwrap_or_else(|_| {
        let proxy = config.proxies.to(&authority, url.scheme() == "wss");
        let host = match proxy {
            Some(proxy) => format!("{authority}, by the proxy {},", proxy.authority()),
            None => authority.clone(),
        };
        Err(ConnectError::Timeout { host, after })
    })
}

/// Goes as far as a call to `base` would, without making it: to the proxy or host, and through TLS.
pub(crate) async fn reach(base: &Url, config: &TransportConfig) -> Result<(), ConnectError> {
    let host = base.host_str().unwrap_or_default();
    let port = base.port_or_known_default().unwrap_or(443);
    let authority = format!("{host}:{port}");
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let after = config.handshake_timeout;
    let dialled = async {
        let is_tls = base.scheme() == "https";
        let stream = match config.proxies.to(&authority, is_tls) {
            None => tcp(name, port, &authority).await?,
            Some(proxy) if is_tls => through(&proxy, &authority, config).await?,
            // It is told the whole address, and makes no tunnel.
            Some(proxy) => tcp(proxy.host(), proxy.port(), &proxy.authority()).await?,
        };
        if is_tls {
            tls(stream, name, &authority, config).await?;
        }
        Ok(())
    };
    let timeout = ConnectError::Timeout { host: authority.clone(), after };
    tokio::time::timeout(after, dialled).await.unwrap_or(Err(timeout))
}

/// Connects, and closes at once: says Close, and reads until the other side does, or [`GOODBYE`] has passed.
/// What comes meanwhile is dropped and not acked.
pub(crate) async fn try_out(
    endpoint: &Endpoint,
    config: &TransportConfig,
) -> Result<(), ConnectError> {
    let (mut reader, mut writer) = connect(endpoint, config).await?;
    let goodbye = async {
        writer.feed(Outgoing::Close).await?;
        writer.flush().await?;
        while !matches!(reader.batch().await.last(), Some(Received::Closed(_))) {}
        Ok::<_, CloseReason>(())
    };
    // That it stood is what was asked.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    Ok(())
}

/// How long a connection that was only tried out waits for the other side's Close.
const GOODBYE: Duration = Duration::from_secs(2);

async fn dial(
    url: &Url,
    host: &str,
    port: u16,
    config: &TransportConfig,
) -> Result<(Reader, Writer), ConnectError> {
    let authority = format!("{host}:{port}");
    // An IPv6 host stands in brackets in a URL, and without them in an address.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_tls = url.scheme() == "wss";
    let mut stream = match config.proxies.to(&authority, is_tls) {
        None => tcp(bare, port, &authority).await?,
        Some(proxy) => through(&proxy, &authority, config).await?,
    };
    if is_tls {
        stream = tls(stream, bare, &authority, config).await?;
    }
    let websocket = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let handshake = async {
        let request = url.as_str().into_client_request()?;
        client_async_with_config(request, stream, Some(websocket)).await
    };
    match handshake.await {
        Ok((socket, _)) => {
            let (sink, stream) = socket.split();
            Ok((Reader { stream: stream.ready_chunks(READ_BATCH) }, Writer { sink }))
        }
        Err(WsError::Http(response)) => {
            Err(ConnectError::Refused { host: authority, status: response.status().as_u16() })
        }
        // The message of a URL error would carry the ticket; nothing else here names the URL.
        Err(WsError::Url(_)) => Err(ConnectError::Handshake {
            host: authority,
            reason: "the endpoint is no usable WebSocket URL".to_owned(),
        }),
        Err(e) => Err(ConnectError::Handshake { host: authority, reason: e.to_string() }),
    }
}

async fn tcp(host: &str, port: u16, authority: &str) -> Result<Box<dyn Stream>, ConnectError> {
    let connect = async {
        let tcp = connect_any(host, port).await?;
        // An ack must not wait for the ack of the ack before it.
        tcp.set_nodelay(true)?;
        Ok(Box::new(tcp) as Box<dyn Stream>)
    };
    connect.await.map_err(|source| ConnectError::Tcp { host: authority.to_owned(), source })
}

async fn tls(
    stream: Box<dyn Stream>,
    host: &str,
    authority: &str,
    config: &TransportConfig,
) -> Result<Box<dyn Stream>, ConnectError> {
    let connect = async {
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())
            .map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&config.tls)).connect(name, stream).await?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    connect.await.map_err(|source| ConnectError::Tls { host: authority.to_owned(), source })
}

/// A tunnel to `authority`.
async fn through(
    proxy: &Proxy,
    authority: &str,
    config: &TransportConfig,
) -> Result<Box<dyn Stream>, ConnectError> {
    let of_proxy = proxy.authority();
    let mut stream = tcp(proxy.host(), proxy.port(), &of_proxy).await?;
    if proxy.is_tls() {
        stream = tls(stream, proxy.host(), &of_proxy, config).await?;
    }
    match proxy.tunnel(&mut stream, authority).await {
        Ok(()) => Ok(stream),
        Err(reason) => {
            Err(ConnectError::Proxy { proxy: of_proxy, host: authority.to_owned(), reason })
        }
    }
}

/// Connects to the first address that takes it. Each gets a time of its own: an IPv6 route that leads
/// nowhere must not use up the time of the IPv4 one.
async fn connect_any(host: &str, port: u16) -> std::io::Result<TcpStream> {
    const EACH: Duration = Duration::from_secs(3);
    let mut last = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        match tokio::time::timeout(EACH, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(e)) => last = Some(e),
            Err(_) => last = Some(std::io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
}

impl Reader {
    /// Waits for something and reads all that is there. The last item of the last batch is
    /// [`Received::Closed`]; reading on finishes the closing handshake and ends.
    pub(super) async fn batch(&mut self) -> Vec<Received> {
        match self.stream.next().await {
            Some(batch) => batch.into_iter().map(received).collect(),
            None => vec![Received::Closed(CloseReason::Ended)],
        }
    }
}

impl Writer {
    /// Takes a message in; it goes out with [`Writer::flush`] at the latest.
    pub(super) async fn feed(&mut self, outgoing: Outgoing) -> Result<(), CloseReason> {
        let message = match outgoing {
            Outgoing::Text(text) => Message::text(text),
            Outgoing::Ping => Message::Ping(Vec::new().into()),
            Outgoing::Close => Message::Close(Some(CloseFrame {
                code: tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::Normal,
                reason: "".into(),
            })),
        };
        self.sink.feed(message).await.map_err(|e| failure(&e))
    }

    /// Puts everything on the wire.
    pub(super) async fn flush(&mut self) -> Result<(), CloseReason> {
        self.sink.flush().await.map_err(|e| failure(&e))
    }
}

fn received(message: Result<Message, WsError>) -> Received {
    match message {
        Ok(Message::Text(text)) => Received::Text(text.as_str().to_owned()),
        Ok(Message::Binary(_)) => Received::Binary,
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Received::Sign,
        Ok(Message::Close(frame)) => Received::Closed(match frame {
            Some(frame) => CloseReason::Closed {
                code: frame.code.into(),
                reason: frame.reason.as_str().to_owned(),
            },
            // 1005: no code was given (RFC 6455, 7.1.5).
            None => CloseReason::Closed { code: 1005, reason: String::new() },
        }),
        Err(e) => Received::Closed(failure(&e)),
    }
}

fn failure(e: &WsError) -> CloseReason {
    match e {
        WsError::ConnectionClosed | WsError::AlreadyClosed => CloseReason::Ended,
        e => CloseReason::Failed(e.to_string()),
    }
}
