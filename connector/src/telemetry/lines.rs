//! Log lines as JSON objects, one a line: written by a layer, read again by `ddingtalk logs`.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::log_file::LogFile;

/// The span whose field `name` is the account.
const ACCOUNT: &str = "account";

/// Writes each event to a file: `{"time","level","account"?,"message","fields"}`.
#[derive(Debug)]
pub struct JsonLines {
    file: Arc<LogFile>,
}

impl JsonLines {
    /// Into `file`.
    pub fn new(file: Arc<LogFile>) -> Self {
        Self { file }
    }
}

/// Fields of a span, kept with it.
#[derive(Debug, Default)]
struct Fields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut line = json!({ "time": time, "level": event.metadata().level().as_str() });
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                match fields.get("name") {
                    Some(name) if span.name() == ACCOUNT => line[ACCOUNT] = name.clone(),
                    _ => line[span.name()] = Value::Object(fields.clone()),
                }
            }
        }
        line["message"] = message;
        if !fields.0.is_empty() {
            line["fields"] = Value::Object(fields.0);
        }
        self.file.line(&line.to_string());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

/// The account that a line belongs to, where it names one.
pub fn account(line: &Value) -> Option<&str> {
    line[ACCOUNT].as_str()
}

/// A line for a person: time, level, account, message, fields.
pub fn readable(line: &Value) -> String {
    let text = |key: &str| line[key].as_str().unwrap_or_default();
    let account = account(line).map_or(String::new(), |name| format!("{name}: "));
    let mut out = format!("{} {:>5} {account}{}", text("time"), text("level"), text("message"));
    for (key, value) in line["fields"].as_object().into_iter().flatten() {
        // Writing to a String does not fail.
        let _ = write!(out, " {key}={value}");
    }
    out
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_line_has_level_account_message_and_fields_and_is_readable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = Arc::new(LogFile::open(&path).unwrap());
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(file));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error_span!("account", name = "sales").in_scope(|| {
                tracing::info!(count = 3, ok = true, who = "anna", "hello {}", "you");
            });
            tracing::warn!("alone\nand in two lines");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((account(&lines[0]), account(&lines[1])), (Some("sales"), None));
        assert_eq!(lines[0]["fields"], json!({ "count": 3, "ok": true, "who": "anna" }));
        let shown = readable(&lines[0]);
        let (_, rest) = shown.split_once(' ').unwrap();
        assert_eq!(rest, " INFO sales: hello you count=3 ok=true who=\"anna\"");
    }
}
