//! Follows the config file while the gateway runs: every second its files are looked at, without opening
//! them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::cli::access::AccessArgs;
use crate::config::accounts::Accounts;

/// How often the files are looked at. One that was changed is read when it stays the same for so long, so
/// that none is read half written.
const LOOK: Duration = Duration::from_secs(1);

/// By what a file is known to have changed: device, inode, length, time of its last change in seconds and
/// nanoseconds. `None` where there is none.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Watches the files that the settings came from.
pub(super) struct Follower {
    access: AccessArgs,
    files: Vec<PathBuf>,
    /// As they were when they were read.
    read: Vec<Stamp>,
    /// As they were at the last look.
    seen: Vec<Stamp>,
    looks: Interval,
}

impl Follower {
    pub(super) fn new(accounts: &Accounts, access: AccessArgs) -> Self {
        let files = accounts.files.clone();
        let read = stamps(&files);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { access, files, seen: read.clone(), read, looks }
    }

    /// Reads the files at the next look, changed or not.
    pub(super) fn look_again(&mut self) {
        if self.files.is_empty() {
            info!("the settings are those of the environment, which a running process keeps");
        }
        self.read.clear();
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
            match self.access.accounts() {
                Ok(accounts) => {
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
