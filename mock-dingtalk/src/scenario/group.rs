//! The processes of a bot.

use std::io;
#[cfg(unix)]
use std::time::Duration;

use tokio::process::{Child, Command};

/// What was killed may take so long to be gone.
#[cfg(unix)]
const BURIAL: Duration = Duration::from_secs(2);
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(5);

/// A process, and whatever it starts: they are one process group, which is killed when this is dropped.
///
/// Elsewhere than on Unix it is the process alone.
#[derive(Debug)]
pub struct ProcessGroup {
    /// Its first process.
    pub child: Child,
    /// It stands while one of them lives, whatever became of the first.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

impl ProcessGroup {
    /// Starts a command in a group of its own.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn()?;
        #[cfg(unix)]
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        Ok(Self {
            child,
            #[cfg(unix)]
            group,
        })
    }

    /// Asks all of them to end (SIGTERM).
    pub fn terminate(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
    }

    /// Kills all of them.
    pub async fn kill(&mut self) {
        self.kill_others();
        // One that cannot be killed is none of ours.
        let _ = self.child.kill().await;
    }

    /// Kills all of them, and waits up to 2 s until nothing is left that holds a lock or a port.
    pub async fn bury(&mut self) {
        self.kill().await;
        #[cfg(unix)]
        if let Some(group) = self.group {
            let gone = async {
                // Only the process table tells, and it tells nobody by itself.
                while rustix::process::test_kill_process_group(group).is_ok() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            // Where nobody collects the dead they stay in the table.
            if tokio::time::timeout(BURIAL, gone).await.is_ok() {
                self.group = None;
            }
        }
    }

    fn kill_others(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(group) = self.group {
            // It may be gone.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill_others();
    }
}
