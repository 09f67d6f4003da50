//! Custom robots: webhooks that anybody with the address can write to a group by.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use serde::Serialize;

use super::{
    Moment,
    app::{App, Cx},
    base_url::BaseUrl,
    conversation::ConversationKind,
    journal::{Draft, EntryKind},
    lifetime,
    message::SayConversation,
    verb_error::{VerbError, quoted},
};

/// What may be chosen of a custom robot. Without any guard it takes every message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustomRobotOptions {
    /// The group it writes to; the group `Team` if not given. Made if it is not there.
    pub conversation: Option<SayConversation>,
    /// The secret of the signature, which starts with `SEC`. `Some("")` makes one up.
    pub secret: Option<String>,
    /// Words of which a message has to contain one; at most 10.
    pub keywords: Vec<String>,
    /// IPv4 addresses and networks (`10.0.0.0/8`) that may write; at most 10.
    pub ip_whitelist: Vec<String>,
}

impl CustomRobotOptions {
    /// Chooses the group.
    #[must_use]
    pub fn conversation(mut self, conversation: SayConversation) -> Self {
        self.conversation = Some(conversation);
        self
    }

    /// Asks for a signature with this secret, or with a made-up one if it is empty.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Asks for one of these words.
    #[must_use]
    pub fn keywords<T: Into<String>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.keywords = words.into_iter().map(Into::into).collect();
        self
    }

    /// Lets these addresses and networks write, and nobody else.
    #[must_use]
    pub fn ip_whitelist<T: Into<String>>(mut self, nets: impl IntoIterator<Item = T>) -> Self {
        self.ip_whitelist = nets.into_iter().map(Into::into).collect();
        self
    }
}

/// A custom robot as it was minted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CustomRobotRow {
    /// `access_token` of its webhook.
    pub access_token: String,
    /// The address to post to. With a secret, `&timestamp=` and `&sign=` are to be added.
    pub webhook: String,
    /// The group it writes to.
    pub conversation_id: String,
    /// The secret of the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Words of which a message has to contain one.
    pub keywords: Vec<String>,
    /// Who may write; everybody if it is empty.
    pub ip_whitelist: Vec<String>,
}

/// A custom robot.
#[derive(Debug, Clone)]
pub(crate) struct CustomRobot {
    token: String,
    pub(crate) conversation_id: String,
    pub(crate) secret: Option<String>,
    pub(crate) keywords: Vec<String>,
    nets: Vec<(Ipv4Addr, u8)>,
    /// When the minute that is counted began, and the messages in it.
    minute: (Duration, u32),
    blocked_until: Duration,
    /// `msgUuid`s of the last messages.
    uuids: VecDeque<String>,
}

/// The custom robots of one app.
#[derive(Debug, Clone, Default)]
pub(crate) struct CustomRobots {
    robots: Vec<CustomRobot>,
}

/// Messages in a minute, and how long the robot is blocked after more (KB 0717).
pub(crate) const PER_MINUTE: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
const BLOCKED: Duration = Duration::from_mins(10);
/// `msgUuid`s that are remembered: our choice.
const MAX_UUIDS: usize = 1_000;
/// Words, and networks, of one robot (KB 0717 for the words).
const MAX_GUARDS: usize = 10;

impl CustomRobots {
    /// Robots, and the messages that they remember.
    pub(crate) fn rows(&self) -> usize {
        self.robots.iter().map(|robot| 4 + robot.uuids.len()).sum()
    }

    pub(crate) fn get_mut(&mut self, token: &str) -> Option<&mut CustomRobot> {
        self.robots.iter_mut().find(|robot| robot.token == token)
    }
}

impl CustomRobot {
    /// Whether an address may write. IPv4 only, as on the page; a mapped address is one.
    pub(crate) fn admits(&self, peer: Option<IpAddr>) -> bool {
        let peer = match peer.map(|peer| peer.to_canonical()) {
            Some(IpAddr::V4(peer)) => Some(u32::from(peer)),
            _ => None,
        };
        self.nets.is_empty()
            || peer.is_some_and(|peer| {
                self.nets.iter().any(|(net, bits)| {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                    peer & mask == u32::from(*net) & mask
                })
            })
    }

    /// Counts a message. False when there were too many.
    pub(crate) fn spend(&mut self, now: Duration) -> bool {
        if now < self.blocked_until {
            return false;
        }
        if now.saturating_sub(self.minute.0) >= MINUTE {
            self.minute = (now, 0);
        }
        if self.minute.1 >= PER_MINUTE {
            self.blocked_until = now.saturating_add(BLOCKED);
            return false;
        }
        self.minute.1 += 1;
        true
    }

    /// Remembers a `msgUuid`. False if it was there already.
    pub(crate) fn is_new(&mut self, uuid: &str) -> bool {
        if self.uuids.iter().any(|known| known == uuid) {
            return false;
        }
        if self.uuids.len() >= MAX_UUIDS {
            self.uuids.pop_front();
        }
        self.uuids.push_back(uuid.to_owned());
        true
    }

    fn row(&self, base: &BaseUrl) -> CustomRobotRow {
        CustomRobotRow {
            access_token: self.token.clone(),
            webhook: format!("{}/robot/send?access_token={}", base.http(), self.token),
            conversation_id: self.conversation_id.clone(),
            secret: self.secret.clone(),
            keywords: self.keywords.clone(),
            ip_whitelist: self.nets.iter().map(|(net, bits)| written(*net, *bits)).collect(),
        }
    }
}

impl App {
    /// Puts a custom robot into a group. `base` is where its webhook shall point.
    pub(crate) fn add_custom_robot(
        &mut self,
        cx: &mut Cx<'_>,
        options: &CustomRobotOptions,
        base: &BaseUrl,
    ) -> Result<CustomRobotRow, VerbError> {
        let nets = check(options)?;
        if self.api.custom_robots.robots.len() >= lifetime::CUSTOM_ROBOTS_PER_APP {
            let limit = lifetime::CUSTOM_ROBOTS_PER_APP;
            return Err(VerbError::TooMany { what: "custom robots of one app", limit });
        }
        let team = SayConversation { kind: ConversationKind::Group, id: None, title: None };
        let chat = self.chat_of("", Some(options.conversation.as_ref().unwrap_or(&team)))?;
        let limit = lifetime::PEOPLE_PER_APP;
        let chat = chat.ok_or(VerbError::TooMany { what: "chats of one app", limit })?;
        let robot = CustomRobot {
            token: self.mint.custom_robot_token(self.number),
            conversation_id: chat.id,
            secret: options.secret.clone().map(|secret| {
                if secret.is_empty() { format!("SECdingmock{}", self.mint.hex(53)) } else { secret }
            }),
            keywords: options.keywords.clone(),
            nets,
            minute: (cx.now.since_start, 0),
            blocked_until: Duration::ZERO,
            uuids: VecDeque::new(),
        };
        let text = format!("a custom robot comes to {}", robot.conversation_id);
        self.note(cx, Draft::new(EntryKind::Control, text));
        let row = robot.row(&self.urls(base));
        self.api.custom_robots.robots.push(robot);
        Ok(row)
    }

    /// The custom robots, in the order of minting.
    pub(crate) fn custom_robot_rows(&self, base: &BaseUrl) -> Vec<CustomRobotRow> {
        let base = self.urls(base);
        self.api.custom_robots.robots.iter().map(|robot| robot.row(&base)).collect()
    }
}

/// Checks what was chosen, and reads the networks.
fn check(options: &CustomRobotOptions) -> Result<Vec<(Ipv4Addr, u8)>, VerbError> {
    if options.conversation.as_ref().is_some_and(|chat| chat.kind == ConversationKind::Direct) {
        let allowed = "a group: custom robots are in groups only";
        return Err(VerbError::invalid("conversation.type", "\"1\"", allowed));
    }
    if let Some(secret) = options.secret.as_ref().filter(|secret| !secret.is_empty()) {
        let printable = secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !secret.starts_with("SEC") || secret.len() > 128 || !printable {
            let allowed = "SEC and up to 125 printable ASCII characters";
            return Err(VerbError::invalid("secret", quoted(secret), allowed));
        }
    }
    for (field, count) in
        [("keywords", options.keywords.len()), ("ipWhitelist", options.ip_whitelist.len())]
    {
        if count > MAX_GUARDS {
            let allowed = format!("at most {MAX_GUARDS}");
            return Err(VerbError::invalid(field, format!("a list of {count}"), allowed));
        }
    }
    if let Some(word) = options.keywords.iter().find(|word| word.is_empty() || word.len() > 128) {
        return Err(VerbError::invalid("keywords", quoted(word), "words of 1 to 128 bytes"));
    }
    let nets = options.ip_whitelist.iter().map(|text| {
        let allowed = "an IPv4 address, or a network such as 10.0.0.0/8";
        network(text).ok_or_else(|| VerbError::invalid("ipWhitelist", quoted(text), allowed))
    });
    nets.collect()
}

/// Reads `10.0.0.0/8`, or one address.
fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse().ok().filter(|bits| *bits <= 32)?),
        None => (text, 32),
    };
    Some((address.parse().ok()?, bits))
}

fn written(net: Ipv4Addr, bits: u8) -> String {
    if bits == 32 { net.to_string() } else { format!("{net}/{bits}") }
}

impl CustomRobot {
    /// Whether `sign` is the robot's for `timestamp`, and `timestamp` is less than an hour off.
    pub(crate) fn check_signature(
        secret: &str,
        timestamp: &str,
        sign: &str,
        now: Moment,
    ) -> Result<(), &'static str> {
        use base64::Engine as _;
        use ring::hmac;

        let time: Option<i64> = timestamp.parse().ok();
        if time.is_none_or(|time| now.unix_ms.saturating_sub(time).saturating_abs() > HOUR_MS) {
            return Err("invalid timestamp");
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let sign = base64::engine::general_purpose::STANDARD.decode(sign).unwrap_or_default();
        let text = format!("{timestamp}\n{secret}");
        hmac::verify(&key, text.as_bytes(), &sign).map_err(|_| "sign not match")
    }
}

/// How far a signature's time may be off (KB 0717).
const HOUR_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, time::Duration};

    use super::{BLOCKED, CustomRobot, MAX_UUIDS, network};

    fn robot(nets: &[&str]) -> CustomRobot {
        CustomRobot {
            token: String::new(),
            conversation_id: String::new(),
            secret: None,
            keywords: Vec::new(),
            nets: nets.iter().map(|net| network(net).unwrap()).collect(),
            minute: (Duration::ZERO, 0),
            blocked_until: Duration::ZERO,
            uuids: VecDeque::new(),
        }
    }

    #[test]
    fn an_address_is_admitted_by_itself_or_by_its_network() {
        let cases = [
            (&[][..], "9.9.9.9", true),
            (&["10.0.0.0/8", "9.9.9.9"], "10.255.0.1", true),
            (&["10.0.0.0/8", "9.9.9.9"], "9.9.9.9", true),
            (&["10.0.0.0/8", "9.9.9.9"], "9.9.9.8", false),
            (&["10.0.0.0/8"], "::ffff:10.0.0.1", true),
            (&["0.0.0.0/0"], "1.2.3.4", true),
            (&["0.0.0.0/0"], "::1", false),
        ];
        for (nets, peer, admitted) in cases {
            assert_eq!(robot(nets).admits(peer.parse().ok()), admitted, "{nets:?} {peer}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "::1", "10.0.0"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn twenty_messages_a_minute_and_then_ten_minutes_of_silence() {
        let mut robot = robot(&[]);
        let at = Duration::from_secs;
        assert!((0..20).all(|n| robot.spend(at(n))));
        assert!(!robot.spend(at(59)));
        assert!(!robot.spend(at(58) + BLOCKED));
        assert!(robot.spend(at(59) + BLOCKED));
    }

    #[test]
    fn only_the_last_uuids_are_remembered() {
        let mut robot = robot(&[]);
        assert!(robot.is_new("a"));
        assert!(!robot.is_new("a"));
        for n in 0..MAX_UUIDS {
            assert!(robot.is_new(&n.to_string()));
        }
        assert!(robot.is_new("a"));
    }
}
