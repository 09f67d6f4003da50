//! A mock that is wrong on purpose, with the feature `mutations` only: for tests of tests.

use super::{Builder, MockDingtalk};
use crate::{
    core::{MUTATIONS, Mutations},
    error::MockError,
};

impl Builder {
    /// Makes the mock wrong in one way, by its name in [`MockDingtalk::mutations`].
    ///
    /// # Errors
    ///
    /// [`MockError`] if there is no such way.
    pub fn mutation(mut self, name: &str) -> Result<Self, MockError> {
        self.mutations = Mutations::named(name)?;
        Ok(self)
    }
}

impl MockDingtalk {
    /// The ways in which a mock can be wrong: name, and what it does.
    pub fn mutations() -> impl Iterator<Item = (&'static str, &'static str)> {
        MUTATIONS.iter().map(|(_, name, what)| (*name, *what))
    }
}
