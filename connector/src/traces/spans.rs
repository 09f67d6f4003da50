//! A kept message as spans. Pure.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use ring::digest::{SHA256, digest};

use crate::store::inbox::{Kept, KeptPart, MessageState};

/// The trace of a message: the same whoever asks, and however often it is exported.
pub fn trace_id(kept: &Kept) -> TraceId {
    let bytes = hash(&[
        kept.client_id.as_str().as_bytes(),
        &kept.id.number().to_be_bytes(),
        &kept.received_at.to_be_bytes(),
    ]);
    TraceId::from_bytes(first(&bytes))
}

fn span_id(trace: TraceId, name: &str, part: usize) -> SpanId {
    let bytes = hash(&[&trace.to_bytes(), name.as_bytes(), &part.to_be_bytes()]);
    SpanId::from_bytes(first(&bytes))
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(part);
        text.push(0);
    }
    digest(&SHA256, &text).as_ref().to_vec()
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    first.copy_from_slice(&bytes[..N]);
    first
}

/// The spans of a message that is over: itself, and the steps of which both ends are known. No words of anybody
/// are in them.
///
/// | span | from | to |
/// | --- | --- | --- |
/// | `message` | its frame was read | it was over |
/// | `store` | its frame was read | it was written |
/// | `ack` | it was written | its ack went out |
/// | `queue` | its ack went out | its turn began |
/// | `agent` | its turn began | the agent had said all |
/// | `send`, for each part of the answer | the part was kept | it had arrived |
pub(super) fn spans(kept: &Kept, parts: &[KeptPart]) -> Vec<SpanData> {
    let Some(finished_at) = kept.finished_at else { return Vec::new() };
    let trace = trace_id(kept);
    let root = span_id(trace, "message", 0);
    let message = Step {
        name: "message",
        part: 0,
        kind: SpanKind::Consumer,
        from: kept.received_at,
        to: finished_at,
        attributes: of_message(kept),
        status: match kept.state {
            MessageState::Failed | MessageState::Parked => {
                Status::error(kept.reason.clone().unwrap_or_default())
            }
            _ => Status::Unset,
        },
    };
    let inner = |name, from: Option<i64>, to: Option<i64>| {
        Some(Step {
            name,
            part: 0,
            kind: SpanKind::Internal,
            from: from?,
            to: to?,
            attributes: Vec::new(),
            status: Status::Unset,
        })
    };
    let steps = [
        inner("store", Some(kept.received_at), kept.stored_at),
        inner("ack", kept.stored_at, kept.acked_at),
        inner("queue", kept.acked_at, kept.begun_at),
        inner("agent", kept.begun_at, kept.ended_at),
    ];
    let sent = parts.iter().enumerate().filter_map(|(index, part)| {
        let (from, to) = (part.said_at?, part.sent_at?);
        let mut attributes = vec![KeyValue::new("dingtalk.part", number(index + 1))];
        let named = [("dingtalk.via", &part.via), (PROCESS_QUERY_KEY, &part.process_query_key)];
        for (name, value) in named {
            attributes.extend(value.clone().map(|value| KeyValue::new(name, value)));
        }
        let kind = SpanKind::Client;
        Some(Step { name: "send", part: index, kind, from, to, attributes, status: Status::Unset })
    });
    let children = steps.into_iter().flatten().chain(sent);
    let children = children.map(|step| step.data(trace, root));
    std::iter::once(message.data(trace, SpanId::INVALID)).chain(children).collect()
}

const PROCESS_QUERY_KEY: &str = "dingtalk.process_query_key";

/// Names of OpenTelemetry's conventions for messaging where it has one.
fn of_message(kept: &Kept) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "dingtalk"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.message.conversation_id", kept.conversation_id.clone()),
        KeyValue::new("dingtalk.client_id", kept.client_id.as_str().to_owned()),
        KeyValue::new("dingtalk.message.number", kept.id.number()),
        KeyValue::new("dingtalk.message.state", kept.state.name()),
    ];
    let named = [
        ("messaging.message.id", &kept.msg_id),
        ("dingtalk.frame.message_id", &kept.message_id),
        ("dingtalk.message.reason", &kept.reason),
    ];
    for (name, value) in named {
        attributes.extend(value.clone().map(|value| KeyValue::new(name, value)));
    }
    attributes
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A span in the making. Times are milliseconds since 1970 UTC.
struct Step {
    name: &'static str,
    part: usize,
    kind: SpanKind,
    from: i64,
    to: i64,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Step {
    fn data(self, trace: TraceId, parent: SpanId) -> SpanData {
        let Self { name, part, kind, from, to, attributes, status } = self;
        let id = span_id(trace, name, part);
        SpanData {
            span_context: SpanContext::new(
                trace,
                id,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: moment(from),
            // A clock that was set back meanwhile makes no negative span.
            end_time: moment(to.max(from)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: InstrumentationScope::builder("ddingtalk")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn moment(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Say;
    use crate::credential::ClientId;
    use crate::store::InboxId;

    fn kept() -> Kept {
        Kept {
            id: InboxId::of(7),
            client_id: ClientId::new("app"),
            msg_id: Some("msg7".to_owned()),
            message_id: Some("frame7".to_owned()),
            conversation_id: "cid".to_owned(),
            state: MessageState::Done,
            reason: None,
            received_at: 1_000,
            stored_at: Some(1_001),
            acked_at: Some(1_003),
            begun_at: Some(1_010),
            ended_at: Some(1_500),
            finished_at: Some(1_600),
            data: r#"{"text":{"content":"private words"}}"#.to_owned(),
        }
    }

    fn part(said_at: i64, sent_at: Option<i64>) -> KeptPart {
        KeptPart {
            say: Some(Say::text("secret answer")),
            said_at: Some(said_at),
            sent_at,
            via: Some("batchSend".to_owned()),
            process_query_key: Some("pqk".to_owned()),
        }
    }

    fn ms(span: &SpanData) -> (u128, u128) {
        let ms = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        (ms(span.start_time), ms(span.end_time))
    }

    #[test]
    fn every_step_whose_ends_are_known_is_a_span_below_the_message() {
        let parts = [part(1_200, Some(1_300)), part(1_500, Some(1_600)), part(1_500, None)];
        let spans = spans(&kept(), &parts);
        let shape: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), ms(span))).collect();
        let expected = [
            ("message", (1_000, 1_600)),
            ("store", (1_000, 1_001)),
            ("ack", (1_001, 1_003)),
            ("queue", (1_003, 1_010)),
            ("agent", (1_010, 1_500)),
            ("send", (1_200, 1_300)),
            ("send", (1_500, 1_600)),
        ];
        assert_eq!(shape, expected);
        let root = &spans[0].span_context;
        assert!(root.is_valid() && root.trace_id() == trace_id(&kept()));
        assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
        for span in &spans[1..] {
            assert_eq!(span.parent_span_id, root.span_id());
            assert_eq!(span.span_context.trace_id(), root.trace_id());
        }
        let ids: std::collections::HashSet<_> =
            spans.iter().map(|span| span.span_context.span_id()).collect();
        assert_eq!(ids.len(), spans.len());
    }

    #[test]
    fn no_words_are_exported() {
        let said = format!("{:?}", spans(&kept(), &[part(1_200, Some(1_300))]));
        assert!(!said.contains("private words") && !said.contains("secret answer"), "{said}");
        assert!(said.contains("msg7") && said.contains("pqk"), "{said}");
    }

    #[test]
    fn what_failed_is_an_error_and_what_is_not_over_is_nothing() {
        let state = MessageState::Failed;
        let failed = Kept { state, reason: Some("refused".to_owned()), ..kept() };
        assert_eq!(spans(&failed, &[])[0].status, Status::error("refused"));
        assert_eq!(spans(&kept(), &[])[0].status, Status::Unset);
        assert!(spans(&Kept { finished_at: None, ..kept() }, &[]).is_empty());
    }

    #[test]
    fn times_that_are_missing_or_go_backwards_do_no_harm() {
        let odd = Kept { stored_at: None, acked_at: Some(900), begun_at: Some(-5), ..kept() };
        let spans = spans(&odd, &[]);
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["message", "queue", "agent"]);
        assert!(spans.iter().all(|span| span.start_time <= span.end_time));
    }

    #[test]
    fn another_message_has_another_trace() {
        let other = Kept { id: InboxId::of(8), ..kept() };
        let app = Kept { client_id: ClientId::new("app2"), ..kept() };
        assert_ne!(trace_id(&other), trace_id(&kept()));
        assert_ne!(trace_id(&app), trace_id(&kept()));
    }
}
