//! Starts processes that take the place of the one before, and stays as a thin parent of whichever works, so
//! that a shell, a container or a supervisor sees one process all the time.
//!
//! Every one of them is a child of the first: however often one follows another, there are two.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;
use tracing::{info, warn};

use super::VARIABLE;
use super::wire::{self, Ear, Mouth};
use super::words::{Down, Event, Request, Up};
use crate::cli::signals::{HANGUP, Heard, Signals};

/// A process that was told twice to end gets so long.
const LAST: Duration = Duration::from_secs(2);
/// One that has said all it has to say ends so soon.
const ENDS: Duration = Duration::from_secs(1);

/// The children.
#[derive(Debug, Default)]
pub(in crate::cli::gateway) struct Keeper {
    /// The one that works, if it is not this process itself.
    current: Option<Kid>,
    /// The one that is to take its place.
    next: Option<Kid>,
}

#[derive(Debug)]
struct Kid {
    child: Child,
    ear: Ear,
    mouth: Mouth,
}

impl Keeper {
    /// Does what the process at work asks for.
    pub(super) async fn obey(&mut self, request: Request) {
        match request {
            Request::Start => {
                self.abandon().await;
                match Kid::start() {
                    Ok(kid) => self.next = Some(kid),
                    Err(e) => {
                        if let Some(current) = &mut self.current {
                            current.mouth.say(&Down::Successor(Event::Ended(e))).await;
                        }
                    }
                }
            }
            Request::Tell(order) => {
                if let Some(next) = &mut self.next {
                    next.mouth.say(&Down::Order(order)).await;
                }
            }
            Request::Abandon => {
                self.abandon().await;
                if let Some(current) = &mut self.current {
                    current.mouth.say(&Down::Successor(Event::Abandoned)).await;
                }
            }
            Request::Succeeded => {
                let next = self.next.take();
                if let Some(mut old) = std::mem::replace(&mut self.current, next) {
                    // It ends by itself.
                    tokio::spawn(async move { old.child.wait().await });
                }
            }
        }
    }

    /// Starts one for this very process.
    pub(super) fn start(&mut self) -> Result<(), String> {
        self.next = Some(Kid::start()?);
        Ok(())
    }

    /// What is heard of the next one; waits where there is none.
    ///
    /// Can be dropped at any time.
    pub(super) async fn event(&mut self) -> Event {
        heard_of(&mut self.next).await
    }

    /// Waits for the end of whichever works, and hands on signals; returns what to exit with.
    pub(super) async fn keep(mut self, mut signals: Signals) -> i32 {
        let mut asked = 0;
        let mut kill_at = None;
        loop {
            let Some(current) = &mut self.current else { return 0 };
            let step = tokio::select! {
                heard = signals.heard() => Step::Signal(heard),
                word = current.ear.hear() => Step::Word(word),
                event = heard_of(&mut self.next) => Step::Next(event),
                () = at(kill_at), if kill_at.is_some() => Step::Kill,
            };
            match step {
                Step::Signal(heard) => {
                    let number = match heard {
                        Heard::End(number) => number,
                        Heard::Reload => HANGUP,
                    };
                    asked += u32::from(heard != Heard::Reload);
                    if asked == 2 {
                        kill_at = Some(Instant::now() + LAST);
                    }
                    current.mouth.say(&Down::Signal(number)).await;
                }
                Step::Word(Some(Up::Request(request))) => self.obey(request).await,
                // It works by now, and that was told to the one before it.
                Step::Word(Some(Up::Report(_))) => {}
                Step::Word(None) => {
                    let status = current.child.wait().await;
                    self.abandon().await;
                    return status.map_or(1, code);
                }
                Step::Next(event) => current.mouth.say(&Down::Successor(event)).await,
                Step::Kill => {
                    warn!("it was told twice to end, and does not: it is killed");
                    let _ = current.child.start_kill();
                    kill_at = None;
                }
            }
        }
    }

    async fn abandon(&mut self) {
        if let Some(mut next) = self.next.take() {
            // Killed at once: what it holds must be free before anything else goes on.
            let _ = next.child.kill().await;
        }
    }
}

enum Step {
    Signal(Heard),
    Word(Option<Up>),
    Next(Event),
    Kill,
}

async fn heard_of(next: &mut Option<Kid>) -> Event {
    let Some(kid) = next else { return std::future::pending().await };
    while let Some(word) = kid.ear.hear().await {
        match word {
            Up::Report(report) => return Event::Report(report),
            Up::Request(request) => warn!(?request, "it is not at work yet"),
        }
    }
    let status = kid.ended().await;
    *next = None;
    Event::Ended(format!("it ended with {status} before it had taken over"))
}

impl Kid {
    /// The program of this process as it is on disk now, with the same arguments.
    fn start() -> Result<Self, String> {
        let program = program()?;
        let failed = |e: io::Error| format!("{} cannot be run: {e}", program.display());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new(&program)
            .args(std::env::args_os().skip(1))
            .env(VARIABLE, "1")
            // They name this process.
            .env_remove("WATCHDOG_PID")
            .env_remove("SYSTEMD_EXEC_PID")
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .map_err(failed)?;
        let (ear, mouth) = wire::halves(ours).map_err(failed)?;
        info!(pid = child.id(), "a process was started to take this one's place");
        Ok(Self { child, ear, mouth })
    }

    /// One that says nothing any more is about to end.
    async fn ended(&mut self) -> String {
        match tokio::time::timeout(ENDS, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(e)) => e.to_string(),
            Err(_) => {
                let _ = self.child.kill().await;
                "its standard input closed".to_owned()
            }
        }
    }
}

/// What a process exits with that ends as its child did.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The program of this process; where another one is in its place, that.
fn program() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| format!("where is its program? {e}"))?;
    // What was replaced by an update is called so.
    let name = program.to_string_lossy();
    let program = name.strip_suffix(" (deleted)").map_or(program.clone(), PathBuf::from);
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("its program {} is not there any more", program.display()))
    }
}

async fn at(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment).await;
    }
}
