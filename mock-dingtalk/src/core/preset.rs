//! Named faults: what users of real robots suffered, one word each.

use std::time::Duration;

use super::{
    app::{App, Cx},
    connection::ConnectionState,
    fault::{Action, Cut, ErrorBody, Fault, FaultRow, FrameSelector, Times, When},
    journal::{Draft, EntryKind},
    verb_error::{VerbError, quoted},
};

/// A named fault. `docs/presets.md` describes each one, with its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// SYSTEM `disconnect`, then nothing, and TCP lives for 10 s more.
    DisconnectThenSilence,
    /// Pings are answered, and nothing is delivered.
    Zombie,
    /// Nothing is routed to the connection any more, without notice.
    SilentStop,
    /// SYSTEM `REGISTERED` never comes.
    NoRegistered,
    /// Nothing passes in either direction, and no FIN comes.
    HalfOpen,
    /// The wall clock jumps by eight hours; lifetimes don't.
    SleepWake,
    /// The upgrade succeeds and TCP ends at once, each time.
    AcceptThenClose,
    /// `connections/open` takes 8 s, three times.
    SlowOpen,
    /// `connections/open` answers 503 with a page, three times.
    Open503,
    /// `connections/open` never answers, twice.
    OpenTimeout,
    /// The first message on the next connection is lost.
    LostFirst,
    /// The next three robot messages come again after 16 s if they were not acknowledged.
    LateAckRedeliver,
    /// The next robot message has a `messageId` that every app with this preset has.
    CrossAccountDup,
    /// A token is good for its own app only. Always so.
    TokenCacheMixup,
    /// Streaming updates of cards meet the rate limit, three times.
    CardQps403,
    /// Each `sessionWebhook` handed out so far is over.
    WebhookExpired,
    /// The next TLS handshake with the mock fails, whosever it is.
    TlsHandshakeFail,
    /// Answers to frames count only in the exact documented shape.
    AckShape,
    /// WebSocket pings are not answered, and all else works.
    NoPong,
}

/// A preset as `GET /_mock/presets` lists it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    pub(crate) preset: Preset,
    pub(crate) name: &'static str,
    pub(crate) ends: &'static str,
    pub(crate) evidence: &'static [&'static str],
}

const PLUGIN_308: &str = "https://github.com/soimy/openclaw-channel-dingtalk/pull/308";
const CONNECTOR_203: &str =
    "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/pull/203";
const CLEARED: &str = "when the faults are cleared";
const RECONNECT: &str = "with the next connection";

macro_rules! described {
    ($($preset:ident $name:literal $ends:expr => $($evidence:expr),+;)+) => {
        [$(Described {
            preset: Preset::$preset,
            name: $name,
            ends: $ends,
            evidence: &[$($evidence),+],
        }),+]
    };
}

/// Each preset, in the order of `docs/presets.md`.
pub(crate) const PRESETS: [Described; 19] = described! {
    DisconnectThenSilence "disconnect-then-silence" "after 10 s, by a reset of TCP" => PLUGIN_308,
        "https://github.com/open-dingtalk/dingtalk-stream-sdk-python/issues/22",
        "https://github.com/oryx-labs/oryxos/issues/343",
        "https://github.com/oryx-labs/oryxos/issues/365";
    Zombie "zombie" RECONNECT => PLUGIN_308, "https://github.com/QwenLM/qwen-code/pull/6674",
        "https://github.com/BytePioneer-AI/openclaw-china/issues/19";
    SilentStop "silent-stop" RECONNECT => PLUGIN_308, CONNECTOR_203;
    NoRegistered "no-registered" CLEARED => PLUGIN_308, CONNECTOR_203;
    HalfOpen "half-open" RECONNECT =>
        "https://github.com/soimy/openclaw-channel-dingtalk/issues/302",
        "https://github.com/snapview/tungstenite-rs/issues/225",
        "https://github.com/snapview/tungstenite-rs/issues/233";
    SleepWake "sleep-wake" "at once, and the clock stays where it is" =>
        "https://github.com/agentscope-ai/QwenPaw/issues/5214";
    AcceptThenClose "accept-then-close" CLEARED =>
        "https://github.com/soimy/openclaw-channel-dingtalk/issues/151",
        "https://github.com/soimy/openclaw-channel-dingtalk/issues/153",
        "https://github.com/NousResearch/hermes-agent/issues/24851";
    SlowOpen "slow-open" "after three opens" =>
        "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/issues/573";
    Open503 "open-503" "after three opens" =>
        "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/issues/450";
    OpenTimeout "open-timeout" "after two opens" =>
        "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/issues/573";
    LostFirst "lost-first" "after one message" =>
        "https://github.com/open-dingtalk/dingtalk-stream-sdk-go/issues/16";
    LateAckRedeliver "late-ack-redeliver" "after three messages" =>
        "https://github.com/soimy/openclaw-channel-dingtalk/issues/390",
        "https://github.com/soimy/openclaw-channel-dingtalk/pull/392",
        "https://github.com/agentscope-ai/QwenPaw/issues/118",
        "https://github.com/zfanswer/dify-on-dingtalk/issues/16",
        "https://github.com/riba2534/happyclaw/issues/681";
    CrossAccountDup "cross-account-dup" "after one message of each app" =>
        "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/issues/207";
    TokenCacheMixup "token-cache-mixup" "never: it is how the mock always is" =>
        "https://github.com/soimy/openclaw-channel-dingtalk/issues/50";
    CardQps403 "card-qps-403" "after three calls" =>
        "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/issues/410",
        "https://github.com/DingTalk-Real-AI/dingtalk-openclaw-connector/issues/444";
    WebhookExpired "webhook-expired" "with the next message, which brings a new one" =>
        "https://github.com/sipeed/picoclaw/issues/1817";
    TlsHandshakeFail "tls-handshake-fail" "after one handshake" =>
        "https://github.com/soimy/openclaw-channel-dingtalk/pull/74",
        "https://github.com/open-dingtalk/dingtalk-stream-sdk-nodejs/issues/13";
    AckShape "ack-shape" CLEARED => "https://github.com/iOfficeAI/AionCore/issues/159";
    NoPong "no-pong" RECONNECT => "https://github.com/soimy/openclaw-channel-dingtalk/issues/88";
};

impl Preset {
    /// The preset with this name; `cable-unplug` is another name of `half-open`.
    pub(crate) fn named(name: &str) -> Result<Self, VerbError> {
        let name = if name == "cable-unplug" { "half-open" } else { name };
        let found = PRESETS.iter().find(|known| known.name == name);
        found.map(|known| known.preset).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|known| known.name).collect();
            VerbError::invalid("preset", quoted(name), format!("one of {}", names.join(", ")))
        })
    }

    /// The name in the control API.
    pub fn name(self) -> &'static str {
        let known = PRESETS.iter().find(|known| known.preset == self);
        known.expect("every preset is in the table").name
    }

    /// The rules that make it. What acts on connections comes as a rule for the next one.
    fn rules(self) -> Vec<Fault> {
        let message = || When::Frame(FrameSelector::messages());
        let rule = match self {
            Self::DisconnectThenSilence => {
                Fault::once(When::Connected, Action::Disconnect { closes: true })
            }
            Self::Zombie => Fault::once(When::Connected, Action::Mute),
            Self::SilentStop => Fault::once(When::Connected, Action::Unroute),
            Self::HalfOpen => Fault::once(When::Connected, Action::CutAtOnce(Cut::BlackHole)),
            Self::NoRegistered => {
                let registered = FrameSelector {
                    kind: Some("SYSTEM".to_owned()),
                    topic: Some("REGISTERED".to_owned()),
                    connection: None,
                };
                Fault::always(When::Frame(registered), Action::Lose)
            }
            Self::AcceptThenClose => Fault::always(When::Upgrade, Action::AcceptThenCut(Cut::Rst)),
            Self::SlowOpen => Fault::first(3, When::Open, Action::Delay(SLOW)),
            Self::Open503 => Fault::first(3, When::Open, Action::Status(503, ErrorBody::Html)),
            Self::OpenTimeout => Fault::first(2, When::Open, Action::Hang),
            Self::NoPong => Fault::once(When::Connected, Action::NoPong),
            Self::LostFirst => Fault::once(When::Connected, Action::LoseFirst),
            Self::LateAckRedeliver => Fault::first(3, message(), Action::Redeliver(REDELIVERY)),
            Self::CrossAccountDup => {
                Fault::once(message(), Action::MessageId(SHARED_MESSAGE_ID.to_owned()))
            }
            Self::CardQps403 => {
                let streaming = When::Path("/v1.0/card/streaming".to_owned());
                Fault::first(3, streaming, Action::Status(403, ErrorBody::Json))
            }
            Self::AckShape => {
                Fault { when: When::Ack, times: Times::Always, action: Action::RequireShape }
            }
            Self::SleepWake
            | Self::WebhookExpired
            | Self::TokenCacheMixup
            | Self::TlsHandshakeFail => return Vec::new(),
        };
        vec![rule]
    }

    /// The rule of the whole mock that makes it, if it breaks what comes before an app is known.
    pub(super) fn tcp_rule(self) -> Option<Fault> {
        (self == Self::TlsHandshakeFail).then(|| Fault::once(When::TlsHandshake, Action::Alert))
    }

    /// Whether it breaks the connections that are open, if there are any.
    fn breaks_open_ones(self) -> bool {
        matches!(
            self,
            Self::DisconnectThenSilence
                | Self::Zombie
                | Self::SilentStop
                | Self::HalfOpen
                | Self::NoPong
        )
    }
}

/// Longer than the 5 s that the Go SDK waits, shorter than the 10 s of others.
const SLOW: Duration = Duration::from_secs(8);
/// What one user measured (soimy/openclaw-channel-dingtalk#390).
const REDELIVERY: Duration = Duration::from_secs(16);
/// How far the wall clock jumps: a night.
const SLEEP_MS: i64 = 8 * 3_600_000;
/// The same for all apps.
const SHARED_MESSAGE_ID: &str = "7f000001_dd1_19e70448841_1";

impl App {
    /// Makes a preset act. Gives the rules that were added; there are none when it acts at once.
    pub(crate) fn apply_preset(
        &mut self,
        cx: &mut Cx<'_>,
        preset: Preset,
    ) -> Result<Vec<FaultRow>, VerbError> {
        self.note(cx, Draft::new(EntryKind::Control, format!("preset {}", preset.name())));
        match preset {
            Preset::SleepWake => self.clock.jump(cx.now, SLEEP_MS),
            Preset::WebhookExpired => self.sessions.expire_all(cx.now.since_start),
            _ => {}
        }
        let rules = preset.rules();
        if preset.breaks_open_ones() {
            let live = self.connections.values();
            let open: Vec<_> = live
                .filter(|c| c.state == ConnectionState::Open && !c.is_peer())
                .map(|connection| connection.key)
                .collect();
            for key in &open {
                for rule in &rules {
                    self.break_connection(cx, *key, &rule.action);
                }
            }
            if !open.is_empty() {
                return Ok(Vec::new());
            }
        }
        rules.into_iter().map(|rule| self.add_fault(cx, rule)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{PRESETS, Preset};

    #[test]
    fn the_page_describes_every_preset_with_its_evidence() {
        let page = include_str!("../../docs/presets.md");
        for known in PRESETS {
            assert_eq!(Preset::named(known.name), Ok(known.preset));
            let entry = page.split("\n## ").find(|entry| entry.starts_with(known.name));
            let entry = entry.unwrap_or_else(|| panic!("{} has no entry", known.name));
            for link in known.evidence {
                assert!(entry.contains(link), "{}: {link}", known.name);
            }
        }
        assert_eq!(page.matches("\n## ").count(), PRESETS.len());
    }
}
