//! What has been seen of an account already, so that nothing has to be tried for it.

use serde_json::Value;

use crate::protocol::BotMessage;
use crate::store::Newest;

/// What the running gateway and the store know of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    /// Since when the running gateway has been connected, in milliseconds since 1970 UTC. Another
    /// connection could be given messages that are meant for it.
    pub connected_since: Option<i64>,
    /// The newest message that came.
    pub newest: Option<Newest>,
}

impl Witness {
    /// What the newest message says about its writer: `Some(true)` has a userId, which only a published app
    /// is told; `Some(false)` is of the robot's own organisation and has none. `None` tells nothing.
    pub(super) fn writer_has_id(&self) -> Option<bool> {
        let newest = self.newest.as_ref()?;
        if BotMessage::parse(&newest.data).ok()?.sender_staff_id.is_some() {
            return Some(true);
        }
        let data: Value = serde_json::from_str(&newest.data).ok()?;
        let corp = |key: &str| data[key].as_str().filter(|corp| !corp.is_empty());
        let own = corp("senderCorpId").is_some() && corp("senderCorpId") == corp("chatbotCorpId");
        own.then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says_about_its_writer() {
        for (fields, expected) in [
            (r#""senderStaffId":"u1""#, Some(true)),
            (r#""senderStaffId":"","senderCorpId":"c","chatbotCorpId":"c""#, Some(false)),
            (r#""senderCorpId":"other","chatbotCorpId":"c""#, None),
            (r#""msgtype":"text""#, None),
        ] {
            let data = format!(r#"{{"conversationId":"cid",{fields}}}"#);
            let newest = Some(Newest { received_at: 0, data });
            let witness = Witness { newest, ..Witness::default() };
            assert_eq!(witness.writer_has_id(), expected, "{fields}");
        }
        assert_eq!(Witness::default().writer_has_id(), None);
    }
}
