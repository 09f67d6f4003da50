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
use crate::store::InboxId;
use crate::store::replicas::{Bucket, Named, ReplicaId, Wake};

/// What is told is told here.
pub(super) const CHANNEL: &str = "ddingtalk";
/// So much may wait to be heard; whoever is behind hears that anything may have changed.
const WAITING: usize = 256;
/// A part of what is told about messages ends beyond this, in bytes: the server takes 8,000 with all that follows.
const LONGEST: usize = 6_000;
/// How often it is looked whether the link still stands.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pause before the link is made anew.
const PAUSE: Duration = Duration::from_millis(500);

/// How something is told: what, who tells it, and of which app. Messages are told as `BUCKET:ID,ID;BUCKET:ID`, in
/// several parts if there are many.
pub(super) fn told(me: &ReplicaId, client_id: &ClientId, wake: &Wake) -> Vec<String> {
    let what = match wake {
        Wake::Messages(named) => named_in_parts(named),
        Wake::Pairing => vec!["pairing".to_owned()],
        Wake::Schedules => vec!["schedules".to_owned()],
        Wake::Everything | Wake::AfterOutage => vec!["everything".to_owned()],
    };
    what.into_iter().map(|what| format!("{what} {me} {client_id}")).collect()
}

fn named_in_parts(messages: &Named) -> Vec<String> {
    let (mut parts, mut part, mut before) = (Vec::new(), String::new(), None);
    let each = messages.iter().flat_map(|(bucket, ids)| ids.iter().map(move |id| (*bucket, *id)));
    for (bucket, id) in each {
        if part.len() > LONGEST {
            parts.push(std::mem::take(&mut part));
            before = None;
        }
        let (number, id) = (bucket.number(), id.number());
        let words = match before.replace(bucket) {
            Some(before) if before == bucket => format!(",{id}"),
            Some(_) => format!(";{number}:{id}"),
            None => format!("{number}:{id}"),
        };
        part.push_str(&words);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// Messages that were told, if that is how it is written.
fn named(what: &str) -> Option<Named> {
    let of_bucket = |part: &str| {
        let (bucket, ids) = part.split_once(':')?;
        let ids = ids.split(',').map(|id| id.parse().ok().map(InboxId::of)).collect::<Option<_>>();
        Some((bucket.parse().ok().and_then(Bucket::numbered)?, ids?))
    };
    what.split(';').map(of_bucket).collect()
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
        what => named(what).map_or(Wake::Everything, Wake::Messages),
    };
    Some((ClientId::new(of), wake))
}

/// Who hears.
#[derive(Default)]
pub(super) struct Hub {
    ears: Mutex<Ears>,
}

#[derive(Default)]
struct Ears {
    all: Vec<Ear>,
    /// What is told is heard now.
    is_linked: bool,
}

struct Ear {
    client_id: ClientId,
    sender: mpsc::Sender<Wake>,
    /// What was told was heard once, since it is there.
    has_heard: bool,
    /// There was too much to tell; this is to be told instead.
    behind: Option<Wake>,
}

impl Ear {
    /// Tells it; returns whether anybody still listens.
    fn tell(&mut self, wake: Wake) -> bool {
        let wake = match self.behind.take() {
            None => wake,
            Some(Wake::AfterOutage) => Wake::AfterOutage,
            Some(_) => instead_of(&wake),
        };
        match self.sender.try_send(wake) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(wake)) => {
                self.behind = Some(instead_of(&wake));
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// What stands for something that could not be told, and for all before it.
fn instead_of(wake: &Wake) -> Wake {
    match wake {
        Wake::AfterOutage => Wake::AfterOutage,
        _ => Wake::Everything,
    }
}

impl Hub {
    fn ears(&self) -> MutexGuard<'_, Ears> {
        // No panic can leave it half changed.
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, client_id: ClientId, sender: mpsc::Sender<Wake>) {
        let mut ears = self.ears();
        let has_heard = ears.is_linked;
        ears.all.push(Ear { client_id, sender, has_heard, behind: None });
    }

    fn tell(&self, client_id: &ClientId, wake: &Wake) {
        self.ears().all.retain_mut(|ear| ear.client_id != *client_id || ear.tell(wake.clone()));
    }

    /// What is told is heard from now on; what was told before was not.
    fn linked(&self) {
        let mut ears = self.ears();
        ears.is_linked = true;
        ears.all.retain_mut(|ear| {
            let has_heard = std::mem::replace(&mut ear.has_heard, true);
            ear.tell(if has_heard { Wake::AfterOutage } else { Wake::Everything })
        });
    }

    /// What is told is not heard for now.
    fn unlinked(&self) {
        self.ears().is_linked = false;
    }

    /// The link on which is written was away.
    pub(super) fn after_outage(&self) {
        self.ears().all.retain_mut(|ear| ear.tell(Wake::AfterOutage));
    }

    /// Tells those that were behind.
    fn catch_up(&self) {
        self.ears().all.retain_mut(|ear| ear.behind.clone().is_none_or(|wake| ear.tell(wake)));
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
        self.hub.add(client_id.clone(), sender);
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
        hub.unlinked();
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
    hub.linked();
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
            hub.tell(&client_id, &wake);
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
        let ids = |ids: &[i64]| ids.iter().copied().map(InboxId::of).collect();
        let bucket = |number| Bucket::numbered(number).unwrap();
        let messages = Named::from([(bucket(7), ids(&[12, 13])), (bucket(9), ids(&[14]))]);
        assert_eq!(named_in_parts(&messages), ["7:12,13;9:14"]);
        for wake in [Wake::Messages(messages), Wake::Pairing, Wake::Schedules, Wake::Everything] {
            let payloads = told(&me, &app, &wake);
            assert_eq!(payloads.len(), 1);
            assert_eq!(heard(&me, &payloads[0]), None);
            assert_eq!(heard(&other, &payloads[0]), Some((app.clone(), wake)));
        }
        for odd in ["7", "99:1", "7:", "7:x", "7:1;", "new"] {
            let wake = heard(&me, &format!("{odd} x app"));
            assert_eq!(wake, Some((ClientId::new("app"), Wake::Everything)), "{odd}");
        }
        assert_eq!(heard(&me, "odd"), None);
        assert!(told(&me, &app, &Wake::Messages(Named::new())).is_empty());
    }

    #[test]
    fn many_messages_are_told_in_parts_that_the_server_takes() {
        let (me, other) = (ReplicaId::random(), ReplicaId::random());
        let app = ClientId::new("my app");
        let mut messages = Named::new();
        for n in 0..2_000_i64 {
            let bucket = Bucket::numbered(u16::try_from(n % 3).unwrap()).unwrap();
            messages.entry(bucket).or_default().insert(InboxId::of(i64::MAX - n));
        }
        let payloads = told(&me, &app, &Wake::Messages(messages.clone()));
        assert!(payloads.len() > 2);
        let mut all = Named::new();
        for payload in payloads {
            assert!(payload.len() < 8_000, "{}", payload.len());
            let Some((_, Wake::Messages(part))) = heard(&other, &payload) else {
                panic!("{payload}");
            };
            for (bucket, ids) in part {
                all.entry(bucket).or_default().extend(ids);
            }
        }
        assert_eq!(all, messages);
    }

    fn ear(hub: &Hub, waiting: usize) -> mpsc::Receiver<Wake> {
        let (sender, wakes) = mpsc::channel(waiting);
        hub.add(ClientId::new("app"), sender);
        wakes
    }

    fn all_heard(wakes: &mut mpsc::Receiver<Wake>) -> Vec<Wake> {
        std::iter::from_fn(|| wakes.try_recv().ok()).collect()
    }

    #[test]
    fn who_is_behind_hears_that_anything_may_have_changed() {
        let (hub, app) = (Hub::default(), ClientId::new("app"));
        let mut wakes = ear(&hub, 1);
        hub.tell(&ClientId::new("other"), &Wake::Schedules);
        hub.tell(&app, &Wake::Pairing);
        hub.tell(&app, &Wake::Schedules);
        assert_eq!(all_heard(&mut wakes), [Wake::Pairing]);
        hub.catch_up();
        hub.catch_up();
        assert_eq!(all_heard(&mut wakes), [Wake::Everything]);
        // An outage is not forgotten for what comes behind it.
        hub.tell(&app, &Wake::Pairing);
        hub.after_outage();
        hub.tell(&app, &Wake::Pairing);
        assert_eq!(all_heard(&mut wakes), [Wake::Pairing]);
        hub.tell(&app, &Wake::Pairing);
        hub.catch_up();
        assert_eq!(all_heard(&mut wakes), [Wake::AfterOutage]);
        drop(wakes);
        hub.after_outage();
        assert!(hub.ears().all.is_empty());
    }

    #[test]
    fn a_beginning_is_no_outage_whenever_somebody_comes() {
        let hub = Hub::default();
        let mut first = ear(&hub, 9);
        hub.linked();
        assert_eq!(all_heard(&mut first), [Wake::Everything]);
        let mut second = ear(&hub, 9);
        hub.unlinked();
        let mut third = ear(&hub, 9);
        hub.linked();
        assert_eq!(all_heard(&mut first), [Wake::AfterOutage]);
        assert_eq!(all_heard(&mut second), [Wake::AfterOutage], "it could hear before");
        assert_eq!(all_heard(&mut third), [Wake::Everything]);
    }
}
