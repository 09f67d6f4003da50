//! Where a scenario is played: on an app of this process, or on one of a mock that runs elsewhere.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    act::Act,
    expectation::{Expectation, NoFindings},
    rows::{Fits, Gap, Seen},
};
use crate::{
    core::{Finding, Said, Turn},
    error::MockError,
    library::App,
    remote::{RemoteApp, read},
};

/// The app that a scenario is played on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Stage {
    /// Of a mock in this process.
    Here(App),
    /// Of a mock that runs elsewhere; it is reached by the control API alone.
    There(RemoteApp),
}

impl From<&App> for Stage {
    fn from(app: &App) -> Self {
        Self::Here(app.clone())
    }
}

impl From<&RemoteApp> for Stage {
    fn from(app: &RemoteApp) -> Self {
        Self::There(app.clone())
    }
}

impl From<&Self> for Stage {
    fn from(stage: &Self) -> Self {
        stage.clone()
    }
}

impl Stage {
    /// The variables that make a bot find the mock and be this app.
    pub async fn env(&self) -> Result<Vec<(String, String)>, MockError> {
        match self {
            Self::Here(app) => {
                Ok(app.env()?.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }
            Self::There(app) => Ok(app.env().await?),
        }
    }

    /// The app's journal as JSON lines, each secret replaced by a mark.
    pub async fn journal(&self) -> Result<String, MockError> {
        match self {
            Self::Here(app) => app.export_journal(true),
            Self::There(app) => Ok(app.export_journal().await?),
        }
    }

    /// Does an act, which stands in its file as `body`. A push says what became of it.
    pub(super) async fn carry_out(
        &self,
        act: &Act,
        body: &Value,
    ) -> Result<Option<Said>, MockError> {
        let app = match self {
            Self::Here(app) => return act.carry_out(app).await,
            Self::There(app) => app,
        };
        let Some(call) = act.call() else { return Ok(None) };
        let body = (!call.deletes).then_some(body);
        let answer = app.call(call.below, body).await?;
        Ok(if call.pushes { Some(read(answer)?) } else { None })
    }

    async fn findings(&self) -> Result<Vec<Finding>, MockError> {
        match self {
            Self::Here(app) => app.findings(),
            Self::There(app) => Ok(app.findings().await?),
        }
    }

    /// Waits until it is met. `Some` says what is missing or wrong.
    pub(super) async fn wait(
        &self,
        wanted: &Expectation,
        patience: Duration,
        pushes: &BTreeMap<&str, Said>,
    ) -> Result<Option<String>, MockError> {
        if let Expectation::NoFindings(wanted) = wanted {
            return Ok(wanted.broken_by(&self.findings().await?));
        }
        let said = wanted.push().and_then(|name| pushes.get(name.as_str()));
        let settled = |seen: &dyn Seen| match wanted.fits(seen, said) {
            Ok(()) => Some(None),
            Err(Gap::Never(what)) => Some(Some(what)),
            Err(Gap::NotYet(_)) => None,
        };
        let found = match self {
            Self::Here(app) => app.hub.wait(app.client_id(), patience, |app| settled(app)).await?,
            Self::There(app) => app.wait(patience, |rows| settled(rows)).await?,
        };
        if let Some(end) = found {
            return Ok(end);
        }
        let last = match self {
            Self::Here(app) => app.look(|app| wanted.fits(app, said))?,
            Self::There(app) => wanted.fits(&app.rows().await?, said),
        };
        Ok(match last {
            Ok(()) => None,
            Err(Gap::Never(what)) => Some(what),
            Err(Gap::NotYet(what)) => Some(format!("after {patience:?}: {what}")),
        })
    }
}

impl Expectation {
    /// Whether rows are as it wants them; `said` is the push that it names.
    fn fits(&self, seen: &dyn Seen, said: Option<&Said>) -> Fits {
        match (self, said) {
            (Self::Acked(acked), Some(said)) => acked.fits(seen, said),
            (Self::Sent(sent), said) => sent.fits(seen, said),
            (Self::Connections(connections), _) => connections.fits(seen),
            (Self::Acked(acked), None) => {
                Err(Gap::Never(format!("nothing was pushed as `{}`", acked.of)))
            }
            (Self::NoFindings(_), _) => Ok(()),
        }
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
            // The player has the process.
            Self::Restart => {}
        }
        Ok(None)
    }
}

fn turn_clock(app: &App, turn: Turn) -> Result<(), MockError> {
    app.hub.turn_clock(Some(app.client_id()), turn)?;
    Ok(())
}

impl NoFindings {
    fn broken_by(&self, findings: &[Finding]) -> Option<String> {
        let counts = |rule: &str| self.rules.is_empty() || self.rules.iter().any(|r| r == rule);
        let found = findings
            .iter()
            .find(|finding| finding.severity >= self.severity && counts(finding.rule));
        found.map(|found| format!("finding {}: {}", found.rule, found.message))
    }
}
