//! The month's calls, kept now and then: a crash loses those of a minute at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::warn;

use crate::openapi::OpenApiClient;
use crate::store::{Store, StoreError};

const PAUSE: Duration = Duration::from_secs(60);

/// Keeps the count of one app.
#[derive(Debug)]
pub(super) struct CallCount {
    client: Arc<OpenApiClient>,
    store: Arc<dyn Store>,
    task: JoinHandle<()>,
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
        let (caller, keeper) = (Arc::clone(&client), Arc::clone(&store));
        let task = tokio::spawn(async move {
            let mut kept = before;
            loop {
                tokio::time::sleep(PAUSE).await;
                let calls = caller.call_budget().calls_this_month;
                if calls != kept && keep(&caller, &*keeper).await {
                    kept = calls;
                }
            }
        });
        Ok(Self { client, store, task })
    }

    /// Keeps the last ones.
    pub(super) async fn end(self) {
        self.task.abort();
        keep(&self.client, &*self.store).await;
    }
}

impl Drop for CallCount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(client: &OpenApiClient, store: &dyn Store) -> bool {
    let budget = client.call_budget();
    let client_id = &client.credential().client_id;
    let kept = store.keep_calls(client_id, budget.month, budget.calls_this_month).await;
    if let Err(e) = &kept {
        warn!("the month's calls cannot be kept: {e}");
    }
    kept.is_ok()
}
