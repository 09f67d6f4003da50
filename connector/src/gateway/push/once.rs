//! Keys by which a caller that asks again is recognised, after a restart too.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::error;

use super::{Deliveries, Push, PushError, Target, What};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::fnv;
use crate::gateway::upload::read_file;
use crate::openapi::media::MediaType;
use crate::store::Store;
use crate::store::pushes::NewPush;
use crate::unix_time::now_ms;

/// What was pushed under which key.
#[derive(Debug)]
pub(super) struct Once {
    client_id: ClientId,
    store: Arc<dyn Store>,
    /// Keys that are asked about, or whose messages are being sent: how many calls do so.
    at_work: Mutex<HashMap<String, usize>>,
}

/// Whether a push is to be sent.
#[derive(Debug)]
pub(super) enum Begun<'a> {
    Now(UnderWay<'a>),
    /// It was, and this became of it.
    Before(Deliveries),
}

/// A push that is asked about, or being sent.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    once: &'a Once,
    key: String,
}

impl Once {
    pub(super) fn new(client_id: ClientId, store: Arc<dyn Store>) -> Self {
        Self { client_id, store, at_work: Mutex::default() }
    }

    /// A push with a key is to be sent, unless it was.
    pub(super) async fn begin(&self, key: String, digest: String) -> Result<Begun<'_>, PushError> {
        // Before the store is asked: whoever is sending by then is known.
        let (under_way, others) = self.enter(key.clone());
        let push = NewPush {
            client_id: self.client_id.clone(),
            key: key.clone(),
            digest: digest.clone(),
            at: now_ms(),
        };
        let kept = self.store.begin_push(push).await;
        match kept.map_err(|e| PushError::NotKept(e.to_string()))? {
            // Whoever else asks sends nothing: it was not the one that kept the key.
            None => Ok(Begun::Now(under_way)),
            Some(kept) if kept.digest != digest => Err(PushError::KeyReused(key)),
            Some(kept) => match kept.outcomes {
                Some(outcomes) => serde_json::from_str(&outcomes)
                    .map(Begun::Before)
                    .map_err(|e| PushError::NotKept(e.to_string())),
                None if others => Err(PushError::UnderWay(key)),
                None => Err(PushError::Interrupted(key)),
            },
        }
    }

    /// A call is at work on a key; returns whether others are, too.
    fn enter(&self, key: String) -> (UnderWay<'_>, bool) {
        let mut at_work = self.at_work();
        let calls = at_work.entry(key.clone()).or_default();
        *calls += 1;
        let others = *calls > 1;
        (UnderWay { once: self, key }, others)
    }

    fn at_work(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay<'_> {
    /// It was sent.
    pub(super) async fn end(self, deliveries: &Deliveries) {
        let outcomes = serde_json::to_string(deliveries).unwrap_or_default();
        let kept = self.once.store.end_push(&self.once.client_id, &self.key, outcomes).await;
        if let Err(e) = kept {
            error!("what became of a push cannot be kept; its key counts as interrupted: {e}");
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut at_work = self.once.at_work();
        if let Some(calls) = at_work.get_mut(&self.key) {
            *calls -= 1;
            if *calls == 0 {
                at_work.remove(&self.key);
            }
        }
    }
}

/// Tells one push from another. A file counts by what is in it, not by where it is: whoever asks again may have made a
/// copy.
pub(super) async fn digest(Push { to, what, .. }: &Push) -> String {
    let to: Vec<_> = to.iter().map(Target::to_string).collect();
    let mut what = what.clone();
    if let What::Say(Say::File { path, .. } | Say::Voice { path, .. } | Say::Video { path, .. }) =
        &mut what
        && let Some(content) = content(path.clone()).await
    {
        *path = content.into();
    }
    folded(serde_json::json!([to, what]).to_string().as_bytes())
}

/// What is in a file that could be sent.
async fn content(path: PathBuf) -> Option<String> {
    let read = move || read_file(&path, MediaType::File.limit());
    tokio::task::spawn_blocking(read).await.ok()?.ok().map(|bytes| folded(&bytes))
}

/// Callers have no reason to make two that are alike.
fn folded(bytes: &[u8]) -> String {
    format!("{:016x}-{}", fnv::hash(bytes), bytes.len())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::{Delivery, Outcome};
    use super::*;
    use crate::agent::AttachmentKind;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn a_key_is_sent_once_and_names_one_message_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let store = Arc::new(SqliteStore::open(&dir.path().join("s")).unwrap());
            Once::new(ClientId::new("app"), store)
        };
        let push = async |text: &str| {
            let to = vec!["u".parse().unwrap()];
            digest(&Push { to, what: What::Say(Say::text(text)), key: None }).await
        };
        let (hello, other) = (push("hello").await, push("other").await);
        assert_eq!(hello, "479944a85cee636a-49", "it stays the same");
        let ask = async |once: &Once, key: &str, digest: &String| match once
            .begin(key.to_owned(), digest.clone())
            .await?
        {
            Begun::Now(under_way) => {
                std::mem::forget(under_way);
                Ok(None)
            }
            Begun::Before(deliveries) => Ok(Some(deliveries)),
        };
        let once = open();
        let Begun::Now(under_way) = once.begin("k".to_owned(), hello.clone()).await.unwrap() else {
            panic!("it was never sent");
        };
        assert_eq!(ask(&once, "k", &hello).await, Err(PushError::UnderWay("k".to_owned())));
        let deliveries = vec![Delivery::none("u".parse().unwrap(), Outcome::Invalid, 1)];
        under_way.end(&deliveries).await;
        // This one the process does not live to end.
        assert_eq!(ask(&once, "cut off", &hello).await, Ok(None));
        drop(once);
        let once = open();
        assert_eq!(ask(&once, "k", &hello).await, Ok(Some(deliveries)));
        assert_eq!(ask(&once, "k", &other).await, Err(PushError::KeyReused("k".to_owned())));
        let cut_off = PushError::Interrupted("cut off".to_owned());
        assert_eq!(ask(&once, "cut off", &hello).await, Err(cut_off.clone()));
        assert_eq!(ask(&once, "cut off", &hello).await, Err(cut_off), "for good");
        assert_eq!(ask(&once, "new", &other).await, Ok(None));
    }

    #[tokio::test]
    async fn a_file_is_the_same_wherever_its_copy_is() {
        let dir = tempfile::tempdir().unwrap();
        let of = async |file: &str, text: Option<&str>, name: &str| {
            let path = dir.path().join(file);
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let (kind, name) = (AttachmentKind::File, name.to_owned());
            let what = What::Say(Say::File { kind, path, name });
            digest(&Push { to: vec!["u".parse().unwrap()], what, key: None }).await
        };
        let first = of("a", Some("words"), "a.txt").await;
        assert_eq!(of("b", Some("words"), "a.txt").await, first);
        assert_ne!(of("c", Some("other"), "a.txt").await, first);
        assert_ne!(of("a", None, "b.txt").await, first);
        let none = of("none", None, "a.txt").await;
        assert!(none != first && none != of("nowhere", None, "a.txt").await);
    }

    #[tokio::test]
    async fn of_two_that_ask_together_the_one_whose_key_was_kept_sends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s");
        let store = Arc::new(SqliteStore::open(&file).unwrap());
        let once = Once::new(ClientId::new("app"), Arc::clone(&store) as Arc<dyn Store>);
        let begin = || Box::pin(once.begin("k".to_owned(), "digest".to_owned()));
        let operator = rusqlite::Connection::open(&file).unwrap();
        // The first one's key is asked for while nothing can be written, and fails then; it does not know yet.
        operator.execute_batch("BEGIN IMMEDIATE; ALTER TABLE push RENAME TO away").unwrap();
        let mut first = begin();
        assert!((&mut first).now_or_never().is_none(), "the store is asked");
        operator.execute_batch("COMMIT").unwrap();
        store.barrier().await.unwrap();
        operator.execute_batch("ALTER TABLE away RENAME TO push").unwrap();
        let second = begin().await;
        let Ok(Begun::Now(under_way)) = second else { panic!("nobody else sends: {second:?}") };
        assert!(matches!(first.await, Err(PushError::NotKept(_))));
        let repeat = begin().await;
        assert!(matches!(&repeat, Err(PushError::UnderWay(_))), "{repeat:?}");
        under_way.end(&Vec::new()).await;
        assert!(matches!(begin().await, Ok(Begun::Before(_))));
    }
}
