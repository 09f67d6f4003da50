//! What a robot does while another process takes its place, or just has: it begins no turn, and sends no more
//! than it has begun to send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};
use tokio::time::Instant;

/// So long a robot that takes another's place begins no turn: both had connections, and what came by them is
/// put in order first.
const SETTLES: Duration = Duration::from_millis(100);
/// So long at most: where messages come all the time there is always one on its way to disk.
const SETTLES_AT_MOST: Duration = Duration::from_secs(1);

/// Whether turns may begin.
#[derive(Debug)]
pub(super) struct Handing {
    held: watch::Receiver<bool>,
    /// When that is over, and when it is whatever is still to be put in order.
    settles: Option<(Instant, Instant)>,
}

impl Handing {
    /// None begins while `held` is true, nor for a moment where the robot took another's place.
    pub(super) fn new(held: watch::Receiver<bool>, took_over: bool) -> Self {
        let now = Instant::now();
        Self { held, settles: took_over.then(|| (now + SETTLES, now + SETTLES_AT_MOST)) }
    }

    /// Whether another process is about to take this one's place.
    pub(super) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Whether what waits is still put in order.
    pub(super) fn is_settling(&self) -> bool {
        self.settles.is_some()
    }

    /// Whether no turn may begin.
    pub(super) fn forbids(&self) -> bool {
        self.is_held() || self.is_settling()
    }

    /// Waits for a change of what is forbidden; where something is `pending` it settles later.
    ///
    /// Can be dropped at any time.
    pub(super) async fn changed(&mut self, pending: bool) {
        let settles = self.settles.map(|(soon, late)| if pending { late } else { soon });
        tokio::select! {
            Ok(()) = self.held.changed() => {}
            () = at(settles), if settles.is_some() => self.settles = None,
            else => std::future::pending().await,
        }
    }
}

/// Waits for a moment that may never come.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What every send passes: closed, nothing more is sent.
#[derive(Debug, Default)]
pub(super) struct Gate {
    sends: Arc<RwLock<()>>,
    closes: AtomicBool,
}

impl Gate {
    /// Waits until something may be sent, for ever where the gate is closed; it is being sent until what is
    /// returned is dropped.
    pub(super) async fn pass(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.sends).read_owned().await
    }

    /// Whether nothing more will be sent.
    pub(super) fn closes(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }

    /// Closes it; ready when nothing is being sent any more. It stays closed while what is returned is kept.
    pub(super) async fn close(&self) -> OwnedRwLockWriteGuard<()> {
        self.closes.store(true, Ordering::Relaxed);
        Arc::clone(&self.sends).write_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_closes_behind_what_is_being_sent() {
        let gate = Arc::new(Gate::default());
        let sending = gate.pass().await;
        let closing = Arc::clone(&gate);
        let mut closed = tokio::spawn(async move { closing.close().await });
        while !gate.closes() {
            tokio::task::yield_now().await;
        }
        let mut late = Box::pin(gate.pass());
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut closed).await.is_err(), "it waits for the send");
        drop(sending);
        let kept = closed.await.unwrap();
        assert!(tokio::time::timeout(soon, &mut late).await.is_err(), "nothing more is sent");
        drop(kept);
    }

    #[tokio::test]
    async fn turns_are_forbidden_while_held_and_until_what_came_is_in_order() {
        let hold = watch::Sender::new(true);
        let mut handing = Handing::new(hold.subscribe(), true);
        assert!(handing.is_held() && handing.is_settling() && handing.forbids());
        hold.send_replace(false);
        handing.changed(true).await;
        assert!(!handing.is_held() && handing.forbids());
        let pending = tokio::time::timeout(SETTLES * 2, handing.changed(true)).await;
        assert!(pending.is_err() && handing.forbids(), "something is on its way to disk");
        handing.changed(false).await;
        assert!(!handing.forbids());
        let mut handing = Handing::new(hold.subscribe(), true);
        handing.changed(true).await;
        assert!(!handing.forbids(), "what comes all the time is not waited for");
        drop(hold);
        assert!(tokio::time::timeout(SETTLES, handing.changed(false)).await.is_err());
    }
}
