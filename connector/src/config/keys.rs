//! Every key of the section `channels.ddingtalk`, once: readers, `config set`, hints to misspelled keys and the
//! JSON Schema are made of it.

mod place;
pub mod schema;

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

pub(crate) use self::place::{Place, PlaceError, place};
use crate::agent::AgentKind;
use crate::gateway::access::{DmPolicy, GroupPolicy};
use crate::gateway::push::Target;
use crate::openapi::bare_host;
use crate::store::postgres::PostgresAddress;

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it is for, in a sentence.
    pub(crate) hint: &'static str,
    /// What holds without it, as JSON.
    pub(crate) default: Option<&'static str>,
}

/// What a key takes.
#[derive(Debug)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A text that is not empty.
    Text,
    /// One that nobody may see.
    Secret,
    /// One that means something.
    Meant(&'static (dyn Means + Sync)),
    /// One that means something and holds what nobody may see.
    MeantSecret(&'static (dyn Means + Sync)),
    /// A whole number, at least 1.
    Count,
    /// One of these words.
    Choice(fn() -> Vec<String>),
    /// A list of ids.
    Ids,
    /// A list of host names and addresses.
    Hosts,
    /// An object with these keys; the named ones must be there.
    Object(Table, &'static [&'static str]),
    /// Objects with these keys, by name.
    Named(Table, Names),
    /// Something of OpenClaw's own that nobody here reads.
    Theirs,
}

/// What a text means.
#[derive(Debug)]
pub(crate) struct Meaning<T> {
    pub(crate) parse: fn(&str) -> Option<T>,
    /// What it must be.
    pub(crate) allowed: &'static str,
}

/// A [`Meaning`] of whatever type.
pub(crate) trait Means: std::fmt::Debug {
    /// Whether a text has it.
    fn holds(&self, text: &str) -> bool;
    /// What it must be.
    fn allowed(&self) -> &'static str;
}

impl<T: std::fmt::Debug> Means for Meaning<T> {
    fn holds(&self, text: &str) -> bool {
        (self.parse)(text).is_some()
    }

    fn allowed(&self) -> &'static str {
        self.allowed
    }
}

/// Where health checks are answered.
pub(crate) static ADDRESS: Meaning<SocketAddr> = Meaning {
    parse: |text| text.parse().ok(),
    allowed: "a loopback address such as \"127.0.0.1:9464\"",
};
/// Who is told something.
pub(crate) static TARGET: Meaning<Target> = Meaning {
    parse: |text| text.parse().ok(),
    allowed: "a recipient such as \"user:manager01\" or \"chat:cid…\"",
};
/// How long an outage is.
pub(crate) static OUTAGE: Meaning<Duration> = Meaning {
    parse: |text| {
        humantime::parse_duration(text).ok().filter(|time| *time >= Duration::from_secs(1))
    },
    allowed: "a time of at least 1s, such as \"30s\"",
};

/// A database that several processes share.
pub(crate) static DATABASE: Meaning<PostgresAddress> = Meaning {
    parse: |text| text.parse().ok(),
    allowed: "a database such as \"postgres://USER:PASSWORD@HOST:PORT/DATABASE\"",
};

/// Names of texts that nobody may see.
pub(crate) fn is_secret(name: &str) -> bool {
    ["clientSecret", "store"].contains(&name)
}
/// What a list of hosts is.
pub(crate) const HOSTS: &str =
    "a list of hosts without scheme and port, such as [\"files.example.com\"]";

/// What the names of [`Kind::Named`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// 1 to 32 letters, digits, `-` and `_`.
    Accounts,
    /// Whatever DingTalk makes them, dots included.
    Conversations,
}

/// The keys of an object, in parts.
pub(crate) type Table = &'static [&'static [Key]];

/// The section.
pub(crate) static SECTION: Table = &[&SETTINGS, &PROCESS, &THEIRS];
/// One of its accounts.
pub(crate) static ACCOUNT: Table = &[&SETTINGS, &THEIRS];
/// One of the groups of either.
pub(crate) static GROUP: Table = &[&GROUP_SETTINGS, &GROUP_THEIRS];
/// A rate.
pub(crate) static RATE: Table = &[&RATE_SETTINGS];

const fn key(name: &'static str, kind: Kind, hint: &'static str) -> Key {
    Key { name, kind, hint, default: None }
}

impl Key {
    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

fn names<T: ValueEnum>() -> Vec<String> {
    let values = T::value_variants().iter().filter_map(T::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

static SETTINGS: [Key; 14] = [
    key("enabled", Kind::Flag, "Whether the robot runs.").or("true"),
    key("clientId", Kind::Text, "Client ID (AppKey) of the app, from its page 凭证与基础信息."),
    key(
        "clientSecret",
        Kind::Secret,
        "Client Secret (AppSecret) of the app; ${VARIABLE} keeps it out of the file.",
    ),
    key("agent", Kind::Choice(names::<AgentKind>), "Who answers.").or("\"echo\""),
    key("dmPolicy", Kind::Choice(names::<DmPolicy>), "Who may talk to the robot alone.")
        .or("\"pairing\""),
    key(
        "allowFrom",
        Kind::Ids,
        "Who may talk to it alone: userIds or encrypted senderIds; * for everybody.",
    ),
    key("groupPolicy", Kind::Choice(names::<GroupPolicy>), "In which groups it answers.")
        .or("\"allowlist\""),
    key(
        "groupAllowFrom",
        Kind::Ids,
        "Who may talk to it in listed groups; everybody in them if it is not set.",
    ),
    key(
        "groups",
        Kind::Named(GROUP, Names::Conversations),
        "Listed groups, by conversationId; * for all others.",
    ),
    key(
        "requireMention",
        Kind::Flag,
        "Whether group messages without a mention of the robot are left.",
    )
    .or("true"),
    key(
        "rateLimit",
        Kind::Object(RATE, &["messages", "seconds"]),
        "So many messages of one person in so many seconds.",
    ),
    key("alertTo", Kind::Meant(&TARGET), "Who is told when messages could not arrive for a while."),
    key("alertAfter", Kind::Meant(&OUTAGE), "Of shorter outages nobody is told.").or("\"30s\""),
    key(
        "allowHosts",
        Kind::Hosts,
        "Hosts, besides DingTalk's, that URLs made by the server may name, without scheme and port.",
    ),
];

static PROCESS: [Key; 3] = [
    key(
        "accounts",
        Kind::Named(ACCOUNT, Names::Accounts),
        "More robots, each with an app of its own; what one does not set is as in the section.",
    ),
    key(
        "healthListen",
        Kind::Meant(&ADDRESS),
        "Where /healthz, /readyz and /metrics are answered; a restart takes another one.",
    ),
    key(
        "store",
        Kind::MeantSecret(&DATABASE),
        "A PostgreSQL database that several processes share, instead of a file; a restart takes another one. \
         ${VARIABLE} keeps its password out of the file.",
    ),
];

static GROUP_SETTINGS: [Key; 3] = [
    key("enabled", Kind::Flag, "Whether the robot answers in the group."),
    key("requireMention", Kind::Flag, "As the same setting of the section, for this group."),
    key("allowFrom", Kind::Ids, "Who may talk to it in this group, instead of groupAllowFrom."),
];

static RATE_SETTINGS: [Key; 2] = [
    key("messages", Kind::Count, "How many messages."),
    key("seconds", Kind::Count, "In how many seconds."),
];

const THEIR_HINT: &str = "OpenClaw's own; this program does not read it.";

static THEIRS: [Key; 11] = [
    key("name", Kind::Theirs, THEIR_HINT),
    key("defaultAccount", Kind::Theirs, THEIR_HINT),
    key("textChunkLimit", Kind::Theirs, THEIR_HINT),
    key("streaming", Kind::Theirs, THEIR_HINT),
    key("mediaMaxMb", Kind::Theirs, THEIR_HINT),
    key("tools", Kind::Theirs, THEIR_HINT),
    key("systemPrompt", Kind::Theirs, THEIR_HINT),
    key("markdown", Kind::Theirs, THEIR_HINT),
    key("configWrites", Kind::Theirs, THEIR_HINT),
    key("historyLimit", Kind::Theirs, THEIR_HINT),
    key("dmHistoryLimit", Kind::Theirs, THEIR_HINT),
];

static GROUP_THEIRS: [Key; 3] = [
    key("tools", Kind::Theirs, THEIR_HINT),
    key("systemPrompt", Kind::Theirs, THEIR_HINT),
    key("skills", Kind::Theirs, THEIR_HINT),
];

/// Letters by which an unknown key may differ from the one that was meant.
const MISSPELLED: usize = 2;

/// The key of a table.
pub(crate) fn find(table: Table, name: &str) -> Option<&'static Key> {
    table.iter().copied().flatten().find(|key| key.name == name)
}

/// Which of the keys that are read here was meant.
pub(crate) fn nearest(table: Table, name: &str) -> Option<&'static str> {
    let ours = table.iter().copied().flatten().filter(|key| !matches!(key.kind, Kind::Theirs));
    let distance =
        |key: &str| strsim::damerau_levenshtein(&key.to_lowercase(), &name.to_lowercase());
    let nearest = ours.map(|key| (distance(key.name), key.name)).min()?;
    (nearest.0 <= MISSPELLED).then_some(nearest.1)
}

/// Whether an account may be called so: its name is that of a folder, too.
pub(crate) fn is_account_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
}

impl Kind {
    /// What a value must be, where it is something else.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let (holds, allowed) = match self {
            Self::Theirs => (true, String::new()),
            Self::Flag => (value.is_boolean(), "true or false".to_owned()),
            Self::Text | Self::Secret => {
                let text = value.as_str().is_some_and(|text| !text.trim().is_empty());
                (text, "a text in quotes".to_owned())
            }
            Self::Meant(meaning) | Self::MeantSecret(meaning) => {
                let holds = value.as_str().is_some_and(|text| meaning.holds(text.trim()));
                (holds, meaning.allowed().to_owned())
            }
            Self::Count => {
                let count = value.as_u64().is_some_and(|n| n > 0 && u32::try_from(n).is_ok());
                (count, "a whole number of at least 1".to_owned())
            }
            Self::Choice(names) => {
                let words = names();
                let holds =
                    value.as_str().is_some_and(|text| words.iter().any(|word| word == text));
                (holds, format!("one of {}", words.join(", ")))
            }
            Self::Ids => {
                let id = |id: &Value| {
                    id.is_u64() || id.as_str().is_some_and(|text| !text.trim().is_empty())
                };
                let ids = value.as_array().is_some_and(|ids| ids.iter().all(id));
                (ids, "a list of ids in quotes, such as [\"user01\"]".to_owned())
            }
            Self::Hosts => {
                let host =
                    |host: &Value| host.as_str().is_some_and(|host| bare_host(host).is_some());
                let hosts = value.as_array().is_some_and(|hosts| hosts.iter().all(host));
                (hosts, HOSTS.to_owned())
            }
            Self::Object(table, needed) => return check_object(table, needed, value),
            Self::Named(table, _) => {
                let Value::Object(map) = value else { return Err("an object { … }".to_owned()) };
                return map.values().try_for_each(|value| check_object(table, &[], value));
            }
        };
        if holds { Ok(()) } else { Err(allowed) }
    }
}

/// Whether an object has what it needs, and each key that is known what it takes.
pub(crate) fn check_object(table: Table, needed: &[&str], value: &Value) -> Result<(), String> {
    let Value::Object(map) = value else { return Err("an object { … }".to_owned()) };
    if needed.iter().any(|name| !map.contains_key(*name)) {
        return Err(format!("an object with {}", needed.join(" and ")));
    }
    for (name, value) in map {
        if let Some(key) = find(table, name).filter(|_| !value.is_null()) {
            key.kind
                .check(value)
                .map_err(|allowed| format!("an object whose {name} is {allowed}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_has_a_hint_and_a_default_that_it_takes() {
        for key in [SECTION, ACCOUNT, GROUP, RATE].into_iter().flatten().copied().flatten() {
            assert!(key.hint.ends_with('.') && key.hint.len() > 10, "{}", key.name);
            if let Some(default) = key.default {
                let default = serde_json::from_str(default).unwrap();
                assert_eq!(key.kind.check(&default), Ok(()), "{}", key.name);
            }
        }
    }

    #[test]
    fn what_a_key_does_not_take_is_answered_with_what_it_does() {
        let kind = |path| &place(path).unwrap().key.unwrap().kind;
        for (path, value, allowed) in [
            ("enabled", json!("yes"), "true or false"),
            ("clientId", json!(" "), "a text in quotes"),
            ("rateLimit.seconds", json!(0), "a whole number of at least 1"),
            ("alertAfter", json!("999ms"), "a time of at least 1s, such as \"30s\""),
            ("dmPolicy", json!("opn"), "one of pairing, allowlist, open, disabled"),
            ("allowFrom", json!([""]), "a list of ids in quotes, such as [\"user01\"]"),
            ("rateLimit", json!({ "messages": 1 }), "an object with messages and seconds"),
            (
                "groups",
                json!({ "c": { "enabled": 1 } }),
                "an object whose enabled is true or false",
            ),
            ("accounts", json!([]), "an object { … }"),
        ] {
            assert_eq!(kind(path).check(&value), Err(allowed.to_owned()), "{path}");
        }
    }
}
