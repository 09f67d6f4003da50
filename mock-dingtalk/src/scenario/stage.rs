//! Where a scenario is played: on an app of this process, or on one of a mock that runs elsewhere.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{
    act::Act,
    base::Since,
    cards::updates,
    evidence::Evidence,
    expectation::{Expectation, NoFindings},
    play::{Done, Known},
    rows::{Fits, Gap, Seen, all_answered},
};
use crate::{
    core::{CardPress, ConnectionRow, Finding, Said, SentRow, Turn},
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

    /// Does an act, which stands in its file as `body`.
    pub(super) async fn carry_out(&self, act: &Act, body: &Value) -> Result<Done, MockError> {
        if let Act::PressLast(press) = act {
            let (act, body) = on_card(press, body, self.last_card().await?);
            return Box::pin(self.carry_out(&act, &body)).await;
        }
        match (self, act) {
            (_, Act::Burst(burst)) => {
                let mut pushes = Vec::new();
                for text in burst.texts() {
                    let said = match self {
                        Self::Here(app) => app.speak(&burst.speech(&text)).await?,
                        Self::There(app) => {
                            let mut body = body.clone();
                            body["count"] = Value::Null;
                            body["text"] = text.as_str().into();
                            read(app.call(&["messages"], Some(&body)).await?)?
                        }
                    };
                    pushes.push((said, Some(text)));
                }
                Ok(Done::Pushed(pushes))
            }
            (Self::Here(app), act) => act.carry_out(app).await,
            (Self::There(app), act) => {
                let Some(call) = act.call() else { return Ok(Done::Nothing) };
                let body = (!call.deletes).then_some(body);
                let answer = app.call(call.below, body).await?;
                Ok(match act {
                    Act::Message(speech) => {
                        Done::Pushed(vec![(read(answer)?, speech.content.text.clone())])
                    }
                    Act::Fault(_) => Done::Broke(answer["id"].as_u64().unwrap_or_default()),
                    _ if call.pushes => Done::Pushed(vec![(read(answer)?, None)]),
                    _ => Done::Nothing,
                })
            }
        }
    }

    /// All connections that the bot has made so far.
    pub(super) async fn connection_ids(&self) -> Result<BTreeSet<String>, MockError> {
        let (_, rows) = self.sent_and_connections().await?;
        Ok(rows.into_iter().map(|row| row.connection_id).collect())
    }

    /// Waits until `look` finds something, at most for `patience`.
    pub(super) async fn find<R>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&dyn Seen) -> Option<R>,
    ) -> Result<Option<R>, MockError> {
        Ok(match self {
            Self::Here(app) => app.hub.wait(app.client_id(), patience, |app| look(app)).await?,
            Self::There(app) => app.wait(patience, |rows| look(rows)).await?,
        })
    }

    /// The card that was shown last; empty where there is none, which no verb takes.
    async fn last_card(&self) -> Result<String, MockError> {
        let (rows, _) = self.sent_and_connections().await?;
        let card = rows.iter().rev().find(|row| row.via == "card");
        let id = card.and_then(|row| row.raw["outTrackId"].as_str());
        Ok(id.unwrap_or_default().to_owned())
    }

    /// What the robot said, and the connections that were made.
    pub(super) async fn sent_and_connections(
        &self,
    ) -> Result<(Vec<SentRow>, Vec<ConnectionRow>), MockError> {
        Ok(match self {
            Self::Here(app) => (app.sent()?, app.connections()?),
            Self::There(app) => {
                let rows = app.rows().await?;
                (rows.sent, rows.connections)
            }
        })
    }

    pub(super) async fn findings(&self) -> Result<Vec<Finding>, MockError> {
        match self {
            Self::Here(app) => app.findings(),
            Self::There(app) => Ok(app.findings().await?),
        }
    }

    /// What there is instead of what was expected. It says nothing of a mock that has gone.
    pub(super) async fn evidence(
        &self,
        wanted: &Expectation,
        body: &Value,
        known: &Known<'_>,
    ) -> Result<Evidence, MockError> {
        let findings = known.base.findings(self.findings().await?);
        let of = |seen: &dyn Seen| {
            let since = Since { seen, base: &known.base };
            Evidence::of(wanted, body, &since, &findings, &known.pushes)
        };
        Ok(match self {
            Self::Here(app) => app.look(|app| of(app))?,
            Self::There(app) => of(&app.rows().await?),
        })
    }

    /// Waits until it is met. `Some` says what is missing or wrong.
    pub(super) async fn wait(
        &self,
        wanted: &Expectation,
        patience: Duration,
        known: &Known<'_>,
    ) -> Result<Option<String>, MockError> {
        if let Expectation::NoFindings(wanted) = wanted {
            return Ok(wanted.broken_by(&known.base.findings(self.findings().await?)));
        }
        let settled = |seen: &dyn Seen| match wanted.fits(seen, known) {
            Ok(()) => Some(None),
            Err(Gap::Never(what)) => Some(Some(what)),
            Err(Gap::NotYet(_)) => None,
        };
        if let Some(end) = self.find(patience, settled).await? {
            return match wanted {
                Expectation::Cards(cards) if end.is_none() && cards.counts_updates() => {
                    Ok(cards.too_many(known.base.updates(updates(&self.journal().await?))))
                }
                _ => Ok(end),
            };
        }
        let last = match self {
            Self::Here(app) => app.look(|app| wanted.fits(app, known))?,
            Self::There(app) => wanted.fits(&app.rows().await?, known),
        };
        Ok(match last {
            Ok(()) => None,
            Err(Gap::Never(what)) => Some(what),
            Err(Gap::NotYet(what)) => Some(format!("after {patience:?}: {what}")),
        })
    }
}

impl Expectation {
    /// Whether rows are as it wants them.
    fn fits(&self, seen: &dyn Seen, known: &Known<'_>) -> Fits {
        let seen = &Since { seen, base: &known.base };
        let said = self.push().and_then(|name| known.pushes.get(name));
        match (self, said) {
            (Self::Acked(acked), Some(said)) => acked.fits(seen, said),
            (Self::Sent(sent), said) => sent.fits(seen, said, &known.files),
            (Self::Cards(cards), said) => cards.fits(seen, said),
            (Self::Connections(connections), _) => connections.fits(seen, &known.before),
            (Self::AllAnswered, _) => all_answered(seen, &known.texts),
            (Self::Hit(hit), _) => hit.fits(seen, known.faults.get(&hit.of).copied()),
            (Self::Acked(acked), None) => {
                Err(Gap::Never(format!("nothing was pushed as `{}`", acked.of)))
            }
            // They are not about rows.
            (Self::NoFindings(_) | Self::Asked(_), _) => Ok(()),
        }
    }
}

impl Act {
    /// Does it.
    async fn carry_out(&self, app: &App) -> Result<Done, MockError> {
        let push = |said: Said| Ok(Done::Pushed(vec![(said, None)]));
        match self {
            Self::Message(speech) => {
                let said = app.speak(speech).await?;
                return Ok(Done::Pushed(vec![(said, speech.content.text.clone())]));
            }
            Self::Fixture(name) => return push(app.push_fixture(name)?),
            Self::Event(event) => return push(app.event(event)?),
            Self::Callback(callback) => return push(app.callback(callback)?),
            Self::Press(card) => return push(app.press(card).await?),
            Self::Frame(raw) => return push(app.push_raw(raw)?),
            Self::Fault(fault) => return Ok(Done::Broke(app.fault(fault.clone())?.id)),
            Self::Disconnect { reason, message_id, closes } => {
                disconnect(app, reason, *message_id, *closes)?;
            }
            Self::Cut(how) => {
                app.cut("all", how)?;
            }
            Self::Preset(preset) => {
                app.preset(*preset)?;
            }
            Self::ClearFaults => {
                app.clear_faults()?;
            }
            Self::RevokeToken => {
                app.revoke_token()?;
            }
            Self::Clock(turn) => turn_clock(app, *turn)?,
            // The stage speaks each message of a burst, and the player has the processes and what is
            // around them, and knows the card.
            Self::Burst(_)
            | Self::Restart
            | Self::Stop { .. }
            | Self::Push(_)
            | Self::Release(_)
            | Self::PressLast(_)
            | Self::Peer
            | Self::PeersLeave => {}
        }
        Ok(Done::Nothing)
    }
}

fn disconnect(app: &App, reason: &str, message_id: bool, closes: bool) -> Result<(), MockError> {
    app.act(|app, cx| {
        for key in app.named("all")? {
            app.announce_end(cx, key, reason, message_id, closes);
        }
        Ok(())
    })
}

/// A press on this card, and how it stands in a call.
fn on_card(press: &CardPress, body: &Value, out_track_id: String) -> (Act, Value) {
    let mut body = body.clone();
    body["outTrackId"] = out_track_id.as_str().into();
    (Act::Press(CardPress { out_track_id, ..press.clone() }), body)
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
