//! Files that came with messages, in the state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt, stream};
use reqwest::header::HeaderMap;
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, warn};

use super::media_dir::{CAP, MediaDir, Written};
use crate::agent::{Attachment, Missing};
use crate::backoff::Backoff;
use crate::openapi::drive::DriveFile;
use crate::openapi::message_files::MAX_FILE;
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{DrivePlace, Media, RobotCode, SenderStaffId};

/// Fetches files and keeps them for a while.
#[derive(Debug)]
pub(super) struct MediaStore {
    client: Arc<OpenApiClient>,
    dir: MediaDir,
    fetches: Semaphore,
    /// Bytes that were fetched since the folder was cleaned.
    since_clean: AtomicU64,
}

/// Files that are fetched at the same time, of all messages.
const AT_ONCE: usize = 4;
/// Pieces of a file that may wait for the disk.
const PIECES: usize = 16;
/// No further try of a file begins after this time; what was sent with it is waiting.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the folder is cleaned.
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);
/// It is cleaned at once after so many bytes.
const CLEAN_AFTER: u64 = CAP / 8;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(10));

/// Why a file could not be had, and what is known about it.
type Failure = (Missing, String);

impl MediaStore {
    /// Uses the folder `media` of the state directory, which is kept clean as long as this lives.
    pub(super) fn open(client: Arc<OpenApiClient>, state_dir: &Path) -> io::Result<Arc<Self>> {
        let dir = MediaDir::open(state_dir.join("media"))?;
        let fetches = Semaphore::new(AT_ONCE);
        let store = Arc::new(Self { client, dir, fetches, since_clean: AtomicU64::new(0) });
        tokio::spawn(Self::keep_clean(Arc::downgrade(&store)).in_current_span());
        Ok(store)
    }

    async fn keep_clean(store: Weak<Self>) {
        let mut often = tokio::time::interval(CLEAN_EVERY);
        loop {
            often.tick().await;
            let Some(store) = store.upgrade() else { return };
            store.clean();
        }
    }

    fn clean(&self) {
        self.since_clean.store(0, Ordering::Relaxed);
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || dir.clean(SystemTime::now(), CAP));
    }

    /// Fetches what can be fetched. One that cannot is marked with the reason, and the others come all
    /// the same.
    pub(super) async fn fetch(&self, asker: &Asker<'_>, attachments: &mut [Attachment]) {
        let fetches = attachments.iter().map(|attachment| {
            let name = attachment.media.file_name.clone();
            let source = match (&attachment.media, asker.user) {
                (Media { download_code: Some(code), .. }, _) => Some(Source::Code(code.clone())),
                (Media { place: Some(place), .. }, Some(user)) => {
                    Some(Source::Drive(place.clone(), user.clone()))
                }
                _ => None,
            };
            async move {
                let Some(source) = source else { return Err((Missing::NoCode, String::new())) };
                self.fetch_one(asker, &source, name.as_deref()).await
            }
        });
        let outcomes: Vec<_> =
            stream::iter(fetches.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await;
        for (attachment, outcome) in attachments.iter_mut().zip(outcomes) {
            attachment.file = Some(outcome.map_err(|(missing, detail)| {
                let kind = attachment.kind;
                warn!(?kind, "a file of a message cannot be had: {missing}: {detail}");
                missing
            }));
        }
    }

    async fn fetch_one(
        &self,
        asker: &Asker<'_>,
        source: &Source,
        name: Option<&str>,
    ) -> Result<PathBuf, Failure> {
        let partial = self.dir.partial();
        let kept = async {
            let written = self.fetch_patiently(asker, source, &partial).await?;
            self.dir.keep(&partial, name, &written).map_err(|e| not_stored(&e))
        };
        let kept = kept.await;
        if kept.is_err() {
            // There may be nothing; what is left in spite of this goes with the old files.
            let _ = std::fs::remove_file(&partial);
        }
        kept
    }

    async fn fetch_patiently(
        &self,
        asker: &Asker<'_>,
        source: &Source,
        to: &Path,
    ) -> Result<Written, Failure> {
        let (start, mut retry) = (Instant::now(), 0);
        loop {
            let failure = match self.fetch_once(asker, source, to).await {
                Err(failure @ (Missing::Unreachable, _)) => failure,
                outcome => return outcome,
            };
            let pause = BACKOFF.delay(retry, rand::random());
            if start.elapsed() + pause > PATIENCE {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            retry += 1;
        }
    }

    /// Where a file is now.
    async fn find(&self, asker: &Asker<'_>, source: &Source) -> Result<DriveFile, OpenApiError> {
        match source {
            Source::Code(code) => {
                let url = self.client.message_file_url(&asker.robot_code, code).await?;
                Ok(DriveFile { url, headers: HeaderMap::new() })
            }
            Source::Drive(place, user) => {
                let union_id = self.client.union_id(user).await?;
                self.client.drive_file(place, &union_id).await
            }
        }
    }

    /// The bytes go to the disk as they come.
    async fn fetch_once(
        &self,
        asker: &Asker<'_>,
        source: &Source,
        to: &Path,
    ) -> Result<Written, Failure> {
        let _permit = self.fetches.acquire().await;
        let found = self.find(asker, source).await.map_err(|e| missing(&e))?;
        let (pieces, incoming) = mpsc::channel(PIECES);
        let path = to.to_owned();
        let writer = tokio::task::spawn_blocking(move || MediaDir::write(&path, incoming));
        let fetched = self.client.fetch(&found.url, found.headers, MAX_FILE, pieces).await;
        let written = writer.await.unwrap_or_else(|e| Err(io::Error::other(e)));
        fetched.map_err(|e| missing(&e))?;
        let written = written.map_err(|e| not_stored(&e))?;
        if self.since_clean.fetch_add(written.length, Ordering::Relaxed) > CLEAN_AFTER {
            self.clean();
        }
        Ok(written)
    }
}

/// By whom and with what a file was sent.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    pub(super) robot_code: RobotCode,
    /// Who.
    pub(super) user: Option<&'a SenderStaffId>,
}

/// What leads to a file.
#[derive(Debug)]
enum Source {
    /// `downloadCode`.
    Code(String),
    /// Its place, and in whose name the drive is asked for it.
    Drive(DrivePlace, SenderStaffId),
}

fn missing(e: &OpenApiError) -> Failure {
    let missing = match e {
        OpenApiError::TooLarge { .. } => Missing::TooLarge,
        OpenApiError::NoToken { .. } => Missing::Unreachable,
        e if e.is_retryable() => Missing::Unreachable,
        _ => Missing::Refused,
    };
    (missing, e.to_string())
}

fn not_stored(e: &io::Error) -> Failure {
    (Missing::NotStored, e.to_string())
}
