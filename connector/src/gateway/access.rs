//! Who may talk to the robot. Closed by default.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::protocol::{BotMessage, ConversationType, SenderId, SenderStaffId};

/// Who may talk to the robot alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DmPolicy {
    /// Those who were paired; others get a hint and no turn.
    #[default]
    Pairing,
    /// Those on the list; others get nothing.
    Allowlist,
    /// Everybody who can see the robot.
    Open,
    /// Nobody.
    Disabled,
}

/// In which groups the robot answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupPolicy {
    /// Those on the list.
    #[default]
    Allowlist,
    /// All it is in.
    Open,
    /// None.
    Disabled,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A turn for the agent.
    Admit,
    /// No turn, and a word to the stranger.
    Hint(String),
    /// No turn and no word; the reason is for the log.
    Ignore(&'static str),
}

/// Decides, and remembers to whom it gave a hint.
#[derive(Debug)]
pub(super) struct Access {
    dm: DmPolicy,
    group: GroupPolicy,
    hinted: HashMap<Stranger, Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stranger {
    Staff(SenderStaffId),
    Sender(SenderId),
}

/// A stranger is not told again within this time: two robots that hint at each other must fall silent.
const HINT_PAUSE: Duration = Duration::from_secs(600);

/// Strangers remembered; when more come, those whose pause is over are forgotten, and then no hints
/// are given until somebody's is.
const STRANGERS: usize = 10_000;

impl Access {
    pub(super) fn new(dm: DmPolicy, group: GroupPolicy) -> Self {
        Self { dm, group, hinted: HashMap::new() }
    }

    pub(super) fn decide(&mut self, message: &BotMessage, now: Instant) -> Decision {
        if message.is_own() {
            return Decision::Ignore("it is the robot's own");
        }
        match (&message.conversation_type, self.dm, self.group) {
            (ConversationType::Direct, DmPolicy::Open, _)
            | (ConversationType::Group, _, GroupPolicy::Open) => Decision::Admit,
            (ConversationType::Direct, DmPolicy::Pairing, _) => self.hint(message, now),
            (ConversationType::Direct, DmPolicy::Allowlist, _) => {
                Decision::Ignore("the sender is not on the allowlist (dmPolicy allowlist)")
            }
            (ConversationType::Direct, DmPolicy::Disabled, _) => {
                Decision::Ignore("direct chats are disabled (dmPolicy disabled)")
            }
            (ConversationType::Group, _, GroupPolicy::Allowlist) => {
                Decision::Ignore("the group is not on the allowlist (groupPolicy allowlist)")
            }
            (ConversationType::Group, _, GroupPolicy::Disabled) => {
                Decision::Ignore("groups are disabled (groupPolicy disabled)")
            }
            (ConversationType::Unknown(_), ..) => {
                Decision::Ignore("its conversationType is neither 1 (direct) nor 2 (group)")
            }
        }
    }

    /// A message could not be kept: the hint that its sender was to get is still to be given.
    pub(super) fn forget(&mut self, message: &BotMessage) {
        if let Some(stranger) = Stranger::of(message) {
            self.hinted.remove(&stranger);
        }
    }

    fn hint(&mut self, message: &BotMessage, now: Instant) -> Decision {
        let Some(stranger) = Stranger::of(message) else {
            return Decision::Ignore("its sender is not named (dmPolicy pairing)");
        };
        let recent = |at: &Instant| now.saturating_duration_since(*at) < HINT_PAUSE;
        if self.hinted.get(&stranger).is_some_and(recent) {
            return Decision::Ignore(
                "the sender is not paired, and was told so (dmPolicy pairing)",
            );
        }
        if self.hinted.len() >= STRANGERS {
            self.hinted.retain(|_, at| recent(at));
            if self.hinted.len() >= STRANGERS {
                return Decision::Ignore("the sender is not paired (dmPolicy pairing)");
            }
        }
        let id = match &stranger {
            Stranger::Staff(staff) => staff.as_str(),
            Stranger::Sender(sender) => sender.as_str(),
        };
        let hint = format!(
            "您还未与我配对，请将您的 ID 发给我的管理员：{id}\n\
             We are not paired yet. Please send your id to whoever runs me: {id}"
        );
        self.hinted.insert(stranger, now);
        Decision::Hint(hint)
    }
}

impl Stranger {
    fn of(message: &BotMessage) -> Option<Self> {
        let staff = message.sender_staff_id.clone().map(Self::Staff);
        staff.or_else(|| message.sender_id.clone().map(Self::Sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &serde_json::Value) -> BotMessage {
        let mut whole = serde_json::json!({
            "conversationId": "cid", "senderId": "$:s", "senderStaffId": "user0001",
            "chatbotUserId": "$:bot", "msgtype": "text", "text": { "content": "hi" },
        });
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        BotMessage::parse(&whole.to_string()).unwrap()
    }

    #[test]
    fn policies_decide_as_their_names_say() {
        let direct = message(&serde_json::json!({ "conversationType": "1" }));
        let group = message(&serde_json::json!({ "conversationType": "2" }));
        let unknown = message(&serde_json::json!({ "conversationType": "3" }));
        let now = Instant::now();
        for dm in [DmPolicy::Pairing, DmPolicy::Allowlist, DmPolicy::Open, DmPolicy::Disabled] {
            for policy in [GroupPolicy::Allowlist, GroupPolicy::Open, GroupPolicy::Disabled] {
                let mut access = Access::new(dm, policy);
                let decision = access.decide(&direct, now);
                assert_eq!(decision == Decision::Admit, dm == DmPolicy::Open);
                assert_eq!(matches!(decision, Decision::Hint(_)), dm == DmPolicy::Pairing);
                let decision = access.decide(&group, now);
                assert_eq!(decision == Decision::Admit, policy == GroupPolicy::Open);
                assert!(!matches!(decision, Decision::Hint(_)), "groups get no hints");
                assert!(matches!(access.decide(&unknown, now), Decision::Ignore(_)));
            }
        }
    }

    #[test]
    fn a_stranger_is_told_the_own_id_and_not_told_again_at_once() {
        let mut access = Access::new(DmPolicy::Pairing, GroupPolicy::Allowlist);
        let direct = message(&serde_json::json!({ "conversationType": "1" }));
        let now = Instant::now();
        let Decision::Hint(hint) = access.decide(&direct, now) else { panic!("a hint is given") };
        assert!(hint.contains("user0001"), "{hint}");
        assert!(matches!(access.decide(&direct, now + HINT_PAUSE / 2), Decision::Ignore(_)));
        assert!(matches!(access.decide(&direct, now + HINT_PAUSE), Decision::Hint(_)));
        access.forget(&direct);
        assert!(matches!(access.decide(&direct, now + HINT_PAUSE), Decision::Hint(_)));
    }

    #[test]
    fn the_robots_own_messages_are_ignored_even_when_all_is_open() {
        let mut access = Access::new(DmPolicy::Open, GroupPolicy::Open);
        let own = message(&serde_json::json!({ "conversationType": "1", "senderId": "$:bot" }));
        assert!(matches!(access.decide(&own, Instant::now()), Decision::Ignore(_)));
    }
}
