//! The robots of one process: each has its own gateway, and none ends with another. One that fails is
//! started again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, error_span, info};

use super::exit_code::{ExitCode, Failure};
use crate::backoff::Backoff;
use crate::config::accounts::DEFAULT;
use crate::gateway::Gateway;

/// Pauses before a robot is started again.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// How often a robot is started again that waits for the database on another machine.
const DATABASE: Duration = Duration::from_secs(1);
/// A robot that worked for so long has the shortest pause again.
const STABLE: Duration = Duration::from_secs(60);

/// What is started, watched and stopped.
pub(super) trait Work: Send + 'static {
    /// Waits for an end that nobody asked for.
    fn failed(&mut self) -> impl Future<Output = String> + Send;
    /// Ends what is left then.
    fn abort(self);
    /// Ends in order; returns how many answers are unfinished.
    fn end(self, ending: Ending) -> impl Future<Output = usize> + Send;
}

/// How a robot ends in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the answers under way.
    Stop,
    /// Soon: another process goes on with them.
    HandOver,
}

impl Work for Gateway {
    fn failed(&mut self) -> impl Future<Output = String> + Send {
        Self::failed(self)
    }

    fn abort(self) {
        Self::abort(self);
    }

    async fn end(self, ending: Ending) -> usize {
        match ending {
            Ending::Stop => self.stop().await,
            Ending::HandOver => self.hand_over().await,
        }
    }
}

/// How robots are made.
pub(super) trait Maker: Send + 'static {
    type Robot: Work;
    /// Makes one more.
    fn start(&self) -> impl Future<Output = Result<Self::Robot, Failure>> + Send;
    /// One that worked has failed, or cannot be kept.
    fn failed(&self, why: &str);
    /// The app whose robots these are: it has one at a time.
    fn app(&self) -> &str;
    /// Whether no start can succeed any more.
    fn is_hopeless(&self) -> impl Future<Output = bool> + Send;
}

/// Robots at work.
pub(super) struct Robots {
    tasks: JoinSet<Result<usize, Failure>>,
    kept: HashMap<String, Kept>,
    /// Robots that were told to stop, by name and app.
    leaving: Vec<(String, Kept)>,
    pauses: Backoff,
}

/// A robot's reins.
struct Kept {
    app: String,
    stop: watch::Sender<Option<Ending>>,
    /// Is closed when the robot has ended.
    ended: watch::Receiver<()>,
}

impl Robots {
    pub(super) fn new() -> Self {
        let (tasks, kept, leaving) = (JoinSet::new(), HashMap::new(), Vec::new());
        Self { tasks, kept, leaving, pauses: PAUSES }
    }

    /// The span of an account's log lines; the default robot needs none when it is alone.
    pub(super) fn span(account: &str, alone: bool) -> Span {
        if alone && account == DEFAULT {
            Span::none()
        } else {
            error_span!("account", name = account)
        }
    }

    /// Keeps a robot at work, which `first` is or, if its start failed, will be.
    pub(super) fn keep<M: Maker>(
        &mut self,
        name: &str,
        span: Span,
        maker: M,
        first: Option<M::Robot>,
    ) {
        let (reins, stop, ended) = Kept::new(maker.app());
        self.kept.insert(name.to_owned(), reins);
        let task = keep(maker, first, self.pauses, stop);
        self.tasks.spawn(holding(ended, task).instrument(span));
    }

    /// Keeps another robot at work as soon as the one of this name has stopped in order, and each other one of
    /// its app that was told to: what that has not answered this one would answer, too.
    pub(super) fn replace<M: Maker>(&mut self, name: &str, span: Span, maker: M) {
        self.end(name);
        self.leaving.retain(|(_, kept)| !kept.has_ended());
        let is_before = |(other, kept): &&(String, Kept)| other == name || kept.app == maker.app();
        let before: Vec<_> =
            self.leaving.iter().filter(is_before).map(|(_, kept)| kept.ended.clone()).collect();
        let (reins, mut stop, ended) = Kept::new(maker.app());
        self.kept.insert(name.to_owned(), reins);
        let pauses = self.pauses;
        let task = async move {
            for mut old in before {
                // It sends nothing: its end is what is waited for.
                let _ = old.changed().await;
            }
            let first = tokio::select! {
                biased;
                // One that was told to stop while it waited does not begin.
                _ = stopped(&mut stop) => return Ok(0),
                first = maker.start() => first,
            };
            let first =
                first.inspect_err(|e| error!("the robot cannot start, and is tried again: {e}"));
            keep(maker, first.ok(), pauses, stop).await
        };
        self.tasks.spawn(holding(ended, task).instrument(span));
    }

    /// Stops one robot in order.
    pub(super) fn end(&mut self, name: &str) {
        if let Some(kept) = self.kept.remove(name) {
            kept.stop.send_replace(Some(Ending::Stop));
            self.leaving.push((name.to_owned(), kept));
        }
    }

    /// Waits until nothing can go on, and says why. Where all were told to stop, that is what was wanted.
    pub(super) async fn failed(&mut self) -> Failure {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(failure))) => return failure,
                Some(Err(e)) => {
                    return Failure::new(ExitCode::Failed, format!("a robot failed: {e}"));
                }
                None => std::future::pending().await,
                // It was to end.
                Some(Ok(Ok(unfinished))) => info!(unfinished, "a robot has stopped"),
            }
        }
    }

    /// Ends all at the same time; returns how many answers are unfinished.
    pub(super) async fn end_all(self, ending: Ending) -> usize {
        for kept in self.kept.values() {
            kept.stop.send_replace(Some(ending));
        }
        self.tasks.join_all().await.into_iter().flatten().sum()
    }
}

impl Kept {
    fn new(app: &str) -> (Self, watch::Receiver<Option<Ending>>, watch::Sender<()>) {
        let (end, ended) = watch::channel(());
        let stop = watch::Sender::new(None);
        let stopped = stop.subscribe();
        (Self { app: app.to_owned(), stop, ended }, stopped, end)
    }

    fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }
}

/// Work with something that is dropped at its end.
async fn holding<T>(held: impl Send, work: impl Future<Output = T>) -> T {
    let outcome = work.await;
    drop(held);
    outcome
}

async fn keep<M: Maker>(
    maker: M,
    first: Option<M::Robot>,
    pauses: Backoff,
    mut stop: watch::Receiver<Option<Ending>>,
) -> Result<usize, Failure> {
    let (mut failures, mut waits) = (0_u32, false);
    let mut at_work = first;
    loop {
        let failure = match at_work.take() {
            Some(mut robot) => {
                let since = Instant::now();
                let failure = tokio::select! {
                    failure = robot.failed() => failure,
                    ending = stopped(&mut stop) => return Ok(robot.end(ending).await),
                };
                robot.abort();
                maker.failed(&failure);
                if since.elapsed() >= STABLE {
                    failures = 0;
                }
                Some(failure)
            }
            // That was said.
            None => None,
        };
        if maker.is_hopeless().await {
            let failure = failure.unwrap_or_else(|| "the robot cannot start".to_owned());
            return Err(Failure::new(ExitCode::Failed, failure));
        }
        let pause = if waits { DATABASE } else { pauses.delay(failures, rand::random()) };
        failures = failures.saturating_add(1);
        if let Some(failure) = failure {
            error!(delay_ms = pause.as_millis(), "{failure}; the robot is started again");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped(&mut stop) => return Ok(0),
        }
        let started = tokio::select! {
            biased;
            _ = stopped(&mut stop) => return Ok(0),
            started = maker.start() => started,
        };
        match started {
            Ok(robot) => {
                info!("the robot was started again");
                (at_work, waits) = (Some(robot), false);
            }
            // That was said.
            Err(e) if waits && e.exit_code() == ExitCode::DatabaseAway => {}
            Err(e) => {
                waits = e.exit_code() == ExitCode::DatabaseAway;
                error!("the robot cannot start, and is tried again: {e}");
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Ending>>) -> Ending {
    let asked = stop.wait_for(Option::is_some).await.ok().and_then(|asked| *asked);
    // Whoever could have asked is gone: the same.
    asked.unwrap_or(Ending::Stop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Robots that fail at once, until the one with the number `lasts`.
    #[derive(Clone, Default)]
    struct Fragile {
        lasts: usize,
        fails_to_start: bool,
        hopeless_after: Option<usize>,
        starts: Arc<AtomicUsize>,
        aborted: Arc<AtomicUsize>,
        told: Arc<AtomicUsize>,
        up: Option<watch::Sender<usize>>,
        app: &'static str,
        /// Its robots end when this is set.
        may_end: Option<watch::Sender<bool>>,
        /// Those that have not ended.
        alive: Arc<AtomicUsize>,
    }

    struct Robot(usize, Fragile);

    impl Work for Robot {
        async fn failed(&mut self) -> String {
            if self.0 < self.1.lasts {
                return format!("robot {} failed", self.0);
            }
            if let Some(up) = &self.1.up {
                up.send_replace(self.0);
            }
            std::future::pending().await
        }

        fn abort(self) {
            self.1.aborted.fetch_add(1, SeqCst);
        }

        async fn end(self, _: Ending) -> usize {
            if let Some(may_end) = &self.1.may_end {
                may_end.subscribe().wait_for(|may| *may).await.unwrap();
            }
            self.1.alive.fetch_sub(1, SeqCst);
            7
        }
    }

    impl Maker for Fragile {
        type Robot = Robot;

        async fn start(&self) -> Result<Robot, Failure> {
            let number = self.starts.fetch_add(1, SeqCst) + 1;
            if self.fails_to_start && number < self.lasts {
                return Err(Failure::new(ExitCode::Failed, "no"));
            }
            assert_eq!(
                self.alive.fetch_add(1, SeqCst) * usize::from(self.may_end.is_some()),
                0,
                "an app has one robot at a time"
            );
            Ok(Robot(number, self.clone()))
        }

        fn app(&self) -> &str {
            self.app
        }

        fn failed(&self, _: &str) {
            self.told.fetch_add(1, SeqCst);
        }

        async fn is_hopeless(&self) -> bool {
            self.hopeless_after.is_some_and(|n| self.starts.load(SeqCst) >= n)
        }
    }

    fn robots() -> Robots {
        let pauses = Backoff::new(Duration::from_millis(1), Duration::from_millis(4));
        Robots { pauses, ..Robots::new() }
    }

    #[tokio::test]
    async fn a_robot_that_fails_or_cannot_start_is_started_until_it_lasts_and_its_neighbour_goes_on()
     {
        for fails_to_start in [false, true] {
            let up = watch::Sender::new(0);
            let fragile =
                Fragile { lasts: 5, fails_to_start, up: Some(up.clone()), ..Fragile::default() };
            let mut robots = robots();
            let neighbour = Fragile::default();
            let robot = neighbour.start().await.ok();
            robots.keep("a", Span::none(), neighbour.clone(), robot);
            robots.keep("b", Span::none(), fragile.clone(), None);
            up.subscribe().wait_for(|number| *number == 5).await.unwrap();
            assert_eq!(fragile.starts.load(SeqCst), 5);
            assert_eq!(fragile.aborted.load(SeqCst), if fails_to_start { 0 } else { 4 });
            assert_eq!(fragile.told.load(SeqCst), fragile.aborted.load(SeqCst));
            assert_eq!(robots.end_all(Ending::Stop).await, 14, "both were at work");
            assert_eq!(neighbour.starts.load(SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn nothing_is_started_where_there_is_no_hope() {
        let fragile = Fragile { lasts: 9, hopeless_after: Some(3), ..Fragile::default() };
        let mut robots = robots();
        robots.keep("b", Span::none(), fragile.clone(), None);
        assert_eq!(robots.failed().await.to_string(), "robot 3 failed");
        assert_eq!(fragile.starts.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn a_robot_begins_only_when_the_one_in_whose_place_it_comes_has_ended() {
        let mut robots = robots();
        let (old, neighbour) = (Fragile::default(), Fragile::default());
        robots.keep("a", Span::none(), old.clone(), old.start().await.ok());
        robots.keep("b", Span::none(), neighbour.clone(), neighbour.start().await.ok());
        let up = watch::Sender::new(0);
        let new = Fragile { up: Some(up.clone()), ..Fragile::default() };
        robots.replace("a", Span::none(), new.clone());
        up.subscribe().wait_for(|number| *number == 1).await.unwrap();
        robots.end("b");
        robots.end("b");
        assert_eq!((old.starts.load(SeqCst), new.starts.load(SeqCst)), (1, 1));
        // What the three that stopped had left, those that were told before among it.
        assert_eq!(robots.end_all(Ending::Stop).await, 21);
    }

    #[tokio::test]
    async fn an_app_has_one_robot_at_a_time_by_whichever_name_and_may_have_none() {
        let may_end = watch::Sender::new(false);
        let up = watch::Sender::new(0);
        let app = |app| Fragile {
            app,
            may_end: Some(may_end.clone()),
            up: Some(up.clone()),
            ..Fragile::default()
        };
        let (one, two) = (app("one"), app("two"));
        let mut robots = robots();
        robots.keep("a", Span::none(), one.clone(), one.start().await.ok());
        robots.keep("b", Span::none(), two.clone(), two.start().await.ok());
        // The names change places; a third one is renamed while it waits.
        robots.end("a");
        robots.end("b");
        robots.replace("b", Span::none(), one.clone());
        robots.replace("a", Span::none(), two.clone());
        robots.end("a");
        robots.replace("c", Span::none(), two.clone());
        tokio::task::yield_now().await;
        assert_eq!((one.starts.load(SeqCst), two.starts.load(SeqCst)), (1, 1));
        up.send_replace(0);
        may_end.send_replace(true);
        while (one.starts.load(SeqCst), two.starts.load(SeqCst)) != (2, 2) {
            let failed = tokio::time::timeout(Duration::from_millis(1), robots.failed()).await;
            assert!(failed.is_err(), "{failed:?}");
        }
        robots.end("b");
        robots.end("c");
        let failed = tokio::time::timeout(Duration::from_millis(50), robots.failed()).await;
        assert!(failed.is_err(), "none is left, as it was wanted: {failed:?}");
        assert_eq!((one.alive.load(SeqCst), two.alive.load(SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_pause() {
        let mut robots = Robots::new();
        let fragile = Fragile { lasts: 1_000, ..Fragile::default() };
        robots.keep(
            "a",
            Span::none(),
            fragile,
            Some(Robot(0, Fragile { lasts: 9, ..Fragile::default() })),
        );
        tokio::task::yield_now().await;
        assert_eq!(robots.end_all(Ending::Stop).await, 0);
    }
}
