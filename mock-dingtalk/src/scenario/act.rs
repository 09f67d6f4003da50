//! What is done to a bot.

use serde_json::{Map, Value};

use crate::{
    control,
    control::Fields,
    core::{
        Callback, CardPress, Content, Cut, Event, Fault, Preset, Speech, Turn, VerbError,
        check_cut, fixture_bytes, quoted,
    },
};

#[derive(Debug, Clone)]
pub(super) enum Act {
    /// A person speaks.
    Message(Box<Speech>),
    /// A person speaks several times in one breath; each text ends in its number, from 1.
    Burst {
        speech: Box<Speech>,
        count: u64,
    },
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
        /// Whether TCP is reset after 10 s.
        closes: bool,
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
    /// Another client of the same app connects.
    Peer,
    /// All other clients end their connections.
    PeersLeave,
}

/// Messages of one burst.
pub(crate) const MAX_BURST: u64 = 1_000;

/// Reads what stands in a step below the name of the act.
pub(super) type Read = fn(Fields) -> Result<Act, VerbError>;

/// Every act by its name.
pub(super) const ACTS: [(&str, Read); 14] = [
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
        let mut speech = Speech::new(from, Content::text(text));
        speech.conversation = control::read_conversation(&mut fields)?;
        fields.finish()?;
        Ok(Act::Burst { speech: Box::new(speech), count })
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
