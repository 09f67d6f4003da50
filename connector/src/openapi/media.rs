//! `POST /media/upload` of the old host: bytes become a `media_id`.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Body;
use reqwest::multipart::{Form, Part};

use super::access_token::{AccessToken, missing};
use super::{OpenApiClient, OpenApiError, answer};

const CALL: &str = "POST /media/upload";

/// Limit for one file: 20 MB over a slow line take longer than any other call.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What is uploaded, and how much of it at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// jpg, gif, png, bmp; 20 MB.
    Image,
    /// amr, mp3, wav; 2 MB.
    Voice,
    /// mp4; 20 MB.
    Video,
    /// Anything else; 20 MB. Its documented formats are documents and archives.
    File,
}

impl MediaType {
    fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::File => "file",
        }
    }

    /// The most bytes that DingTalk takes.
    pub fn limit(self) -> usize {
        match self {
            Self::Voice => 2 << 20,
            Self::Image | Self::Video | Self::File => 20 << 20,
        }
    }
}

impl OpenApiClient {
    /// `POST /media/upload?type=…` (上传媒体文件). The id can be sent by the robot API; the host wants
    /// the access token in the query, so the URL is never logged.
    pub async fn upload(
        &self,
        media_type: MediaType,
        name: &str,
        bytes: Bytes,
    ) -> Result<String, OpenApiError> {
        let send = |token| self.upload_with(token, media_type, name, bytes.clone());
        self.with_token(CALL, send).await
    }

    async fn upload_with(
        &self,
        token: AccessToken,
        media_type: MediaType,
        name: &str,
        bytes: Bytes,
    ) -> Result<String, OpenApiError> {
        let mut url = self.oapi("/media/upload");
        url.query_pairs_mut()
            .append_pair("access_token", token.reveal())
            .append_pair("type", media_type.name());
        let host = url.host_str().unwrap_or_default().to_owned();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let part = Part::stream_with_length(Body::from(bytes), length).file_name(name.to_owned());
        let request = self.http.post(url).timeout(TIMEOUT).header("accept", "application/json");
        let sent = request.multipart(Form::new().part("media", part)).send().await;
        let response = sent.map_err(|e| OpenApiError::transport(CALL, &host, e))?;
        let answer = answer::read(CALL, &host, response).await?;
        answer["media_id"].as_str().map(str::to_owned).ok_or_else(|| {
            OpenApiError::Incomprehensible {
                call: CALL,
                host,
                status: 200,
                problem: missing("media_id", &answer),
            }
        })
    }
}
