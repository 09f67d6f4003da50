//! Playing a scenario against the bot of an app.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;

use super::{
    Deed, Scenario,
    act::Act,
    expectation::{Expectation, NoFindings},
    rows::Gap,
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
        let mut pushes = BTreeMap::new();
        for (step, line) in self.steps.iter().enumerate() {
            let broken = |why: String| Failure::Broken { step, why };
            match &line.deed {
                Deed::Act(Act::Restart) => subject.restart().await.map_err(broken)?,
                Deed::Act(act) => {
                    let said = act.carry_out(app).await.map_err(|e| broken(e.to_string()))?;
                    let Some(said) = said else { continue };
                    if said.state == SaidState::Lost {
                        let what = "nobody is connected to take the push".to_owned();
                        return Err(Failure::Unmet { step, what });
                    }
                    if let Some(name) = &line.name {
                        pushes.insert(name.as_str(), said);
                    }
                }
                Deed::Expect { within, what } => {
                    let patience = within.unwrap_or(self.patience);
                    match what.wait(app, patience, &pushes).await {
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

impl Act {
    /// Does it. A push says what became of it.
    async fn carry_out(&self, app: &App) -> Result<Option<Said>, MockError> {
        match self {
            Self::Message(speech) => return app.speak(speech).await.map(Some),
            Self::Fixture(name) => return app.push_fixture(name).map(Some),
            Self::Event(event) => return app.event(event).map(Some),
            Self::Callback(callback) => return app.callback(callback).map(Some),
            Self::Press(press) => return app.press(press).await.map(Some),
            Self::Frame(raw) => return app.push_raw(raw).map(Some),
            Self::Disconnect { reason, message_id } => {
                app.disconnect_with("all", reason, *message_id)?;
            }
            Self::Cut(how) => {
                app.cut("all", how)?;
            }
            Self::Fault(fault) => {
                app.fault(fault.clone())?;
            }
            Self::Preset(preset) => {
                app.preset(*preset)?;
            }
            Self::ClearFaults => {
                app.clear_faults()?;
            }
            Self::Clock(turn) => turn_clock(app, *turn)?,
            // The caller has the process.
            Self::Restart => {}
        }
        Ok(None)
    }
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
        pushes: &BTreeMap<&str, Said>,
    ) -> Result<Option<String>, MockError> {
        if let Self::NoFindings(wanted) = self {
            return wanted.broken_by(app);
        }
        let said = self.push().and_then(|name| pushes.get(name.as_str()));
        let fits = |app: &crate::core::App| match (self, said) {
            (Self::Acked(acked), Some(said)) => acked.fits(app, said),
            (Self::Sent(sent), said) => sent.fits(app, said),
            (Self::Connections(connections), _) => connections.fits(app),
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
