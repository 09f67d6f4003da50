//! What becomes of messages that were sent: they are taken back, and read.

use super::Pusher;
use crate::openapi::OpenApiError;
use crate::openapi::robot_sent::{Reader, SendStatus};
use crate::protocol::{ConversationId, ProcessQueryKey};
use crate::store::StoreError;

/// Who has read a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readers {
    /// What became of the message.
    pub send_status: SendStatus,
    /// The group it was sent to, if it was one.
    pub chat: Option<ConversationId>,
    /// Each recipient of a message to people; of a group only those who have read it, without their names.
    pub people: Vec<Reader>,
}

/// Nothing is known of a message, or nothing can be done with it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SentError {
    /// DingTalk did not do it.
    #[error(transparent)]
    Api(#[from] OpenApiError),
    /// DingTalk does not take the message back.
    #[error("DingTalk does not take it back: {0}; recalls work for 24 h")]
    Stays(String),
    /// Where it was sent cannot be looked up.
    #[error("it cannot be looked up where the message was sent: {0}")]
    Store(#[from] StoreError),
}

/// Readers of a group that one call asks for: as many as DingTalk tells at a time.
const PAGE: u8 = 200;

impl Pusher {
    /// Takes a message back, for 24 h. `chat` is the group it was sent to; without it that is looked up among
    /// what was sent in the last 7 days, and what is not found counts as sent to people.
    pub async fn recall(
        &self,
        key: &ProcessQueryKey,
        chat: Option<ConversationId>,
    ) -> Result<(), SentError> {
        let (robot_code, keys) = (self.robot_code(), std::slice::from_ref(key));
        let result = match self.group_of(key, chat).await? {
            Some(group) => self.client.group_recall(&robot_code, &group, keys).await?,
            None => self.client.batch_recall(&robot_code, keys).await?,
        };
        if result.recalled.iter().any(|recalled| recalled == key.as_str()) {
            return Ok(());
        }
        let reason = result.failed.into_iter().next().map(|(_, reason)| reason);
        Err(SentError::Stays(reason.unwrap_or_else(|| "it gives no reason".to_owned())))
    }

    /// Who has read a message, for 24 h; `chat` as above.
    pub async fn readers(
        &self,
        key: &ProcessQueryKey,
        chat: Option<ConversationId>,
    ) -> Result<Readers, SentError> {
        let robot_code = self.robot_code();
        let Some(group) = self.group_of(key, chat).await? else {
            let status = self.client.read_status(&robot_code, key).await?;
            let (send_status, people) = (status.send_status, status.people);
            return Ok(Readers { send_status, chat: None, people });
        };
        let (mut people, mut token) = (Vec::new(), None::<String>);
        loop {
            let page =
                self.client.group_readers(&robot_code, &group, key, PAGE, token.as_deref()).await?;
            let reader = |user_id| Reader { user_id, name: String::new(), read: true };
            people.extend(page.read_user_ids.into_iter().map(reader));
            // A token that stays the same would be asked for ever.
            if page.next_token.is_none() || page.next_token == token {
                let send_status = page.send_status;
                return Ok(Readers { send_status, chat: Some(group), people });
            }
            token = page.next_token;
        }
    }

    /// The group that a message was sent to, if it was one.
    async fn group_of(
        &self,
        key: &ProcessQueryKey,
        chat: Option<ConversationId>,
    ) -> Result<Option<ConversationId>, StoreError> {
        if chat.is_some() {
            return Ok(chat);
        }
        let client_id = &self.client.credential().client_id;
        let sent = self.store.sent_message(client_id, key).await?;
        Ok(sent.filter(|sent| sent.in_group).map(|sent| sent.conversation_id))
    }
}
