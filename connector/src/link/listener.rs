//! Where the link listens: a Unix socket in the state directory, or a loopback port with a token.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tracing::warn;

use crate::redact::Secret;

/// The socket's name in the state directory.
pub(super) const SOCKET: &str = "agent.sock";
/// Where a loopback port and its token are written, readable by their owner only.
pub(super) const ADDRESS: &str = "agent.json";
/// The longest path of a socket, in bytes: macOS takes 103, Linux 107.
const LONGEST: usize = 100;

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Socket,
    /// Its file, which goes with it.
    pub(super) file: PathBuf,
}

#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixListener),
    Tcp { listener: TcpListener, token: Secret },
}

/// The link cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenerError {
    /// Another program answers on the socket.
    #[error("another program answers on {}; end it, or name another directory with --state-dir", .0.display())]
    InUse(PathBuf),
    /// An address that other machines may reach.
    #[error(
        "--agent-listen is {0}, which other machines may reach; give a loopback address such as 127.0.0.1:0"
    )]
    NotLoopback(SocketAddr),
    /// The address is not to be had.
    #[error(
        "cannot listen on {address} for agents: {source}; give --agent-listen another one, such as 127.0.0.1:0"
    )]
    Bind {
        /// The address or path.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Listener {
    /// Binds. Without an address it is the socket in the state directory, where its path is short enough,
    /// and else a free port.
    pub async fn bind(
        state_dir: &Path,
        address: Option<SocketAddr>,
    ) -> Result<Self, ListenerError> {
        let path = state_dir.join(SOCKET);
        if address.is_none() && UnixStream::connect(&path).await.is_ok() {
            return Err(ListenerError::InUse(path));
        }
        Self::take_over(state_dir, address).await
    }

    /// Binds in the place of another process: whoever connects from now on comes here. A port that the other
    /// one still has is not to be had.
    pub async fn take_over(
        state_dir: &Path,
        address: Option<SocketAddr>,
    ) -> Result<Self, ListenerError> {
        // The working directory may change for others, never for a kernel that was told a whole path.
        let dir = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let path = dir.join(SOCKET);
        let length = path.as_os_str().len();
        match address {
            Some(address) => Self::tcp(&dir, address).await,
            None if length <= LONGEST => Self::unix(&dir, &path).map_err(|source| {
                ListenerError::Bind { address: path.display().to_string(), source }
            }),
            None => {
                warn!(
                    "{} has {length} bytes, too many for a socket; agents find a loopback port in {ADDRESS} beside it",
                    path.display()
                );
                Self::tcp(&dir, SocketAddr::from(([127, 0, 0, 1], 0))).await
            }
        }
    }

    /// What an agent connects to.
    pub fn address(&self) -> String {
        self.file.display().to_string()
    }

    fn unix(dir: &Path, path: &Path) -> io::Result<Self> {
        // Made where nobody else may look, so that it is never there with wider permissions.
        let private = dir.join(".link");
        match fs::remove_dir_all(&private) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&private)?;
        let made = private.join("s");
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
        // An earlier one is replaced.
        fs::rename(&made, path)?;
        fs::remove_dir(&private)?;
        // An earlier process may have listened on a port.
        let _ = fs::remove_file(dir.join(ADDRESS));
        Ok(Self { socket: Socket::Unix(listener), file: path.to_owned() })
    }

    async fn tcp(dir: &Path, address: SocketAddr) -> Result<Self, ListenerError> {
        if !address.ip().is_loopback() {
            return Err(ListenerError::NotLoopback(address));
        }
        let file = dir.join(ADDRESS);
        let token = rand::random::<[u8; 32]>().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let url = format!("http://{}", listener.local_addr()?);
            let text = serde_json::json!({ "url": url, "token": token }).to_string();
            // Whole or not at all, for whoever reads it.
            let made = dir.join(".agent.json");
            let _ = fs::remove_file(&made);
            let mut out =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made)?;
            out.write_all(text.as_bytes())?;
            fs::rename(&made, &file)?;
            let _ = fs::remove_file(dir.join(SOCKET));
            Ok(listener)
        };
        match bound.await {
            Ok(listener) => {
                Ok(Self { socket: Socket::Tcp { listener, token: Secret::new(token) }, file })
            }
            Err(source) => Err(ListenerError::Bind { address: address.to_string(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        let first = Listener::bind(dir.path(), None).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        let message = Listener::bind(dir.path(), None).await.unwrap_err().to_string();
        assert!(message.starts_with("another program answers on "), "{message}");
        let second = Listener::take_over(dir.path(), None).await.unwrap();
        let Socket::Unix(listener) = &second.socket else { panic!("it is {second:?}") };
        let (accepted, connected) = tokio::join!(listener.accept(), UnixStream::connect(&path));
        assert!(accepted.is_ok() && connected.is_ok(), "whoever connects comes to the second one");
        drop((first, second));
        assert!(path.exists(), "as a killed process leaves it");
        Listener::bind(dir.path(), None).await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[tokio::test]
    async fn where_the_path_is_too_long_it_is_a_port_with_a_token() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(100));
        fs::create_dir(&long).unwrap();
        let bound = Listener::bind(&long, None).await.unwrap();
        let file = long.join(ADDRESS);
        assert_eq!((bound.address(), mode(&file)), (file.display().to_string(), 0o600));
        let text = fs::read_to_string(&file).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["token"].as_str().unwrap().len(), 64);
        assert!(value["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
        assert!(!format!("{bound:?}").contains(value["token"].as_str().unwrap()));
    }

    #[tokio::test]
    async fn an_address_that_others_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let everywhere = "0.0.0.0:0".parse().unwrap();
        let message = Listener::bind(dir.path(), Some(everywhere)).await.unwrap_err().to_string();
        assert!(message.contains("loopback address such as 127.0.0.1:0"), "{message}");
    }
}
