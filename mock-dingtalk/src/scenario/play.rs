//! Playing a scenario against the bot of an app.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use thiserror::Error;

use super::{
    Deed, Scenario,
    act::Act,
    expectation::{Expectation, NoFindings},
    peer::Peer,
    rows::{Gap, all_answered},
};
use crate::{
    core::{Said, SaidState, Turn},
    error::MockError,
    library::App,
};

/// Why a scenario did not come to its end. Steps are numbered from 0, as in the file.
#[derive(Debug, Error)]
pub enum Failure {
    /// The bot did not do what was expected.
    #[error("step {step}: {what}")]
    Unmet {
        /// The step.
        step: usize,
        /// What is missing or wrong.
        what: String,
    },
    /// The step itself could not be done, which says nothing about the bot.
    #[error("step {step} cannot be done: {why}")]
    Broken {
        /// The step.
        step: usize,
        /// Why.
        why: String,
    },
}

/// The process of a bot, as far as a scenario handles it.
pub trait Subject {
    /// Kills it and starts it again with the same state. The error says why that cannot be done.
    fn restart(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

impl Scenario {
    /// Plays it against the bot that is, or will be, connected to `app`, which was minted with
    /// [`Scenario::app_options`].
    pub async fn play(&self, app: &App, subject: &mut impl Subject) -> Result<(), Failure> {
        let mut so_far = SoFar::default();
        for (step, line) in self.steps.iter().enumerate() {
            let broken = |why: String| Failure::Broken { step, why };
            match &line.deed {
                Deed::Act(Act::Restart) => subject.restart().await.map_err(broken)?,
                Deed::Act(Act::Peer) => so_far.peers.push(Peer::join(app).await.map_err(broken)?),
                Deed::Act(Act::PeersLeave) => {
                    Peer::leave(app, &mut so_far.peers).await.map_err(broken)?;
                }
                Deed::Act(act) => {
                    if act.is_done_to_connections() {
                        let rows = app.connections().map_err(|e| broken(e.to_string()))?;
                        so_far.before = rows.into_iter().map(|row| row.connection_id).collect();
                    }
                    let done = act.carry_out(app).await.map_err(|e| broken(e.to_string()))?;
                    if !so_far.keep(line.name.as_deref(), done) {
                        let what = "nobody is connected to take the push".to_owned();
                        return Err(Failure::Unmet { step, what });
                    }
                }
                Deed::Expect { within, what } => {
                    let patience = within.unwrap_or(self.patience);
                    match what.wait(app, patience, &so_far).await {
                        Ok(None) => {}
                        Ok(Some(what)) => return Err(Failure::Unmet { step, what }),
                        Err(error) => return Err(broken(error.to_string())),
                    }
                }
            }
        }
        Ok(())
    }
}

/// What later steps refer to.
#[derive(Debug, Default)]
struct SoFar {
    /// Pushes that have a name.
    pushes: BTreeMap<String, Said>,
    /// Faults that have a name, by their ids.
    faults: BTreeMap<String, u64>,
    /// All that people have written.
    texts: Vec<(Said, String)>,
    peers: Vec<Peer>,
    /// The connections that were there when something was done to them last.
    before: BTreeSet<String>,
}

/// What came of an act.
enum Done {
    Nothing,
    /// Pushes, with their words if people wrote them.
    Pushed(Vec<(Said, Option<String>)>),
    /// A fault has this id.
    Broke(u64),
}

impl SoFar {
    /// False if a push found nobody.
    fn keep(&mut self, name: Option<&str>, done: Done) -> bool {
        let mut taken = true;
        match done {
            Done::Nothing => {}
            Done::Broke(id) => {
                self.faults.extend(name.map(|name| (name.to_owned(), id)));
            }
            Done::Pushed(pushes) => {
                for (said, text) in pushes {
                    taken &= said.state != SaidState::Lost;
                    self.texts.extend(text.map(|text| (said.clone(), text)));
                    self.pushes.extend(name.map(|name| (name.to_owned(), said)));
                }
            }
        }
        taken
    }
}

impl Act {
    fn is_done_to_connections(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Disconnect { .. } | Self::Preset(_))
    }

    /// Does it.
    async fn carry_out(&self, app: &App) -> Result<Done, MockError> {
        let push = |said: Said| Done::Pushed(vec![(said, None)]);
        Ok(match self {
            Self::Message(speech) => {
                let said = app.speak(speech).await?;
                Done::Pushed(vec![(said, speech.content.text.clone())])
            }
            Self::Burst { speech, count } => {
                let mut speech = speech.clone();
                let words = speech.content.text.take().unwrap_or_default();
                let mut pushes = Vec::new();
                for number in 1..=*count {
                    let text = format!("{words} {number}");
                    speech.content.text = Some(text.clone());
                    pushes.push((app.speak(&speech).await?, Some(text)));
                }
                Done::Pushed(pushes)
            }
            Self::Fixture(name) => push(app.push_fixture(name)?),
            Self::Event(event) => push(app.event(event)?),
            Self::Callback(callback) => push(app.callback(callback)?),
            Self::Press(press) => push(app.press(press).await?),
            Self::Frame(raw) => push(app.push_raw(raw)?),
            Self::Disconnect { reason, message_id, closes } => {
                disconnect(app, reason, *message_id, *closes)?;
                Done::Nothing
            }
            Self::Cut(how) => {
                app.cut("all", how)?;
                Done::Nothing
            }
            Self::Fault(fault) => Done::Broke(app.fault(fault.clone())?.id),
            Self::Preset(preset) => {
                app.preset(*preset)?;
                Done::Nothing
            }
            Self::ClearFaults => {
                app.clear_faults()?;
                Done::Nothing
            }
            Self::Clock(turn) => {
                turn_clock(app, *turn)?;
                Done::Nothing
            }
            // The caller has the processes.
            Self::Restart | Self::Peer | Self::PeersLeave => Done::Nothing,
        })
    }
}

fn disconnect(app: &App, reason: &str, message_id: bool, closes: bool) -> Result<(), MockError> {
    app.act(|app, cx| {
        for key in app.named("all")? {
            if let Some(connection) = app.connections.get_mut(&key) {
                connection.stays = !closes;
            }
            app.disconnect(cx, key, reason, message_id);
        }
        Ok(())
    })
}

fn turn_clock(app: &App, turn: Turn) -> Result<(), MockError> {
    app.hub.turn_clock(Some(app.client_id()), turn)?;
    Ok(())
}

impl Expectation {
    /// Waits until it is met. `Some` says what is missing or wrong.
    async fn wait(
        &self,
        app: &App,
        patience: Duration,
        so_far: &SoFar,
    ) -> Result<Option<String>, MockError> {
        if let Self::NoFindings(wanted) = self {
            return wanted.broken_by(app);
        }
        let said = self.push().and_then(|name| so_far.pushes.get(name));
        let fault = self.fault().and_then(|name| so_far.faults.get(name).copied());
        let fits = |app: &crate::core::App| match (self, said) {
            (Self::Acked(acked), Some(said)) => acked.fits(app, said),
            (Self::Sent(sent), said) => sent.fits(app, said),
            (Self::Connections(connections), _) => connections.fits(app, &so_far.before),
            (Self::AllAnswered, _) => all_answered(app, &so_far.texts),
            (Self::Hit(hit), _) => hit.fits(app, fault),
            (Self::Acked(acked), None) => {
                Err(Gap::Never(format!("nothing was pushed as `{}`", acked.of)))
            }
            (Self::NoFindings(_), _) => Ok(()),
        };
        let settled = |app: &crate::core::App| match fits(app) {
            Ok(()) => Some(None),
            Err(Gap::Never(what)) => Some(Some(what)),
            Err(Gap::NotYet(_)) => None,
        };
        if let Some(end) = app.hub.wait(app.client_id(), patience, settled).await? {
            return Ok(end);
        }
        Ok(match app.look(fits)? {
            Ok(()) => None,
            Err(Gap::Never(what)) => Some(what),
            Err(Gap::NotYet(what)) => Some(format!("after {patience:?}: {what}")),
        })
    }
}

impl NoFindings {
    fn broken_by(&self, app: &App) -> Result<Option<String>, MockError> {
        let counts = |rule: &str| self.rules.is_empty() || self.rules.iter().any(|r| r == rule);
        let found = app
            .findings()?
            .into_iter()
            .find(|finding| finding.severity >= self.severity && counts(finding.rule));
        Ok(found.map(|found| format!("finding {}: {}", found.rule, found.message)))
    }
}
