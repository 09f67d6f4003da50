//! Playing a scenario against the bot of an app.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Deed, Scenario, Stage, act::Act, peer::Peer};
use crate::core::{Said, SaidState};

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
        let mut so_far = SoFar::default();
        for (step, line) in self.steps.iter().enumerate() {
            let broken = |why: String| Failure::Broken { step, why };
            match &line.deed {
                Deed::Act(Act::Restart) => subject.restart().await.map_err(broken)?,
                Deed::Act(Act::Peer) => {
                    so_far.peers.push(Peer::join(&stage).await.map_err(broken)?);
                }
                Deed::Act(Act::PeersLeave) => {
                    Peer::leave(&stage, &mut so_far.peers).await.map_err(broken)?;
                }
                Deed::Act(act) => {
                    if act.is_done_to_connections() {
                        let ids = stage.connection_ids().await;
                        so_far.before = ids.map_err(|error| broken(error.to_string()))?;
                    }
                    let done = stage.carry_out(act, &line.body).await;
                    let done = done.map_err(|error| broken(error.to_string()))?;
                    if !so_far.keep(line.name.as_deref(), done) {
                        let what = "nobody is connected to take the push".to_owned();
                        return Err(Failure::Unmet { step, what });
                    }
                }
                Deed::Expect { within, what } => {
                    let patience = within.unwrap_or(self.patience);
                    match stage.wait(what, patience, &so_far).await {
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
pub(super) struct SoFar {
    /// Pushes that have a name.
    pub(super) pushes: BTreeMap<String, Said>,
    /// Faults that have a name, by their ids.
    pub(super) faults: BTreeMap<String, u64>,
    /// All that people have written.
    pub(super) texts: Vec<(Said, String)>,
    /// The connections that were there when something was done to them last.
    pub(super) before: BTreeSet<String>,
    peers: Vec<Peer>,
}

/// What came of an act.
#[derive(Debug)]
pub(super) enum Done {
    Nothing,
    /// Pushes, with their words if a person wrote them.
    Pushed(Vec<(Said, Option<String>)>),
    /// There is a fault with this id.
    Broke(u64),
}

impl SoFar {
    /// False if a push found nobody.
    fn keep(&mut self, name: Option<&str>, done: Done) -> bool {
        let mut taken = true;
        match done {
            Done::Nothing => {}
            Done::Broke(id) => self.faults.extend(name.map(|name| (name.to_owned(), id))),
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
