//! What a mock tells of itself.

use std::sync::Arc;

use serde_json::Value;

use super::{App, MockDingtalk};
use crate::{
    control,
    core::{Entry, PRESETS, Preset, fixture_names},
    coverage,
    error::MockError,
};

impl MockDingtalk {
    /// The app with this `clientId`, whoever minted it.
    pub fn app_of(&self, client_id: &str) -> Result<App, MockError> {
        let info = self.hub.look(|fleet| fleet.app(client_id).map(crate::core::App::info))?;
        Ok(App::new(Arc::clone(&self.hub), info))
    }

    /// The journals of all apps, and what belongs to none, in the order it happened.
    pub fn journal(&self) -> Result<Vec<Arc<Entry>>, MockError> {
        let (entries, _) = self.hub.look(|fleet| fleet.journal(None, 0, usize::MAX))?;
        Ok(entries)
    }

    /// The names that [`App::push_fixture`] takes.
    pub fn fixtures() -> impl Iterator<Item = &'static str> {
        fixture_names()
    }

    /// The named faults, in the order of `docs/presets.md`.
    pub fn presets() -> impl Iterator<Item = Preset> {
        PRESETS.iter().map(|known| known.preset)
    }

    /// The control API as an OpenAPI 3.1 document.
    pub fn openapi() -> Value {
        control::document()
    }

    /// What is modelled, how well, and by which source: the data of `docs/coverage.md`.
    pub fn coverage() -> Value {
        coverage::ledger()
    }
}
