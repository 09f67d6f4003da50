//! `GET /_mock/events`: the journal as it is written, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::Uri,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{fields::Query, refusal::Refusal};
use crate::{core::Entry, hub::Hub};

/// `GET /_mock/events?app=`: each entry is an event `entry` with the entry's JSON; whoever reads
/// too slowly gets `dropped` with the number of entries missed.
pub(crate) async fn stream(
    State(hub): State<Arc<Hub>>,
    uri: Uri,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let mut query = Query::of(&uri);
    let app = query.string("app");
    query.finish()?;
    if let Some(app) = &app {
        hub.look(|fleet| fleet.require(app).map(|_| ()))?;
    }
    // The comment that opens the stream tells a browser at once that it is connected.
    let opening = stream::once(async { Ok(Event::default().comment("open")) });
    let events = opening.chain(entries(hub.entries(), app));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn entries(
    entries: Receiver<Arc<Entry>>,
    app: Option<String>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((entries, app), |(mut entries, app)| async move {
        loop {
            let event = match entries.recv().await {
                Ok(entry) if app.is_some() && entry.app.as_deref() != app.as_deref() => continue,
                Ok(entry) => Event::default().event("entry").json_data(&*entry),
                Err(RecvError::Lagged(count)) => {
                    Ok(Event::default().event("dropped").data(count.to_string()))
                }
                Err(RecvError::Closed) => return None,
            };
            if let Ok(event) = event {
                return Some((Ok(event), (entries, app)));
            }
        }
    })
}
