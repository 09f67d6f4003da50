//! Several processes at one robot: each works on the conversations of its own buckets.
//!
//! A task beats, which renews the lease and shares the buckets out, and hears what other processes tell. What
//! the robot's loop has to do about it stands in `Shares`. A store that one process has for itself has none of
//! this.

mod hold;
mod known;
mod outage;
mod shares;
mod shelf;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{Instrument, debug, error, info, warn};

pub(super) use self::hold::{Hold, Written};
pub(super) use self::outage::Teller;
pub(super) use self::shares::{Keeping, Look, Shares};
use self::shelf::Shelf;

use super::cards::Cards;
use super::schedules::Schedules;
use crate::credential::ClientId;
use crate::openapi::OpenApiClient;
use crate::store::replicas::{BEAT_EVERY, Bucket, LEASE, Share, Wake, Wanted};
use crate::store::{Pending, ReplicaStore, Store, StoreError};
use crate::unix_time::now_ms;

/// A beat that takes longer means that the database does not answer.
const SLOW: Duration = Duration::from_secs(2);
/// So often it is looked for messages that nobody told of: an operator's doing at another process, a message that
/// was told to a process that died. What is known already is not read again.
const SWEEP: Duration = Duration::from_secs(5);
/// Cards of others of which is known where they are: the newest, which people press on.
const PRESSED: usize = 200;
/// After an outage others may need so long until what came to them meanwhile is stored.
pub(super) const SETTLED: Duration = Duration::from_millis(1_200);
/// How long leaving may take: then the others have noticed by themselves.
const LEAVE: Duration = LEASE;

/// One process among those of a robot, as its parts see it.
#[derive(Debug)]
pub(super) struct Replicas {
    /// Through which they hear of each other.
    pub(super) store: Arc<dyn ReplicaStore>,
    shares: Mutex<Shares>,
    /// There may be something to do for the loop.
    changed: Notify,
    leads: watch::Sender<bool>,
    database: watch::Sender<Option<Away>>,
    /// Somebody was paired, denied or revoked elsewhere.
    pub(super) pairing: Notify,
    /// This process ends soon.
    leaves: Notify,
}

/// The database does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Since when, in milliseconds since 1970 UTC.
    pub since: i64,
    /// What went wrong.
    pub reason: String,
}

/// How one process stands among those of its robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaReport {
    /// Processes at the robot, this one included; 0 before the first beat.
    pub live: u32,
    /// How many of the [buckets](crate::store::replicas::BUCKETS) are this one's.
    pub buckets: usize,
    /// Whether schedules run here.
    pub leads: bool,
    /// The database does not answer.
    pub away: Option<Away>,
}

impl Replicas {
    /// Before the first beat.
    pub(super) fn new(store: Arc<dyn ReplicaStore>) -> Self {
        Self {
            store,
            shares: Mutex::default(),
            changed: Notify::new(),
            leads: watch::Sender::default(),
            database: watch::Sender::default(),
            pairing: Notify::new(),
            leaves: Notify::new(),
        }
    }

    /// What is owned, and what is to be done.
    pub(super) fn shares(&self) -> MutexGuard<'_, Shares> {
        // No panic can leave it half changed.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when there may be something to do.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// This process ends soon: what it has not begun others may have, if there are any.
    pub(super) fn leave(&self) {
        self.shares().leave();
        self.leaves.notify_one();
    }

    /// Whether schedules run here, now and later.
    pub(super) fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// Whether the database answers, now and later.
    pub(super) fn database(&self) -> watch::Receiver<Option<Away>> {
        self.database.subscribe()
    }

    /// How this process stands.
    pub(super) fn report(&self) -> ReplicaReport {
        let (live, buckets, leads) = self.shares().summary();
        ReplicaReport { live, buckets, leads, away: self.database.borrow().clone() }
    }

    fn beaten(&self, share: &Share, settles: bool) {
        let mut shares = self.shares();
        shares.beaten(share);
        if settles {
            shares.offer_is_over();
        }
        drop(shares);
        self.changed.notify_one();
        self.leads.send_if_modified(|leads| std::mem::replace(leads, share.leads) != share.leads);
    }

    /// The database does not answer; returns whether that is news.
    fn is_away(&self, since: i64, reason: &str) -> bool {
        let mut news = false;
        self.database.send_if_modified(|away| {
            news = away.is_none();
            let since = away.as_ref().map_or(since, |away| away.since);
            // The newest reason tells most.
            *away = Some(Away { since, reason: reason.to_owned() });
            news
        });
        news
    }

    /// The database answers; returns since when it had not.
    fn is_there(&self) -> Option<Away> {
        let mut before = None;
        self.database.send_if_modified(|away| {
            before = away.take();
            before.is_some()
        });
        before
    }
}

/// Keeps a process among those of its robot.
pub(super) struct Keeper {
    pub(super) client_id: ClientId,
    pub(super) store: Arc<dyn Store>,
    pub(super) replicas: Arc<Replicas>,
    /// Its calls are a share of the robot's.
    pub(super) client: Arc<OpenApiClient>,
    pub(super) schedules: Arc<Schedules>,
    pub(super) cards: Arc<Cards>,
}

impl Keeper {
    /// Beats and listens until `stop` says so, or whoever could say so is gone; then it leaves.
    pub(super) async fn run(
        self,
        mut wakes: mpsc::Receiver<Wake>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut ticks = interval(BEAT_EVERY);
        // A late beat is no reason for two.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweeps = interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat: Option<Beat> = None;
        let mut offer = Offer::default();
        loop {
            let slow_at = beat.as_ref().filter(|beat| !beat.is_slow).map(|beat| beat.begun + SLOW);
            tokio::select! {
                _ = ticks.tick(), if beat.is_none() => beat = Some(self.beat(&mut offer)),
                (outcome, ended) = ended(&mut beat) => {
                    if outcome.is_err() && ended.settles {
                        offer = Offer::Unsettled;
                    }
                    if self.beaten(outcome, &ended) {
                        return;
                    }
                }
                () = answered(&mut offer) => {
                    offer = Offer::Unsettled;
                    // What became of it is not left open longer than need be.
                    ticks.reset_immediately();
                }
                () = self.replicas.leaves.notified() => ticks.reset_immediately(),
                () = at(slow_at) => if let Some(beat) = &mut beat {
                    beat.is_slow = true;
                    let reason = format!("it has not answered for {} s", SLOW.as_secs());
                    self.is_away(beat.begun_at, &reason);
                },
                Some(wake) = wakes.recv() => self.hear(wake),
                _ = sweeps.tick() => self.sweep(),
                _ = &mut stop => break,
            }
        }
        let left = tokio::time::timeout(LEAVE, self.replicas.store.leave(&self.client_id));
        let problem = match left.await {
            Ok(Ok(())) => return,
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("the database has not answered for {} s", LEAVE.as_secs_f32()),
        };
        warn!("the other processes of the robot notice later that this one has ended: {problem}");
    }

    /// Looks for what nobody told of, and where the cards are that others made.
    fn sweep(&self) {
        let mut shares = self.replicas.shares();
        shares.told_all();
        let has_company = shares.has_company();
        drop(shares);
        self.replicas.changed.notify_one();
        if has_company {
            let (kept, cards) =
                (self.store.cards(&self.client_id, PRESSED), Arc::clone(&self.cards));
            tokio::spawn(async move {
                if let Ok(kept) = kept.await {
                    cards.learn(&kept);
                }
            });
        }
    }

    fn beat(&self, offer: &mut Offer) -> Beat {
        let settles = matches!(offer, Offer::Unsettled);
        if settles {
            *offer = Offer::None;
        } else if matches!(offer, Offer::None) {
            *offer = self.offer();
        }
        let aim = self.replicas.shares().aim();
        let pending = self.replicas.store.beat(&self.client_id, aim);
        Beat { begun: Instant::now(), begun_at: now_ms(), is_slow: false, settles, pending }
    }

    /// Offers others what they may have.
    fn offer(&self) -> Offer {
        let leads_on = self.schedules.are_running();
        // Under the lock: what goes to the store after this is behind it.
        let mut shares = self.replicas.shares();
        let (idle, aim) = (shares.offer(leads_on), shares.aim());
        if idle.is_empty() {
            return Offer::None;
        }
        Offer::Made(self.replicas.store.give_away(&self.client_id, idle, aim))
    }

    /// Takes what a beat brought. Returns whether there is no store any more.
    fn beaten(&self, outcome: Result<Share, StoreError>, beat: &Beat) -> bool {
        match outcome {
            Ok(share) => {
                if let Some(Away { since, .. }) = self.replicas.is_there() {
                    let seconds = now_ms().saturating_sub(since) / 1_000;
                    info!(seconds, "the database answers again");
                    self.replicas.shares().link_is_back();
                }
                self.tell(&share);
                self.client.share_calls(share.live);
                self.replicas.beaten(&share, beat.settles);
            }
            Err(StoreError::Closed) => return true,
            Err(e) => {
                let reason = match e {
                    StoreError::Unreachable { reason } => reason,
                    e => e.to_string(),
                };
                self.is_away(beat.begun_at, &reason);
                self.replicas.changed.notify_one();
            }
        }
        false
    }

    fn tell(&self, share: &Share) {
        let (live, buckets, leads) = self.replicas.shares().summary();
        let mine = share.mine.len();
        if (live, leads) != (share.live, share.leads) {
            let leads = share.leads;
            info!(live = share.live, buckets = mine, leads, "processes work at the robot together");
        } else if buckets != mine {
            debug!(buckets = mine, "conversations were shared out anew");
        }
    }

    fn is_away(&self, since: i64, reason: &str) {
        if self.replicas.is_away(since, reason) {
            error!(
                "nothing can be kept, so that messages are not acked and answers wait until it can: {reason}"
            );
        }
    }

    /// Hears what others tell.
    fn hear(&self, wake: Wake) {
        match wake {
            Wake::Messages(named) => {
                self.replicas.shares().told_of(named);
                self.replicas.changed.notify_one();
            }
            Wake::Pairing => self.replicas.pairing.notify_one(),
            Wake::Schedules => self.schedules.look_again(),
            Wake::Everything | Wake::AfterOutage => {
                let mut shares = self.replicas.shares();
                if wake == Wake::AfterOutage {
                    shares.link_is_back();
                } else {
                    shares.told_all();
                }
                drop(shares);
                self.replicas.changed.notify_one();
                self.replicas.pairing.notify_one();
                self.schedules.look_again();
            }
        }
    }
}

/// The tasks that keep a process among those of its robot.
#[derive(Debug)]
pub(super) struct Company {
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
    teller: JoinHandle<()>,
}

impl Company {
    /// Joins the others.
    pub(super) fn start(keeper: Keeper, wakes: mpsc::Receiver<Wake>, teller: Teller) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shelf = Shelf::new(keeper.client_id.clone(), Arc::clone(&keeper.replicas.store));
        keeper.client.share_token(Arc::new(shelf));
        let teller = teller.run(keeper.replicas.database());
        Self {
            stop,
            keeper: tokio::spawn(keeper.run(wakes, stopped).in_current_span()),
            teller: tokio::spawn(teller.in_current_span()),
        }
    }

    /// Leaves them in order.
    pub(super) async fn leave(mut self) {
        self.teller.abort();
        // It may have ended with its store.
        let _ = self.stop.send(());
        let _ = (&mut self.keeper).await;
    }

    /// Leaves them without a word.
    pub(super) fn abort(self) {
        self.keeper.abort();
        self.teller.abort();
    }
}

/// A beat that is under way.
struct Beat {
    begun: Instant,
    /// The same, in milliseconds since 1970 UTC.
    begun_at: i64,
    /// That it takes long was said.
    is_slow: bool,
    /// It tells what became of an offer.
    settles: bool,
    pending: Pending<Share>,
}

/// Its outcome, once there is one.
async fn ended(beat: &mut Option<Beat>) -> (Result<Share, StoreError>, Beat) {
    if let Some(under_way) = beat {
        let outcome = under_way.pending.as_mut().await;
        if let Some(beat) = beat.take() {
            return (outcome, beat);
        }
    }
    std::future::pending().await
}

/// Buckets that others may have.
#[derive(Default)]
enum Offer {
    #[default]
    None,
    /// It waits its turn in the store, while beats go on.
    Made(Pending<()>),
    /// It was answered, and the next beat tells what became of it.
    Unsettled,
}

/// Ready once an offer was answered, in whichever way.
async fn answered(offer: &mut Offer) {
    match offer {
        Offer::Made(pending) => drop(pending.as_mut().await),
        Offer::None | Offer::Unsettled => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What was found in the database for the loop.
pub(super) struct Found {
    /// What it is dealt with by.
    pub(super) look: Look,
    /// When it was asked for.
    pub(super) begun: Instant,
    pub(super) buckets: BTreeSet<Bucket>,
    /// Whether others worked on these before.
    pub(super) taken_over: bool,
    pub(super) outcome: Result<Left, StoreError>,
}

/// What others left.
pub(super) struct Left {
    pub(super) unfinished: Vec<crate::store::Unfinished>,
    /// All cards that are kept, where buckets are taken over.
    pub(super) cards: Vec<crate::store::KeptCard>,
}

/// Asks for some of what is unfinished.
pub(super) fn look(
    (store, others): (&dyn Store, &Replicas),
    client_id: &ClientId,
    (look, begun): (Look, Instant),
    wanted: Wanted,
) -> impl Future<Output = Found> + Send + 'static {
    let (buckets, taken_over) = match &wanted {
        Wanted::TakenOver(buckets) => (buckets.clone(), true),
        Wanted::But { of, .. } => (of.clone(), false),
        Wanted::Among(named) => (named.keys().copied().collect(), false),
    };
    // Both are asked at once: what this process writes later comes after it.
    let cards = taken_over.then(|| store.cards(client_id, super::cards::KNOWN));
    let unfinished = others.store.unfinished_of(client_id, wanted);
    async move {
        let outcome = async {
            let cards = match cards {
                Some(cards) => cards.await?,
                None => Vec::new(),
            };
            Ok(Left { cards, unfinished: unfinished.await? })
        };
        Found { look, begun, buckets, taken_over, outcome: outcome.await }
    }
}
