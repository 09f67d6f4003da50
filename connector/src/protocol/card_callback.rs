//! Presses on cards: the `data` of a CALLBACK with topic `/v1.0/card/instances/callback`.
//!
//! Source: open.dingtalk.com, 卡片事件回调; `content` is JSON text again, as the official Python and Go
//! SDKs read it.

use serde_json::{Map, Value};

use super::id::SenderStaffId;
use super::lenient;

/// Somebody pressed something on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardCallback {
    /// `outTrackId`: which card.
    pub out_track_id: String,
    /// `userId`: who.
    pub user_id: Option<SenderStaffId>,
    /// `cardPrivateData.actionIds`: which button.
    pub action_ids: Vec<String>,
    /// `cardPrivateData.params`: what the template ties to it.
    pub params: Map<String, Value>,
}

/// Params that hold words, the first of them first.
const WORDS: [&str; 4] = ["text", "content", "value", "action"];

impl CardCallback {
    /// Reads the `data` text of the frame; `None` if it names no card.
    pub fn parse(data: &str) -> Option<Self> {
        let data: Value = lenient::document(data).ok()?;
        let out_track_id = lenient::scalar(&data["outTrackId"]).filter(|id| !id.is_empty())?;
        let content = match &data["content"] {
            Value::String(text) => lenient::document(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        let private = &content["cardPrivateData"];
        let ids = private["actionIds"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            out_track_id,
            user_id: lenient::scalar(&data["userId"])
                .filter(|id| !id.is_empty())
                .map(SenderStaffId::new),
            action_ids: ids.iter().filter_map(lenient::scalar).collect(),
            params: private["params"].as_object().cloned().unwrap_or_default(),
        })
    }

    /// What the press says, where it says something: the first of the params `text`, `content`, `value`
    /// and `action` with words. The id of a button is none.
    pub fn words(&self) -> Option<String> {
        let texts = WORDS.iter().filter_map(|name| lenient::scalar(self.params.get(*name)?));
        texts.map(|text| text.trim().to_owned()).find(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(content: &Value) -> Option<CardCallback> {
        let data = serde_json::json!({
            "outTrackId": "card_1", "userId": "user0001", "content": content,
        });
        CardCallback::parse(&data.to_string())
    }

    #[test]
    fn content_is_read_as_text_and_as_an_object() {
        let content = serde_json::json!({
            "cardPrivateData": { "actionIds": ["ok", 7], "params": { "action": " yes " } },
        });
        for content in [content.to_string().into(), content] {
            let press = press(&content).unwrap();
            assert_eq!(press.action_ids, ["ok", "7"]);
            assert_eq!(press.words().as_deref(), Some("yes"));
            assert_eq!(press.user_id, Some(SenderStaffId::new("user0001")));
        }
    }

    #[test]
    fn a_press_without_words_says_nothing_and_one_without_a_card_is_none() {
        for content in [Value::Null, "{".into(), "{\"cardPrivateData\":{\"params\":[]}}".into()] {
            assert_eq!(press(&content).unwrap().words(), None, "{content}");
        }
        let blank = serde_json::json!({ "cardPrivateData": {
            "actionIds": ["b"], "params": { "text": " ", "value": { "a": 1 } },
        }});
        assert_eq!(press(&blank).unwrap().words(), None);
        for data in ["", "[]", "{}", r#"{"outTrackId":""}"#] {
            assert_eq!(CardCallback::parse(data), None, "{data}");
        }
    }
}
