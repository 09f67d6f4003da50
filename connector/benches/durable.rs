//! Acked messages a second with full durability, and what an `fsync` costs here.
//!
//! ```sh
//! cargo bench -p dingtalk-connector --bench durable              # the table
//! BENCH_MEMORY=1000000 cargo bench -p dingtalk-connector --bench durable   # memory, after so many messages
//! ```
//!
//! The load is this process: it answers `connections/open`, takes the WebSocket, and keeps so many messages in
//! flight. The program has the agent `none`: it keeps each message on disk, acks it, and says nothing. Each
//! figure stands beside how many times a second 4 KiB can be written and synced in the same directory.
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
/// Chats that the messages belong to.
const CHATS: usize = 50;

#[tokio::main]
async fn main() -> Fallible<()> {
    if let Ok(count) = std::env::var("BENCH_MEMORY") {
        return memory(count.parse()?).await;
    }
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
        let mut times = row.times;
        times.sort_unstable();
        let at = |share: usize| millis(times[(times.len() - 1) * share / 100]);
        let acked = per_second(times.len(), row.took);
        println!(
            "{in_flight:>9} {syncs:>10.0} {acked:>10.0} {:>12.1} {:>9.2} {:>9.2} {:>9.2}",
            acked / syncs,
            at(50),
            at(99),
            at(100)
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

/// How often 4 KiB can be written and synced here.
fn syncs_per_second(dir: &Path) -> Fallible<f64> {
    let mut file = File::create(dir.join("baseline"))?;
    let (begin, page) = (Instant::now(), [7_u8; 4_096]);
    let mut count = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        file.seek(SeekFrom::Start((count % 256) * 4_096))?;
        file.write_all(&page)?;
        file.sync_data()?;
        count += 1;
    }
    let took = begin.elapsed();
    fs::remove_file(dir.join("baseline"))?;
    Ok(per_second(usize::try_from(count)?, took))
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
            if let Message::Text(text) = heard {
                let ack: Value = serde_json::from_str(&text)?;
                let n: usize = ack["headers"]["messageId"].as_str().ok_or("no id")?.parse()?;
                if ack["code"] != 200 {
                    return Err(format!("not acked: {ack}").into());
                }
                times.push(sent_at[n - first].elapsed());
            }
        }
    }

    /// Resident memory of the program, in megabytes.
    fn resident(&self) -> Fallible<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kb: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kb * 1_024.0 / 1e6)
    }
}
