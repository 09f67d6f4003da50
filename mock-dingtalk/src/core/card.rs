//! Cards: what they show, and how far they are written.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    app::{App, Cx},
    lifetime,
};

/// One card, named by its `outTrackId`.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) template_id: String,
    /// `cardParamMap` as it stands.
    pub(crate) params: Map<String, Value>,
    /// The template's variables as far as they can be told; `None` where any name may be one.
    pub(crate) variables: Option<BTreeSet<String>>,
    /// `cardParamMap` for single people, by user id.
    pub(crate) private: Map<String, Value>,
    /// `STREAM` or `HTTP`, where presses are to be told.
    pub(crate) callback: Option<String>,
    /// The key that was streamed last.
    pub(crate) streamed: Option<String>,
    pub(crate) stage: Stage,
    /// Rows of `sent` that show it.
    pub(crate) seqs: Vec<u64>,
    /// Where it was delivered: type and id of the space.
    pub(crate) spaces: Vec<(String, String)>,
    /// Models that it got for spaces later.
    pub(crate) space_models: Map<String, Value>,
    /// The guids of its streaming calls, with a hash of what each brought.
    pub(crate) guids: HashMap<String, u64>,
    /// The hash of the last one that counted.
    pub(crate) last_call: Option<u64>,
}

/// How far the streaming of a card is (KB interactive cards 0002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was streamed.
    Delivered,
    /// Streaming began.
    Inputing,
    /// `isFinalize` came.
    Finished,
    /// `isError` came.
    Failed,
}

/// Keys that hold what people read in the public templates and in those of clients in use.
const READ: [&str; 7] =
    ["msgContent", "content", "markdown", "text", "staticMsgContent", "title", "lastMessage"];
/// Variables of one card that are remembered: our choice.
const MAX_VARIABLES: usize = 1_000;

impl Card {
    /// The memory that it takes, more or less.
    fn bytes(&self) -> usize {
        let maps = [&self.params, &self.private, &self.space_models];
        let members = maps.into_iter().flatten().map(|(name, value)| name.len() + weight(value));
        SMALL + members.sum::<usize>() + PER_CALL * (self.guids.len() + self.spaces.len())
    }

    /// What people read now: the streamed variable, else the first known one that holds text.
    pub(crate) fn text(&self) -> String {
        let text = |key: &str| {
            self.params.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
        };
        let streamed = self.streamed.as_deref().and_then(text);
        streamed.or_else(|| READ.into_iter().find_map(text)).unwrap_or_default().to_owned()
    }

    /// Changes `cardParamMap`, key by key or as a whole. What it names is a variable from now on,
    /// and stays one whatever the map holds later.
    pub(crate) fn change(&mut self, new: Map<String, Value>, by_key: bool) {
        if let Some(variables) = &mut self.variables {
            let room = MAX_VARIABLES.saturating_sub(variables.len());
            variables.extend(new.keys().take(room).cloned());
        }
        merge(&mut self.params, new, by_key);
    }

    /// Whether nothing more is to come. `flowStatus` decides where the card has one; where it has
    /// none, a card is written once it shows something and no stream is open.
    pub(crate) fn is_finished(&self) -> bool {
        match (self.stage, self.params.get("flowStatus").and_then(Value::as_str)) {
            (Stage::Finished | Stage::Failed, _) | (_, Some("3" | "5")) => true,
            (Stage::Inputing, _) | (_, Some("1" | "2" | "4")) => false,
            (Stage::Delivered, _) => !self.text().is_empty(),
        }
    }

    /// The card as `sent` shows it in `raw`.
    pub(crate) fn shown(&self, out_track_id: &str) -> Value {
        let mut shown = json!({
            "outTrackId": out_track_id,
            "cardTemplateId": self.template_id,
            "cardData": { "cardParamMap": self.params },
            "privateData": self.private,
            "callbackType": self.callback,
        });
        for (name, model) in &self.space_models {
            shown[name] = model.clone();
        }
        shown
    }
}

/// The memory that a value takes, more or less.
fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(members) => members.iter().map(|(k, v)| k.len() + weight(v)).sum(),
            _ => 0,
        }
}

/// Ids, names and hashes of a card together, and of each streaming call.
const SMALL: usize = 600;
const PER_CALL: usize = 80;

/// Changes a map key by key, or as a whole.
pub(crate) fn merge(map: &mut Map<String, Value>, new: Map<String, Value>, by_key: bool) {
    if by_key {
        map.extend(new);
    } else {
        *map = new;
    }
}

/// The cards of one app. The oldest are forgotten when there are too many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cards {
    by_id: HashMap<Arc<str>, Card>,
    order: VecDeque<Arc<str>>,
}

impl Cards {
    pub(crate) fn get(&self, id: &str) -> Option<&Card> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Card> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The memory that they take, more or less.
    pub(crate) fn bytes(&self) -> usize {
        self.by_id.values().map(Card::bytes).sum()
    }

    pub(crate) fn add(&mut self, id: &str, card: Card) {
        if self.order.len() >= lifetime::CARDS_PER_APP
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.by_id.insert(id, card);
    }
}

impl App {
    /// Writes a card's content into its rows of `sent`.
    pub(crate) fn refresh_card(&mut self, cx: &mut Cx<'_>, id: &str) {
        let Some(card) = self.api.cards.get(id) else { return };
        let (text, raw, finished) = (card.text(), card.shown(id), card.is_finished());
        for seq in &card.seqs {
            if let Some(kept) = self.sent.get_mut(*seq) {
                kept.rewrite(text.clone(), &raw, finished);
            }
        }
        self.changed(cx);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Map, json};

    use super::{Card, Stage};

    fn card(params: &serde_json::Value, streamed: Option<&str>, stage: Stage) -> Card {
        Card {
            template_id: String::new(),
            params: params.as_object().unwrap().clone(),
            variables: None,
            private: Map::new(),
            callback: None,
            streamed: streamed.map(str::to_owned),
            stage,
            seqs: Vec::new(),
            spaces: Vec::new(),
            space_models: Map::new(),
            guids: HashMap::new(),
            last_call: None,
        }
    }

    #[test]
    fn what_a_card_shows_and_whether_it_is_finished() {
        let cases = [
            (json!({"msgContent": "a"}), None, Stage::Delivered, "a", true),
            (json!({"content": ""}), None, Stage::Delivered, "", false),
            (json!({"flowStatus": "1", "msgContent": "a"}), None, Stage::Delivered, "a", false),
            (json!({"flowStatus": "3"}), None, Stage::Delivered, "", true),
            (json!({"flowStatus": "3", "content": "a"}), None, Stage::Inputing, "a", true),
            (json!({"content": "a", "my": "b"}), Some("my"), Stage::Inputing, "b", false),
            (json!({"content": "a", "my": ""}), Some("my"), Stage::Finished, "a", true),
            (json!({"flowStatus": "2", "content": "a"}), None, Stage::Failed, "a", true),
        ];
        for (params, streamed, stage, text, finished) in cases {
            let card = card(&params, streamed, stage);
            assert_eq!((card.text().as_str(), card.is_finished()), (text, finished), "{params}");
        }
    }
}
