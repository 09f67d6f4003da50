//! The people of an app's corporation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ids::Mint, lifetime};

/// Somebody who can talk to the robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Person {
    /// `senderStaffId` in frames, `userId` in calls.
    pub user_id: String,
    /// `senderNick`.
    pub nick: String,
    /// `senderId`, the encrypted id.
    pub dingtalk_id: String,
}

impl Person {
    /// `unionId`. Made of the encrypted id, which is minted for each person.
    pub(crate) fn union_id(&self) -> String {
        let core: String = self.dingtalk_id.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("Un{}", core.trim_start_matches("LWCPv1"))
    }
}

/// Everybody known, by user id.
#[derive(Debug, Clone, Default)]
pub(crate) struct People {
    by_id: BTreeMap<String, Person>,
}

impl People {
    /// The three people that every fresh app has.
    pub(crate) fn fresh(mint: &mut Mint) -> Self {
        let mut people = Self::default();
        for (user_id, nick) in [("user0001", "Ada"), ("user0002", "Bob"), ("user0003", "陈晨")] {
            people.add(mint, user_id, nick);
        }
        people
    }

    pub(crate) fn get(&self, user_id: &str) -> Option<&Person> {
        self.by_id.get(user_id)
    }

    /// The person with this user id or union id.
    pub(crate) fn named(&self, id: &str) -> Option<&Person> {
        self.get(id).or_else(|| self.all().find(|person| person.union_id() == id))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Person> {
        self.by_id.values()
    }

    /// The person, made now if nobody has the id. `None` when there are too many people already.
    pub(crate) fn get_or_add(&mut self, mint: &mut Mint, user_id: &str) -> Option<Person> {
        if let Some(person) = self.by_id.get(user_id) {
            return Some(person.clone());
        }
        if self.by_id.len() >= lifetime::PEOPLE_PER_APP {
            return None;
        }
        Some(self.add(mint, user_id, user_id))
    }

    fn add(&mut self, mint: &mut Mint, user_id: &str, nick: &str) -> Person {
        let person = Person {
            user_id: user_id.to_owned(),
            nick: nick.to_owned(),
            dingtalk_id: mint.dingtalk_id(),
        };
        self.by_id.insert(person.user_id.clone(), person.clone());
        person
    }
}
