//! What a person sees as one character, near enough to cut texts: the cases of Unicode's UAX #29 that
//! people write, without its tables.

/// Takes no room beside what is left and right of it, and joins both.
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Whether a character belongs to the one before it: marks and vowel signs, variation selectors, tones
/// of skin, later letters of a Hangul syllable.
pub(crate) fn is_mark(c: char) -> bool {
    let code = u32::from(c);
    match code {
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x670
        | 0x6d6..=0x6dc
        | 0x6df..=0x6e4
        | 0xe31
        | 0xe34..=0xe3a
        | 0xe47..=0xe4e
        | 0xeb1
        | 0xeb4..=0xebc
        | 0xec8..=0xece
        | 0xf71..=0xf84
        | 0x1160..=0x11ff
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200d
        | 0x20d0..=0x20ff
        | 0x302a..=0x302f
        | 0x3099..=0x309a
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0x1_f3fb..=0x1_f3ff
        | 0xe_0020..=0xe_007f
        | 0xe_0100..=0xe_01ef => true,
        // The scripts of India have their signs at the same places of their blocks.
        0x900..=0xdff => {
            matches!(code & 0x7f, 0..=3 | 0x3c | 0x3e..=0x4d | 0x55..=0x57 | 0x62 | 0x63)
        }
        _ => false,
    }
}

fn is_flag_letter(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Walks over a text and tells where one character ends for the eye.
#[derive(Debug, Default)]
pub(super) struct Ends {
    before: Option<char>,
    /// An odd number of letters of flags stands before.
    half_flag: bool,
}

impl Ends {
    /// Whether a text may be cut before `c`, which comes next.
    pub(super) fn before(&mut self, c: char) -> bool {
        let joined = is_mark(c)
            || self.before == Some(ZERO_WIDTH_JOINER)
            || self.before == Some('\r') && c == '\n'
            || self.half_flag && is_flag_letter(c);
        self.half_flag = is_flag_letter(c) && !self.half_flag;
        let first = self.before.replace(c).is_none();
        !joined && !first
    }
}

/// The beginning of a text, of at most `count` characters as they are seen.
pub(super) fn first(text: &str, count: usize) -> &str {
    let (mut ends, mut seen) = (Ends::default(), 1);
    for (at, c) in text.char_indices() {
        if ends.before(c) {
            seen += 1;
        }
        if seen > count {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_as_one_is_one() {
        for whole in ["e\u{301}", "👩‍👩‍👧", "👍🏽", "🇩🇪", "1\u{fe0f}\u{20e3}", "नि", "각", "❤️"]
        {
            let text = format!("{whole}{whole}");
            assert_eq!(first(&text, 1), whole);
            assert_eq!(first(&text, 2), text);
        }
        assert_eq!((first("", 3), first("你好吗", 2)), ("", "你好"));
    }
}
