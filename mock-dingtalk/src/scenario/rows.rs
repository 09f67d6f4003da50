//! Whether an app's rows are as an expectation wants them.

use super::expectation::{Acked, Besides, Connections, Sent};
use crate::{
    core::{App, ConnectionRow, ConnectionState, DeliveryRow, Said, SentRow},
    remote::Rows,
};

/// An app as expectations see it.
pub(super) trait Seen {
    fn delivery_rows(&self) -> Vec<DeliveryRow>;
    fn sent_rows(&self) -> Vec<SentRow>;
    fn connection_rows(&self) -> Vec<ConnectionRow>;
}

impl Seen for App {
    fn delivery_rows(&self) -> Vec<DeliveryRow> {
        self.delivery_rows(0)
    }

    fn sent_rows(&self) -> Vec<SentRow> {
        self.sent_rows()
    }

    fn connection_rows(&self) -> Vec<ConnectionRow> {
        self.connection_rows()
    }
}

impl Seen for Rows {
    fn delivery_rows(&self) -> Vec<DeliveryRow> {
        self.deliveries.clone()
    }

    fn sent_rows(&self) -> Vec<SentRow> {
        self.sent.clone()
    }

    fn connection_rows(&self) -> Vec<ConnectionRow> {
        self.connections.clone()
    }
}

/// Why rows are not as they should be.
#[derive(Debug)]
pub(super) enum Gap {
    /// Time may close it.
    NotYet(String),
    /// Nothing will.
    Never(String),
}

pub(super) type Fits = Result<(), Gap>;

fn not_yet(what: impl Into<String>) -> Fits {
    Err(Gap::NotYet(what.into()))
}

fn never(what: impl Into<String>) -> Fits {
    Err(Gap::Never(what.into()))
}

impl Acked {
    pub(super) fn fits(&self, app: &dyn Seen, said: &Said) -> Fits {
        let rows = app.delivery_rows();
        let Some(row) = rows.iter().find(|row| is_push_of(row, said)) else {
            return never(format!("the push `{}` is not kept any more", self.of));
        };
        if let Some(attempts) = self.attempts {
            let made = row.attempts.len();
            if made > attempts {
                return never(format!("`{}` was pushed {made} times, not {attempts}", self.of));
            }
            if made < attempts {
                return not_yet(format!("`{}` was pushed {made} of {attempts} times", self.of));
            }
        }
        let Some(ack) = &row.ack else {
            return not_yet(format!("`{}` has no answer; it is {:?}", self.of, row.state));
        };
        if ack.code != Some(self.code) {
            return never(format!("`{}` got code {:?}, not {}", self.of, ack.code, self.code));
        }
        if ack.on_other_connection {
            return never(format!("the answer to `{}` came on another connection", self.of));
        }
        if let Some(most) = self.at_most
            && u128::from(ack.after_ms) > most.as_millis()
        {
            return never(format!(
                "the answer to `{}` came after {} ms, later than {most:?}",
                self.of, ack.after_ms
            ));
        }
        if !self.data_has.is_empty() {
            let data = ack.data.as_deref().unwrap_or_default();
            let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            if let Some(name) = self.data_has.iter().find(|name| data.get(name).is_none()) {
                return never(format!("`data` of the answer to `{}` has no `{name}`", self.of));
            }
        }
        match self.times {
            Some(times) if row.acks > times => {
                never(format!("`{}` got {} answers, not {times}", self.of, row.acks))
            }
            Some(times) if row.acks < times => {
                not_yet(format!("`{}` got {} of {times} answers", self.of, row.acks))
            }
            _ => Ok(()),
        }
    }
}

fn is_push_of(row: &DeliveryRow, said: &Said) -> bool {
    row.message_id == said.message_id
        || row.attempts.iter().any(|attempt| attempt.message_id == said.message_id)
        || (!said.msg_id.is_empty() && row.msg_id.as_ref() == Some(&said.msg_id))
}

impl Sent {
    pub(super) fn fits(&self, app: &dyn Seen, chat: Option<&Said>) -> Fits {
        let mut rows = app.sent_rows();
        if let Some(said) = chat {
            rows.retain(|row| row.conversation_id == said.conversation_id);
        }
        let mut taken = Vec::with_capacity(self.texts.len());
        for text in &self.texts {
            let free = |index: &usize| !taken.contains(index);
            let found = (0..rows.len()).filter(free).find(|at| self.matches(&rows[*at], text));
            let Some(found) = found else {
                return not_yet(format!("{text:?} was not said; said was {}", shown(&rows)));
            };
            taken.push(found);
        }
        let free = rows.iter().enumerate().filter(|(at, _)| !taken.contains(at));
        let again = free.map(|(_, row)| row).find(|row| {
            self.besides == Besides::NoneAgain
                && self.texts.iter().any(|text| self.matches(row, text))
        });
        if let Some(row) = again {
            return never(format!("{:?} was said too often: {}", row.text, shown(&rows)));
        }
        if self.in_order && !taken.is_sorted() {
            return never(format!("said in another order: {}", shown(&rows)));
        }
        if self.besides == Besides::Nothing && rows.len() > taken.len() {
            return never(format!("said was more than {:?}: {}", self.texts, shown(&rows)));
        }
        let wrong_way = taken
            .iter()
            .map(|at| &rows[*at])
            .find(|row| !self.via.is_empty() && !self.via.iter().any(|via| via == row.via));
        match wrong_way {
            Some(row) => {
                never(format!("{:?} was said by {}, not {:?}", row.text, row.via, self.via))
            }
            None => Ok(()),
        }
    }

    /// Blanks around a text don't count: DingTalk leaves one where it cut a mention out.
    fn matches(&self, row: &SentRow, text: &str) -> bool {
        let (said, text) = (row.text.trim(), text.trim());
        row.finished && if self.parts { said.contains(text) } else { said == text }
    }
}

fn shown(rows: &[SentRow]) -> String {
    let texts: Vec<String> = rows
        .iter()
        .map(|row| format!("{:?}", row.text.chars().take(60).collect::<String>()))
        .collect();
    format!("[{}]", texts.join(", "))
}

impl Connections {
    pub(super) fn fits(&self, app: &dyn Seen) -> Fits {
        let rows = app.connection_rows();
        let count = |state| rows.iter().filter(|row| row.state == state).count();
        let (open, draining) = (count(ConnectionState::Open), count(ConnectionState::Draining));
        let made = rows.len();
        let seen = format!("{open} open, {draining} draining, {made} made in all");
        if self.at_most.is_some_and(|most| made > most) {
            return never(format!("more connections than {:?}: {seen}", self.at_most));
        }
        if self.made.is_some_and(|wanted| made > wanted) {
            return never(format!("more connections were made than {:?}: {seen}", self.made));
        }
        let wants = [(self.open, open), (self.draining, draining), (self.made, made)];
        if wants.iter().any(|(wanted, seen)| wanted.is_some_and(|wanted| wanted != *seen)) {
            return not_yet(format!("the connections are {seen}"));
        }
        if self.overlapping {
            let mut lives: Vec<_> = rows.iter().map(|row| (row.opened_at, row.closed_at)).collect();
            lives.sort_unstable();
            let gap = lives.windows(2).find_map(|two| {
                let (ended, next) = (two[0].1?, two[1].0);
                (ended < next).then(|| next - ended)
            });
            if let Some(ms) = gap {
                return never(format!("no connection was open for {ms} ms: {seen}"));
            }
        }
        for row in rows.iter().filter(|row| row.state == ConnectionState::Open) {
            let id = &row.connection_id;
            let missing = self.subscribed.iter().find(|topic| !row.subscriptions.contains(topic));
            if let Some(topic) = missing {
                let has = &row.subscriptions;
                return never(format!(
                    "connection {id} is not subscribed to {topic}, but to {has:?}"
                ));
            }
            if self.ponged && row.last_pong_at.is_none() {
                return not_yet(format!("connection {id} answered no SYSTEM ping"));
            }
        }
        Ok(())
    }
}
