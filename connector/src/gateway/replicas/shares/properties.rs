//! Whatever is told late, or not at all, and in whatever order it is read: no message is missed, and none is begun
//! twice.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Another process is given a number for a message.
    Writes,
    /// It commits one of them, and that is heard of, or not.
    Commits(usize, bool),
    /// The safety net.
    Sweeps,
    /// The loop asks for what is to be asked.
    Asks,
    /// The database reads for one of those.
    Reads(usize),
    /// The loop gets one of those that were read.
    Gets(usize),
    /// A turn ends.
    Ends(usize),
    /// The bucket is others' for a while.
    Loses,
    /// A write was refused, and the bucket is this process's all the same.
    Refused,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Writes),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(n, heard)| Step::Commits(n, heard)),
        1 => Just(Step::Sweeps),
        3 => Just(Step::Asks),
        3 => any::<usize>().prop_map(Step::Reads),
        3 => any::<usize>().prop_map(Step::Gets),
        2 => any::<usize>().prop_map(Step::Ends),
        1 => Just(Step::Loses),
        1 => Just(Step::Refused),
    ]
}

/// A process, the database, and the others.
#[derive(Default)]
struct World {
    shares: Shares,
    last: i64,
    uncommitted: Vec<InboxId>,
    unfinished: BTreeSet<InboxId>,
    working: BTreeSet<InboxId>,
    done: BTreeSet<InboxId>,
    asked: Vec<(Look, Wanted)>,
    read: Vec<(Look, Vec<InboxId>)>,
}

impl World {
    fn bucket() -> Bucket {
        Bucket::numbered(1).unwrap()
    }

    fn new() -> Self {
        let mut world = Self::default();
        world.beat(true, true);
        world
    }

    fn beat(&mut self, is_mine: bool, is_gained: bool) {
        let of = |is_so: bool| is_so.then_some(Self::bucket());
        self.shares.beaten(&Share {
            live: 2,
            fair: 32,
            mine: of(is_mine).into_iter().collect(),
            gained: of(is_gained).into_iter().collect(),
            lost: of(!is_mine).into_iter().collect(),
            leads: false,
        });
    }

    fn commits(&mut self, n: usize, is_heard: bool) {
        let id = self.uncommitted.remove(n % self.uncommitted.len());
        self.unfinished.insert(id);
        if is_heard {
            self.shares.told_of(Named::from([(Self::bucket(), [id].into())]));
        }
    }

    /// As the loop does.
    fn asks(&mut self) {
        let Todo { lost, gained, told, named, .. } = self.shares.todo(true);
        if !lost.is_empty() {
            self.forgets();
        }
        let mut wanted = Vec::new();
        if !gained.is_empty() {
            wanted.push(Wanted::TakenOver(gained));
        }
        if !told.is_empty() {
            wanted.push(self.shares.unknown(told));
        }
        if !named.is_empty() {
            wanted.push(Wanted::Among(named));
        }
        for wanted in wanted {
            self.asked.push((self.shares.look(), wanted));
        }
    }

    fn forgets(&mut self) {
        for id in std::mem::take(&mut self.working) {
            self.shares.forget(id);
        }
    }

    fn reads(&mut self, n: usize) {
        let (look, wanted) = self.asked.remove(n % self.asked.len());
        let is_wanted = |id: &InboxId| match &wanted {
            Wanted::TakenOver(_) => true,
            Wanted::But { known, .. } => !known.contains(id),
            Wanted::Among(named) => named.values().any(|ids| ids.contains(id)),
        };
        let found = self.unfinished.iter().copied().filter(is_wanted).collect();
        self.read.push((look, found));
    }

    fn gets(&mut self, n: usize) -> Result<(), TestCaseError> {
        let (look, found) = self.read.remove(n % self.read.len());
        for id in found {
            if self.shares.found(&look, id, Self::bucket()) {
                prop_assert!(!self.done.contains(&id), "{id:?} was done");
                prop_assert!(self.working.insert(id), "{id:?} was begun twice");
            }
        }
        self.shares.looked(look);
        Ok(())
    }

    fn ends(&mut self, n: usize) {
        let id = *self.working.iter().nth(n % self.working.len()).unwrap();
        self.working.remove(&id);
        self.unfinished.remove(&id);
        self.done.insert(id);
        self.shares.ended(id);
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Writes => {
                self.last += 1;
                self.uncommitted.push(InboxId::of(self.last));
            }
            Step::Commits(n, is_heard) if !self.uncommitted.is_empty() => {
                self.commits(n, is_heard);
            }
            Step::Sweeps => self.shares.told_all(),
            Step::Asks => self.asks(),
            Step::Reads(n) if !self.asked.is_empty() => self.reads(n),
            Step::Gets(n) if !self.read.is_empty() => self.gets(n)?,
            Step::Ends(n) if !self.working.is_empty() => self.ends(n),
            Step::Loses => {
                self.beat(false, false);
                self.asks();
                self.beat(true, true);
            }
            Step::Refused => {
                self.shares.disown(Self::bucket());
                self.forgets();
                self.beat(true, false);
            }
            Step::Commits(..) | Step::Reads(_) | Step::Gets(_) | Step::Ends(_) => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_message_is_missed_and_none_is_begun_twice(
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step)?;
        }
        while !world.uncommitted.is_empty() {
            world.commits(0, false);
        }
        for step in [Step::Sweeps, Step::Asks] {
            world.step(step)?;
        }
        while !world.asked.is_empty() {
            world.reads(0);
        }
        while !world.read.is_empty() {
            world.gets(0)?;
        }
        prop_assert_eq!(&world.working, &world.unfinished);
        prop_assert_eq!(world.done.len() + world.working.len(), usize::try_from(world.last).unwrap());
    }
}
