//! `ddingtalk gateway stop`: SIGTERM to the process that holds the state directory.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Which, not_running};
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::output;
use crate::cli::times::duration;
use crate::link::client::LinkClient;
use crate::state_dir::{self, Holder};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// How long it may take; answers under way get 10 s.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    timeout: Duration,
    /// Kill it when that time is over; the next start goes on where it was.
    #[arg(long)]
    force: bool,
}

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long a killed process takes to be gone.
const KILLED: Duration = Duration::from_secs(5);

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (dir, holder) = args.which.holder()?;
    let Some(holder) = holder else {
        return output::data(&format!("not running: {}", dir.display()));
    };
    let supervised = is_supervised(&dir).await;
    let pid = signal(&dir, holder, Signal::TERM)?;
    if !is_gone(&dir, holder, args.timeout).await? {
        let waited = humantime::format_duration(args.timeout);
        if !args.force {
            let message = format!(
                "the gateway (pid {pid}) has not ended within {waited}; give it more with --timeout, or \
                 kill it with --force"
            );
            return Err(Failure::new(ExitCode::Failed, message));
        }
        signal(&dir, holder, Signal::KILL)?;
        if !is_gone(&dir, holder, KILLED).await? {
            let message = format!("the gateway (pid {pid}) outlives SIGKILL: its disk may hang");
            return Err(Failure::new(ExitCode::Failed, message));
        }
    }
    if supervised {
        output::note(
            "it ran under systemd, which may start it again; `systemctl stop` keeps it down",
        );
    }
    output::data(&format!("stopped: pid {pid}"))
}

async fn is_supervised(dir: &Path) -> bool {
    let Ok(link) = LinkClient::open(dir) else { return false };
    let status = link.get(&["v1", "status"]).await;
    status.is_ok_and(|(_, status)| status["process"]["systemd"] == true)
}

/// Signals the holder, if it still is the holder: process ids are used again.
fn signal(dir: &Path, holder: Holder, signal: Signal) -> Result<i32, Failure> {
    let now = state_dir::holder(dir)?;
    if now != Some(holder) {
        return Err(not_running(dir));
    }
    let pid = holder.pid.and_then(Pid::from_raw);
    let Some(pid) = pid else {
        let message = "the gateway is just starting; try again in a moment";
        return Err(Failure::new(ExitCode::Failed, message));
    };
    kill_process(pid, signal).map_err(|e| {
        let pid = pid.as_raw_nonzero();
        let message =
            format!("cannot signal the gateway (pid {pid}): {e}; do it as the user who runs it");
        Failure::new(ExitCode::Failed, message)
    })?;
    Ok(pid.as_raw_nonzero().get())
}

async fn is_gone(dir: &Path, holder: Holder, patience: Duration) -> Result<bool, Failure> {
    let start = Instant::now();
    loop {
        if state_dir::holder(dir)? != Some(holder) {
            return Ok(true);
        }
        if start.elapsed() > patience {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}
