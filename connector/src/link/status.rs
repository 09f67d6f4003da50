//! What `GET /v1/status` tells. No secrets: whoever may use the link may not know them all.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::server::{Robot, Robots, answer};
use crate::gateway::vitals::Report;

pub(super) async fn status(State(robots): Robots) -> Response {
    let robots: Vec<_> = robots.all().iter().map(|robot| one(robot)).collect();
    let version = env!("CARGO_PKG_VERSION");
    answer(StatusCode::OK, &json!({ "v": 1, "version": version, "robots": robots }))
}

fn one(robot: &Robot) -> Value {
    let (attached, open) = robot.desk.summary();
    let Report { connection, waiting, running, calls, possible_duplicates, open_cards } =
        robot.vitals.report();
    json!({
        "account": robot.account,
        "clientId": robot.desk.client_id().as_str(),
        "agent": robot.agent.name(),
        "stream": connection.state,
        "streamSince": connection.since,
        "attached": attached,
        "openTurns": open,
        "queue": { "waiting": waiting, "running": running },
        "calls": {
            "perSecond": calls.limit,
            "strained": calls.strained,
            "thisMonth": calls.calls_this_month,
            "refused": calls.refusals,
            "spared": calls.spared,
        },
        "possibleDuplicates": possible_duplicates,
        "openCards": open_cards,
    })
}
