//! Messages that were sent: taking them back, and who has read them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::{Path, Query};
use super::server::{Answer, Refusal, Robots, answer, find};
use crate::gateway::push::{Readers, SentError};
use crate::openapi::robot_sent::SendStatus;
use crate::protocol::{ConversationId, ProcessQueryKey};

/// Whose message it is, and the group it was sent to.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    #[serde(rename = "clientId")]
    client_id: Option<String>,
    chat: Option<String>,
}

impl From<SentError> for Refusal {
    fn from(e: SentError) -> Self {
        let status = match e {
            SentError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            SentError::Api(_) | SentError::Stays(_) => StatusCode::BAD_GATEWAY,
        };
        Self(status, e.to_string())
    }
}

pub(super) async fn recall(
    State(robots): Robots,
    Path(key): Path<String>,
    Query(Which { client_id, chat }): Query<Which>,
) -> Answer {
    let pusher = Arc::clone(&find(&robots, client_id.as_deref())?.pusher);
    let key = ProcessQueryKey::new(key);
    pusher.recall(&key, chat.map(ConversationId::new)).await?;
    let body = json!({ "v": 1, "processQueryKey": key.as_str(), "status": "recalled" });
    Ok(answer(StatusCode::OK, &body))
}

pub(super) async fn read(
    State(robots): Robots,
    Path(key): Path<String>,
    Query(Which { client_id, chat }): Query<Which>,
) -> Answer {
    let pusher = Arc::clone(&find(&robots, client_id.as_deref())?.pusher);
    let key = ProcessQueryKey::new(key);
    let readers = pusher.readers(&key, chat.map(ConversationId::new)).await?;
    Ok(answer(StatusCode::OK, &shown(&key, &readers)))
}

fn shown(key: &ProcessQueryKey, Readers { send_status, chat, people }: &Readers) -> Value {
    let status = match send_status {
        SendStatus::Success => "success",
        SendStatus::Recalled => "recalled",
        SendStatus::Processing => "processing",
        SendStatus::Unknown(other) => other,
    };
    let people: Vec<_> = people
        .iter()
        .map(|person| {
            let mut row = json!({ "userId": person.user_id, "read": person.read });
            if !person.name.is_empty() {
                row["name"] = person.name.as_str().into();
            }
            row
        })
        .collect();
    let mut body =
        json!({ "v": 1, "processQueryKey": key.as_str(), "sendStatus": status, "people": people });
    if let Some(chat) = chat {
        body["chat"] = chat.as_str().into();
    }
    body
}
