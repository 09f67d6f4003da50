//! Failures that are known, with the reason for each.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Defects, Outcome, Verdict};

/// Failures that are known: case id = reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Baseline(BTreeMap<String, Entry>);

/// What is known of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Entry {
    /// It fails always.
    Always(String),
    /// It may.
    Written(Written),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    reason: String,
    #[serde(default)]
    flaky: bool,
}

impl Entry {
    fn new(reason: &str, flaky: bool) -> Self {
        let reason = reason.to_owned();
        if flaky { Self::Written(Written { reason, flaky }) } else { Self::Always(reason) }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Always(reason) => reason,
            Self::Written(written) => &written.reason,
        }
    }

    fn flaky(&self) -> bool {
        matches!(self, Self::Written(written) if written.flaky)
    }
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file makes no sense.
    #[error("{} is no list of lines such as \"area/case\" = \"reason\"", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: toml::de::Error,
    },
    /// A file of defects makes no sense.
    #[error("{} is no list of defects, each with `reason` and `cases`", path.display())]
    Defects {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: toml::de::Error,
    },
}

/// What a baseline says of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Its entries whose case was played and did not fail, and those that name no case.
    pub stale: Vec<String>,
    /// How many of its entries nothing was learnt about, since their case was not played.
    pub not_tried: usize,
}

/// What became of a baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// Cases that it names now and did not before.
    pub added: Vec<String>,
    /// Cases that it does not name any more.
    pub dropped: Vec<String>,
    /// Cases that fail and have no reason. It does not name them.
    pub without_reason: Vec<String>,
    /// Cases that could not be played, which says nothing of the bot. It names none for that.
    pub untestable: Vec<String>,
}

impl Baseline {
    /// Reads a file of lines such as `"reconnect/rst" = "issue 13 of the SDK"`.
    pub fn load(path: &Path) -> Result<Self, BaselineError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BaselineError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| BaselineError::Parse { path: path.to_owned(), source })
    }

    /// Marks the failures that it knows, and says which entries are stale, and how many were not
    /// tried.
    pub fn apply(&self, outcomes: &mut [Outcome], exists: impl Fn(&str) -> bool) -> Applied {
        let mut applied = Applied::default();
        for (case, entry) in &self.0 {
            let outcome = outcomes.iter_mut().find(|outcome| outcome.case == *case);
            match outcome.map(|outcome| (outcome.verdict, outcome)) {
                Some((Verdict::Fail, outcome)) => {
                    outcome.baseline = Some(entry.reason().to_owned());
                }
                Some((verdict, _)) if !verdict.is_played() => applied.not_tried += 1,
                Some(_) if entry.flaky() => {}
                Some((verdict, _)) => applied.stale.push(format!(
                    "the baseline expects `{case}` to fail, but its verdict is {}",
                    verdict.as_str()
                )),
                None if exists(case) => applied.not_tried += 1,
                None => {
                    applied.stale.push(format!("the baseline names `{case}`, which is no case"));
                }
            }
        }
        applied
    }

    /// Names the failures of a run, and the cases that show a defect at times and passed. What it
    /// says of them stays; of a new one it says what `defects` know, or else `reason`. Entries go whose
    /// case was played and did not fail, or which `exists` does not know.
    pub fn update(
        &mut self,
        outcomes: &[Outcome],
        defects: &Defects,
        reason: Option<&str>,
        exists: impl Fn(&str) -> bool,
    ) -> Update {
        let mut update = Update::default();
        let at_times = |outcome: &Outcome| {
            outcome.verdict == Verdict::Pass
                && defects.of(&outcome.case).is_some_and(|defect| defect.flaky)
        };
        let fails = |outcome: &Outcome| outcome.verdict == Verdict::Fail;
        let named = |outcome: &&Outcome| fails(outcome) || at_times(outcome);
        for outcome in outcomes.iter().filter(named) {
            if self.0.contains_key(&outcome.case) {
                continue;
            }
            let case = outcome.case.clone();
            let defect = defects.of(&case);
            let known = defect.map(|defect| Entry::new(&defect.reason, defect.flaky));
            match known.or_else(|| reason.map(|reason| Entry::new(reason, false))) {
                Some(entry) => {
                    self.0.insert(case.clone(), entry);
                    update.added.push(case);
                }
                None => update.without_reason.push(case),
            }
        }
        let mends = |case: &str, entry: &Entry| {
            let played = outcomes.iter().find(|outcome| outcome.case == case);
            let stays =
                |outcome: &Outcome| fails(outcome) || entry.flaky() || !outcome.verdict.is_played();
            played.map_or(!exists(case), |outcome| !stays(outcome))
        };
        let gone = self.0.iter().filter(|(case, entry)| mends(case, entry));
        let gone: Vec<String> = gone.map(|(case, _)| case.clone()).collect();
        for case in &gone {
            self.0.remove(case);
        }
        update.dropped = gone;
        let untestable = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Untestable);
        update.untestable = untestable.map(|outcome| outcome.case.clone()).collect();
        update
    }

    /// How many failures it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As its file has it, by case. `head` is the comment that it begins with.
    pub fn write(&self, head: &str) -> String {
        let entries = self.0.iter().map(|(case, entry)| {
            // A JSON string is a string of TOML.
            let text = |text: &str| serde_json::Value::from(text).to_string();
            let (case, reason) = (text(case), text(entry.reason()));
            if entry.flaky() {
                format!("{case} = {{ reason = {reason}, flaky = true }}\n")
            } else {
                format!("{case} = {reason}\n")
            }
        });
        format!("{head}{}", entries.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Applied, Baseline, Defects, Entry};
    use crate::run::verdict::sample;
    use crate::run::{Outcome, Verdict};

    fn failing(case: &str) -> Outcome {
        Outcome { verdict: Verdict::Fail, ..sample(case) }
    }

    #[test]
    fn reasons_stay_new_failures_come_and_stale_entries_go() {
        let entry = |case: &str| (case.to_owned(), Entry::new("known \"for\" long", false));
        let known = ["a/kept", "a/mended", "a/gone", "a/elsewhere"];
        let mut baseline = Baseline(BTreeMap::from(known.map(entry)));
        let defects: Defects =
            toml::from_str("[slow]\nreason = \"it waits\"\ncases = [\"b/*\"]").unwrap();
        let outcomes = [failing("a/kept"), sample("a/mended"), failing("b/slow"), failing("c/new")];
        let exists = |case: &str| case != "a/gone";
        let update = baseline.update(&outcomes, &defects, None, exists);
        assert_eq!(update.added, ["b/slow"]);
        assert_eq!(update.dropped, ["a/gone", "a/mended"]);
        assert_eq!(update.without_reason, ["c/new"]);
        let update = baseline.update(&outcomes, &defects, Some("it breaks"), exists);
        assert_eq!((update.added, baseline.len()), (vec!["c/new".to_owned()], 4));
        let text = baseline.write("# mine\n");
        assert!(text.starts_with("# mine\n\"a/elsewhere\" = "), "{text}");
        assert_eq!(toml::from_str::<Baseline>(&text).unwrap(), baseline);
    }

    #[test]
    fn what_fails_at_times_may_pass() {
        let defects = "[race]\nreason = \"it races\"\ncases = [\"b/*\"]\nflaky = true";
        let defects: Defects = toml::from_str(defects).unwrap();
        let mut baseline = Baseline::default();
        baseline.update(&[sample("b/c"), sample("c/d")], &defects, None, |_| true);
        let text = baseline.write("");
        assert_eq!(text, "\"b/c\" = { reason = \"it races\", flaky = true }\n");
        let mut baseline: Baseline = toml::from_str(&text).unwrap();
        let mut passed = [sample("b/c")];
        assert_eq!(baseline.apply(&mut passed, |_| true), Applied::default());
        assert!(baseline.update(&passed, &defects, None, |_| true).dropped.is_empty());
        let mut failed = [failing("b/c")];
        assert_eq!(baseline.apply(&mut failed, |_| true), Applied::default());
        assert_eq!(failed[0].baseline.as_deref(), Some("it races"));
        assert!(defects.unseen(&passed).is_empty());
    }

    #[test]
    fn what_was_not_played_is_neither_known_nor_mended() {
        let entry = |case: &str| (case.to_owned(), Entry::new("known", false));
        let known = ["a/broken", "a/elsewhere", "a/needs-more", "a/mended"];
        let mut baseline = Baseline(BTreeMap::from(known.map(entry)));
        let of = |case: &str, verdict| Outcome { verdict, ..sample(case) };
        let mut outcomes = [
            of("a/broken", Verdict::Untestable),
            of("a/mended", Verdict::Pass),
            of("a/needs-more", Verdict::NotApplicable),
            of("a/new", Verdict::Untestable),
        ];
        let applied = baseline.apply(&mut outcomes, |_| true);
        assert_eq!((applied.stale.len(), applied.not_tried), (1, 3), "{applied:?}");
        assert!(outcomes[0].is_failure() && outcomes[0].baseline.is_none());
        let update = baseline.update(&outcomes, &Defects::default(), Some("it breaks"), |_| true);
        assert_eq!((update.added, update.dropped), (vec![], vec!["a/mended".to_owned()]));
        assert_eq!(update.untestable, ["a/broken", "a/new"]);
        assert_eq!(baseline.len(), 3);
    }

    #[test]
    fn a_defect_that_nothing_shows_is_named() {
        let defects: Defects =
            toml::from_str("[slow]\nreason = \"it waits\"\ncases = [\"b/*\"]").unwrap();
        assert_eq!(defects.unseen(&[failing("a/b")]), ["slow"]);
        assert!(defects.unseen(&[failing("b/c")]).is_empty());
    }
}
