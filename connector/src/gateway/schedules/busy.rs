//! Which schedules are being run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::schedules::ScheduleId;

/// Schedules that are being run, and whether it was said of them that this leaves runs out.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<Mutex<HashMap<ScheduleId, bool>>>);

/// A schedule that is being run, until this is dropped.
pub(super) struct Running {
    busy: Busy,
    id: ScheduleId,
}

impl Busy {
    /// Marks one, unless it is.
    pub(super) fn begin(&self, id: ScheduleId) -> Option<Running> {
        match self.lock().entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(false);
                Some(Running { busy: self.clone(), id })
            }
        }
    }

    /// Whether it is to be said that one leaves runs out, which is so once.
    pub(super) fn is_news(&self, id: ScheduleId) -> bool {
        self.lock().get_mut(&id).is_some_and(|told| !std::mem::replace(told, true))
    }

    /// Whether any is being run.
    pub(super) fn is_any(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ScheduleId, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.busy.lock().remove(&self.id);
    }
}
