//! Cards: what they show, and how far they are written.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    app::{App, Cx},
    lifetime,
    memory::{block, hashed, map_bytes, texts},
    ring::Size,
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
    /// Its last streaming calls, until the stream ends.
    pub(crate) guids: Guids,
    /// The hash of the last one that counted.
    pub(crate) last_call: Option<u64>,
}

/// The last streaming calls of a card: a hash of each guid, and of what came with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guids {
    calls: VecDeque<(u64, u64)>,
}

/// Streaming calls that a card remembers. A retry comes soon after the call that it repeats.
const MAX_GUIDS: usize = 64;

impl Guids {
    /// What the call with this guid brought.
    pub(crate) fn get(&self, guid: u64) -> Option<u64> {
        self.calls.iter().find(|(known, _)| *known == guid).map(|(_, call)| *call)
    }

    pub(crate) fn add(&mut self, guid: u64, call: u64) {
        if self.calls.len() >= MAX_GUIDS {
            self.calls.pop_front();
        }
        self.calls.push_back((guid, call));
    }
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

    /// The memory that it takes, more or less.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.variables.iter().flatten().map(String::as_str);
        let spaces = self.spaces.iter().flat_map(|(kind, id)| [kind.as_str(), id]);
        let words = [&self.callback, &self.streamed].into_iter().flatten().map(String::as_str);
        texts(words.chain([self.template_id.as_str()]).chain(names).chain(spaces))
            + map_bytes(&self.params)
            + map_bytes(&self.private)
            + map_bytes(&self.space_models)
            + self.variables.iter().flatten().count() * NAME
            + block(self.seqs.capacity() * size_of::<u64>())
            + block(self.spaces.capacity() * size_of::<(String, String)>())
            + block(self.guids.calls.capacity() * size_of::<(u64, u64)>())
    }

    /// Whether so much more may come to it, in memory.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        self.bytes().saturating_add(bytes) <= lifetime::CARD_BYTES
    }

    /// Books that it is shown in a row of `sent`, and where.
    pub(crate) fn place(&mut self, seq: u64, kind: &str, space: &str) {
        if self.seqs.len() >= lifetime::PLACES_PER_CARD {
            self.seqs.remove(0);
            self.spaces.remove(0);
        }
        self.seqs.push(seq);
        self.spaces.push((kind.to_owned(), space.to_owned()));
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

/// What a name in a set takes beside its letters, as sets are half empty.
const NAME: usize = 2 * size_of::<String>();

/// Changes a map key by key, or as a whole.
pub(crate) fn merge(map: &mut Map<String, Value>, new: Map<String, Value>, by_key: bool) {
    if by_key {
        map.extend(new);
    } else {
        *map = new;
    }
}

/// The cards of one app. The oldest are forgotten when there are too many, or they take too much.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cards {
    by_id: HashMap<Arc<str>, Box<Kept>>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
    /// The one that was written last, which is not the one to forget.
    at_hand: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Kept {
    card: Card,
    /// As it was weighed last.
    bytes: usize,
}

impl Kept {
    /// What it takes under this id, index and order included.
    fn weight(&self, id: &str) -> usize {
        let places = hashed::<(Arc<str>, Box<Self>)>() + 2 * size_of::<Arc<str>>();
        block(size_of::<Self>())
            + block(id.len() + 2 * size_of::<usize>())
            + places
            + self.card.bytes()
    }
}

impl Cards {
    pub(crate) fn get(&self, id: &str) -> Option<&Card> {
        self.by_id.get(id).map(|kept| &kept.card)
    }

    /// A card to be changed; [`App::refresh_card`] weighs it again.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Card> {
        self.by_id.get_mut(id).map(|kept| &mut kept.card)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn size(&self) -> Size {
        Size { rows: self.order.len(), bytes: self.bytes }
    }

    pub(crate) fn add(&mut self, id: &str, card: Card) {
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.by_id.insert(Arc::clone(&id), Box::new(Kept { card, bytes: 0 }));
        self.weigh(&id);
    }

    /// Books what a card takes now, and forgets the oldest others for it.
    fn weigh(&mut self, id: &str) {
        let Some((name, _)) = self.by_id.get_key_value(id) else { return };
        self.at_hand = Some(Arc::clone(name));
        let Some(kept) = self.by_id.get_mut(id) else { return };
        let bytes = kept.weight(id);
        self.bytes = self.bytes - kept.bytes + bytes;
        kept.bytes = bytes;
        while self.order.len() > lifetime::CARDS_PER_APP
            || (self.bytes > lifetime::APP_BYTES && self.order.len() > 1)
        {
            self.forget_oldest();
        }
    }

    /// Forgets the oldest card. The one that was written last gets a place among the newest
    /// instead.
    pub(crate) fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        if self.at_hand.as_ref() == Some(&oldest) {
            self.order.push_back(oldest);
        } else if let Some(gone) = self.by_id.remove(&oldest) {
            self.bytes -= gone.bytes;
        }
    }
}

impl App {
    /// Writes a card's content into its rows of `sent`.
    pub(crate) fn refresh_card(&mut self, cx: &mut Cx<'_>, id: &str) {
        let Some(card) = self.api.cards.get(id) else { return };
        let (text, raw, finished) = (card.text(), card.shown(id), card.is_finished());
        let seqs = card.seqs.clone();
        for seq in seqs {
            if let Some(kept) = self.sent.get_mut(seq) {
                kept.rewrite(text.clone(), &raw, finished);
                let bytes = kept.bytes();
                self.sent.reweigh(seq, bytes, drop);
            }
        }
        self.api.cards.weigh(id);
        self.changed(cx);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::{Card, Cards, Guids, Stage};
    use crate::core::lifetime;

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
            guids: Guids::default(),
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

    #[test]
    fn of_guids_the_last_few_are_known() {
        let mut guids = Guids::default();
        for guid in 0..1_000_000 {
            guids.add(guid, guid + 1);
        }
        assert_eq!((guids.get(999_999), guids.get(999_936)), (Some(1_000_000), Some(999_937)));
        assert_eq!(guids.get(999_935), None);
    }

    proptest! {
        #[test]
        fn cards_never_take_more_than_they_may(
            steps in prop::collection::vec((0_usize..40, 0_usize..900_000), 1..60),
        ) {
            let mut cards = Cards::default();
            for (name, size) in steps {
                let id = format!("card{name}");
                let text = "x".repeat(size);
                match cards.get_mut(&id) {
                    Some(card) => {
                        card.params.insert("content".to_owned(), text.into());
                        cards.weigh(&id);
                    }
                    None => cards.add(&id, card(&json!({"content": text}), None, Stage::Delivered)),
                }
                prop_assert!(cards.get(&id).is_some(), "the card at hand stays");
                let real: usize = cards.by_id.iter()
                    .map(|(id, kept)| kept.weight(id)).sum();
                prop_assert_eq!(real, cards.bytes);
                prop_assert!(real <= lifetime::APP_BYTES, "{}", real);
                prop_assert_eq!(cards.order.len(), cards.by_id.len());
            }
        }
    }
}
