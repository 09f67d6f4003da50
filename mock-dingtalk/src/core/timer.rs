//! What the core has planned: for each app on its own clock, and for all of them on the mock's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    app::{App, AppNumber, Cx},
    connection::{ConnectionKey, ConnectionState},
    dial::Dial,
    fault::Cut,
    lifetime,
};

/// Something to do for an app when its time has come. Whether it still applies is judged then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Send a SYSTEM ping.
    Ping(ConnectionKey),
    /// The grace after SYSTEM `disconnect` is over.
    GraceOver(ConnectionKey),
    /// An EVENT was not acknowledged in time: the attempt with this number is over.
    AckDeadline(u64, usize),
    /// A robot message was not acknowledged: push it once more.
    Redeliver(u64),
    /// DingTalk notices that a connection is gone.
    GhostOver(ConnectionKey),
    /// A frame was held back long enough.
    Late(u64),
    /// Push an EVENT again.
    PushAgain(u64),
}

/// The timers of one app on its own clock, soonest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    planned: BTreeMap<(Duration, u64), Timer>,
    last: u64,
    /// How many were left when those that nobody waits for were last taken out.
    swept: usize,
}

/// So many timers are not looked through for those that nobody waits for.
const FEW: usize = 1_000;

impl Timers {
    pub(crate) fn plan(&mut self, at: Duration, timer: Timer) {
        self.last += 1;
        self.planned.insert((at, self.last), timer);
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.planned.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is planned after a restore. Pings and graces belong to sockets, which live on: they
    /// come as long after `back`, the time that is shown again, as they would have come after
    /// `present`. All else is planned as it was `then`.
    pub(crate) fn restored(then: &Self, back: Duration, now: &Self, present: Duration) -> Self {
        let of_socket = |timer: &Timer| matches!(timer, Timer::Ping(_) | Timer::GraceOver(_));
        let mut new = Self::default();
        for ((at, _), timer) in then.planned.iter().filter(|(_, timer)| !of_socket(timer)) {
            new.plan(*at, *timer);
        }
        for ((at, _), timer) in now.planned.iter().filter(|(_, timer)| of_socket(timer)) {
            new.plan(back.saturating_add(at.saturating_sub(present)), *timer);
        }
        new
    }

    /// Whether there may be many that nobody waits for: on a clock that stands still, none would
    /// ever be taken out otherwise.
    pub(crate) fn is_crowded(&self) -> bool {
        self.planned.len() > 2 * self.swept + FEW
    }

    /// Takes out those that nobody waits for. After as many steps as there are timers, so that
    /// each step costs little.
    pub(crate) fn sweep(&mut self, is_awaited: impl Fn(Timer) -> bool) {
        self.planned.retain(|_, timer| is_awaited(*timer));
        self.swept = self.planned.len();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.planned.len()
    }

    /// Takes the soonest timer that is due at `until`.
    fn pop_due(&mut self, until: Duration) -> Option<(Duration, Timer)> {
        let entry = self.planned.first_entry()?;
        let (at, _) = *entry.key();
        (at <= until).then(|| (at, entry.remove()))
    }
}

/// The timers of all apps, and whose turn is next on the mock's clock. Each step of an app costs
/// as much as there are timers in that app, not as there are apps.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    plans: HashMap<AppNumber, Plan>,
    /// When the next timer of an app is due on the mock's clock. Apps that stand still are absent.
    turns: BTreeSet<(Duration, AppNumber)>,
}

#[derive(Debug, Default)]
struct Plan {
    timers: Timers,
    /// The app's place in `turns`.
    turn: Option<Duration>,
}

impl Schedule {
    /// The timers of one app. After a change, [`Schedule::renew`] has to be called.
    pub(crate) fn of(&mut self, app: AppNumber) -> &mut Timers {
        &mut self.plans.entry(app).or_default().timers
    }

    /// A copy of the timers of one app.
    pub(crate) fn copy_of(&self, app: AppNumber) -> Timers {
        self.plans.get(&app).map(|plan| plan.timers.clone()).unwrap_or_default()
    }

    /// Puts an app in its place again, after its timers or its clock changed.
    pub(crate) fn renew(&mut self, app: AppNumber, clock: &Dial) {
        let Some(plan) = self.plans.get_mut(&app) else { return };
        let turn = plan.timers.next().and_then(|at| clock.outer_at(at));
        if turn == plan.turn {
            return;
        }
        if let Some(old) = std::mem::replace(&mut plan.turn, turn) {
            self.turns.remove(&(old, app));
        }
        if let Some(turn) = turn {
            self.turns.insert((turn, app));
        }
    }

    /// When something is due next, on the mock's clock.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.turns.first().map(|(at, _)| *at)
    }

    /// The app whose timer is due first, if one is due at `until` on the mock's clock.
    pub(crate) fn next_app(&self, until: Duration) -> Option<AppNumber> {
        self.turns.first().filter(|(at, _)| *at <= until).map(|(_, app)| *app)
    }

    /// Takes the soonest timer of an app that is due at `until` on the app's clock.
    pub(crate) fn pop_due(&mut self, app: AppNumber, until: Duration) -> Option<(Duration, Timer)> {
        self.plans.get_mut(&app)?.timers.pop_due(until)
    }

    pub(crate) fn forget(&mut self, app: AppNumber) {
        if let Some(Plan { turn: Some(turn), .. }) = self.plans.remove(&app) {
            self.turns.remove(&(turn, app));
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl App {
    /// Whether there still is what a timer is for.
    pub(crate) fn awaits(&self, timer: Timer) -> bool {
        match timer {
            Timer::Ping(key) | Timer::GraceOver(key) | Timer::GhostOver(key) => {
                self.connections.contains_key(&key)
            }
            Timer::AckDeadline(seq, _) | Timer::Redeliver(seq) | Timer::PushAgain(seq) => {
                self.deliveries.is_known(seq)
            }
            Timer::Late(slot) => self.held.contains_key(&slot),
        }
    }

    /// A timer has come that was planned for `at`; a ping goes out now, all else happens then.
    pub(crate) fn come(&mut self, cx: &mut Cx<'_>, at: Duration, timer: Timer) {
        if !matches!(timer, Timer::Ping(_)) {
            cx.now = cx.now.at(at);
        }
        match timer {
            Timer::Ping(key) => {
                self.ping(cx, key);
                let open = self.connections.get(&key);
                if open.is_some_and(|connection| connection.state == ConnectionState::Open) {
                    cx.plan(lifetime::PING_INTERVAL, timer);
                }
            }
            Timer::GraceOver(key) => {
                self.cut(cx, key, Cut::Rst, "the grace after disconnect is over");
            }
            Timer::AckDeadline(seq, attempt) => self.ack_deadline(cx, seq, attempt),
            Timer::Redeliver(seq) => self.redeliver(cx, seq),
            Timer::GhostOver(key) => self.end(cx, key, "noticed at last"),
            Timer::Late(slot) => self.send_late(cx, slot),
            Timer::PushAgain(seq) => self.push_again(cx, seq),
        }
    }
}
