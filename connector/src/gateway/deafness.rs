//! Tells when messages could not arrive for a while: DingTalk does not send them again.
//!
//! Until when the robot heard is kept in the store, every few seconds and whenever a connection goes, so that an
//! outage that a restart falls into, or is, is known afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use super::push::{Delivery, Push, PushError, Pusher, Target, What};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::store::Store;
use crate::stream::Hearing;
use crate::unix_time::{in_china, now_ms};

/// Who is told of outages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertConfig {
    /// A person or a group; without one outages are only logged.
    pub to: Option<Target>,
    /// Of shorter ones nobody hears. Default 30 s.
    pub after: Duration,
}

/// Of shorter outages nobody hears, unless a setting says something else.
pub const ALERT_AFTER: Duration = Duration::from_secs(30);

impl Default for AlertConfig {
    fn default() -> Self {
        Self { to: None, after: ALERT_AFTER }
    }
}

/// Listens to whether the robot hears.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) client_id: ClientId,
    pub(super) store: Arc<dyn Store>,
    pub(super) pusher: Arc<Pusher>,
    pub(super) config: AlertConfig,
    /// Until when messages could arrive, in milliseconds since 1970 UTC; `None` before the first connection
    /// ever.
    pub(super) until: Option<i64>,
    /// Whether other processes hear for the robot, too.
    pub(super) shared: bool,
}

/// So often it is kept that the robot hears, unless short outages are to be told: after a crash so much may
/// be missing.
const BEAT: Duration = Duration::from_secs(15);

impl Watch {
    /// Watches until the stream has ended.
    pub(super) async fn run(mut self, mut hearing: watch::Receiver<Hearing>) {
        let beat = BEAT.min(self.config.after / 3);
        let mut before = Hearing::NotYet;
        loop {
            let now = *hearing.borrow_and_update();
            self.look(before, now).await;
            before = now;
            let changed = if now == Hearing::Hears {
                tokio::select! {
                    changed = hearing.changed() => changed,
                    () = sleep(beat) => Ok(()),
                }
            } else {
                hearing.changed().await
            };
            if changed.is_err() {
                let last = *hearing.borrow();
                return self.look(before, last).await;
            }
        }
    }

    async fn look(&mut self, before: Hearing, now: Hearing) {
        let until = match now {
            Hearing::NotYet => return,
            Hearing::Deaf { since, .. } => since,
            Hearing::Hears => {
                let to = now_ms();
                let gap = self.until.map(|from| Gap { from, to });
                let gap = gap.filter(|gap| gap.length() >= self.config.after);
                // Until its successor stood the old connection brought messages.
                if let Some(gap) = gap.filter(|_| !before.is_well(to)) {
                    let from = gap.from.max(self.heard_elsewhere().await.unwrap_or(gap.from));
                    let gap = Gap { from, ..gap };
                    if gap.length() >= self.config.after {
                        self.tell(gap).await;
                    }
                }
                to
            }
        };
        // What others heard since is not undone.
        if now != Hearing::Hears && self.heard_elsewhere().await.is_some_and(|heard| heard > until)
        {
            self.until = Some(until);
            return;
        }
        if self.until.replace(until) == Some(until) {
            return;
        }
        if let Err(e) = self.store.keep_heard(&self.client_id, until).await {
            debug!("until when messages could arrive is not kept: {e}");
        }
    }

    /// Until when any process of the robot has heard, as far as that is known.
    async fn heard_elsewhere(&self) -> Option<i64> {
        if !self.shared {
            return None;
        }
        self.store.heard_until(&self.client_id).await.ok().flatten()
    }

    /// Says it in the log, and to whoever is to be told, by a key of its own, so that it is said once.
    async fn tell(&self, gap: Gap) {
        warn!(
            from = %in_china(gap.from), to = %in_china(gap.to), seconds = gap.length().as_secs(),
            "messages could not arrive for a while, and those of that time may be lost (UTC+8)"
        );
        let Some(to) = self.config.to.clone() else { return };
        let push = Push {
            to: vec![to.clone()],
            what: What::Say(Say::text(gap.words())),
            key: Some(format!("outage-{}", gap.from)),
        };
        match self.pusher.push(push).await {
            Ok(deliveries) if deliveries.iter().all(Delivery::is_delivered) => {
                info!(%to, "the outage was told");
            }
            Ok(deliveries) => error!(%to, ?deliveries, "the outage could not be told"),
            // A process before this one told it, or was about to.
            Err(e @ (PushError::KeyReused(_) | PushError::Interrupted(_))) => {
                debug!("the outage was told before: {e}");
            }
            Err(e) => error!(%to, "the outage could not be told: {e}"),
        }
    }
}

/// A time in which messages could not arrive, in milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    from: i64,
    to: i64,
}

impl Gap {
    /// Nothing on a clock that was set back.
    fn length(self) -> Duration {
        Duration::from_millis(u64::try_from(self.to.saturating_sub(self.from)).unwrap_or(0))
    }

    /// What people read, in both languages.
    fn words(self) -> String {
        let (from, to) = (in_china(self.from), in_china(self.to));
        let same_day = from.split(' ').next() == to.split(' ').next();
        let to = if same_day { to.split(' ').next_back().unwrap_or_default() } else { &to };
        format!(
            "机器人在 {from} – {to}（北京时间）收不到消息，这段时间发给它的消息可能已丢失，请重发。\n\
             The robot was deaf {from} – {to} (UTC+8); messages of that time may be lost, please send \
             them again."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_with_its_times_in_china() {
        // 2026-11-29T02:02:00Z.
        let from = 1_795_917_720_000;
        let gap = Gap { from, to: from + 5 * 60_000 + 7_000 };
        assert_eq!(gap.length(), Duration::from_secs(307));
        insta::assert_snapshot!(gap.words(), @r"
        机器人在 2026-11-29 10:02:00 – 10:07:07（北京时间）收不到消息，这段时间发给它的消息可能已丢失，请重发。
        The robot was deaf 2026-11-29 10:02:00 – 10:07:07 (UTC+8); messages of that time may be lost, please send them again.
        ");
        let night = Gap { from, to: from + 14 * 3_600_000 };
        assert!(night.words().contains("2026-11-29 10:02:00 – 2026-11-30 00:02:00 (UTC+8)"));
        assert_eq!(Gap { from, to: from - 1 }.length(), Duration::ZERO);
    }
}
