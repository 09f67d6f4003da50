//! What holds for any Markdown.

use proptest::prelude::*;

use super::{MIN_BUDGET, Part, Syntax, render, split, weight};

/// Blocks that do harm when they are put beside each other.
fn block() -> impl Strategy<Value = String> {
    let line = || prop_oneof!["[ -~]{0,80}", "[你好，。 a`~|]{0,120}", "\\PC{0,40}"];
    let lines = |most| prop::collection::vec(line(), 0..most).prop_map(|lines| lines.join("\n"));
    let info = "(|rust|c\\+\\+ {1,3}title=x| `|x{240,270})";
    let fence = ("[ \t]{0,6}", "(`{3,9}|~{3,9})", info, lines(60), any::<bool>()).prop_map(
        |(indent, mark, info, body, closed)| {
            let end = if closed { format!("\n{indent}{mark}   ") } else { String::new() };
            format!("{indent}{mark}{info}\n{body}{end}")
        },
    );
    let table = (1..6_usize, 0..60_usize, 1..40_usize).prop_map(|(columns, rows, width)| {
        let row = |cell: &str| format!("|{}", format!("{cell}|").repeat(columns));
        let rows = (0..rows).map(|n| row(&format!("{n} {}", "字".repeat(width))));
        let head = [row("head"), row("---")];
        head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    });
    let long = ("(`|~|a|\"|\u{1}|好|😀|\\| ?| |```x|\n)", 1..6_000_usize)
        .prop_map(|(piece, times)| piece.repeat(times));
    let list = prop::collection::vec(("(  |    |\t){0,3}([-*+]|[0-9]{1,3}[.])", line()), 0..60)
        .prop_map(|items| {
            items
                .into_iter()
                .flat_map(|(mark, words)| [mark, " ".to_owned(), words, "\n".to_owned()])
                .collect()
        });
    let inline =
        ("(\\[a b\\]\\(https://x/|\\*\\*|`|<a |!\\[|\\]\\(|\\)|👩‍👩‍👧|e\u{301}| )", 1..4_000_usize)
            .prop_map(|(piece, times)| piece.repeat(times));
    let unquoted = prop_oneof![
        4 => lines(40), 3 => fence, 2 => table, 2 => long, 2 => list, 2 => inline, 1 => "[\n ]{0,9}"
    ];
    ("(> ?){0,2}", unquoted.boxed()).prop_map(|(marks, block)| {
        let quoted = block.split('\n').map(|line| format!("{marks}{line}"));
        quoted.collect::<Vec<_>>().join("\n")
    })
}

fn markdown() -> impl Strategy<Value = String> {
    let separator = prop_oneof![Just("\n"), Just("\n\n"), Just("")];
    prop::collection::vec((block(), separator), 0..9)
        .prop_map(|blocks| blocks.into_iter().flat_map(|(a, b)| [a, b.to_owned()]).collect())
}

/// Whether all that opens code is closed, however far it is indented, by itself or by the end of the
/// quote that it stands in.
fn is_balanced(text: &str) -> bool {
    let mut open: Option<(char, usize, usize)> = None;
    for line in text.split('\n') {
        let body = line.trim_start_matches(|c: char| c == '>' || c.is_whitespace()).trim_end();
        let margin = line.chars().take_while(|c| *c == '>' || c.is_whitespace());
        let depth = margin.filter(|c| *c == '>').count();
        if open.is_some_and(|(_, _, opened)| depth < opened) {
            open = None;
        }
        for mark in ['`', '~'] {
            let count = body.chars().take_while(|c| *c == mark).count();
            let rest = &body[count..];
            if count < 3 {
                continue;
            }
            match open {
                Some((opened, at_least, within)) => {
                    let closes = opened == mark && count >= at_least && rest.is_empty();
                    if closes && depth == within {
                        open = None;
                    }
                }
                None if mark == '`' && rest.contains('`') => {}
                None => open = Some((mark, count, depth)),
            }
        }
    }
    open.is_none()
}

fn check(source: &str, budget: usize, syntax: Syntax) -> Result<Vec<Part>, TestCaseError> {
    let parts = split(source, budget, syntax);
    let mut end = 0;
    for part in &parts {
        prop_assert!(weight(&part.text) <= budget, "{} of {budget}", weight(&part.text));
        let gap = source.get(end..part.source.start);
        prop_assert!(gap.is_some_and(|gap| gap.trim().is_empty()), "{gap:?} is lost");
        end = part.source.end;
        // What it carries stands in it whole; around it only what keeps blocks whole.
        let carried = source.get(part.source.clone()).expect("whole characters");
        let (before, after) = part.text.split_once(carried).expect("it carries its source");
        let added = before.len() + after.len();
        prop_assert!(added == 0 || syntax == Syntax::Markdown && weight(before) <= budget / 2);
    }
    prop_assert!(source[end..].trim().is_empty(), "the end is lost");
    Ok(parts)
}

/// 400 cases, or more by `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(400), ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn parts_carry_the_same_text_in_order_whole_and_within_the_limit(
        source in markdown(),
        budget in MIN_BUDGET..16_000_usize,
    ) {
        let rendered = render(&source);
        prop_assert!(is_balanced(&rendered), "{rendered}");
        for part in check(&rendered, budget, Syntax::Markdown)? {
            prop_assert!(is_balanced(&part.text), "{}", part.text);
        }
        check(&source, budget, Syntax::Plain)?;
    }

    #[test]
    fn rendering_changes_no_word_and_is_done_once(source in markdown()) {
        let rendered = render(&source);
        // Everything but white space, fences that were missing, and dashes below a header.
        let words = |text: &str| {
            let kept = |c: &char| c.is_alphanumeric() || "\"'(),.;!?<".contains(*c);
            text.chars().filter(kept).collect::<String>()
        };
        prop_assert_eq!(words(&source), words(&rendered));
        prop_assert_eq!(render(&rendered), rendered);
    }

    #[test]
    fn the_weight_is_that_within_json(text in any::<String>()) {
        let json = serde_json::to_string(&text).expect("a string");
        prop_assert_eq!(weight(&text), json.len() - 2);
    }
}

#[test]
fn a_long_code_block_goes_on_in_the_next_part() {
    let code: Vec<_> = (0..300).map(|n| format!("let line_{n} = \"{n}\";")).collect();
    let source = format!("before\n\n```rust\n{}\n```\nafter", code.join("\n"));
    let parts = split(&source, MIN_BUDGET, Syntax::Markdown);
    let mut lines = Vec::new();
    for part in &parts {
        let (_, code) = part.text.split_once("```rust\n").expect("opened");
        let (code, _) = code.rsplit_once("\n```").expect("closed");
        lines.extend(code.lines());
    }
    assert_eq!(lines, code);
    assert!(parts[0].text.starts_with("before") && parts.last().unwrap().text.ends_with("after"));
}

#[test]
fn quoted_code_goes_on_in_its_quote() {
    let code: Vec<_> = (0..300).map(|n| format!("> let line_{n} = \"{n}\";")).collect();
    let source = format!("> ```rust\n{}\n> ```\nafter", code.join("\n"));
    let parts = split(&source, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.len() > 2);
    let mut lines = Vec::new();
    for part in &parts {
        let code = part.text.strip_prefix("> ```rust\n").expect("opened");
        let (code, _) = code.rsplit_once("\n> ```").expect("closed");
        lines.extend(code.lines());
    }
    assert_eq!(lines, code);
}

#[test]
fn a_link_stays_whole_and_a_long_quote_a_quote() {
    let link = "[some words](https://example.com/a_page?of=a_long_address) ";
    let parts = split(&link.repeat(200), MIN_BUDGET, Syntax::Markdown);
    let links: usize = parts.iter().map(|part| part.text.matches(link.trim_end()).count()).sum();
    assert_eq!(links, 200, "{parts:?}");
    let quote = format!("> > {}", "words ".repeat(1_000));
    let parts = split(&quote, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.len() > 2 && parts.iter().all(|part| part.text.starts_with("> > words")));
}

#[test]
fn a_part_begins_with_an_item_of_the_outer_list_or_with_one_that_is_no_code() {
    let inner = format!("    - {}\n", "inner ".repeat(6)).repeat(4);
    let list = format!("- outer\n{inner}").repeat(40);
    let parts = split(&list, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.len() > 2 && parts.iter().all(|part| part.text.starts_with("- outer")));
    let inner = format!("- outer\n{}", inner.repeat(40));
    let parts = split(&inner, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.len() > 2 && parts.iter().all(|part| part.text.starts_with("- ")), "{parts:?}");
}

#[test]
fn blanks_at_the_end_of_a_part_of_plain_text_are_kept() {
    let text = "a line of words   \n".repeat(500);
    let parts = split(&text, MIN_BUDGET, Syntax::Plain);
    assert!(parts.len() > 2 && parts.iter().all(|part| part.text.ends_with("words   ")));
}

#[test]
fn a_table_stays_whole_or_gets_its_header_again() {
    let table = |rows: usize| {
        let rows: Vec<_> = (0..rows).map(|n| format!("| {n} | value {n} |")).collect();
        format!("| n | value |\n|:---:|:---:|\n{}", rows.join("\n"))
    };
    let small = table(60);
    let source = format!("{}\n\n{small}\n\nend", "word ".repeat(300));
    let parts = split(&source, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.iter().any(|part| part.text.contains(&small)), "{parts:?}");

    let large = table(300);
    let parts = split(&large, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.len() > 2);
    let mut rows = Vec::new();
    for part in &parts {
        let body = part.text.strip_prefix("| n | value |\n|:---:|:---:|\n").expect("a header");
        rows.extend(body.lines());
    }
    assert_eq!(rows, large.lines().skip(2).collect::<Vec<_>>());
}

#[test]
fn a_part_ends_at_a_paragraph_then_at_a_line_then_at_a_character() {
    let paragraph = "a line of words\n".repeat(50);
    let source = format!("{paragraph}\n{paragraph}\n{paragraph}\n{paragraph}");
    let parts = split(&source, MIN_BUDGET, Syntax::Markdown);
    assert!(parts.iter().all(|part| part.text.lines().count() % 50 <= 1), "{parts:?}");
    let lines = "a line of words\n".repeat(500);
    let parts = split(&lines, MIN_BUDGET, Syntax::Plain);
    assert!(parts.iter().all(|part| part.text.ends_with("words")), "{parts:?}");
    let one = "你".repeat(2_000);
    let parts = split(&one, MIN_BUDGET, Syntax::Plain);
    assert_eq!(parts.len(), 3);
    assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<String>(), one);
}

#[test]
fn splitting_takes_time_in_proportion_to_the_text() {
    for piece in
        ["word ", "[", "> ", "字", "a\n", "- a\n    - b\n", "a|b\n-|-\n", "```\nx\n", "\u{1}"]
    {
        let steps = |size: usize| {
            let text = render(&piece.repeat(size / piece.len()));
            super::split::WEIGHED.set(0);
            let parts = split(&text, 14_000, Syntax::Markdown);
            assert!(parts.len() > 1);
            super::split::WEIGHED.get() / text.len().div_ceil(1_000)
        };
        let (small, large) = (steps(100_000), steps(800_000));
        assert!(large <= small * 2, "{piece:?}: {small}, {large} for each 1,000 bytes");
    }
}

#[test]
fn a_fence_behind_many_blanks_of_a_cut_line_opens_nothing() {
    let source = format!("{}{}>> ```\n>>\n", "字".repeat(600), " ".repeat(700));
    for part in split(&render(&source), MIN_BUDGET, Syntax::Markdown) {
        assert!(is_balanced(&part.text), "{:?}", part.text);
    }
}
