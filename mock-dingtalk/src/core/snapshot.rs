//! Snapshots: the state of all apps, kept under a name and brought back.
//!
//! * State is what apps hold: people, chats, sessions, tokens, deliveries, `sent`, cards, files,
//!   faults, limits, custom robots, findings and seeds, the tickets, what is planned, and the
//!   apps' clocks. Of the mock as a whole it is the TCP faults and the findings of nobody.
//! * The mock's clock is real time and goes on. An app's clock goes on from what it showed when
//!   the snapshot was taken: what had 5 s to live then has 5 s to live again.
//! * Sockets are no state. One that lives stays with its app, with its pings and its grace, or is
//!   reset if the app is not in the snapshot; one that lived then and is gone is shown as ended.
//! * Journals are history, and so are the calls that had no answer: they stay.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::Serialize;

use super::{
    Moment,
    app::{App, AppNumber, Cx},
    connection::ConnectionState,
    fault::{Action, Faults},
    findings::{Findings, Severity},
    fleet::Fleet,
    ids::Mint,
    journal::{Draft, EntryKind},
    ticket::Tickets,
    timer::Timers,
    verb_error::{VerbError, check_id, quoted},
};

/// Snapshots of one mock.
const MAX_SNAPSHOTS: usize = 16;
/// Bytes that they may take together.
const MAX_BYTES: usize = 256 << 20;
/// What a row takes whose texts are ids and names, more or less.
const ROW: usize = 400;
/// What an app takes without rows.
const APP: usize = 8 << 10;
/// Why a connection ended that lived when the snapshot was taken.
const ENDED: &str = "ended before the snapshot was restored";

/// One row of `snapshots`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SnapshotRow {
    /// What it is called.
    pub name: String,
    /// When it was taken, in milliseconds since 1970, on the mock's clock.
    pub at: i64,
    /// How many apps it holds.
    pub apps: usize,
    /// How many bytes it takes, more or less.
    pub bytes: usize,
}

/// All snapshots of a mock, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    kept: Vec<(SnapshotRow, State)>,
}

/// What comes back.
#[derive(Debug, Clone)]
struct State {
    /// When, on the mock's clock.
    at: Moment,
    apps: BTreeMap<AppNumber, (App, Timers)>,
    last_app: u32,
    mint: Mint,
    tickets: Tickets,
    tcp_faults: Faults,
    findings: Findings,
}

impl Snapshots {
    /// What there is, oldest first.
    pub(crate) fn rows(&self) -> Vec<SnapshotRow> {
        self.kept.iter().map(|(row, _)| row.clone()).collect()
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), VerbError> {
        let index = self.find(name)?;
        self.kept.remove(index);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, VerbError> {
        let found = self.kept.iter().position(|(row, _)| row.name == name);
        found.ok_or_else(|| VerbError::NotFound { what: "snapshot", name: name.to_owned() })
    }

    /// Whether one more of this name has its place.
    fn check(&self, name: &str) -> Result<(), VerbError> {
        check_id("name", name)?;
        if name.contains('/') || name.trim() != name || matches!(name, "." | "..") {
            let allowed = "a name without blanks around it and without a slash, not . or ..";
            return Err(VerbError::invalid("name", quoted(name), allowed));
        }
        if self.find(name).is_ok() {
            return Err(VerbError::Exists { what: "snapshot", name: name.to_owned() });
        }
        if self.kept.len() >= MAX_SNAPSHOTS {
            return Err(VerbError::TooMany { what: "snapshots", limit: MAX_SNAPSHOTS });
        }
        Ok(())
    }
}

impl Fleet {
    /// Keeps the state of all apps under a new name.
    pub(crate) fn take_snapshot(
        &mut self,
        now: Moment,
        name: &str,
    ) -> Result<SnapshotRow, VerbError> {
        self.tick(now);
        self.snapshots.check(name)?;
        let held: usize = self.snapshots.kept.iter().map(|(row, _)| row.bytes).sum();
        let bytes = self.apps.values().map(App::bytes).sum::<usize>()
            + self.tickets.ids().count() * ROW
            + bytes_of_faults(&self.tcp_faults)
            + bytes_of_findings(&self.findings);
        if held.saturating_add(bytes) > MAX_BYTES {
            return Err(VerbError::TooMany { what: "bytes of snapshots", limit: MAX_BYTES });
        }
        self.mint.settle();
        self.apps.values_mut().for_each(|app| app.mint.settle());
        let apps = self.apps.iter().map(|(number, app)| {
            let timers = self.schedule.copy_of(*number);
            (*number, (app.clone(), timers))
        });
        let state = State {
            at: now,
            apps: apps.collect(),
            last_app: self.last_app,
            mint: self.mint.clone(),
            tickets: self.tickets.clone(),
            tcp_faults: self.tcp_faults.clone(),
            findings: self.findings.clone(),
        };
        let row =
            SnapshotRow { name: name.to_owned(), at: now.unix_ms, apps: state.apps.len(), bytes };
        self.snapshots.kept.push((row.clone(), state));
        self.note(now, Draft::new(EntryKind::Control, format!("snapshot {name} taken")));
        Ok(row)
    }

    /// Brings a state back. Apps that are not in it are deleted; one that was deleted and minted
    /// anew since is another app.
    pub(crate) fn restore(&mut self, now: Moment, name: &str) -> Result<(), VerbError> {
        let index = self.snapshots.find(name)?;
        self.tick(now);
        let state = self.snapshots.kept[index].1.clone();
        for info in self.infos() {
            let known = self.number(&info.client_id).and_then(|number| state.apps.get(&number));
            if known.is_none_or(|(app, _)| *app.client_id != *info.client_id) {
                self.delete_app(now, &info.client_id)?;
            }
        }
        let mut present = std::mem::take(&mut self.apps);
        self.by_client_id.clear();
        for (number, (mut app, timers)) in state.apps {
            let before = present.remove(&number);
            let shown = before.as_ref().map_or(now, |app| app.clock.read(now)).since_start;
            app.clock = app.clock.moved(state.at, now);
            let back = app.clock.read(now).since_start;
            let planned = self.schedule.of(number);
            *planned = Timers::restored(&timers, back, planned, shown);
            self.by_client_id.insert(Arc::clone(&app.client_id), number);
            self.apps.insert(number, app);
            self.with(now, number, |app, cx| app.go_back(cx, before, name));
        }
        self.last_app = state.last_app;
        self.mint = state.mint;
        self.tickets = state.tickets;
        // They count; none of them has a time.
        self.tcp_faults = state.tcp_faults;
        self.findings = state.findings;
        self.note(now, Draft::new(EntryKind::Control, format!("snapshot {name} restored")));
        self.tick(now);
        Ok(())
    }
}

impl App {
    /// Takes the place of what the app is at `present`, whose sockets it inherits.
    fn go_back(&mut self, cx: &mut Cx<'_>, present: Option<Self>, name: &str) {
        let then = std::mem::take(&mut self.connections);
        // The bot cannot know what was undone: neither are answers missed that it gave already,
        // nor is it blamed for those that it still gives.
        for attempt in self.deliveries.unanswered_mut() {
            attempt.spared = true;
        }
        if let Some(mut present) = present {
            for attempt in present.deliveries.unanswered_mut() {
                self.spare_id(attempt.message_id.clone());
            }
            for (key, mut connection) in present.connections {
                if !connection.has_socket() {
                    continue;
                }
                connection.go_back(then.get(&key));
                if !then.contains_key(&key) {
                    // The mint, which is set back, would draw it again.
                    self.foreign_ids.insert(Arc::clone(&connection.id));
                }
                self.connections.insert(key, connection);
            }
        }
        // Two states that went on from the same snapshot drew the same ids. Of live connections
        // each has one of its own.
        let taken: HashSet<_> = self.connections.values().map(|c| Arc::clone(&c.id)).collect();
        for (key, mut connection) in then {
            if connection.state == ConnectionState::Ghost && !taken.contains(&connection.id) {
                // No socket, but what DingTalk believed.
                self.connections.insert(key, connection);
            } else if !self.connections.contains_key(&key) {
                connection.close(cx.now, ENDED);
                self.ended.push(self.ended.next_number(), 0, connection, drop);
            }
        }
        let ended = self.ended.after(0).map(|(_, connection)| connection);
        let shown: HashSet<_> = ended.chain(self.connections.values()).map(|c| &c.id).collect();
        self.foreign_ids.retain(|id| shown.contains(id));
        self.note(cx, Draft::new(EntryKind::Control, format!("snapshot {name} restored")));
        self.changed(cx);
        self.push_queued(cx);
    }

    /// The memory that it takes, more or less.
    fn bytes(&self) -> usize {
        let rows = self.people.all().count()
            + self.conversations.all().count()
            + self.connections.len()
            + self.ended.len()
            + self.queued.len()
            + self.api.rows();
        let held: usize = self.held.values().map(|held| held.bytes() + ROW).sum();
        APP + rows * ROW
            + held
            + self.conversations.title_bytes()
            + self.sent.size().bytes
            + self.deliveries.size().bytes
            + self.sessions.size().bytes
            + self.api.pushes.size().bytes
            + self.api.cards.size().bytes
            + self.api.media.bytes()
            + bytes_of_faults(&self.faults)
            + bytes_of_findings(&self.findings)
    }
}

fn bytes_of_faults(faults: &Faults) -> usize {
    let texts = faults.rows().iter().map(|row| match &row.fault.action {
        Action::Raw(text) | Action::Redirect(Some(text)) | Action::DownloadUrl(Some(text)) => {
            text.len()
        }
        _ => 0,
    });
    faults.rows().len() * ROW + texts.sum::<usize>()
}

fn bytes_of_findings(findings: &Findings) -> usize {
    let texts = |row: &super::Finding| row.message.len() + row.expected.len();
    findings.rows(0, Severity::Remark).iter().map(|row| texts(row) + ROW).sum()
}
