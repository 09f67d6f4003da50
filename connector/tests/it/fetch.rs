//! Presigned addresses: where they may lead, and how much comes from there.

use std::time::Duration;

use dingtalk_connector::credential::{ClientId, Credential};
use dingtalk_connector::openapi::{
    CALLS_PER_SECOND, Endpoints, OpenApiClient, OpenApiConfig, OpenApiError, TrustedHosts,
};
use dingtalk_connector::redact::Secret;
use dingtalk_connector::tls;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

/// A storage: `/file` is ten bytes, other paths lead on.
async fn storage(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    let to = match request.split(' ').nth(1).unwrap() {
        "/once" => "/file",
        "/twice" => "/once",
        "/for-ever" => "/for-ever",
        "/away" => "http://169.254.169.254/latest/meta-data",
        "/file-system" => "file:///etc/passwd",
        _ => "",
    };
    let response = if to.is_empty() {
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123456789".to_owned()
    } else {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    stream.write_all(response.as_bytes()).await.unwrap();
}

async fn fetch(path: &str, limit: usize) -> Result<Vec<u8>, OpenApiError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let storage = tokio::spawn(storage(listener));
    let endpoints = Endpoints { openapi: url.clone(), oapi: url.clone() };
    let client = OpenApiClient::new(OpenApiConfig {
        trusted: TrustedHosts::new(&endpoints, []),
        endpoints,
        credential: Credential {
            client_id: ClientId::new("app"),
            client_secret: Secret::new("secret"),
            place: "the test".to_owned(),
        },
        tls: tls::no_trust(),
        system_proxy: false,
        timeout: Duration::from_secs(10),
        calls_per_second: CALLS_PER_SECOND,
    });
    let (pieces, mut incoming) = mpsc::channel(16);
    let outcome = client.fetch(&url.join(path).unwrap(), HeaderMap::new(), limit, pieces).await;
    storage.abort();
    outcome?;
    let mut bytes = Vec::new();
    while let Some(piece) = incoming.recv().await {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_their_hosts_are_trusted() {
    for path in ["/file", "/once", "/twice"] {
        assert_eq!(fetch(path, 10).await.unwrap(), b"0123456789", "{path}");
    }
    for path in ["/away", "/file-system"] {
        let error = fetch(path, 10).await.unwrap_err();
        assert!(matches!(error, OpenApiError::UntrustedHost { .. }), "{path}: {error}");
    }
    let error = fetch("/for-ever", 10).await.unwrap_err().to_string();
    assert!(error.contains("more than 3 times"), "{error}");
}

#[tokio::test]
async fn a_file_over_the_limit_is_not_read_to_its_end() {
    let error = fetch("/file", 9).await.unwrap_err();
    assert!(matches!(error, OpenApiError::TooLarge { limit: 9, .. }), "{error}");
}
