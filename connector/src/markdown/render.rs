//! Markdown as DingTalk's clients show it.
//!
//! The documented subset has neither tables nor code blocks, yet clients show both. A table must have
//! an empty line before it and `:---:` below its header; a single line feed within a paragraph is lost
//! without two spaces before it (企业机器人发送消息的消息类型 advises so).

use super::lines::{Before, Line, MAX_FENCE, Mark, lines, margin};
use super::split::{MAX_MARKS, Syntax, weight};

/// Takes no room and keeps a line from being read as a fence.
pub(super) const GUARD: char = '\u{200b}';

/// Makes a text show as it was meant: tables render, lines end where they did, and what opens a code
/// block is closed.
pub fn render(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + source.len() / 16);
    let guarded = guard(&source.replace("\r\n", "\n"));
    let lines = lines(&guarded, Syntax::Markdown);
    for (index, line) in lines.iter().enumerate() {
        let previous = index.checked_sub(1).map(|before| lines[before]);
        if index > 0 {
            out.push('\n');
        }
        // The quote that code stands in has ended, and the code with it.
        if let Some(opener) = previous.filter(|line| !line.closes).and_then(|line| line.opener)
            && line.opener != Some(opener)
            && let Some(mark) = Mark::of(lines[opener].text)
        {
            out.push_str(&mark.closer());
            out.push('\n');
        }
        let begins = line.table && previous.is_some_and(|line| !line.is_blank());
        if begins || index > 1 && ends_table(&lines[index - 2], &lines[index - 1], line) {
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

/// Whether `line` is no row and follows the table of the two lines before it; clients would take it for
/// one of its rows.
fn ends_table(second_last: &Line<'_>, last: &Line<'_>, line: &Line<'_>) -> bool {
    let in_table = |line: &Line<'_>| matches!(line.before, Before::Table(_));
    let behind = second_last.table || in_table(last);
    behind && !line.is_blank() && !line.table && !in_table(line) && line.before != Before::Never
}

/// What a line is, as far as it matters to where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Words; indented by fewer than four columns or not.
    Words { shallow: bool },
    /// Words behind the mark of a list.
    Item,
    /// Words in a quote.
    Quote,
    /// Nothing that could be joined with the next line, or that a line break would do harm to.
    Other,
}

fn shape(text: &str) -> Shape {
    let body = text.trim_start();
    if let Some(quoted) = body.strip_prefix('>') {
        return match shape(quoted) {
            Shape::Other => Shape::Other,
            _ => Shape::Quote,
        };
    }
    let headed = body.trim_start_matches('#');
    let heading =
        headed.len() < body.len() && headed.chars().next().is_none_or(char::is_whitespace);
    let rule = |c: char| "-*_=".contains(c) || c.is_whitespace();
    let picture_or_tag = body.starts_with("![") || body.starts_with('<');
    if heading || body.chars().all(rule) || picture_or_tag || body.contains('|') {
        Shape::Other
    } else if is_item(body) {
        Shape::Item
    } else {
        let indent = &text[..text.len() - body.len()];
        Shape::Words { shallow: indent.len() < 4 && !indent.contains('\t') }
    }
}

/// Whether a line begins with the mark of a list.
pub(super) fn is_item(body: &str) -> bool {
    let digits = body.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = match body.len() - digits.len() {
        0 => body.strip_prefix(['-', '*', '+']),
        1..=9 => digits.strip_prefix(['.', ')']),
        _ => None,
    };
    rest.is_some_and(|rest| rest.starts_with([' ', '\t']))
}

/// Whether the line feed between two lines would be lost.
fn breaks(line: &Line<'_>, next: &Line<'_>) -> bool {
    if line.opener.is_some() || next.opener.is_some() || line.table || next.table {
        return false;
    }
    let joined = match (shape(line.text), shape(next.text)) {
        (Shape::Words { shallow }, Shape::Words { .. }) => shallow,
        (Shape::Item, Shape::Words { .. }) | (Shape::Quote, Shape::Words { .. }) => true,
        (Shape::Quote, Shape::Quote) => {
            let within = next.text.trim_start().trim_start_matches(['>', ' ']);
            !is_item(within)
        }
        _ => false,
    };
    joined && !line.text.ends_with('\\')
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

/// Lines that begin like a fence and are too long to be one get a guard, and so do lines behind more
/// marks of quotes and blanks than anybody means: a part could end among them.
fn guard(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let margin = margin(line);
        if margin.len() > MAX_MARKS && margin.contains('>') {
            out.push(GUARD);
            out.push_str(line);
            continue;
        }
        let body = &line[margin.len()..];
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
            // What follows it is none of its rows.
            ("a|b\n-|-\n1|2\nwords", "a|b\n:---:|:---:\n1|2\n\nwords"),
            ("a|b\n-|-\nwords", "a|b\n:---:|:---:\n\nwords"),
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
    fn lines_end_whatever_they_begin_with() {
        for (source, expected) in [
            ("**Name:** Ada\n**Age:** 3\n_end_", "**Name:** Ada  \n**Age:** 3  \n_end_"),
            ("3 apples\n4 pears\n-5 degrees", "3 apples  \n4 pears  \n-5 degrees"),
            ("2026-01-01 x\n#tag\n=x", "2026-01-01 x  \n#tag  \n=x"),
            ("- item\n  more\n- next\nmore", "- item  \n  more\n- next  \nmore"),
            ("1. item\nmore", "1. item  \nmore"),
            ("> one\n> two\n>\n> - a\n> - b", "> one  \n> two\n>\n> - a\n> - b"),
            ("one\r\ntwo\r\n\r\nthree", "one  \ntwo\n\nthree"),
            // These are no words.
            ("# head\nwords\n---\nwords\n***", "# head\nwords\n---\nwords\n***"),
            ("words\n===\n| a row\n<b>\n![a](b)\nc", "words\n===\n| a row\n<b>\n![a](b)\nc"),
            ("    code\n    code", "    code\n    code"),
        ] {
            assert_eq!(render(source), expected);
            assert_eq!(render(expected), expected, "it stays");
        }
    }

    #[test]
    fn code_in_a_quote_is_closed_in_the_quote() {
        assert_eq!(render("> ```\n> a\n> b"), "> ```\n> a\n> b\n> ```");
        let left = "> ```\n> a\nwords\nwords";
        assert_eq!(render(left), "> ```\n> a\n> ```\nwords  \nwords");
        let within = "```\n> ```\nx\n```\none";
        assert_eq!(render(within), within);
    }

    #[test]
    fn a_quote_that_nobody_means_is_none() {
        let source = format!("> ```\n>\n{}> x", " ".repeat(40));
        let expected = format!("> ```\n>\n> ```\n\u{200b}{}> x", " ".repeat(40));
        assert_eq!(render(&source), expected);
        assert_eq!(render(&expected), expected, "it stays");
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
