//! What the HTTP APIs of one app remember.

use super::{
    answer::Reply, card_more::CardRoutes, emotion::Reactions, limits::Limits, pushes::Pushes,
};
use crate::core::{
    card::Cards, custom_robot::CustomRobots, group_file::GroupFiles, journal::Diagnosis,
    media::MediaStore, permission::Permissions,
};

/// State that only calls of the OpenAPI change.
#[derive(Debug, Clone)]
pub(crate) struct ApiState {
    pub(crate) pushes: Pushes,
    pub(crate) reactions: Reactions,
    pub(crate) limits: Limits,
    pub(crate) permissions: Permissions,
    pub(crate) media: MediaStore,
    pub(crate) cards: Cards,
    /// Where presses on cards would be told by HTTP.
    pub(crate) card_routes: CardRoutes,
    pub(crate) custom_robots: CustomRobots,
    pub(crate) group_files: GroupFiles,
    /// Whether what only this mock's own strictness refuses is taken, with a remark.
    pub(crate) lenient: bool,
    /// What the call at hand was forgiven.
    pub(crate) tolerated: Option<Diagnosis>,
    /// Whether `sendBySession` takes the types that clients send and no page has.
    pub(crate) undocumented_replies: bool,
}

impl Default for ApiState {
    fn default() -> Self {
        Self {
            pushes: Pushes::default(),
            reactions: Reactions::default(),
            limits: Limits::default(),
            permissions: Permissions::default(),
            media: MediaStore::default(),
            cards: Cards::default(),
            card_routes: CardRoutes::default(),
            custom_robots: CustomRobots::default(),
            group_files: GroupFiles::default(),
            lenient: false,
            tolerated: None,
            undocumented_replies: true,
        }
    }
}

impl ApiState {
    /// How many rows of ids and names it holds, besides files, cards and keys of messages.
    pub(crate) fn rows(&self) -> usize {
        self.reactions.len()
            + self.custom_robots.rows()
            + self.group_files.len()
            + self.card_routes.len()
    }

    /// Whether to go on in spite of something that no source refuses for certain. Lenient: yes,
    /// and the answer gets a remark; strict: no, and this is the answer.
    pub(crate) fn tolerate(&mut self, refusal: Reply) -> Result<(), Reply> {
        if !self.lenient {
            return Err(refusal);
        }
        if self.tolerated.is_none() {
            self.tolerated = refusal.into_diagnosis();
        }
        Ok(())
    }
}
