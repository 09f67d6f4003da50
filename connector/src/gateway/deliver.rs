//! Sends the parts of an answer, one after the other, and records each.

use tokio::sync::{mpsc, watch};
use tracing::{debug, error};

use super::card::{Card, Shown, Words};
use super::reply::{FileError, Question, Receipt, ReplyError};
use super::work::{Halt, Tools, keep_trying};
use crate::agent::Say;
use crate::protocol::MsgId;
use crate::store::inbox::{Step, Via};
use crate::store::{InboxId, OutboxId, SentMessage};
use crate::unix_time::now_ms;

/// A part of an answer, as it is kept.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: OutboxId,
    pub(super) say: Say,
    pub(super) begun: Begun,
}

/// Whether it is recorded that a part is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    No,
    Now,
    /// By an earlier process: it may have arrived.
    Earlier,
}

/// Sends what there is, and nothing follows.
pub(super) async fn deliver_all(
    tools: &Tools,
    question: &Question<'_>,
    id: InboxId,
    parts: Vec<Part>,
) -> Result<(), Halt> {
    let (_, nothing) = mpsc::channel(1);
    let (_, no_words) = watch::channel(Shown::Nothing);
    deliver(tools, question, id, parts, (nothing, no_words)).await
}

/// Sends `first`, then what comes, and shows the words of the next part meanwhile. Instead of a file that
/// cannot be sent some words go out; any other part that cannot arrive ends the answer: what comes after it
/// would make no sense.
pub(super) async fn deliver(
    tools: &Tools,
    question: &Question<'_>,
    id: InboxId,
    first: Vec<Part>,
    (mut kept, mut words): (mpsc::Receiver<Part>, Words),
) -> Result<(), Halt> {
    let mut card = Card::new((&tools.cards, &tools.replier), question, id);
    let msg_id = question.message.msg_id.as_ref().map(MsgId::as_str);
    let mut first = first.into_iter();
    let mut next = first.next();
    loop {
        let Some(part) = (match next.take() {
            Some(part) => Some(part),
            None => card.show_until(&mut words, kept.recv()).await?,
        }) else {
            card.end(&words);
            return Ok(());
        };
        let sending = tools.gate.pass().await;
        if part.begun == Begun::No {
            keep_trying(|| tools.store.begin(part.id)).await?;
        }
        let in_card = card.take(&part).await?;
        if part.begun == Begun::Earlier && !in_card {
            tools.replier.count_possible_duplicate("a restart found it half sent");
        }
        let outcome =
            if in_card { Ok(None) } else { send(tools, question, &part.say).await.map(Some) };
        match outcome {
            Ok(receipt) => {
                debug!(msg_id, ?receipt, in_card, "answered");
                tools.store.note(Step::Sent {
                    part: part.id,
                    via: receipt.as_ref().map_or(Via::Card, |receipt| receipt.via),
                    key: receipt.as_ref().and_then(|receipt| receipt.process_query_key.clone()),
                });
                if let Some(key) = receipt.and_then(|receipt| receipt.process_query_key) {
                    let sent = SentMessage {
                        client_id: tools.replier.client_id().clone(),
                        process_query_key: key,
                        conversation_id: question.message.conversation_id.clone(),
                        in_group: question.message.is_in_group(),
                        text: part.say.words(),
                        sent_at: now_ms(),
                    };
                    // It goes to disk with what follows; without it a quote has no words.
                    drop(tools.store.remember_sent(sent));
                }
                next = first.next().or_else(|| kept.try_recv().ok());
                // Where another process goes on, it begins to send what is left.
                let begins = next.as_mut().filter(|_| !tools.gate.closes());
                let begins = begins.map(|next| {
                    next.begun = Begun::Now;
                    next.id
                });
                keep_trying(|| tools.store.sent(part.id, begins)).await?;
                drop(sending);
                if in_card {
                    card.answered();
                }
            }
            Err(e) => {
                error!(msg_id, "the answer did not arrive: {e}");
                card.end(&words);
                let reason = e.to_string();
                return keep_trying(|| tools.store.failed(id, reason.clone())).await;
            }
        }
    }
}

async fn send(tools: &Tools, question: &Question<'_>, say: &Say) -> Result<Receipt, ReplyError> {
    match tools.replier.reply(question, say).await {
        Err(ReplyError::File(FileError { name, problem, detail })) => {
            let msg_id = question.message.msg_id.as_ref().map(MsgId::as_str);
            error!(msg_id, name, "a file cannot be sent: {problem}: {detail}");
            tools.replier.reply(question, &Say::text(problem.for_people(&name))).await
        }
        outcome => outcome,
    }
}
