//! Tells when a process could not reach the database for a while: messages of that time were not acked.

use tokio::sync::watch;
use tracing::{error, info, warn};

use std::sync::Arc;
use std::time::Duration;

use super::Away;
use crate::agent::Say;
use crate::gateway::deafness::AlertConfig;
use crate::gateway::push::{Delivery, Push, Pusher, What};
use crate::unix_time::{in_china, now_ms};

/// Says it in the log, and to whoever is told of outages.
pub(in crate::gateway) struct Teller {
    pub(in crate::gateway) pusher: Arc<Pusher>,
    pub(in crate::gateway) config: AlertConfig,
}

impl Teller {
    /// Tells of each outage once it is over, until nobody can say more of the database.
    pub(in crate::gateway) async fn run(self, mut database: watch::Receiver<Option<Away>>) {
        let mut since = None;
        loop {
            let now = database.borrow_and_update().as_ref().map(|away| away.since);
            if let (Some(from), None) = (since, now) {
                self.over(from, now_ms()).await;
            }
            since = now;
            if database.changed().await.is_err() {
                return;
            }
        }
    }

    async fn over(&self, from: i64, to: i64) {
        let length = Duration::from_millis(u64::try_from(to.saturating_sub(from)).unwrap_or(0));
        if length < self.config.after {
            return;
        }
        warn!(
            from = %in_china(from), to = %in_china(to), seconds = length.as_secs(),
            "the database could not be reached for a while, and messages of that time were not acked (UTC+8)"
        );
        let Some(to_whom) = self.config.to.clone() else { return };
        let what = What::Say(Say::text(words(&host(), from, to)));
        let key = Some(format!("database-outage-{}-{from}", host()));
        match self.pusher.push(Push { to: vec![to_whom.clone()], what, key }).await {
            Ok(deliveries) if deliveries.iter().all(Delivery::is_delivered) => {
                info!(to = %to_whom, "the outage of the database was told");
            }
            Ok(deliveries) => {
                error!(to = %to_whom, ?deliveries, "the outage of the database could not be told");
            }
            Err(e) => error!(to = %to_whom, "the outage of the database could not be told: {e}"),
        }
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What people read, in both languages.
fn words(host: &str, from: i64, to: i64) -> String {
    let (from, to) = (in_china(from), in_china(to));
    format!(
        "机器人（{host}）在 {from} – {to}（北京时间）连不上数据库，这段时间发到这里的消息没有确认，可能已丢失，请重发。\n\
         The robot on {host} could not reach its database {from} – {to} (UTC+8); messages that came to it then \
         were not acked and may be lost, please send them again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_with_its_times_in_china() {
        // 2026-11-29T02:02:00Z.
        let from = 1_795_917_720_000;
        insta::assert_snapshot!(words("a1", from, from + 61_000), @r"
        机器人（a1）在 2026-11-29 10:02:00 – 2026-11-29 10:03:01（北京时间）连不上数据库，这段时间发到这里的消息没有确认，可能已丢失，请重发。
        The robot on a1 could not reach its database 2026-11-29 10:02:00 – 2026-11-29 10:03:01 (UTC+8); messages that came to it then were not acked and may be lost, please send them again.
        ");
    }
}
