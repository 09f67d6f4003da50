//! Titles of Markdown messages: the preview in the list of chats, mandatory and not shown in the
//! message.

use super::graphemes;
use super::lines::Mark;

/// Characters of a title, without its number.
const CHARS: usize = 20;
/// Characters of a line that are looked at.
const LOOK: usize = 400;
/// Where no word can be found.
const NAMELESS: &str = "消息";
const MARKS: [char; 9] = ['#', '*', '>', '-', '+', '`', '|', '_', '~'];

/// The title of a text: its first line with words, without marks.
pub fn of_text(text: &str) -> String {
    let lines = || {
        let lines = text.lines().filter(|line| Mark::of(line).is_none());
        lines.map(|line| {
            let words = without_links(graphemes::first(line, LOOK));
            short(words.trim_matches(|c: char| c.is_whitespace() || MARKS.contains(&c)))
        })
    };
    let with_words = lines().find(|line| line.chars().any(char::is_alphanumeric));
    // Such as a single emoji.
    let first = with_words.or_else(|| lines().find(|line| !line.is_empty()));
    first.unwrap_or_else(|| NAMELESS.to_owned())
}

/// The words of links, and nothing of pictures.
fn without_links(line: &str) -> String {
    let (mut words, mut rest) = (String::new(), line);
    while let Some((before, link)) = rest.split_once('[') {
        let inner = link.split_once("](");
        let inner = inner.and_then(|(label, tail)| Some((label, tail.split_once(')')?.1)));
        (words, rest) = match (inner, before.strip_suffix('!')) {
            (Some((_, behind)), Some(before)) => (words + before, behind),
            (Some((label, behind)), None) => (words + before + label, behind),
            (None, _) => (words + before + "[", link),
        };
    }
    words + rest
}

/// A title that an agent gave, fit to be one; that of the text if there is nothing in it.
pub fn tidy(title: &str, text: &str) -> String {
    let title = short(title);
    if title.is_empty() { of_text(text) } else { title }
}

/// The title of part `index` (from 1) of `count`.
pub fn numbered(title: &str, index: usize, count: usize) -> String {
    if count == 1 { title.to_owned() } else { format!("{title} ({index}/{count})") }
}

/// In one line, and short; without what turns its direction or is not seen.
fn short(line: &str) -> String {
    let visible = line.chars().filter(|c| !is_invisible(*c));
    let visible = visible.map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    graphemes::first(&words, CHARS).trim_end().to_owned()
}

fn is_invisible(c: char) -> bool {
    let joins = matches!(c, '\u{200c}' | '\u{200d}');
    let invisible = matches!(
        c,
        '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{61c}'
            | '\u{feff}'
    );
    invisible && !joins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_with_words() {
        for (text, expected) in [
            ("# Report\nbody", "Report"),
            ("\n\n> **quoted** words\n", "quoted** words"),
            ("```rust\nfn main() {}\n```", "fn main() {}"),
            ("---\n***\n你好，世界", "你好，世界"),
            ("a\u{1}\tb", "a b"),
            ("0123456789012345678901234", "01234567890123456789"),
            ("[A page](https://example.com/long) and ![pic](@m) more", "A page and more"),
            ("![pic](@m)\n[broken](x\nwords", "[broken](x"),
            ("🎉", "🎉"),
            ("a\u{202e}b\u{feff}\u{200b}", "ab"),
            ("0123456789012345678e\u{301}x", "0123456789012345678e\u{301}"),
            ("", NAMELESS),
            ("---", NAMELESS),
        ] {
            assert_eq!(of_text(text), expected);
        }
        assert_eq!(tidy(" My\ntitle ", "x"), "My title");
        assert_eq!(tidy("  ", "# x"), "x");
        assert_eq!(tidy("\u{200b}\u{202e}", "# x"), "x");
        assert_eq!((numbered("t", 1, 1), numbered("t", 2, 3)), ("t".into(), "t (2/3)".into()));
    }
}
