//! `event`, `callback`, `frame`: pushes that no person makes by speaking.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{arguments, client::OfApp, exit_code::Exit, print};

/// Which app, and how the outcome is printed.
#[derive(Debug, Args)]
struct Push {
    #[command(flatten)]
    of: OfApp,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Push {
    async fn run(&self, path: &[&str], what: &str, body: &Value) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let url = client.at(&[&["apps", app.as_str()], path].concat());
        let said = client.post(url, body).await?;
        let columns = [("STATE", "/state"), ("MESSAGEID", "/messageId")];
        print::said(&said, what, &columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Push an EVENT frame.
#[derive(Debug, Args)]
pub(super) struct Event {
    #[command(flatten)]
    push: Push,
    /// The event's data, as an object.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Its `eventId`; made up if not given.
    #[arg(long = "event-id", value_name = "ID", requires = "data")]
    id: Option<String>,
    /// Of `robot_msg_read` and `robot_msg_recall` without data: who did it.
    #[arg(long, value_name = "USER", requires = "key", conflicts_with = "data")]
    from: Option<String>,
    /// Of the same: the `processQueryKey` of the message.
    #[arg(long, value_name = "KEY", requires = "from", conflicts_with = "data")]
    key: Option<String>,
    /// Its `eventType`, such as `robot_msg_read` or `chat_update_title`.
    #[arg(value_name = "TYPE")]
    kind: String,
}

impl Event {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let data = self.data.as_deref().map(|data| arguments::json("--data", data)).transpose()?;
        let body = json!({
            "eventType": self.kind,
            "data": data,
            "eventId": self.id,
            "userId": self.from,
            "processQueryKey": self.key,
        });
        self.push.run(&["events"], "event", &body).await
    }
}

/// Push a CALLBACK of another topic than robot messages.
#[derive(Debug, Args)]
pub(super) struct Callback {
    #[command(flatten)]
    push: Push,
    /// The callback's data, as an object; topics other than graph and dynamicData need it.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Of graph: the method.
    #[arg(long, conflicts_with = "data")]
    method: Option<String>,
    /// Of graph: the path.
    #[arg(long, conflicts_with = "data")]
    uri: Option<String>,
    /// Of graph: the body, as a string.
    #[arg(long, conflicts_with = "data")]
    body: Option<String>,
    /// Of dynamicData: the card's outTrackId.
    #[arg(long, value_name = "OUTTRACKID", conflicts_with = "data")]
    card: Option<String>,
    /// Of dynamicData: the source's id.
    #[arg(long, value_name = "ID", conflicts_with = "data")]
    source: Option<String>,
    /// graph, dynamicData, or a topic as it stands.
    topic: String,
}

impl Callback {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let data = self.data.as_deref().map(|data| arguments::json("--data", data)).transpose()?;
        let body = json!({
            "topic": self.topic,
            "data": data,
            "method": self.method,
            "uri": self.uri,
            "body": self.body,
            "outTrackId": self.card,
            "dynamicDataSourceId": self.source,
        });
        self.push.run(&["callbacks"], "callback", &body).await
    }
}

/// Push a text message as it stands, whatever it may be.
#[derive(Debug, Args)]
pub(super) struct Frame {
    #[command(flatten)]
    push: Push,
    /// To this connection, or to `all`; else to one of the open ones.
    #[arg(long, value_name = "ID")]
    connection: Option<String>,
    /// The text.
    raw: String,
}

impl Frame {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let body = json!({ "raw": self.raw });
        match &self.connection {
            Some(id) => self.push.run(&["connections", id, "frames"], "frame", &body).await,
            None => self.push.run(&["frames"], "frame", &body).await,
        }
    }
}
