//! What is due, and the clocks of apps.

use std::time::Duration;

use super::Fleet;
use crate::core::{
    Moment,
    app::AppNumber,
    dial::{Dial, Reading, Turn},
    journal::{Draft, EntryKind},
    mutation::Mutation,
    timer::Timer,
    verb_error::VerbError,
};

impl Fleet {
    /// When [`Fleet::tick`] has something to do, on the mock's clock.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.schedule.next()
    }

    /// The clock of an app, if there still is such an app.
    pub(crate) fn clock_of(&self, number: AppNumber) -> Option<&Dial> {
        self.apps.get(&number).map(|app| &app.clock)
    }

    /// What the clock of an app shows.
    pub(crate) fn read_clock(&self, now: Moment, client_id: &str) -> Result<Reading, VerbError> {
        Ok(self.app(client_id)?.clock.reading(now))
    }

    /// Turns the clock of an app, and does at once what has become due in it.
    pub(crate) fn turn_clock(
        &mut self,
        now: Moment,
        client_id: &str,
        turn: Turn,
    ) -> Result<Reading, VerbError> {
        let turn = match turn {
            Turn::Jump(by_ms) if self.mutations.has(Mutation::JumpMovesLifetimes) => {
                Turn::Advance(Duration::from_millis(by_ms.unsigned_abs()))
            }
            turn => turn,
        };
        if self.mutations.has(Mutation::ClockShared) {
            for other in self.apps.values_mut().filter(|app| *app.client_id != *client_id) {
                other.clock.turn(now, turn);
                self.schedule.renew(other.number, &other.clock);
            }
        }
        self.act(now, client_id, |app, cx| {
            app.clock.turn(now, turn);
            cx.now = app.clock.read(now);
            app.note(cx, Draft::new(EntryKind::Control, turn.to_string()));
            // Who waits for a time looks at the clock again.
            app.changed(cx);
            Ok(())
        })?;
        self.tick(now);
        self.read_clock(now, client_id)
    }

    /// Does what is due in any app, each at its own time. A jump over many pings sends one.
    pub(crate) fn tick(&mut self, now: Moment) {
        while let Some(number) = self.schedule.next_app(now.since_start) {
            let local = self.local(now, Some(number));
            let Some((at, timer)) = self.schedule.pop_due(number, local.since_start) else {
                debug_assert!(false, "the schedule names an app in which nothing is due");
                self.schedule.forget(number);
                continue;
            };
            let known = match timer {
                Timer::Ping(key) | Timer::GraceOver(key) => self.by_connection.contains_key(&key),
                _ => true,
            };
            self.with(now, number, |app, cx| {
                if known {
                    app.come(cx, at, timer);
                }
            });
        }
    }

    /// What [`Fleet::next_deadline`] has to be, found by looking at every app; and whether
    /// something that is due at `now` was not done.
    #[cfg(test)]
    pub(crate) fn deadline_by_search(&mut self, now: Moment) -> (Option<Duration>, bool) {
        let mut soonest: Option<Duration> = None;
        let mut overdue = false;
        for (number, app) in &self.apps {
            let Some(at) = self.schedule.of(*number).next() else { continue };
            overdue |= at <= app.clock.read(now).since_start;
            if let Some(due) = app.clock.outer_at(at) {
                soonest = Some(soonest.map_or(due, |soonest| soonest.min(due)));
            }
        }
        (soonest, overdue)
    }

    /// How many timers an app has.
    #[cfg(test)]
    pub(crate) fn timers(&mut self, client_id: &str) -> usize {
        self.number(client_id).map_or(0, |number| self.schedule.of(number).len())
    }
}
