//! A model that plays a script: what it says to which question, piece by piece.
//!
//! Without a line that fits it repeats the question, so that an agent behind it is an echo. It answers
//! the calls of an OpenAI-compatible endpoint, streamed and not.

mod completion;
mod question;
mod server;

pub use self::server::Model;
pub(super) use self::{question::Question, server::Talk};
use crate::{
    control::Fields,
    core::{VerbError, quoted},
};

/// What a model has to say in a scenario.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    /// The models that it lists; the first one is the bot's own.
    models: Vec<String>,
    lines: Vec<Line>,
}

/// The model of a scenario that names none.
const MODEL: &str = "scripted";

/// One answer.
#[derive(Debug, Clone)]
struct Line {
    /// Only to questions that contain this.
    to: Option<String>,
    /// For each such question, and not only the first.
    always: bool,
    manner: Manner,
}

#[derive(Debug, Clone)]
enum Manner {
    Say {
        pieces: Vec<Piece>,
        ending: Ending,
    },
    /// An HTTP status instead, with `Retry-After` in seconds.
    Refuse {
        status: u16,
        retry_after: Option<u64>,
    },
}

#[derive(Debug, Clone)]
enum Piece {
    Words(String),
    /// Goes on when a step releases it.
    Hold(String),
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Stop,
    /// At the model's limit.
    Length,
    ContentFilter,
    /// With an error in the middle of the stream.
    Error,
}

const ENDINGS: [(&str, Ending); 4] = [
    ("stop", Ending::Stop),
    ("length", Ending::Length),
    ("content_filter", Ending::ContentFilter),
    ("error", Ending::Error),
];

impl Script {
    /// `{"models"?, "lines"?}`.
    pub(super) fn read(mut fields: Fields) -> Result<Self, VerbError> {
        let models = fields.strings("models")?.unwrap_or_default();
        let lines = match fields.take("lines") {
            None => Vec::new(),
            Some(serde_json::Value::Array(lines)) => lines
                .into_iter()
                .enumerate()
                .map(|(index, line)| read_line(&format!("model.lines[{index}]"), line))
                .collect::<Result<_, _>>()?,
            Some(other) => return Err(fields.wrong("lines", &other, "a list of objects")),
        };
        fields.finish()?;
        Ok(Self { models, lines })
    }

    /// What holds its answers back.
    pub(super) fn holds(&self) -> impl Iterator<Item = &str> {
        let pieces = self.lines.iter().filter_map(|line| match &line.manner {
            Manner::Say { pieces, .. } => Some(pieces),
            Manner::Refuse { .. } => None,
        });
        pieces.flatten().filter_map(|piece| match piece {
            Piece::Hold(name) => Some(name.as_str()),
            Piece::Words(_) => None,
        })
    }

    fn models(&self) -> Vec<String> {
        if self.models.is_empty() { vec![MODEL.to_owned()] } else { self.models.clone() }
    }
}

/// `{"to"?, "always"?, "say", "ending"?}` or `{"to"?, "always"?, "status", "retryAfter"?}`.
fn read_line(path: &str, line: serde_json::Value) -> Result<Line, VerbError> {
    let serde_json::Value::Object(members) = line else {
        return Err(VerbError::invalid(path, quoted(&line.to_string()), "an object"));
    };
    let mut fields = Fields::within(path, members);
    let (to, always) = (fields.string("to")?, fields.bool("always")?.unwrap_or(false));
    let pieces = match fields.take("say") {
        None => None,
        Some(serde_json::Value::String(words)) => Some(vec![Piece::Words(words)]),
        Some(serde_json::Value::Array(pieces)) => Some(
            pieces.into_iter().map(|piece| read_piece(path, piece)).collect::<Result<_, _>>()?,
        ),
        Some(other) => return Err(fields.wrong("say", &other, SAY)),
    };
    let manner = match (pieces, fields.number("status")?) {
        (Some(pieces), None) => {
            Manner::Say { pieces, ending: fields.word("ending", &ENDINGS)?.unwrap_or(Ending::Stop) }
        }
        (None, Some(number)) => {
            let status = u16::try_from(number).ok().filter(|status| (400..600).contains(status));
            let status =
                status.ok_or_else(|| fields.wrong("status", &number.into(), "400 to 599"))?;
            Manner::Refuse { status, retry_after: fields.number("retryAfter")? }
        }
        _ => return Err(fields.missing("say", "the words, or `status` instead")),
    };
    fields.finish()?;
    Ok(Line { to, always, manner })
}

const SAY: &str = "a string, or a list of strings, {\"hold\":\"NAME\"} and {\"numbers\":N}";
/// More than any bot has to send in one answer.
const MAX_NUMBERS: u64 = 100_000;

fn read_piece(path: &str, piece: serde_json::Value) -> Result<Piece, VerbError> {
    let members = match piece {
        serde_json::Value::String(words) => return Ok(Piece::Words(words)),
        serde_json::Value::Object(members) => members,
        other => return Err(VerbError::invalid(path, quoted(&other.to_string()), SAY)),
    };
    let mut fields = Fields::within(path, members);
    let read = match (fields.string("hold")?, fields.number("numbers")?) {
        (Some(name), None) => Piece::Hold(name),
        (None, Some(count)) if count <= MAX_NUMBERS => {
            let numbers: Vec<_> = (0..count).map(|number| number.to_string()).collect();
            Piece::Words(numbers.join(" "))
        }
        _ => return Err(VerbError::invalid(path, "such a piece", SAY)),
    };
    fields.finish()?;
    Ok(read)
}

#[cfg(test)]
mod tests;
