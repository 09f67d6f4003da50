//! Follows the config file while the gateway runs: every second its files are looked at, without opening
//! them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::cli::exit_code::Failure;
use crate::config::accounts::Accounts;

/// How often the files are looked at. One that was changed is read when it stays the same for so long, so
/// that none is read half written.
const LOOK: Duration = Duration::from_secs(1);

/// By what a file is known to have changed: device, inode, length, time of its last change in seconds and
/// nanoseconds. `None` where there is none.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Watches the files that the settings came from.
pub(super) struct Follower {
    read_again: Box<dyn Fn() -> Result<Accounts, Failure> + Send>,
    files: Vec<PathBuf>,
    /// As they were when they were read.
    read: Vec<Stamp>,
    /// As they were at the last look.
    seen: Vec<Stamp>,
    looks: Interval,
    /// What was read before anything was looked at: it may have changed in between.
    first: Option<Accounts>,
}

impl Follower {
    /// `read_again` brings what the files have by then; `accounts` is what they had.
    pub(super) fn new(
        accounts: &Accounts,
        read_again: impl Fn() -> Result<Accounts, Failure> + Send + 'static,
    ) -> Self {
        let files = accounts.files.clone();
        let seen = stamps(&files);
        let read = Vec::new();
        let (first, read_again) = (Some(accounts.clone()), Box::new(read_again));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { read_again, files, read, seen, looks, first }
    }

    /// Reads the files at the next look, changed or not.
    pub(super) fn look_again(&mut self) {
        if self.files.is_empty() {
            info!("the settings are those of the environment, which a running process keeps");
        }
        self.read.clear();
        self.first = None;
        self.looks.reset_immediately();
    }

    /// Waits for other settings that hold; others are named in the log, and not taken.
    ///
    /// Can be dropped at any time.
    pub(super) async fn changed(&mut self) -> Accounts {
        loop {
            self.looks.tick().await;
            let now = stamps(&self.files);
            let settled = now == self.seen;
            self.seen = now;
            if !settled || self.seen == self.read {
                continue;
            }
            self.read.clone_from(&self.seen);
            match (self.read_again)() {
                Ok(accounts) => {
                    if self.first.take().is_some_and(|first| first == accounts) {
                        continue;
                    }
                    for warning in &accounts.warnings {
                        warn!("{warning}");
                    }
                    info!(accounts = accounts.accounts.len(), "the settings were read again");
                    if self.files != accounts.files {
                        // What is included now was read just now.
                        self.files.clone_from(&accounts.files);
                        self.seen = stamps(&self.files);
                        self.read.clone_from(&self.seen);
                    }
                    return accounts;
                }
                Err(e) => warn!("the settings changed and do not hold, so the old ones stay: {e}"),
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let of = file.metadata().ok()?;
        Some((of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_changed_between_the_first_reading_and_the_first_look_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("openclaw.json");
        std::fs::write(&file, "").unwrap();
        let read = Accounts { files: vec![file], ..Accounts::default() };
        let reads = Arc::new(AtomicUsize::new(0));
        let follower = |now: &Accounts| {
            let (now, reads) = (now.clone(), Arc::clone(&reads));
            Follower::new(&read, move || {
                reads.fetch_add(1, SeqCst);
                Ok(now.clone())
            })
        };
        let changed = Accounts { disabled: vec!["sales".to_owned()], ..read.clone() };
        assert_eq!(follower(&changed).changed().await, changed);
        let mut same = follower(&read);
        assert!(timeout(3 * LOOK, same.changed()).await.is_err(), "nothing is new");
        assert_eq!(reads.load(SeqCst), 2, "each was read once more");
        same.look_again();
        assert_eq!(same.changed().await, read, "who asks is told");
    }
}
