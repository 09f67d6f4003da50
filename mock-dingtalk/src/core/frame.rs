//! Frames as the gateway writes them. All header values are strings, `data` is JSON in a string.

use serde::Serialize;

/// The envelope of every frame.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Frame<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    spec_version: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
    headers: Headers<'a>,
    data: &'a str,
}

/// Headers in the alphabetical order that real frames have.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Headers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a str>,
    content_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    time: String,
    topic: &'a str,
}

impl<'a> Frame<'a> {
    pub(crate) fn callback(
        app_id: &'a str,
        connection_id: &'a str,
        message_id: &'a str,
        topic: &'a str,
        unix_ms: i64,
        data: &'a str,
    ) -> Self {
        let headers = Headers {
            app_id: Some(app_id),
            connection_id: Some(connection_id),
            content_type: "application/json",
            message_id: Some(message_id),
            time: unix_ms.to_string(),
            topic,
        };
        Self { spec_version: Some("1.0"), kind: "CALLBACK", headers, data }
    }

    /// Without `message_id` it is the form that the protocol page shows.
    pub(crate) fn system(
        topic: &'a str,
        message_id: Option<&'a str>,
        unix_ms: i64,
        data: &'a str,
    ) -> Self {
        let headers = Headers {
            app_id: None,
            connection_id: None,
            content_type: "application/json",
            message_id,
            time: unix_ms.to_string(),
            topic,
        };
        // The page's example lacks both members; no real frame was seen without them.
        let spec_version = message_id.map(|_| "1.0");
        Self { spec_version, kind: "SYSTEM", headers, data }
    }

    /// `headers.messageId` of a frame that was written, if it has one.
    pub(crate) fn message_id(text: &str) -> Option<String> {
        let frame: serde_json::Value = serde_json::from_str(text).ok()?;
        frame["headers"]["messageId"].as_str().map(str::to_owned)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a frame of strings is always JSON")
    }
}
