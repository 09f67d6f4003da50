//! Bodies with more behind them than they need. Nothing of it is kept in memory.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::stream;

/// Blanks at a time.
static BLANKS: [u8; 64 << 10] = [b' '; 64 << 10];

/// The body, and blanks up to so many bytes.
pub(super) fn padded(body: Bytes, bytes: u64) -> Body {
    let left = bytes.saturating_sub(body.len() as u64);
    let blanks = stream::unfold(left, |left| async move {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(BLANKS.len());
        let rest = left - piece as u64;
        (piece > 0).then(|| (Bytes::from_static(&BLANKS[..piece]), rest))
    });
    let first = stream::iter([body]);
    Body::from_stream(futures_util::StreamExt::map(
        futures_util::StreamExt::chain(first, blanks),
        Ok::<_, Infallible>,
    ))
}
