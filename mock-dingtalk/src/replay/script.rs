//! What comes, held against what was recorded.

use super::{
    outcome::{self, Outcome},
    recording::{Answer, Recording, Upgrade},
    same::same_body,
};
use crate::core::ClientFrame;

/// A recording, and how much of it has come.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) recording: Recording,
    calls: Vec<bool>,
    answers: Vec<Vec<bool>>,
    /// Connections whose frames are all out, or whose bot is gone.
    played: Vec<bool>,
    upgrades: usize,
    outcome: Outcome,
}

impl Script {
    pub(super) fn new(recording: Recording) -> Self {
        Self {
            calls: vec![false; recording.calls.len()],
            answers: recording.connections.iter().map(|c| vec![false; c.answers.len()]).collect(),
            played: vec![false; recording.connections.len()],
            upgrades: 0,
            outcome: Outcome::default(),
            recording,
        }
    }

    /// The answer to a call: that of the next one like it, then that of the last. `None` if there
    /// was none like it.
    pub(super) fn call(&mut self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let calls = &self.recording.calls;
        let alike = |index: &usize| calls[*index].method == method && calls[*index].path == path;
        let waiting: Vec<usize> =
            (0..calls.len()).filter(alike).filter(|index| !self.calls[*index]).collect();
        let exact = waiting.iter().find(|index| same_body(&calls[**index].body, body));
        if let Some(index) = exact.or(waiting.first()).copied() {
            if exact.is_none() {
                let line = format!("{method} {path}: {body}, not {}", calls[index].body);
                outcome::add(&mut self.outcome.differing, line);
            }
            self.calls[index] = true;
            self.outcome.matched += 1;
            return Some(calls[index].answer.clone());
        }
        outcome::add(&mut self.outcome.unexpected, format!("{method} {path}"));
        (0..calls.len()).rfind(alike).map(|index| calls[index].answer.clone())
    }

    /// What an upgrade request gets. More of them than were recorded are refused.
    pub(super) fn upgrade(&mut self) -> Upgrade {
        let Some(upgrade) = self.recording.upgrades.get(self.upgrades).copied() else {
            outcome::add(&mut self.outcome.unexpected, "GET /connect".to_owned());
            return Upgrade::Refused(401);
        };
        self.upgrades += 1;
        self.outcome.matched += 1;
        upgrade
    }

    /// A text came on a connection.
    pub(super) fn received(&mut self, connection: usize, text: &str) {
        let ClientFrame::Ack(ack) = ClientFrame::parse(text) else { return };
        let recorded = &self.recording.connections[connection].answers;
        let open = &mut self.answers[connection];
        let found = (0..recorded.len())
            .find(|index| !open[*index] && recorded[*index] == (ack.message_id.clone(), ack.code));
        if let Some(index) = found {
            open[index] = true;
            self.outcome.matched += 1;
        } else {
            let line = format!("answer {} to {}", code(ack.code), ack.message_id);
            outcome::add(&mut self.outcome.unexpected, line);
        }
    }

    /// Whether all answers that were recorded on a connection have come.
    pub(super) fn is_answered(&self, connection: usize) -> bool {
        self.answers[connection].iter().all(|came| *came)
    }

    /// Nothing more goes out on a connection.
    pub(super) fn played(&mut self, connection: usize) {
        self.played[connection] = true;
    }

    /// Whether frames are still to go out on a connection that stands.
    pub(super) fn is_playing(&self) -> bool {
        let opened = self.recording.upgrades[..self.upgrades].iter();
        opened.into_iter().any(|upgrade| match upgrade {
            Upgrade::Accepted(index) => !self.played[*index],
            Upgrade::Refused(_) | Upgrade::Silence | Upgrade::Cut => false,
        })
    }

    /// Whether all that was recorded has come.
    pub(super) fn is_done(&self) -> bool {
        !self.is_playing() && self.missing().is_empty()
    }

    fn missing(&self) -> Vec<String> {
        let calls = self.recording.calls.iter().zip(&self.calls).filter(|(_, came)| !**came);
        let calls = calls.map(|(call, _)| format!("{} {}", call.method, call.path));
        let upgrades = self.recording.upgrades.len() - self.upgrades;
        let upgrades = std::iter::repeat_n("GET /connect".to_owned(), upgrades);
        let answers = self.recording.connections.iter().zip(&self.answers);
        let answers = answers.flat_map(|(connection, came)| {
            let open = connection.answers.iter().zip(came).filter(|(_, came)| !**came);
            open.map(|((id, status), _)| format!("answer {} to {id}", code(*status)))
        });
        calls.chain(upgrades).chain(answers).collect()
    }

    pub(super) fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.clone();
        outcome.missing = self.missing();
        outcome.incomplete.clone_from(&self.recording.incomplete);
        outcome.same = outcome.missing.is_empty()
            && outcome.unexpected.is_empty()
            && outcome.differing.is_empty();
        outcome
    }
}

fn code(code: Option<i64>) -> String {
    code.map_or_else(|| "without code".to_owned(), |code| code.to_string())
}
