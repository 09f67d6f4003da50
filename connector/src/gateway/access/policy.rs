//! The rules: who may talk where. Pure, so that `policy test` says what a running robot would do.

use std::collections::{BTreeMap, BTreeSet};

use super::rate::Rate;

/// Who may talk to the robot alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DmPolicy {
    /// Those who were paired, and those in `allowFrom`; others get a code and no turn.
    #[default]
    Pairing,
    /// Those in `allowFrom`; others get nothing.
    Allowlist,
    /// Everybody who can see the robot.
    Open,
    /// Nobody.
    Disabled,
}

/// In which groups the robot answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupPolicy {
    /// Those in `groups`; without `groups`, wherever somebody in `groupAllowFrom` writes.
    #[default]
    Allowlist,
    /// All it is in.
    Open,
    /// None.
    Disabled,
}

/// People: userIds (`senderStaffId`) or encrypted ids (`senderId`), case kept, or `*` for everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(BTreeSet<String>);

impl AllowList {
    /// Takes entries as people write them: `ID`, `user:ID`, `ddingtalk:ID`, `ddingtalk:user:ID`.
    pub fn new(entries: impl IntoIterator<Item = String>) -> Self {
        let id = |entry: String| {
            let rest = entry.trim();
            let rest = rest.strip_prefix("ddingtalk:").unwrap_or(rest);
            rest.strip_prefix("user:").unwrap_or(rest).trim().to_owned()
        };
        Self(entries.into_iter().map(id).filter(|id| !id.is_empty()).collect())
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everybody is in it.
    pub fn is_all(&self) -> bool {
        self.0.contains("*")
    }

    fn has(&self, contact: &Contact<'_>) -> bool {
        let named = |id: Option<&str>| id.is_some_and(|id| self.0.contains(id));
        self.is_all() || named(contact.staff_id) || named(contact.sender_id)
    }
}

/// What holds for one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRules {
    /// `false` shuts it, whatever else is said.
    pub enabled: Option<bool>,
    /// Whether the robot must be mentioned.
    pub require_mention: Option<bool>,
    /// Who may talk to the robot in it, instead of `groupAllowFrom`.
    pub allow_from: Option<AllowList>,
}

/// The rules of one account. The default is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessPolicy {
    /// `dmPolicy`.
    pub dm: DmPolicy,
    /// `allowFrom`.
    pub allow_from: AllowList,
    /// `groupPolicy`.
    pub group: GroupPolicy,
    /// `groupAllowFrom`: who may talk in groups; `None` for everybody in the `groups` that are listed.
    pub group_allow_from: Option<AllowList>,
    /// `groups`, by conversationId; `*` holds for those that are not named.
    pub groups: BTreeMap<String, GroupRules>,
    /// `requireMention`; `true` unless set.
    pub require_mention: Option<bool>,
    /// `rateLimit`.
    pub rate: Option<Rate>,
}

/// Who writes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact<'a> {
    /// The userId.
    pub staff_id: Option<&'a str>,
    /// The encrypted id.
    pub sender_id: Option<&'a str>,
    /// The chat.
    pub chat: Chat<'a>,
}

/// A chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chat<'a> {
    /// One person and the robot.
    Direct,
    /// A group.
    Group {
        /// Its conversationId.
        id: &'a str,
        /// Whether the robot was mentioned.
        mentioned: bool,
    },
    /// Of a type nobody documented.
    Unknown,
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The agent gets it.
    Admit,
    /// The agent gets it if the sender was paired; else the sender gets a code.
    Pair,
    /// It is left.
    Refuse,
}

/// An outcome and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The outcome.
    pub outcome: Outcome,
    /// The setting that decided, as the config file has it.
    pub rule: String,
    /// The same for people.
    pub reason: &'static str,
}

impl Ruling {
    pub(super) fn admit(rule: impl Into<String>, reason: &'static str) -> Self {
        Self { outcome: Outcome::Admit, rule: rule.into(), reason }
    }

    pub(super) fn refuse(rule: impl Into<String>, reason: &'static str) -> Self {
        Self { outcome: Outcome::Refuse, rule: rule.into(), reason }
    }

    /// What becomes of it when it is known whether the sender was paired.
    #[must_use]
    pub fn knowing(self, is_paired: bool) -> Self {
        if self.outcome == Outcome::Pair && is_paired {
            return Self::admit(self.rule, "the sender was paired");
        }
        self
    }
}

impl AccessPolicy {
    /// Everybody everywhere.
    pub fn open() -> Self {
        Self { dm: DmPolicy::Open, group: GroupPolicy::Open, ..Self::default() }
    }

    /// What becomes of a message.
    pub fn rule(&self, contact: &Contact<'_>) -> Ruling {
        match contact.chat {
            Chat::Direct => self.direct(contact),
            Chat::Group { id, mentioned } => self.in_group(contact, id, mentioned),
            Chat::Unknown => Ruling::refuse(
                "conversationType",
                "its conversationType is neither 1 (direct) nor 2 (group)",
            ),
        }
    }

    fn direct(&self, contact: &Contact<'_>) -> Ruling {
        match self.dm {
            DmPolicy::Disabled => Ruling::refuse("dmPolicy=disabled", "direct chats are disabled"),
            DmPolicy::Open => Ruling::admit("dmPolicy=open", "everybody may talk to the robot"),
            _ if self.allow_from.has(contact) => {
                Ruling::admit("allowFrom", "the sender is on the allowlist")
            }
            DmPolicy::Allowlist => {
                Ruling::refuse("dmPolicy=allowlist", "the sender is not on the allowlist")
            }
            DmPolicy::Pairing => Ruling {
                outcome: Outcome::Pair,
                rule: "dmPolicy=pairing".to_owned(),
                reason: "the sender is not on the allowlist and must be paired",
            },
        }
    }

    fn in_group(&self, contact: &Contact<'_>, id: &str, mentioned: bool) -> Ruling {
        let own = self.groups.get(id);
        let (name, rules) = match own {
            Some(rules) => (id, Some(rules)),
            None => ("*", self.groups.get("*")),
        };
        let path = |key: &str| format!("groups.{name}{key}");
        if self.group == GroupPolicy::Disabled {
            return Ruling::refuse("groupPolicy=disabled", "groups are disabled");
        }
        if rules.is_some_and(|rules| rules.enabled == Some(false)) {
            return Ruling::refuse(path(".enabled"), "the group is shut");
        }
        let admitted = match (rules, rules.and_then(|rules| rules.allow_from.as_ref())) {
            (_, Some(list)) if list.has(contact) => {
                Ruling::admit(path(".allowFrom"), "the sender is on the group's allowlist")
            }
            (_, Some(_)) => {
                return Ruling::refuse(
                    path(".allowFrom"),
                    "the sender is not on the group's allowlist",
                );
            }
            _ if self.group == GroupPolicy::Open => {
                Ruling::admit("groupPolicy=open", "all groups are open")
            }
            (None, None) if !self.groups.is_empty() || self.group_allow_from.is_none() => {
                return Ruling::refuse(
                    "groupPolicy=allowlist",
                    "the group is not on the allowlist",
                );
            }
            _ => match &self.group_allow_from {
                None => Ruling::admit(path(""), "the group is on the allowlist"),
                Some(list) if list.has(contact) => {
                    Ruling::admit("groupAllowFrom", "the sender may talk in groups")
                }
                Some(_) => {
                    return Ruling::refuse("groupAllowFrom", "the sender may not talk in groups");
                }
            },
        };
        let of_group = rules.and_then(|rules| rules.require_mention);
        if !mentioned && of_group.or(self.require_mention).unwrap_or(true) {
            let rule = of_group.map_or("requireMention".to_owned(), |_| path(".requireMention"));
            return Ruling::refuse(rule, "the robot was not mentioned");
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[&str]) -> AllowList {
        AllowList::new(ids.iter().map(|&id| id.to_owned()))
    }

    fn direct(staff_id: &str) -> Contact<'_> {
        Contact { staff_id: Some(staff_id), sender_id: Some("$:s"), chat: Chat::Direct }
    }

    fn group<'a>(staff_id: &'a str, id: &'a str) -> Contact<'a> {
        Contact { chat: Chat::Group { id, mentioned: true }, ..direct(staff_id) }
    }

    fn groups(rules: &[(&str, GroupRules)]) -> BTreeMap<String, GroupRules> {
        rules.iter().map(|(id, rules)| ((*id).to_owned(), rules.clone())).collect()
    }

    #[test]
    fn direct_chats() {
        use Outcome::{Admit, Pair, Refuse};
        for (dm, listed, others) in [
            (DmPolicy::Pairing, Admit, Pair),
            (DmPolicy::Allowlist, Admit, Refuse),
            (DmPolicy::Open, Admit, Admit),
            (DmPolicy::Disabled, Refuse, Refuse),
        ] {
            let policy =
                AccessPolicy { dm, allow_from: list(&["anna"]), ..AccessPolicy::default() };
            assert_eq!(policy.rule(&direct("anna")).outcome, listed, "{dm:?}");
            assert_eq!(policy.rule(&direct("Anna")).outcome, others, "{dm:?}: case is kept");
            assert_eq!(policy.rule(&direct("")).outcome, others, "{dm:?}");
        }
        for entry in ["*", "$:s", " user: anna", "ddingtalk:anna", "ddingtalk:user:anna"] {
            let policy = AccessPolicy { allow_from: list(&[entry]), ..AccessPolicy::default() };
            assert_eq!(policy.rule(&direct("anna")).outcome, Admit, "{entry}");
        }
    }

    #[test]
    fn groups_are_closed_until_they_are_listed() {
        let closed = AccessPolicy::default();
        assert_eq!(closed.rule(&group("anna", "cidA")).rule, "groupPolicy=allowlist");
        let listed = AccessPolicy {
            groups: groups(&[("cidA", GroupRules::default())]),
            ..AccessPolicy::default()
        };
        assert_eq!(listed.rule(&group("anna", "cidA")).rule, "groups.cidA");
        assert_eq!(listed.rule(&group("anna", "cidA")).outcome, Outcome::Admit);
        assert_eq!(listed.rule(&group("anna", "cidB")).outcome, Outcome::Refuse);
        let people = AccessPolicy { group_allow_from: Some(list(&["anna"])), ..listed.clone() };
        assert_eq!(people.rule(&group("anna", "cidA")).rule, "groupAllowFrom");
        assert_eq!(people.rule(&group("ben", "cidA")).outcome, Outcome::Refuse);
        assert_eq!(people.rule(&group("anna", "cidB")).outcome, Outcome::Refuse);
        let nobody = AccessPolicy { group_allow_from: Some(list(&[])), ..listed.clone() };
        assert_eq!(nobody.rule(&group("anna", "cidA")).outcome, Outcome::Refuse, "an empty list");
        let anywhere = AccessPolicy { groups: BTreeMap::new(), ..people };
        assert_eq!(anywhere.rule(&group("anna", "cidB")).outcome, Outcome::Admit);
        assert_eq!(anywhere.rule(&group("ben", "cidB")).outcome, Outcome::Refuse);
        let disabled = AccessPolicy { group: GroupPolicy::Disabled, ..listed };
        assert_eq!(disabled.rule(&group("anna", "cidA")).rule, "groupPolicy=disabled");
    }

    #[test]
    fn a_group_can_be_shut_or_kept_to_some_even_when_all_are_open() {
        let shut = GroupRules { enabled: Some(false), ..GroupRules::default() };
        let some = GroupRules { allow_from: Some(list(&["anna"])), ..GroupRules::default() };
        let none = GroupRules { allow_from: Some(list(&[])), ..GroupRules::default() };
        let policy = AccessPolicy {
            groups: groups(&[("shut", shut), ("some", some), ("none", none)]),
            ..AccessPolicy::open()
        };
        assert_eq!(policy.rule(&group("anna", "shut")).rule, "groups.shut.enabled");
        assert_eq!(policy.rule(&group("anna", "some")).outcome, Outcome::Admit);
        assert_eq!(policy.rule(&group("ben", "some")).outcome, Outcome::Refuse);
        assert_eq!(policy.rule(&group("anna", "none")).outcome, Outcome::Refuse);
        assert_eq!(policy.rule(&group("ben", "other")).outcome, Outcome::Admit);
    }

    #[test]
    fn a_mention_is_required_where_nothing_else_is_said() {
        let unmentioned =
            |id| Contact { chat: Chat::Group { id, mentioned: false }, ..direct("anna") };
        let free = GroupRules { require_mention: Some(false), ..GroupRules::default() };
        let strict = GroupRules { require_mention: Some(true), ..GroupRules::default() };
        let policy = AccessPolicy {
            groups: groups(&[("free", free), ("strict", strict)]),
            ..AccessPolicy::open()
        };
        assert_eq!(policy.rule(&unmentioned("other")).rule, "requireMention");
        assert_eq!(policy.rule(&unmentioned("free")).outcome, Outcome::Admit);
        let lax = AccessPolicy { require_mention: Some(false), ..policy };
        assert_eq!(lax.rule(&unmentioned("other")).outcome, Outcome::Admit);
        assert_eq!(lax.rule(&unmentioned("strict")).rule, "groups.strict.requireMention");
        let closed = AccessPolicy { group: GroupPolicy::Allowlist, groups: BTreeMap::new(), ..lax };
        assert_eq!(closed.rule(&unmentioned("other")).rule, "groupPolicy=allowlist");
    }

    #[test]
    fn a_chat_of_another_type_is_left() {
        let contact = Contact { chat: Chat::Unknown, ..direct("anna") };
        assert_eq!(AccessPolicy::open().rule(&contact).outcome, Outcome::Refuse);
    }
}
