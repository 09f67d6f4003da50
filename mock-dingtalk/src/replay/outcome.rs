//! How a bot behaved, compared with the recording.

use serde::Serialize;

/// What a bot did and left undone. Ids that differ by nature are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Outcome {
    /// Whether the bot behaved as it did in the recording.
    pub same: bool,
    /// Calls, connections and answers that were recorded and came.
    pub matched: usize,
    /// What was recorded and never came, one line each.
    pub missing: Vec<String>,
    /// What came and was not recorded; at most 1,000 lines.
    pub unexpected: Vec<String>,
    /// Calls that came with another body than was recorded; at most 1,000 lines.
    pub differing: Vec<String>,
    /// What could not be replayed as it was, since the journal had not kept it whole.
    pub incomplete: Vec<String>,
}

/// Lines kept of each kind.
const MAX_LINES: usize = 1_000;

/// Adds a line, as long as there is room.
pub(super) fn add(lines: &mut Vec<String>, line: String) {
    if lines.len() < MAX_LINES {
        lines.push(line);
    }
}
