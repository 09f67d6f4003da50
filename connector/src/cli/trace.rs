//! `ddingtalk trace`: what became of a message, step by step, whether a gateway runs or not.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::access::{StoreArgs, reader};
use super::exit_code::{ExitCode, Failure};
use super::output::{self, moment, printable};
use crate::store::inbox::{Kept, KeptPart};
use crate::traces::trace_id;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// msgId of the message, or messageId of its frame.
    #[arg(value_name = "MSGID")]
    msg_id: String,
    #[command(flatten)]
    common: StoreArgs,
}

pub(super) fn run(Args { msg_id, common }: Args) -> Result<(), Failure> {
    let (json, reader) = (common.json, reader(&common.store()?)?);
    let mut traces = Vec::new();
    for kept in reader.by_name(msg_id.trim())? {
        let parts = reader.parts(kept.id)?;
        traces.push(Trace { kept, parts });
    }
    if traces.is_empty() {
        let problem = format!(
            "no message has the msgId or messageId {msg_id:?}; `ddingtalk inbox list --all` names those of the last 7 \
             days, and `ddingtalk logs` says by an audit line why one was not kept"
        );
        return Err(Failure::new(ExitCode::Failed, problem));
    }
    if json {
        let traces: Vec<_> = traces.iter().map(Trace::json).collect();
        return output::data(&json!({ "traces": traces }).to_string());
    }
    for trace in &traces {
        trace.print()?;
    }
    Ok(())
}

/// A message and what was said to it.
pub(super) struct Trace {
    pub(super) kept: Kept,
    pub(super) parts: Vec<KeptPart>,
}

/// One step.
struct Step<'a> {
    name: &'static str,
    at: i64,
    /// Of the answer, counted from 1.
    part: Option<usize>,
    via: Option<&'a str>,
    key: Option<&'a str>,
}

impl Trace {
    /// The steps whose times are known, in order.
    fn steps(&self) -> Vec<Step<'_>> {
        let Self { kept, parts } = self;
        let step = |name, at: Option<i64>| {
            at.map(|at| Step { name, at, part: None, via: None, key: None })
        };
        let of_part = |name, (index, at): (usize, Option<i64>)| {
            at.map(|at| Step { name, at, part: Some(index + 1), via: None, key: None })
        };
        let taken = [
            step("received", Some(kept.received_at)),
            step("stored", kept.stored_at),
            step("acked", kept.acked_at),
            // At the very same moment: a message is queued when it is acked.
            step("queued", kept.acked_at),
            step("agent", kept.begun_at),
        ];
        let said = parts.iter().map(|part| part.said_at).enumerate();
        let sent = parts.iter().enumerate().map(|(index, part)| {
            let step = of_part("sent", (index, part.sent_at))?;
            let (via, key) = (part.via.as_deref(), part.process_query_key.as_deref());
            Some(Step { via, key, ..step })
        });
        let ended = step("ended", kept.ended_at);
        let over = step(kept.state.name(), kept.finished_at);
        let mut steps: Vec<_> = taken
            .into_iter()
            .chain(said.map(|said| of_part("said", said)))
            .chain([ended])
            .chain(sent)
            .flatten()
            .collect();
        // Sorted by time, steps of the same moment in their natural order.
        steps.sort_by_key(|step| step.at);
        steps.extend(over);
        steps
    }

    pub(super) fn json(&self) -> Value {
        let Self { kept, parts } = self;
        let steps: Vec<_> = self
            .steps()
            .into_iter()
            .map(|Step { name, at, part, via, key }| {
                let mut step = json!({ "step": name, "at": at });
                if let Some(part) = part {
                    step["part"] = part.into();
                }
                if let Some(via) = via {
                    step["via"] = via.into();
                }
                if let Some(key) = key {
                    step["processQueryKey"] = key.into();
                }
                step
            })
            .collect();
        json!({
            "id": kept.id.number(),
            "state": kept.state.name(),
            "reason": kept.reason,
            "clientId": kept.client_id.as_str(),
            "msgId": kept.msg_id,
            "messageId": kept.message_id,
            "conversationId": kept.conversation_id,
            "traceId": trace_id(kept).to_string(),
            "parts": parts.len(),
            "steps": steps,
        })
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        let Self { kept, parts } = self;
        let reason = kept.reason.as_ref().map(|reason| format!(": {}", printable(reason)));
        let state = kept.state.name();
        output::data(&format!(
            "message {}  {state}{}",
            kept.id.number(),
            reason.unwrap_or_default()
        ))?;
        for (name, value) in [
            ("msgId", kept.msg_id.as_deref()),
            ("messageId", kept.message_id.as_deref()),
            ("clientId", Some(kept.client_id.as_str())),
            ("chat", Some(kept.conversation_id.as_str())),
            ("trace", Some(trace_id(kept).to_string().as_str())),
        ] {
            output::data(&format!("  {name:<9}  {}", output::shown(value)))?;
        }
        let count = parts.len();
        for Step { name, at, part, via, key } in self.steps() {
            let after = format!("+{} ms", at.saturating_sub(kept.received_at));
            let mut line = format!("  {}  {after:>9}  {name}", moment(at));
            if let Some(part) = part.filter(|_| count > 1) {
                // Writing to a text cannot fail.
                let _ = write!(line, " part {part} of {count}");
            }
            for more in [via.map(|via| format!("by {via}")), key.map(str::to_owned)] {
                line.push_str(&more.map(|more| format!("  {more}")).unwrap_or_default());
            }
            output::data(&line)?;
        }
        Ok(())
    }
}
