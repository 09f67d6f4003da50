//! Whether the process is alive and ready, for whoever watches it.
//!
//! *Alive*: it answers, and its store takes what is written. *Ready*: alive, and messages can arrive at
//! every robot. A connection that is being replaced in order is no reason against that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, routing::MethodRouter};
use serde_json::json;

use super::linked::Linked;
use super::server::answer;
use crate::credential::ClientId;
use crate::store::Store;
use crate::stream::Hearing;
use crate::unix_time::{now_ms, utc};

/// Judges one process.
#[derive(Debug)]
pub struct Health {
    store: Arc<dyn Store>,
    linked: Arc<Linked>,
    /// The robots that there should be: account and app.
    expected: Mutex<Vec<(String, ClientId)>>,
    /// When the store was tried last, and how that ended.
    tried: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

/// A process as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Why it is not alive.
    pub dead: Option<String>,
    /// Why it is not ready; one sentence for each reason.
    pub not_ready: Vec<String>,
}

/// So long what was found out about the store is believed: whoever asks often writes no more for it.
const BELIEVED: Duration = Duration::from_secs(2);
/// A store that takes longer does not work.
const PATIENCE: Duration = Duration::from_secs(4);

impl Health {
    /// Of the robots in `linked`, which should be those of `accounts`.
    pub fn new(
        store: Arc<dyn Store>,
        linked: Arc<Linked>,
        accounts: Vec<(String, ClientId)>,
    ) -> Arc<Self> {
        let (expected, tried) = (Mutex::new(accounts), tokio::sync::Mutex::new(None));
        Arc::new(Self { store, linked, expected, tried })
    }

    /// From now on the robots should be those of `accounts`.
    pub fn expect(&self, accounts: Vec<(String, ClientId)>) {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    /// Tries the store, looks at the robots.
    pub async fn judge(&self) -> Judgement {
        let dead = self.try_store().await.err();
        let mut not_ready: Vec<_> = dead.clone().into_iter().collect();
        let robots = self.linked.all();
        let now = now_ms();
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (account, client_id) in expected {
            let robot = robots.iter().find(|robot| *robot.desk.client_id() == client_id);
            let reason = match robot.map(|robot| robot.vitals.hearing()) {
                None => "it has not started".to_owned(),
                Some(hearing) if hearing.is_well(now) => continue,
                Some(Hearing::Deaf { since, .. }) => {
                    format!("it is not connected since {}", utc(since))
                }
                Some(Hearing::NotYet | Hearing::Hears) => "it is not connected yet".to_owned(),
            };
            not_ready.push(format!("account {account}: {reason}"));
        }
        Judgement { dead, not_ready }
    }

    async fn try_store(&self) -> Result<(), String> {
        let mut tried = self.tried.lock().await;
        if let Some((at, outcome)) = &*tried
            && at.elapsed() < BELIEVED
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(PATIENCE, self.store.probe()).await {
            Ok(outcome) => outcome.map_err(|e| format!("the store takes nothing: {e}")),
            Err(_) => Err(format!("the store has not answered for {} s", PATIENCE.as_secs())),
        };
        *tried = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

/// `GET alive` and `GET ready`: 200 when it is so, 503 with reasons when not.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(
    health: &Arc<Health>,
    alive: &str,
    ready: &str,
) -> Router<S> {
    let one = |judge: fn(&Judgement) -> bool| -> MethodRouter<S> {
        let health = Arc::clone(health);
        get(async move |_: State<S>| told(&health.judge().await, judge))
    };
    Router::new()
        .route(alive, one(|judgement| judgement.dead.is_none()))
        .route(ready, one(|judgement| judgement.not_ready.is_empty()))
}

fn told(judgement: &Judgement, is_well: fn(&Judgement) -> bool) -> Response {
    let ok = is_well(judgement);
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "v": 1,
        "ok": ok,
        "alive": judgement.dead.is_none(),
        "ready": judgement.not_ready.is_empty(),
        "reasons": judgement.not_ready,
    });
    answer(status, &body)
}
