//! `sent`, `deliveries`, `connections`: what came of it.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use serde_json::Value;

use super::{
    arguments,
    client::OfApp,
    exit_code::Exit,
    print::{self, Column},
};

/// Which rows, and how long to wait for them.
#[derive(Debug, Args)]
pub(super) struct Rows {
    #[command(flatten)]
    of: OfApp,
    /// Wait until there are so many: finished messages, acknowledged deliveries, open connections.
    #[arg(long, value_name = "N")]
    wait: Option<usize>,
    /// How long to wait at most, such as 30s, or plain seconds; then the exit code is 124.
    #[arg(long, value_name = "DURATION", default_value = "10s", requires = "wait")]
    #[arg(value_parser = arguments::patience)]
    timeout: Duration,
    /// Only rows after this `seq`; `connections` has none.
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One of the three lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    Sent,
    Deliveries,
    Connections,
}

impl List {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Deliveries => "deliveries",
            Self::Connections => "connections",
        }
    }

    fn counts(self, row: &Value) -> bool {
        match self {
            Self::Sent => row["finished"] == true,
            Self::Deliveries => !row["ack"].is_null(),
            Self::Connections => row["state"] == "OPEN",
        }
    }

    fn awaited(self) -> &'static str {
        match self {
            Self::Sent => "messages",
            Self::Deliveries => "acknowledged deliveries",
            Self::Connections => "open connections",
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Sent => &[
                ("SEQ", "/seq"),
                ("VIA", "/via"),
                ("TO", "/to"),
                ("MSGTYPE", "/msgtype"),
                ("FINISHED", "/finished"),
                ("TEXT", "/text"),
            ],
            Self::Deliveries => &[
                ("SEQ", "/seq"),
                ("STATE", "/state"),
                ("TYPE", "/type"),
                ("TOPIC", "/topic"),
                ("ACKS", "/acks"),
                ("CODE", "/ack/code"),
                ("MESSAGEID", "/messageId"),
            ],
            Self::Connections => &[
                ("CONNECTION", "/connectionId"),
                ("STATE", "/state"),
                ("ACKS", "/acks"),
                ("UA", "/ua"),
                ("SUBSCRIPTIONS", "/subscriptions"),
                ("REASON", "/closeReason"),
            ],
        }
    }
}

impl Rows {
    pub(super) async fn run(self, list: List) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let mut url = client.at(&["apps", &app, list.name()]);
        let patience = self.wait.map_or(Duration::ZERO, |_| self.timeout);
        if let Some(after) = self.after {
            url.query_pairs_mut().append_pair("after", &after.to_string());
        }
        if let Some(count) = self.wait {
            url.query_pairs_mut()
                .append_pair("count", &count.to_string())
                .append_pair("wait_ms", &patience.as_millis().to_string());
        }
        let rows = client.wait(url, patience).await?;
        let have = rows.as_array().into_iter().flatten().filter(|row| list.counts(row)).count();
        print::rows(&rows, list.columns(), self.json)?;
        match self.wait {
            Some(count) if have < count => Err(Exit::in_vain(format!(
                "waited {} for {count} {}, and there are {have}; is the bot connected? \
                 `mock-dingtalk connections` and `mock-dingtalk journal` tell",
                humantime::format_duration(self.timeout),
                list.awaited()
            ))),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}
