//! What other processes took in is found, in whatever order it is committed, and without reading what is known.

use std::collections::BTreeSet;

use tokio_postgres::{Client, NoTls};

use super::*;

/// A process of the app that can stop in the midst of a transaction.
pub(super) async fn by_hand(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SET search_path = ddingtalk").await.unwrap();
    client
}

/// Takes a message in, as that process does.
async fn take_in(client: &Client, n: i64, bucket: Bucket) -> InboxId {
    let NewMessage { client_id, conversation_id, received_at, data, .. } = message(n, bucket);
    let number = i16::try_from(bucket.number()).unwrap();
    let row = client
        .query_one(
            "INSERT INTO inbox (client_id, bucket, conversation_id, received_at, data)
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
            &[&client_id.as_str(), &number, &conversation_id.as_str(), &received_at, &data],
        )
        .await
        .unwrap();
    InboxId::of(row.get(0))
}

async fn tell(client: &Client, bucket: Bucket, id: InboxId) {
    let payload = format!("{}:{} somebody app", bucket.number(), id.number());
    client.query_one("SELECT pg_notify('ddingtalk', $1)", &[&payload]).await.unwrap();
}

async fn ids(store: &PostgresStore, wanted: Wanted) -> Vec<InboxId> {
    let found = store.unfinished_of(&app(), wanted).await.unwrap();
    found.into_iter().map(|left| left.id).collect()
}

fn but(of: &[Bucket], known: &[InboxId]) -> Wanted {
    Wanted::But { of: of.iter().copied().collect(), known: known.to_vec() }
}

#[tokio::test]
async fn what_is_committed_late_is_found_though_newer_messages_are_known() {
    let Some((_, url)) = fresh() else { return };
    let store = open(&url).unwrap();
    let mut wakes = store.wakes(&app());
    assert_eq!(wakes.recv().await, Some(Wake::Everything));
    beat(&store).await;
    let bucket = Bucket::numbered(3).unwrap();
    let (slow, fast) = (by_hand(&url).await, by_hand(&url).await);
    slow.batch_execute("BEGIN").await.unwrap();
    let late = take_in(&slow, 1, bucket).await;
    tell(&slow, bucket, late).await;
    let early = take_in(&fast, 2, bucket).await;
    tell(&fast, bucket, early).await;
    assert!(late < early, "its number is the lower one");
    let named = |id| Named::from([(bucket, BTreeSet::from([id]))]);
    assert_eq!(wakes.recv().await, Some(Wake::Messages(named(early))));
    assert_eq!(ids(&store, Wanted::Among(named(early))).await, [early]);
    assert_eq!(ids(&store, but(&[bucket], &[early])).await, [], "it is not there yet");
    slow.batch_execute("COMMIT").await.unwrap();
    assert_eq!(wakes.recv().await, Some(Wake::Messages(named(late))), "told when it is there");
    assert_eq!(ids(&store, Wanted::Among(named(late))).await, [late]);
    // The same if that was not heard.
    assert_eq!(ids(&store, but(&[bucket], &[early])).await, [late]);
    assert_eq!(
        ids(&store, but(&[bucket], &[])).await,
        [late, early],
        "in the order of their numbers"
    );
    assert_eq!(ids(&store, but(&[Bucket::LEADER], &[])).await, []);
    store.failed(late, "done".to_owned()).await.unwrap();
    assert_eq!(ids(&store, Wanted::Among(named(late))).await, [], "it is finished");
}

#[tokio::test]
async fn what_comes_in_one_transaction_is_told_together() {
    let Some((_, url)) = fresh() else { return };
    let (one, other) = (open(&url).unwrap(), open(&url).unwrap());
    beat(&other).await;
    let mut wakes = other.wakes(&app());
    assert_eq!(wakes.recv().await, Some(Wake::Everything));
    // Nothing of it is done before the beat is, whatever that takes.
    let joined = one.beat(&app(), Aim::Stay);
    let buckets = [3, 7].map(|number| Bucket::numbered(number).unwrap());
    let asked: Vec<_> = (0..)
        .zip(buckets.iter().cycle().take(40))
        .map(|(n, bucket)| one.take_in(message(n, *bucket)))
        .collect();
    joined.await.unwrap();
    let mut kept = Named::new();
    for (n, asked) in asked.into_iter().enumerate() {
        let taken_in = asked.await.unwrap();
        assert_eq!(taken_in.place, Place::Elsewhere);
        kept.entry(buckets[n % 2]).or_default().insert(taken_in.id);
    }
    let (mut told, mut count) = (Named::new(), 0);
    while told != kept {
        let Some(Wake::Messages(named)) = wakes.recv().await else { panic!("{told:?}") };
        count += 1;
        for (bucket, ids) in named {
            told.entry(bucket).or_default().extend(ids);
        }
    }
    assert!(count < 40, "{count}");
    let all = other.unfinished_of(&app(), Wanted::Among(kept)).await.unwrap();
    assert_eq!(all.len(), 40);
}

#[tokio::test]
async fn a_look_for_some_messages_costs_the_same_however_many_wait() {
    let Some((cluster, url)) = fresh() else { return };
    let store = open(&url).unwrap();
    beat(&store).await;
    let bucket = Bucket::numbered(3).unwrap();
    let wanted = store.take_in(message(0, bucket)).await.unwrap().id;
    let database = database_of(&url);
    // The server knows nothing of how many wait.
    cluster.sql(
        database,
        "INSERT INTO ddingtalk.inbox (client_id, bucket, conversation_id, received_at, data)
         SELECT 'app', 3, 'cid', n, '' FROM generate_series(1, 20000) AS n",
    );
    let named = Named::from([(bucket, BTreeSet::from([wanted]))]);
    // Often enough for a plan that is kept.
    for _ in 0..8 {
        assert_eq!(ids(&store, Wanted::Among(named.clone())).await, [wanted]);
    }
    store.probe().await.unwrap();
    drop(store);
    let read = until("the counts of the server", async || {
        let read = cluster.sql(
            database,
            "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
             FROM pg_stat_user_tables WHERE relname = 'inbox' AND idx_scan + seq_scan >= 8",
        );
        read.first().map(|read| read.parse::<u64>().unwrap())
    })
    .await;
    assert!(read < 1_000, "{read} rows were read");
}
