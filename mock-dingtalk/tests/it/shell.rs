//! The program as a shell sees it: what is typed, what is printed, how it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    time::Duration,
};

use mock_dingtalk::MockDingtalk;
use serde_json::Value;

use crate::process::program;

/// Runs the program while this task's runtime goes on; what it printed and how it ended.
pub(crate) async fn cli(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command.args(arguments).env("MOCK_DINGTALK_URL", url);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// One exchange as a reader of the documentation would see it.
pub(crate) async fn transcript(url: &str, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = cli(url, arguments).await;
    let mut text = format!("$ mock-dingtalk {}\n", arguments.join(" "));
    for (mark, stream) in [("", stdout), ("stderr: ", stderr)] {
        for line in stream.lines() {
            text.extend([mark, masked(&line.replace(url, "http://MOCK")).as_str(), "\n"]);
        }
    }
    text + &format!("exit {code}\n\n")
}

/// Without what differs from run to run: ids, times, and the widths that they give to columns.
fn masked(line: &str) -> String {
    let words = line.trim_end().split("  ").map(str::trim).filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let long = |part: &str| {
            part.len() >= 16
                && part.bytes().filter(u8::is_ascii_digit).count() >= 4
                && !part.contains('/')
                && !part.starts_with('{')
        };
        word.split(' ')
            .map(|part| if long(part) { "<id>" } else { part })
            .collect::<Vec<_>>()
            .join(" ")
    });
    words.collect::<Vec<_>>().join("  ")
}

pub(crate) async fn transcripts(url: &str, all: &[&[&str]]) -> String {
    let mut text = String::new();
    for arguments in all {
        text += &transcript(url, arguments).await;
    }
    text
}

pub(crate) async fn start() -> MockDingtalk {
    MockDingtalk::builder().seed(1).start().await.unwrap()
}

/// What a verb prints as JSON.
pub(crate) async fn json_of(url: &str, arguments: &[&str]) -> Value {
    let (code, text, error) = cli(url, &[arguments, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{arguments:?}: {error}");
    serde_json::from_str(&text).unwrap()
}

/// Answers one call with this body; the request's first line and body come back.
pub(crate) fn canned(
    status: &'static str,
    body: &'static str,
) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut reader = BufReader::new(&stream);
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).unwrap();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        (&stream).write_all(format!("{head}{body}").as_bytes()).unwrap();
        let first = first.trim_end().trim_end_matches(" HTTP/1.1");
        format!("{first} {}", String::from_utf8(sent).unwrap()).trim_end().to_owned()
    });
    (url, served)
}
