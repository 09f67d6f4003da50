//! States of a mock that are kept.

use super::MockDingtalk;
use crate::{core::SnapshotRow, error::MockError};

impl MockDingtalk {
    /// Keeps the state of all apps under a new name: 1 to 128 bytes without slash and control
    /// characters, and without blanks around them. At most 16 snapshots are kept, and 256 MiB of
    /// them; one too many is refused, and so is a name that is in use.
    ///
    /// Ids are drawn from a seed that the snapshot keeps and that is renewed as it is taken: what
    /// comes after it is the same after each restore, but not the same as without a snapshot.
    pub fn snapshot(&self, name: &str) -> Result<SnapshotRow, MockError> {
        Ok(self.hub.step(|fleet, now| fleet.take_snapshot(now, name))?)
    }

    /// What is kept, oldest first. [`MockDingtalk::reset`] does not forget it.
    pub fn snapshots(&self) -> Vec<SnapshotRow> {
        self.hub.look(|fleet| fleet.snapshots.rows())
    }

    /// Brings a state back; the same inputs give the same ids again.
    ///
    /// Apps that are not in it are deleted. Each app's clock goes on from what it showed then; the
    /// mock's goes on from now. Live connections stay with their app, and count again from what
    /// they had counted then; those of apps that are not in the snapshot are reset; those that
    /// lived then and are gone are shown as ended. What waited for a connection is pushed to one
    /// that is there. The journal is not turned back.
    pub fn restore(&self, name: &str) -> Result<(), MockError> {
        Ok(self.hub.step(|fleet, now| fleet.restore(now, name))?)
    }

    /// Forgets a state.
    pub fn delete_snapshot(&self, name: &str) -> Result<(), MockError> {
        Ok(self.hub.step(|fleet, _| fleet.snapshots.remove(name))?)
    }
}
