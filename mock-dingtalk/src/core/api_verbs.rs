//! What people and tests do to the state of an app's HTTP APIs.

use serde::Serialize;

use super::{
    app::{App, Cx},
    inbound::check_file,
    inbound_media::Media,
    verb_error::{VerbError, quoted},
};

/// No limit of calls is larger.
pub(crate) const MOST_CALLS: u64 = 1_000_000_000;

/// What the HTTP APIs allow an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiLimits {
    /// Calls of one API within a second; `None` is no limit. At most a thousand million.
    pub per_second: Option<u64>,
    /// The same within a minute.
    pub per_minute: Option<u64>,
    /// Counted calls in a calendar month of UTC+8; `None` is no limit. At most a thousand million.
    pub per_month: Option<u64>,
    /// Messages that people send in such a month; `None` is no limit. Those beyond it come with
    /// `errorCode` 20001 and neither `text` nor `content` (KB 0699). Fixtures are not counted.
    pub messages_per_month: Option<u64>,
    /// People, by user id, who get nothing by batchSend and are listed in
    /// `flowControlledStaffIdList`, each once.
    pub flow_controlled: Vec<String>,
    /// Whether `sendBySession` takes the types that clients send and no page has.
    pub undocumented_replies: bool,
}

/// A person's file, kept for the robot to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AddedFile {
    /// What a message that carries it has; good for a day.
    pub download_code: String,
    /// The file's name.
    pub name: String,
    /// Bytes.
    pub size: usize,
    /// Of the bytes, in hexadecimal.
    pub sha256: String,
}

impl App {
    /// Keeps a person's file without a message that carries it.
    pub(crate) fn add_file(&mut self, cx: &Cx<'_>, sent: Media) -> Result<AddedFile, VerbError> {
        check_file(&sent)?;
        let file = self.api.media.sent_by_person(&mut self.mint, self.number, sent, cx.now);
        Ok(AddedFile {
            download_code: file.id.clone(),
            name: file.name.clone(),
            size: file.bytes.len(),
            sha256: file.sha256(),
        })
    }

    /// A person reads a message of the robot.
    pub(crate) fn read_by(
        &mut self,
        cx: &Cx<'_>,
        user_id: &str,
        process_query_key: &str,
    ) -> Result<(), VerbError> {
        if self.people.get(user_id).is_none() {
            return Err(VerbError::invalid("userId", quoted(user_id), "a person of the app"));
        }
        if self.api.pushes.read(process_query_key, user_id, cx.now.unix_ms) {
            return Ok(());
        }
        let allowed = "the processQueryKey of a message that the robot sent";
        Err(VerbError::invalid("processQueryKey", quoted(process_query_key), allowed))
    }

    /// What is allowed now.
    pub(crate) fn api_limits(&self) -> ApiLimits {
        ApiLimits {
            per_second: self.api.limits.per_second,
            per_minute: self.api.limits.per_minute,
            per_month: self.api.limits.per_month,
            messages_per_month: self.api.limits.messages_per_month,
            flow_controlled: self.api.limits.flow_controlled.iter().cloned().collect(),
            undocumented_replies: self.api.undocumented_replies,
        }
    }

    /// Allows this from now on; what is counted stays.
    pub(crate) fn set_api_limits(&mut self, limits: ApiLimits) -> Result<(), VerbError> {
        let named = [
            ("perSecond", limits.per_second),
            ("perMinute", limits.per_minute),
            ("perMonth", limits.per_month),
            ("messagesPerMonth", limits.messages_per_month),
        ];
        for (field, limit) in named {
            if let Some(limit) = limit.filter(|limit| *limit > MOST_CALLS) {
                let allowed = format!("0 to {MOST_CALLS}, or none");
                return Err(VerbError::invalid(field, limit.to_string(), allowed));
            }
        }
        let stranger = limits.flow_controlled.iter().find(|id| self.people.get(id).is_none());
        if let Some(id) = stranger {
            let allowed = "people of the app, by user id";
            return Err(VerbError::invalid("flowControlled", quoted(id), allowed));
        }
        let now = &mut self.api.limits;
        now.per_second = limits.per_second;
        now.per_minute = limits.per_minute;
        now.per_month = limits.per_month;
        now.messages_per_month = limits.messages_per_month;
        now.flow_controlled = limits.flow_controlled.into_iter().collect();
        self.api.undocumented_replies = limits.undocumented_replies;
        Ok(())
    }
}
