//! What a bot can declare to be able to do beside echoing texts.

use std::collections::BTreeSet;

/// Each capability with what it means.
pub const CAPABILITIES: [(&str, &str); 14] = [
    ("cards", "it shows streamed answers on AI cards, and takes presses on them"),
    ("commands", "it answers commands such as /help by itself"),
    ("delegate", "it answers what is written to the person that it stands in for"),
    ("durable", "what it answered is known after a kill; it needs {state} for that"),
    (
        "every-type",
        "it answers every type of message by the words in it, or says what it cannot read",
    ),
    ("events", "it subscribes to EVENT"),
    (
        "events-later",
        "it answers an EVENT whose data has the member later with LATER at first, and with SUCCESS when that comes again",
    ),
    ("fallback", "where a sessionWebhook is over, it answers by the robot API"),
    ("groups", "it answers in groups"),
    (
        "idle-refresh",
        "a connection that brings no frame is renewed within half a minute; most bots need a setting for that",
    ),
    ("media", "it sends files back, uploaded anew"),
    ("openai-agent", "it asks the model of OPENAI_BASE_URL, and says what that says"),
    ("push", "it sends messages that answer nothing, by the command of --push-cmd"),
    ("retry", "it makes a reply again that failed for a passing reason"),
];

/// A capability that the suite does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no capability is called {0:?}; there are {known}", known = known())]
pub struct UnknownCapability(pub String);

fn known() -> String {
    CAPABILITIES.map(|(name, _)| name).join(", ")
}

/// A set of capabilities, each of which the suite knows.
pub fn capabilities<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeSet<String>, UnknownCapability> {
    let check = |name: &str| {
        let is_known = CAPABILITIES.iter().any(|(known, _)| *known == name);
        if is_known { Ok(name.to_owned()) } else { Err(UnknownCapability(name.to_owned())) }
    };
    names.into_iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::capabilities;

    #[test]
    fn an_unknown_capability_is_refused_with_those_that_there_are() {
        assert_eq!(capabilities(["media", "cards", "media"]).unwrap().len(), 2);
        let complaint = capabilities(["media", "telepathy"]).unwrap_err().to_string();
        assert!(complaint.starts_with("no capability is called \"telepathy\"; there are cards, "));
        assert!(complaint.ends_with("push, retry"), "{complaint}");
    }
}
