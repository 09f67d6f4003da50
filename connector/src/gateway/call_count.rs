//! The month's calls, kept now and then: a crash loses those of a minute at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::openapi::OpenApiClient;
use crate::store::{Store, StoreError};

const PAUSE: Duration = Duration::from_secs(60);

/// Keeps the count of one app, which several processes may make calls of.
#[derive(Debug)]
pub(super) struct CallCount {
    keeper: Arc<Keeper>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Keeper {
    client: Arc<OpenApiClient>,
    store: Arc<dyn Store>,
    /// Month and calls that are kept already, of this process as it counts.
    kept: Mutex<(i64, u64)>,
}

impl CallCount {
    /// Goes on where earlier processes stopped.
    pub(super) async fn start(
        client: Arc<OpenApiClient>,
        store: Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        let month = client.call_budget().month;
        let before = store.calls(&client.credential().client_id, month).await?;
        client.add_calls(month, before);
        let kept = Mutex::new((month, before));
        let keeper = Arc::new(Keeper { client, store, kept });
        let keeps = Arc::clone(&keeper);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                keeps.keep().await;
            }
        });
        Ok(Self { keeper, task })
    }

    /// Keeps the last ones.
    pub(super) async fn end(self) {
        self.task.abort();
        self.keeper.keep().await;
    }
}

impl Drop for CallCount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    /// Adds the calls since the last time to what all processes made, and learns what those are. Of two that do
    /// so in the same instant one may be lost, until the month's end.
    async fn keep(&self) {
        let mut kept = self.kept.lock().await;
        let budget = self.client.call_budget();
        let (month, ours) = (budget.month, budget.calls_this_month);
        let before = if kept.0 == month { kept.1 } else { 0 };
        if ours == before {
            return;
        }
        let app = &self.client.credential().client_id;
        let outcome = async {
            let all =
                self.store.calls(app, month).await?.saturating_add(ours.saturating_sub(before));
            self.store.keep_calls(app, month, all).await?;
            Ok::<_, StoreError>(all)
        };
        match outcome.await {
            Ok(all) => {
                self.client.add_calls(month, all.saturating_sub(ours));
                *kept = (month, all.max(ours));
            }
            Err(e) => warn!("the month's calls cannot be kept: {e}"),
        }
    }
}
