//! One push to a bot: its attempts, and what the bot answered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    card_press::Pressed,
    fixture::FixtureFrame,
    known, lifetime,
    memory::{block, hashed, texts},
    message::RobotMessage,
    ring::{PLACE, Ring, Size},
};

/// Where a push stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryState {
    /// Waits for a connection, or for its next try.
    Queued,
    /// On a connection, not answered yet.
    Sent,
    /// Answered.
    Acked,
    /// Answered with `LATER`, and given up after the last try.
    Later,
    /// Not answered in time, and given up after the last try.
    Timeout,
    /// Nobody was connected, and this kind of push is not kept.
    Lost,
}

/// One row of `deliveries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeliveryRow {
    /// Position among the app's deliveries, from 1.
    pub seq: u64,
    /// Where it stands.
    pub state: DeliveryState,
    /// `CALLBACK` or `EVENT`.
    #[serde(rename = "type", deserialize_with = "known::kind")]
    pub kind: known::Word,
    /// The topic it was routed by.
    pub topic: String,
    /// The chat message's id, for robot messages.
    pub msg_id: Option<String>,
    /// The chat, for robot messages.
    pub conversation_id: Option<String>,
    /// The frame's id of the last attempt, or the one it would have had.
    pub message_id: String,
    /// Each push of it.
    pub attempts: Vec<AttemptRow>,
    /// The first answer.
    pub ack: Option<AckRow>,
    /// How many answers came in all; more than one means double acks.
    pub acks: u64,
}

/// One attempt to push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AttemptRow {
    /// The connection it went to.
    pub connection_id: String,
    /// The frame's id.
    pub message_id: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// The first answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AckRow {
    /// The connection that the answer came on.
    pub connection_id: String,
    /// True when the frame had gone to another connection.
    pub on_other_connection: bool,
    /// `code`, if the answer had one.
    pub code: Option<i64>,
    /// `message`, if the answer had one; at most 64 KiB of it.
    pub message: Option<String>,
    /// `data`, if the answer had one; at most 64 KiB of it.
    pub data: Option<String>,
    /// Time since the attempt that it answers.
    pub after_ms: u64,
    /// True for an answer to a press on a card that came after more than 2 s.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// What is pushed.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Robot(Box<RobotMessage>),
    Fixture(Box<FixtureFrame>),
}

/// A push as the core keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) seq: u64,
    pub(crate) state: DeliveryState,
    pub(crate) kind: &'static str,
    pub(crate) topic: String,
    pub(crate) msg_id: Option<String>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) next_message_id: String,
    /// `None` once it will not be pushed again.
    pub(crate) payload: Option<Payload>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) ack: Option<AckRow>,
    pub(crate) acks: u64,
    /// That its answer is missing was found already.
    pub(crate) blamed: bool,
    /// The press that it tells of.
    pub(crate) press: Option<Pressed>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) connection_id: Arc<str>,
    pub(crate) message_id: String,
    pub(crate) at: i64,
    pub(crate) since_start: Duration,
    /// `seq` of the journal entry that shows it.
    pub(crate) entry: u64,
    /// Answers that came to this attempt.
    pub(crate) acks: u64,
    /// Something was done to the frame or its connection: its answer is not judged.
    pub(crate) spared: bool,
}

impl Delivery {
    /// The memory that it takes, more or less.
    fn bytes(&self) -> usize {
        let payload = match &self.payload {
            Some(Payload::Robot(message)) => message.bytes(),
            Some(Payload::Fixture(frame)) => frame.bytes(),
            None => 0,
        };
        let answer = self
            .ack
            .iter()
            .flat_map(|ack| [Some(&ack.connection_id), ack.message.as_ref(), ack.data.as_ref()]);
        let ids = [Some(&self.topic), self.msg_id.as_ref(), self.conversation_id.as_ref()];
        let words = answer.chain(ids).flatten().chain([&self.next_message_id]);
        // The index has the ids of attempts too.
        let attempts = self.attempts.iter().map(|a| 2 * block(a.message_id.len()));
        block(size_of::<Self>())
            + texts(words.map(String::as_str))
            + payload
            + block(self.attempts.capacity() * size_of::<Attempt>())
            + attempts.sum::<usize>()
            + PLACE
            + hashed::<(String, u64)>()
    }

    /// EVENTs are tried again; robot messages are not (developerpedia, stream/protocol).
    pub(crate) fn is_retried(&self) -> bool {
        self.kind == "EVENT"
    }

    pub(crate) fn row(&self) -> DeliveryRow {
        DeliveryRow {
            seq: self.seq,
            state: self.state,
            kind: self.kind,
            topic: self.topic.clone(),
            msg_id: self.msg_id.clone(),
            conversation_id: self.conversation_id.clone(),
            message_id: self
                .attempts
                .last()
                .map_or_else(|| self.next_message_id.clone(), |last| last.message_id.clone()),
            attempts: self
                .attempts
                .iter()
                .map(|attempt| AttemptRow {
                    connection_id: attempt.connection_id.to_string(),
                    message_id: attempt.message_id.clone(),
                    at: attempt.at,
                })
                .collect(),
            ack: self.ack.clone(),
            acks: self.acks,
        }
    }
}

fn forget(by_message_id: &mut HashMap<String, u64>, old: Delivery) {
    for attempt in old.attempts {
        by_message_id.remove(&attempt.message_id);
    }
}

/// As much of a text of an answer as is kept, with a mark where it was cut.
pub(crate) fn kept(text: String) -> String {
    if text.len() <= lifetime::JOURNAL_BODY {
        return text;
    }
    let end = text.floor_char_boundary(lifetime::JOURNAL_BODY);
    format!("{} [{} bytes more]", &text[..end], text.len() - end)
}

/// The deliveries of an app, and which frame belongs to which.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    ring: Ring<Delivery>,
    by_message_id: HashMap<String, u64>,
    /// Deliveries that were answered at least once, forgotten ones included.
    acked: usize,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self {
            ring: Ring::new(lifetime::ROWS_PER_APP, lifetime::APP_BYTES),
            by_message_id: HashMap::new(),
            acked: 0,
        }
    }
}

impl Deliveries {
    pub(crate) fn next_seq(&self) -> u64 {
        self.ring.next_number()
    }

    pub(crate) fn add(&mut self, delivery: Delivery) {
        let by_message_id = &mut self.by_message_id;
        let bytes = delivery.bytes();
        self.ring.push(delivery.seq, bytes, delivery, |old| forget(by_message_id, old));
    }

    /// A delivery was changed: it may take more than before, for which older ones have to go.
    pub(crate) fn weigh(&mut self, seq: u64) {
        let Some(bytes) = self.ring.get(seq).map(Delivery::bytes) else { return };
        let by_message_id = &mut self.by_message_id;
        self.ring.reweigh(seq, bytes, |old| forget(by_message_id, old));
    }

    pub(crate) fn is_known(&self, seq: u64) -> bool {
        self.ring.get(seq).is_some()
    }

    /// Remembers an attempt, so that its answer finds the delivery.
    pub(crate) fn attempted(&mut self, seq: u64, attempt: Attempt) {
        if let Some(delivery) = self.ring.get_mut(seq) {
            self.by_message_id.insert(attempt.message_id.clone(), seq);
            delivery.state = DeliveryState::Sent;
            // There are few of them.
            delivery.attempts.reserve_exact(1);
            delivery.attempts.push(attempt);
        }
        self.weigh(seq);
    }

    /// Forgets the last attempt at a delivery, if it is the one with this id at this connection and was not answered.
    pub(crate) fn take_back(&mut self, connection: &str, message_id: &str) -> Option<&Delivery> {
        let seq = *self.by_message_id.get(message_id)?;
        let delivery = self.ring.get_mut(seq)?;
        delivery.attempts.pop_if(|last| {
            last.message_id == message_id && *last.connection_id == *connection && last.acks == 0
        })?;
        if delivery.attempts.iter().all(|earlier| earlier.message_id != message_id) {
            self.by_message_id.remove(message_id);
        }
        Some(delivery)
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Delivery> {
        self.ring.get_mut(seq)
    }

    pub(crate) fn by_message_id(&mut self, message_id: &str) -> Option<&mut Delivery> {
        let seq = *self.by_message_id.get(message_id)?;
        self.ring.get_mut(seq)
    }

    pub(crate) fn rows(&self, after: u64) -> impl Iterator<Item = DeliveryRow> {
        self.ring.after(after).map(|(_, delivery)| delivery.row())
    }

    pub(crate) fn after_mut(&mut self, after: u64) -> impl Iterator<Item = (u64, &mut Delivery)> {
        self.ring.after_mut(after)
    }

    /// The frames that were not answered yet, oldest first.
    pub(crate) fn unanswered_mut(&mut self) -> impl Iterator<Item = &mut Attempt> {
        let all = self.ring.after_mut(0).flat_map(|(_, delivery)| &mut delivery.attempts);
        all.filter(|attempt| attempt.acks == 0)
    }

    pub(crate) fn size(&self) -> Size {
        self.ring.size()
    }

    pub(crate) fn forget_oldest(&mut self) {
        let by_message_id = &mut self.by_message_id;
        self.ring.forget_oldest(|old| forget(by_message_id, old));
    }

    /// How often a message was pushed.
    pub(crate) fn pushes_of(&self, msg_id: &str) -> usize {
        let mut newest_first = self.ring.after(0).rev().map(|(_, delivery)| delivery);
        newest_first
            .find(|delivery| delivery.msg_id.as_deref() == Some(msg_id))
            .map_or(0, |delivery| delivery.attempts.len())
    }

    /// The chat that a message was said in, if it is known still.
    pub(crate) fn conversation_of(&self, msg_id: &str) -> Option<&str> {
        let mut newest_first = self.ring.after(0).rev().map(|(_, delivery)| delivery);
        newest_first
            .find(|delivery| delivery.msg_id.as_deref() == Some(msg_id))
            .and_then(|delivery| delivery.conversation_id.as_deref())
    }

    /// Counts a first answer.
    pub(crate) fn count_acked(&mut self) {
        self.acked += 1;
    }

    pub(crate) fn acked(&self) -> usize {
        self.acked
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.ring.dropped()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{
        AckRow, Attempt, Deliveries, Delivery, DeliveryState, FixtureFrame, Payload, kept,
    };
    use crate::core::lifetime;

    #[test]
    fn a_long_answer_is_cut_at_the_border_of_a_character() {
        assert_eq!(kept("short".to_owned()), "short");
        let long = kept(format!("x{}", "ä".repeat(lifetime::JOURNAL_BODY)));
        assert!(long.ends_with("ä [65538 bytes more]"), "it has {} bytes", long.len());
    }

    #[test]
    fn answers_count_as_the_memory_that_they_take() {
        let mut deliveries = Deliveries::default();
        for seq in 1..=200 {
            let frame = FixtureFrame::made("EVENT", "*", &[], serde_json::Map::new());
            deliveries.add(Delivery {
                seq,
                state: DeliveryState::Sent,
                kind: "EVENT",
                topic: "*".to_owned(),
                msg_id: None,
                conversation_id: None,
                next_message_id: String::new(),
                payload: Some(Payload::Fixture(Box::new(frame))),
                attempts: Vec::new(),
                ack: None,
                acks: 0,
                blamed: false,
                press: None,
            });
            let attempt = Attempt {
                connection_id: Arc::from("c"),
                message_id: seq.to_string(),
                at: 0,
                since_start: Duration::ZERO,
                entry: 0,
                acks: 0,
                spared: false,
            };
            deliveries.attempted(seq, attempt);
            deliveries.get_mut(seq).unwrap().ack = Some(AckRow {
                connection_id: String::new(),
                on_other_connection: false,
                code: None,
                message: None,
                data: Some("x".repeat(lifetime::JOURNAL_BODY)),
                after_ms: 0,
                late: false,
                at: 0,
            });
            deliveries.weigh(seq);
        }
        let left = deliveries.rows(0).count();
        assert!(left * lifetime::JOURNAL_BODY <= lifetime::APP_BYTES, "{left} rows");
        assert_eq!(left as u64 + deliveries.dropped(), 200);
        assert!(
            deliveries.by_message_id("1").is_none() && deliveries.by_message_id("200").is_some()
        );
    }
}
