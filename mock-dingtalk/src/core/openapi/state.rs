//! What the HTTP APIs of one app remember.

use crate::core::{card::Cards, media::MediaStore};

use super::{emotion::Reactions, limits::Limits, pushes::Pushes};

/// State that only calls of the OpenAPI change.
#[derive(Debug)]
pub(crate) struct ApiState {
    pub(crate) pushes: Pushes,
    pub(crate) reactions: Reactions,
    pub(crate) limits: Limits,
    pub(crate) media: MediaStore,
    pub(crate) cards: Cards,
    /// Whether `sendBySession` takes the types that clients send and no page has.
    pub(crate) undocumented_replies: bool,
}

impl Default for ApiState {
    fn default() -> Self {
        Self {
            pushes: Pushes::default(),
            reactions: Reactions::default(),
            limits: Limits::default(),
            media: MediaStore::default(),
            cards: Cards::default(),
            undocumented_replies: true,
        }
    }
}
