//! The one clock of the mock.
//!
//! Every lifetime (tickets, tokens, sessions, pings, grace periods) is measured on it, so a test can
//! make two hours pass in no time. It is the only file of the crate that reads real time; clippy
//! bans the rest.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::core::Moment;

/// Time as the mock sees it: real time plus what was advanced, unless it is paused.
///
/// Two hands: `since_start` never goes back and drives lifetimes; the wall hand is what is written
/// into frames and can be made to jump, as a machine's clock does after sleep.
#[derive(Debug)]
pub(crate) struct Clock {
    started: std::time::Instant,
    wall_at_start_ms: i64,
    hands: Mutex<Hands>,
    moved: watch::Sender<u64>,
}

/// The reading at the last move, and whether real time has been added since.
#[derive(Debug)]
struct Hands {
    virtual_then: Duration,
    real_then: Duration,
    running: bool,
    wall_jump_ms: i64,
}

impl Clock {
    /// Starts at the machine's time, running.
    pub(crate) fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the injected clock is made of real time")]
        let (started, wall) = (std::time::Instant::now(), std::time::SystemTime::now());
        let wall_at_start_ms = wall
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let hands = Hands {
            virtual_then: Duration::ZERO,
            real_then: Duration::ZERO,
            running: true,
            wall_jump_ms: 0,
        };
        Self { started, wall_at_start_ms, hands: Mutex::new(hands), moved: watch::Sender::new(0) }
    }

    /// What the time is.
    pub(crate) fn now(&self) -> Moment {
        self.read(&self.hands())
    }

    /// Whether time stands still until [`Clock::resume`] or the next [`Clock::advance`].
    pub(crate) fn is_paused(&self) -> bool {
        !self.hands().running
    }

    /// Moves both hands forward, paused or not, and returns the new time.
    pub(crate) fn advance(&self, by: Duration) -> Moment {
        self.turn(|hands| hands.virtual_then = hands.virtual_then.saturating_add(by))
    }

    /// Stops both hands.
    pub(crate) fn pause(&self) -> Moment {
        self.turn(|hands| hands.running = false)
    }

    /// Lets time run on from where it stands.
    pub(crate) fn resume(&self) -> Moment {
        self.turn(|hands| hands.running = true)
    }

    /// Makes the wall hand alone jump; lifetimes don't notice.
    pub(crate) fn jump(&self, by_ms: i64) -> Moment {
        self.turn(|hands| hands.wall_jump_ms = hands.wall_jump_ms.saturating_add(by_ms))
    }

    /// Waits until `deadline` has come on this clock, however it comes: by running or by a turn.
    pub(crate) async fn sleep_until(&self, deadline: Duration) {
        let mut moved = self.moved.subscribe();
        loop {
            moved.mark_unchanged();
            let now = self.now().since_start;
            if now >= deadline {
                return;
            }
            if self.is_paused() {
                // The sender lives in `self`, so this ends only with a move.
                let _ = moved.changed().await;
            } else {
                let _ = tokio::time::timeout(deadline.saturating_sub(now), moved.changed()).await;
            }
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, hands: &Hands) -> Moment {
        let since_start = if hands.running {
            let real = self.started.elapsed().saturating_sub(hands.real_then);
            hands.virtual_then.saturating_add(real)
        } else {
            hands.virtual_then
        };
        let elapsed_ms = i64::try_from(since_start.as_millis()).unwrap_or(i64::MAX);
        let unix_ms =
            self.wall_at_start_ms.saturating_add(elapsed_ms).saturating_add(hands.wall_jump_ms);
        Moment { since_start, unix_ms }
    }

    /// Brings the reading up to now, changes it, and wakes everybody who waits on it.
    fn turn(&self, change: impl FnOnce(&mut Hands)) -> Moment {
        let moment = {
            let mut hands = self.hands();
            hands.virtual_then = self.read(&hands).since_start;
            hands.real_then = self.started.elapsed();
            change(&mut hands);
            self.read(&hands)
        };
        self.moved.send_modify(|turns| *turns = turns.wrapping_add(1));
        moment
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;

    #[test]
    fn a_paused_clock_moves_only_by_advance() {
        let clock = Clock::start();
        let stopped = clock.pause();
        assert_eq!(clock.now(), stopped);
        let later = clock.advance(Duration::from_hours(2));
        assert_eq!(later.since_start, stopped.since_start + Duration::from_hours(2));
        assert_eq!(later.unix_ms - stopped.unix_ms, 7_200_000);
        clock.resume();
        let resumed = clock.now().since_start;
        assert!(resumed >= later.since_start);
        assert!(resumed < later.since_start + Duration::from_mins(1));
    }

    #[test]
    fn a_jump_moves_the_wall_and_no_lifetime() {
        let clock = Clock::start();
        let before = clock.pause();
        let after = clock.jump(-3_600_000);
        assert_eq!(after.since_start, before.since_start);
        assert_eq!(after.unix_ms, before.unix_ms - 3_600_000);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_a_paused_clock_is_advanced() {
        let clock = std::sync::Arc::new(Clock::start());
        let start = clock.pause().since_start;
        let sleeper = tokio::spawn({
            let clock = std::sync::Arc::clone(&clock);
            async move { clock.sleep_until(start + Duration::from_hours(1)).await }
        });
        clock.advance(Duration::from_mins(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_mins(1));
        sleeper.await.unwrap();
    }
}
