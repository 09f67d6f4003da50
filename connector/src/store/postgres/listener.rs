//! What other processes tell: `LISTEN` on a connection of its own.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{AsyncMessage, Client, Connection, SimpleQueryMessage, Socket};
use tracing::{error, warn};

use super::link::{Connector, Trouble, answered};
use super::tls::Stream;
use crate::credential::ClientId;
use crate::store::replicas::{Bucket, ReplicaId, Wake};
use crate::store::sql::Changed;

/// What is told is told here.
pub(super) const CHANNEL: &str = "ddingtalk";
/// So much may wait to be heard; whoever is behind hears that anything may have changed.
const WAITING: usize = 256;
/// How often it is looked whether the link still stands.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pause before the link is made anew.
const PAUSE: Duration = Duration::from_millis(500);

/// How something is told: what, who tells it, and of which app.
pub(super) fn told(
    me: &ReplicaId,
    client_id: &ClientId,
    bucket: Option<Bucket>,
    changed: Option<Changed>,
) -> String {
    let what = match (bucket, changed) {
        (Some(bucket), _) => bucket.number().to_string(),
        (None, Some(Changed::Pairing)) => "pairing".to_owned(),
        (None, Some(Changed::Schedules)) => "schedules".to_owned(),
        (None, None) => "everything".to_owned(),
    };
    format!("{what} {me} {client_id}")
}

/// What was told to whom, unless by this process itself.
fn heard(me: &ReplicaId, payload: &str) -> Option<(ClientId, Wake)> {
    let mut words = payload.splitn(3, ' ');
    let (what, by, of) = (words.next()?, words.next()?, words.next()?);
    if by == me.as_str() {
        return None;
    }
    let wake = match what {
        "pairing" => Wake::Pairing,
        "schedules" => Wake::Schedules,
        // Of a newer release, too.
        what => {
            what.parse().ok().and_then(Bucket::numbered).map_or(Wake::Everything, Wake::Messages)
        }
    };
    Some((ClientId::new(of), wake))
}

/// Who hears.
#[derive(Default)]
pub(super) struct Hub {
    ears: Mutex<Vec<Ear>>,
}

struct Ear {
    client_id: ClientId,
    sender: mpsc::Sender<Wake>,
    /// There was too much to tell.
    behind: bool,
}

impl Ear {
    /// Tells it; returns whether anybody still listens.
    fn tell(&mut self, wake: Wake) -> bool {
        let wake = if self.behind { Wake::Everything } else { wake };
        match self.sender.try_send(wake) {
            Ok(()) => self.behind = false,
            Err(mpsc::error::TrySendError::Full(_)) => self.behind = true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
        }
        true
    }
}

impl Hub {
    fn ears(&self) -> MutexGuard<'_, Vec<Ear>> {
        // No panic can leave it half changed.
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, client_id: &ClientId, wake: Wake) {
        self.ears().retain_mut(|ear| ear.client_id != *client_id || ear.tell(wake));
    }

    /// The link was away.
    pub(super) fn everything(&self) {
        self.ears().retain_mut(|ear| ear.tell(Wake::Everything));
    }

    /// Tells those that were behind.
    fn catch_up(&self) {
        self.ears().retain_mut(|ear| !ear.behind || ear.tell(Wake::Everything));
    }
}

/// Listens once anybody wants to hear, until it is dropped.
pub(super) struct Listener {
    connector: Connector,
    hub: Arc<Hub>,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Listener {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, hub: Arc::default(), thread: Mutex::default() }
    }

    pub(super) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub)
    }

    /// Hears what is told of an app.
    pub(super) fn hear(&self, client_id: &ClientId) -> mpsc::Receiver<Wake> {
        let (sender, wakes) = mpsc::channel(WAITING);
        let client_id = client_id.clone();
        self.hub.ears().push(Ear { client_id, sender, behind: false });
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            match self.start() {
                Ok(started) => *thread = Some(started),
                Err(e) => error!("what other processes tell is not heard: no thread for it: {e}"),
            }
        }
        wakes
    }

    fn start(&self) -> std::io::Result<(oneshot::Sender<()>, JoinHandle<()>)> {
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (connector, hub) = (self.connector.clone(), self.hub());
        let listening = move || {
            runtime.block_on(async {
                tokio::select! {
                    // It comes when the store is dropped.
                    _ = stopped => {}
                    () = listen(&connector, &hub) => {}
                }
            });
        };
        let thread =
            std::thread::Builder::new().name("store-listens".to_owned()).spawn(listening)?;
        Ok((stop, thread))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = thread {
            let _ = stop.send(());
            // It fails only if the thread panicked, which was reported then.
            let _ = thread.join();
        }
    }
}

/// Listens, and connects again when the link breaks.
async fn listen(connector: &Connector, hub: &Arc<Hub>) {
    let mut complained = false;
    loop {
        let Err(trouble) = listen_once(connector, hub, &mut complained).await;
        if !std::mem::replace(&mut complained, true) {
            warn!("what other processes tell is not heard for now: {}", trouble.error());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(
    connector: &Connector,
    hub: &Arc<Hub>,
    complained: &mut bool,
) -> Result<std::convert::Infallible, Trouble> {
    let (client, connection) = connector.connect().await?;
    let mut driver = tokio::spawn(drive(connection, Arc::clone(hub), connector.clone()));
    let begin = format!("{}; LISTEN {CHANNEL}", connector.session());
    answered(client.batch_execute(&begin)).await?;
    *complained = false;
    // What was told before this was not heard.
    hub.everything();
    loop {
        tokio::select! {
            _ = &mut driver => return Err(Trouble::Away("the link broke".to_owned())),
            () = tokio::time::sleep(LOOK_EVERY) => {
                hub.catch_up();
                look(&client).await?;
            }
        }
    }
}

/// Fails unless the link stands, and to a server that takes writes: after a failover nobody tells the old one
/// anything.
async fn look(client: &Client) -> Result<(), Trouble> {
    let told = answered(client.simple_query("SHOW transaction_read_only")).await?;
    let is_read_only = told
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")));
    if is_read_only {
        return Err(Trouble::Away("it does not take writes any more".to_owned()));
    }
    Ok(())
}

/// Reads until the connection ends.
async fn drive(
    mut connection: Connection<Socket, Stream<Socket>>,
    hub: Arc<Hub>,
    connector: Connector,
) {
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notification(notification) = message
            && let Some((client_id, wake)) = heard(connector.replica(), notification.payload())
        {
            hub.tell(&client_id, wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard_by_others_only() {
        let (me, other) = (ReplicaId::random(), ReplicaId::random());
        let app = ClientId::new("my app");
        let bucket = Bucket::numbered(7);
        for (bucket, changed, wake) in [
            (bucket, None, Wake::Messages(bucket.unwrap())),
            (None, Some(Changed::Pairing), Wake::Pairing),
            (None, Some(Changed::Schedules), Wake::Schedules),
            (None, None, Wake::Everything),
        ] {
            let payload = told(&me, &app, bucket, changed);
            assert_eq!(heard(&me, &payload), None);
            assert_eq!(heard(&other, &payload), Some((app.clone(), wake)));
        }
        assert_eq!(heard(&me, "99 x app"), Some((ClientId::new("app"), Wake::Everything)));
        assert_eq!(heard(&me, "odd"), None);
    }

    #[test]
    fn who_is_behind_hears_that_anything_may_have_changed() {
        let hub = Hub::default();
        let app = ClientId::new("app");
        let (sender, mut wakes) = mpsc::channel(1);
        hub.ears().push(Ear { client_id: app.clone(), sender, behind: false });
        hub.tell(&ClientId::new("other"), Wake::Schedules);
        hub.tell(&app, Wake::Pairing);
        hub.tell(&app, Wake::Schedules);
        assert_eq!(wakes.try_recv(), Ok(Wake::Pairing));
        assert!(wakes.try_recv().is_err());
        hub.catch_up();
        hub.catch_up();
        assert_eq!(wakes.try_recv(), Ok(Wake::Everything));
        assert!(wakes.try_recv().is_err());
        drop(wakes);
        hub.everything();
        assert!(hub.ears().is_empty());
    }
}
