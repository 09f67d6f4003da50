//! Bodies that come slowly, not at all, or not to their end.

use std::{convert::Infallible, io, sync::Arc, task::Poll, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::stream;

use crate::{core::AppNumber, hub::Hub, wire::WireControl};

/// Pieces of a slow body; fewer if it has fewer bytes.
const PIECES: u32 = 10;

/// In equal pieces over this time on the app's clock: the first one after a first pause.
pub(super) fn in_pieces(
    hub: Arc<Hub>,
    app: Option<AppNumber>,
    body: Bytes,
    over: Duration,
) -> Body {
    let size = body.len().div_ceil(PIECES as usize).max(1);
    let pieces = u32::try_from(body.len().div_ceil(size)).unwrap_or(PIECES).max(1);
    let (start, pause) = (hub.time_of(app), over / pieces);
    let state = (hub, body, start);
    Body::from_stream(stream::unfold(state, move |(hub, mut body, last)| async move {
        if body.is_empty() {
            return None;
        }
        // The clock may have been set back meanwhile.
        let due = last.min(hub.time_of(app)).saturating_add(pause);
        hub.sleep_until(app, due).await;
        let piece = body.split_to(size.min(body.len()));
        Some((Ok::<_, Infallible>(piece), (hub, body, due)))
    }))
}

/// Never.
pub(super) fn never() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
}

/// The first half, and then the end of TCP in order: the other half never comes.
pub(super) fn half(mut body: Bytes, wire: WireControl) -> Body {
    body.truncate(body.len() / 2);
    let (mut half, mut written) = (Some(body), false);
    Body::from_stream(stream::poll_fn(move |cx| {
        if let Some(half) = half.take() {
            return Poll::Ready(Some(Ok(half)));
        }
        if !std::mem::replace(&mut written, true) {
            // What was handed over is written out before this is asked again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        wire.finish();
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof))))
    }))
}
