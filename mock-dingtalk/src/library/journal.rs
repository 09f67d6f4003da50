//! The journal as a file.

use super::{App, MockDingtalk};
use crate::{
    core::{Excerpt, Selection},
    error::MockError,
};

impl App {
    /// The app's journal as JSON lines, as `replay` reads it: a line about the export, then one
    /// for each entry. With `redacted` each secret is replaced by a mark such as `«token-1»`, the
    /// same one wherever it stands.
    pub fn export_journal(&self, redacted: bool) -> Result<String, MockError> {
        let selection = Selection { app: Some(self.client_id()), after: 0, limit: usize::MAX };
        let excerpt = self.hub.look(|fleet| fleet.excerpt(selection, redacted))?;
        Ok(written(excerpt))
    }
}

impl MockDingtalk {
    /// The journals of all apps, and of what belongs to none, in their common order.
    pub fn export_journal(&self, redacted: bool) -> Result<String, MockError> {
        let selection = Selection { app: None, after: 0, limit: usize::MAX };
        let excerpt = self.hub.look(|fleet| fleet.excerpt(selection, redacted))?;
        Ok(written(excerpt))
    }
}

fn written(excerpt: Excerpt) -> String {
    excerpt.export().lines().collect()
}
