//! What the processes say to each other, one JSON value a line. A release says more than the one before it, and
//! understands what that says.

use serde::{Deserialize, Serialize};

/// From a process to the one that takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(in crate::cli::gateway) enum Order {
    /// Get ready to connect.
    Begin {
        /// `clientId` of each robot at which messages arrive, and must go on to.
        connected: Vec<String>,
    },
    /// No turn begins here any more: connect.
    Connect,
    /// Nobody works here any more: take the addresses that can be taken.
    Listen,
    /// The directory and the store are free: take them, and work.
    Take {
        /// What supervised this process is to supervise that one, and is told so: [`Alone`](Self::Alone) follows.
        alone: bool,
    },
    /// This process ends; its end means nothing.
    Alone,
}

/// From a process that is to take another's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(in crate::cli::gateway) enum Report {
    /// It has a ticket for each robot, and could connect.
    Prepared,
    /// Messages arrive, and wait.
    Connected {
        /// `clientId`, and since when, in milliseconds since 1970 UTC.
        since: Vec<(String, i64)>,
    },
    /// It has taken what addresses it could.
    Listens,
    /// It works.
    Took {
        /// Its process id.
        pid: u32,
        /// Since when, in milliseconds since 1970 UTC.
        at: i64,
        /// Since when agents reach it.
        listening: i64,
        /// Since when health checks reach it.
        probed: Option<i64>,
    },
    /// It ends.
    Failed {
        /// Why.
        problem: String,
        /// What it exits with.
        exit_code: u8,
    },
}

/// What a process asks of whoever starts processes for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli::gateway) enum Request {
    /// Start one to take my place.
    Start,
    /// Tell it so.
    Tell(Order),
    /// Kill it.
    Abandon,
    /// It is in my place; my end means nothing.
    Succeeded,
}

/// What a process hears of the one that is to take its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli::gateway) enum Event {
    /// It said so.
    Report(Report),
    /// It is gone, or was never there.
    Ended(String),
    /// It was killed, if it was there, and is gone.
    Abandoned,
}

/// What is said to a process by the one that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli::gateway) enum Down {
    /// From the process before it.
    Order(Order),
    /// The keeper got this signal.
    Signal(i32),
    /// Of the process after it.
    Successor(Event),
}

/// What a process says to the one that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli::gateway) enum Up {
    /// To the process before it.
    Report(Report),
    /// To its keeper.
    Request(Request),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_that_other_releases_say() {
        let took = Report::Took { pid: 7, at: 3, listening: 1, probed: None };
        let words = [
            serde_json::to_string(&Down::Order(Order::Begin { connected: vec!["a".into()] })),
            serde_json::to_string(&Down::Order(Order::Take { alone: true })),
            serde_json::to_string(&Down::Successor(Event::Ended("gone".into()))),
            serde_json::to_string(&Up::Report(took)),
            serde_json::to_string(&Up::Request(Request::Tell(Order::Connect))),
        ];
        let words: Vec<String> = words.into_iter().map(Result::unwrap).collect();
        insta::assert_snapshot!(words.join("\n"), @r#"
        {"order":{"begin":{"connected":["a"]}}}
        {"order":{"take":{"alone":true}}}
        {"successor":{"ended":"gone"}}
        {"report":{"took":{"pid":7,"at":3,"listening":1,"probed":null}}}
        {"request":{"tell":"connect"}}
        "#);
        // A later release may say more of the same.
        let more = r#"{"order":{"take":{"alone":true,"tomorrow":1}}}"#;
        let heard: Down = serde_json::from_str(more).unwrap();
        assert_eq!(heard, Down::Order(Order::Take { alone: true }));
    }
}
