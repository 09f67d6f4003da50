//! What has to come of it.

use std::time::Duration;

use serde_json::Value;

use super::{asked::Asked, cards::Cards, files::FileWanted};
use crate::{
    control::Fields,
    core::{RULES, Severity, VerbError},
};

#[derive(Debug, Clone)]
pub(super) enum Expectation {
    Acked(Acked),
    Sent(Sent),
    Cards(Cards),
    Asked(Asked),
    Connections(Connections),
    AllAnswered,
    Hit(Hit),
    NoFindings(NoFindings),
}

/// A push is answered, on the connection that brought it.
#[derive(Debug, Clone)]
pub(super) struct Acked {
    /// The push, by its name.
    pub(super) of: String,
    /// `code` of the first answer; 200 if not given.
    pub(super) code: i64,
    /// The first answer came so soon after its frame, on the app's clock.
    pub(super) at_most: Option<Duration>,
    /// The push was made so often.
    pub(super) attempts: Option<usize>,
    /// So many answers came.
    pub(super) times: Option<u64>,
    /// Members that `data` of the first answer has.
    pub(super) data_has: Vec<String>,
}

/// The robot said texts, and sent files.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) texts: Vec<String>,
    pub(super) files: Vec<FileWanted>,
    /// So many messages, at least.
    pub(super) at_least: usize,
    /// All words that are numbers are those below this one, in order.
    pub(super) numbers: Option<u64>,
    /// Each is a part of a message, not all of it.
    pub(super) parts: bool,
    /// What else may have been said.
    pub(super) besides: Besides,
    /// They were said in this order.
    pub(super) in_order: bool,
    /// All of them by one of these ways.
    pub(super) via: Vec<String>,
    /// Only what was said in the chat of this push counts.
    pub(super) to: Option<String>,
}

/// What may have been said beside the texts that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Besides {
    Anything,
    /// None of those texts again.
    NoneAgain,
    Nothing,
}

/// Connections of the bot.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub(super) open: Option<usize>,
    pub(super) draining: Option<usize>,
    /// So many were made in all, those that ended included.
    pub(super) made: Option<usize>,
    /// No more than so many were made.
    pub(super) at_most: Option<usize>,
    /// No fewer than so many were made since the last `cut`, `disconnect` or preset.
    pub(super) fresh: Option<usize>,
    /// Each open one has these subscriptions: `TYPE TOPIC`.
    pub(super) subscribed: Vec<String>,
    /// None ended before the next one was open.
    pub(super) overlapping: bool,
    /// Each open one answered a SYSTEM ping.
    pub(super) ponged: bool,
}

/// A fault acted.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    /// The fault, by its name.
    pub(super) of: String,
    /// So often at least.
    pub(super) times: u64,
}

/// The bot lint has nothing to say.
#[derive(Debug, Clone)]
pub(super) struct NoFindings {
    /// These rules; all if empty.
    pub(super) rules: Vec<String>,
    pub(super) severity: Severity,
}

pub(super) type Read = fn(Fields) -> Result<Expectation, VerbError>;

/// Every expectation by its name.
pub(super) const EXPECTATIONS: [(&str, Read); 8] = [
    ("acked", |mut fields| {
        let acked = Acked {
            of: fields.required_string("of")?,
            code: size(&mut fields, "code")?.unwrap_or(200),
            at_most: fields.duration("atMost")?,
            attempts: size(&mut fields, "attempts")?,
            times: fields.number("times")?,
            data_has: fields.strings("dataHas")?.unwrap_or_default(),
        };
        fields.finish()?;
        Ok(Expectation::Acked(acked))
    }),
    ("sent", |mut fields| {
        let sent = Sent {
            texts: fields.strings("texts")?.unwrap_or_default(),
            files: read_files(&mut fields)?,
            at_least: size(&mut fields, "atLeast")?.unwrap_or(0),
            numbers: fields.number("numbers")?,
            parts: fields.bool("parts")?.unwrap_or(false),
            besides: read_besides(&mut fields)?,
            in_order: fields.bool("inOrder")?.unwrap_or(false),
            via: fields.strings("via")?.unwrap_or_default(),
            to: fields.string("to")?,
        };
        let says_nothing = sent.texts.is_empty() && sent.files.is_empty();
        if says_nothing && sent.at_least == 0 && sent.numbers.is_none() {
            return Err(fields.missing("texts", "one of texts, files, numbers, atLeast"));
        }
        fields.finish()?;
        Ok(Expectation::Sent(sent))
    }),
    ("cards", |fields| Ok(Expectation::Cards(Cards::read(fields)?))),
    ("asked", |fields| Ok(Expectation::Asked(Asked::read(fields)?))),
    ("connections", |mut fields| {
        let connections = Connections {
            open: size(&mut fields, "open")?,
            draining: size(&mut fields, "draining")?,
            made: size(&mut fields, "made")?,
            at_most: size(&mut fields, "atMost")?,
            fresh: size(&mut fields, "fresh")?,
            subscribed: fields.strings("subscribed")?.unwrap_or_default(),
            overlapping: fields.bool("overlapping")?.unwrap_or(false),
            ponged: fields.bool("ponged")?.unwrap_or(false),
        };
        fields.finish()?;
        Ok(Expectation::Connections(connections))
    }),
    ("allAnswered", |fields| {
        fields.finish()?;
        Ok(Expectation::AllAnswered)
    }),
    ("hit", |mut fields| {
        let of = fields.required_string("of")?;
        let times = fields.number("times")?.unwrap_or(1);
        fields.finish()?;
        Ok(Expectation::Hit(Hit { of, times }))
    }),
    ("noFindings", |mut fields| {
        let slugs: Vec<_> = RULES.iter().map(|rule| (rule.slug, rule.slug.to_owned())).collect();
        let found = NoFindings {
            rules: fields.words("rules", &slugs)?.unwrap_or_default(),
            severity: fields.word("severity", &Severity::NAMES)?.unwrap_or(Severity::Remark),
        };
        fields.finish()?;
        Ok(Expectation::NoFindings(found))
    }),
];

fn read_files(fields: &mut Fields) -> Result<Vec<FileWanted>, VerbError> {
    match fields.take("files") {
        None => Ok(Vec::new()),
        Some(Value::Array(files)) => files
            .into_iter()
            .map(|file| match file {
                Value::Object(members) => FileWanted::read(Fields::within("files", members)),
                other => Err(fields.wrong("files", &other, "a list of objects")),
            })
            .collect(),
        Some(other) => Err(fields.wrong("files", &other, "a list of objects")),
    }
}

fn read_besides(fields: &mut Fields) -> Result<Besides, VerbError> {
    let only = fields.bool("only")?.unwrap_or(false);
    let once = fields.bool("once")?.unwrap_or(false);
    Ok(match (only, once) {
        (true, _) => Besides::Nothing,
        (false, true) => Besides::NoneAgain,
        (false, false) => Besides::Anything,
    })
}

impl Expectation {
    /// The fault that it names.
    pub(super) fn fault(&self) -> Option<&String> {
        match self {
            Self::Hit(hit) => Some(&hit.of),
            _ => None,
        }
    }

    /// The push that it is about, by its name.
    pub(super) fn push(&self) -> Option<&String> {
        match self {
            Self::Acked(acked) => Some(&acked.of),
            Self::Sent(sent) => sent.to.as_ref(),
            Self::Cards(cards) => cards.to.as_ref(),
            Self::Asked(_)
            | Self::Connections(_)
            | Self::AllAnswered
            | Self::Hit(_)
            | Self::NoFindings(_) => None,
        }
    }

    /// Whether that push has to be in a chat.
    pub(super) fn is_about_a_chat(&self) -> bool {
        matches!(self, Self::Sent(_) | Self::Cards(_))
    }

    /// Whether a program has to start for it.
    pub(super) fn waits_for_a_start(&self) -> bool {
        matches!(self, Self::Connections(wanted) if wanted.open.is_some_and(|open| open > 0))
    }

    /// Files of earlier steps that it names.
    pub(super) fn files(&self) -> &[FileWanted] {
        if let Self::Sent(sent) = self { &sent.files } else { &[] }
    }
}

/// A number of things.
pub(super) fn size<T: TryFrom<u64>>(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<T>, VerbError> {
    let Some(number) = fields.number(name)? else { return Ok(None) };
    let fits = T::try_from(number).map(Some);
    fits.map_err(|_| fields.wrong(name, &number.into(), "a smaller number"))
}
