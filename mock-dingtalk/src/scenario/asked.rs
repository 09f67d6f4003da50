//! What the model behind a bot has to have been asked.

use std::time::Duration;

use super::{
    Model,
    expectation::size,
    model::{Question, Talk},
};
use crate::{control::Fields, core::VerbError};

/// Of the last question, unless it says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// So many questions came in all.
    times: Option<usize>,
    /// Words of its messages.
    contains: Vec<String>,
    /// Words of none of its messages.
    lacks: Vec<String>,
    messages: Option<usize>,
    /// Pictures of its last message.
    pictures: Option<usize>,
    /// The model that is to answer.
    model: Option<String>,
    /// How hard it is to think; empty where nothing is said of it.
    effort: Option<String>,
    /// So many answers were left before their end.
    left: Option<usize>,
}

impl Asked {
    pub(super) fn read(mut fields: Fields) -> Result<Self, VerbError> {
        let asked = Self {
            times: size(&mut fields, "times")?,
            contains: fields.strings("contains")?.unwrap_or_default(),
            lacks: fields.strings("lacks")?.unwrap_or_default(),
            messages: size(&mut fields, "messages")?,
            pictures: size(&mut fields, "pictures")?,
            model: fields.string("model")?,
            effort: fields.string("effort")?,
            left: size(&mut fields, "left")?,
        };
        fields.finish()?;
        Ok(asked)
    }

    /// Waits until it is met. The error says what is missing or wrong.
    pub(super) async fn wait(&self, model: &Model, patience: Duration) -> Result<(), String> {
        let met = |seen: &Talk| self.fits(seen).is_ok().then_some(());
        match model.wait(patience, met).await {
            Some(()) => Ok(()),
            None => model
                .look(|seen| self.fits(seen))
                .map_err(|gap| format!("after {patience:?}: the model {gap}")),
        }
    }

    fn fits(&self, seen: &Talk) -> Result<(), String> {
        let count = seen.asked.len();
        if let Some(times) = self.times.filter(|times| *times != count) {
            return Err(format!("was asked {count} times, not {times}"));
        }
        if let Some(left) = self.left.filter(|left| *left != seen.left) {
            return Err(format!("was left {} times before its last words, not {left}", seen.left));
        }
        match seen.asked.last() {
            Some(question) => self.fits_question(question),
            None if self.times.is_some() => Ok(()),
            None => Err("was asked nothing".to_owned()),
        }
    }

    fn fits_question(&self, question: &Question) -> Result<(), String> {
        let shown: String = question.words.chars().take(400).collect();
        if let Some(part) = self.contains.iter().find(|part| !question.words.contains(*part)) {
            return Err(format!("was not asked with {part:?}, but {shown:?}"));
        }
        if let Some(part) = self.lacks.iter().find(|part| question.words.contains(*part)) {
            return Err(format!("was asked with {part:?}: {shown:?}"));
        }
        let wrong = |what: &str, wanted: Option<usize>, seen: usize| {
            let wanted = wanted.filter(|wanted| *wanted != seen)?;
            Some(format!("was asked with {seen} {what}, not {wanted}: {shown:?}"))
        };
        let pictures = question.pictures.len();
        let gap = wrong("messages", self.messages, question.messages)
            .or_else(|| wrong("pictures", self.pictures, pictures));
        if let Some(gap) = gap {
            return Err(gap);
        }
        if let Some(model) = self.model.as_ref().filter(|model| **model != question.model) {
            return Err(format!("was asked as {:?}, not {model:?}", question.model));
        }
        if let Some(effort) = self.effort.as_ref().filter(|effort| **effort != question.effort) {
            return Err(format!("was asked with effort {:?}, not {effort:?}", question.effort));
        }
        Ok(())
    }
}
