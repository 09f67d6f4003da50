//! Bodies of requests, in bounded memory.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::server::Refusal;

/// The largest body, in bytes.
const MOST: usize = 1 << 20;
/// How much of a larger one is read, and dropped, before its sender is told: one that is still sending may
/// not read, and sees a broken connection instead of the answer.
const DROPPED: usize = 8 << 20;

/// Reads the body of every request before anything is answered, whatever becomes of it: a refusal must arrive,
/// too.
pub(super) async fn whole(request: Request, next: Next) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let bytes = read(body).await?;
    Ok(next.run(Request::from_parts(head, Body::from(bytes))).await)
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (BytesMut::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| {
            Refusal(StatusCode::BAD_REQUEST, format!("the body did not come to its end: {e}"))
        })?;
        length = length.saturating_add(chunk.len());
        if length <= MOST {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = BytesMut::new();
        }
        if length > DROPPED {
            break;
        }
    }
    if length <= MOST {
        return Ok(bytes.freeze());
    }
    let problem = format!("the body is too large; give at most {MOST} bytes");
    Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, problem))
}
