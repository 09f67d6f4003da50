//! The pure core: what DingTalk would do, without a socket, a clock or a runtime.
//!
//! Everything that happens to the mock enters by a method of [`Fleet`] together with the
//! [`Moment`] it happened at, and what has to happen in the world comes out as [`Effect`]s. The
//! same inputs and the same seed give the same outputs, byte for byte.
//!
//! A [`Fleet`] holds apps; an [`App`] is a world of its own with people, connections, deliveries,
//! faults and seed; a connection carries frames; a delivery is one push and its attempts.

mod ack;
mod api_verbs;
mod app;
mod base_url;
mod budget;
mod card;
mod card_press;
mod connection;
mod conversation;
mod custom_robot;
mod delivery;
mod dial;
mod dispatch;
mod effect;
mod export;
mod fault;
mod fault_check;
mod findings;
mod fixture;
mod fleet;
mod foreign;
mod frame;
mod frame_faults;
mod group_file;
mod http;
mod ids;
mod inbound;
mod inbound_media;
mod journal;
mod known;
mod lifetime;
mod media;
mod memory;
mod message;
mod moment;
mod mutation;
mod openapi;
mod people;
mod permission;
mod preset;
mod profile;
mod pushes;
mod redact;
mod ring;
mod sent;
mod session;
mod snapshot;
mod tcp_faults;
mod ticket;
mod timer;
mod token;
mod verb_error;
mod verbs;

#[cfg(test)]
mod properties;

#[cfg(feature = "mutations")]
pub(crate) use self::mutation::ROWS as MUTATIONS;
pub(crate) use self::{
    ack::ClientFrame,
    api_verbs::MOST_CALLS,
    app::{App, AppNumber, Cx},
    base_url::{BaseUrl, DINGTALK_DOMAINS, is_dingtalk},
    connection::{ConnectionKey, PEER_UA},
    dial::{Dial, Reading, Scale, Turn},
    effect::{Effect, Ill, Outgoing},
    export::{Excerpt, FORMAT, Head, Selection, VERSION},
    fault::OPEN_PATH,
    fault_check::{MAX_TCP_TIMES, METHODS},
    findings::{RULES, Rule},
    fixture::{BOT_TOPIC, fixture_bytes, fixture_names},
    fleet::{Fleet, UpgradeVerdict},
    http::{HttpAnswer, HttpCall, Plan},
    inbound::MAX_PARTS,
    lifetime::MEDIA_BYTES,
    media::sha256,
    moment::Moment,
    mutation::Mutations,
    openapi::{EndpointRow, Fidelity, Routed, endpoints},
    preset::PRESETS,
    pushes::{DYNAMIC_DATA_TOPIC, GRAPH_TOPIC},
    verb_error::{check_cut, quoted},
};
pub use self::{
    api_verbs::{AddedFile, ApiLimits},
    app::{AppInfo, AppOptions},
    card_press::CardPress,
    connection::{ConnectionRow, ConnectionState},
    conversation::{Conversation, ConversationKind},
    custom_robot::{CustomRobotOptions, CustomRobotRow},
    delivery::{AckRow, AttemptRow, DeliveryRow, DeliveryState},
    fault::{
        Action, BadFrame, Cut, Direction, ErrorBody, Fault, FaultRow, FrameSelector, Happening,
        Times, When,
    },
    findings::{Finding, FindingRule, Severity},
    group_file::GroupFile,
    inbound::{Content, MAX_DEPTH, MsgType, Quote, QuoteForm, Sample, Speech, StaffId, Variants},
    inbound_media::Media,
    journal::{Diagnosis, Entry, EntryKind},
    message::{Said, SaidState, Say, SayConversation},
    openapi::ReactionRow,
    people::Person,
    permission::{Permission, PermissionRow},
    preset::Preset,
    profile::{DeliveryRules, Profile},
    pushes::{Callback, Event},
    sent::SentRow,
    snapshot::SnapshotRow,
    verb_error::VerbError,
};
