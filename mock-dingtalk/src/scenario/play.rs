//! Playing a scenario against the bot of an app.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitStatus,
    time::Duration,
};

use thiserror::Error;

use super::{
    Deed, Evidence, Push, Scenario, Stage, Step, Subject,
    act::{Act, PushAct, To},
    base::Base,
    expectation::Expectation,
    peer::Peer,
};
use crate::core::{Media, Said, SaidState};

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

/// How long a bot may take until its first connection, whatever the scenario says: how fast a program
/// starts on a busy machine is not what is judged.
const START: Duration = Duration::from_secs(30);

impl Scenario {
    /// Plays it against the bot that is, or will be, connected to an app, which was minted with
    /// [`Scenario::app_options`] or [`Scenario::app_body`].
    pub async fn play(
        &self,
        stage: impl Into<Stage>,
        subject: &mut impl Subject,
    ) -> Result<(), Failure> {
        self.play_with(stage, subject, &mut Evidence::default()).await
    }

    /// The same. Where an expectation is not met, `evidence` gets it and what was seen instead.
    pub async fn play_with(
        &self,
        stage: impl Into<Stage>,
        subject: &mut impl Subject,
        evidence: &mut Evidence,
    ) -> Result<(), Failure> {
        let stage = stage.into();
        let counts_updates = |step: &Step| match &step.deed {
            Deed::Expect { what: Expectation::Cards(cards), .. } => cards.counts_updates(),
            _ => false,
        };
        let base = Base::of(&stage, self.steps.iter().any(counts_updates)).await;
        let base = base.map_err(|error| Failure::Broken { step: 0, why: error.to_string() })?;
        let mut known = Known { files: self.files(), base, ..Known::default() };
        for (step, line) in self.steps.iter().enumerate() {
            let broken = |why: String| Failure::Broken { step, why };
            let unmet = |what: String| Failure::Unmet { step, what };
            match &line.deed {
                Deed::Act(Act::Restart) => subject.restart().await.map_err(broken)?,
                Deed::Act(Act::Peer) => {
                    known.peers.push(Peer::join(&stage).await.map_err(broken)?);
                }
                Deed::Act(Act::PeersLeave) => {
                    Peer::leave(&stage, &mut known.peers).await.map_err(broken)?;
                }
                Deed::Act(Act::Stop { within, status }) => {
                    let within = within.unwrap_or(self.patience);
                    let ended = subject.stop(within).await.map_err(broken)?;
                    ended_with(ended, within, |code| code == *status).map_err(unmet)?;
                }
                Deed::Act(Act::Push(push)) => {
                    let within = push.within.unwrap_or(self.patience);
                    let ended = subject.push(&known.push(push), within).await.map_err(broken)?;
                    ended_with(ended, within, |code| (code != 0) == push.refused)
                        .map_err(|what| unmet(format!("the command for pushes {what}")))?;
                }
                Deed::Act(Act::Release(hold)) => {
                    let model = subject.model().ok_or_else(|| broken(NO_MODEL.to_owned()))?;
                    model.release(hold);
                }
                Deed::Act(act) => {
                    if let (Act::Message(speech), Some(model)) = (act, subject.model()) {
                        model.hear(speech.content.text.as_deref().unwrap_or_default());
                    }
                    if let (Act::Burst(burst), Some(model)) = (act, subject.model()) {
                        burst.texts().for_each(|text| model.hear(&text));
                    }
                    if act.is_done_to_connections() {
                        let ids = stage.connection_ids().await;
                        known.before = ids.map_err(|error| broken(error.to_string()))?;
                    }
                    let done = stage.carry_out(act, &line.body).await;
                    let done = done.map_err(|error| broken(error.to_string()))?;
                    if !known.keep(line.name.as_deref(), done) {
                        return Err(unmet("nobody is connected to take the push".to_owned()));
                    }
                }
                Deed::Expect { within, what: Expectation::Asked(asked) } => {
                    let patience = within.unwrap_or(self.patience);
                    let model = subject.model().ok_or_else(|| broken(NO_MODEL.to_owned()))?;
                    asked.wait(model, patience).await.map_err(unmet)?;
                }
                Deed::Expect { within, what } => {
                    let mut patience = within.unwrap_or(self.patience);
                    if step == 0 && within.is_none() && what.waits_for_a_start() {
                        patience = patience.max(START);
                    }
                    if let Some(name) = known.lacks(what) {
                        return Err(broken(format!(
                            "no earlier step came to anything as `{name}`"
                        )));
                    }
                    let waited = stage.wait(what, patience, &known);
                    let waited = if step == 0 && what.waits_for_a_start() {
                        tokio::select! {
                            biased;
                            waited = waited => waited,
                            status = subject.ended() => {
                                Ok(Some(format!("nobody connected; the bot had ended: {status}")))
                            }
                        }
                    } else {
                        waited.await
                    };
                    match waited {
                        Ok(None) => {}
                        Ok(Some(missing)) => {
                            let seen = stage.evidence(what, &line.body, &known).await;
                            *evidence = seen.map_err(|error| broken(error.to_string()))?;
                            return Err(unmet(missing));
                        }
                        Err(error) => return Err(broken(error.to_string())),
                    }
                }
            }
        }
        Ok(())
    }

    /// The files that steps bring, by the names of the steps.
    fn files(&self) -> BTreeMap<&str, &[Media]> {
        let named = self.steps.iter().filter_map(|step| match (&step.name, &step.deed) {
            (Some(name), Deed::Act(act)) => Some((name.as_str(), act.files())),
            _ => None,
        });
        named.collect()
    }
}

const NO_MODEL: &str = "whoever plays this has no model behind the bot";

/// What later steps refer to.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// Pushes that have a name.
    pub(super) pushes: BTreeMap<String, Said>,
    /// Files, by the names of the steps that bring them.
    pub(super) files: BTreeMap<&'a str, &'a [Media]>,
    /// Faults that have a name, by their ids.
    pub(super) faults: BTreeMap<String, u64>,
    /// All that people have written.
    pub(super) texts: Vec<(Said, String)>,
    /// What was there before, and does not count.
    pub(super) base: Base,
    /// The connections that were there when something was done to them last.
    pub(super) before: BTreeSet<String>,
    peers: Vec<Peer>,
}

impl Known<'_> {
    /// The name that an expectation is about, if nothing has it.
    fn lacks<'e>(&self, what: &'e Expectation) -> Option<&'e String> {
        let push = what.push().filter(|name| !self.pushes.contains_key(*name));
        push.or_else(|| what.fault().filter(|name| !self.faults.contains_key(*name)))
    }

    fn push(&self, act: &PushAct) -> Push {
        let target = match &act.to {
            To::Target(target) => target.clone(),
            To::ChatOf(name) => {
                let said = self.pushes.get(name);
                format!("chat:{}", said.map_or("", |said| said.conversation_id.as_str()))
            }
        };
        Push::new(target, act.text.clone(), act.media.clone())
    }
}

/// Whether a process ended as it should. The error is a half-sentence.
fn ended_with(
    status: Option<ExitStatus>,
    within: Duration,
    wanted: impl FnOnce(i32) -> bool,
) -> Result<(), String> {
    match status {
        None => Err(format!("has not ended after {within:?}")),
        Some(status) if status.code().is_some_and(wanted) => Ok(()),
        Some(status) => Err(format!("ended with {status}")),
    }
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

impl Known<'_> {
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
