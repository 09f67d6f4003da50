//! Chats: one with each person, and groups.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ids::Mint, lifetime};

/// `conversationType` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ConversationKind {
    /// A chat between one person and the robot, `"1"`.
    #[serde(rename = "1")]
    Direct,
    /// A group with the robot in it, `"2"`.
    #[serde(rename = "2")]
    Group,
}

/// A chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Conversation {
    /// `conversationId`.
    pub id: String,
    /// Whether it is a group.
    #[serde(rename = "type")]
    pub kind: ConversationKind,
    /// `conversationTitle`, groups only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The other side of a direct chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// All chats of an app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversations {
    by_id: BTreeMap<String, Conversation>,
    direct_by_user: BTreeMap<String, String>,
    group_by_title: BTreeMap<String, String>,
}

impl Conversations {
    pub(crate) fn get(&self, id: &str) -> Option<&Conversation> {
        self.by_id.get(id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Conversation> {
        self.by_id.values()
    }

    /// What allows a person's direct chat to have this id, if it cannot: a person has one, and it
    /// is nobody else's.
    pub(crate) fn why_not_direct(&self, user_id: &str, id: &str) -> Option<String> {
        let owner = self.by_id.get(id).map(|chat| chat.user_id.as_deref());
        if owner.is_some_and(|owner| owner != Some(user_id)) {
            return Some(format!("an id that is no other chat's than that of {user_id:?}"));
        }
        let own = self.direct_by_user.get(user_id).filter(|own| *own != id)?;
        Some(format!("{own:?}, the chat that {user_id:?} has with the robot"))
    }

    /// What the texts of all chats take, in bytes, besides their ids.
    pub(crate) fn title_bytes(&self) -> usize {
        // Groups are kept by their title, too.
        self.by_id
            .values()
            .filter_map(|chat| chat.title.as_ref())
            .map(|title| 2 * title.len())
            .sum()
    }

    /// The person's direct chat, made now if there is none. `None` when there are too many.
    pub(crate) fn direct(
        &mut self,
        mint: &mut Mint,
        user_id: &str,
        id: Option<&str>,
    ) -> Option<Conversation> {
        let known = id.or_else(|| self.direct_by_user.get(user_id).map(String::as_str));
        if let Some(found) = known.and_then(|id| self.by_id.get(id)) {
            return Some(found.clone());
        }
        let id = id.map_or_else(|| mint.conversation_id(), str::to_owned);
        let made = Conversation {
            id,
            kind: ConversationKind::Direct,
            title: None,
            user_id: Some(user_id.to_owned()),
        };
        self.insert(made)
    }

    /// The group with this id, else with this title, made now if there is none. `None` when
    /// there are too many.
    pub(crate) fn group(
        &mut self,
        mint: &mut Mint,
        id: Option<&str>,
        title: Option<&str>,
    ) -> Option<Conversation> {
        let title = title.unwrap_or("Team");
        let known = id.or_else(|| self.group_by_title.get(title).map(String::as_str));
        if let Some(found) = known.and_then(|id| self.by_id.get(id)) {
            return Some(found.clone());
        }
        let id = id.map_or_else(|| mint.conversation_id(), str::to_owned);
        let made = Conversation {
            id,
            kind: ConversationKind::Group,
            title: Some(title.to_owned()),
            user_id: None,
        };
        self.insert(made)
    }

    fn insert(&mut self, made: Conversation) -> Option<Conversation> {
        if self.by_id.len() >= lifetime::PEOPLE_PER_APP {
            return None;
        }
        if let Some(user_id) = &made.user_id {
            self.direct_by_user.insert(user_id.clone(), made.id.clone());
        }
        if let Some(title) = &made.title {
            self.group_by_title.insert(title.clone(), made.id.clone());
        }
        self.by_id.insert(made.id.clone(), made.clone());
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::{Conversations, Mint};

    #[test]
    fn a_person_has_one_direct_chat_and_shares_it_with_nobody() {
        let (mut chats, mut mint) = (Conversations::default(), Mint::new(1));
        let one = chats.direct(&mut mint, "one", Some("cid-1")).unwrap().id;
        let group = chats.group(&mut mint, None, Some("Team")).unwrap().id;
        for (user, id, good) in [
            ("one", one.as_str(), true),
            ("one", "cid-2", false),
            ("two", one.as_str(), false),
            ("two", group.as_str(), false),
            ("two", "cid-2", true),
        ] {
            assert_eq!(chats.why_not_direct(user, id).is_none(), good, "{user} {id}");
        }
        assert_eq!(chats.title_bytes(), 8);
    }
}
