//! Runs of schedules as the robot does them: its agent answers, and what it says is pushed.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;

use super::super::listen::answer;
use super::super::push::{Delivery, Outcome, Push, Pusher, Target, What};
use super::Perform;
use crate::agent::{Agent, AgentError, Attempt, Say, Speaker, Turn, TurnId, Utterance};
use crate::protocol::{ConversationId, ConversationType};
use crate::store::schedules::{RunId, Schedule};

/// Does runs.
#[derive(Debug)]
pub(in crate::gateway) struct Robot {
    pub(in crate::gateway) agent: Arc<dyn Agent>,
    pub(in crate::gateway) pusher: Arc<Pusher>,
}

/// Turns of messages have the numbers of their rows, which are below this one.
const FIRST_TURN: i64 = 1 << 52;
/// Things that an agent may say in one run.
const SAYS: usize = 20;

impl Perform for Robot {
    async fn ask(&self, schedule: &Schedule, run: RunId, prompt: &str) -> Result<Vec<Say>, String> {
        let turn = Turn {
            msg_id: None,
            // Nobody wrote it who may command.
            command_authorized: false,
            conversation_id: ConversationId::new(format!(
                "schedule {} run {}",
                schedule.id.0, run.0
            )),
            conversation_type: ConversationType::Direct,
            conversation_title: None,
            sender_staff_id: None,
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
        let push = Push { to: vec![to], what: What::Say(say), key: Some(key) };
        let deliveries = self.pusher.push(push).await.map_err(|e| e.to_string())?;
        match deliveries.into_iter().next() {
            Some(Delivery { outcome: Outcome::Delivered { .. }, .. }) => Ok(()),
            Some(Delivery { outcome, to, .. }) => Err(format!("{to}: {}", why(&outcome))),
            None => Err("nobody got it".to_owned()),
        }
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
        Outcome::Failed { reason, may_have_arrived: false } => reason.clone(),
        Outcome::Failed { reason, .. } => format!("{reason} (it may have arrived all the same)"),
    }
}
