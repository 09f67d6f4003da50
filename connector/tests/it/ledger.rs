//! What was said, acked and answered, as the mock saw it, and whether that is as promised.

use std::collections::{BTreeMap, HashMap, HashSet};

use mock_dingtalk::{App, DeliveryRow, DeliveryState, Profile, SaidState, Say};

/// When a message comes again that was not acked, in milliseconds after it came.
const AGAIN_MS: i64 = 60_000;

/// A numbered message that reached a connection of the program.
#[derive(Debug, Clone)]
pub(crate) struct SaidRow {
    pub(crate) msg_id: String,
    pub(crate) chat: usize,
    pub(crate) text: String,
    /// When, in the mock's milliseconds since 1970 UTC.
    pub(crate) at: i64,
}

/// What became of a message's delivery.
#[derive(Debug, Clone, Copy)]
struct Pushed {
    /// How many milliseconds after the push that it answers the first ack came.
    acked_after: Option<u64>,
    pushes: usize,
}

/// The mock forgets the oldest rows, so that they are written down as they come.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) said: Vec<SaidRow>,
    pushed: HashMap<String, Pushed>,
    /// What the robot said and when, by its position.
    answers: BTreeMap<u64, (String, i64)>,
}

/// What was found to hold.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) said: usize,
    pub(crate) acked: usize,
    pub(crate) unacked: usize,
    /// Of these, those that were not answered either.
    pub(crate) unanswered: usize,
    /// Second answers.
    pub(crate) twice: usize,
    /// Chats with answers whose order was looked at.
    pub(crate) chats: usize,
    /// Messages whose order was not looked at, since they were acked late, or came twice.
    pub(crate) late: usize,
}

impl Ledger {
    /// Says it; what reaches nobody was never said.
    pub(crate) async fn say(&mut self, app: &App, chat: usize, say: &Say) -> SaidState {
        let at = app.clock().unix_ms();
        let said = app.say_with(say).await.unwrap();
        if said.state == SaidState::Pushed {
            let (msg_id, text) = (said.msg_id, say.text.clone());
            self.said.push(SaidRow { msg_id, chat, text, at });
        }
        said.state
    }

    /// Writes down what the mock has seen.
    pub(crate) fn note(&mut self, app: &App) {
        for row in app.deliveries().unwrap() {
            let acked_after = row.ack.as_ref().map(|ack| ack.after_ms);
            if let Some(msg_id) = row.msg_id {
                self.pushed.insert(msg_id, Pushed { acked_after, pushes: row.attempts.len() });
            }
        }
        let sent = app.sent().unwrap().into_iter();
        self.answers.extend(sent.map(|row| (row.seq, (row.text, row.at))));
    }

    fn answered(&self) -> HashSet<&str> {
        self.answers.values().map(|(text, _)| text.as_str()).collect()
    }

    fn is_acked(&self, said: &SaidRow) -> bool {
        self.pushed.get(&said.msg_id).is_some_and(|pushed| pushed.acked_after.is_some())
    }

    /// What is acked and not answered.
    pub(crate) fn owed(&self) -> Vec<&SaidRow> {
        let answered = self.answered();
        let owed = |said: &&SaidRow| self.is_acked(said) && !answered.contains(said.text.as_str());
        self.said.iter().filter(owed).collect()
    }

    /// What is acked and not answered, or pushed and not acked though it can come again.
    pub(crate) fn open(&mut self, app: &App, profile: Profile) -> usize {
        self.note(app);
        let now = app.clock().unix_ms();
        let comes_again = |row: &&DeliveryRow| {
            let waits = matches!(row.state, DeliveryState::Queued | DeliveryState::Sent);
            // The gateway tries twice at most, and the second time only if somebody is connected then; what
            // neither try brought was never taken.
            let due = row.attempts.first().map_or(i64::MAX, |first| first.at + AGAIN_MS);
            profile != Profile::Documented && row.ack.is_none() && waits && due >= now
        };
        let rows = app.deliveries().unwrap();
        self.owed().len() + rows.iter().filter(comes_again).count()
    }

    /// How long the answer to half of the acked messages took at most, in milliseconds.
    pub(crate) fn median_ms(&self) -> i64 {
        let mut waits: Vec<_> =
            self.times().iter().map(|(said, answered)| answered - said).collect();
        waits.sort_unstable();
        waits.get(waits.len() / 2).copied().unwrap_or(0)
    }

    /// When each message that was acked at its first push was said and answered, in the order they were said.
    pub(crate) fn times(&self) -> Vec<(i64, i64)> {
        let mut first: HashMap<&str, i64> = HashMap::new();
        for (text, at) in self.answers.values() {
            first.entry(text).or_insert(*at);
        }
        // What came again waited for that, and for nobody here.
        let once = |said: &&SaidRow| self.pushed.get(&said.msg_id).is_some_and(|p| p.pushes == 1);
        let acked = self.said.iter().filter(|said| self.is_acked(said)).filter(once);
        acked.filter_map(|said| Some((said.at, *first.get(said.text.as_str())?))).collect()
    }

    /// Whether every promise was kept. The program has `counted` sends that may be second ones. Order is looked at
    /// where a message was acked when it first came and, where several processes take them in, `promptly`: after
    /// so many milliseconds at most.
    pub(crate) fn check(&self, counted: usize, promptly: Option<u64>) -> Result<Figures, String> {
        let mut answers: HashMap<&str, Vec<u64>> = HashMap::new();
        for (at, (text, _)) in &self.answers {
            answers.entry(text.as_str()).or_default().push(*at);
        }
        let twice: usize = answers.values().map(|at| at.len() - 1).sum();
        if twice > counted {
            return Err(format!("{twice} second answers, and {counted} counted"));
        }
        let mut figures = Figures { said: self.said.len(), twice, ..Figures::default() };
        let mut last_of: HashMap<usize, (u64, &str)> = HashMap::new();
        for said in &self.said {
            let Some(pushed) = self.pushed.get(&said.msg_id) else {
                return Err("the mock has forgotten a delivery before it was seen".to_owned());
            };
            let Some(after) = pushed.acked_after else {
                figures.unacked += 1;
                figures.unanswered += usize::from(!answers.contains_key(said.text.as_str()));
                continue;
            };
            figures.acked += 1;
            let Some(first) = answers.get(said.text.as_str()).and_then(|at| at.first()) else {
                return Err(format!("acked and not answered: {}", said.text));
            };
            // What was acked when it first came is answered in the order it came.
            if pushed.pushes > 1 || promptly.is_some_and(|most| after > most) {
                figures.late += 1;
                continue;
            }
            let (last, before) = last_of.insert(said.chat, (*first, &said.text)).unwrap_or((0, ""));
            if last > *first {
                return Err(format!("out of order: {} was answered after {before}", said.text));
            }
        }
        figures.chats = last_of.len();
        Ok(figures)
    }
}
