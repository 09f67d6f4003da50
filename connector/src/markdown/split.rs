//! One text becomes parts that each fit.
//!
//! A part ends at the end of a paragraph, else of a line, of an outer one if it can, else where `cut`
//! says. Code that goes on is
//! closed and opened again in the same way; a table stays whole where it fits into a part of its own,
//! and else its header comes again.

use std::ops::Range;

use super::cut::{self, Inline};
use super::lines::{Before, Line, Mark, lines, margin};
use super::render::{GUARD, is_item};

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// As it is: nothing means anything.
    Plain,
    /// Markdown.
    Markdown,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What to send.
    pub text: String,
    /// The bytes of the source that it carries. Around them stands only what keeps code and tables
    /// whole; between two parts only white space is left out.
    pub source: Range<usize>,
}

/// The smallest budget, so that any fence fits with something in it.
pub const MIN_BUDGET: usize = 2_048;

/// Bytes of a text within a JSON string, escapes counted: what the limits of DingTalk are about.
pub fn weight(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

/// The [`weight`] of a text if that is at most `most`; looks no farther.
fn weight_within(text: &str, most: usize) -> Option<usize> {
    text.chars().map(of_char).try_fold(0, |sum, c| Some(sum + c).filter(|sum| *sum <= most))
}

#[cfg(test)]
thread_local! {
    /// Characters that were weighed by this thread.
    pub(super) static WEIGHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn of_char(c: char) -> usize {
    #[cfg(test)]
    WEIGHED.with(|count| count.set(count.get() + 1));
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// Bytes of the marks of quotes that come again; nobody means more.
pub(super) const MAX_MARKS: usize = 32;
/// Weight of a line feed.
const LINE_FEED: usize = 2;

/// Splits a text into parts of at most `budget` [`weight`] each ([`MIN_BUDGET`] at least). Markdown is
/// that of [`render`](super::render).
pub fn split(source: &str, budget: usize, syntax: Syntax) -> Vec<Part> {
    let budget = budget.max(MIN_BUDGET);
    if weight(source) <= budget {
        return vec![Part { text: source.to_owned(), source: 0..source.len() }];
    }
    let splitter = Splitter { source, lines: lines(source, syntax), budget, syntax };
    let mut parts = Vec::new();
    let mut at = splitter.skip_blank(Start { line: 0, byte: 0, prefix: String::new() });
    while at.line < splitter.lines.len() {
        let (part, next) = splitter.part(&at);
        parts.push(part);
        at = splitter.outdent(splitter.skip_blank(next));
    }
    if parts.is_empty() {
        // White space only: a message without words, as it was said.
        parts.push(Part { text: String::new(), source: 0..0 });
    }
    parts
}

struct Splitter<'a> {
    source: &'a str,
    lines: Vec<Line<'a>>,
    budget: usize,
    syntax: Syntax,
}

/// Where a part starts.
struct Start {
    line: usize,
    /// Within the line; 0 is its beginning.
    byte: usize,
    /// What comes again there.
    prefix: String,
}

/// Where a part ends: before this line, or within it.
struct End {
    line: usize,
    byte: usize,
}

/// An end that fits.
#[derive(Clone, Copy)]
struct Fit {
    line: usize,
    /// Weight of the part.
    fill: usize,
}

impl Splitter<'_> {
    /// Outside of code a part starts with something to be seen.
    fn skip_blank(&self, mut at: Start) -> Start {
        while let Some(line) = self.lines.get(at.line)
            && line.opener.is_none()
            && line.text[at.byte..].trim().is_empty()
        {
            at = Start { line: at.line + 1, byte: 0, prefix: String::new() };
        }
        at
    }

    /// The item of an inner list that stands first would be taken for code.
    fn outdent(&self, at: Start) -> Start {
        let Some(line) = self.lines.get(at.line) else { return at };
        let body = line.text.trim_start();
        let byte = line.text.len() - body.len();
        let indented = byte >= 4 || line.text.starts_with('\t');
        let words = self.syntax == Syntax::Markdown && line.opener.is_none();
        if words && at.byte == 0 && at.prefix.is_empty() && indented && is_item(body) {
            Start { byte, ..at }
        } else {
            at
        }
    }

    /// The part that starts at `at`, and where the next one does.
    fn part(&self, at: &Start) -> (Part, Start) {
        let end = self.end(at);
        let from = self.lines[at.line].start + at.byte;
        let next = self.start(&end);
        let to = match self.lines.get(end.line) {
            None => self.source.len(),
            Some(line) if end.byte > 0 => line.start + end.byte,
            Some(line) => line.start - 1,
        };
        let suffix = self.suffix(&end);
        let body = &self.source[from..to];
        let body = match self.syntax {
            _ if !suffix.is_empty() || end.byte > 0 => body,
            Syntax::Markdown => body.trim_end(),
            // The blanks at the end of its last line are somebody's.
            Syntax::Plain => {
                let words = body.trim_end().len();
                let line = body[words..].find('\n').map_or(body.len(), |end| words + end);
                &body[..line]
            }
        };
        let text = format!("{}{body}{suffix}", at.prefix);
        (Part { text, source: from..from + body.len() }, next)
    }

    fn end(&self, at: &Start) -> End {
        let mut used = weight(&at.prefix);
        let (mut block, mut outer, mut any) = (None, None, None);
        let mut over = at.line;
        for index in at.line..=self.lines.len() {
            over = index;
            if index > at.line {
                let fill = used + weight(&self.suffix(&End { line: index, byte: 0 }));
                if fill <= self.budget {
                    let fit = Fit { line: index, fill };
                    match self.lines.get(index).map(|line| line.before) {
                        None => return End { line: index, byte: 0 },
                        Some(Before::Never) => {}
                        Some(Before::Block) => {
                            (block, outer, any) = (Some(fit), Some(fit), Some(fit));
                        }
                        Some(Before::Line) if !self.is_indented(index) => {
                            (outer, any) = (Some(fit), Some(fit));
                        }
                        Some(_) => any = Some(fit),
                    }
                }
                used += LINE_FEED;
            }
            let Some(line) = self.lines.get(index) else { break };
            let skipped = if index == at.line { at.byte } else { 0 };
            let Some(left) = self.budget.checked_sub(used) else { break };
            let Some(line) = weight_within(&line.text[skipped..], left) else { break };
            used += line;
        }
        let enough = |fit: Fit| fit.fill >= self.budget / 4;
        if let Some(fit) = block
            && (enough(fit) || self.fits_alone(fit.line, |before| before == Before::Block))
        {
            return End { line: fit.line, byte: 0 };
        }
        if let Some(fit) = outer.filter(|fit| enough(*fit)) {
            return End { line: fit.line, byte: 0 };
        }
        if let Some(fit) = any
            && (enough(fit) || self.fits_alone(fit.line, |before| before != Before::Never))
        {
            return End { line: fit.line, byte: 0 };
        }
        self.cut(at, over)
    }

    fn is_indented(&self, index: usize) -> bool {
        self.syntax == Syntax::Markdown
            && self.lines.get(index).is_some_and(|line| line.text.starts_with([' ', '\t']))
    }

    /// Whether the lines from `first` to the next end of their kind fit into a part of their own.
    fn fits_alone(&self, first: usize, ends: impl Fn(Before) -> bool) -> bool {
        let mut used = weight(&self.start(&End { line: first, byte: 0 }).prefix);
        for (index, line) in self.lines.iter().enumerate().skip(first) {
            if index > first && ends(line.before) {
                return used + weight(&self.suffix(&End { line: index, byte: 0 })) <= self.budget;
            }
            let left = self.budget.checked_sub(used + LINE_FEED);
            let Some(line) = left.and_then(|left| weight_within(line.text, left)) else {
                return false;
            };
            used += line + LINE_FEED;
        }
        true
    }

    /// Ends a part within a line, of `over` or, if there is no room in that, of one before it.
    fn cut(&self, at: &Start, over: usize) -> End {
        let mut over = over.min(self.lines.len() - 1);
        let mut room = self.room(at, over);
        while over > at.line {
            let line = &self.lines[over];
            if line.opener == Some(over) {
                return End { line: over, byte: 0 };
            }
            if room > 0 && !line.closes {
                break;
            }
            over -= 1;
            room = self.room(at, over);
        }
        let text = self.lines[over].text;
        let first = if over == at.line { at.byte } else { 0 };
        let mut limit = first;
        for (offset, c) in text[first..].char_indices() {
            let next = first + offset + c.len_utf8();
            // If all of it fits but for what closes it, its last character goes on.
            let Some(left) = room.checked_sub(of_char(c)).filter(|_| next < text.len()) else {
                break;
            };
            (room, limit) = (left, next);
        }
        let inline = match self.syntax {
            Syntax::Markdown if self.lines[over].opener.is_some() => Inline::Code,
            Syntax::Markdown => Inline::Markdown,
            Syntax::Plain => Inline::Plain,
        };
        End { line: over, byte: cut::place(text, first, limit, inline) }
    }

    /// Weight that a piece of line `over` may have.
    fn room(&self, at: &Start, over: usize) -> usize {
        let before = (at.line..over).map(|index| {
            let skipped = if index == at.line { at.byte } else { 0 };
            weight(&self.lines[index].text[skipped..]) + LINE_FEED
        });
        let closing = self.lines[over].opener.map_or(0, |opener| weight(&self.closing(opener)));
        let around = weight(&at.prefix) + before.sum::<usize>() + closing + GUARD.len_utf8();
        self.budget.saturating_sub(around)
    }

    fn closing(&self, opener: usize) -> String {
        let closer = Mark::of(self.lines[opener].text).map(|mark| mark.closer());
        format!("\n{}", closer.unwrap_or_default())
    }

    /// What the end of a part needs.
    fn suffix(&self, end: &End) -> String {
        let Some(line) = self.lines.get(end.line) else { return String::new() };
        if end.byte == 0 {
            return match line.before {
                Before::Fence(opener) => self.closing(opener),
                // Only a cut that has no other way ends there.
                Before::Never => line.opener.map_or_else(String::new, |o| self.closing(o)),
                Before::Block | Before::Line | Before::Table(_) => String::new(),
            };
        }
        let Some(opener) = line.opener else { return String::new() };
        let fence = self.reads_as_fence(&line.text[..end.byte]);
        let guard = if fence { GUARD.to_string() } else { String::new() };
        guard + &self.closing(opener)
    }

    /// Where the next part starts.
    fn start(&self, end: &End) -> Start {
        let mut prefix = String::new();
        if let Some(line) = self.lines.get(end.line) {
            match (line.before, line.opener) {
                (Before::Table(header), _) if end.byte == 0 => prefix = self.head(header),
                (Before::Block, _) if end.byte == 0 => {}
                (_, Some(opener)) => {
                    prefix.push_str(self.lines[opener].text);
                    prefix.push('\n');
                }
                _ => {}
            }
            if end.byte > 0 && self.syntax == Syntax::Markdown {
                prefix.push_str(quote_marks(line.text, end.byte));
                if self.reads_as_fence(&line.text[end.byte..]) {
                    prefix.push(GUARD);
                }
            }
        }
        Start { line: end.line, byte: end.byte, prefix }
    }

    /// Whether a piece of a line could be taken for a fence. Blanks before it may fill a whole part, not
    /// more: what is behind them then stands in another one.
    fn reads_as_fence(&self, piece: &str) -> bool {
        let piece = beginning(piece, self.budget);
        let piece = &piece[margin(piece).len()..];
        piece.starts_with("```") || piece.starts_with("~~~")
    }

    /// The head of a table, unless it is so large that its repetition leaves too little room.
    fn head(&self, header: usize) -> String {
        let [header, delimiter] = [header, header + 1].map(|line| self.lines[line].text);
        let head = format!("{header}\n{delimiter}\n");
        if weight(&head) <= self.budget / 4 { head } else { String::new() }
    }
}

/// The marks of the quotes that a line stands in, which its rest stands in as well.
fn quote_marks(line: &str, cut: usize) -> &str {
    let marks = margin(beginning(line, MAX_MARKS + 1));
    if marks.contains('>') && marks.len() <= MAX_MARKS.min(cut) { marks } else { "" }
}

fn beginning(line: &str, mut bytes: usize) -> &str {
    bytes = bytes.min(line.len());
    while !line.is_char_boundary(bytes) {
        bytes -= 1;
    }
    &line[..bytes]
}
