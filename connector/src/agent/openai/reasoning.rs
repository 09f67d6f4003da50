//! What a reasoning model thinks aloud is not its answer. Pure.
//!
//! Endpoints without a reasoning parser leave it in the words, between `<think>` and `</think>` at their
//! beginning; where the model's template opens the block, only its end is written.

/// Names of the tags, as models write them.
const TAGS: [&str; 3] = ["think", "thinking", "thought"];

/// The answer in what a model has written so far. Until `ended`, what may become a block is held back.
pub(super) fn answer(written: &str, ended: bool) -> &str {
    let mut answer = written;
    loop {
        let rest = answer.trim_start();
        if !ended && may_open(rest) {
            return "";
        }
        let Some((tag, inside)) = opened(rest) else { break };
        match closed(inside, tag) {
            Some(rest) => answer = rest.trim_start(),
            None => return "",
        }
    }
    after_lone_end(answer).map_or(answer, str::trim_start)
}

/// A tag that opens a block here, and what is behind it.
fn opened(text: &str) -> Option<(&'static str, &str)> {
    let name = text.strip_prefix('<')?;
    TAGS.into_iter().find_map(|tag| Some((tag, named(name, tag)?)))
}

/// What is behind the end of a block.
fn closed<'a>(inside: &'a str, tag: &str) -> Option<&'a str> {
    inside.match_indices("</").find_map(|(at, end)| named(&inside[at + end.len()..], tag))
}

/// What is behind `tag>`.
fn named<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (name, rest) = text.split_at_checked(tag.len())?;
    rest.strip_prefix('>').filter(|_| name.eq_ignore_ascii_case(tag))
}

/// Whether a tag may be on its way.
fn may_open(text: &str) -> bool {
    text.strip_prefix('<').is_some_and(|begun| {
        let begins = |tag: &str| {
            tag.as_bytes()
                .get(..begun.len())
                .is_some_and(|t| t.eq_ignore_ascii_case(begun.as_bytes()))
        };
        TAGS.into_iter().any(begins)
    })
}

/// What is behind the end of a block that was never opened: a line of its own, outside of code.
fn after_lone_end(text: &str) -> Option<&str> {
    let (mut at, mut in_code) = (0, false);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let line = line.trim();
        in_code ^= line.starts_with("```") || line.starts_with("~~~");
        let ends = |tag: &str| line.strip_prefix("</").and_then(|l| named(l, tag)) == Some("");
        if !in_code && TAGS.into_iter().any(ends) {
            return Some(&text[at..]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_at_the_beginning_are_no_answer() {
        for (written, expected) in [
            ("<think>hm</think>\n\nyes", "yes"),
            ("\n <THINK>a < b</x></Think>yes", "yes"),
            ("<thought>a</thought>\n<think>b</think> yes", "yes"),
            ("hm\n</think>\n\nyes", "yes"),
            ("<think></think>\n\n", ""),
            ("<think>cut off", ""),
            // What an answer says about such tags stays.
            ("  yes", "  yes"),
            ("<thinker> is a tag", "<thinker> is a tag"),
            ("<th", "<th"),
            ("use `<think>` and `</think>`", "use `<think>` and `</think>`"),
            ("```\n</think>\n```", "```\n</think>\n```"),
            ("", ""),
        ] {
            assert_eq!(answer(written, true), expected, "{written:?}");
        }
    }

    proptest! {
        #[test]
        fn however_it_comes_nothing_of_a_block_is_shown(
            thought in "[a-z<>/ \n]{0,40}", words in "[A-Z][A-Z <>/\n你]{0,40}",
        ) {
            prop_assume!(!thought.contains("</think>"));
            let written = format!("<think>{thought}</think>\n\n{words}");
            for (end, c) in written.char_indices() {
                let so_far = answer(&written[..end + c.len_utf8()], false);
                prop_assert!(words.starts_with(so_far), "{so_far:?}");
            }
            prop_assert_eq!(answer(&written, true), words);
        }
    }
}
