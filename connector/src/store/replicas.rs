//! Several processes at one robot: who works on which conversations, and what one tells the others.
//!
//! Conversations belong to [`BUCKETS`] buckets, and each bucket to one process at a time. A process *beats*: that
//! renews its lease and shares the buckets out. Who does not beat loses its buckets to the others. A store that
//! one process has for itself has nothing of this.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{InboxId, Pending, Unfinished};
use crate::credential::ClientId;
use crate::fnv;
use crate::protocol::ConversationId;
use crate::redact::Secret;

/// How often a process has to beat.
pub const BEAT_EVERY: Duration = Duration::from_millis(800);
/// How long a beat holds: so long a process may write what comes before a send.
pub const LEASE: Duration = Duration::from_millis(2_500);
/// How long after the end of a lease others take the buckets.
pub const GRACE: Duration = Duration::from_millis(500);

/// One process at a robot among others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(String);

impl ReplicaId {
    /// One that no other process has.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many buckets an app's conversations are shared out in.
pub const BUCKETS: u16 = 64;

/// What a process owns of an app: the conversations of one bucket. Less than [`BUCKETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket whose owner does what must be done once: schedules.
    pub const LEADER: Self = Self(0);

    /// The bucket of a conversation: the same in every process and release (FNV-1a, folded).
    pub fn of(conversation: &ConversationId) -> Self {
        let hash = fnv::hash(conversation.as_str().as_bytes());
        let folded = (hash ^ (hash >> 32)) % u64::from(BUCKETS);
        Self(u16::try_from(folded).expect("it is less than BUCKETS"))
    }

    /// The bucket of a number, if there is one.
    pub fn numbered(number: u16) -> Option<Self> {
        (number < BUCKETS).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..BUCKETS).map(Self)
    }
}

/// What a process has to do after a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// How many processes are alive at the app, this one included. For one that is to leave those that are, too, do not
    /// count: they take nothing of it.
    pub live: u32,
    /// How many buckets are a fair share of those that stay.
    pub fair: usize,
    /// The buckets that are this process's now.
    pub mine: BTreeSet<Bucket>,
    /// Those that it did not have after the beat before, or lost and has again.
    pub gained: Vec<Bucket>,
    /// Those that it had after the beat before, and has no more.
    pub lost: Vec<Bucket>,
    /// It does what must be done once.
    pub leads: bool,
}

/// What a process is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aim {
    /// It works on its share.
    #[default]
    Stay,
    /// The same, and it has no room for more messages: others take none in for it.
    StayFull,
    /// It ends soon: it takes nothing, and gives all away that it need not finish.
    Leave,
}

/// What another process of an app tells. It is told once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Messages were taken in by a process that does not own their buckets.
    Messages(Named),
    /// Somebody was paired, denied, or revoked.
    Pairing,
    /// Schedules were changed.
    Schedules,
    /// Anything may have changed: there was too much to tell, it is not understood, or this is where hearing begins.
    Everything,
    /// The same, since the link to the database was away: others are about to store what came to them meanwhile, and
    /// what was asked meanwhile and failed may be stored all the same.
    AfterOutage,
}

/// Messages by their numbers, each with its bucket.
pub type Named = BTreeMap<Bucket, BTreeSet<InboxId>>;

/// Which unfinished messages are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of buckets that were just gained: what others had begun waits again. Who beats need not call
    /// [`recover`](super::Store::recover).
    TakenOver(BTreeSet<Bucket>),
    /// All of buckets, but for some that are known.
    But {
        /// The buckets.
        of: BTreeSet<Bucket>,
        /// What is left out, whatever its bucket.
        known: Vec<InboxId>,
    },
    /// Those among some. However many wait, only these are looked at.
    Among(Named),
}

/// A message that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenIn {
    /// Names it. For a repeat, what names the message that it repeats.
    pub id: InboxId,
    /// Who works on it.
    pub place: Place,
}

/// Who works on a message that is kept. It may be acked in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// This process.
    Here,
    /// The process that owns its bucket, or will; it is told.
    Elsewhere,
    /// Nobody, since it was kept already; whoever has the first one works on that.
    Repeat,
}

/// The access token that the processes of an app share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedToken {
    /// The token.
    pub token: Secret,
    /// When it expires, in milliseconds since 1970 UTC.
    pub expires_at: i64,
}

/// What processes that share a store need of it.
pub trait ReplicaStore: fmt::Debug + Send + Sync + 'static {
    /// Renews this process's lease, which joins it at the first time, and takes what is free of its share, if it is to
    /// stay. It waits for nothing that was asked before it, since others take the buckets of whoever is late.
    ///
    /// Of the dead whose buckets it takes the turns that they were in the midst of are counted as cut off; who left in
    /// order has cut nothing off.
    ///
    /// From the first beat on, what comes before a send fails with
    /// [`NotMine`](super::StoreError::NotMine) if the bucket is another's or the lease is over.
    fn beat(&self, client_id: &ClientId, aim: Aim) -> Pending<Share>;

    /// Gives away what is beyond this process's share, or all if it is to leave and others stay, of `idle`: own buckets without work in
    /// this process. What was written of them before is there for whoever has them next. A beat that is asked once this
    /// is done tells which.
    fn give_away(&self, client_id: &ClientId, idle: Vec<Bucket>, aim: Aim) -> Pending<()>;

    /// Leaves in order: its buckets are free at once, and the others know.
    fn leave(&self, client_id: &ClientId) -> Pending<()>;

    /// Unfinished messages, in the order they were kept.
    fn unfinished_of(&self, client_id: &ClientId, wanted: Wanted) -> Pending<Vec<Unfinished>>;

    /// What other processes tell of an app from now on; each call gives one more that hears all.
    fn wakes(&self, client_id: &ClientId) -> mpsc::Receiver<Wake>;

    /// The token that a process of the app shared last, expired or not.
    fn shared_token(&self, client_id: &ClientId) -> Pending<Option<SharedToken>>;

    /// Shares a token with the other processes of the app.
    fn share_token(&self, client_id: &ClientId, token: SharedToken) -> Pending<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes of different releases must agree.
    #[test]
    fn the_bucket_of_a_conversation_never_changes() {
        let of = |id: &str| Bucket::of(&ConversationId::new(id)).number();
        assert_eq!([of(""), of("cid"), of("cidAbc=="), of("会话")], [1, 38, 19, 20]);
    }

    #[test]
    fn conversations_spread_over_the_buckets() {
        let mut counts = [0_u32; BUCKETS as usize];
        for n in 0..6_400 {
            let bucket = Bucket::of(&ConversationId::new(format!("cid{n:x}==")));
            counts[usize::from(bucket.number())] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_bucket_has_a_number_below_their_count() {
        assert_eq!(Bucket::numbered(0), Some(Bucket::LEADER));
        assert_eq!(Bucket::numbered(BUCKETS), None);
        assert!(Bucket::all().all(|bucket| Bucket::numbered(bucket.number()) == Some(bucket)));
    }
}
