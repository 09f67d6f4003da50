//! `/_mock/clock`.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State};
use serde_json::{Value, json};

use super::{
    fields::{Fields, parse_duration},
    refusal::Refusal,
};
use crate::{
    core::{Moment, VerbError, quoted},
    hub::Hub,
};

/// `GET /_mock/clock`.
pub(crate) async fn show(State(hub): State<Arc<Hub>>) -> Json<Value> {
    describe(&hub, hub.clock.now())
}

/// `POST /_mock/clock`: one of `{"advance":"2h1s"}`, `{"pause":true|false}`, `{"jump":"-1h"}`.
/// What becomes due by it has happened when the answer comes.
pub(crate) async fn turn(State(hub): State<Arc<Hub>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::parse(&body)?;
    let advance = fields.duration("advance")?;
    let pause = fields.bool("pause")?;
    let jump = fields.string("jump")?;
    fields.finish()?;
    let now = match (advance, pause, jump) {
        (Some(by), None, None) => hub.turn_clock(|clock| clock.advance(by)),
        (None, Some(true), None) => hub.turn_clock(crate::clock::Clock::pause),
        (None, Some(false), None) => hub.turn_clock(crate::clock::Clock::resume),
        (None, None, Some(jump)) => {
            let by = parse_jump(&jump).ok_or_else(|| {
                let allowed = "a duration with an optional sign, such as \"-1h\"";
                VerbError::invalid("jump", quoted(&jump), allowed)
            })?;
            hub.turn_clock(|clock| clock.jump(by))
        }
        _ => {
            let value = "none or several of them";
            let allowed = "exactly one of `advance`, `pause` and `jump`";
            return Err(VerbError::invalid("the body", value, allowed).into());
        }
    };
    Ok(describe(&hub, now))
}

fn parse_jump(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = i64::try_from(parse_duration(rest)?.as_millis()).ok()?;
    Some(sign * ms)
}

fn describe(hub: &Hub, now: Moment) -> Json<Value> {
    let elapsed = u64::try_from(now.since_start.as_millis()).unwrap_or(u64::MAX);
    Json(json!({
        "unixMs": now.unix_ms,
        "sinceStartMs": elapsed,
        "paused": hub.clock.is_paused(),
    }))
}
