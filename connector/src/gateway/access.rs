//! Who may talk to the robot. Closed by default.
//!
//! [`AccessPolicy`] is the rules and decides by them alone; `Access` adds what changes: who was
//! paired, and how much each person wrote.

pub(super) mod audit;
pub(super) mod pairing;
pub mod policy;
pub mod rate;

use std::sync::Arc;
use std::time::Instant;

use self::pairing::{PairedPeople, Stranger};
pub use self::policy::{
    AccessPolicy, AllowList, Chat, Contact, DmPolicy, GroupPolicy, GroupRules, Outcome, Ruling,
};
use self::rate::{Rated, SenderRates};
use crate::protocol::{BotMessage, ConversationType, SenderId, SenderStaffId};

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// A turn for the agent.
    Admit,
    /// Whether it is a turn depends on the store: the sender may have been paired by now.
    Pairing(Stranger),
    /// No turn, and a word to the sender.
    Say(String),
    /// No turn and no word.
    Ignore,
}

/// Decides on messages, one after the other.
#[derive(Debug)]
pub(super) struct Access {
    policy: AccessPolicy,
    paired: Arc<PairedPeople>,
    rates: Option<SenderRates>,
}

impl Access {
    pub(super) fn new(policy: AccessPolicy, paired: Arc<PairedPeople>) -> Self {
        let rates = policy.rate.map(SenderRates::new);
        Self { policy, paired, rates }
    }

    /// Decides, and writes the audit line, unless that is left to the pairing.
    pub(super) fn decide(&mut self, message: &BotMessage, now: Instant) -> Decision {
        let mut ruling = if message.is_own() {
            Ruling::refuse("own", "it is the robot's own")
        } else {
            self.policy.rule(&contact(message))
        };
        if ruling.outcome == Outcome::Pair {
            let Some(stranger) = Stranger::of(message) else {
                audit::refused(message, "dmPolicy=pairing", "its sender is not named");
                return Decision::Ignore;
            };
            if !self.paired.contains(&stranger.id) {
                return Decision::Pairing(stranger);
            }
            ruling = Ruling::admit("dmPolicy=pairing", "the sender was paired");
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

    /// The same message is judged again after a restart: it is not counted twice.
    pub(super) fn decide_again(&mut self, message: &BotMessage, now: Instant) -> Decision {
        let rates = self.rates.take();
        let decision = self.decide(message, now);
        self.rates = rates;
        decision
    }

    fn rated(&mut self, message: &BotMessage, now: Instant) -> Rated {
        match (&mut self.rates, peer(message)) {
            (Some(rates), Some(peer)) => rates.take(peer, now),
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
    use std::time::Duration;

    use super::rate::Rate;
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
        Access::new(policy, Arc::default())
    }

    #[test]
    fn the_robots_own_messages_are_ignored_even_when_all_is_open() {
        let mut access = access(AccessPolicy::open());
        let own = message(&serde_json::json!({ "senderId": "$:bot" }));
        assert_eq!(access.decide(&own, Instant::now()), Decision::Ignore);
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
    fn who_writes_too_much_is_told_once_and_a_restart_counts_nothing_twice() {
        let rate = Rate { messages: 1, per: Duration::from_secs(60) };
        let mut access = access(AccessPolicy { rate: Some(rate), ..AccessPolicy::open() });
        let direct = message(&serde_json::json!({}));
        let now = Instant::now();
        assert_eq!(access.decide(&direct, now), Decision::Admit);
        assert!(matches!(access.decide(&direct, now), Decision::Say(_)));
        assert_eq!(access.decide(&direct, now), Decision::Ignore);
        assert_eq!(access.decide_again(&direct, now), Decision::Admit);
        let other = message(&serde_json::json!({ "senderStaffId": "user0002" }));
        assert_eq!(access.decide(&other, now), Decision::Admit);
    }
}
