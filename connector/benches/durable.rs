//! Acked messages a second with full durability, how long an ack takes, and what an `fsync` costs here.
//!
//! ```sh
//! cargo bench -p dingtalk-connector --bench durable              # the tables
//! BENCH_MEMORY=1000000 cargo bench -p dingtalk-connector --bench durable   # memory, after so many messages
//! ```
//!
//! The load is this process: it answers `connections/open` and takes the WebSocket. The program has the agent
//! `none`: it keeps each message on disk, acks it, and says nothing. Each figure stands beside how many times a
//! second 4 KiB can be written and synced in the same directory.
//!
//! The first table keeps so many messages in flight, which shows how many a second the program takes at most: its
//! times follow from that (1,024 in flight at 8,000 a second are 128 ms each, by Little's law), and say nothing
//! of how long people wait. The second one sends so many a second, whatever is acked, as people do, and measures
//! each from the moment it was due, so that a stall is felt by all that fall into it.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(5);
/// Messages that are not measured: files are made, caches filled.
const WARM_UP: usize = 2_000;
/// Acks should take no longer.
const BOUND: Duration = Duration::from_millis(50);
/// Chats that the messages belong to.
const CHATS: usize = 50;

#[tokio::main]
async fn main() -> Fallible<()> {
    if let Ok(count) = std::env::var("BENCH_MEMORY") {
        return memory(count.parse()?).await;
    }
    flat_out().await?;
    println!();
    offered().await
}

/// So many in flight: how many are acked.
async fn flat_out() -> Fallible<()> {
    println!(
        "{:>9} {:>10} {:>10} {:>12} {:>9} {:>9} {:>9}",
        "in flight", "fsyncs/s", "acked/s", "per fsync", "p50 ms", "p99 ms", "max ms"
    );
    for in_flight in [1, 64, 1_024] {
        let dir = tempfile::tempdir()?;
        let syncs = syncs_per_second(dir.path())?;
        let mut load = Load::start(dir.path()).await?;
        load.run(in_flight, Until::Count(WARM_UP.min(in_flight * 50))).await?;
        let row = load.run(in_flight, Until::Passed(SPAN)).await?;
        let acked = per_second(row.times.len(), row.took);
        let times = Sorted::new(row.times);
        println!(
            "{in_flight:>9} {:>10.0} {acked:>10.0} {:>12.1} {:>9.2} {:>9.2} {:>9.2}",
            syncs.per_second,
            acked / syncs.per_second,
            times.at(50),
            times.at(99),
            times.at(100)
        );
    }
    Ok(())
}

/// So many offered a second: how long each waits for its ack.
async fn offered() -> Fallible<()> {
    println!(
        "{:>9} {:>10} {:>12} {:>12} {:>9} {:>9} {:>9} {:>12}",
        "offered/s",
        "acked/s",
        "fsync p50 ms",
        "fsync p99 ms",
        "p50 ms",
        "p99 ms",
        "max ms",
        "over 50 ms"
    );
    for rate in [500, 1_000, 2_000, 4_000] {
        let dir = tempfile::tempdir()?;
        let syncs = syncs_per_second(dir.path())?;
        let mut load = Load::start(dir.path()).await?;
        load.run(64, Until::Count(WARM_UP)).await?;
        let row = load.offer(rate, SPAN).await?;
        let acked = per_second(row.times.len(), row.took);
        let late = row.times.iter().filter(|time| **time > BOUND).count();
        let times = Sorted::new(row.times);
        println!(
            "{rate:>9} {acked:>10.0} {:>12.2} {:>12.2} {:>9.2} {:>9.2} {:>9.2} {late:>12}",
            syncs.times.at(50),
            syncs.times.at(99),
            times.at(50),
            times.at(99),
            times.at(100)
        );
    }
    Ok(())
}

/// Memory and file size while so many messages come.
async fn memory(count: usize) -> Fallible<()> {
    let dir = tempfile::tempdir()?;
    let mut load = Load::start(dir.path()).await?;
    println!("{:>9} {:>12} {:>12} {:>10}", "messages", "RSS MB", "files MB", "acked/s");
    let (mut done, step) = (0, (count / 10).max(1));
    println!("{done:>9} {:>12.1} {:>12.1}", load.resident()?, files(dir.path())?);
    while done < count {
        let row = load.run(1_024, Until::Count(step)).await?;
        done += row.times.len();
        let acked = per_second(row.times.len(), row.took);
        println!("{done:>9} {:>12.1} {:>12.1} {acked:>10.0}", load.resident()?, files(dir.path())?);
    }
    Ok(())
}

/// How often 4 KiB can be written and synced here, and how long each takes.
struct Syncs {
    per_second: f64,
    times: Sorted,
}

fn syncs_per_second(dir: &Path) -> Fallible<Syncs> {
    let mut file = File::create(dir.join("baseline"))?;
    let (begin, page) = (Instant::now(), [7_u8; 4_096]);
    let mut times = Vec::new();
    while begin.elapsed() < Duration::from_secs(1) {
        let from = Instant::now();
        file.seek(SeekFrom::Start((times.len() as u64 % 256) * 4_096))?;
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(from.elapsed());
    }
    let per_second = per_second(times.len(), begin.elapsed());
    fs::remove_file(dir.join("baseline"))?;
    Ok(Syncs { per_second, times: Sorted::new(times) })
}

/// Times, shortest first.
struct Sorted(Vec<Duration>);

impl Sorted {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// So many of a hundred are at most so long, in milliseconds.
    fn at(&self, share: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * share / 100).copied().map_or(f64::NAN, millis)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Size of the database with its log, in megabytes.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn files(dir: &Path) -> Fallible<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir.join("ddingtalk"))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes as f64 / 1e6)
}

/// When a run ends.
#[derive(Clone, Copy)]
enum Until {
    Count(usize),
    Passed(Duration),
}

struct Row {
    times: Vec<Duration>,
    took: Duration,
}

/// Which message was acked, if one was.
fn acked(heard: &Message) -> Fallible<Option<usize>> {
    let Message::Text(text) = heard else { return Ok(None) };
    let ack: Value = serde_json::from_str(text)?;
    if ack["code"] != 200 {
        return Err(format!("not acked: {ack}").into());
    }
    Ok(Some(ack["headers"]["messageId"].as_str().ok_or("no id")?.parse()?))
}

/// The program, and its connection.
struct Load {
    child: Child,
    socket: WebSocketStream<TcpStream>,
    sent: usize,
    frame: Value,
    data: Value,
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Load {
    async fn start(dir: &Path) -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let child = Command::new(env!("CARGO_BIN_EXE_ddingtalk"))
            .args(["gateway", "--agent", "none", "--dm-policy", "open", "--group-policy", "open"])
            .args(["--suspect-after", "120s", "--ping-interval", "30s"])
            .env_clear()
            .env("DINGTALK_CLIENT_ID", "dingbench")
            .env("DINGTALK_CLIENT_SECRET", "secret")
            .env("DINGTALK_OPENAPI_ENDPOINT", &url)
            .env("DINGTALK_OAPI_ENDPOINT", &url)
            .env("OPENCLAW_STATE_DIR", dir)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let socket = loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let mut first = [0; 4];
            stream.peek(&mut first).await?;
            if &first[..3] == b"GET" {
                break tokio_tungstenite::accept_async(stream).await?;
            }
            let mut asked = vec![0; 16 * 1_024];
            let _ = stream.read(&mut asked).await?;
            let endpoint = format!("{}/connect", url.replace("http", "ws"));
            let body = json!({ "endpoint": endpoint, "ticket": "t" }).to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
            stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
            stream.shutdown().await?;
        };
        let text = include_str!("../../fixtures/stream/callback_bot_text_dm.json");
        let frame: Value = serde_json::from_str(text)?;
        let data = serde_json::from_str(frame["data"].as_str().ok_or("no data")?)?;
        Ok(Self { child, socket, sent: 0, frame, data })
    }

    /// The next message: ids of its own, one of fifty chats, some text.
    fn next(&mut self) -> Message {
        let n = self.sent;
        self.sent += 1;
        self.data["msgId"] = format!("msg{n}").into();
        self.data["conversationId"] = format!("cid{}==", n % CHATS).into();
        self.frame["headers"]["messageId"] = n.to_string().into();
        self.frame["data"] = self.data.to_string().into();
        Message::text(self.frame.to_string())
    }

    /// Keeps so many in flight; measures from sending a message to its ack.
    async fn run(&mut self, in_flight: usize, until: Until) -> Fallible<Row> {
        let (begin, first) = (Instant::now(), self.sent);
        let mut sent_at: Vec<Instant> = Vec::new();
        let mut times = Vec::new();
        loop {
            let more = match until {
                Until::Count(count) => self.sent - first < count,
                Until::Passed(span) => begin.elapsed() < span,
            };
            let flying = self.sent - first - times.len();
            if !more && flying == 0 {
                return Ok(Row { times, took: begin.elapsed() });
            }
            // As in a real gateway several go out together.
            if more && flying < in_flight {
                let room = match until {
                    Until::Count(count) => (in_flight - flying).min(count - (self.sent - first)),
                    Until::Passed(_) => in_flight - flying,
                };
                for _ in 0..room {
                    let message = self.next();
                    sent_at.push(Instant::now());
                    self.socket.feed(message).await?;
                }
                self.socket.flush().await?;
            }
            let heard = self.socket.next().await.ok_or("the program hung up")??;
            if let Some(n) = acked(&heard)? {
                times.push(sent_at[n - first].elapsed());
            }
        }
    }

    /// Sends so many a second for a while, whatever is acked, and waits for the last ack; measures from when a
    /// message was due.
    async fn offer(&mut self, rate: u32, span: Duration) -> Fallible<Row> {
        let (begin, first) = (tokio::time::Instant::now(), self.sent);
        let due =
            |n: usize| begin + Duration::from_secs(1) * u32::try_from(n).unwrap_or(u32::MAX) / rate;
        let count = usize::try_from(rate)? * usize::try_from(span.as_secs())?;
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let sent = self.sent - first;
            tokio::select! {
                heard = self.socket.next() => {
                    let heard = heard.ok_or("the program hung up")??;
                    times.extend(acked(&heard)?.map(|n| due(n - first).elapsed()));
                }
                () = tokio::time::sleep_until(due(sent)), if sent < count => {
                    while self.sent - first < count && due(self.sent - first).elapsed() > Duration::ZERO {
                        let message = self.next();
                        self.socket.feed(message).await?;
                    }
                    self.socket.flush().await?;
                }
            }
        }
        Ok(Row { times, took: begin.elapsed() })
    }

    /// Resident memory of the program, in megabytes.
    fn resident(&self) -> Fallible<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kb: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kb * 1_024.0 / 1e6)
    }
}
