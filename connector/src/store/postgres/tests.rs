//! Against a real server: the contract, and what several processes do to one another.

use std::str::FromStr;
use std::time::{Duration, Instant};

use super::*;
use crate::agent::Say;
use crate::protocol::{ConversationId, MessageId, MsgId};
use crate::store::contract;
use crate::store::inbox::{InboxReader, InboxStore, Step};
use crate::store::pairing::{Asked, PairingRequest, PairingStore};
use crate::store::replicas::{
    Aim, BUCKETS, GRACE, LEASE, Named, Place, ReplicaStore, Share, SharedToken, Wake, Wanted,
};
use crate::store::{InboxId, NewMessage, Said, Store};

#[path = "../../../tests/postgres/cluster.rs"]
mod cluster;
mod commits;
mod cutter;
#[path = "../../../tests/postgres/standby.rs"]
mod standby;

mod told;

use self::cluster::{Cluster, database_of};

/// A database of its own for a test; `None` without PostgreSQL.
fn fresh() -> Option<(&'static Cluster, String)> {
    let cluster = Cluster::shared()?;
    Some((cluster, cluster.database()))
}

fn open(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::connect(&PostgresAddress::from_str(url).unwrap())
}

fn read(url: &str) -> Result<PostgresReader, StoreError> {
    PostgresReader::connect(&PostgresAddress::from_str(url).unwrap())
}

fn app() -> ClientId {
    ClientId::new("app")
}

/// A message of a conversation that belongs to a bucket.
fn message(n: i64, bucket: Bucket) -> NewMessage {
    let conversation_id = (0..10_000)
        .map(|n| ConversationId::new(format!("cid{n}")))
        .find(|id| Bucket::of(id) == bucket)
        .expect("each bucket has conversations");
    NewMessage { conversation_id, ..contract::message("app", n) }
}

fn said(begun: bool) -> Said {
    Said { parts: vec![Say::text("a").into()], seq: None, begun, ended: true }
}

/// As a process beats that works on nothing.
async fn beat(store: &PostgresStore) -> Share {
    store.give_away(&app(), Bucket::all().collect(), Aim::Stay).await.unwrap();
    store.beat(&app(), Aim::Stay).await.unwrap()
}

/// Two that have shared all out.
async fn two_at_work(url: &str) -> [PostgresStore; 2] {
    let stores = [open(url).unwrap(), open(url).unwrap()];
    for store in stores.iter().cycle().take(4) {
        beat(store).await;
    }
    stores
}

/// Asks until it holds.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: it never comes");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_contract_holds() {
    let Some((_, url)) = fresh() else { return };
    contract::holds(|| open(&url), || read(&url), true).await;
}

#[tokio::test]
async fn what_is_usual_at_the_server_changes_nothing() {
    let Some((cluster, url)) = fresh() else { return };
    let database = database_of(&url);
    for setting in ["statement_timeout = '1ms'", "default_transaction_isolation = 'serializable'"] {
        cluster.sql("postgres", &format!("ALTER DATABASE {database} SET {setting}"));
    }
    contract::messages_are_followed_retried_and_ended(|| open(&url), || read(&url)).await;
}

#[tokio::test]
async fn an_operator_is_answered_however_long_that_takes() {
    let Some((_, url)) = fresh() else { return };
    let store = open(&url).unwrap();
    let kept = store.take_in(contract::message("app", 1)).await.unwrap();
    let (by_hand, looks) = (told::by_hand(&url).await, told::by_hand(&url).await);
    by_hand.batch_execute("BEGIN; LOCK TABLE inbox").await.unwrap();
    let asked = tokio::task::spawn_blocking(move || read(&url).unwrap().by_name("msg1"));
    // Longer than whoever writes would wait.
    until("the reader waits", async || {
        let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > INTERVAL '5.5 s'";
        looks.query(waits, &[]).await.unwrap().first().map(drop)
    })
    .await;
    by_hand.batch_execute("COMMIT").await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap()[0].id, kept.id);
}

#[tokio::test]
async fn calls_and_keys_are_kept() {
    let Some((_, url)) = fresh() else { return };
    contract::calls_and_keys_are_kept(|| open(&url)).await;
}

#[tokio::test]
async fn schedules_and_their_runs_are_kept() {
    let Some((_, url)) = fresh() else { return };
    contract::schedules_and_their_runs_are_kept(|| open(&url)).await;
}

#[tokio::test]
async fn messages_are_followed_retried_and_ended() {
    let Some((_, url)) = fresh() else { return };
    contract::messages_are_followed_retried_and_ended(|| open(&url), || read(&url)).await;
}

#[tokio::test]
async fn a_message_that_comes_again_is_kept_once_whoever_gets_it() {
    let Some((_, url)) = fresh() else { return };
    let (one, other) = (open(&url).unwrap(), open(&url).unwrap());
    let first = one.take_in(contract::message("app", 1)).await.unwrap();
    assert_eq!(first.place, Place::Here);
    let repeat = TakenInAgain { id: first.id };
    let again = NewMessage {
        message_id: Some(MessageId::new("another frame")),
        ..contract::message("app", 1)
    };
    repeat.is(&other, again).await;
    let elsewhere = other.take_in(contract::message("another", 1)).await.unwrap();
    assert_eq!(elsewhere.place, Place::Here, "of another app");
    // Without `msgId` the frame's `messageId` counts.
    let unnamed = NewMessage { msg_id: None, ..contract::message("app", 2) };
    let first = one.take_in(unnamed.clone()).await.unwrap();
    TakenInAgain { id: first.id }.is(&other, unnamed.clone()).await;
    let named = NewMessage { msg_id: Some(MsgId::new("named")), ..unnamed.clone() };
    assert_eq!(other.take_in(named).await.unwrap().place, Place::Here);
    let bare = NewMessage { message_id: None, ..unnamed };
    assert_ne!(
        one.take_in(bare.clone()).await.unwrap().id,
        one.take_in(bare).await.unwrap().id,
        "what has no name cannot be recognised"
    );
}

struct TakenInAgain {
    id: InboxId,
}

impl TakenInAgain {
    async fn is(&self, store: &PostgresStore, message: NewMessage) {
        let again = store.take_in(message).await.unwrap();
        assert_eq!((again.place, again.id), (Place::Repeat, self.id));
    }
}

#[tokio::test]
async fn two_processes_share_fairly_and_one_that_leaves_leaves_all() {
    let Some((_, url)) = fresh() else { return };
    let (one, other) = (open(&url).unwrap(), open(&url).unwrap());
    let share = beat(&one).await;
    assert_eq!((share.live, share.mine.len(), share.leads), (1, usize::from(BUCKETS), true));
    assert_eq!(share.gained.len(), usize::from(BUCKETS));
    let share = beat(&other).await;
    assert_eq!((share.live, share.mine.len(), share.leads), (2, 0, false));
    // Nothing is taken from who works on it.
    let busy = one.beat(&app(), Aim::Stay).await.unwrap();
    assert_eq!((busy.live, busy.mine.len()), (2, usize::from(BUCKETS)));
    let share = beat(&one).await;
    assert_eq!((share.mine.len(), share.lost.len(), share.leads), (32, 32, true));
    let gained = beat(&other).await;
    assert_eq!((gained.mine.len(), gained.gained.len()), (32, 32));
    assert!(gained.mine.is_disjoint(&share.mine));
    let third = open(&url).unwrap();
    beat(&third).await;
    let (one_has, other_has) = (beat(&one).await.mine, beat(&other).await.mine);
    let third_has = beat(&third).await.mine;
    assert_eq!([one_has.len(), other_has.len(), third_has.len()], [22, 22, 20]);
    // What it was in the midst of is not cut off.
    let running = one.take_in(message(9, Bucket::LEADER)).await.unwrap();
    one.note(Step::Begun { message: running.id, at: 1 });
    one.leave(&app()).await.unwrap();
    let begun = one.take_in(message(1, Bucket::LEADER)).await.unwrap();
    assert_eq!(begun.place, Place::Elsewhere, "who has left works on nothing");
    let share = beat(&other).await;
    assert_eq!((share.live, share.mine.len(), share.leads), (2, 32, true));
    let left = other
        .unfinished_of(&app(), Wanted::TakenOver(share.gained.into_iter().collect()))
        .await
        .unwrap();
    assert_eq!((left[0].id, left[0].cut_off), (running.id, 0));
    assert_eq!(beat(&third).await.mine.len(), 32);
    // Another app is shared out by itself.
    let apart = one.beat(&ClientId::new("apart"), Aim::Stay).await.unwrap();
    assert_eq!((apart.live, apart.mine.len()), (1, usize::from(BUCKETS)));
}

#[tokio::test]
async fn who_is_about_to_leave_gives_all_away_and_takes_nothing() {
    let Some((_, url)) = fresh() else { return };
    let [leaves, stays] = two_at_work(&url).await;
    let share = leaves.beat(&app(), Aim::Leave).await.unwrap();
    assert_eq!((share.live, share.mine.len()), (2, 32));
    let idle = share.mine.iter().copied().skip(2).collect();
    leaves.give_away(&app(), idle, Aim::Leave).await.unwrap();
    let share = leaves.beat(&app(), Aim::Leave).await.unwrap();
    assert_eq!((share.mine.len(), share.lost.len()), (2, 30), "it keeps what it works on");
    let share = beat(&stays).await;
    assert_eq!((share.live, share.fair, share.mine.len()), (2, 64, 62), "the rest is worked on");
    let share = stays.beat(&app(), Aim::Leave).await.unwrap();
    assert_eq!((share.live, share.mine.len()), (1, 62), "nobody is left to leave it to");
    stays.give_away(&app(), Bucket::all().collect(), Aim::Leave).await.unwrap();
    assert_eq!(stays.beat(&app(), Aim::Leave).await.unwrap().mine.len(), 62);
    leaves.leave(&app()).await.unwrap();
    assert_eq!(beat(&stays).await.mine.len(), 64);
}

#[tokio::test]
async fn who_has_no_room_is_given_nothing_more_by_others() {
    let Some((_, url)) = fresh() else { return };
    let [full, other] = two_at_work(&url).await;
    let theirs = *full.beat(&app(), Aim::StayFull).await.unwrap().mine.first().unwrap();
    // What comes with it is kept.
    let refused = other.take_in(message(1, theirs));
    let own = beat(&other).await.mine.last().copied().unwrap();
    let kept = other.take_in(message(2, own));
    assert_eq!(refused.await, Err(StoreError::NoRoom));
    assert_eq!(kept.await.unwrap().place, Place::Here);
    let stops = NewMessage { overtakes: true, ..message(4, theirs) };
    assert_eq!(other.take_in(stops).await.unwrap().place, Place::Elsewhere);
    let first = full.take_in(message(3, theirs)).await.unwrap();
    assert_eq!(first.place, Place::Here, "what it takes in itself is its own affair");
    let again = other.take_in(message(3, theirs)).await.unwrap();
    assert_eq!((again.place, again.id), (Place::Repeat, first.id), "it is there already");
    beat(&full).await;
    assert_eq!(other.take_in(message(1, theirs)).await.unwrap().place, Place::Elsewhere);
}

/// Another process joins while much is to be written: who has all parts goes on with its lease meanwhile.
#[tokio::test]
async fn a_lease_is_renewed_while_what_is_given_away_waits_for_what_was_written_before() {
    let Some((_, url)) = fresh() else { return };
    let (one, other) = (open(&url).unwrap(), open(&url).unwrap());
    beat(&one).await;
    beat(&other).await;
    let all: Vec<_> = Bucket::all().collect();
    // Several transactions.
    let kept: Vec<_> = (0..3_000).map(|n| one.take_in(contract::message("app", n))).collect();
    let (ended, mut order) = tokio::sync::mpsc::unbounded_channel();
    let given = one.give_away(&app(), all, Aim::Stay);
    let beaten = one.beat(&app(), Aim::Stay);
    let (first, second) = (ended.clone(), ended);
    tokio::spawn(async move { first.send(given.await.map(|()| None)) });
    tokio::spawn(async move { second.send(beaten.await.map(Some)) });
    let share = order.recv().await.unwrap().unwrap().expect("the beat ends first");
    assert_eq!((share.live, share.mine.len()), (2, usize::from(BUCKETS)));
    for kept in kept {
        assert_eq!(kept.await.unwrap().place, Place::Here, "it is there before all is given away");
    }
    assert_eq!(order.recv().await.unwrap(), Ok(None));
    assert_eq!(one.beat(&app(), Aim::Stay).await.unwrap().lost.len(), 32);
}

#[tokio::test]
async fn a_message_of_anothers_bucket_is_told_to_it() {
    let Some((_, url)) = fresh() else { return };
    let (one, other) = (open(&url).unwrap(), open(&url).unwrap());
    let mut wakes = other.wakes(&app());
    let mut own = one.wakes(&app());
    assert_eq!(wakes.recv().await, Some(Wake::Everything), "when it begins to listen");
    assert_eq!(own.recv().await, Some(Wake::Everything));
    beat(&one).await;
    beat(&other).await;
    beat(&one).await;
    let theirs = *beat(&other).await.mine.first().unwrap();
    let kept = one.take_in(message(1, theirs)).await.unwrap();
    assert_eq!(kept.place, Place::Elsewhere);
    let named = Named::from([(theirs, [kept.id].into())]);
    assert_eq!(wakes.recv().await, Some(Wake::Messages(named.clone())));
    let found = other.unfinished_of(&app(), Wanted::Among(named)).await.unwrap();
    assert_eq!(
        found.iter().map(|left| (left.id, left.cut_off)).collect::<Vec<_>>(),
        [(kept.id, 0)]
    );
    assert_eq!(one.take_in(message(2, Bucket::LEADER)).await.unwrap().place, Place::Here);
    // Only its owner may say anything.
    assert_eq!(one.said(kept.id, said(true)).await, Err(StoreError::NotMine));
    let parts = other.said(kept.id, said(false)).await.unwrap();
    assert_eq!(one.begin(parts[0]).await, Err(StoreError::NotMine));
    other.begin(parts[0]).await.unwrap();
    let request = PairingRequest { client_id: app(), sender: "s".to_owned(), nick: None };
    let Asked::Tell { code } = one.ask_pairing(request, 1).await.unwrap() else {
        panic!("they never asked before");
    };
    one.decide_pairing(code, true, 2).await.unwrap();
    assert_eq!(wakes.recv().await, Some(Wake::Pairing));
    one.revoke_pairing("s".to_owned(), None).await.unwrap();
    assert_eq!(wakes.recv().await, Some(Wake::Pairing));
    let token = SharedToken { token: crate::redact::Secret::new("t"), expires_at: 7 };
    assert_eq!(one.shared_token(&app()).await.unwrap(), None);
    one.share_token(&app(), token.clone()).await.unwrap();
    assert_eq!(other.shared_token(&app()).await.unwrap(), Some(token));
    assert!(own.try_recv().is_err(), "nobody is told what it did itself");
}

#[tokio::test]
async fn what_a_dead_process_had_is_taken_over_and_it_may_begin_nothing_more() {
    let Some((cluster, url)) = fresh() else { return };
    let (dies, lives) = (open(&url).unwrap(), open(&url).unwrap());
    let begun = Instant::now();
    assert!(beat(&dies).await.leads);
    let kept = dies.take_in(message(1, Bucket::LEADER)).await.unwrap();
    assert_eq!(kept.place, Place::Here);
    let goes_on = Said { ended: false, ..said(false) };
    let parts = dies.said(kept.id, goes_on).await.unwrap();
    dies.note(Step::Begun { message: kept.id, at: 1 });
    // Two that never begin: one behind it, and one that comes later, and is the first of its chat.
    dies.take_in(message(2, Bucket::LEADER)).await.unwrap();
    let mut waits = None;
    let share = until("the takeover", async || {
        if waits.is_none() && begun.elapsed() > LEASE / 2 {
            waits = Some(lives.take_in(message(3, Bucket::numbered(1).unwrap())).await.unwrap().id);
        }
        let share = beat(&lives).await;
        share.leads.then_some(share)
    })
    .await;
    let took = begun.elapsed();
    assert!(took >= LEASE + GRACE && took < Duration::from_secs(5), "{took:?}");
    assert_eq!((share.live, share.mine.len()), (1, usize::from(BUCKETS)));
    assert_eq!(dies.begin(parts[0]).await, Err(StoreError::NotMine));
    assert_eq!(dies.failed(kept.id, "late".to_owned()).await, Err(StoreError::NotMine));
    let found = {
        let gained = share.gained.into_iter().collect();
        lives.unfinished_of(&app(), Wanted::TakenOver(gained)).await.unwrap()
    };
    let counted: Vec<_> = found.iter().map(|left| (left.id, left.cut_off)).collect();
    let (id, cut_off) = counted[0];
    assert_eq!((counted.len(), id, cut_off, found[0].parts[0].begun), (3, kept.id, 1, false));
    assert_eq!((counted[1].1, counted[2]), (0, (waits.unwrap(), 0)), "they only waited");
    lives.sent(parts[0], None).await.unwrap();
    // It comes back, finds all of its buckets lost, and one of them again.
    let back = beat(&dies).await;
    assert_eq!((back.live, back.mine.len(), back.lost.len()), (2, 0, usize::from(BUCKETS)));
    let hosts = cluster.sql(database_of(&url), "SELECT DISTINCT host FROM ddingtalk.replica");
    assert_eq!(hosts.len(), 1, "both are here");
}

#[tokio::test]
async fn whose_lease_is_over_begins_nothing_until_it_beats_again() {
    let Some((cluster, url)) = fresh() else { return };
    let store = open(&url).unwrap();
    beat(&store).await;
    let kept = store.take_in(message(1, Bucket::LEADER)).await.unwrap();
    let parts = store.said(kept.id, said(false)).await.unwrap();
    cluster.sql(
        database_of(&url),
        "UPDATE ddingtalk.replica SET alive_until = clock_timestamp() - INTERVAL '1 ms'",
    );
    assert_eq!(store.begin(parts[0]).await, Err(StoreError::NotMine));
    let share = beat(&store).await;
    assert_eq!((share.mine.len(), share.gained.len(), share.lost.len()), (64, 0, 0));
    store.begin(parts[0]).await.unwrap();
}

#[tokio::test]
async fn who_beats_first_after_the_database_was_away_waits_for_the_others() {
    let Some((cluster, url)) = fresh() else { return };
    let stores = [open(&url).unwrap(), open(&url).unwrap(), open(&url).unwrap()];
    let [one, other, dies] = &stores;
    for store in [one, other, dies, one, other, dies] {
        beat(store).await;
    }
    // Nobody could beat.
    let away = "UPDATE ddingtalk.replica SET alive_until = clock_timestamp() - INTERVAL '1 min'";
    cluster.sql(database_of(&url), away);
    let begun = Instant::now();
    let share = beat(one).await;
    assert_eq!((share.live, share.mine.len(), share.gained.len()), (3, 22, 0));
    let share = beat(other).await;
    assert_eq!((share.live, share.gained.len(), share.lost.len()), (3, 0, 0));
    // One of them was killed meanwhile.
    until("the takeover", async || {
        beat(other).await;
        (beat(one).await.live == 2).then_some(())
    })
    .await;
    assert!(begun.elapsed() >= LEASE + GRACE, "{:?}", begun.elapsed());
    // Whoever is new knows nothing of that.
    cluster.sql(database_of(&url), away);
    let share = beat(&open(&url).unwrap()).await;
    assert_eq!((share.live, share.mine.len()), (1, usize::from(BUCKETS)));
}

#[tokio::test]
async fn the_schema_is_made_once_however_many_begin_at_once() {
    let Some((cluster, url)) = fresh() else { return };
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| open(&url))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for store in opened {
        store.unwrap().probe().await.unwrap();
    }
    let versions = cluster.sql(database_of(&url), "SELECT version FROM ddingtalk.version");
    assert_eq!(versions, ["3"]);
}

#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() {
    let Some((cluster, url)) = fresh() else { return };
    let of = |url: &str| open(url).unwrap_err();
    let database = database_of(&url).to_owned();
    let none = read(&url).unwrap_err().to_string();
    assert!(none.contains("start its gateway once"), "{none}");
    drop(open(&url).unwrap());
    cluster.sql(&database, "UPDATE ddingtalk.version SET version = 99");
    for error in [of(&url), read(&url).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("has schema version 99, and this release knows 3"), "{text}");
        assert!(text.contains("name another database"), "{text}");
    }
    cluster.sql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'right'");
    let guarded = |password: &str, database: &str| {
        let port = cluster.port();
        format!("postgres://guarded:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
    };
    for (url, part) in [
        (guarded("wr0ng", &database), "check user and password in its address"),
        (guarded("right", "nothere"), "make it (createdb), or name another one"),
        (guarded("right", "postgres"), "let the user create a schema in it"),
        (url.replace("sslmode=disable", "sslmode=require"), "sslmode=disable in its address"),
    ] {
        let error = of(&url);
        assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("127.0.0.1"), "{text}");
        assert!(!text.contains("wr0ng") && !text.contains(":right"), "{text}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = of(&format!("postgres://u@127.0.0.1:{nobody}/d?sslmode=disable"));
    assert!(matches!(away, StoreError::Unreachable { .. }), "{away:?}");
}

#[tokio::test]
async fn a_server_that_starts_again_is_linked_again_and_nothing_is_lost_or_doubled() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url = cluster.database();
    let store = open(&url).unwrap();
    let mut wakes = store.wakes(&app());
    assert_eq!(wakes.recv().await, Some(Wake::Everything));
    beat(&store).await;
    store.take_in(contract::message("app", 0)).await.unwrap();
    // Many are under way when it ends.
    let asked: Vec<_> = (1..=200).map(|n| store.take_in(contract::message("app", n))).collect();
    cluster.start_again();
    let mut kept = vec!["0".to_owned()];
    for (n, asked) in (1..).zip(asked) {
        match asked.await {
            Ok(_) => kept.push(n.to_string()),
            Err(StoreError::Unreachable { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(wakes.recv().await, Some(Wake::AfterOutage), "there was a gap");
    beat(&store).await;
    let stored = cluster.sql(
        database_of(&url),
        "SELECT substr(msg_id, 4) FROM ddingtalk.inbox ORDER BY CAST(substr(msg_id, 4) AS int)",
    );
    assert_eq!(stored, kept, "what was answered is there, and nothing else");
}

#[tokio::test]
async fn a_server_that_stays_away_is_named_in_bounded_time_and_found_again() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url = cluster.database();
    let store = open(&url).unwrap();
    store.take_in(contract::message("app", 1)).await.unwrap();
    cluster.stop();
    let begun = Instant::now();
    let asked: Vec<_> = (2..=9).map(|n| store.take_in(contract::message("app", n))).collect();
    for asked in asked {
        let error = asked.await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    cluster.start_again();
    let kept =
        until("it is found again", async || store.take_in(contract::message("app", 2)).await.ok())
            .await;
    let reader = read(&url).unwrap();
    assert_eq!(reader.by_name("msg2").unwrap()[0].id, kept.id);
    assert_eq!(reader.by_name("msg3").unwrap(), []);
}
