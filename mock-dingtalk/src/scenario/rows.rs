//! Whether an app's rows are as an expectation wants them.

use std::collections::{BTreeMap, BTreeSet};

use super::expectation::{Acked, Besides, Connections, Hit, Sent};
use crate::{
    core::{App, ConnectionRow, ConnectionState, DeliveryRow, Media, Said, SentRow},
    remote::Rows,
};

/// An app as expectations see it.
pub(super) trait Seen {
    fn delivery_rows(&self) -> Vec<DeliveryRow>;
    fn sent_rows(&self) -> Vec<SentRow>;
    fn connection_rows(&self) -> Vec<ConnectionRow>;
    /// How often the fault with this id acted, if it is there.
    fn hits(&self, fault: u64) -> Option<u64>;
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

    fn hits(&self, fault: u64) -> Option<u64> {
        self.faults.rows().iter().find(|row| row.id == fault).map(|row| row.hits)
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

    fn hits(&self, fault: u64) -> Option<u64> {
        let row = self.faults.iter().find(|row| row["id"].as_u64() == Some(fault));
        row.and_then(|row| row["hits"].as_u64())
    }
}

/// How many connections other clients have, which the scenario has let join.
pub(super) fn peers(seen: &dyn Seen) -> usize {
    let rows = seen.connection_rows();
    rows.iter().filter(|row| row.is_peer() && row.state == ConnectionState::Open).count()
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

pub(super) fn not_yet(what: impl Into<String>) -> Fits {
    Err(Gap::NotYet(what.into()))
}

pub(super) fn never(what: impl Into<String>) -> Fits {
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

pub(super) fn is_push_of(row: &DeliveryRow, said: &Said) -> bool {
    row.message_id == said.message_id
        || row.attempts.iter().any(|attempt| attempt.message_id == said.message_id)
        || (!said.msg_id.is_empty() && row.msg_id.as_ref() == Some(&said.msg_id))
}

/// Whether each text that was acked was said in its chat as well, and none more often than people
/// had written it.
pub(super) fn all_answered(seen: &dyn Seen, texts: &[(Said, String)]) -> Fits {
    let deliveries = seen.delivery_rows();
    let is_acked = |said: &Said| {
        let row = deliveries.iter().find(|row| is_push_of(row, said));
        row.and_then(|row| row.ack.as_ref()).is_some_and(|ack| ack.code == Some(200))
    };
    let mut due: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for (said, text) in texts {
        let (acked, written) = due.entry((&said.conversation_id, text.trim())).or_default();
        *acked += usize::from(is_acked(said));
        *written += 1;
    }
    let rows = seen.sent_rows();
    for ((chat, text), (acked, written)) in due {
        let is_answer = |row: &&SentRow| {
            row.finished && row.conversation_id == *chat && row.text.trim() == text
        };
        let answers = rows.iter().filter(is_answer).count();
        if answers > written {
            return never(format!("{text:?} was written {written} and said {answers} times"));
        }
        if answers < acked {
            return not_yet(format!("{text:?} was acked {acked} and said {answers} times"));
        }
    }
    Ok(())
}

impl Hit {
    pub(super) fn fits(&self, seen: &dyn Seen, fault: Option<u64>) -> Fits {
        match fault.and_then(|fault| seen.hits(fault)) {
            None => never(format!("the fault `{}` is not there", self.of)),
            Some(hits) if hits < self.times => {
                not_yet(format!("`{}` acted {hits} of {} times", self.of, self.times))
            }
            Some(_) => Ok(()),
        }
    }
}

impl Sent {
    pub(super) fn fits(
        &self,
        app: &dyn Seen,
        chat: Option<&Said>,
        files: &BTreeMap<&str, &[Media]>,
    ) -> Fits {
        let mut rows = app.sent_rows();
        if let Some(said) = chat {
            rows.retain(|row| row.conversation_id == said.conversation_id);
        }
        if rows.iter().filter(|row| row.finished).count() < self.at_least {
            return not_yet(format!("fewer than {} messages: {}", self.at_least, shown(&rows)));
        }
        if let Some(count) = self.numbers {
            counts_up(&rows, count)?;
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
        for wanted in &self.files {
            let file = files.get(wanted.of.as_str()).and_then(|files| files.get(wanted.index));
            let Some(file) = file else {
                return never(format!("`{}` has no file {}", wanted.of, wanted.index));
            };
            let mut free = (0..rows.len()).filter(|index| !taken.contains(index));
            let found = free.find_map(|at| Some((at, wanted.matches(&rows[at], file)?)));
            match found {
                Some((at, Ok(()))) => taken.push(at),
                Some((_, Err(what))) => return never(what),
                None => {
                    let (of, index) = (&wanted.of, wanted.index);
                    let said = shown(&rows);
                    return not_yet(format!(
                        "file {index} of `{of}` was not sent; said was {said}"
                    ));
                }
            }
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
        // Where nothing is listed, all that was said is meant.
        let listed = !self.texts.is_empty() || !self.files.is_empty();
        let wrong_way = rows
            .iter()
            .enumerate()
            .filter(|(at, row)| if listed { taken.contains(at) } else { row.finished })
            .map(|(_, row)| row)
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

/// Numbers among the words are 0, 1, 2 and so on, below `count`.
fn counts_up(rows: &[SentRow], count: u64) -> Fits {
    let finished = rows.iter().filter(|row| row.finished);
    let words = finished.flat_map(|row| row.text.split_whitespace());
    let mut next = 0;
    for number in words.filter_map(|word| word.parse::<u64>().ok()) {
        if number != next {
            return never(format!("{number} was said where {next} comes: {}", shown(rows)));
        }
        next += 1;
    }
    match next.cmp(&count) {
        std::cmp::Ordering::Less => not_yet(format!("said were {next} of {count} numbers")),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => never(format!("said were {next} numbers, not {count}")),
    }
}

fn shown(rows: &[SentRow]) -> String {
    let texts: Vec<String> = rows
        .iter()
        .map(|row| match &row.media {
            Some(media) => format!("{} {}", row.msgtype, media["name"]),
            None => format!("{:?}", row.text.chars().take(60).collect::<String>()),
        })
        .collect();
    format!("[{}]", texts.join(", "))
}

impl Connections {
    /// `before` are the connections that were there when something was done to them last.
    pub(super) fn fits(&self, app: &dyn Seen, before: &BTreeSet<String>) -> Fits {
        let mut rows = app.connection_rows();
        rows.retain(|row| !row.is_peer());
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
        let fresh = rows.iter().filter(|row| !before.contains(&row.connection_id)).count();
        if self.fresh.is_some_and(|least| fresh < least) {
            return not_yet(format!("only {fresh} connections are fresh: {seen}"));
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
        if open == 0 && (self.ponged || !self.subscribed.is_empty()) {
            return not_yet(format!("no connection is open: {seen}"));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};

    use super::{Gap, Seen};
    use crate::{
        control::Fields,
        core::{ConnectionRow, DeliveryRow, SentRow},
        scenario::expectation::{EXPECTATIONS, Expectation},
    };

    /// Rows as the control API shows them.
    #[derive(Default)]
    struct Shown {
        sent: Vec<SentRow>,
        connections: Vec<ConnectionRow>,
    }

    impl Seen for Shown {
        fn delivery_rows(&self) -> Vec<DeliveryRow> {
            Vec::new()
        }

        fn sent_rows(&self) -> Vec<SentRow> {
            self.sent.clone()
        }

        fn connection_rows(&self) -> Vec<ConnectionRow> {
            self.connections.clone()
        }

        fn hits(&self, _: u64) -> Option<u64> {
            None
        }
    }

    fn expectation(kind: &str, body: Value) -> Expectation {
        let (_, read) = EXPECTATIONS.iter().find(|(name, _)| *name == kind).unwrap();
        let Value::Object(members) = body else { panic!("an object") };
        read(Fields::within("", members)).unwrap()
    }

    fn row(via: &str, text: &str) -> SentRow {
        let row = json!({
            "seq": 1, "via": via, "to": "user0001", "conversationId": "c", "msgtype": "text",
            "text": text, "media": null, "raw": {}, "at": 0, "finished": true,
        });
        let known: Map<String, Value> = row.as_object().unwrap().clone();
        serde_json::from_value(known.into()).unwrap()
    }

    #[test]
    fn a_way_is_looked_at_where_only_a_number_of_messages_is_given() {
        let rows = [row("batchSend", "0 1"), row("sessionWebhook", "2")];
        let shown = Shown { sent: rows.to_vec(), ..Shown::default() };
        for (body, good) in [
            (json!({"atLeast": 1, "via": ["batchSend"]}), false),
            (json!({"numbers": 3, "via": ["batchSend"]}), false),
            (json!({"atLeast": 2, "via": ["batchSend", "sessionWebhook"]}), true),
            (json!({"texts": ["0 1"], "via": ["batchSend"]}), true),
        ] {
            let Expectation::Sent(sent) = expectation("sent", body.clone()) else { panic!() };
            let fits = sent.fits(&shown, None, &std::collections::BTreeMap::new());
            assert_eq!(fits.is_ok(), good, "{body}: {fits:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_connections_while_there_is_none() {
        for body in [json!({"subscribed": ["CALLBACK /a"]}), json!({"ponged": true})] {
            let wanted = expectation("connections", body);
            let Expectation::Connections(connections) = wanted else { panic!() };
            let fits = connections.fits(&Shown::default(), &BTreeSet::new());
            assert!(matches!(fits, Err(Gap::NotYet(_))), "{fits:?}");
        }
    }
}
