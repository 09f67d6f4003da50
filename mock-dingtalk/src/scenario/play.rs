//! Playing a scenario against the bot of an app.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Deed, Scenario, Stage, act::Act};
use crate::core::SaidState;

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
    /// Plays it against the bot that is, or will be, connected to an app, which was minted with
    /// [`Scenario::app_options`] or [`Scenario::app_body`].
    pub async fn play(
        &self,
        stage: impl Into<Stage>,
        subject: &mut impl Subject,
    ) -> Result<(), Failure> {
        let stage = stage.into();
        let mut pushes = BTreeMap::new();
        for (step, line) in self.steps.iter().enumerate() {
            let broken = |why: String| Failure::Broken { step, why };
            match &line.deed {
                Deed::Act(Act::Restart) => subject.restart().await.map_err(broken)?,
                Deed::Act(act) => {
                    let said = stage.carry_out(act, &line.body).await;
                    let said = said.map_err(|error| broken(error.to_string()))?;
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
                    match stage.wait(what, patience, &pushes).await {
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
