//! Titles of Markdown messages: the preview in the list of chats, mandatory and not shown in the
//! message.

use super::lines::Mark;

/// Characters of a title, without its number.
const CHARS: usize = 20;
/// Where no word can be found.
const NAMELESS: &str = "消息";
const MARKS: [char; 9] = ['#', '*', '>', '-', '+', '`', '|', '_', '~'];

/// The title of a text: its first line with words, without marks.
pub fn of_text(text: &str) -> String {
    let lines = text.lines().filter(|line| Mark::of(line).is_none());
    let words =
        lines.map(|line| line.trim_matches(|c: char| c.is_whitespace() || MARKS.contains(&c)));
    let first = words.map(short).find(|line| line.chars().any(char::is_alphanumeric));
    first.unwrap_or_else(|| NAMELESS.to_owned())
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

/// In one line, and short.
fn short(line: &str) -> String {
    let visible = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(CHARS).collect::<String>().trim_end().to_owned()
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
            ("", NAMELESS),
            ("---", NAMELESS),
        ] {
            assert_eq!(of_text(text), expected);
        }
        assert_eq!(tidy(" My\ntitle ", "x"), "My title");
        assert_eq!(tidy("  ", "# x"), "x");
        assert_eq!((numbered("t", 1, 1), numbered("t", 2, 3)), ("t".into(), "t (2/3)".into()));
    }
}
