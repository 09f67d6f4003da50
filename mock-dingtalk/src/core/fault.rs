//! Faults: when, how often, and what happens instead.

use std::time::Duration;

use serde::Serialize;

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

/// The calls that a fault applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// `POST /v1.0/gateway/connections/open`.
    Open,
    /// The WebSocket upgrade.
    Upgrade,
    /// Any HTTP call to this path.
    Path(String),
}

/// How often a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// On the next so many matching calls.
    First(u32),
    /// On every matching call.
    Always,
}

/// What happens instead of the right thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// This status, with such a body.
    Status(u16, ErrorBody),
    /// 200 with `{}`.
    EmptyObject,
    /// No answer at all, while the connection stays.
    Hang,
    /// The right answer, but later (on the mock's clock).
    Delay(Duration),
    /// The TCP connection ends instead of an answer.
    Drop(Cut),
    /// The upgrade succeeds, and the connection ends at once. Only with [`When::Upgrade`].
    AcceptThenCut(Cut),
}

/// The body of a made-up error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorBody {
    /// DingTalk's own error object.
    Json,
    /// A page, as proxies and load balancers send it.
    Html,
    /// Nothing.
    Empty,
}

/// How a connection ends, or stops working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The TCP connection is reset, without a Close frame.
    Rst,
    /// The TCP connection ends in order, without a Close frame.
    Fin,
    /// A WebSocket Close frame, then the end.
    Close {
        /// The close code, 1000 to 4999.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
    /// The connection stays and nothing passes any more, in either direction. The mock keeps
    /// pushing to it until the bot gives it up.
    BlackHole,
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
    /// How often it will act again; `None` is without end.
    pub left: Option<u32>,
}

/// Where a fault can act.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point<'a> {
    Upgrade,
    Path(&'a str),
}

/// The path of `connections/open`.
pub(crate) const OPEN_PATH: &str = "/v1.0/gateway/connections/open";

/// The rules of one app, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRow>,
    last: u64,
}

impl Faults {
    /// `None` when there are too many.
    pub(crate) fn add(&mut self, fault: Fault) -> Option<FaultRow> {
        if self.rules.len() >= lifetime::FAULTS_PER_APP {
            return None;
        }
        self.last += 1;
        let left = match fault.times {
            Times::First(times) => Some(times),
            Times::Always => None,
        };
        let row = FaultRow { id: self.last, fault, hits: 0, left };
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

    /// The action of the first rule that applies here and has something left.
    pub(crate) fn take(&mut self, point: Point<'_>) -> Option<Action> {
        let rule = self.rules.iter_mut().find(|rule| {
            rule.left != Some(0)
                && match (&rule.fault.when, point) {
                    (When::Upgrade, Point::Upgrade) => true,
                    (When::Open, Point::Path(path)) => path == OPEN_PATH,
                    (When::Path(wanted), Point::Path(path)) => wanted == path,
                    _ => false,
                }
        })?;
        rule.hits += 1;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        Some(rule.fault.action.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Fault, Faults, Point, When};

    #[test]
    fn a_rule_acts_as_often_as_it_says_and_where_it_says() {
        let mut faults = Faults::default();
        faults.add(Fault::first(2, When::Open, Action::Hang)).unwrap();
        faults.add(Fault::always(When::Path("/gettoken".to_owned()), Action::EmptyObject)).unwrap();
        let open = Point::Path(super::OPEN_PATH);
        assert_eq!(faults.take(Point::Upgrade), None);
        assert_eq!(faults.take(open), Some(Action::Hang));
        assert_eq!(faults.take(open), Some(Action::Hang));
        assert_eq!(faults.take(open), None);
        for _ in 0..5 {
            assert_eq!(faults.take(Point::Path("/gettoken")), Some(Action::EmptyObject));
        }
        assert_eq!(faults.rows()[1].hits, 5);
        assert_eq!(faults.clear(Some(2)), 1);
        assert_eq!(faults.take(Point::Path("/gettoken")), None);
        assert_eq!(faults.clear(None), 1);
    }
}
