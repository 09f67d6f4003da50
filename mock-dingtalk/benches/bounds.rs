//! Measures what the program may cost, each figure in a process of its own, and fails above a bound.
//!
//! ```sh
//! cargo bench -p mock-dingtalk --bench bounds
//! ```
//!
//! The client is this process, so that the server's memory is the server's alone. Memory is what
//! Linux says in `/proc/PID/status`; elsewhere nothing is measured.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]

use std::{
    error::Error,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A megabyte of memory, as bounds are given.
const MB: u64 = 1_000_000;
/// Resident memory of a mock that has just started.
const IDLE: u64 = 12 * MB;
/// The highest resident memory over all [`REQUESTS`].
const BUSY: u64 = 32 * MB;
/// Resident memory for each held connection.
const HELD: u64 = 6_000;

const REQUESTS: u64 = 1_000_000;
const CONNECTIONS: u64 = 10_000;
/// They belong to so many apps, since one app may not have them all.
const APPS: u64 = 10;
/// Messages that the bot gets and acknowledges meanwhile.
const MESSAGES: u64 = 20_000;
/// Keep-alive connections that the requests go over.
const CALLERS: u64 = 8;
/// Descriptors beside those of the connections.
const SPARE_FILES: u64 = 200;
/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if !cfg!(target_os = "linux") {
        println!("resident memory is read from /proc: nothing is measured here");
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Fallible<bool> {
    raise_file_limit()?;
    let mut table = Table { kept: true };
    println!("{:<46} {:>14} {:>14}  verdict", "figure", "measured", "bound");
    let idle = idle()?;
    table.row("idle: resident memory", idle, IDLE, "B");
    let held = held(idle)?;
    table.row(&format!("{CONNECTIONS} held connections: memory for each"), held, HELD, "B");
    let (most, rate) = busy()?;
    table.row(&format!("{REQUESTS} requests: highest resident memory"), most, BUSY, "B");
    println!("{:<46} {rate:>12}/s {:>14}", "the same: requests", "-");
    Ok(table.kept)
}

struct Table {
    kept: bool,
}

impl Table {
    fn row(&mut self, figure: &str, measured: u64, bound: u64, unit: &str) {
        let kept = measured <= bound;
        self.kept &= kept;
        let verdict = if kept { "kept" } else { "BROKEN" };
        println!("{figure:<46} {measured:>12} {unit} {bound:>12} {unit}  {verdict}");
    }
}

/// A mock that has started and was asked once whether it is ready.
fn idle() -> Fallible<u64> {
    let mock = Mock::start()?;
    mock.caller()?.call("GET", "/_mock/ready", None)?;
    mock.memory("VmRSS")
}

/// What each of many WebSocket connections adds.
fn held(idle: u64) -> Fallible<u64> {
    let mock = Mock::start()?;
    let mut caller = mock.caller()?;
    let mut sockets = Vec::new();
    for _ in 0..APPS {
        let app = caller.mint()?;
        for _ in 0..CONNECTIONS / APPS {
            let opened = caller.call("POST", OPEN, Some(&app.open_body()))?;
            let ticket = text(&opened, "ticket")?;
            sockets.push(upgrade(mock.address, ticket)?);
        }
        let path = format!("{}/connections?count={}&wait_ms=60000", app.path(), CONNECTIONS / APPS);
        let rows = caller.call("GET", &path, None)?;
        let open = rows.as_array().into_iter().flatten().filter(|row| row["state"] == "OPEN");
        let open = u64::try_from(open.count())?;
        if open < CONNECTIONS / APPS {
            return Err(format!("{open} of {} connections are open", CONNECTIONS / APPS).into());
        }
    }
    let all = mock.memory("VmRSS")?;
    drop(sockets);
    Ok(all.saturating_sub(idle) / CONNECTIONS)
}

/// The highest memory over all requests, and how many of them a second took.
fn busy() -> Fallible<(u64, u64)> {
    let mock = Mock::start()?;
    let mut caller = mock.caller()?;
    let app = caller.mint()?;
    let body = json!({ "perSecond": "none", "perMonth": "none" });
    caller.call("POST", &format!("{}/limits", app.path()), Some(&body))?;
    let opened = caller.call("POST", OPEN, Some(&app.open_body()))?;
    let mut bot = upgrade(mock.address, text(&opened, "ticket")?)?;
    // The upgrade is answered a moment before the connection is open.
    caller.call("GET", &format!("{}/connections?count=1&wait_ms=60000", app.path()), None)?;
    caller.call(
        "POST",
        &format!("{}/messages", app.path()),
        Some(&json!({ "from": "user0001", "text": "hello" })),
    )?;
    let session = session_path(&read_frame(&mut bot)?)?;

    let token = caller.call("POST", "/v1.0/oauth2/accessToken", Some(&app.token_body()))?;
    let token = text(&token, "accessToken")?;
    let mix = Mix::new(&app, &session, token);
    #[expect(clippy::disallowed_methods, reason = "a rate is measured in real time")]
    let start = Instant::now();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| {
                let (mock, mix) = (&mock, &mix);
                scope.spawn(move || {
                    let mut caller = mock.caller()?;
                    for turn in 0..SHARE {
                        mix.send(&mut caller, n, turn)?;
                    }
                    Fallible::Ok(())
                })
            })
            .collect();
        let path = format!("{}/messages", app.path());
        for _ in 0..MESSAGES {
            let body = json!({ "from": "user0001", "text": "hello" });
            caller.call("POST", &path, Some(&body))?;
            // Old sessions are forgotten.
            mix.answer_to(&session_path(&acknowledge(&mut bot)?)?);
        }
        callers.into_iter().try_for_each(|caller| caller.join().expect("a caller panicked"))
    })?;
    let rate = u128::from(REQUESTS) * 1_000 / start.elapsed().as_millis().max(1);
    Ok((mock.memory("VmHWM")?, u64::try_from(rate)?))
}

/// Requests of each caller.
const SHARE: u64 = REQUESTS / CALLERS;

/// What callers send in turn; some of it is the same every time.
struct Mix<'a> {
    token: &'a str,
    fetch: Vec<u8>,
    reply: Mutex<Vec<u8>>,
    open: Vec<u8>,
}

impl<'a> Mix<'a> {
    fn new(app: &Minted, session: &str, token: &'a str) -> Self {
        let new = Self {
            token,
            fetch: request("POST", "/v1.0/oauth2/accessToken", Some(&app.token_body())),
            reply: Mutex::default(),
            open: request("POST", OPEN, Some(&app.open_body())),
        };
        new.answer_to(session);
        new
    }

    fn answer_to(&self, session: &str) {
        let answer =
            json!({ "msgtype": "text", "text": { "content": "an answer of some length" } });
        let mut reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner);
        *reply = request("POST", session, Some(&answer));
    }

    fn send(&self, caller: &mut Caller, of: u64, turn: u64) -> Fallible<()> {
        // A card is streamed into by the call after the one that made it.
        let card = format!("card{of}-{}", turn / 6);
        match turn % 6 {
            0 => caller.send(&self.fetch),
            1 => {
                let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).clone();
                caller.send(&reply)
            }
            2 => caller.send(&self.open),
            3 => {
                let body = json!({
                    "outTrackId": card, "cardTemplateId": "template", "callbackType": "STREAM",
                    "cardData": { "cardParamMap": { "content": "" } },
                    "openSpaceId": "dtv1.card//IM_ROBOT.user0001",
                    "imRobotOpenDeliverModel": { "spaceType": "IM_ROBOT" },
                });
                let path = "/v1.0/card/instances/createAndDeliver";
                caller.send(&signed("POST", path, self.token, &body))
            }
            4 => {
                let body = json!({
                    "outTrackId": card, "guid": format!("guid{turn}"), "key": "content",
                    "content": "an answer of some length ".repeat(20),
                    "isFull": true, "isFinalize": turn % 12 == 4, "isError": false,
                });
                caller.send(&signed("PUT", "/v1.0/card/streaming", self.token, &body))
            }
            // The old host says in a 200 that it does not know it.
            _ => {
                let path = format!("/topapi/unknown/{turn}/{}", "x".repeat(200));
                caller.send(&request("POST", &path, Some(&json!({}))))
            }
        }
    }
}

/// Reads frames up to the next message, and answers that one as a plugin does: with much data.
fn acknowledge(bot: &mut TcpStream) -> Fallible<Value> {
    let frame = loop {
        let frame = read_frame(bot)?;
        if frame["type"] == "CALLBACK" {
            break frame;
        }
    };
    let answer = json!({
        "code": 200, "message": "OK", "data": "x".repeat(1_000),
        "headers": {
            "messageId": frame["headers"]["messageId"], "contentType": "application/json",
        },
    });
    let answer = answer.to_string();
    let [high, low] = u16::try_from(answer.len())?.to_be_bytes();
    // A mask of zeros leaves the text as it is.
    let mut bytes = vec![0x81, 0xfe, high, low, 0, 0, 0, 0];
    bytes.extend(answer.as_bytes());
    bot.write_all(&bytes)?;
    Ok(frame)
}

const OPEN: &str = "/v1.0/gateway/connections/open";

/// A running mock; it ends when this is dropped.
struct Mock {
    child: Child,
    address: SocketAddr,
}

impl Mock {
    fn start() -> Fallible<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mock-dingtalk"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It warns of every call that it does not know.
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let address = text(&ready, "url")?.trim_start_matches("http://").parse()?;
        Ok(Self { child, address })
    }

    /// A field of `/proc/PID/status`, in bytes.
    fn memory(&self, field: &str) -> Fallible<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no such field")?;
        Ok(kib.trim().parse::<u64>()? * 1024)
    }

    fn caller(&self) -> Fallible<Caller> {
        Ok(Caller { stream: BufReader::new(connect(self.address)?), body: Vec::new() })
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A keep-alive connection.
struct Caller {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

struct Minted {
    client_id: String,
    client_secret: String,
}

impl Minted {
    fn path(&self) -> String {
        format!("/_mock/apps/{}", self.client_id)
    }

    /// What the official Python SDK sends.
    fn open_body(&self) -> Value {
        json!({
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "subscriptions": [
                { "type": "EVENT", "topic": "*" },
                { "type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get" },
            ],
            "ua": "dingtalk-sdk-python/v0.24.3-union",
            "localIp": "127.0.0.1",
        })
    }

    fn token_body(&self) -> Value {
        json!({ "appKey": self.client_id, "appSecret": self.client_secret })
    }
}

impl Caller {
    fn mint(&mut self) -> Fallible<Minted> {
        let app = self.call("POST", "/_mock/apps", Some(&json!({})))?;
        Ok(Minted {
            client_id: text(&app, "clientId")?.to_owned(),
            client_secret: text(&app, "clientSecret")?.to_owned(),
        })
    }

    fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Fallible<Value> {
        self.send(&request(method, path, body))?;
        Ok(serde_json::from_slice(&self.body).unwrap_or_default())
    }

    /// Sends a request and reads its answer, which has to be a good one.
    fn send(&mut self, request: &[u8]) -> Fallible<()> {
        self.stream.get_mut().write_all(request)?;
        let head = read_head(&mut self.stream)?;
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
            })
            .map_or(Ok(0), |length| length.trim().parse())?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        let good = ["HTTP/1.1 200", "HTTP/1.1 201", "HTTP/1.1 202"];
        if !good.iter().any(|start| head.starts_with(start))
            || self.body.starts_with(br#"{"errcode":3"#)
        {
            return Err(format!("{head}{}", String::from_utf8_lossy(&self.body)).into());
        }
        Ok(())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn request(method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
    written(method, path, "", &body.map(Value::to_string).unwrap_or_default())
}

/// A request with an access token.
fn signed(method: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    let header = format!("x-acs-dingtalk-access-token: {token}\r\n");
    written(method, path, &header, &body.to_string())
}

fn written(method: &str, path: &str, header: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Opens a WebSocket. Nothing is compressed or checked: the peer is known.
fn upgrade(address: SocketAddr, ticket: &str) -> Fallible<TcpStream> {
    let mut stream = connect(address)?;
    let request = format!(
        "GET /connect?ticket={ticket} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    // Byte by byte, so that no frame is lost in a buffer.
    let head = read_head(&mut BufReader::with_capacity(1, &mut stream))?;
    if head.starts_with("HTTP/1.1 101") { Ok(stream) } else { Err(head.into()) }
}

fn read_head(stream: &mut impl BufRead) -> Fallible<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err("the mock ended the connection".into());
        }
    }
    Ok(head)
}

/// Reads one text frame of short or medium length.
fn read_frame(stream: &mut TcpStream) -> Fallible<Value> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head {
        [0x81, 126] => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        [0x81, short] if short < 126 => usize::from(short),
        _ => return Err("not the frame that was expected".into()),
    };
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(serde_json::from_slice(&frame)?)
}

/// Path and query of the `sessionWebhook` in a robot message.
fn session_path(frame: &Value) -> Fallible<String> {
    let data: Value = serde_json::from_str(text(frame, "data")?)?;
    let webhook = text(&data, "sessionWebhook")?;
    let start = webhook.find("/robot/").ok_or("an unknown sessionWebhook")?;
    Ok(webhook[start..].to_owned())
}

fn text<'a>(value: &'a Value, name: &str) -> Fallible<&'a str> {
    value[name].as_str().ok_or_else(|| format!("no {name} in {value}").into())
}

/// The mock inherits it.
#[cfg(unix)]
fn raise_file_limit() -> Fallible<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let needed = CONNECTIONS + SPARE_FILES;
    match limit.current {
        Some(files) if files < needed => {
            Err(format!("{needed} open files are needed, and {files} allowed").into())
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn raise_file_limit() -> Fallible<()> {
    Ok(())
}
