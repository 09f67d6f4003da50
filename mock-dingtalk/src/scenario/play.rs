//! Playing a scenario against the bot of an app.

use std::{collections::BTreeMap, process::ExitStatus, time::Duration};

use thiserror::Error;

use super::{
    Deed, Push, Scenario, Subject,
    act::{Act, PushAct, To},
    expectation::{Expectation, NoFindings},
    rows::Gap,
};
use crate::{
    core::{CardPress, Media, Said, SaidState, Turn},
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

impl Scenario {
    /// Plays it against the bot that is, or will be, connected to `app`, which was minted with
    /// [`Scenario::app_options`].
    pub async fn play(&self, app: &App, subject: &mut impl Subject) -> Result<(), Failure> {
        let mut known = Known { files: self.files(), ..Known::default() };
        for (step, line) in self.steps.iter().enumerate() {
            let broken = |why: String| Failure::Broken { step, why };
            let unmet = |what: String| Failure::Unmet { step, what };
            match &line.deed {
                Deed::Act(Act::Restart) => subject.restart().await.map_err(broken)?,
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
                    let said = act.carry_out(app).await.map_err(|e| broken(e.to_string()))?;
                    let Some(said) = said else { continue };
                    if said.state == SaidState::Lost {
                        return Err(unmet("nobody is connected to take the push".to_owned()));
                    }
                    if let Some(name) = &line.name {
                        known.pushes.insert(name.as_str(), said);
                    }
                }
                Deed::Expect { within, what: Expectation::Asked(asked) } => {
                    let patience = within.unwrap_or(self.patience);
                    let model = subject.model().ok_or_else(|| broken(NO_MODEL.to_owned()))?;
                    asked.wait(model, patience).await.map_err(unmet)?;
                }
                Deed::Expect { within, what } => {
                    let patience = within.unwrap_or(self.patience);
                    match what.wait(app, patience, &known).await {
                        Ok(None) => {}
                        Ok(Some(what)) => return Err(unmet(what)),
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

/// What steps call their pushes and files.
#[derive(Debug, Default)]
struct Known<'a> {
    pushes: BTreeMap<&'a str, Said>,
    files: BTreeMap<&'a str, &'a [Media]>,
}

impl Known<'_> {
    fn push(&self, act: &PushAct) -> Push {
        let target = match &act.to {
            To::Target(target) => target.clone(),
            To::ChatOf(name) => {
                let said = self.pushes.get(name.as_str());
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

impl Act {
    /// Does it. A push says what became of it.
    async fn carry_out(&self, app: &App) -> Result<Option<Said>, MockError> {
        match self {
            Self::Message(speech) => return app.speak(speech).await.map(Some),
            Self::Fixture(name) => return app.push_fixture(name).map(Some),
            Self::Event(event) => return app.event(event).map(Some),
            Self::Callback(callback) => return app.callback(callback).map(Some),
            Self::Press(press) => return app.press(press).await.map(Some),
            Self::PressLast(press) => {
                let out_track_id = last_card(app)?;
                let press = CardPress { out_track_id, ..press.clone() };
                return app.press(&press).await.map(Some);
            }
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
            // The caller has the process and what is around it.
            Self::Restart | Self::Stop { .. } | Self::Push(_) | Self::Release(_) => {}
        }
        Ok(None)
    }
}

/// The card that was shown last; empty where there is none, which no verb takes.
fn last_card(app: &App) -> Result<String, MockError> {
    let rows = app.sent()?;
    let card = rows.iter().rev().find(|row| row.via == "card");
    let id = card.and_then(|row| row.raw["outTrackId"].as_str());
    Ok(id.unwrap_or_default().to_owned())
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
        known: &Known<'_>,
    ) -> Result<Option<String>, MockError> {
        if let Self::NoFindings(wanted) = self {
            return wanted.broken_by(app);
        }
        let said = self.push().and_then(|name| known.pushes.get(name.as_str()));
        let fits = |app: &crate::core::App| match (self, said) {
            (Self::Acked(acked), Some(said)) => acked.fits(app, said),
            (Self::Sent(sent), said) => sent.fits(app, said, &known.files),
            (Self::Cards(cards), said) => cards.fits(app, said),
            (Self::Connections(connections), _) => connections.fits(app),
            (Self::Acked(acked), None) => {
                Err(Gap::Never(format!("nothing was pushed as `{}`", acked.of)))
            }
            // These are not about rows.
            (Self::NoFindings(_) | Self::Asked(_), _) => Ok(()),
        };
        let settled = |app: &crate::core::App| match fits(app) {
            Ok(()) => Some(None),
            Err(Gap::Never(what)) => Some(Some(what)),
            Err(Gap::NotYet(_)) => None,
        };
        if let Some(end) = app.hub.wait(app.client_id(), patience, settled).await? {
            return match self {
                Self::Cards(cards) if end.is_none() => {
                    Ok(cards.too_many(app.journal()?.iter().map(AsRef::as_ref)))
                }
                _ => Ok(end),
            };
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
