//! Does a run: what it sends is made once, kept, and sent.

use std::fmt;

use tracing::{error, info, warn};

use super::ScheduleError;
use super::scheduler::Scheduler;
use crate::agent::Say;
use crate::gateway::push::Target;
use crate::gateway::work::{Halt, keep_trying};
use crate::store::schedules::{RunId, RunState, Schedule, Task};

/// What runs are made of.
pub(super) trait Perform: fmt::Debug + Send + Sync + 'static {
    /// Asks the agent, in a session that is the run's own.
    fn ask(
        &self,
        schedule: &Schedule,
        run: RunId,
        prompt: &str,
    ) -> impl Future<Output = Result<Vec<Say>, String>> + Send;

    /// Sends. What was sent under the same key is not sent again.
    fn push(
        &self,
        to: Target,
        say: Say,
        key: String,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

impl<P: Perform> Scheduler<P> {
    /// Does a run to its end. `says` is what is to be sent, where that was known before a restart.
    pub(super) async fn perform(
        &self,
        schedule: &Schedule,
        run: RunId,
        says: Option<Vec<Say>>,
    ) -> Result<(), Halt> {
        let outcome = self.send(schedule, run, says).await?;
        let (state, detail) = match outcome {
            Ok(detail) => (RunState::Done, detail),
            Err(reason) => (RunState::Failed, Some(reason)),
        };
        let (schedule, name) = (schedule.id.0, schedule.name.as_deref());
        if let (RunState::Done, Some(detail)) = (state, &detail) {
            warn!(schedule, name, "a schedule was run, and nothing was sent: {detail}");
        } else if state == RunState::Done {
            info!(schedule, name, "a schedule was run");
        } else {
            let reason = detail.as_deref().unwrap_or_default();
            error!(schedule, name, "a scheduled run failed: {reason}");
        }
        let now = self.clock.now();
        keep_trying(|| self.store.end_run(run, state, detail.clone(), now)).await
    }

    async fn send(
        &self,
        schedule: &Schedule,
        run: RunId,
        says: Option<Vec<Say>>,
    ) -> Result<Result<Option<String>, String>, Halt> {
        let Ok(to) = schedule.to.parse::<Target>() else {
            return Ok(Err(ScheduleError::Target(schedule.to.clone()).to_string()));
        };
        let says = match (says, &schedule.task) {
            (Some(says), _) => says,
            (None, Task::Text(text)) => vec![Say::of_words(text.clone())],
            (None, Task::Agent(prompt)) => {
                let says = match self.performer.ask(schedule, run, prompt).await {
                    Ok(says) => says,
                    Err(reason) => return Ok(Err(format!("the agent failed: {reason}"))),
                };
                // An agent that is asked again may say something else.
                keep_trying(|| self.store.run_says(run, says.clone())).await?;
                says
            }
        };
        if says.is_empty() {
            return Ok(Ok(Some("the agent said nothing".to_owned())));
        }
        for (index, say) in says.into_iter().enumerate() {
            let key = format!("schedule {} run {} part {}", schedule.id.0, run.0, index + 1);
            if let Err(reason) = self.performer.push(to.clone(), say, key).await {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(None))
    }
}
