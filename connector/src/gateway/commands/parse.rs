//! Is a message a command? Pure.

use crate::agent::Turn;
use crate::protocol::ConversationType;

/// A command, by its first name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Help,
    Commands,
    Status,
    Whoami,
    New,
    Reset,
    Compact,
    Stop,
    Models,
    Model,
    Think,
    Usage,
}

/// A command as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) name: Name,
    /// What stands behind the name.
    pub(super) words: String,
}

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    Command(Command),
    /// A command that takes nothing, with something behind it.
    TooMuch(Name),
}

impl Name {
    pub(super) const ALL: [Self; 12] = [
        Self::Help,
        Self::Commands,
        Self::Status,
        Self::Whoami,
        Self::New,
        Self::Reset,
        Self::Compact,
        Self::Stop,
        Self::Models,
        Self::Model,
        Self::Think,
        Self::Usage,
    ];

    pub(super) fn word(self) -> &'static str {
        self.words()[0]
    }

    /// Its name, and what else it is called; the aliases are OpenClaw's.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Help => &["help"],
            Self::Commands => &["commands"],
            Self::Status => &["status"],
            Self::Whoami => &["whoami", "id"],
            Self::New => &["new"],
            Self::Reset => &["reset"],
            Self::Compact => &["compact"],
            Self::Stop => &["stop"],
            Self::Models => &["models"],
            Self::Model => &["model"],
            Self::Think => &["think", "thinking", "t"],
            Self::Usage => &["usage"],
        }
    }

    /// Whether something may stand behind it.
    fn takes_words(self) -> bool {
        matches!(self, Self::Compact | Self::Model | Self::Think | Self::Usage)
    }
}

/// Reads a message. In groups a leading mention is passed over.
pub(super) fn parse(turn: &Turn) -> Option<Parsed> {
    let mut text = turn.text.trim();
    if turn.conversation_type == ConversationType::Group {
        while let Some(mention) = text.strip_prefix('@') {
            text = mention.split_once(char::is_whitespace)?.1.trim_start();
        }
    }
    // Chinese keyboards write the wide forms.
    let text = text.strip_prefix(['/', '／'])?;
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ':' | '：'));
    let (word, words) = text.split_at(end.unwrap_or(text.len()));
    let known = |name: &Name| name.words().iter().any(|known| known.eq_ignore_ascii_case(word));
    let name = Name::ALL.into_iter().find(known)?;
    let words = words.trim_start_matches([':', '：']).trim();
    Some(if words.is_empty() || name.takes_words() {
        Parsed::Command(Command { name, words: words.to_owned() })
    } else {
        Parsed::TooMuch(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ConversationId;

    fn parsed(text: &str, conversation_type: ConversationType) -> Option<Parsed> {
        parse(&Turn {
            msg_id: None,
            command_authorized: true,
            conversation_id: ConversationId::new("cid"),
            conversation_type,
            conversation_title: None,
            sender_staff_id: None,
            sender_nick: None,
            text: text.to_owned(),
            has_words: true,
            attachments: Vec::new(),
            quote: None,
        })
    }

    fn command(name: Name, words: &str) -> Parsed {
        Parsed::Command(Command { name, words: words.to_owned() })
    }

    #[test]
    fn a_command_is_a_whole_message() {
        for (text, expected) in [
            ("/new", Some(command(Name::New, ""))),
            (" /NEW \n", Some(command(Name::New, ""))),
            ("／stop", Some(command(Name::Stop, ""))),
            ("/id", Some(command(Name::Whoami, ""))),
            ("/t high", Some(command(Name::Think, "high"))),
            ("/think: high", Some(command(Name::Think, "high"))),
            ("/model：a/b c", Some(command(Name::Model, "a/b c"))),
            (
                "/compact keep the numbers\nall",
                Some(command(Name::Compact, "keep the numbers\nall")),
            ),
            ("/new please", Some(Parsed::TooMuch(Name::New))),
            ("/unknowncmd abc", None),
            ("/news", None),
            ("/help/me", None),
            ("/", None),
            ("", None),
            ("please /stop", None),
            ("@robot /stop", None),
        ] {
            assert_eq!(parsed(text, ConversationType::Direct), expected, "{text:?}");
        }
    }

    #[test]
    fn in_groups_the_mention_is_passed_over() {
        for text in ["@robot /stop", " @robot\u{2005}/stop", "@a @b /stop", "/stop"] {
            let expected = Some(command(Name::Stop, ""));
            assert_eq!(parsed(text, ConversationType::Group), expected, "{text:?}");
        }
        for text in ["@robot", "@robot hi /stop", "@/stop"] {
            assert_eq!(parsed(text, ConversationType::Group), None, "{text:?}");
        }
    }
}
