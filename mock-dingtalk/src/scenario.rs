//! Scenarios: a timeline of what people, the gateway and the network do to a bot, and of what has
//! to come of it, as a JSON file.
//!
//! Acts are written as the control API takes them, and read by its own readers.

mod act;
mod asked;
mod base;
mod cards;
mod evidence;
mod expectation;
mod files;
mod group;
mod model;
mod peer;
mod play;
mod read;
mod rows;
mod stage;
mod subject;

use std::{io, time::Duration};

use serde_json::{Map, Value};

pub(crate) use self::act::MAX_BURST;
use self::{act::Act, expectation::Expectation, model::Script};
pub use self::{
    evidence::Evidence,
    group::ProcessGroup,
    model::Model,
    play::Failure,
    stage::Stage,
    subject::{Push, Subject},
};
use crate::{control, core::AppOptions};

/// A scenario as its file tells it.
///
/// # Examples
///
/// ```
/// let text = r#"{
///     "title": "a bot connects",
///     "patience": "5s",
///     "steps": [{ "connections": { "open": 1 } }]
/// }"#;
/// let scenario = mock_dingtalk::Scenario::read(text)?;
/// assert_eq!(scenario.title, "a bot connects");
/// # Ok::<(), mock_dingtalk::VerbError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scenario {
    /// What it shows, in one sentence.
    pub title: String,
    /// Slugs of the requirements that it checks. The mock does not know them.
    pub checks: Vec<String>,
    /// Capabilities that a bot needs for it beside echoing texts. The mock does not know them.
    pub needs: Vec<String>,
    /// How long each expectation may take in real time, unless it says `within`.
    pub patience: Duration,
    app: AppOptions,
    app_body: Map<String, Value>,
    /// What the model behind the bot says, where there is one.
    model: Option<Script>,
    steps: Vec<Step>,
}

/// One line of the timeline.
#[derive(Debug, Clone)]
struct Step {
    /// What later steps call the push that this one makes.
    name: Option<String>,
    deed: Deed,
    /// What stands below the name of the deed, as the control API takes it.
    body: Value,
}

#[derive(Debug, Clone)]
enum Deed {
    Act(Act),
    Expect { within: Option<Duration>, what: Expectation },
}

impl Scenario {
    /// What the app has to be minted with.
    pub fn app_options(&self) -> AppOptions {
        self.app.clone()
    }

    /// The same with a part of its patience, `within` of its steps included.
    #[must_use]
    pub fn hurried(mut self, part: f64) -> Self {
        self.patience = self.patience.mul_f64(part);
        for step in &mut self.steps {
            if let Deed::Expect { within: Some(within), .. } = &mut step.deed {
                *within = within.mul_f64(part);
            }
        }
        self
    }

    /// The same as the body of `POST /_mock/apps`.
    pub fn app_body(&self) -> Map<String, Value> {
        self.app_body.clone()
    }

    /// Starts the model that its bot is to ask: with the lines of `model`, or one that repeats what it
    /// is asked. The error is that of the socket.
    pub async fn start_model(&self) -> io::Result<Model> {
        Model::start(&self.model.clone().unwrap_or_default()).await
    }

    /// What people say in it: `msgtype` and words of each message.
    pub fn spoken(&self) -> Vec<(String, String)> {
        let acts = self.steps.iter().filter_map(|step| match &step.deed {
            Deed::Act(act) => act.spoken(),
            Deed::Expect { .. } => None,
        });
        acts.collect()
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The JSON Schema (2020-12) of a scenario file.
    pub fn schema() -> Value {
        control::scenario_schema()
    }
}
