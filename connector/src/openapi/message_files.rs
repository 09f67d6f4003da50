//! Files that people send: a `downloadCode` becomes an address, the address becomes bytes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, LOCATION};
use serde_json::json;
use tokio::sync::mpsc;
use url::Url;

use super::access_token::missing;
use super::{OpenApiClient, OpenApiError};
use crate::protocol::RobotCode;

const CALL: &str = "POST /v1.0/robot/messageFiles/download";
const FETCH: &str = "GET (the downloadUrl)";

/// A file of this many bytes may be sent by a person at most, which is more than any client takes.
pub const MAX_FILE: usize = 100 << 20;
/// Redirects that are followed; each is checked as the first address was.
const REDIRECTS: usize = 3;
/// Limit for one file, however slowly it comes.
const TIMEOUT: Duration = Duration::from_secs(60);

impl OpenApiClient {
    /// `POST /v1.0/robot/messageFiles/download`: the address of a file that came with a message
    /// (下载机器人接收消息的文件内容).
    pub async fn message_file_url(
        &self,
        robot_code: &RobotCode,
        download_code: &str,
    ) -> Result<Url, OpenApiError> {
        let body = json!({ "robotCode": robot_code.as_str(), "downloadCode": download_code });
        let answer = self.post_with_token(CALL, "/v1.0/robot/messageFiles/download", &body).await?;
        let url = answer["downloadUrl"].as_str().or_else(|| answer["data"]["downloadUrl"].as_str());
        url.and_then(|url| Url::parse(url).ok()).ok_or_else(|| OpenApiError::Incomprehensible {
            call: CALL,
            host: self.endpoints.openapi.host_str().unwrap_or_default().to_owned(),
            status: 200,
            problem: missing("downloadUrl", &answer),
        })
    }

    /// Fetches a presigned address, up to `limit` bytes, and hands them on as they come; when nobody
    /// takes them any more it ends early. No header goes with it but what HTTP needs, and `headers` as they
    /// came with the address: a `Content-Type` breaks its signature, and the access token is none of its
    /// business.
    pub async fn fetch(
        &self,
        url: &Url,
        headers: HeaderMap,
        limit: usize,
        pieces: mpsc::Sender<Bytes>,
    ) -> Result<(), OpenApiError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            if !self.trusted.allows_storage(&url) {
                return Err(OpenApiError::untrusted(&url));
            }
            let host = url.host_str().unwrap_or_default().to_owned();
            let transport = |e| OpenApiError::transport(FETCH, &host, e);
            let request = self.http.get(url.clone()).headers(headers.clone()).timeout(TIMEOUT);
            let mut response = request.send().await.map_err(transport)?;
            let status = response.status().as_u16();
            if (300..400).contains(&status)
                && let Some(location) = response.headers().get(LOCATION)
                && let Some(next) = location.to_str().ok().and_then(|to| url.join(to).ok())
            {
                url = next;
                continue;
            }
            if status != 200 {
                let (code, message) = (String::new(), "the file cannot be had".to_owned());
                return Err(OpenApiError::Status {
                    call: FETCH,
                    host,
                    status,
                    code,
                    message,
                    retry_after: None,
                });
            }
            let too_large =
                |host: &str| OpenApiError::TooLarge { call: FETCH, host: host.to_owned(), limit };
            // Nothing of it is read where it says so itself.
            let told = response.content_length().and_then(|told| usize::try_from(told).ok());
            if told.is_some_and(|told| told > limit) {
                return Err(too_large(&host));
            }
            let mut length = 0;
            while let Some(chunk) = response.chunk().await.map_err(transport)? {
                length += chunk.len();
                if length > limit {
                    return Err(too_large(&host));
                }
                if pieces.send(chunk).await.is_err() {
                    break;
                }
            }
            return Ok(());
        }
        Err(OpenApiError::Incomprehensible {
            call: FETCH,
            host: url.host_str().unwrap_or_default().to_owned(),
            status: 302,
            problem: format!("it leads on more than {REDIRECTS} times"),
        })
    }
}
