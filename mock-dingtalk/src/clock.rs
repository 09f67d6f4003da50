//! The mock's clock.
//!
//! Every lifetime (tickets, tokens, sessions, pings, grace periods) is measured on an app's clock,
//! which follows this one unless it is turned by itself, so a test can make two hours pass in no
//! time. It is the only file of the crate that reads real time; clippy bans the rest.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::core::{Dial, Moment, Reading, Turn};

/// Time as the mock sees it: a dial that real time drives.
///
/// Two hands: `since_start` never goes back and drives lifetimes; the wall hand is what is written
/// into frames and can be made to jump, as a machine's clock does after sleep.
#[derive(Debug)]
pub(crate) struct Clock {
    started: std::time::Instant,
    wall_at_start_ms: i64,
    dial: Mutex<Dial>,
    moved: watch::Sender<u64>,
}

impl Clock {
    /// Starts at the machine's time, running.
    pub(crate) fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the injected clock is made of real time")]
        let (started, wall) = (std::time::Instant::now(), std::time::SystemTime::now());
        let wall_at_start_ms = wall
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let real = Moment { since_start: Duration::ZERO, unix_ms: wall_at_start_ms };
        let dial = Mutex::new(Dial::following(real));
        Self { started, wall_at_start_ms, dial, moved: watch::Sender::new(0) }
    }

    /// What the time is.
    pub(crate) fn now(&self) -> Moment {
        self.reading().moment
    }

    /// What the time is, and how the clock is set.
    pub(crate) fn reading(&self) -> Reading {
        let dial = self.dial();
        dial.reading(self.real())
    }

    /// Turns the clock, and wakes everybody who waits on it.
    pub(crate) fn turn(&self, turn: Turn) -> Reading {
        let reading = {
            let mut dial = self.dial();
            let real = self.real();
            dial.turn(real, turn);
            dial.reading(real)
        };
        self.moved.send_modify(|turns| *turns = turns.wrapping_add(1));
        reading
    }

    /// Waits until `deadline` has come on this clock, however it comes: by running or by a turn.
    pub(crate) async fn sleep_until(&self, deadline: Duration) {
        let mut moved = self.moved.subscribe();
        loop {
            moved.mark_unchanged();
            let due = self.dial().outer_at(deadline);
            let real = self.real().since_start;
            match due {
                Some(due) => {
                    let left = due.saturating_sub(real);
                    if left.is_zero() {
                        return;
                    }
                    let _ = tokio::time::timeout(left, moved.changed()).await;
                }
                // The sender lives in `self`, so this ends only with a move.
                None => {
                    let _ = moved.changed().await;
                }
            }
        }
    }

    fn dial(&self) -> MutexGuard<'_, Dial> {
        self.dial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn real(&self) -> Moment {
        let since_start = self.started.elapsed();
        let elapsed_ms = i64::try_from(since_start.as_millis()).unwrap_or(i64::MAX);
        Moment { since_start, unix_ms: self.wall_at_start_ms.saturating_add(elapsed_ms) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;
    use crate::core::{Scale, Turn};

    #[test]
    fn real_time_moves_a_clock_unless_it_is_paused() {
        let clock = Clock::start();
        let stopped = clock.turn(Turn::Pause);
        assert!(stopped.paused);
        assert_eq!(clock.now(), stopped.moment);
        let later = clock.turn(Turn::Advance(Duration::from_hours(2))).moment;
        assert_eq!(later.since_start, stopped.moment.since_start + Duration::from_hours(2));
        let resumed = clock.turn(Turn::Resume).moment.since_start;
        assert!(resumed >= later.since_start);
        assert!(resumed < later.since_start + Duration::from_mins(1));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_a_paused_clock_is_advanced() {
        let clock = std::sync::Arc::new(Clock::start());
        let start = clock.turn(Turn::Pause).moment.since_start;
        let sleeper = tokio::spawn({
            let clock = std::sync::Arc::clone(&clock);
            async move { clock.sleep_until(start + Duration::from_hours(1)).await }
        });
        clock.turn(Turn::Advance(Duration::from_mins(59)));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.turn(Turn::Advance(Duration::from_mins(1)));
        sleeper.await.unwrap();
    }

    #[tokio::test]
    async fn a_sleeper_wakes_sooner_on_a_faster_clock() {
        let clock = Clock::start();
        clock.turn(Turn::Scale(Scale::new(1_000.0).unwrap()));
        let in_a_minute = clock.now().since_start + Duration::from_mins(1);
        let sleep = clock.sleep_until(in_a_minute);
        tokio::time::timeout(Duration::from_secs(30), sleep).await.unwrap();
    }
}
