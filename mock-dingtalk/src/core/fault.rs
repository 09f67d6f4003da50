//! Faults: when, how often, and what happens instead.

mod action;
mod cut;
mod times;
mod when;

use std::time::Duration;

pub(crate) use self::when::{OPEN_PATH, Point};
pub use self::{
    action::{Action, BadFrame, ErrorBody},
    cut::{Cut, Direction},
    times::{Happening, Times},
    when::{FrameSelector, When},
};
use super::lifetime;

/// A rule that breaks something on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which calls it applies to.
    pub when: When,
    /// How many of them.
    pub times: Times,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// `action` for the next call that `when` names, once.
    pub fn once(when: When, action: Action) -> Self {
        Self { when, times: Times::First(1), action }
    }

    /// `action` for every call that `when` names, until the fault is cleared.
    pub fn always(when: When, action: Action) -> Self {
        Self { when, times: Times::Always, action }
    }

    /// `action` for the next `times` calls that `when` names.
    pub fn first(times: u32, when: When, action: Action) -> Self {
        Self { when, times: Times::First(times), action }
    }
}

/// One row of `faults`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultRow {
    /// Names the rule.
    pub id: u64,
    /// The rule.
    pub fault: Fault,
    /// How often it acted.
    pub hits: u64,
    /// How often it will act again; `None` is without end, or not known.
    pub left: Option<u32>,
    /// How many matching calls there were while it was in force.
    pub seen: u64,
    /// When it is over, on the clock's steady hand.
    pub(crate) until: Option<Duration>,
}

/// The rules of one app, in the order they were made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRow>,
    last: u64,
}

impl Faults {
    /// `None` when there are too many.
    pub(crate) fn add(&mut self, fault: Fault, now: Duration) -> Option<FaultRow> {
        if self.rules.len() >= lifetime::FAULTS_PER_APP {
            return None;
        }
        self.last += 1;
        let (left, until) = (fault.times.count(), fault.times.end(now));
        let row = FaultRow { id: self.last, fault, hits: 0, left, seen: 0, until };
        self.rules.push(row.clone());
        Some(row)
    }

    pub(crate) fn rows(&self) -> &[FaultRow] {
        &self.rules
    }

    pub(crate) fn clear(&mut self, id: Option<u64>) -> usize {
        let before = self.rules.len();
        self.rules.retain(|rule| id.is_some_and(|id| rule.id != id));
        before - self.rules.len()
    }

    /// Ends the rules that were in force until this.
    pub(crate) fn happened(&mut self, happening: Happening) {
        for rule in &mut self.rules {
            if rule.fault.times == Times::Until(happening) {
                rule.left = Some(0);
            }
        }
    }

    /// The action of the first rule that applies here and has something left. Each rule that
    /// matches counts, also when it is not its turn.
    pub(crate) fn take(&mut self, point: Point<'_>, now: Duration) -> Option<Action> {
        for rule in &mut self.rules {
            let over = rule.left == Some(0) || rule.until.is_some_and(|until| now >= until);
            if over || !rule.fault.when.is_at(point) {
                continue;
            }
            rule.seen += 1;
            if rule.fault.times.acts_on(rule.seen) {
                rule.hits += 1;
                if let Some(left) = &mut rule.left {
                    *left -= 1;
                }
                return Some(rule.fault.action.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Action, Fault, Faults, Happening, Point, Times, When};

    const T0: Duration = Duration::ZERO;

    #[test]
    fn a_rule_acts_as_often_as_it_says_and_where_it_says() {
        let mut faults = Faults::default();
        faults.add(Fault::first(2, When::Open, Action::Hang), T0).unwrap();
        faults
            .add(Fault::always(When::Path("/gettoken".to_owned()), Action::EmptyObject), T0)
            .unwrap();
        let call = |path| Point::Call { method: "POST", path };
        let open = call(super::OPEN_PATH);
        assert_eq!(faults.take(Point::Upgrade, T0), None);
        assert_eq!(faults.take(open, T0), Some(Action::Hang));
        assert_eq!(faults.take(open, T0), Some(Action::Hang));
        assert_eq!(faults.take(open, T0), None);
        for _ in 0..5 {
            assert_eq!(faults.take(call("/gettoken"), T0), Some(Action::EmptyObject));
        }
        assert_eq!(faults.rows()[1].hits, 5);
        assert_eq!(faults.clear(Some(2)), 1);
        assert_eq!(faults.take(call("/gettoken"), T0), None);
        assert_eq!(faults.clear(None), 1);
    }

    #[test]
    fn a_call_is_meant_by_method_and_path() {
        let mut faults = Faults::default();
        let when = When::Call { method: "PUT".to_owned(), path: "/v1.0/card/*".to_owned() };
        faults.add(Fault::always(when, Action::Hang), T0).unwrap();
        let path = "/v1.0/card/streaming";
        assert_eq!(faults.take(Point::Call { method: "POST", path }, T0), None);
        assert_eq!(faults.take(Point::Call { method: "PUT", path }, T0), Some(Action::Hang));
    }

    #[test]
    fn a_rule_is_in_force_until_what_it_waits_for() {
        let mut faults = Faults::default();
        let times = Times::Until(Happening::Acked);
        faults.add(Fault { when: When::Connected, times, action: Action::Mute }, T0).unwrap();
        for _ in 0..3 {
            assert_eq!(faults.take(Point::Connected, T0), Some(Action::Mute));
            faults.happened(Happening::Sent);
        }
        faults.happened(Happening::Acked);
        assert_eq!(faults.take(Point::Connected, T0), None);
        assert_eq!((faults.rows()[0].hits, faults.rows()[0].left), (3, Some(0)));
    }

    #[test]
    fn a_rule_acts_on_the_calls_that_its_times_name() {
        let acts = |times| {
            let mut faults = Faults::default();
            let fault = Fault { when: When::Connected, times, action: Action::Mute };
            faults.add(fault, T0).unwrap();
            let mut acts = Vec::new();
            for number in 1..=100_u64 {
                let now = Duration::from_secs(number);
                if faults.take(Point::Connected, now).is_some() {
                    acts.push(number);
                }
            }
            acts
        };
        assert_eq!(acts(Times::Nth(3)), [3]);
        assert_eq!(acts(Times::First(2)), [1, 2]);
        assert_eq!(acts(Times::Every(40)), [40, 80]);
        assert_eq!(acts(Times::For(Duration::from_secs(3))), [1, 2]);
        let chance = acts(Times::Chance { percent: 30, seed: 7 });
        assert!((15..45).contains(&chance.len()), "{chance:?}");
        assert_eq!(chance, acts(Times::Chance { percent: 30, seed: 7 }));
        assert_ne!(chance, acts(Times::Chance { percent: 30, seed: 8 }));
        assert!(acts(Times::Chance { percent: 0, seed: 1 }).is_empty());
        assert_eq!(acts(Times::Chance { percent: 100, seed: 1 }).len(), 100);
    }
}
