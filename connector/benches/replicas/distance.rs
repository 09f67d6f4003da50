//! What a message costs when the database is far away.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::cluster::Cluster;
use super::counters::Database;
use super::{Fallible, Row, database, measure};

/// Replicas of each row.
const REPLICAS: [usize; 2] = [1, 2];
/// Messages that are not answered yet: so few that none of those that are there at the start waits for long.
const IN_FLIGHT: usize = 128;

/// A database next door, and one that is so many milliseconds away, there and back again.
pub(super) async fn far(round_trip: u64) -> Fallible<()> {
    let Some(cluster) = Cluster::shared() else { return Ok(()) };
    database(cluster);
    println!("{:>13} {:>8} {}", "round trip ms", "replicas", Row::HEAD);
    let mut first = None;
    for millis in [0, round_trip] {
        for replicas in REPLICAS {
            let (mut url, port) = (cluster.database(), cluster.port());
            if millis > 0 {
                let each_way = Duration::from_millis(millis) / 2;
                let near = listen(SocketAddr::from(([127, 0, 0, 1], port)), each_way).await?;
                url = url.replace(&format!(":{port}/"), &format!(":{}/", near.port()));
            }
            let trip = trip(&Database::connect(&url).await?).await?.as_secs_f64() * 1e3;
            let row = measure(&url, replicas, IN_FLIGHT).await?;
            println!("{trip:>13.2} {replicas:>8} {}", row.line(&mut first));
        }
    }
    Ok(())
}

/// How long an answer takes to a question that costs nothing: half of them take no longer.
async fn trip(database: &Database) -> Fallible<Duration> {
    let mut times = Vec::new();
    for _ in 0..51 {
        let begin = Instant::now();
        database.number("SELECT CAST(1 AS bigint)").await?;
        // Each of these is prepared first, which is a trip of its own.
        times.push(begin.elapsed() / 2);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// A port that leads to another one, slowly. It stays until the program ends.
async fn listen(target: SocketAddr, each_way: Duration) -> Fallible<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(from_near, to_far, each_way));
            tokio::spawn(carry(from_far, to_near, each_way));
        }
    });
    Ok(address)
}

/// Hands on what comes, each piece so much later; however much is on its way.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sent, mut coming) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, bytes)) = coming.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if sent.send((Instant::now() + delay, bytes[..read].to_vec())).is_err() {
            return;
        }
    }
}
