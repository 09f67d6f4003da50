//! Listens to the agent: what it says is kept, piece by piece, and handed on to be sent.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::card::Shown;
use super::deliver::Part;
use super::media::Asker;
use super::quotes;
use super::work::{Opened, Spoken, StoreGone, Tools, keep};
use crate::agent::{Agent, AgentError, Attempt, Event, Receipt, Say, Speaker, Turn, Utterance};
use crate::protocol::{BotMessage, MsgId};
use crate::store::InboxId;

/// Lets the agent answer, from the files that came with the message to the end of its turn. An agent
/// that fails is one that apologises.
pub(super) async fn listen(
    tools: &Tools,
    message: &BotMessage,
    id: InboxId,
    (attempt, mut turn): (Attempt, Turn),
    (opened, kept): (Opened, mpsc::Sender<Part>),
    shown: watch::Sender<Shown>,
) -> Result<(), StoreGone> {
    let robot_code = tools.replier.robot_code(message);
    let asker = Asker { robot_code, user: message.sender_staff_id.as_ref() };
    tools.media.fetch(&asker, &mut turn.attachments).await;
    quotes::fill(tools, &mut turn).await;
    let (speaker, mut heard) = Speaker::new();
    let mut answer = pin!(answer(&*tools.agent, attempt, turn, speaker));
    let mut first = (&mut answer).now_or_never();
    opened.tell().await;
    // Of the first piece it is certain that nothing else is being sent.
    let mut begun = !attempt.resumed;
    loop {
        let mut piece = Piece { outcome: first.take(), ..Piece::default() };
        if piece.outcome.is_none() {
            tokio::select! {
                biased;
                Some(utterance) = heard.recv() => piece.hear(utterance),
                ended = &mut answer => piece.outcome = Some(ended),
            }
        }
        // What else is there already goes to disk with it.
        if piece.outcome.is_none() {
            piece.outcome = (&mut answer).now_or_never();
        }
        while let Ok(utterance) = heard.try_recv() {
            piece.hear(utterance);
        }
        let Piece { mut says, mut partial, seq, receipts, outcome } = piece;
        if let Some(Err(failure)) = &outcome {
            let msg_id = message.msg_id.as_ref().map(MsgId::as_str);
            error!(msg_id, "the agent failed: {failure}");
            // What was read already does not go away.
            let words = match &*shown.borrow() {
                Shown::Words(words) if says.is_empty() => Some(words.clone()),
                _ => None,
            };
            let words = partial.take().or(words).filter(|words| !words.trim().is_empty());
            says.extend(words.map(Say::markdown));
            says.push(Say::text(FAILED));
        }
        let ended = outcome.is_some();
        let said = !says.is_empty();
        if ended || seq.is_some() || said {
            begun &= said;
            let parts = keep(tools, id, Spoken { says, seq, begun, ended }).await?;
            receipts.into_iter().for_each(Receipt::give);
            for part in parts {
                // Whoever delivers has given up, and ends this too.
                let _ = kept.send(part).await;
            }
            begun = false;
        }
        // After the parts, whose words they are not.
        match partial {
            Some(words) => drop(shown.send_replace(Shown::Words(words))),
            // Words that are said by now are not to be shown once more.
            None if said => drop(shown.send_replace(Shown::Nothing)),
            None => {}
        }
        if ended {
            return Ok(());
        }
    }
}

/// What is kept at once of what an agent utters.
#[derive(Default)]
struct Piece {
    says: Vec<Say>,
    /// The words of what is said next, so far; the newest count.
    partial: Option<String>,
    /// Of the last event in it.
    seq: Option<u64>,
    receipts: Vec<Receipt>,
    /// How the turn ended.
    outcome: Option<Result<(), AgentError>>,
}

impl Piece {
    /// What is said is to be kept and sent; words so far are shown until it is said.
    fn hear(&mut self, utterance: Utterance) {
        match utterance {
            Utterance::Say(say) => {
                self.says.push(say);
                self.partial = None;
            }
            Utterance::Partial(words) => self.partial = Some(words),
            Utterance::Typing => {}
            Utterance::Event(Event { seq, says, end, receipt }) => {
                if !says.is_empty() {
                    self.partial = None;
                }
                self.says.extend(says);
                self.seq = Some(seq);
                self.receipts.push(receipt);
                self.outcome = self.outcome.take().or(end);
            }
        }
    }
}

/// The agent's turn; a panic of its is one more way to fail.
async fn answer(
    agent: &dyn Agent,
    attempt: Attempt,
    turn: Turn,
    speaker: Speaker,
) -> Result<(), AgentError> {
    let turn = AssertUnwindSafe(async { agent.turn(attempt, turn, speaker).await });
    // What it panicked with is on stderr.
    let outcome = turn.catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(AgentError("it panicked".to_owned())))
}

/// What a person is told when the agent failed.
const FAILED: &str = "抱歉，处理消息时出错了，请稍后再试\n\
                      Sorry, something went wrong with this message; please try again later";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Answer, TurnId};
    use crate::protocol::{ConversationId, ConversationType};

    /// Panics before or after it has begun.
    #[derive(Debug)]
    struct Clumsy(bool);

    impl Agent for Clumsy {
        fn turn(&self, _: Attempt, _: Turn, _: Speaker) -> Answer<'_> {
            assert!(self.0, "at once");
            Box::pin(async { panic!("on the way") })
        }
    }

    #[tokio::test]
    async fn an_agent_that_panics_has_failed() {
        for begins in [false, true] {
            let turn = Turn {
                msg_id: None,
                command_authorized: false,
                conversation_id: ConversationId::new("cid"),
                conversation_type: ConversationType::Direct,
                conversation_title: None,
                sender_staff_id: None,
                sender_nick: None,
                text: "hi".to_owned(),
                has_words: true,
                attachments: Vec::new(),
                quote: None,
            };
            let attempt = Attempt { turn: TurnId(1), resumed: false, said: 0, seq: 0 };
            let outcome = answer(&Clumsy(begins), attempt, turn, Speaker::new().0).await;
            assert_eq!(outcome, Err(AgentError("it panicked".to_owned())));
        }
    }
}
