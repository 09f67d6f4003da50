//! How deep JSON5 is nested, counted before it is parsed: the parser takes stack for each level.

/// Levels that a config has at most.
pub(super) const DEEPEST: usize = 64;

/// The line, from 1, where brackets stand in brackets deeper than [`DEEPEST`]. Those in texts and comments
/// do not count.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut line) = (0_usize, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '[' | '{' => {
                depth += 1;
                if depth > DEEPEST {
                    return Some(line);
                }
            }
            ']' | '}' => depth = depth.saturating_sub(1),
            '"' | '\'' => {
                let mut escaped = false;
                for inner in chars.by_ref() {
                    line += usize::from(inner == '\n');
                    if inner == c && !escaped {
                        break;
                    }
                    escaped = inner == '\\' && !escaped;
                }
            }
            '/' if chars.peek() == Some(&'/') => {
                let ends = |c: &char| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}');
                while chars.next_if(|c| !ends(c)).is_some() {}
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                for inner in chars.by_ref() {
                    line += usize::from(inner == '\n');
                    if before == '*' && inner == '/' {
                        break;
                    }
                    before = inner;
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_is_counted_and_what_only_looks_so_is_not() {
        let many = "[{".repeat(DEEPEST / 2);
        for harmless in [
            format!("'{many}['"),
            format!("\"\\\"{many}[\""),
            format!("// {many}[\n1"),
            format!("/* {many}[ */ 1"),
            many.clone(),
            "[],".repeat(DEEPEST * 9),
        ] {
            assert_eq!(too_deep(&harmless), None, "{harmless}");
        }
        for deep in [
            format!("{many}["),
            format!("'\\\\'{many}["),
            format!("/* ' */{many}["),
            format!("//'\r{many}["),
            format!("//\u{2028}{many}["),
        ] {
            assert_eq!(too_deep(&format!("\n\n{deep}")), Some(3), "{deep}");
        }
    }
}
