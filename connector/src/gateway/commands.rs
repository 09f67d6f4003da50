//! Commands such as `/new`, for agents that have none of their own.
//!
//! They mean what they mean in OpenClaw. A command is a whole message; who may not talk to the robot
//! never gets here. `/stop` overtakes the queue and ends what runs. What only tells something, and at once,
//! waits for no turn either: `/status`, `/whoami`, `/help` and `/commands`. All others change or need the
//! session, and wait like any other message.

mod answers;
mod parse;

use tracing::error;

pub(super) use self::answers::stopped;
use self::answers::{FAILED, Lines, both};
use self::parse::{Command, Name, Parsed};
use crate::agent::control::{Compacted, Think, UsageLine};
use crate::agent::{Agent, AgentError, Commands, SessionControl, Turn};
use crate::protocol::SenderId;

/// A command that is the connector's to answer.
pub(super) struct Ours<'a> {
    parsed: Parsed,
    control: Option<&'a dyn SessionControl>,
}

/// The command of a turn, if it is one and the agent has none of its own.
pub(super) fn of<'a>(agent: &'a dyn Agent, turn: &Turn) -> Option<Ours<'a>> {
    let Commands::Ours(control) = agent.commands() else { return None };
    let parsed = parse::parse(turn)?;
    Some(Ours { parsed, control })
}

impl Ours<'_> {
    /// Whether it overtakes what waits.
    pub(super) fn is_stop(&self) -> bool {
        matches!(self.parsed, Parsed::Command(Command { name: Name::Stop, .. }))
    }

    /// Whether it is answered beside the turn that runs, in order with its like.
    pub(super) fn is_aside(&self) -> bool {
        let Parsed::Command(Command { name, .. }) = &self.parsed else { return false };
        matches!(name, Name::Help | Name::Commands | Name::Status | Name::Whoami)
    }

    /// Does it, and answers it. It may come again after a crash, and then does no more. `sender` wrote it.
    pub(super) async fn answer(&self, turn: &Turn, sender: Option<&SenderId>) -> String {
        let command = match &self.parsed {
            Parsed::Command(command) => command,
            Parsed::TooMuch(name) => return answers::takes_nothing(*name),
        };
        let answered = match (command.name, self.control) {
            (Name::Help, _) => Ok(answers::help()),
            (Name::Commands, _) => Ok(answers::commands()),
            (Name::Whoami, _) => Ok(answers::whoami(turn, sender)),
            // It stopped what there was when it came.
            (Name::Stop, _) => Ok(stopped(0)),
            (Name::Status, None) => Ok(answers::bare_status()),
            (name, None) => Ok(answers::no_sessions(name)),
            (_, Some(control)) => controlled(command, turn, control).await,
        };
        answered.unwrap_or_else(|e| {
            error!("the command /{} failed: {e}", command.name.word());
            FAILED.to_owned()
        })
    }
}

/// A command about sessions and models.
async fn controlled(
    command: &Command,
    turn: &Turn,
    control: &dyn SessionControl,
) -> Result<String, AgentError> {
    let words = command.words.as_str();
    Ok(match command.name {
        Name::New => {
            control.forget(turn).await?;
            both("新会话已开始", "New session started.")
        }
        Name::Reset => {
            control.forget(turn).await?;
            both("会话已重置", "Session reset.")
        }
        Name::Compact => match control.compact(turn, words).await? {
            Compacted::TooShort => {
                both("没有压缩：会话还很短", "Compaction skipped: the session is short.")
            }
            Compacted::NoGain => both(
                "没有压缩：摘要并不更短，会话保持原样",
                "Compaction failed: the summary was no shorter; nothing was changed.",
            ),
            Compacted::Done { before, after } => both(
                &format!("会话已压缩：{before} → {after} 字节"),
                &format!("Session compacted: {before} to {after} bytes."),
            ),
        },
        Name::Models => {
            answers::models(&control.models().await?, &control.status(turn).await?.model, words)
        }
        Name::Model => match words {
            "" => answers::model(&control.status(turn).await?.model),
            list if list.eq_ignore_ascii_case("list") => {
                answers::models(&control.models().await?, &control.status(turn).await?.model, "")
            }
            words => {
                let wanted = (!words.eq_ignore_ascii_case("default")).then_some(words);
                answers::choice(words, &control.choose(turn, wanted).await?)
            }
        },
        Name::Think => match level::<Think>(words) {
            Level::Now => answers::think(control.status(turn).await?.think),
            Level::Given(think) => {
                control.think(turn, think).await?;
                answers::think(think)
            }
            Level::Unknown => answers::levels::<Think>(Name::Think, words),
        },
        Name::Usage => match level::<UsageLine>(words) {
            Level::Now => answers::usage(&control.status(turn).await?),
            Level::Given(line) => {
                control.show_usage(turn, line).await?;
                answers::usage_line(line)
            }
            Level::Unknown => answers::levels::<UsageLine>(Name::Usage, words),
        },
        Name::Status => Lines::status(&control.status(turn).await?),
        Name::Help | Name::Commands | Name::Whoami | Name::Stop => String::new(),
    })
}

enum Level<T> {
    Now,
    Given(T),
    Unknown,
}

fn level<T: clap::ValueEnum>(words: &str) -> Level<T> {
    match (words, T::from_str(words, true)) {
        ("", _) => Level::Now,
        (_, Ok(level)) => Level::Given(level),
        (_, Err(_)) => Level::Unknown,
    }
}
