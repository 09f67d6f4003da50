//! Messages to people, twenty at a time, and to groups, one after the other.

use super::super::persist::persist_or_tell;
use super::super::quotes;
use super::{Deliveries, Delivery, NOW, Outcome, Pusher, Target, failed};
use crate::agent::Say;
use crate::openapi::BatchSendResult;
use crate::protocol::{ConversationId, ProcessQueryKey, RobotMessage, SenderStaffId};
use crate::store::SentMessage;
use crate::unix_time::now_ms;

/// People that one call of `batchSend` reaches.
const BATCH: usize = 20;

impl Pusher {
    /// Sends all parts to everybody, in order. Who does not get one gets none behind it.
    pub(super) async fn send_messages(&self, to: Vec<Target>, says: Vec<Say>) -> Deliveries {
        let parts = says.len();
        let mut messages = Vec::with_capacity(parts);
        for say in &says {
            match self.message(say).await {
                Ok(message) => messages.push((message, say.words())),
                Err(outcome) => {
                    let none = |target| Delivery::none(target, outcome.clone(), parts);
                    return to.into_iter().map(none).collect();
                }
            }
        }
        let (mut people, mut groups) = (Vec::new(), Vec::new());
        for target in to {
            match target {
                Target::User(user) => people.push(user),
                Target::Chat(group) => groups.push(group),
            }
        }
        let mut deliveries = Vec::new();
        for batch in people.chunks(BATCH) {
            deliveries.extend(self.send_to_people(batch, &messages).await);
        }
        for group in groups {
            deliveries.push(self.send_to_group(group, &messages).await);
        }
        deliveries
    }

    async fn send_to_people(
        &self,
        batch: &[SenderStaffId],
        messages: &[(RobotMessage, String)],
    ) -> Deliveries {
        let robot_code = self.robot_code();
        let arrived = || Outcome::Delivered { out_track_id: None };
        let target = |user: &SenderStaffId| Target::User(user.clone());
        let mut deliveries: Deliveries = batch
            .iter()
            .map(|user| Delivery::none(target(user), arrived(), messages.len()))
            .collect();
        for (message, words) in messages {
            let left: Vec<_> = deliveries
                .iter()
                .zip(batch)
                .filter(|(delivery, _)| delivery.is_delivered())
                .map(|(_, user)| user.clone())
                .collect();
            if left.is_empty() {
                break;
            }
            let send = || self.client.batch_send(&robot_code, &left, message);
            let done = persist_or_tell(NOW, send, |e| self.repeats(e)).await;
            if let Ok(done) = &done {
                self.remember((quotes::people(&left), false), &done.process_query_key, words);
            }
            let going = deliveries.iter_mut().zip(batch).filter(|(d, _)| d.is_delivered());
            for (delivery, user) in going {
                match &done {
                    Err(e) => delivery.outcome = failed(e),
                    Ok(done) => match refused(done, user) {
                        Some(outcome) => delivery.outcome = outcome,
                        None => delivery.process_query_keys.push(done.process_query_key.clone()),
                    },
                }
            }
        }
        deliveries
    }

    async fn send_to_group(
        &self,
        group: ConversationId,
        messages: &[(RobotMessage, String)],
    ) -> Delivery {
        let robot_code = self.robot_code();
        let arrived = Outcome::Delivered { out_track_id: None };
        let mut delivery = Delivery::none(Target::Chat(group.clone()), arrived, messages.len());
        for (message, words) in messages {
            let send = || self.client.group_send(&robot_code, &group, message);
            match persist_or_tell(NOW, send, |e| self.repeats(e)).await {
                Ok(key) => {
                    self.remember((group.clone(), true), &key, words);
                    delivery.process_query_keys.push(key);
                }
                Err(e) => {
                    delivery.outcome = failed(&e);
                    break;
                }
            }
        }
        delivery
    }

    /// So that whoever quotes it is understood.
    fn remember(
        &self,
        (conversation_id, in_group): (ConversationId, bool),
        key: &str,
        words: &str,
    ) {
        let sent = SentMessage {
            client_id: self.client.credential().client_id.clone(),
            process_query_key: ProcessQueryKey::new(key),
            conversation_id,
            in_group,
            text: words.to_owned(),
            sent_at: now_ms(),
        };
        // It goes to disk with what follows; without it a quote has no words.
        drop(self.store.remember_sent(sent));
    }
}

fn refused(done: &BatchSendResult, user: &SenderStaffId) -> Option<Outcome> {
    let has = |list: &[String]| list.iter().any(|id| id == user.as_str());
    if has(&done.invalid_staff_ids) {
        Some(Outcome::Invalid)
    } else if has(&done.flow_controlled_staff_ids) {
        Some(Outcome::FlowControlled)
    } else {
        None
    }
}
