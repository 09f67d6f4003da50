//! Whatever happens in whatever order: the laws of the core hold.

mod happening;
mod ledger;
mod world;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::{
    ClientFrame, ConnectionKey, ConnectionState, DeliveryState, Turn, connection::Connection,
};
use happening::{Happening, happening};
use world::World;

use crate::{DeliveryRules, Profile};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_happenings_keeps_the_laws(
        seed: u64,
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new(seed);
        for happening in happenings {
            world.happen(happening);
        }
    }

    #[test]
    fn the_same_happenings_give_the_same_effects(
        seed: u64,
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let play = || {
            let mut world = World::new(seed);
            for happening in happenings.clone() {
                world.happen(happening);
            }
            let (entries, _) = world.fleet.journal(None, 0, usize::MAX).unwrap();
            serde_json::to_string(&entries.iter().map(|entry| &**entry).collect::<Vec<_>>()).unwrap()
        };
        prop_assert_eq!(play(), play());
    }

    #[test]
    fn the_same_happenings_after_a_restore_lead_to_the_same_state(
        seed: u64,
        before in prop::collection::vec(happening(), 1..60),
        after in prop::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::new(seed);
        for happening in before {
            world.happen(happening);
        }
        world.close_all();
        world.kept[0].take().map(|_| world.fleet.snapshots.remove("0"));
        world.take_snapshot(0);
        let known = (world.connections.len(), world.frames.len());
        let mut play = || {
            for happening in &after {
                if !matches!(happening, Happening::Snapshot { .. } | Happening::Restore { .. }) {
                    world.happen(happening.clone());
                }
            }
            world.close_all();
            let led_to = (world.show(), world.tickets.clone());
            world.restore(0);
            world.connections.truncate(known.0);
            world.frames.truncate(known.1);
            led_to
        };
        let first = play();
        prop_assert_eq!(first, play());
    }

    #[test]
    fn pushes_go_only_to_open_connections_that_subscribed(
        states in prop::collection::vec((0..4_usize, any::<bool>()), 1..12),
        seed: u64,
    ) {
        let mut world = World::new(seed);
        let mut right = HashSet::new();
        for (state, subscribed) in states {
            let known = world.connections.len();
            world.happen(Happening::Open { app: 0, subscriptions: usize::from(subscribed), secret: true });
            world.happen(Happening::Upgrade { ticket: world.tickets.len() - 1 });
            let (key, _) = world.connections[known];
            if state > 0 {
                world.happen(Happening::Opened { connection: known });
            }
            let name = world.name(0).unwrap();
            let now = world.now;
            match state {
                1 if subscribed => { right.insert(key); }
                2 => world.fleet.act(now, &name, |app, cx| {
                    app.disconnect(cx, key, "x", true);
                    Ok(())
                }).unwrap(),
                3 => world.happen(Happening::Closed { connection: known, unwritten: false }),
                _ => {}
            }
        }
        world.carry_out();
        let mut hit: HashMap<ConnectionKey, usize> = HashMap::new();
        for _ in 0..40 {
            world.happen(Happening::Say { app: 0 });
        }
        for (_, _, key) in &world.frames {
            *hit.entry(*key).or_default() += 1;
        }
        prop_assert!(hit.keys().all(|key| right.contains(key)));
        prop_assert_eq!(hit.is_empty(), right.is_empty());
        let app = world.fleet.app(&world.name(0).unwrap()).unwrap();
        let open = |c: &&Connection| c.state == ConnectionState::Open;
        prop_assert!(app.connections.values().filter(open).count() >= right.len());
    }

    #[test]
    fn reading_what_a_client_wrote_never_panics(text: String, bytes: Vec<u8>) {
        let _ = ClientFrame::parse(&text);
        let _ = ClientFrame::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn what_was_never_written_goes_to_another_connection() {
    let mut world = World::new(1);
    for connection in 0..2 {
        world.happen(Happening::Open { app: 0, subscriptions: 1, secret: true });
        world.happen(Happening::Upgrade { ticket: connection });
        world.happen(Happening::Opened { connection });
    }
    world.happen(Happening::Say { app: 0 });
    world.carry_out();
    let name = world.name(0).unwrap();
    let rows = |world: &World| world.fleet.app(&name).unwrap().delivery_rows(0);
    let to = |world: &World| world.frames.last().unwrap().2;
    let at = |world: &World| world.connections.iter().position(|(key, _)| *key == to(world));
    let first = to(&world);
    world.happen(Happening::Closed { connection: at(&world).unwrap(), unwritten: true });
    world.carry_out();
    let row = &rows(&world)[0];
    assert_eq!((row.attempts.len(), row.state), (1, DeliveryState::Sent), "as if it were new");
    assert_ne!(to(&world), first);
    // Nobody is left.
    world.happen(Happening::Closed { connection: at(&world).unwrap(), unwritten: true });
    let row = &rows(&world)[0];
    assert_eq!((row.attempts.len(), row.state), (0, DeliveryState::Lost));
}

/// A message that came again to the same connection, whose socket has taken nothing for a minute.
#[test]
fn what_was_pushed_twice_and_never_written_was_never_pushed() {
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    for never_written in [1, 2] {
        let mut world = World::new(1);
        world.happen(Happening::Rules { app: 0, rules });
        world.happen(Happening::Open { app: 0, subscriptions: 1, secret: true });
        world.happen(Happening::Upgrade { ticket: 0 });
        world.happen(Happening::Opened { connection: 0 });
        world.happen(Happening::Say { app: 0 });
        world.happen(Happening::Wait { ms: 60_000 });
        world.carry_out();
        assert_eq!(world.frames.len(), 2);
        // The first frames may have left.
        world.frames.drain(..2 - never_written);
        world.happen(Happening::Closed { connection: 0, unwritten: true });
        let name = world.name(0).unwrap();
        let row = &world.fleet.app(&name).unwrap().delivery_rows(0)[0];
        let state = if never_written == 2 { DeliveryState::Lost } else { DeliveryState::Sent };
        assert_eq!((row.attempts.len(), row.state), (2 - never_written, state));
    }
}

#[test]
fn a_clock_that_stands_still_gathers_no_timers_of_what_is_gone() {
    let mut world = World::new(1);
    world.happen(Happening::Turn { app: 0, turn: Turn::Pause });
    let name = world.name(0).unwrap();
    for turn in 0..1_200 {
        world.happen(Happening::Open { app: 0, subscriptions: 1, secret: true });
        world.happen(Happening::Upgrade { ticket: turn });
        world.happen(Happening::Opened { connection: turn });
        world.happen(Happening::Closed { connection: turn, unwritten: false });
    }
    let left = world.fleet.timers(&name);
    assert!(left <= 1_001, "{left} timers");
}
