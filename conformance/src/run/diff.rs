//! Lines that two texts share, and those that they do not.

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Both(&'a str),
    /// Expected, and not there.
    Expected(&'a str),
    /// There, and not expected.
    Seen(&'a str),
}

/// More lines than this are not compared one by one.
const MAX_LINES: usize = 400;

/// The lines of both texts, by their longest common subsequence.
pub(super) fn lines<'a>(expected: &'a str, seen: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), seen.lines().collect());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let apart = old.into_iter().map(Line::Expected);
        return apart.chain(new.into_iter().map(Line::Seen)).collect();
    }
    // common[i][j]: how many lines old[i..] and new[j..] share.
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            found.push(Line::Both(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            found.push(Line::Expected(old[i]));
            i += 1;
        } else {
            found.push(Line::Seen(new[j]));
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Line::{Both, Expected, Seen};
    use super::lines;

    #[test]
    fn what_is_shared_stays_in_its_place() {
        assert_eq!(
            lines("a\nb\nc", "a\nx\nc\nd"),
            [Both("a"), Expected("b"), Seen("x"), Both("c"), Seen("d")]
        );
        assert_eq!(lines("", "a"), [Seen("a")]);
        assert_eq!(lines("a", ""), [Expected("a")]);
    }
}
