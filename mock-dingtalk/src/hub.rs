//! Where the pure core meets the world: one lock, one clock, and the sockets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, broadcast, watch};

use crate::{
    clock::Clock,
    core::{
        App, AppNumber, ConnectionKey, Effect, Entry, Fleet, Moment, Mutations, Reading, Turn,
        VerbError,
    },
    outbox::{Full, Order, Orders},
    plug::Plug,
    wire::WireControl,
};

/// Shared by the accept loop, all handlers, the timer and the library.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    inner: Mutex<Inner>,
    replanned: Notify,
    entries: broadcast::Sender<Arc<Entry>>,
}

/// What was chosen at start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the mock listens, as `HOST:PORT`.
    pub(crate) address: std::net::SocketAddr,
    /// Where server-made URLs point for clients that came by one of DingTalk's names.
    pub(crate) public_url: Option<String>,
    /// What control calls have to bring, if the mock listens off loopback.
    pub(crate) admin_token: Option<String>,
    /// Whether apps are treated leniently unless they are minted otherwise.
    pub(crate) lenient: bool,
    /// How the mock is wrong on purpose, if it is.
    pub(crate) mutations: Mutations,
    /// TLS and the proxy.
    pub(crate) plug: Arc<Plug>,
}

impl Settings {
    /// Where a client on this machine reaches the mock: an unspecified address means loopback.
    pub(crate) fn reachable(&self) -> std::net::SocketAddr {
        let mut address = self.address;
        match address.ip() {
            std::net::IpAddr::V4(ip) if ip.is_unspecified() => {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            std::net::IpAddr::V6(ip) if ip.is_unspecified() => {
                address.set_ip(std::net::Ipv6Addr::LOCALHOST.into());
            }
            _ => {}
        }
        address
    }
}

#[derive(Debug)]
struct Inner {
    fleet: Fleet,
    sockets: HashMap<ConnectionKey, Socket>,
    watchers: HashMap<AppNumber, watch::Sender<u64>>,
    planned: Option<Duration>,
}

/// The hub's hold on one WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) orders: Orders,
    pub(crate) wire: WireControl,
}

/// Journal entries that a listener of the event stream may lag behind.
const MAX_EVENTS: usize = 4_096;

impl Hub {
    pub(crate) fn new(seed: u64, clock: Clock, settings: Settings) -> Self {
        let inner = Inner {
            fleet: Fleet::new(seed).lenient(settings.lenient).wrong(settings.mutations),
            sockets: HashMap::new(),
            watchers: HashMap::new(),
            planned: None,
        };
        Self {
            clock,
            settings,
            inner: Mutex::new(inner),
            replanned: Notify::new(),
            entries: broadcast::Sender::new(MAX_EVENTS),
        }
    }

    /// Lets something happen to the fleet, after everything that was due before it, and carries
    /// out what follows from it.
    pub(crate) fn step<R>(&self, event: impl FnOnce(&mut Fleet, Moment) -> R) -> R {
        self.step_inner(|inner, now| event(&mut inner.fleet, now))
    }

    fn step_inner<R>(&self, event: impl FnOnce(&mut Inner, Moment) -> R) -> R {
        let mut inner = self.lock();
        let now = self.clock.now();
        inner.fleet.tick(now);
        let result = event(&mut inner, now);
        inner.carry_out(&self.entries);
        let planned = inner.fleet.next_deadline();
        if planned != inner.planned {
            inner.planned = planned;
            self.replanned.notify_one();
        }
        result
    }

    /// Looks at the fleet without letting anything happen.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&Fleet) -> R) -> R {
        at(&self.lock().fleet)
    }

    /// Waits until `look` finds something in an app, at most for `patience` of real time.
    /// `Ok(None)` means that patience ran out.
    pub(crate) async fn wait<R>(
        &self,
        client_id: &str,
        patience: Duration,
        mut look: impl FnMut(&App) -> Option<R>,
    ) -> Result<Option<R>, VerbError> {
        let mut changes = self.watch(client_id)?;
        let search = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = look(self.lock().fleet.app(client_id)?) {
                    return Ok(Some(found));
                }
                if changes.changed().await.is_err() {
                    return self.look(|fleet| fleet.require(client_id)).map(|_| None);
                }
            }
        };
        match tokio::time::timeout(patience, search).await {
            Ok(found) => found,
            Err(_) => Ok(None),
        }
    }

    fn watch(&self, client_id: &str) -> Result<watch::Receiver<u64>, VerbError> {
        let mut inner = self.lock();
        let number = inner.fleet.require(client_id)?;
        Ok(inner.watch(number))
    }

    /// Everything that enters a journal from now on.
    pub(crate) fn entries(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.entries.subscribe()
    }

    /// Gives a connection its socket. False if the connection was ended meanwhile.
    pub(crate) fn attach(&self, key: ConnectionKey, socket: Socket) -> bool {
        self.step_inner(|inner, now| {
            inner.sockets.insert(key, socket);
            inner.fleet.opened(now, key)
        })
    }

    /// The socket is gone.
    pub(crate) fn detach(&self, key: ConnectionKey, reason: &str) {
        self.step_inner(|inner, now| {
            inner.sockets.remove(&key);
            inner.fleet.closed(now, key, reason, &[]);
        });
    }

    /// Ends all sockets in order.
    pub(crate) fn close_sockets(&self) {
        for (_, socket) in self.lock().sockets.drain() {
            socket.wire.finish();
        }
    }

    /// What the clock of an app shows, or the mock's.
    pub(crate) fn read_clock(&self, app: Option<&str>) -> Result<Reading, VerbError> {
        let Some(client_id) = app else { return Ok(self.clock.reading()) };
        let inner = self.lock();
        inner.fleet.read_clock(self.clock.now(), client_id)
    }

    /// Turns the clock of an app, or the mock's, and does at once what has become due.
    pub(crate) fn turn_clock(&self, app: Option<&str>, turn: Turn) -> Result<Reading, VerbError> {
        if let Some(client_id) = app {
            return self.step(|fleet, now| fleet.turn_clock(now, client_id, turn));
        }
        let reading = self.clock.turn(turn);
        self.step(|_, _| ());
        Ok(reading)
    }

    /// The time of an app on its clock's steady hand; the mock's where there is no app.
    pub(crate) fn time_of(&self, app: Option<AppNumber>) -> Duration {
        self.look(|fleet| fleet.local(self.clock.now(), app)).since_start
    }

    /// Waits until `deadline` has come on the clock of an app, or on the mock's, however it comes.
    /// Nobody waits for an app that is gone. When the app's time is set back by a restore, as much
    /// is left to wait as was left when it was last looked at.
    pub(crate) async fn sleep_until(&self, app: Option<AppNumber>, mut deadline: Duration) {
        let Some(number) = app else { return self.clock.sleep_until(deadline).await };
        let watched = {
            let mut inner = self.lock();
            inner.fleet.clock_of(number).is_some().then(|| inner.watch(number))
        };
        let Some(mut changes) = watched else { return };
        let mut last = Duration::ZERO;
        loop {
            changes.mark_unchanged();
            let looked = self.look(|fleet| {
                let shown = fleet.local(self.clock.now(), Some(number)).since_start;
                deadline = deadline.saturating_sub(last.saturating_sub(shown));
                last = shown;
                fleet.clock_of(number).map(|clock| clock.outer_at(deadline))
            });
            let Some(due) = looked else { return };
            let due = async {
                match due {
                    Some(due) => self.clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                look_again = changes.changed() => {
                    if look_again.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Does what is due when it is due, without end.
    pub(crate) async fn run_timers(&self) {
        loop {
            let deadline = self.look(Fleet::next_deadline);
            let due = async {
                match deadline {
                    Some(deadline) => self.clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    self.step(|_, _| ());
                    // On a fast clock something may always be due; the sockets want their turn too.
                    tokio::task::yield_now().await;
                }
                () = self.replanned.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Tells of every change of an app, until it is gone.
    fn watch(&mut self, number: AppNumber) -> watch::Receiver<u64> {
        self.watchers.entry(number).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Never waits, so that it can be done under the lock: that keeps effects in order.
    fn carry_out(&mut self, entries: &broadcast::Sender<Arc<Entry>>) {
        for effect in self.fleet.take_effects() {
            match effect {
                Effect::Send { connection, frame } => {
                    self.order(connection, Order::Send(frame));
                }
                Effect::Cut { connection, how } => {
                    self.order(connection, Order::Cut(how));
                }
                Effect::Sicken { connection, with } => {
                    self.order(connection, Order::Sicken(with));
                }
                Effect::Changed(app) => {
                    if let Some(watcher) = self.watchers.get(&app) {
                        watcher.send_modify(|changes| *changes = changes.wrapping_add(1));
                    }
                }
                Effect::Gone(app) => {
                    self.watchers.remove(&app);
                }
                Effect::Journaled(entry) => {
                    if let Some(diagnosis) = &entry.diagnosis {
                        tracing::warn!(
                            app = entry.app.as_deref(),
                            problem = diagnosis.problem,
                            expected = diagnosis.expected,
                            "{}",
                            entry.text
                        );
                    } else {
                        tracing::debug!(app = entry.app.as_deref(), "{}", entry.text);
                    }
                    // Nobody listens most of the time.
                    let _ = entries.send(entry);
                }
            }
        }
    }

    fn order(&self, connection: ConnectionKey, order: Order) {
        let Some(socket) = self.sockets.get(&connection) else { return };
        if let Err(Full) = socket.orders.give(order) {
            tracing::warn!("a bot reads nothing and too much waits for it: cutting it off");
            socket.wire.reset();
        }
    }
}
