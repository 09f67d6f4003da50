//! What is done to a bot.

use std::time::Duration;

use serde_json::{Map, Value};

use super::expectation::size;
use crate::{
    control,
    control::Fields,
    core::{
        Callback, CardPress, Content, Cut, Event, Fault, Media, Preset, SayConversation, Speech,
        Turn, VerbError, check_cut, fixture_bytes, quoted,
    },
};

#[derive(Debug, Clone)]
pub(super) enum Act {
    /// A person speaks.
    Message(Box<Speech>),
    /// A person speaks several times in one breath.
    Burst(Burst),
    /// A fixture is pushed.
    Fixture(String),
    /// An EVENT frame.
    Event(Event),
    /// A CALLBACK of another topic.
    Callback(Callback),
    /// A person presses a button of a card.
    Press(CardPress),
    /// The same, of the card that was shown last.
    PressLast(CardPress),
    /// A text message, as it stands, to one of the open connections.
    Frame(String),
    /// SYSTEM `disconnect` to all connections.
    Disconnect {
        reason: String,
        message_id: bool,
        /// Whether TCP is reset after 10 s.
        closes: bool,
    },
    /// All connections end without notice.
    Cut(Cut),
    Fault(Fault),
    Preset(Preset),
    ClearFaults,
    /// The app's access token is over before its time.
    RevokeToken,
    /// The app's clock is turned.
    Clock(Turn),
    /// The bot's process is killed and started again with the same state.
    Restart,
    /// Another client of the same app connects.
    Peer,
    /// All other clients end their connections.
    PeersLeave,
    /// The bot's process is asked to end.
    Stop {
        within: Option<Duration>,
        /// The status that it ends with.
        status: i32,
    },
    /// The bot is made to send a message that answers nothing.
    Push(PushAct),
    /// The model behind the bot goes on.
    Release(String),
}

/// A message that the bot sends by the command for it.
#[derive(Debug, Clone)]
pub(super) struct PushAct {
    pub(super) to: To,
    pub(super) text: String,
    pub(super) media: Option<Media>,
    /// The command is to fail.
    pub(super) refused: bool,
    pub(super) within: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) enum To {
    /// `user:USERID` or `chat:CONVERSATIONID`.
    Target(String),
    /// The chat of this push, which is a group.
    ChatOf(String),
}

/// Messages of one burst.
pub(crate) const MAX_BURST: u64 = 1_000;

/// Messages that come in one breath.
#[derive(Debug, Clone)]
pub(super) struct Burst {
    from: String,
    conversation: Option<SayConversation>,
    text: String,
    count: u64,
}

impl Burst {
    /// Each ends in its number, from 1.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        (1..=self.count).map(|number| format!("{} {number}", self.text))
    }

    /// One of them.
    pub(super) fn speech(&self, text: &str) -> Speech {
        let mut speech = Speech::new(&self.from, Content::text(text));
        speech.conversation.clone_from(&self.conversation);
        speech
    }
}

/// The control call that does an act, by the segments below its app.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) below: &'static [&'static str],
    /// It is a `DELETE` without a body, not a `POST`.
    pub(super) deletes: bool,
    /// The answer says what became of a push.
    pub(super) pushes: bool,
}

impl Act {
    /// `msgtype` and words of what a person says.
    pub(super) fn spoken(&self) -> Option<(String, String)> {
        match self {
            Self::Message(speech) => {
                let text = speech.content.text.clone().unwrap_or_default();
                Some((speech.content.msgtype.name().to_owned(), text))
            }
            Self::Fixture(name) => {
                let frame: Value = serde_json::from_slice(fixture_bytes(name)?).ok()?;
                let data: Value = serde_json::from_str(frame["data"].as_str()?).ok()?;
                let text = data["text"]["content"].as_str().unwrap_or_default();
                Some((data["msgtype"].as_str()?.to_owned(), text.to_owned()))
            }
            _ => None,
        }
    }

    /// Whether connections may end by it, or cease to work.
    pub(super) fn is_done_to_connections(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Disconnect { .. } | Self::Preset(_))
    }

    /// The call that takes what stands in the step below the act's name.
    pub(super) fn call(&self) -> Option<Call> {
        let call = |below| Call { below, deletes: false, pushes: false };
        let push = |below| Call { below, deletes: false, pushes: true };
        Some(match self {
            Self::Message(_) | Self::Fixture(_) => push(&["messages"]),
            Self::Event(_) => push(&["events"]),
            Self::Callback(_) => push(&["callbacks"]),
            Self::Press(_) | Self::PressLast(_) => push(&["card-actions"]),
            Self::Frame(_) => push(&["frames"]),
            Self::Disconnect { .. } => call(&["connections", "all", "disconnect"]),
            Self::Cut(_) => call(&["connections", "all", "cut"]),
            Self::Fault(_) | Self::Preset(_) => call(&["faults"]),
            Self::ClearFaults => Call { deletes: true, ..call(&["faults"]) },
            Self::RevokeToken => Call { deletes: true, ..call(&["token"]) },
            Self::Clock(_) => call(&["clock"]),
            // Each message of a burst is a call of its own, and the player has the processes.
            Self::Burst(_)
            | Self::Restart
            | Self::Stop { .. }
            | Self::Push(_)
            | Self::Release(_)
            | Self::Peer
            | Self::PeersLeave => return None,
        })
    }
}

/// Reads what stands in a step below the name of the act.
pub(super) type Read = fn(Fields) -> Result<Act, VerbError>;

/// Every act by its name.
pub(super) const ACTS: [(&str, Read); 18] = [
    ("message", |mut fields| match fields.string("fixture")? {
        Some(name) => {
            fields.finish()?;
            if fixture_bytes(&name).is_none() {
                let allowed = "a fixture that `mock-dingtalk fixtures` lists";
                return Err(VerbError::invalid("fixture", quoted(&name), allowed));
            }
            Ok(Act::Fixture(name))
        }
        None => Ok(Act::Message(Box::new(control::read_speech(fields)?))),
    }),
    ("burst", |mut fields| {
        let count = fields.number("count")?.ok_or_else(|| fields.missing("count", "a number"))?;
        if !(1..=MAX_BURST).contains(&count) {
            return Err(fields.wrong("count", &count.into(), "a number from 1 to 1000"));
        }
        let (from, text) = (fields.required_string("from")?, fields.required_string("text")?);
        let conversation = control::read_conversation(&mut fields)?;
        fields.finish()?;
        Ok(Act::Burst(Burst { from, conversation, text, count }))
    }),
    ("event", |mut fields| {
        let event_type = fields.required_string("eventType")?;
        let mut event = Event::new(event_type, members(&mut fields, "data")?.unwrap_or_default());
        event.event_id = fields.string("eventId")?;
        fields.finish()?;
        Ok(Act::Event(event))
    }),
    ("callback", |mut fields| {
        let topic = fields.required_string("topic")?;
        let data = members(&mut fields, "data")?;
        let data = data.ok_or_else(|| fields.missing("data", "an object"))?;
        fields.finish()?;
        Ok(Act::Callback(Callback::new(topic, data)))
    }),
    ("press", |mut fields| match fields.string("outTrackId")? {
        Some(id) => Ok(Act::Press(control::read_press(fields, id)?)),
        None => Ok(Act::PressLast(control::read_press(fields, String::new())?)),
    }),
    ("frame", |mut fields| {
        let raw = fields.required_string("raw")?;
        fields.finish()?;
        Ok(Act::Frame(raw))
    }),
    ("disconnect", |mut fields| {
        let reason = fields.string("reason")?.unwrap_or_else(|| control::REASON.to_owned());
        let message_id = fields.bool("messageId")?.unwrap_or(true);
        let closes = fields.bool("closes")?.unwrap_or(true);
        fields.finish()?;
        Ok(Act::Disconnect { reason, message_id, closes })
    }),
    ("cut", |mut fields| {
        let how = control::read_cut(&mut fields)?;
        fields.finish()?;
        check_cut(&how)?;
        Ok(Act::Cut(how))
    }),
    ("fault", |mut fields| match fields.string("preset")? {
        Some(name) => {
            fields.finish()?;
            Ok(Act::Preset(Preset::named(&name)?))
        }
        None => Ok(Act::Fault(control::read_fault(fields)?)),
    }),
    ("clearFaults", |fields| {
        fields.finish()?;
        Ok(Act::ClearFaults)
    }),
    ("revokeToken", |fields| {
        fields.finish()?;
        Ok(Act::RevokeToken)
    }),
    ("clock", |fields| Ok(Act::Clock(control::read_turn(fields)?))),
    ("restart", |fields| {
        fields.finish()?;
        Ok(Act::Restart)
    }),
    ("peer", |fields| {
        fields.finish()?;
        Ok(Act::Peer)
    }),
    ("peersLeave", |fields| {
        fields.finish()?;
        Ok(Act::PeersLeave)
    }),
    ("stop", |mut fields| {
        let within = fields.duration("within")?;
        let status = size(&mut fields, "status")?.unwrap_or(0);
        fields.finish()?;
        Ok(Act::Stop { within, status })
    }),
    ("push", |mut fields| {
        let to = match (fields.string("to")?, fields.string("chatOf")?) {
            (Some(target), None) => To::Target(target),
            (None, Some(name)) => To::ChatOf(name),
            _ => return Err(fields.missing("to", "\"user:USERID\", or `chatOf` a push")),
        };
        let media = fields.take("media").map(|media| control::read_media(&fields, media));
        let push = PushAct {
            to,
            text: fields.string("text")?.unwrap_or_default(),
            media: media.transpose()?,
            refused: fields.bool("refused")?.unwrap_or(false),
            within: fields.duration("within")?,
        };
        fields.finish()?;
        Ok(Act::Push(push))
    }),
    ("release", |mut fields| {
        let hold = fields.required_string("hold")?;
        fields.finish()?;
        Ok(Act::Release(hold))
    }),
];

impl Act {
    /// Whether it makes a push, which later steps can name.
    pub(super) fn pushes(&self) -> bool {
        matches!(self, Self::Burst(_)) || self.call().is_some_and(|call| call.pushes)
    }

    /// Whether that push is in a chat.
    pub(super) fn is_in_a_chat(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Burst(_) | Self::Fixture(_))
    }

    /// Files that it brings.
    pub(super) fn files(&self) -> &[Media] {
        match self {
            Self::Message(speech) => &speech.content.media,
            Self::Push(push) => push.media.as_slice(),
            _ => &[],
        }
    }

    /// The push that it is about, by its name.
    pub(super) fn push(&self) -> Option<&String> {
        match self {
            Self::Push(PushAct { to: To::ChatOf(name), .. }) => Some(name),
            _ => None,
        }
    }
}

fn members(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<Map<String, Value>>, VerbError> {
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Object(data)) => Ok(Some(data)),
        Some(other) => Err(fields.wrong(name, &other, "an object")),
    }
}
