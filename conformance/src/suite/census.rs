//! What a suite holds, counted.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Case, Suite};

/// Areas whose cases end a connection, or keep one from coming about.
const RECONNECTS: [&str; 2] = ["outage", "reconnect"];

/// How much a suite holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Census {
    /// Requirements, those without a case included.
    pub requirements: usize,
    /// Cases.
    pub cases: usize,
    /// Files that cases are made of; one file may make many cases.
    pub scenarios: usize,
    /// Cases of the areas `reconnect` and `outage`: ways to lose a connection, or to get none.
    pub reconnect_paths: usize,
    /// Different `msgtype`s that people send.
    pub message_types: usize,
    /// Different commands, such as /help, that people give.
    pub commands: usize,
}

impl Census {
    pub(super) fn of(suite: &Suite) -> Self {
        let files: BTreeSet<_> = suite.cases().map(Case::path).collect();
        let spoken: Vec<_> = suite.cases().flat_map(|case| case.scenario().spoken()).collect();
        let types: BTreeSet<&str> = spoken.iter().map(|(kind, _)| kind.as_str()).collect();
        let commands: BTreeSet<&str> =
            spoken.iter().filter_map(|(_, text)| command(text)).collect();
        Self {
            requirements: suite.requirements().count(),
            cases: suite.cases().count(),
            scenarios: files.len(),
            reconnect_paths: suite.cases().filter(|case| RECONNECTS.contains(&case.area())).count(),
            message_types: types.len(),
            commands: commands.len(),
        }
    }
}

/// The command that a text is, if it is one: `/word`.
fn command(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?;
    let name = word.strip_prefix('/')?;
    let plain = |c: char| c.is_ascii_lowercase() || c == '-';
    (!name.is_empty() && name.chars().all(plain)).then_some(word)
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the suite holds {} requirements, {} cases, {} scenarios, {} reconnect paths, \
             {} message types, {} commands",
            self.requirements,
            self.cases,
            self.scenarios,
            self.reconnect_paths,
            self.message_types,
            self.commands
        )
    }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_command_is_a_slash_and_a_word() {
        for (text, found) in [
            ("/help", Some("/help")),
            (" /model gpt-4 ", Some("/model")),
            ("/", None),
            ("/usr/bin", None),
            ("hi /help", None),
        ] {
            assert_eq!(command(text), found, "{text}");
        }
    }
}
