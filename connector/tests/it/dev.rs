//! `ddingtalk dev`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::program;

#[test]
fn say_prints_the_answer_and_nothing_else() {
    let output = program().args(["dev", "--say", "hello 你好 😀"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello 你好 😀\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn dev_ignores_the_environment_of_a_real_robot() {
    let output = program()
        .args(["dev", "--say", "hello"])
        .env("DINGTALK_CLIENT_ID", "ding-real")
        .env("DINGTALK_CLIENT_SECRET", "secret")
        .env("DINGTALK_OPENAPI_ENDPOINT", "not a URL")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello\n");
}

#[test]
fn an_empty_say_is_refused_at_once() {
    let output = program().args(["dev", "--say", " "]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "error: --say is empty; give it the text to send, such as --say hello\n");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn dev_prints_a_chat_page_that_answers_and_ends_on_sigterm() {
    let mut child =
        program().arg("dev").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("chat page: ").expect("the address is announced").to_owned();
    let page = std::process::Command::new("kill").args(["-0", &child.id().to_string()]).status();
    assert!(page.unwrap().success(), "it runs");
    let body = get(&url);
    assert!(body.contains("<html") || body.contains("<!doctype html"), "{body}");
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing else on stdout");
}

/// The whole answer to a GET.
fn get(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        answer.to_lowercase()
    })
}
