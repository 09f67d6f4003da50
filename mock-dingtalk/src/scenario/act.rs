//! What is done to a bot.

use serde_json::{Map, Value};

use crate::{
    control,
    control::Fields,
    core::{
        Callback, CardPress, Cut, Event, Fault, Preset, Speech, Turn, VerbError, check_cut,
        fixture_bytes, quoted,
    },
};

#[derive(Debug, Clone)]
pub(super) enum Act {
    /// A person speaks.
    Message(Box<Speech>),
    /// A fixture is pushed.
    Fixture(String),
    /// An EVENT frame.
    Event(Event),
    /// A CALLBACK of another topic.
    Callback(Callback),
    /// A person presses a button of a card.
    Press(CardPress),
    /// A text message, as it stands, to one of the open connections.
    Frame(String),
    /// SYSTEM `disconnect` to all connections.
    Disconnect {
        reason: String,
        message_id: bool,
    },
    /// All connections end without notice.
    Cut(Cut),
    Fault(Fault),
    Preset(Preset),
    ClearFaults,
    /// The app's clock is turned.
    Clock(Turn),
    /// The bot's process is killed and started again with the same state.
    Restart,
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
    /// The call that takes what stands in the step below the act's name.
    pub(super) fn call(&self) -> Option<Call> {
        let call = |below| Call { below, deletes: false, pushes: false };
        let push = |below| Call { below, deletes: false, pushes: true };
        Some(match self {
            Self::Message(_) | Self::Fixture(_) => push(&["messages"]),
            Self::Event(_) => push(&["events"]),
            Self::Callback(_) => push(&["callbacks"]),
            Self::Press(_) => push(&["card-actions"]),
            Self::Frame(_) => push(&["frames"]),
            Self::Disconnect { .. } => call(&["connections", "all", "disconnect"]),
            Self::Cut(_) => call(&["connections", "all", "cut"]),
            Self::Fault(_) | Self::Preset(_) => call(&["faults"]),
            Self::ClearFaults => Call { deletes: true, ..call(&["faults"]) },
            Self::Clock(_) => call(&["clock"]),
            // The player has the process.
            Self::Restart => return None,
        })
    }
}

/// Reads what stands in a step below the name of the act.
pub(super) type Read = fn(Fields) -> Result<Act, VerbError>;

/// Every act by its name.
pub(super) const ACTS: [(&str, Read); 11] = [
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
    ("press", |fields| Ok(Act::Press(control::read_press(fields)?))),
    ("frame", |mut fields| {
        let raw = fields.required_string("raw")?;
        fields.finish()?;
        Ok(Act::Frame(raw))
    }),
    ("disconnect", |mut fields| {
        let reason = fields.string("reason")?.unwrap_or_else(|| control::REASON.to_owned());
        let message_id = fields.bool("messageId")?.unwrap_or(true);
        fields.finish()?;
        Ok(Act::Disconnect { reason, message_id })
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
    ("clock", |fields| Ok(Act::Clock(control::read_turn(fields)?))),
    ("restart", |fields| {
        fields.finish()?;
        Ok(Act::Restart)
    }),
];

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
