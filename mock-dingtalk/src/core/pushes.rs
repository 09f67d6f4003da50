//! Frames that are no chat messages: events, and callbacks of other topics.

use serde_json::{Map, Value, json};

use super::{
    app::{App, Cx},
    fixture::FixtureFrame,
    journal::{Draft, EntryKind},
    message::Said,
    verb_error::{VerbError, check_id},
};

/// An EVENT frame. A push that is not answered within 3 s, or with `LATER`, is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// `eventType`, such as `user_add_org`.
    pub event_type: String,
    /// `eventId`, by which a bot tells repeats; made up if not given.
    pub event_id: Option<String>,
    /// The JSON of `data`.
    pub data: Map<String, Value>,
}

impl Event {
    /// An event of this type with this data.
    pub fn new(event_type: impl Into<String>, data: Map<String, Value>) -> Self {
        Self { event_type: event_type.into(), event_id: None, data }
    }

    /// Chooses the `eventId`.
    #[must_use]
    pub fn event_id(mut self, id: impl Into<String>) -> Self {
        self.event_id = Some(id.into());
        self
    }
}

/// A CALLBACK frame of any topic. It goes to connections that subscribed to the topic, once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Callback {
    /// The topic, such as `/v1.0/graph/api/invoke`.
    pub topic: String,
    /// The JSON of `data`.
    pub data: Map<String, Value>,
}

/// An AI plugin or skill is called as if by HTTP (all four official SDKs).
pub(crate) const GRAPH_TOPIC: &str = "/v1.0/graph/api/invoke";
/// A card asks for its dynamic data (Java SDK 1.3.13, `DingTalkStreamTopics`).
pub(crate) const DYNAMIC_DATA_TOPIC: &str = "/v1.0/card/dynamicData/get";

impl Callback {
    /// A callback of any topic.
    pub fn new(topic: impl Into<String>, data: Map<String, Value>) -> Self {
        Self { topic: topic.into(), data }
    }

    /// A call of an AI plugin: an HTTP request in JSON (`graph.py` of `dingtalk-stream` 0.24.3).
    pub fn graph(method: &str, uri: &str, body: &str) -> Self {
        let data = [
            ("requestLine", json!({ "method": method, "uri": uri })),
            ("headers", json!({ "Content-Type": "application/json" })),
            ("body", body.into()),
        ];
        Self::new(GRAPH_TOPIC, members(data))
    }

    /// A card pulls its dynamic data. No source shows this body; the names are those that the
    /// card API gives the same things.
    pub fn dynamic_data(out_track_id: &str, source_id: &str) -> Self {
        let data = [
            ("outTrackId", out_track_id.into()),
            ("dynamicDataSourceId", source_id.into()),
            ("constParams", json!({})),
        ];
        Self::new(DYNAMIC_DATA_TOPIC, members(data))
    }
}

impl App {
    /// Something happens in the corporation.
    pub(crate) fn event(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<Said, VerbError> {
        check_id("eventType", &event.event_type)?;
        let event_id = match &event.event_id {
            Some(id) => {
                check_id("eventId", id)?;
                id.clone()
            }
            None => format!("dingmock{}", self.mint.hex(22)),
        };
        let born = cx.now.unix_ms.to_string();
        let headers = [
            ("eventBornTime", born.as_str()),
            ("eventCorpId", &self.corp_id),
            ("eventId", &event_id),
            ("eventType", &event.event_type),
            ("eventUnifiedAppId", &self.header_id),
        ];
        let data = event.data.clone();
        let frame = FixtureFrame::made("EVENT", "*", &headers, data);
        self.note(cx, Draft::new(EntryKind::Control, format!("event {}", event.event_type)));
        Ok(self.deliver_frame(cx, "EVENT", "*", frame))
    }

    /// The `data` of `robot_msg_read` and `robot_msg_recall` (KB events 0111 and 0112).
    pub(crate) fn robot_message_event(
        &mut self,
        cx: &mut Cx<'_>,
        event_type: &str,
        user_id: &str,
        process_query_key: &str,
    ) -> Result<Said, VerbError> {
        check_id("userId", user_id)?;
        check_id("processQueryKey", process_query_key)?;
        let person = self.people.get_or_add(&mut self.mint, user_id);
        let conversation = self.chat_of(user_id, None)?;
        let data = [
            ("unionId", person.map(|person| person.union_id()).into()),
            // The page spells it so.
            ("operatTime", cx.now.unix_ms.into()),
            ("robotCode", self.robot_code.as_str().into()),
            ("openConversationId", conversation.map(|chat| chat.id).into()),
            ("userId", user_id.into()),
            ("processQueryKey", process_query_key.into()),
        ];
        self.event(cx, &Event::new(event_type, members(data)))
    }

    /// Something else than a chat message is pushed.
    pub(crate) fn callback(
        &mut self,
        cx: &mut Cx<'_>,
        callback: &Callback,
    ) -> Result<Said, VerbError> {
        check_id("topic", &callback.topic)?;
        let frame = FixtureFrame::made("CALLBACK", &callback.topic, &[], callback.data.clone());
        self.note(cx, Draft::new(EntryKind::Control, format!("callback {}", callback.topic)));
        Ok(self.deliver_frame(cx, "CALLBACK", &callback.topic, frame))
    }
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
