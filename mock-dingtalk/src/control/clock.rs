//! `/_mock/clock` and `/_mock/apps/{clientId}/clock`.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, parse_duration},
    refusal::Refusal,
};
use crate::{
    core::{Reading, Scale, Turn, VerbError, quoted},
    hub::Hub,
};

/// `GET /_mock/clock`.
pub(crate) async fn show(State(hub): State<Arc<Hub>>) -> Json<Value> {
    describe(hub.clock.reading())
}

/// `POST /_mock/clock`: one of `{"advance":"2h1s"}`, `{"pause":true|false}`, `{"jump":"-1h"}`,
/// `{"scale":10}`. What becomes due by it has happened when the answer comes.
pub(crate) async fn turn(State(hub): State<Arc<Hub>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let turn = read_turn(Fields::parse(&body)?)?;
    Ok(describe(hub.turn_clock(None, turn)?))
}

/// `GET /_mock/apps/{clientId}/clock`.
pub(crate) async fn show_of_app(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(describe(hub.read_clock(Some(&client_id))?))
}

/// `POST /_mock/apps/{clientId}/clock`: the same turns, of one app.
pub(crate) async fn turn_of_app(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let turn = read_turn(Fields::parse(&body)?)?;
    Ok(describe(hub.turn_clock(Some(&client_id), turn)?))
}

/// Reads exactly one of `advance`, `pause`, `jump` and `scale`.
pub(crate) fn read_turn(mut fields: Fields) -> Result<Turn, VerbError> {
    let advance = fields.duration("advance")?;
    let pause = fields.bool("pause")?;
    let jump = fields.string("jump")?;
    let scale = fields.take("scale");
    let scale = scale.map(|value| {
        let scale = value.as_f64().and_then(Scale::new);
        scale.ok_or_else(|| fields.wrong("scale", &value, Scale::ALLOWED))
    });
    let scale = scale.transpose()?;
    fields.finish()?;
    match (advance, pause, jump, scale) {
        (Some(by), None, None, None) => Ok(Turn::Advance(by)),
        (None, Some(true), None, None) => Ok(Turn::Pause),
        (None, Some(false), None, None) => Ok(Turn::Resume),
        (None, None, Some(jump), None) => {
            let by_ms = parse_jump(&jump).ok_or_else(|| {
                let allowed = "a duration with an optional sign, such as \"-1h\"";
                VerbError::invalid("jump", quoted(&jump), allowed)
            })?;
            Ok(Turn::Jump(by_ms))
        }
        (None, None, None, Some(scale)) => Ok(Turn::Scale(scale)),
        _ => {
            let value = "none or several of them";
            let allowed = "exactly one of `advance`, `pause`, `jump` and `scale`";
            Err(VerbError::invalid("the body", value, allowed))
        }
    }
}

fn parse_jump(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = i64::try_from(parse_duration(rest)?.as_millis()).ok()?;
    Some(sign * ms)
}

fn describe(reading: Reading) -> Json<Value> {
    let elapsed = u64::try_from(reading.moment.since_start.as_millis()).unwrap_or(u64::MAX);
    Json(json!({
        "unixMs": reading.moment.unix_ms,
        "sinceStartMs": elapsed,
        "paused": reading.paused,
        "scale": reading.scale,
    }))
}
