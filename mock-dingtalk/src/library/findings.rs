//! The bot lint.

use super::{App, MockDingtalk};
use crate::{
    core::{Finding, FindingRule, RULES, Severity},
    error::MockError,
};

impl App {
    /// What the bot did that will not do with DingTalk, each thing once. `docs/findings.md`
    /// describes the rules.
    pub fn findings(&self) -> Result<Vec<Finding>, MockError> {
        self.act(|app, cx| Ok(app.findings_now(cx, 0, Severity::Remark)))
    }

    /// Forgets what was found, and says how much it was.
    pub fn clear_findings(&self) -> Result<usize, MockError> {
        self.act(|app, cx| Ok(app.clear_findings(cx)))
    }

    /// Fails if anything of this severity or worse was found, and says all of it.
    pub fn expect_no_findings(&self, least: Severity) -> Result<(), MockError> {
        let found = self.act(|app, cx| Ok(app.findings_now(cx, 0, least)))?;
        if found.is_empty() { Ok(()) } else { Err(MockError::Found(found)) }
    }
}

impl MockDingtalk {
    /// What is looked for, in the order of `docs/findings.md`.
    pub fn finding_rules() -> &'static [FindingRule] {
        RULES
    }

    /// What was found of calls and connections that belong to no app.
    pub fn findings(&self) -> Vec<Finding> {
        self.hub.look(|fleet| fleet.findings.rows(0, Severity::Remark))
    }

    /// Forgets what was found and belongs to no app, and says how much it was.
    pub fn clear_findings(&self) -> usize {
        self.hub.step(|fleet, _| fleet.findings.clear())
    }
}
