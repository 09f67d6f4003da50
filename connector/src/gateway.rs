//! One robot at work: stream in, conversations in order, agent, replies out.

pub mod access;
mod call_count;
mod card;
mod card_pace;
mod card_press;
pub mod cards;
mod commands;
mod conversations;
pub mod deafness;
mod dedupe;
mod deliver;
mod handing;
pub mod inbox;
mod intake;
pub mod line;
mod listen;
mod media;
mod media_dir;
mod parts;
mod peers;
mod persist;
pub mod push;
mod queued;
mod quotes;
pub mod replicas;
mod reply;
mod runtime;
pub mod schedules;
mod seats;
mod send_limit;
mod suspects;
mod thinking;
mod turn;
mod upload;
pub mod vitals;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument, error};

use self::access::pairing::Pairing;
use self::access::{Access, AccessPolicy};
use self::call_count::CallCount;
use self::cards::{CardConfig, Cards, KNOWN};
use self::deafness::AlertConfig;
use self::handing::Handing;
use self::inbox::Inbox;
use self::intake::{Intake, REMEMBERED, REMEMBERED_FOR};
use self::line::{Line, Plan};
use self::media::MediaStore;
use self::peers::Peers;
use self::push::Pusher;
pub use self::queued::QUEUED_AFTER;
use self::replicas::{Company, Keeper, Replicas, Teller};
use self::reply::Replier;
use self::runtime::Runtime;
use self::schedules::Schedules;
use self::vitals::Vitals;
use self::work::{Halt, Tools};
use crate::agent::Agent;
use crate::credential::ClientId;
use crate::openapi::{OpenApiClient, OpenApiConfig};
use crate::state_dir::StateDirError;
use crate::store::{Recovered, Store, StoreError};
use crate::stream::{Hearing, StreamHandle, StreamState};
use crate::traces;
use crate::unix_time::now_ms;

/// What a robot needs to work.
#[derive(Debug)]
pub struct GatewayConfig {
    /// Hosts, app, TLS.
    pub openapi: OpenApiConfig,
    /// Times and limits of the stream.
    pub session: crate::stream::SessionConfig,
    /// Limit for TCP, TLS and WebSocket handshake together.
    pub handshake_timeout: Duration,
    /// Who answers.
    pub agent: Arc<dyn Agent>,
    /// The prepared state directory.
    pub state_dir: PathBuf,
    /// Who may talk to the robot, now and later.
    pub access: watch::Receiver<AccessPolicy>,
    /// Whether messages are marked as "🤔思考中" while they are answered.
    pub show_thinking: bool,
    /// After which time in a chat's queue people hear that their message waits; `None`: they never do.
    pub queued_after: Option<Duration>,
    /// Whether messages to people for whom the robot answers are taken, too.
    pub delegate: bool,
    /// How answers that the agent streams are shown.
    pub cards: CardConfig,
    /// Who is told of outages.
    pub alert: AlertConfig,
    /// While it is true messages are kept and acked, and no turn begins.
    pub held: watch::Receiver<bool>,
    /// Where messages that are over are told, if traces are exported.
    pub traces: Option<traces::Over>,
}

/// What an earlier process left. Where several work at the robot that belongs to whoever has its bucket, and the
/// store itself knows repeats.
async fn recover(
    store: &dyn Store,
    client_id: &ClientId,
    now: i64,
    shared: bool,
) -> Result<Recovered, StoreError> {
    if shared {
        return Ok(Recovered::default());
    }
    let remembered = i64::try_from(REMEMBERED_FOR.as_millis()).unwrap_or(i64::MAX);
    store.recover(client_id, now.saturating_sub(remembered), REMEMBERED).await
}

/// A robot cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
}

/// A robot at work.
#[derive(Debug)]
pub struct Gateway {
    stream: Arc<StreamHandle>,
    driver: JoinHandle<()>,
    deadline: watch::Sender<Option<Instant>>,
    runtime: JoinHandle<Result<runtime::Unanswered, Halt>>,
    pusher: Arc<Pusher>,
    vitals: Arc<Vitals>,
    inbox: Arc<Inbox>,
    schedules: Arc<Schedules>,
    scheduling: JoinHandle<()>,
    calls: CallCount,
    deafness: JoinHandle<()>,
    /// Keeps it among the other processes of the robot, where there may be some.
    company: Option<Company>,
    store: Arc<dyn Store>,
    client_id: ClientId,
}

/// How long a stop may take: the stream's own end and the answers under way together.
pub const DRAIN: Duration = Duration::from_millis(8_500);
/// How long it may take to leave everything to another process, whose connection brings frames that wait.
pub const HAND_OVER: Duration = Duration::from_millis(2_500);
/// How long keeping the time of the stop may take beyond it.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Gateway {
    /// Starts, with what an earlier process left in the store; the connection is made in the
    /// background and kept from then on. Fails when the store cannot be read.
    pub async fn start(config: GatewayConfig, store: Arc<dyn Store>) -> Result<Self, StartError> {
        Self::begin(config, None, store).await
    }

    /// Starts with a connection that was made before. It brought frames while another process had the store,
    /// and so did that one's.
    pub async fn start_on(
        config: GatewayConfig,
        line: Line,
        store: Arc<dyn Store>,
    ) -> Result<Self, StartError> {
        let stream = Arc::clone(&line.stream);
        let started = Self::begin(config, Some(line), store).await;
        if started.is_err() {
            stream.stop();
        }
        started
    }

    #[expect(clippy::too_many_lines, reason = "each part needs those before it")]
    async fn begin(
        config: GatewayConfig,
        line: Option<Line>,
        store: Arc<dyn Store>,
    ) -> Result<Self, StartError> {
        let client_id = config.openapi.credential.client_id.clone();
        let now = now_ms();
        let others = Arc::clone(&store).replicas().map(|shared| Arc::new(Replicas::new(shared)));
        let wakes = others.as_ref().map(|others| others.store.wakes(&client_id));
        let recovered = recover(&*store, &client_id, now, others.is_some()).await?;
        let heard_until = store.heard_until(&client_id).await?;
        let kept_cards = store.cards(&client_id, KNOWN).await?;
        let pairing = Pairing::open(client_id.clone(), Arc::clone(&store)).await?;
        let is_left = config.agent.admits_by_itself();
        let policy = (!is_left).then(|| config.access.clone());
        let access = Access::new(config.access, pairing.people(), is_left);
        let handing = Handing::new(config.held, line.is_some());
        let plan =
            Plan::new(&config.openapi, config.session, config.handshake_timeout, config.delegate);
        let client = line.as_ref().map(|line| Arc::clone(&line.client));
        let client = client.unwrap_or_else(|| Arc::new(OpenApiClient::new(config.openapi)));
        let calls = CallCount::start(Arc::clone(&client), Arc::clone(&store)).await?;
        let media = MediaStore::open(Arc::clone(&client), &config.state_dir)
            .map_err(|e| StateDirError::not_writable(&config.state_dir, e))?;
        let line = line.unwrap_or_else(|| Line::make(Arc::clone(&client), plan, None));
        let Line { stream, frames, driver, .. } = line;
        let (deadline, until) = watch::channel(None);
        let (caller, kept) = (Arc::clone(&client), Arc::clone(&store));
        let cards = Arc::new(Cards::new((caller, kept), config.cards, until.clone()));
        cards.begin_with(kept_cards, others.is_some());
        let seen = (Instant::now(), now);
        let (app, own) = (client_id.clone(), client_id.clone());
        let peers = Arc::new(Peers::new(app.clone(), Arc::clone(&store)));
        let known = (Arc::clone(&cards), Arc::clone(&peers));
        let intake = Intake::new(client_id, access, &recovered.seen, seen, known);
        let thinks = config.show_thinking && !config.agent.answers_at_once();
        let thinker = thinks.then(|| Arc::clone(&client));
        let replier = Arc::new(Replier::new(Arc::clone(&client)));
        let (caller, kept) = (Arc::clone(&client), Arc::clone(&store));
        let known = Arc::clone(&peers);
        let pusher = Pusher::new(caller, Arc::clone(&replier), kept, Arc::clone(&cards), known);
        let pusher = Arc::new(pusher);
        pairing.keep_fresh(Arc::clone(&pusher), policy, others.clone());
        let watch = deafness::Watch {
            client_id: app.clone(),
            store: Arc::clone(&store),
            pusher: Arc::clone(&pusher),
            config: config.alert.clone(),
            // A connection that stood before another one ended brings what that one would have.
            until: heard_until.filter(|_| *stream.hearing().borrow() != Hearing::Hears),
            shared: others.is_some(),
        };
        let deafness = tokio::spawn(watch.run(stream.hearing()).in_current_span());
        let (answering, shown) = (Arc::clone(&replier), Arc::clone(&cards));
        let (agent, traces, queued_after) = (config.agent, config.traces, config.queued_after);
        let worker = schedules::Robot::new(Arc::clone(&agent), Arc::clone(&pusher));
        let leads = others.as_ref().map(|others| others.leads());
        let schedules = Arc::new(Schedules::new(app.clone(), Arc::clone(&store), worker, leads));
        let scheduling = tokio::spawn(Arc::clone(&schedules).keep(until.clone()).in_current_span());
        let company = others.clone().zip(wakes).map(|(replicas, wakes)| {
            let (store, client) = (Arc::clone(&store), Arc::clone(&client));
            let (client_id, cards) = (app.clone(), Arc::clone(&cards));
            let schedules = Arc::clone(&schedules);
            let teller = Teller { pusher: Arc::clone(&pusher), config: config.alert };
            let keeper = Keeper { client_id, store, replicas, client, schedules, cards };
            Company::start(keeper, wakes, teller)
        });
        let (inbox, orders) = Inbox::new(app, Arc::clone(&store));
        let shelf = Arc::clone(&store);
        let tools = Tools {
            agent,
            replier,
            media,
            store,
            thinker,
            cards,
            pairing,
            peers,
            gate: Arc::default(),
            traces,
            queued_after,
        };
        let (unfinished, company_of) = (recovered.unfinished, others.clone());
        let wants = (orders, handing);
        let runtime =
            Runtime::new(Arc::clone(&stream), tools, intake, wants, unfinished, company_of);
        let vitals = Vitals::watch(client, answering, shown, runtime.depth(), &stream, others);
        let runtime = tokio::spawn(runtime.run(frames, until).in_current_span());
        let (store, client_id) = (shelf, own);
        Ok(Self {
            stream,
            driver,
            deadline,
            runtime,
            pusher,
            vitals,
            inbox,
            schedules,
            scheduling,
            calls,
            deafness,
            company,
            store,
            client_id,
        })
    }

    /// Sends messages that answer nothing.
    pub fn pusher(&self) -> Arc<Pusher> {
        Arc::clone(&self.pusher)
    }

    /// What it sends at given times.
    pub fn schedules(&self) -> Arc<Schedules> {
        Arc::clone(&self.schedules)
    }

    /// Changes what becomes of messages.
    pub fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Looks at it.
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    /// The connection's state, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.stream.state()
    }

    /// Waits for an end that nobody asked for, and says what failed. A process that lives on without
    /// its robot would look well to everybody.
    pub async fn failed(&mut self) -> String {
        let (part, cause) = tokio::select! {
            ended = &mut self.driver => ("stream", ended.err().map(|e| e.to_string())),
            ended = &mut self.runtime => ("runtime", match ended {
                Ok(outcome) => outcome.err().map(|gone| gone.to_string()),
                Err(e) => Some(e.to_string()),
            }),
        };
        let cause = cause.unwrap_or_else(|| "it ended".to_owned());
        format!("the robot's {part} failed: {cause}")
    }

    /// Ends what is left of a robot that [`failed`](Self::failed).
    pub fn abort(self) {
        self.driver.abort();
        self.runtime.abort();
        self.scheduling.abort();
        self.deafness.abort();
        if let Some(company) = self.company {
            company.abort();
        }
    }

    /// Ends within [`DRAIN`]: last acks, Close frame, answers under way. Returns how many answers
    /// could not be finished; the next start goes on with them.
    pub async fn stop(self) -> usize {
        self.end_within(DRAIN).await
    }

    /// Ends within [`HAND_OVER`], after turns were [held](GatewayConfig::held): last acks, Close frame, what is
    /// being sent. Returns how many answers are left to whoever goes on.
    pub async fn hand_over(self) -> usize {
        self.end_within(HAND_OVER).await
    }

    async fn end_within(mut self, patience: Duration) -> usize {
        self.deadline.send_replace(Some(Instant::now() + patience));
        self.stream.stop();
        if self.company.is_none() {
            // Whoever waits for the end may not wait for long: what is open now is not cut off by a failure.
            drop(self.store.end_in_order(&self.client_id));
        }
        let ended = (&mut self.runtime).await;
        if let Err(e) = (&mut self.scheduling).await {
            error!(error = %e, "the robot's schedules failed");
        }
        self.calls.end().await;
        match self.company {
            // What is left others take over at once.
            Some(company) => company.leave().await,
            // What is left was not cut off by a failure; a store that fails says so elsewhere.
            None => drop(self.store.end_in_order(&self.client_id)),
        }
        // The stream has ended, and that is kept; one that has not is not waited for.
        if tokio::time::timeout(LAST_WORDS, &mut self.deafness).await.is_err() {
            self.deafness.abort();
        }
        match ended {
            Ok(Ok(unanswered)) => unanswered.0,
            Ok(Err(gone)) => {
                error!("the robot's runtime failed: {gone}");
                0
            }
            Err(e) => {
                error!(error = %e, "the robot's runtime failed");
                0
            }
        }
    }
}
