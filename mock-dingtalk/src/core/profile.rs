//! Delivery profiles: what becomes of a robot message that the bot does not acknowledge.
//!
//! DingTalk's pages and what users measured disagree, so each is a profile with its source.

use std::time::Duration;

/// What becomes of a robot message that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// It is never pushed again (developerpedia, `docs/learn/stream/protocol.md`).
    #[default]
    Documented,
    /// It comes once more after 60 s (GitHub issues
    /// `DingTalk-Real-AI/dingtalk-openclaw-connector#26` and `#302`, `agentscope-ai/QwenPaw#85`).
    Observed60s,
    /// It comes once more after 16 s (GitHub issue `soimy/openclaw-channel-dingtalk#390`).
    Observed16s,
}

impl Profile {
    /// Each profile with its name in the control API.
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("documented", Self::Documented),
        ("observed-60s", Self::Observed60s),
        ("observed-16s", Self::Observed16s),
    ];

    /// The name in the control API.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, known)| *known == self);
        named.expect("every profile has its name in the table").0
    }

    /// When an unacknowledged robot message comes again.
    pub(crate) fn redelivers_after(self) -> Option<Duration> {
        match self {
            Self::Documented => None,
            Self::Observed60s => Some(Duration::from_mins(1)),
            Self::Observed16s => Some(Duration::from_secs(16)),
        }
    }
}

/// How an app's pushes behave where the sources leave it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryRules {
    /// Whether and when robot messages come again.
    pub profile: Profile,
    /// A redelivered frame has the `messageId` of the first one. Whether DingTalk does so is not
    /// settled; the `msgId` inside is the same in any case.
    pub same_message_id: bool,
    /// How long pushes still go to a connection that is gone, and vanish. DingTalk notices dead
    /// connections late (`Yancy1028/Jusoft.DingtalkStream#6`, `NousResearch/hermes-agent#7562`).
    /// Zero: at once.
    pub ghost_for: Duration,
}
