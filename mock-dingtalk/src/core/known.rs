//! Words of rows that are read back from the control API.

use serde::{Deserialize, Deserializer, de::Error};

use super::findings::RULES;

/// A word of a row. By this name serde does not take it for borrowed from what is read.
pub(crate) type Word = &'static str;

/// Reads one of `known`, so that rows keep the words that they are made of.
fn word<'de, D: Deserializer<'de>>(
    deserializer: D,
    known: impl IntoIterator<Item = Word>,
) -> Result<Word, D::Error> {
    let given = String::deserialize(deserializer)?;
    let found = known.into_iter().find(|word| *word == given);
    found.ok_or_else(|| D::Error::custom(format!("`{given}` is a word of another version")))
}

/// `type` of a delivery.
pub(crate) fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    word(from, ["CALLBACK", "EVENT"])
}

/// `via` of what was said.
pub(crate) fn via<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    let words = [
        "sessionWebhook",
        "batchSend",
        "groupMessages",
        "privateChatMessages",
        "card",
        "customRobot",
    ];
    word(from, words)
}

/// `rule` of a finding.
pub(crate) fn rule<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    word(from, RULES.iter().map(|rule| rule.slug))
}
