//! Markdown as DingTalk's clients show it.
//!
//! The documented subset has neither tables nor code blocks, yet clients show both. A table must have
//! an empty line before it and `:---:` below its header; a single line feed within a paragraph is lost
//! without two spaces before it (企业机器人发送消息的消息类型 advises so).

use super::lines::{Line, MAX_FENCE, Mark, lines};
use super::split::{Syntax, weight};

/// Takes no room and keeps a line from being read as a fence.
pub(super) const GUARD: char = '\u{200b}';

/// Makes a text show as it was meant: tables render, lines end where they did, and what opens a code
/// block is closed.
pub fn render(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + source.len() / 16);
    let guarded = guard(source);
    let lines = lines(&guarded, Syntax::Markdown);
    for (index, line) in lines.iter().enumerate() {
        let previous = index.checked_sub(1).map(|before| lines[before]);
        if index > 0 {
            out.push('\n');
        }
        if line.table && previous.is_some_and(|line| !line.is_blank()) {
            out.push('\n');
        }
        match previous {
            Some(header) if header.table => delimiter(line.text, &mut out),
            _ if line.closes => out.push_str(line.text.trim_end()),
            _ => out.push_str(line.text),
        }
        if lines.get(index + 1).is_some_and(|next| breaks(line, next)) {
            out.truncate(out.trim_end().len());
            out.push_str("  ");
        }
    }
    if let Some(last) = lines.last()
        && !last.closes
        && let Some(mark) = last.opener.and_then(|opener| Mark::of(lines[opener].text))
    {
        if !last.text.is_empty() {
            out.push('\n');
        }
        out.push_str(&mark.closer());
    }
    out
}

/// Whether both lines are plain words, so that the line feed between them would be lost.
fn breaks(line: &Line<'_>, next: &Line<'_>) -> bool {
    let words = |line: &Line<'_>| {
        let first = line.text.chars().next();
        let indented = first.is_none_or(char::is_whitespace);
        let mark = first.is_some_and(|c| "#>-*+|=_!<".contains(c) || c.is_ascii_digit());
        line.opener.is_none() && !line.table && !indented && !mark && !line.is_blank()
    };
    words(line) && words(next) && !line.text.ends_with('\\') && !line.text.contains('|')
}

/// The row below a header. Clients are known to show a table with `:---:` only.
fn delimiter(row: &str, out: &mut String) {
    let mut dashes = false;
    for c in row.chars() {
        match c {
            '-' if !dashes => {
                dashes = true;
                out.push_str(":---:");
            }
            '-' | ':' => {}
            c => {
                dashes = false;
                out.push(c);
            }
        }
    }
}

/// Lines that begin like a fence and are too long to be one get a guard.
fn guard(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let body = line.trim_start();
        let begins = body.starts_with("```") || body.starts_with("~~~");
        let kept = line.trim_end();
        if begins && weight(line) > MAX_FENCE {
            // Mere spaces behind it are no reason.
            if Mark::of(kept).is_some() && weight(kept) <= MAX_FENCE {
                out.push_str(kept);
                out.push_str(&line[line.trim_end_matches('\n').len()..]);
                continue;
            }
            out.push_str(&line[..line.len() - body.len()]);
            out.push(GUARD);
            out.push_str(body);
        } else {
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn a_table_gets_an_empty_line_and_its_alignment() {
        for (source, expected) in [
            ("a\n| x | y |\n|---|:--|\n| 1 | 2 |", "a\n\n| x | y |\n|:---:|:---:|\n| 1 | 2 |"),
            ("x | y\n--- | ---:\n1 | 2\n", "x | y\n:---: | :---:\n1 | 2\n"),
            // One cell of two is no table, and neither is what stands in code.
            ("| x | y |\n|---|\n", "| x | y |\n|---|\n"),
            ("```\nx|y\n-|-\n```", "```\nx|y\n-|-\n```"),
        ] {
            assert_eq!(render(source), expected);
            assert_eq!(render(expected), expected, "it stays");
        }
    }

    #[test]
    fn lines_of_a_paragraph_end_where_they_did() {
        assert_eq!(render("one\ntwo \n\nthree\n- a\n- b"), "one  \ntwo \n\nthree\n- a\n- b");
        assert_eq!(render("```\none\ntwo\n```"), "```\none\ntwo\n```");
    }

    #[test]
    fn what_opens_a_code_block_is_closed() {
        assert_eq!(render("a\n\n  ~~~~rust\nlet"), "a\n\n  ~~~~rust\nlet\n  ~~~~");
        assert_eq!(render("```"), "```\n```");
        assert_eq!(render("```\nx\n```   "), "```\nx\n```");
        let long = format!("```{}", "x".repeat(300));
        assert_eq!(render(&long), format!("\u{200b}{long}"));
    }
}
