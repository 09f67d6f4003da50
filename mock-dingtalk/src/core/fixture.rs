//! The fixtures that the mock can push, and how a recorded frame becomes a live one.

use serde_json::{Map, Value};

use super::{
    Moment,
    memory::{block, map_bytes},
    message::session_webhook,
};

/// Name (path below `fixtures/`, without `.json`) and bytes of each, sorted by name.
static FIXTURES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));

/// The topic of robot messages.
pub(crate) const BOT_TOPIC: &str = "/v1.0/im/bot/messages/get";

/// The names of all fixtures.
pub(crate) fn fixture_names() -> impl Iterator<Item = &'static str> {
    FIXTURES.iter().map(|(name, _)| *name)
}

/// A fixture's bytes, as they stand in its file.
pub(crate) fn fixture_bytes(name: &str) -> Option<&'static [u8]> {
    let name = name.strip_suffix(".json").unwrap_or(name);
    FIXTURES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// A frame from a fixture, taken apart so that its ids can be made anew.
#[derive(Debug, Clone)]
pub(crate) struct FixtureFrame {
    envelope: Map<String, Value>,
    /// `data`, if it is a JSON object.
    data: Option<Map<String, Value>>,
    /// The session whose webhook is written in at push time.
    session: Option<String>,
}

/// What the app writes into a robot message that comes from a fixture.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) msg_id: String,
    pub(crate) conversation_id: String,
    pub(crate) session: String,
    pub(crate) robot_code: String,
    pub(crate) robot_dingtalk_id: String,
    pub(crate) created_at: i64,
    pub(crate) session_expires_at: i64,
}

impl FixtureFrame {
    /// Takes a frame that goes from the server to the client; anything else is `None`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let Ok(Value::Object(mut envelope)) = serde_json::from_slice(bytes) else { return None };
        let kind = envelope.get("type").and_then(Value::as_str)?;
        if !["CALLBACK", "EVENT", "SYSTEM"].contains(&kind) {
            return None;
        }
        envelope.get("headers")?.as_object()?;
        let data = match envelope.get("data").and_then(Value::as_str).map(serde_json::from_str) {
            Some(Ok(Value::Object(data))) => {
                envelope.remove("data");
                Some(data)
            }
            _ => None,
        };
        Some(Self { envelope, data, session: None })
    }

    /// A frame made here, with the headers that real ones have; `more` are those of an EVENT.
    pub(crate) fn made(
        kind: &str,
        topic: &str,
        more: &[(&str, &str)],
        data: Map<String, Value>,
    ) -> Self {
        let mut headers = Map::new();
        for name in ["appId", "connectionId", "messageId", "time"] {
            headers.insert(name.to_owned(), "".into());
        }
        headers.insert("contentType".to_owned(), "application/json".into());
        headers.insert("topic".to_owned(), topic.into());
        for (name, value) in more {
            headers.insert((*name).to_owned(), (*value).into());
        }
        let envelope = Map::from_iter([
            ("specVersion".to_owned(), "1.0".into()),
            ("type".to_owned(), kind.into()),
            ("headers".to_owned(), Value::Object(headers)),
        ]);
        Self { envelope, data: Some(data), session: None }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.envelope.get("type").and_then(Value::as_str) {
            Some("EVENT") => "EVENT",
            Some("SYSTEM") => "SYSTEM",
            _ => "CALLBACK",
        }
    }

    pub(crate) fn topic(&self) -> &str {
        self.header("topic").unwrap_or_default()
    }

    /// A string of `data`.
    pub(crate) fn datum(&self, name: &str) -> Option<&str> {
        self.data.as_ref()?.get(name)?.as_str()
    }

    /// The `downloadCode`s in `data`, within lists and quotes too.
    pub(crate) fn download_codes(&self) -> Vec<String> {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                Value::Object(members) => {
                    for (name, value) in members {
                        match value.as_str() {
                            Some(code) if name.ends_with("ownloadCode") => {
                                found.push(code.to_owned());
                            }
                            _ => walk(value, found),
                        }
                    }
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        self.data.iter().flat_map(Map::values).for_each(|value| walk(value, &mut found));
        found
    }

    /// The memory that it takes, more or less.
    pub(crate) fn bytes(&self) -> usize {
        let data = self.data.as_ref().map_or(0, map_bytes);
        block(size_of::<Self>()) + map_bytes(&self.envelope) + data
    }

    /// Makes a robot message the app's own, so that the bot can answer it.
    pub(crate) fn renew_message(&mut self, renewal: Renewal) {
        let Some(data) = &mut self.data else { return };
        let old_robot = data.get("chatbotUserId").cloned();
        for (name, value) in [
            ("msgId", &renewal.msg_id),
            ("conversationId", &renewal.conversation_id),
            ("robotCode", &renewal.robot_code),
            ("chatbotUserId", &renewal.robot_dingtalk_id),
        ] {
            if let Some(slot) = data.get_mut(name) {
                *slot = Value::String(value.clone());
            }
        }
        for (name, value) in [
            ("createAt", renewal.created_at),
            ("sessionWebhookExpiredTime", renewal.session_expires_at),
        ] {
            match data.get_mut(name) {
                Some(slot @ Value::String(_)) => *slot = Value::String(value.to_string()),
                Some(slot) => *slot = value.into(),
                None => {}
            }
        }
        let mentions = data.get_mut("atUsers").and_then(Value::as_array_mut);
        for mention in mentions.into_iter().flatten() {
            if let Some(id) =
                mention.get_mut("dingtalkId").filter(|id| Some(&**id) == old_robot.as_ref())
            {
                *id = Value::String(renewal.robot_dingtalk_id.clone());
            }
        }
        self.session = Some(renewal.session);
    }

    /// Makes an event new, so that a bot that dedupes takes it.
    pub(crate) fn renew_event(&mut self, event_id: &str, corp_id: &str, now: Moment) {
        self.set_header("eventId", event_id);
        self.set_header("eventCorpId", corp_id);
        self.set_header("eventBornTime", &now.unix_ms.to_string());
    }

    /// The frame for one connection. Headers that the fixture leaves out stay out.
    pub(crate) fn write(
        &mut self,
        app_id: &str,
        connection_id: &str,
        message_id: &str,
        base: &str,
        now: Moment,
    ) -> String {
        self.set_header("messageId", message_id);
        self.set_header("connectionId", connection_id);
        self.set_header("appId", app_id);
        self.set_header("time", &now.unix_ms.to_string());
        if let Some(data) = &mut self.data {
            if let Some(slot) = data.get_mut("sessionWebhook")
                && let Some(session) = &self.session
            {
                *slot = Value::String(session_webhook(base, session));
            }
            let text = Value::Object(data.clone()).to_string();
            self.envelope.insert("data".to_owned(), Value::String(text));
        }
        Value::Object(self.envelope.clone()).to_string()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.envelope.get("headers")?.get(name)?.as_str()
    }

    fn set_header(&mut self, name: &str, value: &str) {
        let headers = self.envelope.get_mut("headers");
        if let Some(slot) = headers.and_then(|headers| headers.get_mut(name)) {
            *slot = Value::String(value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::{fixture_bytes, fixture_names};

    #[test]
    fn the_table_holds_exactly_the_files_of_the_folders() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        let mut expected = BTreeSet::new();
        for folder in ["stream", "hostile"] {
            for entry in fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let file = path.file_name().unwrap().to_str().unwrap().to_owned();
                let name = format!("{folder}/{}", file.strip_suffix(".json").unwrap_or(&file));
                assert_eq!(fixture_bytes(&name), Some(&*fs::read(&path).unwrap()), "{name}");
                expected.insert(name);
            }
        }
        let table: BTreeSet<_> = fixture_names().map(str::to_owned).collect();
        assert_eq!(table, expected);
        assert!(table.len() > 20);
    }
}
