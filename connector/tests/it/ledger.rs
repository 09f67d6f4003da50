//! Numbered messages of people in many chats, what the mock has seen of them, and what must hold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use mock_dingtalk::{App, SaidState};

use crate::chats::numbered;

/// The mock forgets the oldest rows, so that they are written down as they come.
#[derive(Default)]
pub(crate) struct Ledger {
    /// `msgId`, chat and words of each message that reached a connection.
    pub(crate) said: Vec<(String, usize, String)>,
    /// Whether each message was acked, and how often it was pushed.
    pushed: HashMap<String, (bool, usize)>,
    /// What the robot said, by its position.
    answers: BTreeMap<u64, String>,
}

/// What a ledger that is right holds.
pub(crate) struct Figures {
    said: usize,
    acked: usize,
    pub(crate) unacked: usize,
    /// Of those that were never acked.
    pub(crate) unanswered: usize,
    pub(crate) twice: usize,
    /// Answers in order, by chat.
    pub(crate) chats: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { said, acked, unacked, unanswered, twice, chats } = self;
        write!(
            f,
            "{said} messages said, {acked} acked and answered, {unacked} never acked and {unanswered} of them not \
             answered, {twice} answered twice, {chats} chats in order"
        )
    }
}

impl Ledger {
    /// One more numbered message; what reaches nobody was never said.
    pub(crate) async fn say(&mut self, app: &App, chat: usize) -> SaidState {
        let say = numbered(chat, self.said.len());
        let said = app.say_with(&say).await.unwrap();
        if said.state == SaidState::Pushed {
            self.said.push((said.msg_id, chat, say.text));
        }
        said.state
    }

    /// Writes down what the mock has seen.
    pub(crate) fn note(&mut self, app: &App) {
        for row in app.deliveries().unwrap() {
            if let Some(msg_id) = row.msg_id {
                self.pushed.insert(msg_id, (row.ack.is_some(), row.attempts.len()));
            }
        }
        let sent = app.sent().unwrap().into_iter();
        self.answers.extend(sent.map(|row| (row.seq, row.text)));
    }

    /// How many messages are acked and not answered, as far as is noted.
    pub(crate) fn owed(&self) -> usize {
        let answered: HashSet<&str> = self.answers.values().map(String::as_str).collect();
        let acked = |id: &String| self.pushed.get(id).is_some_and(|(acked, _)| *acked);
        let owed =
            self.said.iter().filter(|(id, _, text)| acked(id) && !answered.contains(&**text));
        owed.count()
    }

    /// Every promise; `counted` answers may have come twice.
    pub(crate) fn check(&self, counted: usize) -> Result<Figures, String> {
        let mut answers: HashMap<&str, Vec<u64>> = HashMap::new();
        for (at, text) in &self.answers {
            answers.entry(text.as_str()).or_default().push(*at);
        }
        let twice: usize = answers.values().map(|at| at.len() - 1).sum();
        if twice > counted {
            return Err(format!("{twice} second answers, and {counted} counted"));
        }
        let (mut acked, mut unacked, mut unanswered) = (0, 0, 0);
        let mut last_of: HashMap<usize, u64> = HashMap::new();
        for (msg_id, chat, text) in &self.said {
            let Some(&(was_acked, pushes)) = self.pushed.get(msg_id) else {
                return Err("the mock has forgotten a delivery before it was seen".to_owned());
            };
            acked += usize::from(was_acked);
            unacked += usize::from(!was_acked);
            let Some(first) = answers.get(text.as_str()).and_then(|at| at.first()) else {
                if was_acked {
                    return Err(format!("acked and not answered: {text}"));
                }
                unanswered += 1;
                continue;
            };
            // What was taken in when it first came is answered in the order it came.
            if pushes == 1 {
                let last = last_of.insert(*chat, *first).unwrap_or(0);
                if last > *first {
                    return Err(format!("out of order: {text}"));
                }
            }
        }
        let (said, chats) = (self.said.len(), last_of.len());
        Ok(Figures { said, acked, unacked, unanswered, twice, chats })
    }
}
