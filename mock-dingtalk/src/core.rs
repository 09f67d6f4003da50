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
mod card;
mod connection;
mod conversation;
mod delivery;
mod dispatch;
mod effect;
mod fault;
mod fixture;
mod fleet;
mod frame;
mod frame_faults;
mod http;
mod ids;
mod inbound;
mod inbound_media;
mod journal;
mod lifetime;
mod media;
mod message;
mod moment;
mod openapi;
mod people;
mod preset;
mod profile;
mod pushes;
mod ring;
mod sent;
mod session;
mod ticket;
mod timer;
mod token;
mod verb_error;
mod verbs;

#[cfg(test)]
mod properties;

#[cfg(test)]
pub(crate) use self::openapi::modelled_calls;
pub(crate) use self::{
    ack::ClientFrame,
    api_verbs::MOST_CALLS,
    app::{App, AppNumber, Cx},
    base_url::{BaseUrl, DINGTALK_DOMAINS, is_dingtalk},
    connection::ConnectionKey,
    effect::{Effect, Outgoing},
    fixture::fixture_names,
    fleet::{Fleet, UpgradeVerdict},
    http::{HttpAnswer, HttpCall, Plan},
    inbound::MAX_PARTS,
    moment::Moment,
    openapi::Routed,
    preset::PRESETS,
    pushes::{DYNAMIC_DATA_TOPIC, GRAPH_TOPIC},
    verb_error::{check_cut, quoted},
};
pub use self::{
    api_verbs::{AddedFile, ApiLimits},
    app::{AppInfo, AppOptions},
    connection::{ConnectionRow, ConnectionState},
    conversation::{Conversation, ConversationKind},
    delivery::{AckRow, AttemptRow, DeliveryRow, DeliveryState},
    fault::{Action, Cut, ErrorBody, Fault, FaultRow, FrameSelector, Times, When},
    inbound::{Content, MAX_DEPTH, MsgType, Quote, QuoteForm, Sample, Speech, StaffId, Variants},
    inbound_media::Media,
    journal::{Diagnosis, Entry, EntryKind},
    message::{Said, SaidState, Say, SayConversation},
    openapi::ReactionRow,
    people::Person,
    preset::Preset,
    profile::{DeliveryRules, Profile},
    pushes::{Callback, Event},
    sent::SentRow,
    verb_error::VerbError,
};
