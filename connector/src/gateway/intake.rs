//! Judges what comes in: is it a message, did it come before, may its sender talk, what is to be done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::{debug, error, info, warn};

use super::access::{Access, Counted, Decision};
use super::card_press;
use super::cards::Cards;
use super::dedupe::Dedupe;
use super::peers::Peers;
use super::turn::{self, Reading};
use super::work::Task;
use crate::credential::ClientId;
use crate::protocol::{
    Ack, AckCode, BotMessage, DataFrame, EventAckStatus, FrameType, MessageId, MsgId, topic,
};
use crate::store::{NewMessage, Seen};

/// What becomes of a frame.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is nothing to keep: it is acked.
    Ack(Ack),
    /// It came before: it is acked as soon as what came before is durable.
    Repeat(Ids),
    /// It is kept, then acked, then done.
    Keep(Box<(NewMessage, Judged, Task)>),
}

/// A message, and where it was counted.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) message: BotMessage,
    counted: Counted,
}

/// By which a message is recognised.
#[derive(Debug)]
pub(super) struct Ids {
    msg_id: Option<MsgId>,
    message_id: Option<MessageId>,
}

/// The judge, and what it remembers.
#[derive(Debug)]
pub(super) struct Intake {
    client_id: ClientId,
    access: Access,
    dedupe: Dedupe,
    /// The operator was told that the quota is used up.
    quota_told: bool,
    /// Where presses come from.
    cards: Arc<Cards>,
    /// Who was answered before.
    peers: Arc<Peers>,
}

/// How long a message is recognised when it comes again.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Messages remembered at most.
pub(super) const REMEMBERED: usize = 200_000;
/// Ids of a message.
const IDS: usize = 2;

impl Intake {
    /// `seen` came before, oldest first.
    pub(super) fn new(
        client_id: ClientId,
        access: Access,
        seen: &[Seen],
        (now, now_ms): (Instant, i64),
        (cards, peers): (Arc<Cards>, Arc<Peers>),
    ) -> Self {
        let mut dedupe = Dedupe::new(REMEMBERED_FOR, IDS * REMEMBERED);
        for Seen { msg_id, message_id, at } in seen {
            let age = Duration::from_millis(u64::try_from(now_ms - at).unwrap_or(0));
            // A computer that runs for less than a day has no instant for yesterday.
            let then = now.checked_sub(age).unwrap_or(now);
            dedupe.is_new(msg_id.as_ref(), message_id.as_ref(), then);
        }
        Self { client_id, access, dedupe, quota_told: false, cards, peers }
    }

    /// The ack of a callback that was dealt with.
    pub(super) fn accepted() -> Ack {
        Ack::callback(&Value::Null)
    }

    pub(super) fn judge(&mut self, frame: &DataFrame, now: Instant, now_ms: i64) -> Verdict {
        match &frame.frame_type {
            FrameType::Callback
                if [topic::BOT_MESSAGE, topic::DELEGATE_MESSAGE]
                    .contains(&frame.headers.topic.as_str()) =>
            {
                self.message(frame, &frame.data, now, now_ms)
            }
            FrameType::Callback if frame.headers.topic == topic::CARD_CALLBACK => {
                match card_press::as_message(&frame.data, &self.cards, now_ms) {
                    Some(data) => self.message(frame, &data, now, now_ms),
                    // An empty answer: the card stays as it is.
                    None => Verdict::Ack(Ack::callback(&json!({}))),
                }
            }
            FrameType::Callback => {
                debug!(topic = frame.headers.topic, "a callback nobody here handles");
                Verdict::Ack(Ack::refusal(AckCode::NotFound, "topic not handled"))
            }
            // None are subscribed to; whatever comes is not worth a second delivery.
            _ => Verdict::Ack(Ack::event(EventAckStatus::Success)),
        }
    }

    /// `data` is that of a robot message.
    fn message(&mut self, frame: &DataFrame, data: &str, now: Instant, now_ms: i64) -> Verdict {
        let message_id = frame.headers.message_id.as_ref();
        let message = match BotMessage::parse(data) {
            Ok(message) => message,
            Err(e) => {
                let message_id = message_id.map_or("", MessageId::as_str);
                warn!(message_id, "a robot message cannot be understood: {e}");
                return Verdict::Ack(Ack::refusal(AckCode::BadRequest, e.to_string()));
            }
        };
        let msg_id = message.msg_id.as_ref();
        if !self.dedupe.is_new(msg_id, message_id, now) {
            info!(msg_id = msg_id.map(MsgId::as_str), "a message came again; it is acked and left");
            let message_id = message_id.cloned();
            return Verdict::Repeat(Ids { msg_id: message.msg_id, message_id });
        }
        let decision = self.access.decide(&message, now);
        let counted = decision.counted();
        let Some(task) = self.task(&message, decision) else {
            return Verdict::Ack(Self::accepted());
        };
        let new = NewMessage {
            client_id: self.client_id.clone(),
            msg_id: message.msg_id.clone(),
            message_id: message_id.cloned(),
            conversation_id: message.conversation_id.clone(),
            received_at: now_ms,
            data: data.to_owned(),
            overtakes: false,
        };
        Verdict::Keep(Box::new((new, Judged { message, counted }, task)))
    }

    /// What a message asks for that an earlier process kept; `None` if nothing is to be done any more.
    pub(super) fn resumed(&mut self, message: &BotMessage) -> Option<Task> {
        let decision = self.access.decide_again(message);
        self.task(message, decision)
    }

    /// What a message asks for; `None` if nothing is to be done.
    fn task(&mut self, message: &BotMessage, decision: Decision) -> Option<Task> {
        match decision {
            Decision::Ignore => None,
            Decision::Say(word) => Some(Task::Say(word)),
            Decision::Admit => self.admitted(message),
            Decision::Leave(standing) => match self.admitted(message)? {
                Task::Turn(mut turn) => {
                    turn.standing = standing;
                    Some(Task::Turn(turn))
                }
                // Words of our own are not for strangers.
                task => self.peers.are_met(message, standing).then_some(task),
            },
            Decision::Pairing(stranger) => {
                Some(Task::Pair { stranger, then: self.admitted(message).map(Box::new) })
            }
        }
    }

    fn admitted(&mut self, message: &BotMessage) -> Option<Task> {
        match turn::read(message) {
            Reading::Turn(mut turn) => {
                // Whoever may talk may command.
                turn.command_authorized = true;
                Some(Task::Turn(turn))
            }
            Reading::Nothing => None,
            Reading::QuotaExhausted => {
                if !std::mem::replace(&mut self.quota_told, true) {
                    error!(
                        "DingTalk withholds what people write: the organisation's monthly quota of \
                         received messages is used up (errorCode 20001); buy more in the admin console"
                    );
                }
                None
            }
            Reading::Unreadable(msgtype) => Some(Task::Say(cannot_read(&msgtype))),
        }
    }

    /// A message could not be kept: when it comes again it is new.
    pub(super) fn forget(&mut self, kept: &NewMessage, judged: &Judged) {
        self.dedupe.forget(kept.msg_id.as_ref(), kept.message_id.as_ref());
        self.access.give_back(&judged.message, judged.counted);
    }

    /// What a repeat repeats is durable: its own ids are recognised from now on, too.
    pub(super) fn remember(&mut self, Ids { msg_id, message_id }: &Ids, now: Instant) {
        self.dedupe.remember(msg_id.as_ref(), message_id.as_ref(), now);
    }
}

/// What a person is told whose message has a type without a reader.
fn cannot_read(msgtype: &str) -> String {
    let msgtype = if msgtype.is_empty() { "?" } else { msgtype };
    format!(
        "我读不了这种消息（{msgtype}）。可以发给我：文字、图片、语音、视频、文件、图文混排、聊天记录\n\
         I cannot read messages of this type ({msgtype}). What works: text, pictures, voice, video, \
         files, rich text, chat records"
    )
}
