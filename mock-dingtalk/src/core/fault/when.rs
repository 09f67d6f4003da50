//! Where a fault acts.

use crate::core::fixture::BOT_TOPIC;

/// The calls that a fault applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// `POST /v1.0/gateway/connections/open`.
    Open,
    /// The WebSocket upgrade.
    Upgrade,
    /// Any HTTP call to this path, as it was written. A `*` stands for any run of characters, so
    /// that `/v1.0/card/*` is every call below it. The control API is never meant.
    Path(String),
    /// HTTP calls with this method only, to such a path.
    Call {
        /// `GET`, `POST` and so on.
        method: String,
        /// As in [`When::Path`].
        path: String,
    },
    /// Frames that go out.
    Frame(FrameSelector),
    /// A connection that has just opened.
    Connected,
    /// What a bot answers to a frame. Only with
    /// [`Action::RequireShape`](super::Action::RequireShape).
    Ack,
    /// A TCP connection has been accepted. Nobody knows yet whose it is, so this is a fault of the
    /// whole mock: see `MockDingtalk::tcp_fault`.
    Accept,
    /// A TLS handshake has begun. A fault of the whole mock too.
    TlsHandshake,
}

/// Which frames a fault applies to; what is not given matches every frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameSelector {
    /// `CALLBACK`, `EVENT` or `SYSTEM`. SYSTEM `disconnect` is never matched.
    pub kind: Option<String>,
    /// The topic; `*` for events.
    pub topic: Option<String>,
    /// The connection's id.
    pub connection: Option<String>,
}

impl FrameSelector {
    /// Robot messages.
    pub fn messages() -> Self {
        Self {
            kind: Some("CALLBACK".to_owned()),
            topic: Some(BOT_TOPIC.to_owned()),
            connection: None,
        }
    }

    fn matches(&self, kind: &str, topic: &str, connection: &str) -> bool {
        let fits = |wanted: &Option<String>, it: &str| wanted.as_deref().is_none_or(|w| w == it);
        fits(&self.kind, kind) && fits(&self.topic, topic) && fits(&self.connection, connection)
    }
}

/// Where a fault can act.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point<'a> {
    Upgrade,
    Call { method: &'a str, path: &'a str },
    Frame { kind: &'a str, topic: &'a str, connection: &'a str },
    Connected,
    Ack,
    Accept,
    TlsHandshake,
}

/// The path of `connections/open`.
pub(crate) const OPEN_PATH: &str = "/v1.0/gateway/connections/open";

impl When {
    pub(super) fn is_at(&self, point: Point<'_>) -> bool {
        match (self, point) {
            (Self::Upgrade, Point::Upgrade)
            | (Self::Connected, Point::Connected)
            | (Self::Ack, Point::Ack)
            | (Self::Accept, Point::Accept)
            | (Self::TlsHandshake, Point::TlsHandshake) => true,
            (Self::Open, Point::Call { path, .. }) => path == OPEN_PATH,
            (Self::Path(wanted), Point::Call { path, .. }) => fits(wanted, path),
            (Self::Call { method: wanted, path: pattern }, Point::Call { method, path }) => {
                wanted == method && fits(pattern, path)
            }
            (Self::Frame(wanted), Point::Frame { kind, topic, connection }) => {
                wanted.matches(kind, topic, connection)
            }
            _ => false,
        }
    }
}

/// Whether a path is one that the pattern means, in which `*` is any run of characters.
fn fits(pattern: &str, path: &str) -> bool {
    let Some((start, pattern)) = pattern.split_once('*') else { return pattern == path };
    let Some(mut rest) = path.strip_prefix(start) else { return false };
    let (middle, end) = pattern.rsplit_once('*').unwrap_or(("", pattern));
    for piece in middle.split('*') {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_is_any_run_of_characters() {
        let cases = [
            ("/v1.0/card/*", "/v1.0/card/streaming", true),
            ("/v1.0/card/*", "/v1.0/card/instances/deliver", true),
            ("/v1.0/card/*", "/v1.0/card", false),
            ("/*", "/anything", true),
            ("/*/*/send", "/v1.0/robot/send", true),
            ("/*/*/send", "/v1.0/send", false),
            ("/a*b*c", "/a-b-b-c", true),
            ("/a*b*c", "/a-c-b", false),
            ("/a*a", "/a", false),
            ("/a", "/a", true),
            ("/a", "/ab", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
