//! The thread that reads what is over and sends its spans to a collector, over OTLP/HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::{Told, spans};
use crate::config::Environment;
use crate::store::InboxId;
use crate::store::inbox::InboxReader;

/// A batch goes out when it has so many spans …
const BATCH: usize = 512;
/// … or when its first is so old.
const AGE: Duration = Duration::from_secs(1);
/// Limit for a call to the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where spans go.
#[derive(Debug)]
pub struct Collector(SpanExporter);

/// The environment's wishes cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// Another protocol is asked for.
    #[error(
        "{variable} is {value:?}, and traces are exported by http/protobuf only; unset it, or name the \
         collector's HTTP port (usually 4318) with http/protobuf"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// An address or limit is no such thing.
    #[error("traces cannot be exported: {0}; see OTEL_EXPORTER_OTLP_ENDPOINT and its companions")]
    Setting(String),
}

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// The collector that OpenTelemetry's variables name; `None` where they name none, or switch traces off.
///
/// Read are `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS` and `…_TIMEOUT`, each of them with `TRACES_` before the last
/// word, too, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_EXPORTER` and `OTEL_SDK_DISABLED`
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
pub fn collector(
    environment: &dyn Environment,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<Option<Collector>, CollectorError> {
    let set = |name| environment.var(name).filter(|value| !value.trim().is_empty());
    let says =
        |name, word: &str| set(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    let is_off = says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none");
    if is_off || ENDPOINTS.iter().all(|name| set(name).is_none()) {
        return Ok(None);
    }
    // The first that is set counts.
    let protocol = PROTOCOLS.iter().find_map(|name| Some((*name, set(name)?)));
    if let Some((variable, value)) = protocol.filter(|(_, value)| value.trim() != "http/protobuf") {
        return Err(CollectorError::Protocol { variable, value });
    }
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured((**tls).clone())
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("ddingtalk/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| CollectorError::Setting(e.to_string()))?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Http(http))
        .build()
        .map_err(|e| CollectorError::Setting(e.to_string()))?;
    let mut resource = Resource::builder();
    if set("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("ddingtalk");
    }
    exporter.set_resource(&resource.build());
    Ok(Some(Collector(exporter)))
}

/// Calls over the one TLS set-up of the process.
#[derive(Debug)]
struct Http(reqwest::Client);

#[async_trait::async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response =
            self.0.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        // What a collector answers is a few bytes; one that answers more is cut off by the time limit.
        Ok(answer.body(response.bytes().await?)?)
    }
}

/// Gathers spans and sends them.
pub(super) struct Worker {
    exporter: SpanExporter,
    /// Messages that found the queue full.
    left_out: Arc<AtomicU64>,
    batch: Vec<SpanData>,
    /// When the first of the batch came.
    since: Option<Instant>,
    /// The last export failed, and that has been said.
    complained: bool,
}

impl Worker {
    pub(super) fn new(Collector(exporter): Collector, left_out: Arc<AtomicU64>) -> Self {
        Self { exporter, left_out, batch: Vec::new(), since: None, complained: false }
    }

    /// Works until it is told to end, or nobody can tell anything any more.
    pub(super) fn run(mut self, reader: &dyn InboxReader, told: &Receiver<Told>, runtime: &Handle) {
        loop {
            let patience =
                self.since.map_or(Duration::MAX, |since| AGE.saturating_sub(since.elapsed()));
            match told.recv_timeout(patience) {
                Ok(Told::Message(message)) => self.take(reader, message),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => {
                    return self.send(runtime);
                }
            }
            let is_old = self.since.is_some_and(|since| since.elapsed() >= AGE);
            if is_old || self.batch.len() >= BATCH {
                self.send(runtime);
            }
        }
    }

    fn take(&mut self, reader: &dyn InboxReader, message: InboxId) {
        let read = || match reader.by_id(message)? {
            Some(kept) => reader.parts(kept.id).map(|parts| spans::spans(&kept, &parts)),
            None => Ok(Vec::new()),
        };
        match read() {
            Ok(spans) if spans.is_empty() => {}
            Ok(spans) => {
                self.since.get_or_insert_with(Instant::now);
                self.batch.extend(spans);
            }
            Err(e) => self.complain(&format!("the store cannot be read: {e}")),
        }
    }

    /// Sends the batch, and gives it up if the exporter's own tries do not help: traces are no ledger.
    fn send(&mut self, runtime: &Handle) {
        self.since = None;
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            match runtime.block_on(self.exporter.export(batch)) {
                Ok(()) if std::mem::take(&mut self.complained) => {
                    info!("traces are exported again");
                }
                Ok(()) => {}
                Err(e) => self.complain(&e.to_string()),
            }
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            warn!(messages = left_out, "messages have no trace: the collector is too slow");
        }
    }

    /// Says it once, until it is over.
    fn complain(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            warn!("traces cannot be exported, and are left out until they can: {problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls;

    struct Variables<'a>(&'a [(&'a str, &'a str)]);

    impl Environment for Variables<'_> {
        fn var(&self, name: &str) -> Option<String> {
            let set = self.0.iter().find(|(set, _)| *set == name);
            set.map(|(_, value)| (*value).to_owned())
        }
    }

    fn ask(variables: &[(&str, &str)]) -> Result<bool, String> {
        let found = collector(&Variables(variables), &tls::no_trust());
        found.map(|found| found.is_some()).map_err(|e| e.to_string())
    }

    #[test]
    fn it_is_off_unless_a_collector_is_named() {
        let url = "http://127.0.0.1:4318";
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url);
        assert_eq!(ask(&[]), Ok(false));
        assert_eq!(ask(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(false));
        assert_eq!(ask(&[endpoint]), Ok(true));
        assert_eq!(ask(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)]), Ok(true));
        assert_eq!(ask(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(false));
        assert_eq!(ask(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(false));
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        for (name, value, holds) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", false),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", false),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", true),
        ] {
            match ask(&[endpoint, (name, value)]) {
                Ok(on) => assert!(on && holds, "{name}={value}"),
                Err(e) => assert!(!holds && e.contains(name) && e.contains(value), "{e}"),
            }
        }
    }
}
