//! Traces: what a collector gets, and what becomes of messages without one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;

use crate::support::{World, eventually, transcript_of};

/// A collector: keeps what it gets, and asks for a key.
#[derive(Clone, Default)]
struct Collector {
    /// Name of the service and span, in the order they came.
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

const KEY: &str = "s3cret-of-the-collector";

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, url)
    }

    fn spans(&self) -> Vec<(String, Span)> {
        self.spans.lock().unwrap().clone()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers.get("x-key").is_none_or(|key| key != KEY) {
        return StatusCode::UNAUTHORIZED;
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut spans = collector.spans.lock().unwrap();
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap().attributes;
        let name = attributes.iter().find(|pair| pair.key == "service.name").unwrap();
        let name = text(name.value.clone().unwrap().value.unwrap());
        for scope in resource.scope_spans {
            spans.extend(scope.spans.into_iter().map(|span| (name.clone(), span)));
        }
    }
    StatusCode::OK
}

fn text(value: Any) -> String {
    match value {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn attributes(span: &Span) -> HashMap<String, String> {
    let pairs = span
        .attributes
        .iter()
        .map(|pair| (pair.key.clone(), text(pair.value.clone().unwrap().value.unwrap())));
    pairs.collect()
}

#[tokio::test]
async fn a_collector_gets_the_steps_that_trace_shows() {
    let world = World::new().await;
    let (collector, url) = Collector::start().await;
    let mut command = world.command(&["--dm-policy", "open"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={KEY}"))
        .env("OTEL_SERVICE_NAME", "our bot");
    let running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    let said = world.app.say("user0001", "words that stay here").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let spans = eventually(
        || "spans of the message".to_owned(),
        || {
            let spans = collector.spans();
            (spans.len() >= 6).then_some(spans)
        },
    )
    .await;
    let names: Vec<_> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    assert_eq!(names, ["message", "store", "ack", "queue", "agent", "send"]);
    assert!(spans.iter().all(|(service, _)| service == "our bot"));
    let spans: Vec<_> = spans.into_iter().map(|(_, span)| span).collect();
    let (root, steps) = spans.split_first().unwrap();
    assert!(root.parent_span_id.is_empty());
    for step in steps {
        assert_eq!((&step.trace_id, &step.parent_span_id), (&root.trace_id, &root.span_id));
        let within = root.start_time_unix_nano <= step.start_time_unix_nano
            && step.end_time_unix_nano <= root.end_time_unix_nano;
        assert!(within, "{step:?} of {root:?}");
    }
    let of_root = attributes(root);
    assert_eq!(of_root["messaging.message.id"], said.msg_id);
    assert_eq!(of_root["messaging.message.conversation_id"], said.conversation_id);
    assert_eq!(of_root["dingtalk.message.state"], "done");
    assert_eq!(attributes(steps.last().unwrap())["dingtalk.via"], "sessionWebhook");
    // The same trace, the same times.
    let answer = world.ask(&["trace", "--json", &said.msg_id]).await;
    let json = answer.lines().find(|line| line.starts_with('{')).unwrap();
    let trace: Value = serde_json::from_str(json).unwrap();
    let trace = &trace["traces"][0];
    let id = root.trace_id.as_slice().try_into().unwrap();
    assert_eq!(trace["traceId"], format!("{:032x}", u128::from_be_bytes(id)));
    let first = trace["steps"][0]["at"].as_u64().unwrap();
    assert_eq!(first * 1_000_000, root.start_time_unix_nano);
    // Nobody's words, and no secret.
    let all = format!("{spans:?}");
    assert!(!all.contains("words that stay here"), "{all}");
    let log = running.log();
    assert!(log.contains("traces are exported") && !log.contains(KEY), "{log}");
}

#[tokio::test]
async fn without_its_collector_messages_are_answered_and_it_is_said_once() {
    let world = World::new().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let mut command = world.command(&["--dm-policy", "open"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_EXPORTER_OTLP_TIMEOUT", "300");
    let mut running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    for n in 1..=2 {
        world.app.say("user0001", &format!("hello {n}")).await.unwrap();
        world.app.wait_sent(n).await.unwrap();
        running.wait_log("traces cannot be exported", 1).await;
    }
    running.terminate();
    running.ended().await;
    let log = running.log();
    assert_eq!(log.matches("traces cannot be exported").count(), 1, "{log}");
}

#[tokio::test]
async fn a_collector_that_cannot_be_used_is_named_at_the_start() {
    let world = World::new().await;
    let mut command = world.command(&[]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let transcript = transcript_of(&output);
    assert_eq!(output.status.code(), Some(10), "{transcript}");
    assert!(transcript.contains(r#"OTEL_EXPORTER_OTLP_PROTOCOL is "grpc""#), "{transcript}");
}
