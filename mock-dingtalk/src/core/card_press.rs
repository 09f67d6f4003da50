//! Presses on cards: CALLBACK frames of their own topic, whose answers change the card.

use serde_json::{Map, Value, json};

use super::{
    app::{App, Cx},
    card::merge,
    fixture::FixtureFrame,
    journal::{Diagnosis, Draft, EntryKind},
    lifetime,
    message::{Said, SaidState},
    openapi::outgrown,
    timer::Timer,
    verb_error::{VerbError, quoted},
};

/// The topic of presses (openapi.md 6.8).
pub(crate) const CARD_TOPIC: &str = "/v1.0/card/instances/callback";
const SEE: &str = "openapi.md 6.8 (KB interactive cards 0007)";
/// Action ids of one press: our choice.
const MAX_ACTIONS: usize = 100;

/// A person presses a button of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CardPress {
    /// The card, made with `callbackType` `STREAM` and delivered.
    pub out_track_id: String,
    /// Who presses.
    pub user_id: String,
    /// `cardPrivateData.actionIds`.
    pub action_ids: Vec<String>,
    /// `cardPrivateData.params`.
    pub params: Map<String, Value>,
    /// The space it is pressed in, of those it was delivered to; the first if not given.
    pub space_id: Option<String>,
    /// What the template adds, as an object; `{}` if not given.
    pub extension: Map<String, Value>,
}

impl CardPress {
    /// A press on the button with this action id.
    pub fn new(
        out_track_id: impl Into<String>,
        user_id: impl Into<String>,
        action_id: impl Into<String>,
    ) -> Self {
        Self {
            out_track_id: out_track_id.into(),
            user_id: user_id.into(),
            action_ids: vec![action_id.into()],
            params: Map::new(),
            space_id: None,
            extension: Map::new(),
        }
    }

    /// Chooses the parameters.
    #[must_use]
    pub fn params(mut self, params: Map<String, Value>) -> Self {
        self.params = params;
        self
    }

    /// Chooses the space.
    #[must_use]
    pub fn space_id(mut self, id: impl Into<String>) -> Self {
        self.space_id = Some(id.into());
        self
    }
}

/// Whose press a frame tells of.
#[derive(Debug, Clone)]
pub(crate) struct Pressed {
    pub(crate) out_track_id: String,
    pub(crate) user_id: String,
}

impl App {
    /// Pushes a press. The answer is due within 2 s.
    pub(crate) fn press_card(
        &mut self,
        cx: &mut Cx<'_>,
        press: &CardPress,
    ) -> Result<Said, VerbError> {
        let data = self.press_data(press)?;
        let frame = FixtureFrame::made("CALLBACK", CARD_TOPIC, &[], data);
        let CardPress { out_track_id, user_id, action_ids, .. } = press;
        let text = format!("{user_id} presses {action_ids:?} of the card {out_track_id}");
        self.note(cx, Draft::new(EntryKind::Control, text));
        let seq = self.deliveries.next_seq();
        let said = self.deliver_frame(cx, "CALLBACK", CARD_TOPIC, frame);
        if let Some(delivery) = self.deliveries.get_mut(seq) {
            delivery.press =
                Some(Pressed { out_track_id: out_track_id.clone(), user_id: user_id.clone() });
        }
        if said.state == SaidState::Pushed {
            cx.plan(lifetime::PRESS_ACK, Timer::AckDeadline(seq, 0));
        }
        Ok(said)
    }

    /// `data` of the frame, if there is such a card and such a person.
    fn press_data(&mut self, press: &CardPress) -> Result<Map<String, Value>, VerbError> {
        let CardPress { out_track_id, user_id, action_ids, params, .. } = press;
        let invalid = |field: &str, value: &str, allowed: &str| {
            Err(VerbError::invalid(field, quoted(value), allowed))
        };
        if action_ids.len() > MAX_ACTIONS {
            let value = format!("a list of {}", action_ids.len());
            return Err(VerbError::invalid("actionIds", value, format!("at most {MAX_ACTIONS}")));
        }
        if self.people.get(user_id).is_none() {
            return invalid("userId", user_id, "a person of the app");
        }
        let Some(card) = self.api.cards.get(out_track_id) else {
            return invalid("outTrackId", out_track_id, "the outTrackId of a card of the app");
        };
        if card.callback.as_deref() != Some("STREAM") {
            let kind = card.callback.as_deref().unwrap_or("no callbackType");
            let value = format!("{} ({kind})", quoted(out_track_id));
            let allowed = "a card made with callbackType STREAM: others tell nobody here";
            return Err(VerbError::invalid("outTrackId", value, allowed));
        }
        let wanted = press.space_id.as_deref();
        let space = card.spaces.iter().find(|(_, id)| wanted.is_none_or(|wanted| wanted == id));
        let Some((kind, space)) = space.cloned() else {
            return match wanted {
                Some(id) => invalid("spaceId", id, "a space that the card was delivered to"),
                None => invalid("outTrackId", out_track_id, "a card that was delivered"),
            };
        };
        // The chat as bots know it, also where the card was delivered by a person's id.
        let chat = match kind.as_str() {
            "IM_ROBOT" => {
                let person = self.people.named(&space).map(|person| person.user_id.clone());
                let user_id = person.unwrap_or(space);
                self.conversations.direct(&mut self.mint, &user_id, None).map(|chat| chat.id)
            }
            _ => Some(space),
        };
        let content = json!({ "cardPrivateData": { "actionIds": action_ids, "params": params } });
        let data = json!({
            "type": "actionCallback",
            "outTrackId": out_track_id,
            "corpId": self.corp_id,
            "userId": user_id,
            "userIdType": 1,
            "spaceType": "IM",
            "spaceId": chat,
            "extension": Value::Object(press.extension.clone()).to_string(),
            "content": content.to_string(),
        });
        let Value::Object(data) = data else { unreachable!("it was made as an object") };
        Ok(data)
    }

    /// An answer to a press changes the card. One that came too late changes nothing: people were
    /// told by then that it failed (our choice).
    pub(crate) fn pressed(
        &mut self,
        cx: &mut Cx<'_>,
        press: &Pressed,
        late: bool,
        data: Option<&str>,
    ) {
        let id = press.out_track_id.as_str();
        let changed = if late {
            Err("the answer to a press came after more than 2 s: nothing changes".to_owned())
        } else {
            self.apply_answer(press, data)
        };
        match changed {
            Ok(false) => {}
            Ok(true) => {
                let text = format!("the answer to a press changes the card {id}");
                self.note(cx, Draft::new(EntryKind::Sent, text));
                self.refresh_card(cx, id);
            }
            Err(problem) => {
                let expected = r#"{"response":{"cardData":{"cardParamMap":{..}}}} within 2 s"#;
                let diagnosis = Diagnosis::new(problem, expected, SEE);
                let text = format!("the answer to a press does not change the card {id}");
                let draft = Draft::new(EntryKind::FrameIn, text);
                self.note(cx, draft.diagnosis(Some(diagnosis)));
            }
        }
    }

    /// Whether the card changed, or what is wrong with the answer.
    fn apply_answer(&mut self, press: &Pressed, data: Option<&str>) -> Result<bool, String> {
        let answer: Value = match data {
            None | Some("") => return Ok(false),
            Some(data) => serde_json::from_str(data).map_err(|_| "data is not JSON".to_owned())?,
        };
        let response = match answer.get("response") {
            None if answer.get("cardData").is_some() || answer.get("userPrivateData").is_some() => {
                return Err("data has no response around cardData".to_owned());
            }
            None | Some(Value::Null) => return Ok(false),
            Some(response) => response,
        };
        let public = params_of(response, "cardData")?;
        let private = params_of(response, "userPrivateData")?;
        let by_key = |name: &str| {
            let options = response.get("cardUpdateOptions");
            options.and_then(|options| options.get(name)).and_then(Value::as_bool).unwrap_or(false)
        };
        let Some(card) = self.api.cards.get_mut(&press.out_track_id) else { return Ok(false) };
        if outgrown(card, public.as_ref(), private.as_ref()).is_some() {
            return Err(format!("the card would take more than {} bytes", lifetime::CARD_BYTES));
        }
        let changed = public.is_some() || private.is_some();
        if let Some(params) = public {
            card.change(params, by_key("updateCardDataByKey"));
        }
        if let Some(params) = private {
            let mine = card.private.entry(press.user_id.clone());
            if let Value::Object(mine) = mine.or_insert_with(|| json!({})) {
                merge(mine, params, by_key("updatePrivateDataByKey"));
            }
        }
        Ok(changed)
    }
}

/// `cardParamMap` of a member of the answer.
fn params_of(response: &Value, member: &str) -> Result<Option<Map<String, Value>>, String> {
    let params = response.get(member).and_then(|data| data.get("cardParamMap"));
    match params {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(params)) => match params.iter().find(|(_, value)| !value.is_string()) {
            None => Ok(Some(params.clone())),
            Some((name, _)) => Err(format!("{member}.cardParamMap.{name} is no string")),
        },
        Some(_) => Err(format!("{member}.cardParamMap is no object")),
    }
}
