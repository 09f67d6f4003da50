//! Where a line that is too long may be cut.

use std::ops::Range;

use super::graphemes::Ends;

/// What a line is made of, and so what a cut should spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inline {
    /// Code: characters.
    Code,
    /// Words: addresses, too.
    Plain,
    /// Markdown: also links, pictures, code, tags and what is bold or struck out.
    Markdown,
}

/// The best place after `first` and not after `limit` to cut `text`: behind a blank or a mark of
/// punctuation in the last eighth of the room, else between any two characters there, else the same in
/// its last half; within what [`Inline`] names only if that fills half of the room. Looks at no more
/// than twice the room.
pub(super) fn place(text: &str, first: usize, limit: usize, inline: Inline) -> usize {
    let room = limit - first;
    let (near, half) = (first + room / 8 * 7, first + room / 2);
    let spans = spans(text, first, limit, inline);
    let mut spans = spans.iter().peekable();
    // Behind blanks and elsewhere: near to the limit, far from it, within a span.
    let (mut blanks, mut others) = ([None; 3], [None; 3]);
    let (mut ends, mut behind) = (Ends::default(), ' ');
    for (offset, c) in text[first..].char_indices() {
        let at = first + offset;
        // The character at the limit tells whether it ends one there.
        if at > limit {
            break;
        }
        let blank = behind.is_whitespace() || "。！？；，、：".contains(behind);
        behind = c;
        if !ends.before(c) || at < half {
            continue;
        }
        while spans.next_if(|span| span.end <= at).is_some() {}
        let within = spans.peek().is_some_and(|span| span.start < at);
        let kind = if within { 2 } else { usize::from(at < near) };
        (if blank { &mut blanks } else { &mut others })[kind] = Some(at);
    }
    let order = [blanks[0], others[0], blanks[1], others[1], blanks[2], others[2]];
    order.into_iter().flatten().next().unwrap_or(limit)
}

/// What should stay whole, in order, of what begins before `limit`.
fn spans(text: &str, first: usize, limit: usize, inline: Inline) -> Vec<Range<usize>> {
    let mut until = text.len().min(limit + (limit - first));
    while !text.is_char_boundary(until) {
        until -= 1;
    }
    let mut scan = Scan { text: &text[..until], found: Vec::new(), hopeless: Vec::new() };
    if inline != Inline::Code {
        scan.run(first, limit, inline == Inline::Markdown);
    }
    scan.found.sort_by_key(|span| span.start);
    // One within another says nothing more.
    let mut end = 0;
    scan.found.retain(|span| {
        span.end > end && {
            end = span.end;
            true
        }
    });
    scan.found
}

/// One walk along a text. What was looked for in vain is not looked for again, so that it takes time in
/// proportion to its length.
struct Scan<'a> {
    text: &'a str,
    found: Vec<Range<usize>>,
    /// What does not stand in the rest of the text.
    hopeless: Vec<String>,
}

impl Scan<'_> {
    fn run(&mut self, first: usize, limit: usize, markdown: bool) {
        let mut at = first;
        let mut brackets = Vec::new();
        // Where emphasis has begun.
        let (mut bold, mut struck) = (None, None);
        while let Some(c) = self.text[at..].chars().next().filter(|_| at < limit || markdown) {
            let rest = &self.text[at..];
            let next = at + c.len_utf8();
            at = match c {
                'h' if rest.starts_with("https://") || rest.starts_with("http://") => {
                    let stops =
                        |c: char| c.is_whitespace() || "<>\"'()[]，。、；！？（）".contains(c);
                    let end = at + rest.find(stops).unwrap_or(rest.len());
                    self.found.push(at..end);
                    end
                }
                _ if !markdown => next,
                '\\' => next + self.text[next..].chars().next().map_or(0, char::len_utf8),
                '`' => {
                    let marks = rest.len() - rest.trim_start_matches('`').len();
                    let behind = at + marks;
                    match self.find(behind, &rest[..marks]) {
                        Some(end) => {
                            self.found.push(at..end);
                            end
                        }
                        None => behind,
                    }
                }
                '<' if rest[1..].starts_with(|c: char| c == '/' || c.is_ascii_alphabetic()) => {
                    self.through(at, next, ">")
                }
                '[' => {
                    let picture = self.text[..at].ends_with('!');
                    brackets.push(at - usize::from(picture));
                    next
                }
                ']' => match brackets.pop() {
                    Some(open) if rest[1..].starts_with('(') => self.through(open, next, ")"),
                    _ => next,
                },
                '*' if rest.starts_with("**") => self.toggle(&mut bold, at),
                '~' if rest.starts_with("~~") => self.toggle(&mut struck, at),
                _ => next,
            };
        }
    }

    /// What has begun at `open` ends with the next `end`.
    fn through(&mut self, open: usize, from: usize, end: &str) -> usize {
        match self.find(from, end) {
            Some(end) => {
                self.found.push(open..end);
                end
            }
            None => from,
        }
    }

    fn toggle(&mut self, open: &mut Option<usize>, at: usize) -> usize {
        let end = at + 2;
        *open = match open.take() {
            Some(open) => {
                self.found.push(open..end);
                None
            }
            None => Some(at),
        };
        end
    }

    /// Behind the next `what`.
    fn find(&mut self, from: usize, what: &str) -> Option<usize> {
        if self.hopeless.iter().any(|hopeless| hopeless == what) {
            return None;
        }
        let found = self.text[from..].find(what);
        if found.is_none() {
            self.hopeless.push(what.to_owned());
        }
        found.map(|at| from + at + what.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts behind `text`'s `|`, which is where there is no more room.
    fn cut(text: &str, inline: Inline) -> (String, String) {
        let limit = text.find('|').unwrap();
        let text = text.replace('|', "");
        let at = place(&text, 0, limit, inline);
        (text[..at].to_owned(), text[at..].to_owned())
    }

    #[test]
    fn what_stays_whole_begins_the_next_part() {
        for (text, rest) in [
            (
                "some words and more [a page](https://e|xample.com/) end",
                "[a page](https://example.com/) end",
            ),
            ("some words and more ![a pic](@lADP|x) end", "![a pic](@lADPx) end"),
            ("some words and more https://exam|ple.com/a?b=c d", "https://example.com/a?b=c d"),
            ("some words and more words `let a = |1;` end", "`let a = 1;` end"),
            ("some words and more words **very |bold** end", "**very bold** end"),
            ("some words and more <font color=|red>red", "<font color=red>red"),
            ("没有空格的中文没有空格的中文[链接](https:|//x)", "[链接](https://x)"),
        ] {
            assert_eq!(cut(text, Inline::Markdown).1, rest);
        }
        let (before, _) = cut("some words and more https://exam|ple.com/a b", Inline::Plain);
        assert_eq!(before, "some words and more ");
        let (before, _) = cut("let url = \"https://exam|ple.com/a b", Inline::Code);
        assert_eq!(before, "let url = \"https://exam");
    }

    #[test]
    fn what_is_too_large_to_stay_whole_is_cut_all_the_same() {
        for text in [
            "**all of it is bold and |long**",
            "[a](https://x/aaaaaaaaaaaaaa|aaaaaaa)",
            "`|",
            "[[[[[[|[[",
        ] {
            let (before, rest) = cut(text, Inline::Markdown);
            assert_eq!(format!("{before}{rest}"), text.replace('|', ""));
            assert!(text.len() < 3 || !before.is_empty(), "{text}");
        }
    }

    #[test]
    fn no_character_is_cut() {
        // The limit is within each: after the first of its parts.
        for whole in ["e\u{301}", "👩‍👩‍👧", "👍🏽", "🇩🇪"] {
            let text = format!("{}{whole}", "字".repeat(40));
            let first = whole.chars().next().unwrap().len_utf8();
            assert_eq!(place(&text, 0, 120 + first, Inline::Plain), 120, "{whole}");
        }
    }
}
