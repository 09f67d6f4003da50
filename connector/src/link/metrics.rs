//! What `GET /v1/metrics` tells: the same as the status, in the text format of Prometheus (0.0.4).

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::linked::Robot;
use super::server::Robots;
use crate::gateway::vitals::{CONNECTED, Report};
use crate::store::replicas::BUCKETS;

/// Name, kind, meaning, and the value for a robot.
type Metric = (&'static str, &'static str, &'static str, fn(&Look) -> u64);

/// A robot as it is now.
struct Look {
    client_id: String,
    attached: bool,
    open_turns: usize,
    report: Report,
}

const METRICS: [Metric; 18] = [
    ("ddingtalk_connected", "gauge", "Whether the robot is connected.", |look| {
        u64::from(look.report.connection.state == CONNECTED)
    }),
    ("ddingtalk_outages_total", "counter", "Times in which no message could arrive.", |look| {
        look.report.life.deaf.times
    }),
    ("ddingtalk_deaf_seconds_total", "counter", "How long those were together.", |look| {
        look.report.life.deaf.time.as_secs()
    }),
    ("ddingtalk_agent_attached", "gauge", "Whether an agent is attached.", |look| {
        u64::from(look.attached)
    }),
    ("ddingtalk_open_turns", "gauge", "Turns that are offered to an attached agent.", |look| {
        count(look.open_turns)
    }),
    ("ddingtalk_messages_waiting", "gauge", "Messages whose turn has not begun.", |look| {
        count(look.report.waiting)
    }),
    ("ddingtalk_turns_running", "gauge", "Turns that have begun, and are not over.", |look| {
        count(look.report.running)
    }),
    ("ddingtalk_open_cards", "gauge", "Cards that wait for their last words.", |look| {
        count(look.report.open_cards)
    }),
    ("ddingtalk_call_limit", "gauge", "Calls in any second that are let through.", |look| {
        u64::from(look.report.calls.limit)
    }),
    ("ddingtalk_calls_strained", "gauge", "Whether refusals hold calls back.", |look| {
        u64::from(look.report.calls.strained)
    }),
    ("ddingtalk_calls_this_month", "gauge", "Calls since the month began, in China.", |look| {
        look.report.calls.calls_this_month
    }),
    ("ddingtalk_calls_refused_total", "counter", "Calls refused for being too many.", |look| {
        look.report.calls.refusals
    }),
    ("ddingtalk_calls_spared_total", "counter", "Calls left out, for answers.", |look| {
        look.report.calls.spared
    }),
    (
        "ddingtalk_replicas",
        "gauge",
        "Processes that work at the robot together; 1 where it has a store for itself.",
        |look| look.report.replicas.as_ref().map_or(1, |replicas| u64::from(replicas.live)),
    ),
    (
        "ddingtalk_buckets",
        "gauge",
        "Of 64 buckets of conversations, those that are worked on here.",
        |look| {
            let replicas = look.report.replicas.as_ref();
            replicas.map_or(u64::from(BUCKETS), |replicas| count(replicas.buckets))
        },
    ),
    ("ddingtalk_leads", "gauge", "Whether schedules run here.", |look| {
        u64::from(look.report.replicas.as_ref().is_none_or(|replicas| replicas.leads))
    }),
    ("ddingtalk_database_away", "gauge", "Whether the database cannot be reached.", |look| {
        u64::from(look.report.replicas.as_ref().is_some_and(|replicas| replicas.away.is_some()))
    }),
    (
        "ddingtalk_possible_duplicates_total",
        "counter",
        "Sends that were repeated although they may have arrived.",
        |look| look.report.possible_duplicates,
    ),
];

pub(super) async fn metrics(State(robots): Robots) -> Response {
    let looks: Vec<_> = robots.all().iter().map(|robot| look(robot)).collect();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(&looks)).into_response()
}

fn look(robot: &Robot) -> Look {
    let (attached, open_turns) = robot.desk.summary();
    let client_id = robot.desk.client_id().as_str().to_owned();
    Look { client_id, attached, open_turns, report: robot.vitals.report() }
}

fn render(looks: &[Look]) -> String {
    let mut page = String::new();
    for (name, kind, meaning, value) in METRICS {
        // Writing to a String does not fail.
        let _ = writeln!(page, "# HELP {name} {meaning}\n# TYPE {name} {kind}");
        for look in looks {
            let robot = label(&look.client_id);
            let _ = writeln!(page, "{name}{{client_id=\"{robot}\"}} {}", value(look));
        }
    }
    page
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A label's value, escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::replicas::ReplicaReport;
    use crate::gateway::vitals::Connection;
    use crate::openapi::CallBudget;
    use crate::stream::life::LifeReport;

    #[test]
    fn each_robot_has_a_line_of_each_metric() {
        let replicas = ReplicaReport { live: 3, buckets: 21, leads: false, away: None };
        let look = |client_id: &str| Look {
            client_id: client_id.to_owned(),
            attached: true,
            open_turns: 2,
            report: Report {
                connection: Connection { state: CONNECTED, since: 0 },
                life: LifeReport::default(),
                waiting: 3,
                running: 4,
                calls: CallBudget {
                    limit: 20,
                    strained: false,
                    month: 0,
                    calls_this_month: 5,
                    refusals: 6,
                    spared: 7,
                },
                possible_duplicates: 8,
                open_cards: 9,
                replicas: (client_id == "ding1").then(|| replicas.clone()),
            },
        };
        insta::assert_snapshot!(render(&[look("ding1"), look("a\"b\\c")]));
    }
}
