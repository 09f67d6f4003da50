//! What came of it: `sent`, `deliveries`, `connections`, each with an optional wait.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, Uri},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{fields::Query, refusal::Refusal};
use crate::{
    core::{App, ConnectionState, VerbError},
    hub::Hub,
};

/// A wait may take so long.
pub(super) const MAX_WAIT_MS: u64 = 600_000;
/// How many older rows were forgotten, if any were.
const DROPPED: HeaderName = HeaderName::from_static("x-mock-dropped");

/// `GET /_mock/apps/{clientId}/sent?after=SEQ&count=N&wait_ms=MS`: rows after `after`; with
/// `wait_ms` once `count` of them (1 if not given) are finished, or when the time is over.
pub(crate) async fn sent(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let list = List {
        read: App::sent_after,
        counts: |row| row.finished,
        dropped: |app| app.sent.dropped(),
    };
    list.answer(&hub, &client_id, &uri).await
}

/// `GET /_mock/apps/{clientId}/deliveries?after=SEQ&count=N&wait_ms=MS`: the wait is for `count`
/// answered ones.
pub(crate) async fn deliveries(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let list = List {
        read: App::delivery_rows,
        counts: |row| row.ack.is_some(),
        dropped: |app| app.deliveries.dropped(),
    };
    list.answer(&hub, &client_id, &uri).await
}

/// `GET /_mock/apps/{clientId}/connections?count=N&wait_ms=MS`: the wait is for `count` open
/// ones; the answer holds all.
pub(crate) async fn connections(
    State(hub): State<Arc<Hub>>,
    Path(client_id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let list = List {
        // They have no numbers: the catalogue refuses `after`.
        read: |app, _| app.connection_rows(),
        counts: |row| row.state == ConnectionState::Open,
        dropped: |app| app.ended.dropped(),
    };
    list.answer(&hub, &client_id, &uri).await
}

/// Rows of an app that can be waited for.
struct List<T> {
    /// Those after a number.
    read: fn(&App, u64) -> Vec<T>,
    /// Whether a row counts for the wait.
    counts: fn(&T) -> bool,
    /// How many older ones were forgotten.
    dropped: fn(&App) -> u64,
}

impl<T: Serialize> List<T> {
    async fn answer(&self, hub: &Hub, client_id: &str, uri: &Uri) -> Result<Response, Refusal> {
        let mut query = Query::of(uri);
        let after = query.number("after")?.unwrap_or(0);
        let wait = Wait::read(&mut query)?;
        query.finish()?;
        let read = |app: &App| (self.read)(app, after);
        let counted = |rows: &Vec<T>| rows.iter().filter(|row| (self.counts)(row)).count();
        let rows = wait.until(hub, client_id, read, counted).await?;
        let dropped = hub.look(|fleet| fleet.app(client_id).map(self.dropped))?;
        Ok(respond(&rows, dropped))
    }
}

/// The wait that a call asks for.
pub(super) struct Wait {
    count: usize,
    patience: Option<Duration>,
}

impl Wait {
    pub(super) fn read(query: &mut Query) -> Result<Self, VerbError> {
        let count = query.number("count")?.unwrap_or(1);
        let patience = query.number("wait_ms")?;
        if let Some(patience) = patience.filter(|patience| *patience > MAX_WAIT_MS) {
            let allowed = format!("at most {MAX_WAIT_MS}");
            return Err(VerbError::invalid("wait_ms", patience.to_string(), allowed));
        }
        let patience = patience.map(Duration::from_millis);
        Ok(Self { count: usize::try_from(count).unwrap_or(usize::MAX), patience })
    }

    /// The rows when there are enough of them, or what there is when patience is out.
    pub(super) async fn until<T>(
        &self,
        hub: &Hub,
        client_id: &str,
        read: impl Fn(&App) -> Vec<T>,
        counted: impl Fn(&Vec<T>) -> usize,
    ) -> Result<Vec<T>, VerbError> {
        if let Some(patience) = self.patience {
            let enough = |app: &App| {
                let rows = read(app);
                (counted(&rows) >= self.count).then_some(rows)
            };
            if let Some(rows) = hub.wait(client_id, patience, enough).await? {
                return Ok(rows);
            }
        }
        hub.look(|fleet| fleet.app(client_id).map(read))
    }
}

pub(super) fn respond<T: Serialize>(rows: &[T], dropped: u64) -> Response {
    let mut response = Json(rows).into_response();
    if dropped > 0 {
        response.headers_mut().insert(DROPPED, HeaderValue::from(dropped));
    }
    response
}
