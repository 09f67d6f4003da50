//! DingTalk's stream gateway and OpenAPI as a local server, for tests and development.
//!
//! [`MockDingtalk::start`] opens one port that speaks what `api.dingtalk.com`,
//! `oapi.dingtalk.com` and the WebSocket gateway speak. [`MockDingtalk::app`] mints an app: a
//! world of its own, with people, chats, connections and faults that no other app sees, so any
//! number of tests can share one mock. The same verbs are there over HTTP, below `/_mock`.

mod clock;
#[cfg(feature = "testcontainers")]
pub mod container;
mod control;
mod core;
mod coverage;
mod dingtalk;
mod error;
mod gateway;
mod hub;
mod library;
mod outbox;
mod page;
mod plug;
mod remote;
mod replay;
mod routes;
mod scenario;
mod server;
mod wire;

pub use crate::{
    core::{
        AckRow, Action, AddedFile, ApiLimits, AppInfo, AppOptions, AttemptRow, BadFrame, Callback,
        CardPress, ConnectionRow, ConnectionState, Content, Conversation, ConversationKind,
        CustomRobotOptions, CustomRobotRow, Cut, DeliveryRow, DeliveryRules, DeliveryState,
        Diagnosis, Direction, Entry, EntryKind, ErrorBody, Event, Fault, FaultRow, Finding,
        FindingRule, FrameSelector, GroupFile, Happening, MAX_DEPTH, Media, MsgType, Permission,
        PermissionRow, Person, Preset, Profile, Quote, QuoteForm, ReactionRow, Said, SaidState,
        Sample, Say, SayConversation, SentRow, Severity, SnapshotRow, Speech, StaffId, Times,
        Variants, VerbError, When,
    },
    error::MockError,
    library::{App, Builder, MockClock, MockDingtalk},
    remote::{ControlClient, ControlError, RemoteApp},
    replay::{Outcome, Recording, RecordingError, Replay},
    scenario::{
        Evidence, Failure as ScenarioFailure, Model, ProcessGroup, Push, Scenario, Stage, Subject,
    },
};
