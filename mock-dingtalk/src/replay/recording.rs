//! An exported journal, read as what a server has to do.

use std::collections::{BTreeSet, HashMap};

use thiserror::Error;

use crate::core::{ClientFrame, Cut, Direction, Entry, EntryKind, FORMAT, Head, VERSION};

/// One app's side of a recorded session.
#[derive(Debug, Clone)]
pub struct Recording {
    pub(super) calls: Vec<Call>,
    pub(super) upgrades: Vec<Upgrade>,
    pub(super) connections: Vec<Connection>,
    /// `HOST` of the server that was recorded.
    pub(super) hosts: BTreeSet<String>,
    pub(super) incomplete: Vec<String>,
}

/// Why a file is no recording.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The first line is not that of an export.
    #[error(
        "this is no exported journal: `mock-dingtalk journal --export > FILE`, or GET \
         /_mock/journal?format=jsonl, writes one"
    )]
    NoExport,
    /// The export is of a newer mock.
    #[error("the journal has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// A line is no entry.
    #[error("line {line} is no entry of a journal: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What was wrong.
        why: String,
    },
    /// There are several apps in it, or not the one that was asked for.
    #[error("the journal holds the apps {}; choose one of them with --app", .0.join(", "))]
    Apps(Vec<String>),
    /// There is nothing of an app in it.
    #[error("the journal holds nothing that a bot did")]
    Empty,
}

/// A call of the bot and what it was answered.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: String,
    pub(super) answer: Answer,
}

#[derive(Debug, Clone)]
pub(super) enum Answer {
    Http {
        status: u16,
        body: String,
    },
    /// The TCP connection ended instead.
    Cut,
    /// Nothing came.
    Silence,
}

/// What an upgrade request got.
#[derive(Debug, Clone, Copy)]
pub(super) enum Upgrade {
    /// The connection with this index.
    Accepted(usize),
    Refused(u16),
    /// The TCP connection ended instead.
    Cut,
    /// Nothing came.
    Silence,
}

/// Faults of answers that a replay does not repeat, by what the journal says of them.
const ANSWERED_WHOLE: [&str; 4] =
    ["body in pieces", "head without body", "half the body", "answer trickles"];

#[derive(Debug, Clone, Default)]
pub(super) struct Connection {
    opened_at: i64,
    /// What was pushed, and after how many milliseconds.
    pub(super) frames: Vec<(u64, String)>,
    /// How the server ended it, if it did.
    pub(super) end: Option<(u64, Cut)>,
    /// `messageId` and code of the answers that came.
    pub(super) answers: Vec<(String, Option<i64>)>,
}

impl Recording {
    /// Reads an export. With several apps in it, `app` says which one is replayed.
    pub fn parse(text: &str, app: Option<&str>) -> Result<Self, RecordingError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let head = lines.next().and_then(|(_, line)| serde_json::from_str::<Head>(line).ok());
        let head = head.filter(|head| head.format == FORMAT).ok_or(RecordingError::NoExport)?;
        if head.version != VERSION {
            return Err(RecordingError::Version(head.version));
        }
        let mut entries = Vec::new();
        for (index, line) in lines {
            let entry: Entry = serde_json::from_str(line).map_err(|error| {
                RecordingError::Line { line: index + 1, why: error.to_string() }
            })?;
            entries.push(entry);
        }
        let apps: BTreeSet<&str> =
            entries.iter().filter_map(|entry| entry.app.as_deref()).collect();
        let chosen = match (app, apps.len()) {
            (_, 0) => return Err(RecordingError::Empty),
            (None, 1) => apps.first().copied(),
            (app, _) => app.filter(|app| apps.contains(app)),
        };
        let Some(chosen) = chosen else {
            return Err(RecordingError::Apps(apps.into_iter().map(str::to_owned).collect()));
        };
        let mut new = Self {
            calls: Vec::new(),
            upgrades: Vec::new(),
            connections: Vec::new(),
            hosts: BTreeSet::new(),
            incomplete: Vec::new(),
        };
        if head.dropped > 0 || head.more {
            new.incomplete.push("the export does not hold the whole journal".to_owned());
        }
        let mut by_id = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.app.as_deref() == Some(chosen)) {
            new.read(entry, &mut by_id);
        }
        Ok(new)
    }

    fn read(&mut self, entry: &Entry, by_id: &mut HashMap<String, usize>) {
        if entry.truncated {
            self.incomplete.push(format!("entry {} was cut: {}", entry.seq, entry.text));
        }
        if entry.kind == EntryKind::Http {
            return self.read_call(entry);
        }
        let Some(id) = entry.connection_id.as_deref() else { return };
        if entry.kind == EntryKind::Connection && entry.text == "open" {
            let index = self.connections.len();
            by_id.insert(id.to_owned(), index);
            self.upgrades.push(Upgrade::Accepted(index));
            self.connections.push(Connection { opened_at: entry.at, ..Connection::default() });
            return;
        }
        let Some(connection) = by_id.get(id).and_then(|index| self.connections.get_mut(*index))
        else {
            return;
        };
        let body = entry.body.as_deref().unwrap_or_default();
        // The wall clock may have jumped back.
        let last = connection.frames.last().map_or(0, |(at, _)| *at);
        let at =
            u64::try_from(entry.at.saturating_sub(connection.opened_at)).unwrap_or(0).max(last);
        match entry.kind {
            EntryKind::FrameOut => connection.frames.push((at, unmasked(body))),
            EntryKind::FrameIn => {
                if let ClientFrame::Ack(ack) = ClientFrame::parse(body) {
                    connection.answers.push((ack.message_id, ack.code));
                }
            }
            EntryKind::Connection => {
                if let Some(how) = entry.text.strip_prefix("cut: ").and_then(read_cut) {
                    connection.end.get_or_insert((at, how));
                }
            }
            _ => {}
        }
    }

    fn read_call(&mut self, entry: &Entry) {
        let status = entry.status.unwrap_or_default();
        if entry.text.starts_with("GET /connect refused") {
            self.upgrades.push(match (status, entry.text.contains("cut")) {
                (0, true) => Upgrade::Cut,
                (0, false) => Upgrade::Silence,
                _ => Upgrade::Refused(status),
            });
            return;
        }
        let (call, fault) = entry.text.split_once(": fault").unwrap_or((&entry.text, ""));
        let Some((method, path)) = call.split_once(' ') else { return };
        if let Some(what) = ANSWERED_WHOLE.iter().find(|what| fault.contains(**what)) {
            let line = format!("entry {} is answered whole and at once, without {what}", entry.seq);
            self.incomplete.push(line);
        }
        let file = ["/robot-files/", "/storage-files/", "/media/"];
        if status == 200 && method == "GET" && file.iter().any(|start| path.starts_with(start)) {
            self.incomplete.push(format!("entry {} lacks the file: {call}", entry.seq));
        }
        let answer = entry.answer.as_deref().unwrap_or_default();
        if let Some(host) = endpoint_host(answer) {
            self.hosts.insert(host.to_owned());
        }
        let answer = match (status, fault.contains("cut")) {
            (0, true) => Answer::Cut,
            (0, false) => Answer::Silence,
            _ => Answer::Http { status, body: unmasked(answer) },
        };
        self.calls.push(Call {
            method: method.to_owned(),
            path: path.to_owned(),
            body: entry.body.as_deref().unwrap_or_default().to_owned(),
            answer,
        });
    }

    /// `text` with URLs of the recorded server leading to `host`.
    pub(super) fn rewritten(&self, text: &str, host: &str) -> String {
        let mut text = text.to_owned();
        for recorded in &self.hosts {
            for (scheme, plain) in
                [("http", "http"), ("https", "http"), ("ws", "ws"), ("wss", "ws")]
            {
                let (from, to) = (format!("{scheme}://{recorded}/"), format!("{plain}://{host}/"));
                text = text.replace(&from, &to);
            }
        }
        text
    }
}

/// The host in the answer to `connections/open`.
fn endpoint_host(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("\"endpoint\":\"")?;
    let (endpoint, _) = rest.split_once('"')?;
    let host = endpoint.strip_prefix("wss://").or_else(|| endpoint.strip_prefix("ws://"))?;
    host.split('/').next()
}

/// How a connection was cut, as the journal has it.
fn read_cut(how: &str) -> Option<Cut> {
    match how {
        "rst" => Some(Cut::Rst),
        "fin" => Some(Cut::Fin),
        "blackhole" => Some(Cut::BlackHole),
        "blackhole toBot" => Some(Cut::OneWay(Direction::ToBot)),
        "blackhole fromBot" => Some(Cut::OneWay(Direction::FromBot)),
        _ => {
            let (code, reason) = how.strip_prefix("close ")?.split_once(' ')?;
            Some(Cut::Close { code: code.parse().ok()?, reason: reason.to_owned() })
        }
    }
}

/// Marks of redaction become words that fit into headers and URLs.
fn unmasked(text: &str) -> String {
    text.replace('«', "dingmock-").replace('»', "")
}

#[cfg(test)]
mod tests {
    use super::{Recording, RecordingError, Upgrade, endpoint_host, read_cut};
    use crate::core::{Cut, Direction};

    const HEAD: &str = r#"{"format":"mock-dingtalk journal","version":1,"app":null,"redacted":true,"dropped":0,"entries":1,"more":false}"#;

    #[test]
    fn what_is_no_export_is_told_apart() {
        let entry =
            |app: &str| format!(r#"{{"seq":1,"at":0,"app":"{app}","kind":"control","text":"x"}}"#);
        let text = |lines: &[String]| format!("{HEAD}\n{}\n", lines.join("\n"));
        let two = text(&[entry("a"), entry("b")]);
        let parse = |text: &str, app| Recording::parse(text, app).map(|_| ());
        assert!(matches!(parse("", None), Err(RecordingError::NoExport)));
        assert!(matches!(parse("{}", None), Err(RecordingError::NoExport)));
        assert!(matches!(
            parse(&HEAD.replace(":1,", ":2,"), None),
            Err(RecordingError::Version(2))
        ));
        assert!(matches!(parse(HEAD, None), Err(RecordingError::Empty)));
        let bad = text(&["x".to_owned()]);
        assert!(matches!(parse(&bad, None), Err(RecordingError::Line { line: 2, .. })));
        assert!(matches!(parse(&two, None), Err(RecordingError::Apps(apps)) if apps == ["a", "b"]));
        assert!(matches!(parse(&two, Some("c")), Err(RecordingError::Apps(_))));
        assert!(parse(&two, Some("b")).is_ok());
    }

    #[test]
    fn what_a_replay_cannot_repeat_is_said() {
        let entry = |text: &str, status: u16| {
            format!(
                r#"{{"seq":1,"at":0,"app":"a","kind":"http","text":"{text}","status":{status}}}"#
            )
        };
        let read = |text: &str, status| {
            Recording::parse(&format!("{HEAD}\n{}\n", entry(text, status)), None).unwrap()
        };
        for remark in
            ["body in pieces", "head without body", "half the body, then cut", "answer trickles"]
        {
            let recording = read(&format!("GET /x: fault, {remark}"), 200);
            assert_eq!(recording.incomplete.len(), 1, "{remark}");
        }
        assert_eq!(read("GET /robot-files/@x.file", 200).incomplete.len(), 1);
        assert!(read("GET /robot-files/@x.file", 403).incomplete.is_empty());
        assert!(read("GET /x: fault, answered late", 200).incomplete.is_empty());
        let upgrade = |text: &str, status| read(text, status).upgrades[0];
        let refused = "GET /connect refused: fault";
        assert!(matches!(upgrade(refused, 503), Upgrade::Refused(503)));
        assert!(matches!(upgrade(&format!("{refused}, no answer"), 0), Upgrade::Silence));
        assert!(matches!(upgrade(&format!("{refused}, connection cut"), 0), Upgrade::Cut));
    }

    #[test]
    fn cuts_and_hosts_are_read_as_they_were_written() {
        let close = Cut::Close { code: 1001, reason: "going away".to_owned() };
        let deaf = Cut::OneWay(Direction::FromBot);
        for cut in [Cut::Rst, Cut::Fin, Cut::BlackHole, deaf, close] {
            assert_eq!(read_cut(&cut.to_string()), Some(cut));
        }
        assert_eq!(read_cut("somehow"), None);
        let answer = r#"{"endpoint":"ws://127.0.0.1:8700/connect","ticket":"x"}"#;
        assert_eq!(endpoint_host(answer), Some("127.0.0.1:8700"));
    }
}
