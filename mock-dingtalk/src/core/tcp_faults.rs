//! Faults of the whole mock: what breaks before anybody knows whose a connection is.

use super::{
    Moment,
    fault::{Action, Fault, FaultRow, Point},
    fault_check,
    fleet::Fleet,
    journal::{Draft, EntryKind},
    lifetime,
    preset::Preset,
    verb_error::VerbError,
};

impl Fleet {
    /// Adds a rule for connections of anybody.
    pub(crate) fn add_tcp_fault(
        &mut self,
        now: Moment,
        fault: Fault,
    ) -> Result<FaultRow, VerbError> {
        fault_check::of_mock(&fault)?;
        let row = self.tcp_faults.add(fault, now.since_start).ok_or(VerbError::TooMany {
            what: "fault rules of the mock",
            limit: lifetime::FAULTS_PER_APP,
        })?;
        self.note(now, Draft::new(EntryKind::Control, format!("tcp fault {} added", row.id)));
        Ok(row)
    }

    pub(crate) fn tcp_faults(&self) -> &[FaultRow] {
        self.tcp_faults.rows()
    }

    /// Removes one rule or all of them, and says how many.
    pub(crate) fn clear_tcp_faults(&mut self, id: Option<u64>) -> usize {
        self.tcp_faults.clear(id)
    }

    /// A TCP connection has been accepted: what shall go wrong with it.
    pub(crate) fn accepted(&mut self, now: Moment) -> Option<Action> {
        self.take(now, Point::Accept, "fault: a TCP connection is broken before its first byte")
    }

    /// A TLS handshake has begun: what shall go wrong with it.
    pub(crate) fn handshaking(&mut self, now: Moment) -> Option<Action> {
        self.take(now, Point::TlsHandshake, "fault: a TLS handshake fails")
    }

    fn take(&mut self, now: Moment, point: Point<'_>, what: &str) -> Option<Action> {
        let action = self.tcp_faults.take(point, now.since_start)?;
        self.note(now, Draft::new(EntryKind::Fault, what));
        Some(action)
    }

    /// Makes a preset act on an app, or on the whole mock if it breaks what comes before an app is
    /// known. Gives the rules that were added; there are none when it acts at once.
    pub(crate) fn apply_preset(
        &mut self,
        now: Moment,
        client_id: &str,
        preset: Preset,
    ) -> Result<Vec<FaultRow>, VerbError> {
        let rows = self.act(now, client_id, |app, cx| app.apply_preset(cx, preset))?;
        match preset.tcp_rule() {
            None => Ok(rows),
            Some(rule) => Ok(vec![self.add_tcp_fault(now, rule)?]),
        }
    }
}
