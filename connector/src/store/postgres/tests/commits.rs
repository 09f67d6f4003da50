//! Links that break while something is committed, and primaries that are lost.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::cutter::{Cut, Cutter};
use super::*;

/// The numbers of the messages that are kept, in order.
fn kept(cluster: &Cluster, url: &str) -> Vec<String> {
    let rows =
        "SELECT substr(msg_id, 4) FROM ddingtalk.inbox ORDER BY CAST(substr(msg_id, 4) AS int)";
    cluster.sql(database_of(url), rows)
}

/// The same address by way of a cutter.
fn by(cutter: &Cutter, cluster: &Cluster, url: &str) -> String {
    url.replace(&format!("127.0.0.1:{}", cluster.port()), &cutter.address())
}

/// Opens one that does nothing by itself any more: old rows are looked for after the first thing it is asked.
async fn calm(url: &str) -> PostgresStore {
    let store = open(url).unwrap();
    store.barrier().await.unwrap();
    store.barrier().await.unwrap();
    store
}

#[tokio::test]
async fn what_was_committed_before_the_link_broke_is_told_to_hold_and_is_there_once() {
    let Some((cluster, url)) = fresh() else { return };
    let cutter = Cutter::to(cluster.port());
    let store = calm(&by(&cutter, cluster, &url)).await;
    let first = store.take_in(contract::message("app", 0)).await.unwrap();
    let mut expected = vec!["0".to_owned()];
    for round in 0..3 {
        cutter.cut(Cut::After);
        let numbers = round * 10 + 1..round * 10 + 11;
        let asked: Vec<_> =
            numbers.clone().map(|n| store.take_in(contract::message("app", n))).collect();
        for outcome in join_all(asked).await {
            assert_eq!(outcome.unwrap().place, Place::Here);
        }
        assert!(cutter.has_cut());
        expected.extend(numbers.map(|n| n.to_string()));
    }
    assert_eq!(kept(cluster, &url), expected);
    cutter.cut(Cut::After);
    let parts = store.said(first.id, said(false)).await.unwrap();
    assert!(cutter.has_cut());
    let rows = cluster.sql(database_of(&url), "SELECT id FROM ddingtalk.outbox");
    assert_eq!(rows, parts.iter().map(|part| part.0.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_not_committed_before_the_link_broke_is_told_to_fail_and_is_not_there() {
    let Some((cluster, url)) = fresh() else { return };
    let cutter = Cutter::to(cluster.port());
    let store = calm(&by(&cutter, cluster, &url)).await;
    for round in 0..3 {
        cutter.cut(Cut::Before);
        let lost = store.take_in(contract::message("app", round)).await;
        assert!(matches!(lost, Err(StoreError::Unreachable { .. })), "{lost:?}");
        assert!(cutter.has_cut());
        assert_eq!(kept(cluster, &url).len(), usize::try_from(round).unwrap());
        // Whoever asks again is the first.
        let again = store.take_in(contract::message("app", round)).await.unwrap();
        assert_eq!(again.place, Place::Here);
    }
    assert_eq!(kept(cluster, &url), ["0", "1", "2"]);
}

/// The server's processes that wait for a standby.
fn waiting(cluster: &Cluster) -> Vec<String> {
    let rows = "SELECT CAST(pid AS text) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    cluster.sql("postgres", rows)
}

#[tokio::test]
async fn where_commits_wait_for_a_standby_nothing_is_told_to_hold_before_one_has_it() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.database();
    let store = calm(&url).await;
    store.take_in(contract::message("app", 0)).await.unwrap();
    cluster.set("synchronous_standby_names", "nobody");
    // The server needs a moment to know it.
    let mut n = 1;
    let (mut asked, first) = until("a commit that waits", async || {
        let mut asked = store.take_in(contract::message("app", n));
        n += 1;
        loop {
            if let Some(told) = (&mut asked).now_or_never() {
                told.unwrap();
                return None;
            }
            if let Some(first) = waiting(&cluster).pop() {
                return Some((asked, first));
            }
        }
    })
    .await;
    // The link is given up, and it is asked anew what became of it.
    until("the question", async || waiting(&cluster).into_iter().find(|waits| *waits != first))
        .await;
    assert!((&mut asked).now_or_never().is_none(), "no standby has it");
    cluster.set("synchronous_standby_names", "");
    assert_eq!(asked.await.unwrap().place, Place::Here);
    assert_eq!(kept(&cluster, &url), (0..n).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_only_a_lost_primary_had_is_told_to_fail_whatever_has_its_number_now() {
    let Some(mut primary) = Cluster::start() else { return };
    let (old_url, standby) = (primary.database(), primary.standby());
    let (old_way, new_way) = (Cutter::to(primary.port()), Cutter::to(standby.port()));
    new_way.close(true);
    let both = format!("{},{}", old_way.address(), new_way.address());
    let url = old_url.replace(&format!("127.0.0.1:{}", primary.port()), &both);
    let store = calm(&url).await;
    store.take_in(contract::message("app", 0)).await.unwrap();
    let database = database_of(&old_url);
    until("the copy", async || {
        let is_there = "SELECT 1 WHERE to_regclass('ddingtalk.inbox') IS NOT NULL";
        if standby.sql(database, is_there).is_empty() {
            return None;
        }
        (kept(&standby, &old_url).len() == 1).then_some(())
    })
    .await;
    // From here on the standby gets nothing.
    standby.set("primary_conninfo", "");
    until("the end of the copying", async || {
        let copying = "SELECT CAST(pid AS text) FROM pg_stat_wal_receiver";
        standby.sql("postgres", copying).is_empty().then_some(())
    })
    .await;
    old_way.cut_for_good(Cut::After);
    let mut lost = store.take_in(contract::message("app", 1));
    until("the cut", async || {
        assert!((&mut lost).now_or_never().is_none());
        old_way.has_cut().then_some(())
    })
    .await;
    until("the commit", async || (kept(&primary, &old_url).len() == 2).then_some(())).await;
    primary.stop();
    standby.promote();
    for _ in 0..50 {
        standby.sql("postgres", "SELECT CAST(pg_current_xact_id() AS text)");
    }
    new_way.close(false);
    let lost = lost.await;
    assert!(matches!(lost, Err(StoreError::Unreachable { .. })), "{lost:?}");
    assert_eq!(kept(&standby, &old_url), ["0"]);
    let again = store.take_in(contract::message("app", 1)).await.unwrap();
    assert_eq!(again.place, Place::Here);
    assert_eq!(kept(&standby, &old_url), ["0", "1"]);
}

#[tokio::test]
async fn a_host_that_says_nothing_keeps_nobody_from_the_others() {
    let Some((cluster, url)) = fresh() else { return };
    // Connections are made, and that is all.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let there = format!("127.0.0.1:{}", cluster.port());
    let both = |first: &str, second: &str| url.replace(&there, &format!("{first},{second}"));
    let place = silent.local_addr().unwrap().to_string();
    let store = open(&both(&place, &there)).unwrap();
    store.take_in(contract::message("app", 0)).await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let none = open(&both(&place, &closed.to_string())).unwrap_err().to_string();
    for part in [&format!("{place}: no connection within 2.5 s"), &format!("{closed}: "), "refused"]
    {
        assert!(none.contains(part), "{none}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_any_more_is_left_by_who_writes_and_by_who_listens() {
    let (Some(one), Some(other)) = (Cluster::start(), Cluster::shared()) else { return };
    let there = other.database();
    let name = database_of(&there);
    one.sql("postgres", &format!("CREATE DATABASE {name}"));
    let others = open(&there).unwrap();
    let both = format!("127.0.0.1:{},127.0.0.1:{}", one.port(), other.port());
    let url = there.replace(&format!("127.0.0.1:{}", other.port()), &both);
    let store = open(&url).unwrap();
    let mut wakes = store.wakes(&app());
    assert_eq!(wakes.recv().await, Some(Wake::Everything), "it begins to listen");
    store.take_in(contract::message("app", 1)).await.unwrap();
    one.set("default_transaction_read_only", "on");
    // The server needs a moment to know it.
    let mut n = 1;
    until("a message in the other database", async || {
        n += 1;
        store.take_in(contract::message("app", n)).await.unwrap();
        kept(other, &there).pop()
    })
    .await;
    // It is heard what is told there; nobody tells anything at the old one.
    until("the listener", async || {
        others.revoke_pairing("s".to_owned(), Some(app())).await.unwrap();
        let request = PairingRequest { client_id: app(), sender: "s".to_owned(), nick: None };
        let Asked::Tell { code } = others.ask_pairing(request, 1).await.unwrap() else {
            return None;
        };
        others.decide_pairing(code, true, 2).await.unwrap();
        std::iter::from_fn(|| wakes.try_recv().ok()).find(|wake| *wake == Wake::Pairing)
    })
    .await;
}
