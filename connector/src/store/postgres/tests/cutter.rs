//! A way to a server that is cut at the worst moments.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// How a commit is said, and how its answer is.
const COMMIT: &[u8] = b"COMMIT\0";

/// When the link breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server never hears of the commit.
    Before,
    /// The commit is done, and its answer never arrives.
    After,
}

#[derive(Default)]
struct State {
    /// What happens to the next commit.
    next: Mutex<Option<Cut>>,
    /// Nobody gets through.
    closed: AtomicBool,
    /// After a cut nobody does.
    closes: AtomicBool,
}

/// A port that leads to a server; its threads end with the test.
pub(super) struct Cutter {
    address: SocketAddr,
    state: Arc<State>,
}

impl Cutter {
    pub(super) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    continue;
                }
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    pass(&client, &server, &shared);
                }
            }
        });
        Self { address, state }
    }

    /// `HOST:PORT`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Cuts the link at the next commit.
    pub(super) fn cut(&self, cut: Cut) {
        *self.state.next.lock().unwrap() = Some(cut);
    }

    /// The same, and nobody gets through from then on.
    pub(super) fn cut_for_good(&self, cut: Cut) {
        self.state.closes.store(true, Ordering::SeqCst);
        self.cut(cut);
    }

    /// Whether the link was cut since that was asked for.
    pub(super) fn has_cut(&self) -> bool {
        self.state.next.lock().unwrap().is_none()
    }

    /// Lets nobody through, or everybody.
    pub(super) fn close(&self, closed: bool) {
        self.state.closed.store(closed, Ordering::SeqCst);
    }
}

fn pass(client: &TcpStream, server: &TcpStream, state: &Arc<State>) {
    let both = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    let swallows = Arc::new(AtomicBool::new(false));
    let end = |client: &TcpStream, server: &TcpStream| {
        // They may have ended.
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    };
    let ((mut from, mut to), shared, flag) = (both(), Arc::clone(state), Arc::clone(&swallows));
    std::thread::spawn(move || {
        let mut bytes = vec![0; 256 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let bytes = &bytes[..read];
            let commits = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
            let mut next = shared.next.lock().unwrap();
            let cut = if commits { next.take() } else { None };
            if cut.is_some() && shared.closes.load(Ordering::SeqCst) {
                shared.closed.store(true, Ordering::SeqCst);
            }
            drop(next);
            match cut {
                Some(Cut::Before) => break,
                Some(Cut::After) => flag.store(true, Ordering::SeqCst),
                None => {}
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        if !flag.load(Ordering::SeqCst) {
            end(&from, &to);
        }
    });
    let (mut to, mut from) = both();
    std::thread::spawn(move || {
        let (mut bytes, mut swallowed) = (vec![0; 256 * 1024], Vec::new());
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if swallows.load(Ordering::SeqCst) {
                swallowed.extend_from_slice(&bytes[..read]);
                if swallowed.windows(COMMIT.len()).any(|window| window == COMMIT) {
                    break;
                }
            } else if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        end(&to, &from);
    });
}
