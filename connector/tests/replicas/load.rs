//! People who write all the time in many chats, and what became of it.

use std::time::{Duration, Instant};

use mock_dingtalk::{Profile, SaidState};

use super::chats::numbered;
use super::ledger::{Figures, Ledger};
use super::process::{PATIENCE, Replica, Site};

/// Chats that people write in.
const CHATS: usize = 50;
/// Between two messages, and so between two of a chat fifty times as long.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);
/// What is acked within this many milliseconds is in time for its place among its chat's.
const PROMPTLY: u64 = 100;

/// The people, and the processes that answer them.
pub(crate) struct Load {
    pub(crate) site: Site,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) ledger: Ledger,
    pub(crate) profile: Profile,
}

impl Load {
    /// One more message.
    pub(crate) async fn say(&mut self) -> Result<(), String> {
        let number = self.ledger.said.len();
        let chat = number % CHATS;
        match self.ledger.say(&self.site.app, chat, &numbered(chat, number)).await {
            SaidState::Pushed => Ok(()),
            _ => Err("nobody is connected".to_owned()),
        }
    }

    /// Waits until everything is answered. With `outage` what came when nothing could be kept may be lost or
    /// answered twice, as far as the programs count it; else neither may be.
    pub(crate) async fn settle(&mut self, outage: bool) -> Result<Figures, String> {
        let comes_again = self.profile != Profile::Documented;
        let mut advances = comes_again;
        let promptly = (self.replicas.len() > 1).then_some(PROMPTLY);
        let start = Instant::now();
        loop {
            if advances && self.ledger.owed().is_empty() {
                // What was not acked comes again: what crossed a Close frame was answered by whoever took it in.
                self.site.mock.clock().advance(Duration::from_secs(61));
                advances = false;
            }
            let open = self.ledger.open(&self.site.app, self.profile);
            let counted = self.counted();
            let allowed = if outage { counted } else { 0 };
            let found = self.ledger.check(allowed, promptly).and_then(|figures| {
                let lost = figures.unanswered;
                let unacked = comes_again && figures.unacked > 0;
                if advances || open > 0 || (!outage && (lost > 0 || unacked || counted > 0)) {
                    return Err(format!("{open} open, {counted} counted, {figures:?}"));
                }
                Ok(figures)
            });
            match found {
                Ok(figures) => return Ok(figures),
                Err(e) if start.elapsed() > PATIENCE => {
                    return Err(format!("{e}\n{}\n{}", self.unacked(), self.logs()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// What was not acked, with the connections that it was pushed to.
    fn unacked(&self) -> String {
        let connections = self.site.app.connections().unwrap();
        let deliveries = self.site.app.deliveries().unwrap();
        let lost = deliveries.iter().filter(|row| row.ack.is_none());
        let pushed_to = lost.flat_map(|row| &row.attempts).map(|attempt| {
            let to = connections.iter().find(|row| row.connection_id == attempt.connection_id);
            format!("not acked: {attempt:?} to {to:?}")
        });
        pushed_to.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn counted(&self) -> usize {
        self.replicas.iter().map(Replica::counted).sum()
    }

    /// Ends all processes in order.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        for replica in &mut self.replicas {
            let code = replica.end()?;
            if code != Some(0) {
                return Err(format!("it ended with {code:?}: {}", replica.log()));
            }
        }
        Ok(())
    }

    pub(crate) fn logs(&self) -> String {
        self.replicas.iter().map(Replica::log).collect::<Vec<_>>().join("\n---\n")
    }
}
