//! Who may talk to the robot. Closed by default.
//!
//! [`AccessPolicy`] is the rules and decides by them alone; `Access` adds what changes: who was
//! paired, and how much each person wrote.

pub(super) mod audit;
pub(super) mod pairing;
pub mod policy;
pub mod rate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::pairing::{PairedPeople, Stranger};
pub use self::policy::{
    AccessPolicy, AllowList, Chat, Contact, DmPolicy, GroupPolicy, GroupRules, Outcome, Ruling,
};
use self::rate::{Rate, Rated, SenderRates};
use crate::agent::Standing;
use crate::protocol::{BotMessage, ConversationType, SenderId, SenderStaffId};

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// A turn for the agent.
    Admit,
    /// A turn for the agent, which decides itself. This is what the rules here say.
    Leave(Standing),
    /// Whether it is a turn depends on the store: the sender may have been paired by now.
    Pairing(Stranger),
    /// No turn, and a word to the sender.
    Say(String),
    /// No turn and no word.
    Ignore,
}

/// Where a decision was counted, so that it can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Nowhere.
    Nowhere,
    /// It is one of a sender's messages.
    Message,
    /// It is one of a stranger's messages.
    Strange,
    /// The sender is told that it is one too many.
    Told,
}

impl Decision {
    /// Where it was counted.
    pub(super) fn counted(&self) -> Counted {
        match self {
            Self::Admit => Counted::Message,
            Self::Pairing(_) => Counted::Strange,
            Self::Say(_) => Counted::Told,
            Self::Leave(_) | Self::Ignore => Counted::Nowhere,
        }
    }
}

/// Decides on messages, one after the other.
#[derive(Debug)]
pub(super) struct Access {
    policy: AccessPolicy,
    /// How the settings have it.
    policies: watch::Receiver<AccessPolicy>,
    paired: Arc<PairedPeople>,
    rates: Option<SenderRates>,
    /// Messages of each stranger that are kept, so that the store decides on them.
    strangers: SenderRates,
    /// The agent decides itself.
    is_left: bool,
}

/// So many messages of a stranger are kept; of the others what is known of pairings decides, which may
/// be a second old. A stranger must not fill the disk.
const OF_STRANGERS: Rate = Rate { messages: 5, per: Duration::from_secs(600) };

impl Access {
    /// `is_left` to an agent that decides itself.
    pub(super) fn new(
        mut policies: watch::Receiver<AccessPolicy>,
        paired: Arc<PairedPeople>,
        is_left: bool,
    ) -> Self {
        let policy = policies.borrow_and_update().clone();
        let rates = policy.rate.map(SenderRates::new);
        let strangers = SenderRates::new(OF_STRANGERS);
        Self { policy, policies, paired, rates, strangers, is_left }
    }

    /// Decides, and writes the audit line, unless that is left to the pairing.
    pub(super) fn decide(&mut self, message: &BotMessage, now: Instant) -> Decision {
        self.judge(message, Some(now))
    }

    /// A message that was decided on could not be kept: it will come again, and counts then.
    pub(super) fn give_back(&mut self, message: &BotMessage, counted: Counted) {
        let Some(peer) = peer(message) else { return };
        match (counted, &mut self.rates) {
            (Counted::Strange, _) => self.strangers.give_back(peer),
            (Counted::Message, Some(rates)) => rates.give_back(peer),
            (Counted::Told, Some(rates)) => rates.not_told(peer),
            (Counted::Nowhere | Counted::Message | Counted::Told, _) => {}
        }
    }

    /// The same message is judged again after a restart: it is not counted twice.
    pub(super) fn decide_again(&mut self, message: &BotMessage) -> Decision {
        self.judge(message, None)
    }

    /// Counts the message if `now` is given.
    fn judge(&mut self, message: &BotMessage, now: Option<Instant>) -> Decision {
        self.follow();
        let mut ruling = if message.is_own() {
            Ruling::refuse("own", "it is the robot's own")
        } else {
            self.policy.rule(&contact(message))
        };
        if self.is_left && !message.is_own() {
            audit::left(message, &ruling.rule, ruling.reason);
            return Decision::Leave(match ruling.outcome {
                Outcome::Admit => Standing::Admitted,
                Outcome::Pair => Standing::Unsettled,
                Outcome::Refuse => Standing::Refused,
            });
        }
        if ruling.outcome == Outcome::Pair {
            let Some(stranger) = Stranger::of(message) else {
                audit::refused(message, "dmPolicy=pairing", "its sender is not named");
                return Decision::Ignore;
            };
            if !self.paired.contains(&stranger.id) {
                let rated = now.map(|now| self.strangers.take(&stranger.id, now));
                if let Some(Rated::Over { .. }) = rated {
                    audit::refused(
                        message,
                        "dmPolicy=pairing",
                        "the sender is not paired, and writes too much",
                    );
                    return Decision::Ignore;
                }
                return Decision::Pairing(stranger);
            }
            ruling = ruling.knowing(true);
        }
        if ruling.outcome != Outcome::Admit {
            audit::refused(message, &ruling.rule, ruling.reason);
            return Decision::Ignore;
        }
        match self.rated(message, now) {
            Rated::Within => {
                audit::admitted(message, &ruling.rule, ruling.reason);
                Decision::Admit
            }
            Rated::Over { first } => {
                audit::refused(message, "rateLimit", "the sender writes too much");
                if first { Decision::Say(TOO_FAST.to_owned()) } else { Decision::Ignore }
            }
        }
    }

    /// Takes over what changed in the settings; whoever wrote too much is not forgiven by another change.
    fn follow(&mut self) {
        // Without a sender they are as they will always be.
        if !self.policies.has_changed().unwrap_or(false) {
            return;
        }
        let policy = self.policies.borrow_and_update().clone();
        if policy.rate != self.policy.rate {
            self.rates = policy.rate.map(SenderRates::new);
        }
        self.policy = policy;
    }

    fn rated(&mut self, message: &BotMessage, now: Option<Instant>) -> Rated {
        match (&mut self.rates, peer(message), now) {
            (Some(rates), Some(peer), Some(now)) => rates.take(peer, now),
            _ => Rated::Within,
        }
    }
}

const TOO_FAST: &str =
    "您发得太快了，请稍后再发。\nYou write too fast for me. Please try again later.";

/// By what a person is known: the userId, else the encrypted id.
pub(super) fn peer(message: &BotMessage) -> Option<&str> {
    let staff = message.sender_staff_id.as_ref().map(SenderStaffId::as_str);
    staff.or_else(|| message.sender_id.as_ref().map(SenderId::as_str))
}

fn contact(message: &BotMessage) -> Contact<'_> {
    Contact {
        staff_id: message.sender_staff_id.as_ref().map(SenderStaffId::as_str),
        sender_id: message.sender_id.as_ref().map(SenderId::as_str),
        chat: match &message.conversation_type {
            ConversationType::Direct => Chat::Direct,
            ConversationType::Group => Chat::Group {
                id: message.conversation_id.as_str(),
                mentioned: message.mentions_robot(),
            },
            ConversationType::Unknown(_) => Chat::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use proptest::prelude::*;

    use super::*;

    fn message(json: &serde_json::Value) -> BotMessage {
        let mut whole = serde_json::json!({
            "conversationId": "cid", "conversationType": "1", "senderId": "$:s",
            "senderStaffId": "user0001", "chatbotUserId": "$:bot", "msgtype": "text",
            "text": { "content": "hi" },
        });
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        BotMessage::parse(&whole.to_string()).unwrap()
    }

    fn access(policy: AccessPolicy) -> Access {
        Access::new(watch::Sender::new(policy).subscribe(), Arc::default(), false)
    }

    #[test]
    fn what_changes_in_the_settings_holds_from_the_next_message_on() {
        let rate = Rate { messages: 1, per: Duration::from_secs(60) };
        let mut policy = AccessPolicy { rate: Some(rate), ..AccessPolicy::open() };
        let settings = watch::Sender::new(policy.clone());
        let mut access = Access::new(settings.subscribe(), Arc::default(), false);
        let (direct, now) = (message(&serde_json::json!({})), Instant::now());
        assert_eq!(access.decide(&direct, now), Decision::Admit);
        policy.allow_from = AllowList::new(["*".to_owned()]);
        settings.send_replace(policy.clone());
        assert!(matches!(access.decide(&direct, now), Decision::Say(_)), "the rate is the same");
        policy.rate = None;
        settings.send_replace(policy.clone());
        assert_eq!(access.decide(&direct, now), Decision::Admit);
        policy.dm = DmPolicy::Disabled;
        settings.send_replace(policy);
        assert_eq!(access.decide(&direct, now), Decision::Ignore);
    }

    #[test]
    fn the_robots_own_messages_are_ignored_even_when_all_is_open() {
        let mut access = access(AccessPolicy::open());
        let own = message(&serde_json::json!({ "senderId": "$:bot" }));
        assert_eq!(access.decide(&own, Instant::now()), Decision::Ignore);
    }

    #[test]
    fn an_agent_that_decides_itself_gets_all_and_what_the_rules_say_of_it() {
        let standing = |policy, json| {
            let policies = watch::Sender::new(policy).subscribe();
            let rate = Rate { messages: 1, per: Duration::from_secs(60) };
            let mut access = Access::new(policies, Arc::default(), true);
            access.rates = Some(SenderRates::new(rate));
            let message = message(&json);
            let decisions = [(); 3].map(|()| access.decide(&message, Instant::now()));
            assert!(decisions.iter().all(|decision| *decision == decisions[0]), "{decisions:?}");
            decisions[0].clone()
        };
        let disabled = AccessPolicy { dm: DmPolicy::Disabled, ..AccessPolicy::default() };
        let group = serde_json::json!({ "conversationType": "2", "isInAtList": true });
        let direct = serde_json::json!({});
        for (policy, json, expected) in [
            (AccessPolicy::open(), &direct, Decision::Leave(Standing::Admitted)),
            (AccessPolicy::open(), &group, Decision::Leave(Standing::Admitted)),
            (AccessPolicy::default(), &direct, Decision::Leave(Standing::Unsettled)),
            (AccessPolicy::default(), &group, Decision::Leave(Standing::Refused)),
            (disabled, &direct, Decision::Leave(Standing::Refused)),
            (AccessPolicy::open(), &serde_json::json!({ "senderId": "$:bot" }), Decision::Ignore),
        ] {
            assert_eq!(standing(policy, json.clone()), expected, "{json}");
        }
    }

    #[test]
    fn who_was_paired_is_admitted_and_others_are_asked_about() {
        let mut access = access(AccessPolicy::default());
        let direct = message(&serde_json::json!({}));
        let now = Instant::now();
        let Decision::Pairing(stranger) = access.decide(&direct, now) else { panic!("a stranger") };
        assert_eq!(stranger.id, "user0001");
        access.paired.replace(["user0001".to_owned()].into());
        assert_eq!(access.decide(&direct, now), Decision::Admit);
        let outsider = message(&serde_json::json!({ "senderStaffId": "" }));
        let Decision::Pairing(stranger) = access.decide(&outsider, now) else { panic!("too") };
        assert_eq!(stranger.id, "$:s");
        let nobody = message(&serde_json::json!({ "senderStaffId": "", "senderId": "" }));
        assert_eq!(access.decide(&nobody, now), Decision::Ignore);
    }

    #[test]
    fn a_stranger_who_floods_is_asked_about_a_few_times_only() {
        let mut access = access(AccessPolicy::default());
        let (direct, start) = (message(&serde_json::json!({})), Instant::now());
        let other = message(&serde_json::json!({ "senderStaffId": "user0002" }));
        let asked = |decision: &Decision| matches!(decision, Decision::Pairing(_));
        let decisions: Vec<_> = (0..1_000).map(|_| access.decide(&direct, start)).collect();
        assert_eq!(decisions.iter().filter(|decision| asked(decision)).count(), 5);
        assert_eq!(decisions[999], Decision::Ignore);
        assert!(asked(&access.decide(&other, start)), "another one is heard");
        assert!(asked(&access.decide_again(&direct)), "what was kept is judged");
        assert!(
            asked(&access.decide(&direct, start + Duration::from_secs(120))),
            "once in a while"
        );
        access.paired.replace(["user0001".to_owned()].into());
        assert_eq!(access.decide(&direct, start), Decision::Admit);
    }

    #[test]
    fn who_writes_too_much_is_told_once_and_a_restart_counts_nothing_twice() {
        let rate = Rate { messages: 1, per: Duration::from_secs(60) };
        let mut access = access(AccessPolicy { rate: Some(rate), ..AccessPolicy::open() });
        let direct = message(&serde_json::json!({}));
        let now = Instant::now();
        assert_eq!(access.decide(&direct, now), Decision::Admit);
        assert!(matches!(access.decide(&direct, now), Decision::Say(_)));
        assert_eq!(access.decide(&direct, now), Decision::Ignore);
        assert_eq!(access.decide_again(&direct), Decision::Admit);
        let other = message(&serde_json::json!({ "senderStaffId": "user0002" }));
        assert_eq!(access.decide(&other, now), Decision::Admit);
    }

    #[test]
    fn a_message_that_could_not_be_kept_counts_when_it_comes_again() {
        let rate = Rate { messages: 1, per: Duration::from_secs(60) };
        let mut open = access(AccessPolicy { rate: Some(rate), ..AccessPolicy::open() });
        let mut closed = access(AccessPolicy::default());
        let (direct, now) = (message(&serde_json::json!({})), Instant::now());
        let again = |access: &mut Access| {
            let decision = access.decide(&direct, now);
            access.give_back(&direct, decision.counted());
            decision
        };
        for _ in 0..10 {
            assert_eq!(again(&mut open), Decision::Admit);
            assert!(matches!(again(&mut closed), Decision::Pairing(_)));
        }
        assert_eq!(open.decide(&direct, now), Decision::Admit);
        for _ in 0..10 {
            assert!(matches!(again(&mut open), Decision::Say(_)));
        }
        assert!(matches!(open.decide(&direct, now), Decision::Say(_)));
        assert_eq!(again(&mut open), Decision::Ignore);
    }

    fn id() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["anna", "ben", "$:s", "*", " anna ", "user:ben", "Anna", "x"])
            .prop_map(str::to_owned)
    }

    fn ids() -> impl Strategy<Value = AllowList> {
        prop::collection::vec(id(), 0..3).prop_map(AllowList::new)
    }

    fn group_rules() -> impl Strategy<Value = GroupRules> {
        let flag = || prop::option::of(any::<bool>());
        (flag(), flag(), prop::option::of(ids())).prop_map(
            |(enabled, require_mention, allow_from)| GroupRules {
                enabled,
                require_mention,
                allow_from,
            },
        )
    }

    fn policies() -> impl Strategy<Value = AccessPolicy> {
        let group = || prop::sample::select(vec!["cid", "cidB", "*"]).prop_map(str::to_owned);
        let dm = prop::sample::select(DmPolicy::value_variants());
        let groups = prop::sample::select(GroupPolicy::value_variants());
        let rules = prop::collection::btree_map(group(), group_rules(), 0..3);
        let mention = prop::option::of(any::<bool>());
        (dm, ids(), groups, prop::option::of(ids()), rules, mention).prop_map(
            |(dm, allow_from, group, group_allow_from, groups, require_mention)| AccessPolicy {
                dm,
                allow_from,
                group,
                group_allow_from,
                groups,
                require_mention,
                rate: None,
            },
        )
    }

    proptest! {
        /// What `policy test` says by ids alone is what a running robot does with a message, and of a
        /// person on no list nothing but an open policy or a pairing admits a message.
        #[test]
        fn a_policy_that_is_tried_says_what_the_robot_does(
            policy in policies(),
            (user, is_group, mentioned) in (id(), any::<bool>(), any::<bool>()),
            is_paired in any::<bool>(),
        ) {
            let chat = if is_group { Chat::Group { id: "cid", mentioned } } else { Chat::Direct };
            let contact = Contact { staff_id: Some(&user), sender_id: Some("$:s"), chat };
            let tried = policy.rule(&contact).knowing(is_paired).outcome;
            let message = message(&serde_json::json!({
                "senderStaffId": user, "isInAtList": mentioned,
                "conversationType": if is_group { "2" } else { "1" },
            }));
            let mut access = access(policy.clone());
            if is_paired {
                access.paired.replace([user.clone()].into());
            }
            let done = match access.decide(&message, Instant::now()) {
                Decision::Admit => Outcome::Admit,
                Decision::Leave(standing) => panic!("{standing:?}"),
                Decision::Pairing(_) => Outcome::Pair,
                Decision::Say(_) | Decision::Ignore => Outcome::Refuse,
            };
            prop_assert_eq!(tried, done);
            let lists = [Some(&policy.allow_from), policy.group_allow_from.as_ref()];
            let of_groups = policy.groups.values().map(|rules| rules.allow_from.as_ref());
            let listed = lists.into_iter().chain(of_groups).flatten().any(|list| !list.is_empty());
            if !listed && !is_group && policy.dm != DmPolicy::Open && !is_paired {
                prop_assert_ne!(done, Outcome::Admit);
            }
        }
    }
}
