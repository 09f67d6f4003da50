//! Whether the process is alive and ready, for whoever watches it.
//!
//! *Alive*: it answers, and its store takes what is written. *Ready*: alive, and messages can arrive at
//! every robot. A connection that is being replaced in order is no reason against that. A database on another
//! machine that is away is none against being alive: a restart would not bring it back.

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
use crate::store::{Store, StoreError};
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
    tried: tokio::sync::Mutex<Option<(Instant, Result<(), Trouble>)>>,
}

/// What is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It takes nothing, and that is this process's own misfortune.
    Broken(String),
    /// It cannot be reached.
    Away(String),
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
        let robots = self.linked.all();
        let away = robots.iter().find_map(|robot| robot.vitals.away());
        let trouble = match away {
            Some(away) => Some(Trouble::Away(format!(
                "the database is away since {}: {}",
                utc(away.since),
                away.reason
            ))),
            None => self.try_store().await.err(),
        };
        let (dead, mut not_ready) = match trouble {
            Some(Trouble::Broken(reason)) => (Some(reason.clone()), vec![reason]),
            Some(Trouble::Away(reason)) => (None, vec![reason]),
            None => (None, Vec::new()),
        };
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

    async fn try_store(&self) -> Result<(), Trouble> {
        let mut tried = self.tried.lock().await;
        if let Some((at, outcome)) = &*tried
            && at.elapsed() < BELIEVED
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(PATIENCE, self.store.probe()).await {
            Ok(Err(e @ StoreError::Unreachable { .. })) => Err(Trouble::Away(e.to_string())),
            Ok(outcome) => {
                outcome.map_err(|e| Trouble::Broken(format!("the store takes nothing: {e}")))
            }
            Err(_) => {
                let reason = format!("the store has not answered for {} s", PATIENCE.as_secs());
                Err(Trouble::Broken(reason))
            }
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
