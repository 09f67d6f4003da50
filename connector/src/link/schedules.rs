//! Schedules: what is sent at given times.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{BadField, Fields};
use super::linked::Linked;
use super::parameters::{Path, Query};
use super::server::{Answer, Refusal, Robots, answer, find};
use crate::gateway::push::{Target, TargetError};
use crate::gateway::schedules::{ScheduleError, Schedules, Wanted};
use crate::schedule::{Missed, Timing, Zone};
use crate::store::schedules::{Run, Schedule, ScheduleId, Task};

/// Whose schedule it is, and how many of its runs are told.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    #[serde(rename = "clientId")]
    client_id: Option<String>,
    limit: Option<usize>,
}

/// Runs that are told without a limit.
const RUNS: usize = 20;

impl From<ScheduleError> for Refusal {
    fn from(e: ScheduleError) -> Self {
        let status = match e {
            ScheduleError::Timing(_) | ScheduleError::Never(_) | ScheduleError::Target(_) => {
                StatusCode::BAD_REQUEST
            }
            ScheduleError::Unknown(_) => StatusCode::NOT_FOUND,
            ScheduleError::TooMany | ScheduleError::Busy(_) | ScheduleError::Elsewhere => {
                StatusCode::CONFLICT
            }
            ScheduleError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, e.to_string())
    }
}

pub(super) async fn list(State(robots): Robots, Query(which): Query<Which>) -> Answer {
    let all = schedules(&robots, &which)?.list().await?;
    let rows: Vec<_> = all.iter().map(row).collect();
    Ok(answer(StatusCode::OK, &json!({ "v": 1, "schedules": rows })))
}

/// `{"to", "text" | "agent", "every" | "cron" | "at", "tz"?, "name"?, "missed"?, "clientId"?}`.
pub(super) async fn add(State(robots): Robots, body: Bytes) -> Answer {
    let mut fields = Fields::body(&body)?;
    let client_id = fields.text("clientId")?;
    let schedules = Arc::clone(&find(&robots, client_id.as_deref())?.schedules);
    let wanted = wanted(fields, schedules.now())?;
    // Whoever asks may hang up, which must not undo half of it.
    let added = tokio::spawn(async move { schedules.add(wanted).await }).await??;
    Ok(told(&added))
}

pub(super) async fn remove(
    State(robots): Robots,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
) -> Answer {
    schedules(&robots, &which)?.remove(ScheduleId(id)).await?;
    Ok(answer(StatusCode::OK, &json!({ "v": 1, "id": id, "status": "removed" })))
}

pub(super) async fn enable(
    State(robots): Robots,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
) -> Answer {
    Ok(told(&schedules(&robots, &which)?.switch(ScheduleId(id), true).await?))
}

pub(super) async fn disable(
    State(robots): Robots,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
) -> Answer {
    Ok(told(&schedules(&robots, &which)?.switch(ScheduleId(id), false).await?))
}

pub(super) async fn run(
    State(robots): Robots,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
) -> Answer {
    let schedules = schedules(&robots, &which)?;
    let ran = tokio::spawn(async move { schedules.run(ScheduleId(id)).await }).await??;
    Ok(answer(StatusCode::OK, &json!({ "v": 1, "run": run_row(&ran) })))
}

pub(super) async fn runs(
    State(robots): Robots,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
) -> Answer {
    let schedules = schedules(&robots, &which)?;
    let runs = schedules.runs(ScheduleId(id), which.limit.unwrap_or(RUNS)).await?;
    let rows: Vec<_> = runs.iter().map(run_row).collect();
    Ok(answer(StatusCode::OK, &json!({ "v": 1, "runs": rows })))
}

fn schedules(robots: &Linked, which: &Which) -> Result<Arc<Schedules>, Refusal> {
    Ok(Arc::clone(&find(robots, which.client_id.as_deref())?.schedules))
}

fn wanted(mut fields: Fields, now: i64) -> Result<Wanted, Refusal> {
    let to = fields.needed("to")?;
    let to: Target = to.parse().map_err(|e: TargetError| BadField {
        allowed: e.to_string().trim_start_matches("give ").to_owned(),
        ..BadField::new("to", Some(&Value::from(to.as_str())), "")
    })?;
    let task = match (fields.text("text")?, fields.text("agent")?) {
        (Some(text), None) => Task::Text(text),
        (None, Some(prompt)) => Task::Agent(prompt),
        _ => return Err(one_of("what is sent", "text, agent").into()),
    };
    let (every, cron, at) = (fields.text("every")?, fields.text("cron")?, fields.text("at")?);
    let tz = fields.text("tz")?;
    let name = fields.text("name")?;
    let missed = match fields.text("missed")?.as_deref() {
        None | Some("once") => Missed::Once,
        Some("skip") => Missed::Skip,
        Some("all") => Missed::All,
        Some(other) => {
            let value = Value::from(other);
            return Err(BadField::new("missed", Some(&value), "one of skip, once, all").into());
        }
    };
    fields.end()?;
    let zone = Zone::named(tz.as_deref()).map_err(ScheduleError::from)?;
    let timing = match (every, cron, at) {
        (Some(every), None, None) => Timing::every(&every, now),
        (None, Some(cron), None) => Timing::cron(&cron, &zone),
        (None, None, Some(at)) => Timing::at(&at, &zone, now),
        _ => return Err(one_of("the time", "every, cron, at").into()),
    };
    let timing = timing.map_err(ScheduleError::from)?;
    Ok(Wanted { name, timing, to, task, missed })
}

fn one_of(field: &str, names: &str) -> BadField {
    BadField {
        field: field.to_owned(),
        value: "missing or given twice".to_owned(),
        allowed: format!("exactly one of {names}"),
    }
}

fn told(schedule: &Schedule) -> axum::response::Response {
    answer(StatusCode::OK, &json!({ "v": 1, "schedule": row(schedule) }))
}

fn row(schedule: &Schedule) -> Value {
    let Schedule { id, name, timing, to, task, missed, enabled, created_at, next_at } = schedule;
    let mut row = json!({
        "id": id.0,
        "name": name,
        "when": timing.words(),
        "to": to,
        "missed": missed,
        "enabled": enabled,
        "createdAt": created_at,
        "nextAt": next_at.filter(|_| *enabled),
    });
    let (kind, words) = match task {
        Task::Text(text) => ("text", text),
        Task::Agent(prompt) => ("agent", prompt),
    };
    row[kind] = words.as_str().into();
    row
}

fn run_row(run: &Run) -> Value {
    json!({
        "id": run.id.0,
        "dueAt": run.due_at,
        "begunAt": run.begun_at,
        "endedAt": run.ended_at,
        "status": run.state.name(),
        "detail": run.detail,
    })
}
