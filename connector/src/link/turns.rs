//! What is known of the turns that an attached agent has or is to have. Pure: no IO, clock or lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::agent::{Attempt, Turn, TurnId};

/// The turns of one robot.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// In the order in which their messages came.
    open: BTreeMap<TurnId, Open>,
    /// The last ones that ended, with the last `seq` of each, oldest first.
    ended: VecDeque<(TurnId, u64)>,
    attached: bool,
}

#[derive(Debug)]
struct Open {
    turn: Arc<Turn>,
    attempt: u64,
    offered: bool,
    /// Of the last event that was taken.
    seq: u64,
    /// Things that are said in it already.
    said: u64,
    /// The agent has it for good.
    adopted: bool,
    /// The agent's own end of it is being kept.
    ending: bool,
}

/// A turn as it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) id: TurnId,
    /// 1, and more when it may have been offered before.
    pub(super) attempt: u64,
    /// Of the last event that was taken; the next one has one more.
    pub(super) seq: u64,
    /// How many texts and files the agent has said in it, all of which are kept.
    pub(super) said: u64,
    /// Whether an agent said that it has it for good. After a restart every event that was kept says so.
    pub(super) adopted: bool,
    pub(super) turn: Arc<Turn>,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is the next one.
    Next,
    /// It came before.
    Repeat,
    /// Events are missing before it.
    Gap {
        /// The `seq` of the next one.
        expected: u64,
    },
    /// It belongs to an offer that was made again since.
    Stale {
        /// The `attempt` of the last offer.
        attempt: u64,
    },
    /// Much was said in the turn already.
    TooMany {
        /// It may be said when this time has passed.
        retry_after: Duration,
    },
    /// The turn has ended.
    Ended,
    /// No such turn is known, or it ended long ago.
    Unknown,
}

/// Ended turns that are remembered, so that a repeat of their last event is told from a new one.
const REMEMBERED: usize = 1_024;

impl Turns {
    /// A turn begins; returns its offer if somebody is attached.
    pub(super) fn open(&mut self, attempt: Attempt, turn: Turn) -> Option<Offer> {
        let Attempt { turn: id, resumed, said, seq } = attempt;
        let open = Open {
            turn: Arc::new(turn),
            attempt: u64::from(resumed),
            offered: false,
            seq,
            said,
            adopted: seq > 0,
            ending: false,
        };
        self.open.insert(id, open);
        let attached = self.attached;
        self.open.get_mut(&id).filter(|_| attached).map(|open| open.offer(id))
    }

    /// Somebody attaches, and gets every open turn, in order.
    pub(super) fn attach(&mut self) -> Vec<Offer> {
        self.attached = true;
        self.open.iter_mut().map(|(id, open)| open.offer(*id)).collect()
    }

    /// Nobody is attached any more.
    pub(super) fn detach(&mut self) {
        self.attached = false;
    }

    /// What is to be done with an event. `attempt` is that of the offer it answers, if it says so.
    pub(super) fn judge(&self, id: TurnId, seq: u64, attempt: Option<u64>) -> Judgement {
        let Some(open) = self.open.get(&id) else {
            return match self.ended.iter().find(|(ended, _)| *ended == id) {
                Some((_, last)) if seq <= *last => Judgement::Repeat,
                Some(_) => Judgement::Ended,
                None => Judgement::Unknown,
            };
        };
        if attempt.is_some_and(|attempt| attempt != open.attempt) {
            return Judgement::Stale { attempt: open.attempt };
        }
        match open.seq.saturating_add(1) {
            next if seq == next => Judgement::Next,
            next if seq < next => Judgement::Repeat,
            expected => Judgement::Gap { expected },
        }
    }

    /// The agent's end of a turn is about to be kept; or it was not kept, after all.
    pub(super) fn ending(&mut self, id: TurnId, ending: bool) {
        if let Some(open) = self.open.get_mut(&id) {
            open.ending = ending;
        }
    }

    /// An event was taken, in which so many things were said, or which adopts the turn.
    pub(super) fn took(&mut self, id: TurnId, seq: u64, said: u64, adopts: bool) {
        if let Some(open) = self.open.get_mut(&id) {
            open.seq = seq;
            open.adopted |= adopts;
            open.said += said;
        } else if let Some((_, last)) = self.ended.iter_mut().find(|(ended, _)| *ended == id) {
            *last = seq;
        }
    }

    /// A turn is over. Returns whether the agent is to be told: it has the turn, and did not end it.
    pub(super) fn close(&mut self, id: TurnId) -> bool {
        let Some(open) = self.open.remove(&id) else { return false };
        if self.ended.len() >= REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, open.seq));
        self.attached && open.offered && !open.ending
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}

impl Open {
    fn offer(&mut self, id: TurnId) -> Offer {
        self.offered = true;
        self.attempt += 1;
        let Self { attempt, seq, said, adopted, .. } = *self;
        Offer { id, attempt, seq, said, adopted, turn: Arc::clone(&self.turn) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn turn() -> Turn {
        Turn::of_words("hi")
    }

    fn attempt(id: i64, resumed: bool, seq: u64) -> Attempt {
        Attempt { turn: TurnId(id), resumed, said: 0, seq }
    }

    #[test]
    fn what_a_restart_left_goes_on_behind_its_last_kept_event() {
        let mut turns = Turns::default();
        turns.attach();
        let offer = turns.open(attempt(1, true, 4), turn()).unwrap();
        assert_eq!((offer.attempt, offer.seq), (2, 4));
        assert_eq!(turns.judge(TurnId(1), 4, None), Judgement::Repeat);
        assert_eq!(turns.judge(TurnId(1), 5, Some(2)), Judgement::Next);
        assert_eq!(turns.judge(TurnId(1), 7, None), Judgement::Gap { expected: 5 });
        assert_eq!(turns.judge(TurnId(1), 5, Some(1)), Judgement::Stale { attempt: 2 });
        assert_eq!(turns.judge(TurnId(2), 1, None), Judgement::Unknown);
    }

    #[test]
    fn the_agent_is_told_of_an_end_that_is_not_its_own() {
        let mut turns = Turns::default();
        turns.open(attempt(1, false, 0), turn());
        assert!(!turns.close(TurnId(1)), "nobody has it");
        turns.attach();
        turns.open(attempt(2, false, 0), turn());
        assert!(turns.close(TurnId(2)));
        turns.open(attempt(3, false, 0), turn());
        turns.ending(TurnId(3), true);
        assert!(!turns.close(TurnId(3)), "it ended it itself");
        turns.took(TurnId(3), 1, 1, false);
        assert_eq!(turns.judge(TurnId(3), 1, None), Judgement::Repeat);
        assert_eq!(turns.judge(TurnId(3), 2, None), Judgement::Ended);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Open,
        Attach,
        Detach,
        Event { pick: usize, ahead: u64 },
        Close(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Open),
            Just(Step::Attach),
            Just(Step::Detach),
            (any::<usize>(), 0..3_u64).prop_map(|(pick, ahead)| Step::Event { pick, ahead }),
            any::<usize>().prop_map(Step::Close),
        ]
    }

    proptest! {
        #[test]
        fn every_unfinished_turn_comes_again_in_order_and_each_event_is_taken_once(
            steps in proptest::collection::vec(step(), 0..120),
        ) {
            let mut turns = Turns::default();
            let mut attached = false;
            let mut open: Vec<i64> = Vec::new();
            let mut next = 0;
            let mut attempts: HashMap<i64, u64> = HashMap::new();
            let mut taken: HashMap<i64, u64> = HashMap::new();
            for step in steps {
                match step {
                    Step::Open => {
                        next += 1;
                        open.push(next);
                        let offer = turns.open(attempt(next, false, 0), turn());
                        prop_assert_eq!(offer.is_some(), attached);
                        if let Some(offer) = offer {
                            prop_assert_eq!((offer.id, offer.attempt), (TurnId(next), 1));
                            attempts.insert(next, 1);
                        }
                    }
                    Step::Attach => {
                        attached = true;
                        let offers = turns.attach();
                        let ids: Vec<_> = offers.iter().map(|offer| offer.id.0).collect();
                        prop_assert_eq!(&ids, &open);
                        for offer in offers {
                            let before = attempts.entry(offer.id.0).or_default();
                            prop_assert_eq!(offer.attempt, *before + 1);
                            *before += 1;
                            let last = taken.get(&offer.id.0).copied().unwrap_or(0);
                            let said = (1..=last).map(|seq| seq % 3).sum::<u64>();
                            prop_assert_eq!((offer.seq, offer.said), (last, said));
                            prop_assert_eq!(offer.adopted, last >= 4);
                        }
                    }
                    Step::Detach => {
                        attached = false;
                        turns.detach();
                    }
                    Step::Event { pick, ahead } if !open.is_empty() => {
                        let id = open[pick % open.len()];
                        let last = taken.entry(id).or_default();
                        let judged = turns.judge(TurnId(id), *last + ahead, None);
                        match ahead {
                            0 => prop_assert_eq!(judged, Judgement::Repeat),
                            1 => {
                                prop_assert_eq!(judged, Judgement::Next);
                                *last += 1;
                                turns.took(TurnId(id), *last, *last % 3, last.is_multiple_of(4));
                            }
                            _ => prop_assert_eq!(judged, Judgement::Gap { expected: *last + 1 }),
                        }
                    }
                    Step::Close(pick) if !open.is_empty() => {
                        let id = open.remove(pick % open.len());
                        prop_assert_eq!(turns.close(TurnId(id)), attached);
                        let last = taken.get(&id).copied().unwrap_or(0);
                        prop_assert_eq!(turns.judge(TurnId(id), last + 1, None), Judgement::Ended);
                    }
                    Step::Event { .. } | Step::Close(_) => {}
                }
                prop_assert_eq!(turns.count(), open.len());
            }
        }
    }
}
