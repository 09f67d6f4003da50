//! How recipients of pushes are written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::{ConversationId, SenderStaffId};

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// A person, in the direct chat with the robot.
    User(SenderStaffId),
    /// A group, by its `openConversationId`.
    Chat(ConversationId),
}

/// No recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "give a staffId, user:STAFFID or chat:OPENCONVERSATIONID, each with ddingtalk: before it or not"
)]
pub struct TargetError;

/// The longest id, in bytes: no id of DingTalk's comes near it.
const LONGEST: usize = 256;

impl std::str::FromStr for Target {
    type Err = TargetError;

    /// Reads `STAFFID`, `user:STAFFID` or `chat:OPENCONVERSATIONID`, with `ddingtalk:` before it or not, or the
    /// `OPENCONVERSATIONID` alone where it looks like one. Case is kept: ids are case-sensitive.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.strip_prefix("ddingtalk:").unwrap_or(text);
        let bare = if is_chat(text) { "chat" } else { "user" };
        let (kind, id) = text.split_once(':').unwrap_or((bare, text));
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if id.is_empty() || id.len() > LONGEST || id.contains(odd) {
            return Err(TargetError);
        }
        match kind {
            "user" => Ok(Self::User(SenderStaffId::new(id))),
            "chat" => Ok(Self::Chat(ConversationId::new(id))),
            _ => Err(TargetError),
        }
    }
}

/// Whether an id is a group's `openConversationId` by its looks: `cid` and Base64, which has signs that no
/// staffId has, or is longer than one.
fn is_chat(id: &str) -> bool {
    const SHORTEST: usize = 20;
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    id.strip_prefix("cid").is_some_and(|rest| {
        rest.chars().all(is_base64) && (rest.len() >= SHORTEST || rest.contains(['+', '/', '=']))
    })
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Chat(id) => write!(f, "chat:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_to_write_a_recipient_keeps_its_case() {
        let user = |id: &str| Ok(Target::User(SenderStaffId::new(id)));
        let chat = |id: &str| Ok(Target::Chat(ConversationId::new(id)));
        for (text, expected) in [
            ("Manager01", user("Manager01")),
            ("user:Manager01", user("Manager01")),
            ("ddingtalk:user:Manager01", user("Manager01")),
            ("ddingtalk:Manager01", user("Manager01")),
            ("user:a:b", user("a:b")),
            ("chat:cidAbC+/==", chat("cidAbC+/==")),
            ("ddingtalk:chat:cidAbC+/==", chat("cidAbC+/==")),
            ("cidAbC+/==", chat("cidAbC+/==")),
            ("ddingtalk:cidAbC==", chat("cidAbC==")),
            ("cid4KgKXd2Pm0jB7wQv1Yx", user("cid4KgKXd2Pm0jB7wQv1Yx")),
            ("cid4KgKXd2Pm0jB7wQv1YxZz", chat("cid4KgKXd2Pm0jB7wQv1YxZz")),
            ("user:cidAbC==", user("cidAbC==")),
            ("cidney", user("cidney")),
            ("cid", user("cid")),
            ("", Err(TargetError)),
            ("user:", Err(TargetError)),
            ("User:x", Err(TargetError)),
            ("group:x", Err(TargetError)),
            ("a b", Err(TargetError)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(text in "\\PC*") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert_eq!(target.to_string().parse(), Ok(target));
            }
        }
    }
}
