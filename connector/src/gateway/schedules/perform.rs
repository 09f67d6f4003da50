//! Runs of schedules as the robot does them: its agent answers, and what it says is pushed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::warn;

use super::super::listen::answer;
use super::super::push::{Delivery, Outcome, Push, Pusher, Target, What};
use super::run::Perform;
use crate::agent::{Agent, AgentError, Attempt, Say, Speaker, Standing, Turn, TurnId, Utterance};
use crate::protocol::{ConversationId, ConversationType};
use crate::store::schedules::{RunId, Schedule};

/// Does runs.
#[derive(Debug)]
pub(in crate::gateway) struct Robot {
    agent: Arc<dyn Agent>,
    pusher: Arc<Pusher>,
    pushes: watch::Sender<Pushes>,
}

/// What is being pushed.
#[derive(Debug, Default)]
struct Pushes {
    under_way: usize,
    /// None is begun any more.
    closed: bool,
}

/// A push that is under way.
struct UnderWay<'a>(&'a watch::Sender<Pushes>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|pushes| pushes.under_way -= 1);
    }
}

impl Robot {
    pub(in crate::gateway) fn new(agent: Arc<dyn Agent>, pusher: Arc<Pusher>) -> Self {
        Self { agent, pusher, pushes: watch::Sender::default() }
    }

    /// Begins no more pushes, and waits for those that are under way: one that is cut off may have arrived.
    /// Whatever else goes on can be done again.
    pub(super) async fn settle(&self) {
        self.pushes.send_modify(|pushes| pushes.closed = true);
        // Its sender is here.
        let _ = self.pushes.subscribe().wait_for(|pushes| pushes.under_way == 0).await;
    }

    async fn begin(&self) -> UnderWay<'_> {
        let begun = self.pushes.send_if_modified(|pushes| {
            pushes.under_way += usize::from(!pushes.closed);
            !pushes.closed
        });
        if !begun {
            // Until everything ends.
            std::future::pending::<()>().await;
        }
        UnderWay(&self.pushes)
    }
}

/// Turns of messages have the numbers of their rows, which are below this one.
const FIRST_TURN: i64 = 1 << 52;
/// Pauses before what certainly did not arrive is pushed again: a reminder should outlive a network that is
/// away for a while.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
];
/// Things that an agent may say in one run.
const SAYS: usize = 20;

impl Perform for Robot {
    async fn ask(&self, schedule: &Schedule, run: RunId, prompt: &str) -> Result<Vec<Say>, String> {
        let turn = Turn {
            msg_id: None,
            // Nobody wrote it who may command.
            command_authorized: false,
            standing: Standing::Admitted,
            conversation_id: ConversationId::new(format!(
                "schedule {} run {}",
                schedule.id.0, run.0
            )),
            conversation_type: ConversationType::Direct,
            conversation_title: None,
            mentioned: true,
            sender_staff_id: None,
            sender_id: None,
            sender_nick: schedule.name.clone(),
            text: prompt.to_owned(),
            has_words: true,
            attachments: Vec::new(),
            quote: None,
        };
        let turn_id = TurnId(FIRST_TURN.saturating_add(run.0));
        let attempt = Attempt { turn: turn_id, resumed: false, said: 0, seq: 0 };
        let (speaker, mut heard) = Speaker::new();
        let mut answer = pin!(answer(&*self.agent, attempt, turn, speaker));
        let mut says = Vec::new();
        let mut outcome: Option<Result<(), AgentError>> = None;
        while outcome.is_none() {
            tokio::select! {
                biased;
                Some(utterance) = heard.recv() => outcome = hear(utterance, &mut says),
                ended = &mut answer => outcome = Some(ended),
            }
            if says.len() > SAYS {
                return Err(format!("it says more than {SAYS} things in one run; does it loop?"));
            }
        }
        while let Some(Some(utterance)) = heard.recv().now_or_never() {
            hear(utterance, &mut says);
        }
        match outcome {
            Some(Err(e)) => Err(e.to_string()),
            _ => Ok(says),
        }
    }

    async fn push(&self, to: Target, say: Say, key: String) -> Result<(), String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            // What certainly did not arrive is another push the next time.
            let key = format!("{key} try {}", PAUSES.len() - pauses.len() + 1);
            let (to, what) = (vec![to.clone()], What::Say(say.clone()));
            let under_way = self.begin().await;
            let pushed = self.pusher.push(Push { to, what, key: Some(key) }).await;
            drop(under_way);
            let deliveries = pushed.map_err(|e| e.to_string())?;
            let Some(delivery) = deliveries.into_iter().next() else {
                return Err("nobody got it".to_owned());
            };
            if delivery.is_delivered() {
                return Ok(());
            }
            let reason = format!("{}: {}", delivery.to, why(&delivery.outcome));
            let Some(wait) = again(&delivery).and_then(|least| Some(pauses.next()?.max(least)))
            else {
                return Err(reason);
            };
            warn!(wait_s = wait.as_secs(), "a scheduled message waits: {reason}");
            tokio::time::sleep(wait).await;
        }
    }
}

/// Whether a push can be made again, and how long it has to wait at least. What arrived in part would come
/// twice.
fn again(delivery: &Delivery) -> Option<Duration> {
    match delivery.outcome {
        _ if !delivery.process_query_keys.is_empty() => None,
        Outcome::Limited { retry_after } => Some(retry_after),
        Outcome::FlowControlled | Outcome::Failed { later: true, .. } => Some(Duration::ZERO),
        Outcome::Delivered { .. } | Outcome::Invalid | Outcome::Failed { .. } => None,
    }
}

/// Keeps what is said; returns how the turn ended, if it did.
fn hear(utterance: Utterance, says: &mut Vec<Say>) -> Option<Result<(), AgentError>> {
    match utterance {
        Utterance::Say(say) => says.push(say),
        Utterance::Event(event) => {
            says.extend(event.says);
            // A crash makes the whole run come again.
            event.receipt.give();
            return event.end;
        }
        Utterance::Typing | Utterance::Partial(_) => {}
    }
    None
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { .. } => "delivered".to_owned(),
        Outcome::Invalid => {
            "DingTalk does not know the recipient, or it may not see the robot".to_owned()
        }
        Outcome::FlowControlled => "DingTalk's limit for the recipient is reached".to_owned(),
        Outcome::Limited { .. } => "20 messages a minute are what one recipient gets".to_owned(),
        Outcome::Failed { reason, may_have_arrived: false, .. } => reason.clone(),
        Outcome::Failed { reason, .. } => format!("{reason} (it may have arrived all the same)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_certainly_did_not_arrive_is_pushed_again() {
        let failed = |later, may_have_arrived| Outcome::Failed {
            reason: "so".to_owned(),
            may_have_arrived,
            later,
        };
        let minute = Duration::from_secs(60);
        for (outcome, arrived, expected) in [
            (Outcome::Limited { retry_after: minute }, 0, Some(minute)),
            (Outcome::FlowControlled, 0, Some(Duration::ZERO)),
            (failed(true, false), 0, Some(Duration::ZERO)),
            // The first of several parts is there.
            (failed(true, false), 1, None),
            (failed(false, true), 0, None),
            (failed(false, false), 0, None),
            (Outcome::Invalid, 0, None),
        ] {
            let to = "user0001".parse().unwrap();
            let process_query_keys = vec!["key".to_owned(); arrived];
            let delivery = Delivery { to, outcome, process_query_keys, parts: 2 };
            assert_eq!(again(&delivery), expected, "{delivery:?}");
        }
    }
}
