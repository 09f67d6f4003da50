//! What this process owns of a robot's conversations, and what its loop has to do about that.

#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::known::{Asked, Known};
use crate::store::InboxId;
use crate::store::replicas::{Aim, Bucket, Named, Share, Wanted};

/// The shares. Pure: it is told what happens, and says what is to be done.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Shares {
    /// Whether there was a beat.
    begun: bool,
    live: u32,
    /// So many buckets are a fair share.
    fair: usize,
    leads: bool,
    /// Own buckets, each with the moment from which on it is.
    mine: BTreeMap<Bucket, u64>,
    known: Known,
    /// Messages on their way to the database.
    keeping: Counts,
    /// Turns under way.
    running: Counts,
    /// Buckets that others may have soon: no turn of them begins.
    offered: BTreeSet<Bucket>,
    aim: Aim,
    todo: Todo,
}

/// How many there are of each bucket.
#[derive(Debug, Default)]
struct Counts(HashMap<Bucket, usize>);

impl Counts {
    fn add(&mut self, bucket: Bucket) {
        *self.0.entry(bucket).or_default() += 1;
    }

    fn remove(&mut self, bucket: Bucket) {
        if let Some(count) = self.0.get_mut(&bucket) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&bucket);
            }
        }
    }

    fn has(&self, bucket: Bucket) -> bool {
        self.0.contains_key(&bucket)
    }
}

/// What the loop has to do, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Todo {
    /// Others work on these: what waits is dropped, what runs ends without a word.
    pub(in crate::gateway) lost: BTreeSet<Bucket>,
    /// Others worked on these: what is unfinished is taken over.
    pub(in crate::gateway) gained: BTreeSet<Bucket>,
    /// Messages may have come to these.
    pub(in crate::gateway) told: BTreeSet<Bucket>,
    /// These have come; none is of a bucket that is looked at as a whole.
    pub(in crate::gateway) named: Named,
    /// The link to the database was away: others are about to tell what came to them.
    pub(in crate::gateway) after_outage: bool,
}

impl Todo {
    /// A bucket is to be looked at as a whole, which finds what was named, too.
    fn look_at(&mut self, bucket: Bucket, taken_over: bool) {
        self.named.remove(&bucket);
        if taken_over {
            self.told.remove(&bucket);
            self.gained.insert(bucket);
        } else if !self.gained.contains(&bucket) {
            self.told.insert(bucket);
        }
    }
}

/// A message on its way to the database.
#[derive(Debug)]
pub(in crate::gateway) struct Keeping(Bucket, Asked);

/// Unfinished messages on their way from the database.
#[derive(Debug)]
pub(in crate::gateway) struct Look(Asked);

impl Shares {
    /// Takes what a beat brought.
    pub(super) fn beaten(&mut self, share: &Share) {
        (self.live, self.fair, self.leads) = (share.live, share.fair, share.leads);
        let before: BTreeSet<Bucket> = self.mine.keys().copied().collect();
        // What was lost and gained since the last beat was somebody else's meanwhile.
        let other: Vec<_> =
            before.iter().copied().filter(|bucket| share.gained.contains(bucket)).collect();
        for bucket in before.difference(&share.mine).copied().chain(other) {
            self.disown(bucket);
            self.todo.lost.insert(bucket);
            self.todo.gained.remove(&bucket);
            self.todo.told.remove(&bucket);
            self.todo.named.remove(&bucket);
        }
        for bucket in &share.mine {
            if self.mine.contains_key(bucket) {
                continue;
            }
            let moment = self.known.tick();
            self.mine.insert(*bucket, moment);
            // What an earlier robot of this process had was lost with it.
            let taken_over = !self.begun || share.gained.contains(bucket);
            self.todo.look_at(*bucket, taken_over);
        }
        self.begun = true;
    }

    /// A bucket counts as not owned until the next beat says whose it is.
    pub(in crate::gateway) fn disown(&mut self, bucket: Bucket) {
        self.mine.remove(&bucket);
    }

    /// Others say which messages came.
    pub(super) fn told_of(&mut self, messages: Named) {
        let Todo { gained, told, named, .. } = &mut self.todo;
        for (bucket, ids) in messages {
            if self.mine.contains_key(&bucket)
                && !gained.contains(&bucket)
                && !told.contains(&bucket)
            {
                named.entry(bucket).or_default().extend(ids);
            }
        }
    }

    /// Messages may have come to any bucket.
    pub(super) fn told_all(&mut self) {
        for bucket in self.mine.keys() {
            self.todo.look_at(*bucket, false);
        }
    }

    /// The link to the database is there again.
    pub(super) fn link_is_back(&mut self) {
        self.told_all();
        self.todo.after_outage = true;
    }

    /// What the loop has to do; what it was only `told` may wait.
    pub(in crate::gateway) fn todo(&mut self, told: bool) -> Todo {
        let mut todo = std::mem::take(&mut self.todo);
        if !told {
            self.todo.told = std::mem::take(&mut todo.told);
            self.todo.named = std::mem::take(&mut todo.named);
        }
        todo
    }

    /// What is to be asked about buckets to which messages may have come: those that are here are not read again,
    /// however many wait.
    pub(in crate::gateway) fn unknown(&self, of: BTreeSet<Bucket>) -> Wanted {
        Wanted::But { of, known: self.known.here().collect() }
    }

    /// Buckets that others may have, in which no turn is under way: those beyond a fair share, or all if this process is
    /// about to leave. What waits in them is kept, and found by whoever has them next.
    ///
    /// The leader stays: a run may begin at any moment. One that leaves has begun its last, and `leads_on` tells
    /// whether that goes on.
    pub(super) fn offer(&mut self, leads_on: bool) -> Vec<Bucket> {
        let surplus = if self.begins_no_more() {
            self.mine.len()
        } else {
            self.mine.len().saturating_sub(self.fair)
        };
        let leader_stays = leads_on || !self.begins_no_more();
        let stays = |bucket: &Bucket| {
            self.running.has(*bucket)
                || self.keeping.has(*bucket)
                || (leader_stays && *bucket == Bucket::LEADER)
        };
        let idle = self.mine.keys().rev().copied().filter(|bucket| !stays(bucket));
        self.offered = idle.take(surplus).collect();
        self.offered.iter().copied().collect()
    }

    /// This process ends soon: others, if there are any, have what it has not begun.
    pub(in crate::gateway) fn leave(&mut self) {
        self.aim = Aim::Leave;
    }

    /// Whether there is room for more messages; others hear of it by the next beat.
    pub(in crate::gateway) fn has_room(&mut self, has_room: bool) {
        if self.aim != Aim::Leave {
            self.aim = if has_room { Aim::Stay } else { Aim::StayFull };
        }
    }

    /// What this process is about to do.
    pub(super) fn aim(&self) -> Aim {
        self.aim
    }

    fn begins_no_more(&self) -> bool {
        self.aim == Aim::Leave && self.has_company()
    }

    /// A beat has told which of the offered buckets are gone.
    pub(super) fn offer_is_over(&mut self) {
        self.offered.clear();
    }

    /// Whether a turn of a bucket may begin.
    pub(in crate::gateway) fn may_begin(&self, bucket: Bucket) -> bool {
        !self.offered.contains(&bucket) && !self.begins_no_more()
    }

    /// A turn of a bucket begins.
    pub(in crate::gateway) fn turn_begins(&mut self, bucket: Bucket) {
        self.running.add(bucket);
    }

    /// A turn of a bucket is over.
    pub(in crate::gateway) fn turn_ends(&mut self, bucket: Bucket) {
        self.running.remove(bucket);
    }

    /// A message is about to go to the database.
    pub(in crate::gateway) fn keep(&mut self, bucket: Bucket) -> Keeping {
        self.keeping.add(bucket);
        Keeping(bucket, self.known.ask())
    }

    /// It was kept, for this process to work on. Returns whether that is so: else the loop hears of it otherwise,
    /// or did.
    pub(in crate::gateway) fn kept_here(&mut self, keeping: Keeping, id: InboxId) -> bool {
        let Keeping(bucket, asked) = &keeping;
        let (bucket, asked_at) = (*bucket, asked.moment());
        let admitted = self.owned_since(bucket, asked_at) && self.known.admit(id);
        self.kept(keeping);
        admitted
    }

    /// It is dealt with in another way, or was not kept.
    pub(in crate::gateway) fn kept(&mut self, Keeping(bucket, asked): Keeping) {
        self.known.answered(asked);
        self.keeping.remove(bucket);
    }

    /// The database is about to be asked for unfinished messages.
    pub(in crate::gateway) fn look(&mut self) -> Look {
        Look(self.known.ask())
    }

    /// An unfinished message was found. Returns whether it is to be worked on: it is known already, or has become
    /// somebody else's, if not.
    pub(in crate::gateway) fn found(&mut self, look: &Look, id: InboxId, bucket: Bucket) -> bool {
        self.owned_since(bucket, look.0.moment()) && self.known.admit(id)
    }

    /// All that was found has been dealt with, or nothing could be.
    pub(in crate::gateway) fn looked(&mut self, Look(asked): Look) {
        self.known.answered(asked);
    }

    /// Those looks are to be made once more: they failed.
    pub(in crate::gateway) fn look_again(&mut self, buckets: &BTreeSet<Bucket>, taken_over: bool) {
        for bucket in buckets.iter().filter(|bucket| self.mine.contains_key(bucket)) {
            self.todo.look_at(*bucket, taken_over);
        }
    }

    /// An operator wants a message to be worked on once more. Returns whether this process does so.
    pub(in crate::gateway) fn again(&mut self, id: InboxId, bucket: Bucket) -> bool {
        self.mine.contains_key(&bucket) && self.known.admit_again(id)
    }

    /// A message needs no more work.
    pub(in crate::gateway) fn ended(&mut self, id: InboxId) {
        self.known.ended(id);
    }

    /// A message is others' to work on.
    pub(in crate::gateway) fn forget(&mut self, id: InboxId) {
        self.known.forget(id);
    }

    /// Whether a message waits, or is worked on, here.
    pub(in crate::gateway) fn knows(&self, id: InboxId) -> bool {
        self.known.contains(id)
    }

    /// Whether others are there, whose messages may be on their way.
    pub(in crate::gateway) fn has_company(&self) -> bool {
        self.live > 1
    }

    /// Whether a bucket is this process's.
    pub(in crate::gateway) fn owns(&self, bucket: Bucket) -> bool {
        self.mine.contains_key(&bucket)
    }

    /// How many processes are there, how many buckets are this one's, and whether it leads.
    pub(super) fn summary(&self) -> (u32, usize, bool) {
        (self.live, self.mine.len(), self.leads)
    }

    /// Whether a bucket was already owned at a moment.
    fn owned_since(&self, bucket: Bucket, moment: u64) -> bool {
        self.mine.get(&bucket).is_some_and(|since| *since < moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::replicas::BUCKETS;

    fn buckets(numbers: &[u16]) -> BTreeSet<Bucket> {
        numbers.iter().map(|number| Bucket::numbered(*number).unwrap()).collect()
    }

    fn share(mine: &[u16], gained: &[u16], lost: &[u16]) -> Share {
        Share {
            live: 2,
            fair: 32,
            mine: buckets(mine),
            gained: buckets(gained).into_iter().collect(),
            lost: buckets(lost).into_iter().collect(),
            leads: mine.contains(&0),
        }
    }

    fn bucket(number: u16) -> Bucket {
        Bucket::numbered(number).unwrap()
    }

    fn named(number: u16, ids: &[i64]) -> Named {
        Named::from([(bucket(number), ids.iter().copied().map(InboxId::of).collect())])
    }

    #[test]
    fn what_a_beat_changes_is_to_be_done_once() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[0, 1, 2], &[0, 1, 2], &[]));
        assert_eq!(shares.todo(true).gained, buckets(&[0, 1, 2]));
        assert_eq!(shares.summary(), (2, 3, true));
        shares.beaten(&share(&[0, 1, 2], &[], &[]));
        assert_eq!(shares.todo(true), Todo::default());
        shares.beaten(&share(&[1, 2, 3], &[3], &[0]));
        let todo = shares.todo(true);
        assert_eq!((todo.lost, todo.gained), (buckets(&[0]), buckets(&[3])));
        assert!(!shares.summary().2);
    }

    #[test]
    fn a_bucket_that_was_others_between_two_beats_is_lost_and_gained() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[1], &[1], &[]));
        shares.todo(true);
        shares.beaten(&share(&[1], &[1], &[]));
        let todo = shares.todo(true);
        assert_eq!((todo.lost, todo.gained), (buckets(&[1]), buckets(&[1])));
    }

    #[test]
    fn a_bucket_that_goes_before_the_loop_looked_is_not_taken_over() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[1, 2], &[1, 2], &[]));
        shares.told_of(named(1, &[7]));
        shares.beaten(&share(&[2], &[], &[1]));
        let todo = shares.todo(true);
        assert_eq!((todo.gained, todo.told), (buckets(&[2]), buckets(&[])));
        assert_eq!(todo.named, Named::new());
        shares.told_of(named(1, &[7]));
        assert_eq!(shares.todo(true), Todo::default(), "it is not ours");
    }

    #[test]
    fn messages_that_were_named_are_looked_for_by_themselves_unless_the_whole_bucket_is() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[1, 2], &[1, 2], &[]));
        shares.told_of(named(1, &[7]));
        let todo = shares.todo(true);
        assert_eq!((todo.gained, todo.named), (buckets(&[1, 2]), Named::new()));
        shares.told_of(named(1, &[7]));
        shares.told_of(named(1, &[8]));
        assert_eq!(shares.todo(false), Todo::default(), "it may wait");
        assert_eq!(shares.todo(true).named, named(1, &[7, 8]));
        shares.told_of(named(1, &[9]));
        shares.told_of(named(2, &[10]));
        shares.look_again(&buckets(&[1]), false);
        shares.told_of(named(1, &[11]));
        let todo = shares.todo(true);
        assert_eq!((todo.told, todo.named), (buckets(&[1]), named(2, &[10])));
        shares.told_all();
        shares.look_again(&buckets(&[1]), true);
        let todo = shares.todo(true);
        assert_eq!((todo.told, todo.gained), (buckets(&[2]), buckets(&[1])));
        let look = shares.look();
        assert!(shares.found(&look, InboxId::of(7), bucket(1)));
        let known = vec![InboxId::of(7)];
        let of = buckets(&[1, 2]);
        assert_eq!(shares.unknown(of.clone()), Wanted::But { of, known });
    }

    #[test]
    fn what_is_too_much_is_offered_unless_a_turn_is_under_way_and_none_begins_then() {
        let all: Vec<u16> = (0..BUCKETS).collect();
        let mut shares = Shares::default();
        shares.beaten(&Share { live: 1, fair: 64, ..share(&all, &all, &[]) });
        assert_eq!(shares.offer(false), [], "nobody else is there");
        shares.beaten(&share(&all, &[], &[]));
        shares.turn_begins(bucket(63));
        let keeping = shares.keep(bucket(62));
        let offered = shares.offer(false);
        assert_eq!((offered.len(), offered.last()), (32, Some(&bucket(61))));
        assert!(!shares.may_begin(bucket(61)) && shares.may_begin(bucket(63)));
        shares.beaten(&share(&all, &[], &[]));
        assert!(!shares.may_begin(bucket(61)), "it may still be given away");
        shares.offer_is_over();
        assert!(shares.may_begin(bucket(61)));
        assert!(shares.kept_here(keeping, InboxId::of(7)));
        shares.turn_ends(bucket(63));
        assert_eq!(shares.offer(false).last(), Some(&bucket(63)), "what waits is no reason");
        let fair: Vec<u16> = (0..22).collect();
        shares.beaten(&Share { live: 3, fair: 22, ..share(&fair, &[], &[]) });
        shares.offer_is_over();
        assert_eq!(shares.offer(false), []);
        assert!(shares.may_begin(bucket(0)));
        // Everything else is under way.
        let few: Vec<u16> = (0..23).collect();
        shares.beaten(&Share { live: 3, fair: 22, ..share(&few, &[22], &[]) });
        for n in 1..23 {
            shares.turn_begins(bucket(n));
        }
        assert_eq!(shares.offer(false), [], "the leader stays");
    }

    #[test]
    fn who_leaves_offers_all_that_it_need_not_finish_and_begins_nothing_if_others_are_there() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[0, 1, 2, 3], &[0, 1, 2, 3], &[]));
        shares.turn_begins(bucket(1));
        let keeping = shares.keep(bucket(2));
        assert_eq!((shares.offer(false), shares.aim()), (vec![], Aim::Stay));
        shares.has_room(false);
        assert_eq!(shares.aim(), Aim::StayFull);
        shares.leave();
        assert_eq!((shares.offer(true), shares.aim()), (vec![bucket(3)], Aim::Leave));
        assert_eq!(shares.offer(false), [bucket(0), bucket(3)]);
        assert!(!shares.may_begin(bucket(1)), "others are there for it");
        shares.beaten(&share(&[1, 2], &[], &[0, 3]));
        shares.offer_is_over();
        shares.turn_ends(bucket(1));
        assert!(shares.kept_here(keeping, InboxId::of(7)));
        assert_eq!(shares.offer(false), [bucket(1), bucket(2)]);
        shares.beaten(&Share { live: 1, ..share(&[1, 2], &[], &[]) });
        shares.offer_is_over();
        assert_eq!(shares.offer(false), [], "nobody would have it");
        assert!(shares.may_begin(bucket(1)));
    }

    #[test]
    fn what_was_read_before_a_bucket_was_others_is_not_worked_on() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[1], &[1], &[]));
        let (look, keeping) = (shares.look(), shares.keep(bucket(1)));
        shares.beaten(&share(&[], &[], &[1]));
        assert!(!shares.found(&look, InboxId::of(1), bucket(1)), "it is others' now");
        shares.beaten(&share(&[1], &[1], &[]));
        assert!(!shares.found(&look, InboxId::of(1), bucket(1)), "it may be done by now");
        assert!(!shares.kept_here(keeping, InboxId::of(2)), "so may be this");
        let newer = shares.look();
        assert!(shares.found(&newer, InboxId::of(1), bucket(1)));
        assert!(!shares.found(&newer, InboxId::of(1), bucket(1)));
        shares.looked(look);
        shares.looked(newer);
    }

    #[test]
    fn after_a_write_that_was_refused_the_bucket_is_looked_at_again_if_it_is_still_ours() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[1], &[1], &[]));
        shares.todo(true);
        let keeping = shares.keep(bucket(1));
        assert!(shares.kept_here(keeping, InboxId::of(1)));
        shares.disown(bucket(1));
        shares.forget(InboxId::of(1));
        assert!(!shares.owns(bucket(1)));
        shares.beaten(&share(&[1], &[], &[]));
        let todo = shares.todo(true);
        assert_eq!(
            (todo.told, todo.gained, todo.lost),
            (buckets(&[1]), buckets(&[]), buckets(&[]))
        );
        let look = shares.look();
        assert!(shares.found(&look, InboxId::of(1), bucket(1)));
        shares.looked(look);
        shares.link_is_back();
        let todo = shares.todo(true);
        assert_eq!((todo.told, todo.after_outage), (buckets(&[1]), true));
        shares.look_again(&buckets(&[1, 2]), true);
        assert_eq!(shares.todo(true).gained, buckets(&[1]));
    }

    #[test]
    fn an_operator_begins_a_message_again_where_it_belongs() {
        let mut shares = Shares::default();
        shares.beaten(&share(&[1], &[1], &[]));
        assert!(shares.again(InboxId::of(1), bucket(1)));
        assert!(!shares.again(InboxId::of(1), bucket(1)), "it is here");
        assert!(!shares.again(InboxId::of(2), bucket(2)), "others do it");
    }
}
