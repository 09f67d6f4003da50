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

    /// Its name, and what else it is called: in OpenClaw, and in Chinese.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Help => &["help", "帮助"],
            Self::Commands => &["commands", "命令"],
            Self::Status => &["status", "状态"],
            Self::Whoami => &["whoami", "id", "我是谁"],
            Self::New => &["new", "新会话"],
            Self::Reset => &["reset", "重置"],
            Self::Compact => &["compact", "压缩"],
            Self::Stop => &["stop", "停止"],
            Self::Models => &["models", "模型列表"],
            Self::Model => &["model", "模型"],
            Self::Think => &["think", "thinking", "t", "思考"],
            Self::Usage => &["usage", "用量"],
        }
    }

    /// Whether something may stand behind it.
    fn takes_words(self) -> bool {
        matches!(self, Self::Compact | Self::Models | Self::Model | Self::Think | Self::Usage)
    }
}

/// Reads a message. In groups a leading mention is passed over. What comes with files of its own is more
/// than a command; those of a quote stand nowhere in its words.
pub(super) fn parse(turn: &Turn) -> Option<Parsed> {
    // What is copied from a page may bring marks without a width.
    let blank = |c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    let mut text = turn.text.trim_matches(blank);
    if !turn.attachments.is_empty() && (turn.quote.is_none() || has_mark(text)) {
        return None;
    }
    if turn.conversation_type == ConversationType::Group {
        while let Some(mention) = text.strip_prefix('@') {
            text = mention.split_once(char::is_whitespace)?.1.trim_start_matches(blank);
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

/// Whether the first file stood among these words.
fn has_mark(text: &str) -> bool {
    text.split('[').skip(1).any(|mark| {
        let number = ["picture ", "audio ", "video ", "file "]
            .iter()
            .find_map(|kind| mark.strip_prefix(kind));
        number.is_some_and(|number| number.starts_with("1]") || number.starts_with("1: "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Attachment, AttachmentKind, Quoted};
    use crate::protocol::Media;

    fn turn(text: &str, conversation_type: ConversationType) -> Turn {
        Turn { conversation_type, ..Turn::of_words(text) }
    }

    fn parsed(text: &str, conversation_type: ConversationType) -> Option<Parsed> {
        parse(&turn(text, conversation_type))
    }

    fn command(name: Name, words: &str) -> Parsed {
        Parsed::Command(Command { name, words: words.to_owned() })
    }

    #[test]
    fn a_command_is_a_whole_message() {
        for (text, expected) in [
            ("/new", Some(command(Name::New, ""))),
            (" /NEW \n", Some(command(Name::New, ""))),
            ("／stop\u{3000}\n", Some(command(Name::Stop, ""))),
            ("\u{feff}/stop\u{200b}", Some(command(Name::Stop, ""))),
            ("/停止", Some(command(Name::Stop, ""))),
            ("／模型 qwen", Some(command(Name::Model, "qwen"))),
            ("/模型列表", Some(command(Name::Models, ""))),
            ("\"/stop\"", None),
            ("> /stop", None),
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
    fn files_of_a_quote_do_not_matter_and_others_do() {
        let turn = |text: &str, quoting: bool| {
            let kind = AttachmentKind::Picture;
            let quote = Quoted {
                msg_id: None,
                process_query_key: None,
                sender_nick: None,
                text: "[picture 1]".to_owned(),
                quote: None,
            };
            Turn {
                attachments: vec![Attachment { kind, media: Media::default(), file: None }],
                quote: quoting.then_some(quote),
                ..turn(text, ConversationType::Direct)
            }
        };
        assert_eq!(parse(&turn("/stop", true)), Some(command(Name::Stop, "")));
        assert_eq!(parse(&turn("/compact [picture 1]", true)), None);
        assert_eq!(parse(&turn("/compact [file 1: a.txt]", true)), None);
        assert_eq!(parse(&turn("/compact [1]", true)), Some(command(Name::Compact, "[1]")));
        assert_eq!(parse(&turn("/stop", false)), None);
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
