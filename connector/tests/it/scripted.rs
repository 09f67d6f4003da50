//! An agent that answers as the test wants, and tells what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dingtalk_connector::agent::{Agent, Answer, Attempt, Say, Speaker, Turn};

/// Answers known words; anything else is left without an answer.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    answers: BTreeMap<String, Vec<Say>>,
    asked: Mutex<Vec<Turn>>,
}

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = (&'static str, Vec<Say>)>) -> Arc<Self> {
        let answers = answers.into_iter().map(|(text, says)| (text.to_owned(), says)).collect();
        Arc::new(Self { answers, asked: Mutex::default() })
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Turn> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Agent for Scripted {
    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        let answer = self.answers.get(&turn.text).cloned().unwrap_or_default();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(turn);
        Box::pin(async move {
            let said = usize::try_from(attempt.said).unwrap_or(usize::MAX);
            for say in answer.into_iter().skip(said) {
                speaker.say(say).await;
            }
            Ok(())
        })
    }
}
