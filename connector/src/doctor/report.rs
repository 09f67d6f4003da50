//! All that was found, for people and for programs.

use serde_json::{Value, json};

use super::advice::Advice;
use super::check::{Check, Finding, Problem, Row, Status};

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// All rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many ended so.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status() == status).count()
    }

    /// The names of what failed, each once.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = |check: &&Check| {
            self.rows.iter().any(|row| row.check == **check && row.status() == Status::Fail)
        };
        Check::ALL.iter().filter(failed).map(|check| check.name()).collect()
    }

    /// Whether the app may connect, and can: nothing of that failed.
    pub fn connects(&self) -> bool {
        let failed = |row: &Row| {
            row.status() == Status::Fail
                && [Check::Credentials, Check::Open, Check::WebSocket].contains(&row.check)
        };
        !self.rows.iter().any(failed)
    }

    /// Which failed check makes this one pointless: of the same subject, of the `host` that is called, or of
    /// everything.
    pub(super) fn blocker(&self, check: Check, subject: &str, host: &str) -> Option<Check> {
        let concerns = |row: &&Row| [subject, host, ""].contains(&row.subject.as_str());
        let failed = |needed: &Check| {
            let mut rows = self.rows.iter().filter(concerns);
            rows.any(|row| row.check == *needed && row.status() == Status::Fail)
        };
        std::iter::successors(check.needs(), |needed| needed.needs()).find(failed)
    }

    pub(super) fn add(&mut self, check: Check, subject: &str, finding: Finding) {
        self.rows.push(Row { check, subject: subject.to_owned(), finding });
    }

    /// Nothing else can be looked at, since the settings do not hold.
    pub fn of_broken_settings(problem: Problem) -> Self {
        let mut report = Self::default();
        report.add(Check::Settings, "", Finding::Fail(problem));
        for check in Check::ALL.into_iter().filter(|check| *check != Check::Settings) {
            report.add(check, "", Finding::Blocked(Check::Settings));
        }
        report
    }

    /// The settings hold; each of `odd` is a sentence about something in them.
    pub fn of_settings(what: String, odd: &[String]) -> Self {
        let mut report = Self::default();
        let finding = if odd.is_empty() {
            Finding::Pass(what)
        } else {
            let advice = Advice::here("correct it in the config file", "在配置文件中改正");
            Finding::Warn(Problem { what: odd.join("; "), advice })
        };
        report.add(Check::Settings, "", finding);
        report
    }

    /// One object.
    pub fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let count = |status| self.count(status);
        json!({
            "v": 1,
            "ok": self.count(Status::Fail) == 0,
            "passed": count(Status::Pass),
            "warned": count(Status::Warn),
            "failed": count(Status::Fail),
            "skipped": count(Status::Skip),
            "checks": rows,
        })
    }

    /// Lines for people: each check, and below it what to do.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(self.rows.iter().flat_map(Row::lines));
        let count = |status| self.count(status);
        lines.push(format!(
            "{} passed, {} to be mended, {} failed, {} skipped",
            count(Status::Pass),
            count(Status::Warn),
            count(Status::Fail),
            count(Status::Skip)
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(what: &str) -> Problem {
        Problem { what: what.to_owned(), advice: Advice::here("mend it", "修好") }
    }

    #[test]
    fn what_fails_blocks_what_needs_it_of_the_same_host_or_account_only() {
        let mut report = Report::of_settings("fine".to_owned(), &[]);
        report.add(Check::Dns, "a.example", Finding::Fail(problem("no address")));
        report.add(Check::Credentials, "sales", Finding::Fail(problem("refused")));
        report.add(Check::Clock, "b.example", Finding::Warn(problem("slow")));
        for (check, subject, host, blocker) in [
            (Check::Https, "a.example", "a.example", Some(Check::Dns)),
            (Check::Https, "b.example", "b.example", None),
            (Check::WebSocket, "sales", "b.example", Some(Check::Credentials)),
            (Check::WebSocket, "default", "a.example", Some(Check::Dns)),
            (Check::WebSocket, "default", "b.example", None),
        ] {
            assert_eq!(report.blocker(check, subject, host), blocker, "{check:?} {subject} {host}");
        }
        assert_eq!(report.failed(), ["dns", "credentials"]);
    }

    #[test]
    fn every_check_needs_the_settings_and_nothing_that_comes_after_it() {
        for check in Check::ALL {
            let chain: Vec<_> = std::iter::successors(Some(check), |check| check.needs()).collect();
            assert_eq!(chain.last(), Some(&Check::Settings), "{check:?}");
            assert!(chain.is_sorted_by(|later, earlier| earlier < later), "{chain:?}");
        }
        let broken = Report::of_broken_settings(problem("no secret"));
        assert_eq!((broken.rows().len(), broken.count(Status::Fail)), (Check::ALL.len(), 1));
        assert_eq!(broken.json()["checks"][1]["needs"], "settings");
    }
}
