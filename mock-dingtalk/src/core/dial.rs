//! A clock that is driven by another one.
//!
//! The mock's clock is driven by real time, the clock of each app by the mock's. Both are a dial:
//! a straight line from the time of the outer clock to its own, with a new start at each turn.
//!
//! * Untouched, a dial shows what the outer clock shows.
//! * While it runs, every second of the outer clock is `scale` seconds here, whether the outer
//!   clock ran or was turned: advancing the mock by an hour moves an app with scale 10 by ten.
//!   Jumps of the outer wall hand come through as they are.
//! * Paused, it stands still whatever the outer clock does, and is moved only by its own turns.
//!   What it missed stays missed when it runs again.
//! * The steady hand never goes back, but by a snapshot that is restored, and stops after a thousand years. The wall hand stays between
//!   1970 and 9999; a turn that would take a hand further takes it to the end.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::Moment;

/// The steady hand stops here, so that no sum of times overflows: a thousand years.
pub(crate) const LAST: Duration = Duration::from_secs(31_557_600_000);
/// The last millisecond of the year 9999, where the wall hand stops.
const LAST_WALL_MS: i64 = 253_402_300_799_999;

/// How fast a clock runs, in thousandths of the outer clock's speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale(u32);

impl Scale {
    /// What may be chosen.
    pub(crate) const ALLOWED: &'static str = "a number from 0.01 to 1000";
    const ONE: Self = Self(1_000);

    /// A factor from 0.01 to 1000, rounded to three decimals.
    pub(crate) fn new(factor: f64) -> Option<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number from 10 to 1,000,000 fits"
        )]
        (0.01..=1_000.0).contains(&factor).then(|| Self((factor * 1_000.0).round() as u32))
    }

    /// The factor.
    pub(crate) fn factor(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl Serialize for Scale {
    /// Whole numbers without a point.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1_000) {
            serializer.serialize_u32(self.0 / 1_000)
        } else {
            serializer.serialize_f64(self.factor())
        }
    }
}

/// What can be done to a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Both hands go forward, paused or not.
    Advance(Duration),
    /// Both hands stop.
    Pause,
    /// Both hands run on from where they stand.
    Resume,
    /// The wall hand alone moves by so many milliseconds; lifetimes don't notice.
    Jump(i64),
    /// Both hands run at this speed from now on.
    Scale(Scale),
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advance(by) => write!(f, "clock advanced by {by:?}"),
            Self::Pause => f.write_str("clock paused"),
            Self::Resume => f.write_str("clock resumed"),
            Self::Jump(by_ms) => write!(f, "wall clock moved by {by_ms} ms"),
            Self::Scale(scale) => write!(f, "clock set to scale {}", scale.factor()),
        }
    }
}

/// What a clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) moment: Moment,
    /// Whether this clock itself is paused; the outer one may stand still besides.
    pub(crate) paused: bool,
    pub(crate) scale: Scale,
}

/// A clock, as it was set at its last turn.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    /// The outer clock's steady hand at the last turn.
    outer: Duration,
    /// How far the outer wall hand was ahead of it, in milliseconds.
    outer_wall_ms: i64,
    /// This clock's steady hand at the last turn.
    inner: Duration,
    /// How far this wall hand was ahead of it, in milliseconds.
    wall_ms: i64,
    running: bool,
    scale: Scale,
}

impl Dial {
    /// A clock that shows what the outer one shows.
    pub(crate) fn following(outer: Moment) -> Self {
        let wall_ms = wall_offset(outer);
        Self {
            outer: outer.since_start,
            outer_wall_ms: wall_ms,
            inner: outer.since_start,
            wall_ms,
            running: true,
            scale: Scale::ONE,
        }
    }

    /// The time here when the outer clock shows `outer`.
    pub(crate) fn read(&self, outer: Moment) -> Moment {
        let (since_start, wall_ms) = self.hands(outer);
        let unix_ms = wall_ms.saturating_add(ms(since_start)).clamp(0, LAST_WALL_MS);
        Moment { since_start, unix_ms }
    }

    /// The steady hand, and how far the wall hand is ahead of it if nothing held it.
    fn hands(&self, outer: Moment) -> (Duration, i64) {
        let (mut since_start, mut wall_ms) = (self.inner, self.wall_ms);
        if self.running {
            let passed = outer.since_start.saturating_sub(self.outer);
            let passed = duration(passed.as_nanos() * u128::from(self.scale.0) / 1_000);
            since_start = since_start.saturating_add(passed).min(LAST);
            let jumped = wall_offset(outer).saturating_sub(self.outer_wall_ms);
            wall_ms = wall_ms.saturating_add(jumped);
        }
        (since_start, wall_ms)
    }

    /// The same with how the clock is set.
    pub(crate) fn reading(&self, outer: Moment) -> Reading {
        Reading { moment: self.read(outer), paused: !self.running, scale: self.scale }
    }

    /// The least time of the outer clock at which the steady hand shows `deadline` or more, as
    /// the clock is set; `None` is never.
    pub(crate) fn outer_at(&self, deadline: Duration) -> Option<Duration> {
        if deadline > LAST {
            return None;
        }
        let left = deadline.saturating_sub(self.inner);
        if left.is_zero() {
            return Some(self.outer);
        }
        let passes = (left.as_nanos() * 1_000).div_ceil(u128::from(self.scale.0));
        self.running.then(|| self.outer.saturating_add(duration(passes)))
    }

    /// Turns the clock at a time of the outer one.
    pub(crate) fn turn(&mut self, outer: Moment, turn: Turn) {
        let now = self.read(outer);
        self.outer = self.outer.max(outer.since_start);
        self.outer_wall_ms = wall_offset(outer);
        self.inner = now.since_start;
        self.wall_ms = wall_offset(now);
        match turn {
            Turn::Advance(by) => self.inner = self.inner.saturating_add(by).min(LAST),
            Turn::Pause => self.running = false,
            Turn::Resume => self.running = true,
            Turn::Jump(by_ms) => self.jump(now, by_ms),
            Turn::Scale(scale) => self.scale = scale,
        }
    }

    /// A clock that shows at `now` of the outer one what this one shows at `then`, and is set
    /// alike.
    pub(crate) fn moved(&self, then: Moment, now: Moment) -> Self {
        let (inner, wall_ms) = self.hands(then);
        Self {
            outer: now.since_start,
            outer_wall_ms: wall_offset(now),
            inner,
            wall_ms,
            running: self.running,
            scale: self.scale,
        }
    }

    /// Moves the wall hand of a clock that shows `now`.
    pub(crate) fn jump(&mut self, now: Moment, by_ms: i64) {
        let there = now.unix_ms.saturating_add(by_ms).clamp(0, LAST_WALL_MS);
        self.wall_ms = self.wall_ms.saturating_add(there - now.unix_ms);
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn wall_offset(moment: Moment) -> i64 {
    moment.unix_ms.saturating_sub(ms(moment.since_start))
}

fn duration(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos % SECOND).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Dial, LAST, LAST_WALL_MS, Scale, Turn};
    use crate::core::Moment;

    fn at(ms: u64) -> Moment {
        let unix_ms = 1_780_000_000_000 + i64::try_from(ms).unwrap();
        Moment { since_start: Duration::from_millis(ms), unix_ms }
    }

    fn jumped(ms: u64, by_ms: i64) -> Moment {
        Moment { unix_ms: at(ms).unix_ms + by_ms, ..at(ms) }
    }

    #[test]
    fn a_paused_clock_moves_only_by_its_own_turns_and_misses_the_rest() {
        let mut dial = Dial::following(at(1_000));
        assert_eq!(dial.read(at(5_000)), at(5_000));
        dial.turn(at(5_000), Turn::Pause);
        assert_eq!(dial.read(jumped(9_000, 77)), at(5_000));
        dial.turn(jumped(9_000, 77), Turn::Advance(Duration::from_secs(2)));
        assert_eq!(dial.read(jumped(9_500, 77)), at(7_000));
        dial.turn(jumped(10_000, 77), Turn::Resume);
        assert_eq!(dial.read(jumped(10_001, 77)), at(7_001));
        assert_eq!(dial.read(jumped(10_001, 78)), jumped(7_001, 1));
    }

    #[test]
    fn a_scaled_clock_multiplies_what_passes_outside_and_keeps_its_scale_while_paused() {
        let mut dial = Dial::following(at(0));
        dial.turn(at(1_000), Turn::Scale(Scale::new(10.0).unwrap()));
        assert_eq!(dial.read(at(1_500)), at(6_000));
        dial.turn(at(1_500), Turn::Pause);
        dial.turn(at(2_000), Turn::Resume);
        assert_eq!(dial.read(at(2_100)), at(7_000));
        dial.turn(at(2_100), Turn::Scale(Scale::new(0.01).unwrap()));
        assert_eq!(dial.read(at(102_100)), at(8_000));
        assert_eq!(dial.outer_at(Duration::from_secs(8)), Some(Duration::from_millis(102_100)));
    }

    #[test]
    fn a_jump_moves_the_wall_and_no_lifetime() {
        let mut dial = Dial::following(at(0));
        dial.turn(at(10), Turn::Jump(-3_600_000));
        assert_eq!(dial.read(at(20)), jumped(20, -3_600_000));
        assert_eq!(dial.outer_at(Duration::from_millis(30)), Some(Duration::from_millis(30)));
    }

    #[test]
    fn a_moved_clock_goes_on_from_what_it_showed() {
        let mut dial = Dial::following(at(0));
        dial.turn(at(1_000), Turn::Scale(Scale::new(10.0).unwrap()));
        dial.turn(at(2_000), Turn::Jump(77));
        // The outer wall hand jumps meanwhile, which is over for the one that is moved.
        let moved = dial.moved(at(3_000), jumped(50_000, 5));
        assert_eq!(moved.read(jumped(50_000, 5)), jumped(21_000, 77));
        assert_eq!(moved.read(jumped(50_100, 6)), jumped(22_000, 78));
        dial.turn(at(3_000), Turn::Pause);
        let moved = dial.moved(at(4_000), at(60_000));
        assert_eq!(moved.read(at(70_000)), jumped(21_000, 77));
        assert_eq!(moved.outer_at(Duration::from_secs(30)), None);
    }

    #[test]
    fn scales_are_numbers_that_a_clock_can_keep() {
        for factor in [0.01, 0.5, 1.0, 10.0, 1_000.0] {
            assert!((Scale::new(factor).unwrap().factor() - factor).abs() < f64::EPSILON);
        }
        for factor in [0.0, -0.0, -1.0, 0.009, 1_000.1, f64::NAN, f64::INFINITY, f64::MAX] {
            assert_eq!(Scale::new(factor), None, "{factor}");
        }
        let shown = |factor| serde_json::to_string(&Scale::new(factor).unwrap()).unwrap();
        assert_eq!([shown(10.0), shown(0.25)], ["10", "0.25"]);
    }

    #[test]
    fn hands_stop_at_the_end_instead_of_overflowing() {
        let mut dial = Dial::following(at(0));
        for _ in 0..3 {
            dial.turn(at(1), Turn::Advance(Duration::MAX));
            dial.turn(at(1), Turn::Scale(Scale::new(1_000.0).unwrap()));
            assert_eq!(dial.read(at(u64::MAX >> 20)).since_start, LAST);
        }
        assert_eq!(dial.outer_at(LAST + Duration::from_nanos(1)), None);
        dial.turn(at(2), Turn::Jump(i64::MAX));
        assert_eq!(dial.read(at(2)).unix_ms, LAST_WALL_MS);
        for _ in 0..2 {
            dial.turn(at(2), Turn::Jump(i64::MIN));
            assert_eq!(dial.read(at(2)).unix_ms, 0);
        }
        dial.turn(at(2), Turn::Jump(5));
        assert_eq!(dial.read(at(2)).unix_ms, 5);
    }

    fn turn() -> impl Strategy<Value = Turn> {
        prop_oneof![
            (0..=u64::MAX).prop_map(|ms| Turn::Advance(Duration::from_millis(ms))),
            (0..100_000_u64).prop_map(|ns| Turn::Advance(Duration::from_nanos(ns))),
            Just(Turn::Pause),
            Just(Turn::Resume),
            any::<i64>().prop_map(Turn::Jump),
            (0.01..=1_000.0).prop_map(|factor| Turn::Scale(Scale::new(factor).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn time_never_goes_back_and_deadlines_come_when_they_are_foretold(
            turns in prop::collection::vec((0..=u64::MAX >> 20, turn(), 0..=u64::MAX >> 20), 1..20),
        ) {
            let mut outer = at(0);
            let mut dial = Dial::following(outer);
            for (passes, turn, left) in turns {
                let before = dial.read(outer).since_start;
                outer = outer.at(outer.since_start + Duration::from_nanos(passes));
                let then = dial.read(outer).since_start;
                prop_assert!(then >= before);
                dial.turn(outer, turn);
                let now = dial.read(outer);
                prop_assert!(now.since_start >= then && now.since_start <= LAST);
                prop_assert!((0..=LAST_WALL_MS).contains(&now.unix_ms));

                let deadline = now.since_start + Duration::from_nanos(left);
                match dial.outer_at(deadline) {
                    None => prop_assert!(deadline > LAST || !dial.running),
                    Some(due) => {
                        prop_assert!(dial.read(outer.at(due)).since_start >= deadline);
                        let just_before = due.saturating_sub(Duration::from_nanos(1));
                        if due > dial.outer {
                            prop_assert!(dial.read(outer.at(just_before)).since_start < deadline);
                        }
                    }
                }
            }
        }
    }
}
