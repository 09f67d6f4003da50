//! `mock-dingtalk clock`: turns the mock's clock, or that of one app.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{client::Target, exit_code::Exit, print};

/// Show or turn the clock of every lifetime.
#[derive(Debug, Args)]
pub(super) struct Clock {
    #[command(flatten)]
    target: Target,
    /// The clock of this app alone, by its `clientId`.
    #[arg(long, alias = "client-id", value_name = "ID", global = true)]
    app: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What time it is.
    Show,
    /// Move time forward: what becomes due has happened at the end.
    Advance {
        /// Such as 90s, 2h1s or 250ms.
        duration: String,
    },
    /// Stop time.
    Pause,
    /// Let time run on.
    Resume,
    /// Make the wall clock jump; lifetimes don't notice.
    Jump {
        /// A duration, with a sign if need be: -1h.
        #[arg(allow_hyphen_values = true)]
        duration: String,
    },
    /// Let time run so many times as fast.
    Scale {
        /// Such as 10 or 0.5.
        factor: f64,
    },
}

impl Clock {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        let url = match &self.app {
            Some(app) => client.at(&["apps", app, "clock"]),
            None => client.at(&["clock"]),
        };
        let shown = match self.verb.body() {
            None => client.get(url).await?,
            Some(body) => client.post(url, &body).await?,
        };
        let columns = [
            ("UNIXMS", "/unixMs"),
            ("SINCESTARTMS", "/sinceStartMs"),
            ("PAUSED", "/paused"),
            ("SCALE", "/scale"),
        ];
        print::rows(&shown, &columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Verb {
    /// What is posted; nothing, to look only.
    fn body(&self) -> Option<Value> {
        Some(match self {
            Self::Show => return None,
            Self::Advance { duration } => json!({ "advance": duration }),
            Self::Pause => json!({ "pause": true }),
            Self::Resume => json!({ "pause": false }),
            Self::Jump { duration } => json!({ "jump": duration }),
            Self::Scale { factor } => json!({ "scale": factor }),
        })
    }
}
