//! Listens to the agent: what it says is kept, piece by piece, and handed on to be sent.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use super::card::Shown;
use super::deliver::Part;
use super::media::Asker;
use super::push::Target;
use super::quotes;
use super::reply::Replier;
use super::send_limit::{Allowance, messages};
use super::work::{Halt, Opened, Spoken, Tools, keep};
use crate::agent::{
    Agent, AgentError, Attempt, Event, Missing, Receipt, Say, Speaker, Turn, Utterance,
};
use crate::protocol::{BotMessage, ConversationType, MsgId};
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
) -> Result<(), Halt> {
    let mut is_admitted = tools.peers.were_met(message, turn.standing).await;
    if is_admitted {
        tools.peers.met(message);
        let robot_code = tools.replier.robot_code(message);
        let asker = Asker { robot_code, user: message.sender_staff_id.as_ref() };
        tools.media.fetch(&asker, &mut turn.attachments).await;
    } else {
        for attachment in &mut turn.attachments {
            attachment.file = Some(Err(Missing::NotAdmitted));
        }
    }
    quotes::fill(tools, &mut turn).await;
    let mut meter = Meter::new(&tools.replier, message, attempt.said);
    let (speaker, mut heard) = Speaker::new();
    let mut answer = pin!(answer(&*tools.agent, attempt, turn, speaker));
    let mut outcome = (&mut answer).now_or_never();
    let mut held = None;
    opened.tell().await;
    // Of the first piece it is certain that nothing else is being sent.
    let mut begun = !attempt.resumed;
    loop {
        let mut piece = Piece { outcome: outcome.take(), ..Piece::default() };
        match held.take() {
            Some(say) => {
                // Meanwhile the agent goes on: what it listens to does not wait for a minute.
                if piece.outcome.is_none() {
                    tokio::select! {
                        biased;
                        () = meter.wait_for(&say) => {}
                        ended = &mut answer => piece.outcome = Some(ended),
                    }
                }
                if piece.outcome.is_some() {
                    meter.wait_for(&say).await;
                }
                piece.say(say);
            }
            None if piece.outcome.is_none() => tokio::select! {
                biased;
                Some(utterance) = heard.recv() => held = piece.hear(utterance, &mut meter),
                ended = &mut answer => piece.outcome = Some(ended),
            },
            None => {}
        }
        // What else is there already goes to disk with it, up to what has to wait.
        if piece.outcome.is_none() {
            piece.outcome = (&mut answer).now_or_never();
        }
        while held.is_none()
            && let Ok(utterance) = heard.try_recv()
        {
            held = piece.hear(utterance, &mut meter);
        }
        if held.is_some() {
            outcome = piece.outcome.take();
        }
        let Piece { mut says, mut partial, seq, receipts, is_work, outcome: ending } = piece;
        if is_work && !std::mem::replace(&mut is_admitted, true) {
            tools.peers.met(message);
        }
        if let Some(Err(failure)) = &ending {
            let msg_id = message.msg_id.as_ref().map(MsgId::as_str);
            error!(msg_id, "the agent failed: {failure}");
            // What was read already does not go away.
            let words = match &*shown.borrow() {
                Shown::Words(words) if says.is_empty() => Some(words.clone()),
                _ => None,
            };
            let words = partial.take().or(words).filter(|words| !words.trim().is_empty());
            says.extend(words.map(Say::markdown));
            // Whom the agent has not admitted hears nothing of ours.
            if is_admitted {
                says.push(Say::text(FAILED));
            }
        }
        let ended = ending.is_some();
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
    /// The agent works for whoever wrote, which a word to a stranger is not.
    is_work: bool,
    /// How the turn ended.
    outcome: Option<Result<(), AgentError>>,
}

impl Piece {
    fn say(&mut self, say: Say) {
        self.says.push(say);
        self.partial = None;
    }

    /// What is said is to be kept and sent; words so far are shown until it is said. An event that says too
    /// much is refused; anything else that does is returned, and has to wait.
    fn hear(&mut self, utterance: Utterance, meter: &mut Meter<'_>) -> Option<Say> {
        match utterance {
            Utterance::Say(say) => match meter.take(std::slice::from_ref(&say)) {
                Ok(()) => self.say(say),
                Err(_) => return Some(say),
            },
            Utterance::Partial(words) => {
                self.is_work = true;
                self.partial = Some(words);
            }
            Utterance::Typing => self.is_work = true,
            Utterance::Event(Event { seq, says, end, receipt }) => {
                if let Err(retry_after) = meter.take(&says) {
                    receipt.refuse(retry_after);
                    return None;
                }
                if !says.is_empty() {
                    self.partial = None;
                }
                // That the agent goes on with it by itself.
                self.is_work |= says.is_empty() && end.is_none();
                self.says.extend(says);
                self.seq = Some(seq);
                self.receipts.push(receipt);
                self.outcome = self.outcome.take().or(end);
            }
        }
        None
    }
}

/// How much is said in a turn: an agent that loops must not flood a chat.
struct Meter<'a> {
    replier: &'a Replier,
    recipient: Target,
    allowance: Allowance,
    warned: bool,
}

impl<'a> Meter<'a> {
    fn new(replier: &'a Replier, message: &BotMessage, said: u64) -> Self {
        let chat = || Target::Chat(message.conversation_id.clone());
        let recipient = match (&message.conversation_type, &message.sender_staff_id) {
            (ConversationType::Direct, Some(user)) => Target::User(user.clone()),
            _ => chat(),
        };
        Self { replier, recipient, allowance: Allowance::new(said), warned: false }
    }

    fn take(&mut self, says: &[Say]) -> Result<(), Duration> {
        let mut limit = self.replier.send_limit();
        let (recipient, count) = (&self.recipient, messages(says));
        let taken = self.allowance.take(&mut limit, recipient, count, Instant::now());
        drop(limit);
        if taken.is_err() && !std::mem::replace(&mut self.warned, true) {
            warn!(%recipient, "an agent says very much in one turn, and has to wait; does it loop?");
        }
        taken
    }

    async fn wait_for(&mut self, say: &Say) {
        while let Err(wait) = self.take(std::slice::from_ref(say)) {
            tokio::time::sleep(wait).await;
        }
    }
}

/// The agent's turn; a panic of its is one more way to fail.
pub(super) async fn answer(
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
            let turn = Turn::of_words("hi");
            let attempt = Attempt { turn: TurnId(1), resumed: false, said: 0, seq: 0 };
            let outcome = answer(&Clumsy(begins), attempt, turn, Speaker::new().0).await;
            assert_eq!(outcome, Err(AgentError("it panicked".to_owned())));
        }
    }
}
