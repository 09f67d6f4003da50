//! What `GET /v1/status` tells. No secrets: whoever may use the link may not know them all.

use std::path::Path;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::linked::{About, Missing, Robot};
use super::server::{Robots, answer};
use crate::gateway::replicas::ReplicaReport;
use crate::gateway::vitals::Report;
use crate::store::StoreAddress;
use crate::store::replicas::BUCKETS;

pub(super) async fn status(State(linked): Robots) -> Response {
    let at_work = linked.all();
    let robots = at_work.iter().map(|robot| one(robot));
    // One that failed and is started again stands in both lists: it is not at work.
    let missing = linked.missing();
    let robots =
        robots.filter(|row| missing.iter().all(|m| m.client_id.as_str() != row["clientId"]));
    let robots: Vec<_> = robots.chain(missing.iter().map(absent)).collect();
    let version = env!("CARGO_PKG_VERSION");
    let body = json!({
        "v": 1, "version": version, "process": process(linked.about()), "robots": robots,
    });
    answer(StatusCode::OK, &body)
}

fn process(about: &About) -> Value {
    let path = |path: &Path| path.display().to_string();
    json!({
        "pid": std::process::id(),
        "startedAt": about.started_at,
        "stateDir": path(&about.state_dir),
        "config": about.config.as_deref().map(path),
        "log": about.log.as_deref().map(path),
        "systemd": about.systemd,
        "store": store(&about.store),
    })
}

fn store(store: &StoreAddress) -> Value {
    match store {
        StoreAddress::File(path) => {
            json!({ "file": path.display().to_string(), "bytes": store.bytes() })
        }
        StoreAddress::Postgres(address) => json!({ "address": address.to_string() }),
    }
}

fn absent(missing: &Missing) -> Value {
    json!({
        "account": missing.account,
        "clientId": missing.client_id.as_str(),
        "stream": "down",
        "problem": missing.problem,
    })
}

/// How it stands among the processes of its robot.
fn among_others(replicas: &ReplicaReport) -> Value {
    json!({
        "live": replicas.live,
        "buckets": replicas.buckets,
        "bucketsInAll": BUCKETS,
        "leads": replicas.leads,
    })
}

fn one(robot: &Robot) -> Value {
    let (attached, open) = robot.desk.summary();
    let Report {
        connection,
        life,
        waiting,
        running,
        calls,
        possible_duplicates,
        open_cards,
        replicas,
    } = robot.vitals.report();
    let ms =
        |ago: Option<Duration>| ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
    let outages = life.outages.iter().map(|past| json!({ "at": past.at, "reason": past.reason }));
    json!({
        "account": robot.account,
        "clientId": robot.desk.client_id().as_str(),
        "agent": robot.agent.name(),
        "lacks": robot.lacks,
        "stream": connection.state,
        "streamSince": connection.since,
        "heardAgoMs": ms(life.heard_ago),
        "pongAgoMs": ms(life.pong_ago),
        "frameAgoMs": ms(life.frame_ago),
        "frames": life.frames,
        "opens": life.opens,
        "reconnects": outages.collect::<Vec<_>>(),
        "deaf": { "times": life.deaf.times, "ms": ms(Some(life.deaf.time)) },
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
        "replicas": replicas.as_ref().map(among_others),
        "databaseAway": replicas.and_then(|replicas| replicas.away).map(|away| {
            json!({ "since": away.since, "reason": away.reason })
        }),
        "possibleDuplicates": possible_duplicates,
        "openCards": open_cards,
    })
}
