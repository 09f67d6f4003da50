//! What can happen, in any order.

use std::time::Duration;

use proptest::prelude::*;

use crate::core::{
    Action, Cut, DeliveryRules, ErrorBody, Fault, FrameSelector, Profile, Scale, Times, Turn, When,
};

pub(super) const APPS: usize = 3;

/// Something that can happen. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Open { app: usize, subscriptions: usize, secret: bool },
    Upgrade { ticket: usize },
    Opened { connection: usize },
    Closed { connection: usize, unwritten: bool },
    Say { app: usize },
    Push { app: usize, fixture: usize },
    PushEvent { app: usize },
    Ack { connection: usize, frame: usize, later: bool },
    Junk { connection: usize, text: String },
    Disconnect { app: usize },
    Cut { app: usize, how: usize },
    Fault { app: usize, fault: usize, times: usize },
    Rules { app: usize, rules: DeliveryRules },
    Wait { ms: u64 },
    Jump { ms: i32 },
    Turn { app: usize, turn: Turn },
    Call { path: usize, body: String },
    Delete { app: usize },
    Snapshot { slot: usize },
    Restore { slot: usize },
}

pub(super) const SLOTS: usize = 2;

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    let n = 0..64_usize;
    prop_oneof![
        4 => (0..APPS, 0..4_usize, prop::bool::weighted(0.9))
            .prop_map(|(app, subscriptions, secret)| Happening::Open { app, subscriptions, secret }),
        4 => n.clone().prop_map(|ticket| Happening::Upgrade { ticket }),
        4 => n.clone().prop_map(|connection| Happening::Opened { connection }),
        1 => (n.clone(), any::<bool>())
            .prop_map(|(connection, unwritten)| Happening::Closed { connection, unwritten }),
        6 => (0..APPS).prop_map(|app| Happening::Say { app }),
        1 => (0..APPS, n.clone()).prop_map(|(app, fixture)| Happening::Push { app, fixture }),
        3 => (0..APPS).prop_map(|app| Happening::PushEvent { app }),
        5 => (n.clone(), n.clone(), any::<bool>())
            .prop_map(|(connection, frame, later)| Happening::Ack { connection, frame, later }),
        1 => (n.clone(), ".*").prop_map(|(connection, text)| Happening::Junk { connection, text }),
        1 => (0..APPS).prop_map(|app| Happening::Disconnect { app }),
        1 => (0..APPS, 0..4_usize).prop_map(|(app, how)| Happening::Cut { app, how }),
        2 => (0..APPS, n.clone(), n.clone())
            .prop_map(|(app, fault, times)| Happening::Fault { app, fault, times }),
        1 => (0..APPS, rules()).prop_map(|(app, rules)| Happening::Rules { app, rules }),
        4 => (0..APPS, turn()).prop_map(|(app, turn)| Happening::Turn { app, turn }),
        1 => any::<i32>().prop_map(|ms| Happening::Jump { ms }),
        4 => prop_oneof![0..5_000_u64, 0..200_000_u64].prop_map(|ms| Happening::Wait { ms }),
        1 => (0..6_usize, ".*").prop_map(|(path, body)| Happening::Call { path, body }),
        1 => (0..APPS).prop_map(|app| Happening::Delete { app }),
        2 => (0..SLOTS).prop_map(|slot| Happening::Snapshot { slot }),
        2 => (0..SLOTS).prop_map(|slot| Happening::Restore { slot }),
    ]
}

pub(super) fn rules() -> impl Strategy<Value = DeliveryRules> {
    let profile =
        prop::sample::select(vec![Profile::Documented, Profile::Observed60s, Profile::Observed16s]);
    let ghost_for = prop_oneof![Just(0), 0..200_000_u64].prop_map(Duration::from_millis);
    (profile, any::<bool>(), ghost_for).prop_map(|(profile, same_message_id, ghost_for)| {
        DeliveryRules { profile, same_message_id, ghost_for }
    })
}

pub(super) fn turn() -> impl Strategy<Value = Turn> {
    let ms = prop_oneof![8 => 0..200_000_u64, 1 => any::<u64>()];
    prop_oneof![
        3 => ms.prop_map(|ms| Turn::Advance(Duration::from_millis(ms))),
        2 => Just(Turn::Pause),
        2 => Just(Turn::Resume),
        1 => any::<i64>().prop_map(Turn::Jump),
        2 => (0.01..=1_000.0_f64).prop_map(|factor| Turn::Scale(Scale::new(factor).unwrap())),
    ]
}

/// Each action of frames and connections, and some of calls.
pub(super) fn fault(index: usize, times: usize) -> Fault {
    let frame = |action| Fault::once(When::Frame(FrameSelector::default()), action);
    let connected = |action| Fault::once(When::Connected, action);
    let soon = Duration::from_secs(5);
    let faults = [
        Fault::once(When::Open, Action::Status(503, ErrorBody::Html)),
        Fault::once(When::Upgrade, Action::Status(403, ErrorBody::Empty)),
        Fault::once(When::Open, Action::Hang),
        Fault::once(When::Open, Action::Delay(soon)),
        Fault::once(When::Upgrade, Action::Delay(soon)),
        Fault::once(When::Upgrade, Action::AcceptThenCut(Cut::Rst)),
        Fault::once(When::Ack, Action::RequireShape),
        frame(Action::Lose),
        frame(Action::Duplicate(2)),
        frame(Action::Late(soon)),
        frame(Action::Late(Duration::MAX)),
        frame(Action::Reorder),
        frame(Action::Raw("no JSON".to_owned())),
        frame(Action::Oversize(3_000)),
        frame(Action::MessageId("fixed".to_owned())),
        frame(Action::Redeliver(soon)),
        frame(Action::CutAtFrame(Cut::Fin)),
        frame(Action::CutAtFrame(Cut::BlackHole)),
        connected(Action::Disconnect { closes: false }),
        connected(Action::Disconnect { closes: true }),
        connected(Action::CutAtOnce(Cut::Rst)),
        connected(Action::Mute),
        connected(Action::Unroute),
        connected(Action::LoseFirst),
    ];
    let times = [
        Times::First(1),
        Times::First(3),
        Times::Nth(2),
        Times::Every(2),
        Times::For(soon),
        Times::Chance { percent: 50, seed: 1 },
    ][times % 6];
    Fault { times, ..faults[index % faults.len()].clone() }
}
