//! Lines of a Markdown text, and what each of them belongs to.

use super::split::{Syntax, weight};

/// Weight of the longest line that may open or close a code block; a longer one would leave no room
/// beside it. [`render`](super::render) makes sure that no client takes one for a fence either.
pub(super) const MAX_FENCE: usize = 256;

/// What may be done before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// A paragraph, a code block or a table begins or has ended.
    Block,
    /// A line ends.
    Line,
    /// The line is code; line `.0` has opened it.
    Fence(usize),
    /// The line is a row of the table that line `.0` is the header of.
    Table(usize),
    /// What is before it means nothing without it.
    Never,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Where it starts, in bytes.
    pub(super) start: usize,
    /// Without its line feed.
    pub(super) text: &'a str,
    pub(super) before: Before,
    /// The line is inside of a code block, which this line has opened: the end of a part closes it.
    pub(super) opener: Option<usize>,
    /// The line that closes a code block.
    pub(super) closes: bool,
    /// A table begins here.
    pub(super) table: bool,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// What stands before the words of a line: blanks, and the marks of quotes.
pub(super) fn margin(line: &str) -> &str {
    let body = line.trim_start_matches(|c: char| c == '>' || c.is_whitespace());
    &line[..line.len() - body.len()]
}

/// Quotes around a line.
fn depth(line: &str) -> usize {
    margin(line).matches('>').count()
}

/// The mark of a fence: its characters and how many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    margin: &'a str,
    character: char,
    count: usize,
    /// Nothing follows the mark.
    bare: bool,
}

impl<'a> Mark<'a> {
    /// Reads a line that opens a code block, or would close one. How far it is indented does not
    /// matter: within a list anything is right. It may stand in a quote.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let margin = margin(line);
        let body = &line[margin.len()..];
        let character = body.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = body.trim_start_matches(character);
        let count = body.len() - info.len();
        if count < 3 || (character == '`' && info.contains('`')) {
            return None;
        }
        Some(Self { margin, character, count, bare: info.trim().is_empty() })
    }

    /// Whether `line` ends what this one opened.
    pub(super) fn is_closed_by(&self, line: &str) -> bool {
        Mark::of(line).is_some_and(|mark| {
            mark.bare
                && mark.character == self.character
                && mark.count >= self.count
                && depth(line) == depth(self.margin)
        })
    }

    /// Whether `line` is no longer in the quote that this one stands in, which ends the code as well.
    fn is_left_by(&self, line: &str) -> bool {
        depth(line) < depth(self.margin)
    }

    /// The line that ends what this one opened.
    pub(super) fn closer(&self) -> String {
        let marks = std::iter::repeat_n(self.character, self.count);
        self.margin.chars().chain(marks).collect()
    }
}

/// Cells of a row of a table.
fn cells(row: &str) -> usize {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let row = row.strip_suffix('|').unwrap_or(row);
    let mut escaped = false;
    let bars = row.chars().filter(|&c| {
        let bar = c == '|' && !escaped;
        escaped = c == '\\' && !escaped;
        bar
    });
    bars.count() + 1
}

/// Whether a line is what stands below the header of a table, such as `|---|:-:|`.
fn is_delimiter(line: &str) -> bool {
    let line = line.trim();
    let inner = line.strip_prefix('|').unwrap_or(line);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    line.contains('|')
        && inner.split('|').all(|cell| {
            let cell = cell.trim();
            let cell = cell.strip_prefix(':').unwrap_or(cell);
            let cell = cell.strip_suffix(':').unwrap_or(cell);
            !cell.is_empty() && cell.bytes().all(|b| b == b'-')
        })
}

/// Whether two lines are the head of a table.
pub(super) fn is_table(header: &str, delimiter: &str) -> bool {
    header.contains('|') && is_delimiter(delimiter) && cells(header) == cells(delimiter)
}

/// Whether a line can be a row below a head.
fn is_row(line: &str) -> bool {
    line.contains('|') && Mark::of(line).is_none()
}

/// Reads a text.
pub(super) fn lines(source: &str, syntax: Syntax) -> Vec<Line<'_>> {
    let mut start = 0;
    let texts: Vec<(usize, &str)> = source
        .split('\n')
        .map(|text| {
            let at = start;
            start += text.len() + 1;
            (at, text)
        })
        .collect();
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(texts.len());
    let mut fence: Option<(usize, Mark<'_>)> = None;
    let mut table: Option<usize> = None;
    // A block has ended just before.
    let mut ended = true;
    for (index, &(start, text)) in texts.iter().enumerate() {
        let blank = text.trim().is_empty();
        if fence.is_some_and(|(_, mark)| mark.is_left_by(text)) {
            (fence, ended) = (None, true);
        }
        let plain =
            |before| Line { start, text, before, opener: None, closes: false, table: false };
        let line = if syntax == Syntax::Plain {
            plain(if blank || ended { Before::Block } else { Before::Line })
        } else if let Some((opener, mark)) = fence {
            let closes = weight(text) <= MAX_FENCE && mark.is_closed_by(text);
            if closes {
                fence = None;
            }
            // Neither a block without a line nor one that only ends.
            let never = closes || index == opener + 1;
            let before = if never { Before::Never } else { Before::Fence(opener) };
            Line { opener: Some(opener), closes, ..plain(before) }
        } else if let Some(mark) = Mark::of(text).filter(|_| weight(text) <= MAX_FENCE) {
            table = None;
            fence = Some((index, mark));
            Line { opener: Some(index), ..plain(Before::Block) }
        } else if let Some(header) = table.filter(|header| index == header + 1 || is_row(text)) {
            plain(if index == header + 1 { Before::Never } else { Before::Table(header) })
        } else if texts.get(index + 1).is_some_and(|(_, next)| is_table(text, next)) {
            table = Some(index);
            Line { table: true, ..plain(Before::Block) }
        } else {
            let after_table = table.take().is_some();
            let block = blank || ended || after_table || text.starts_with('#');
            plain(if block { Before::Block } else { Before::Line })
        };
        ended = blank && fence.is_none() || line.closes;
        lines.push(line);
    }
    lines
}
