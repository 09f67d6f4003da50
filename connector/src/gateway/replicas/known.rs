//! Which messages this process works on: none of them is begun twice.
//!
//! What comes from the database may be older than what happened here meanwhile: a message that was read as
//! unfinished may be finished by the time that it is handed over. So what ends while something is on its way
//! from the database is remembered until that has arrived.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::store::InboxId;

/// The messages. Pure: it is told what happens.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Those that wait, or are worked on.
    here: HashSet<InboxId>,
    /// Those that ended here while something was on its way, oldest first, each with its moment.
    ended: VecDeque<(u64, InboxId)>,
    ended_ids: HashSet<InboxId>,
    /// What is on its way, by the moment it was asked for.
    on_the_way: BTreeSet<u64>,
    /// Rises with each thing that is asked for, or told.
    moment: u64,
}

/// Something that was asked of the database, and has not been dealt with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked(u64);

impl Asked {
    /// When it was asked for.
    pub(super) fn moment(&self) -> u64 {
        self.0
    }
}

impl Known {
    /// A moment later than all before.
    pub(super) fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Something is about to be asked of the database.
    pub(super) fn ask(&mut self) -> Asked {
        let moment = self.tick();
        self.on_the_way.insert(moment);
        Asked(moment)
    }

    /// What was asked for has been dealt with, or failed.
    #[expect(clippy::needless_pass_by_value, reason = "it is over")]
    pub(super) fn answered(&mut self, asked: Asked) {
        self.on_the_way.remove(&asked.0);
        let oldest = self.on_the_way.first().copied().unwrap_or(u64::MAX);
        while let Some((moment, id)) = self.ended.front()
            && *moment < oldest
        {
            self.ended_ids.remove(id);
            self.ended.pop_front();
        }
    }

    /// Takes a message that came from the database; `false` if it is here, or was not long ago.
    pub(super) fn admit(&mut self, id: InboxId) -> bool {
        !self.ended_ids.contains(&id) && self.here.insert(id)
    }

    /// Takes a message once more that had ended; `false` if it is here.
    pub(super) fn admit_again(&mut self, id: InboxId) -> bool {
        if self.ended_ids.remove(&id) {
            self.ended.retain(|(_, ended)| *ended != id);
        }
        self.admit(id)
    }

    /// A message needs no more work.
    pub(super) fn ended(&mut self, id: InboxId) {
        if self.forget(id) && !self.on_the_way.is_empty() {
            let moment = self.tick();
            self.ended.push_back((moment, id));
            self.ended_ids.insert(id);
        }
    }

    /// Others work on it from now on; it may come back. Returns whether it was here.
    pub(super) fn forget(&mut self, id: InboxId) -> bool {
        self.here.remove(&id)
    }

    /// Those that are here.
    pub(super) fn here(&self) -> impl Iterator<Item = InboxId> {
        self.here.iter().copied()
    }

    /// Whether a message is here.
    pub(super) fn contains(&self, id: InboxId) -> bool {
        self.here.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_ended_while_it_was_read_is_not_begun_again_and_later_it_may_be() {
        let (mut known, id) = (Known::default(), InboxId::of(1));
        assert!(known.admit(id));
        assert!(!known.admit(id), "it is here");
        let (first, second) = (known.ask(), known.ask());
        known.ended(id);
        assert!(!known.admit(id), "what was read may be older");
        known.answered(second);
        assert!(!known.admit(id), "so may be what was asked for first");
        let third = known.ask();
        known.answered(first);
        assert!(known.admit(id), "what was asked for after its end knows better");
        known.answered(third);
        assert!(known.ended_ids.is_empty());
    }

    #[test]
    fn an_operator_may_begin_again_what_has_just_ended() {
        let (mut known, id) = (Known::default(), InboxId::of(1));
        known.admit(id);
        let asked = known.ask();
        known.ended(id);
        assert!(known.admit_again(id));
        assert!(!known.admit_again(id), "once");
        known.answered(asked);
        assert!(known.contains(id));
        assert!(known.forget(id) && !known.forget(id));
        assert!(!known.contains(id));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Arrives,
        Reads,
        Hands(usize),
        Ends(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Arrives),
            Just(Step::Reads),
            any::<usize>().prop_map(Step::Hands),
            any::<usize>().prop_map(Step::Ends),
        ]
    }

    proptest! {
        /// The database of this test knows what is unfinished; what is read of it may be handed over at any
        /// later time, in any order.
        #[test]
        fn no_message_is_worked_on_twice_and_nothing_is_remembered_for_ever(
            steps in proptest::collection::vec(step(), 1..400),
        ) {
            let mut known = Known::default();
            let (mut unfinished, mut working): (Vec<InboxId>, Vec<InboxId>) = Default::default();
            let mut reads: Vec<(Asked, Vec<InboxId>)> = Vec::new();
            let mut done: HashSet<InboxId> = HashSet::new();
            let mut last = 0;
            for step in steps {
                match step {
                    Step::Arrives => {
                        last += 1;
                        unfinished.push(InboxId::of(last));
                    }
                    Step::Reads => reads.push((known.ask(), unfinished.clone())),
                    Step::Hands(n) if !reads.is_empty() => {
                        let (asked, ids) = reads.remove(n % reads.len());
                        for id in ids {
                            if known.admit(id) {
                                prop_assert!(!done.contains(&id), "{id:?} was done");
                                prop_assert!(!working.contains(&id));
                                working.push(id);
                            }
                        }
                        known.answered(asked);
                    }
                    Step::Ends(n) if !working.is_empty() => {
                        let id = working.remove(n % working.len());
                        unfinished.retain(|other| *other != id);
                        done.insert(id);
                        known.ended(id);
                    }
                    Step::Hands(_) | Step::Ends(_) => {}
                }
                prop_assert_eq!(known.here.len(), working.len());
            }
            for (asked, _) in reads {
                known.answered(asked);
            }
            prop_assert!(known.ended.is_empty() && known.ended_ids.is_empty());
        }
    }
}
