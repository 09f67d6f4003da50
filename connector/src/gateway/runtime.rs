//! The loop of one robot: frames are judged and acked, messages queued, turns run, answers sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use super::DRAIN;
use super::access::{Access, Decision};
use super::conversations::Conversations;
use super::dedupe::Dedupe;
use super::reply::Replier;
use crate::agent::{Agent, Turn};
use crate::protocol::{
    Ack, AckCode, BotMessage, Content, ConversationId, DataFrame, EventAckStatus, FrameType,
    MessageId, MsgId, RobotMessage, SenderStaffId, topic,
};
use crate::stream::{Dispatched, StreamHandle};

/// State of the loop.
pub(super) struct Runtime {
    stream: Arc<StreamHandle>,
    agent: Arc<dyn Agent>,
    access: Access,
    replier: Arc<Replier>,
    dedupe: Dedupe,
    conversations: Conversations<Work>,
    turns: JoinSet<()>,
    /// Which conversation a running turn belongs to, so that one that panics frees its queue too.
    turn_of: HashMap<Id, ConversationId>,
}

/// How many answers the end found unfinished.
#[derive(Debug)]
pub(super) struct Unfinished(pub(super) usize);

/// One thing to do in a conversation.
struct Work {
    message: BotMessage,
    kind: WorkKind,
}

enum WorkKind {
    /// The agent answers.
    Turn(String),
    /// This is said, and the agent is not asked.
    Say(String),
}

/// Conversations that run at the same time.
const AT_ONCE: usize = 256;
/// Messages that may wait for their turn. Beyond it no frames are taken, which the gateway feels.
const WAITING: usize = 10_000;
/// How long a message is recognised when it comes again.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Ids remembered at most, two for each message.
const REMEMBERED: usize = 400_000;

impl Runtime {
    pub(super) fn new(
        stream: Arc<StreamHandle>,
        agent: Arc<dyn Agent>,
        access: Access,
        replier: Replier,
    ) -> Self {
        Self {
            stream,
            agent,
            access,
            replier: Arc::new(replier),
            dedupe: Dedupe::new(REMEMBERED_FOR, REMEMBERED),
            conversations: Conversations::new(AT_ONCE),
            turns: JoinSet::new(),
            turn_of: HashMap::new(),
        }
    }

    /// Works until the stream has ended and every answer is out, or until the `deadline` that the stop
    /// came with.
    pub(super) async fn run(
        mut self,
        mut frames: mpsc::Receiver<Dispatched>,
        deadline: watch::Receiver<Option<Instant>>,
    ) -> Unfinished {
        let mut end = std::pin::pin!(passed(deadline.clone()));
        loop {
            tokio::select! {
                frame = frames.recv(), if self.conversations.waiting() < WAITING => match frame {
                    Some(dispatched) => self.take_in(dispatched).await,
                    None => break,
                },
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(&ended),
                () = &mut end => return self.unfinished(),
            }
            self.start_turns();
        }
        // A stream that ended without being asked to leaves the usual time.
        let at_most = tokio::time::sleep(DRAIN);
        tokio::pin!(at_most);
        while !self.conversations.is_idle() {
            tokio::select! {
                Some(ended) = self.turns.join_next_with_id() => self.turn_ended(&ended),
                () = &mut end => break,
                () = &mut at_most => break,
            }
            self.start_turns();
        }
        self.unfinished()
    }

    fn unfinished(&self) -> Unfinished {
        let unfinished = self.conversations.unfinished();
        if unfinished > 0 {
            warn!(unfinished, "stopped with answers unfinished");
        }
        Unfinished(unfinished)
    }

    /// Judges a frame, queues what it asks for, and acks it.
    async fn take_in(&mut self, Dispatched { frame, data_frame }: Dispatched) {
        let ack = match &data_frame.frame_type {
            FrameType::Callback if data_frame.headers.topic == topic::BOT_MESSAGE => {
                self.message(&data_frame)
            }
            FrameType::Callback => {
                debug!(topic = data_frame.headers.topic, "a callback nobody here handles");
                Ack::refusal(AckCode::NotFound, "topic not handled")
            }
            // None are subscribed to; whatever comes is not worth a second delivery.
            _ => Ack::event(EventAckStatus::Success),
        };
        self.stream.ack(frame, ack).await;
    }

    fn message(&mut self, frame: &DataFrame) -> Ack {
        let message = match BotMessage::parse(&frame.data) {
            Ok(message) => message,
            Err(e) => {
                let message_id = frame.headers.message_id.as_ref().map_or("", MessageId::as_str);
                warn!(message_id, "a robot message cannot be understood: {e}");
                return Ack::refusal(AckCode::BadRequest, e.to_string());
            }
        };
        let msg_id = message.msg_id.as_ref();
        let now = Instant::now();
        if !self.dedupe.is_new(msg_id, frame.headers.message_id.as_ref(), now) {
            info!(msg_id = msg_id.map(MsgId::as_str), "a message came again; it is acked and left");
            return Ack::callback(&Value::Null);
        }
        let kind = match (self.access.decide(&message, now), &message.content) {
            (Decision::Ignore(reason), _) => {
                info!(
                    conversation_id = %message.conversation_id,
                    sender = message.sender_staff_id.as_ref().map(SenderStaffId::as_str),
                    "a message gets no answer: {reason}"
                );
                None
            }
            (Decision::Hint(hint), _) => Some(WorkKind::Say(hint)),
            // An "@robot" with nothing behind it.
            (Decision::Admit, Content::Text(text)) if text.is_empty() => None,
            (Decision::Admit, Content::Text(text)) => Some(WorkKind::Turn(text.clone())),
            (Decision::Admit, Content::Unsupported { msgtype }) => {
                Some(WorkKind::Say(cannot_read(msgtype)))
            }
        };
        if let Some(kind) = kind {
            self.conversations.push(message.conversation_id.clone(), Work { message, kind });
        }
        Ack::callback(&Value::Null)
    }

    fn start_turns(&mut self) {
        while let Some((conversation, work)) = self.conversations.start() {
            let turn = work.run(Arc::clone(&self.agent), Arc::clone(&self.replier));
            let id = self.turns.spawn(turn).id();
            self.turn_of.insert(id, conversation);
        }
    }

    fn turn_ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(e) => {
                error!(error = %e, "a turn failed; its message stays unanswered");
                e.id()
            }
        };
        if let Some(conversation) = self.turn_of.remove(&id) {
            self.conversations.finished(&conversation);
        }
    }
}

/// Waits until a deadline has been set and has passed.
async fn passed(mut deadline: watch::Receiver<Option<Instant>>) {
    let set = deadline.wait_for(Option::is_some).await.ok().and_then(|set| *set);
    match set {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        // Whoever could have set it is gone without doing so.
        None => std::future::pending().await,
    }
}

impl Work {
    async fn run(self, agent: Arc<dyn Agent>, replier: Arc<Replier>) {
        let message = self.message;
        let msg_id = message.msg_id.as_ref().map(MsgId::as_str);
        let answer = match self.kind {
            WorkKind::Say(text) => Some(RobotMessage::Text(text)),
            WorkKind::Turn(text) => {
                let turn = Turn {
                    conversation_id: message.conversation_id.clone(),
                    sender_nick: message.sender_nick.clone(),
                    text,
                };
                match agent.turn(turn).await {
                    Ok(answer) => answer,
                    Err(e) => {
                        error!(msg_id, "the agent failed: {e}");
                        Some(RobotMessage::Text(FAILED.to_owned()))
                    }
                }
            }
        };
        let Some(answer) = answer else { return };
        match replier.reply(&message, &answer).await {
            Ok(via) => debug!(msg_id, ?via, "answered"),
            Err(e) => error!(msg_id, "the answer did not arrive: {e}"),
        }
    }
}

/// What a person is told whose message has a type without a reader.
fn cannot_read(msgtype: &str) -> String {
    let msgtype = if msgtype.is_empty() { "?" } else { msgtype };
    format!(
        "暂时只能读取文字消息（收到：{msgtype}）\n\
         I can read text messages only so far (this was: {msgtype})"
    )
}

/// What a person is told when the agent failed.
const FAILED: &str = "抱歉，处理消息时出错了，请稍后再试\n\
                      Sorry, something went wrong with this message; please try again later";
