//! Events and callbacks that are no chat messages.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Map, Value};

use super::{fields::Fields, refusal::Refusal};
use crate::{
    core::{Callback, DYNAMIC_DATA_TOPIC, Event, GRAPH_TOPIC, Said, VerbError},
    hub::Hub,
};

type Pushed = Result<(StatusCode, Json<Said>), Refusal>;

/// `POST /_mock/apps/{clientId}/events`: `{"eventType","data"?,"eventId"?}`. For `robot_msg_read`
/// and `robot_msg_recall` also `{"eventType","userId","processQueryKey"}`, from which `data` is
/// made.
pub(crate) async fn event(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Pushed {
    let mut fields = Fields::parse(&body)?;
    let event_type = fields.required_string("eventType")?;
    let about_robot = matches!(event_type.as_str(), "robot_msg_read" | "robot_msg_recall");
    let data = data(&mut fields)?;
    let said = if about_robot && data.is_none() {
        let user_id = fields.required_string("userId")?;
        let key = fields.required_string("processQueryKey")?;
        fields.finish()?;
        hub.step(|fleet, now| {
            fleet.act(now, &client_id, |app, cx| {
                app.robot_message_event(cx, &event_type, &user_id, &key)
            })
        })
    } else {
        let mut event = Event::new(event_type, data.unwrap_or_default());
        event.event_id = fields.string("eventId")?;
        fields.finish()?;
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.event(cx, &event)))
    };
    Ok((StatusCode::ACCEPTED, Json(said?)))
}

/// `POST /_mock/apps/{clientId}/callbacks`: `{"topic":"graph","method"?,"uri"?,"body"?}`,
/// `{"topic":"dynamicData","outTrackId"?,"dynamicDataSourceId"?}`, or any other topic with `data`.
pub(crate) async fn callback(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    body: Bytes,
) -> Pushed {
    let mut fields = Fields::parse(&body)?;
    let topic = fields.required_string("topic")?;
    let data = data(&mut fields)?;
    let callback = match (topic.as_str(), data) {
        ("graph" | GRAPH_TOPIC, None) => {
            let method = fields.string("method")?.unwrap_or_else(|| "POST".to_owned());
            let uri = fields.string("uri")?.unwrap_or_else(|| "/".to_owned());
            Callback::graph(&method, &uri, &fields.string("body")?.unwrap_or_default())
        }
        ("dynamicData" | DYNAMIC_DATA_TOPIC, None) => {
            let track = fields.string("outTrackId")?.unwrap_or_else(|| "dingmock-card".to_owned());
            let source = fields.string("dynamicDataSourceId")?;
            Callback::dynamic_data(&track, source.as_deref().unwrap_or("dingmock-source"))
        }
        ("graph", Some(data)) => Callback::new(GRAPH_TOPIC, data),
        ("dynamicData", Some(data)) => Callback::new(DYNAMIC_DATA_TOPIC, data),
        (_, Some(data)) => Callback::new(topic, data),
        (_, None) => return Err(fields.missing("data", "an object").into()),
    };
    fields.finish()?;
    let said =
        hub.step(|fleet, now| fleet.act(now, &client_id, |app, cx| app.callback(cx, &callback)));
    Ok((StatusCode::ACCEPTED, Json(said?)))
}

fn data(fields: &mut Fields) -> Result<Option<Map<String, Value>>, VerbError> {
    match fields.take("data") {
        None => Ok(None),
        Some(Value::Object(data)) => Ok(Some(data)),
        Some(other) => Err(fields.wrong("data", &other, "an object")),
    }
}
