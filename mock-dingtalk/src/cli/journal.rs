//! `journal` and `findings`: what happened, and what was wrong with it.

use std::{cell::Cell, process::ExitCode};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    client::{Client, OfApp, Target},
    exit_code::Exit,
    print::{self, Column},
};

/// Print everything sent and received, in the order it happened.
#[derive(Debug, Args)]
pub(super) struct Journal {
    #[command(flatten)]
    target: Target,
    /// Only what concerns this app, by its `clientId`.
    #[arg(long, alias = "client-id", value_name = "ID")]
    app: Option<String>,
    /// Only entries after this `seq`.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// Go on as entries are written, until the mock ends.
    #[arg(long)]
    follow: bool,
    /// How entries are printed; one a line in any case.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format jsonl.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write what `replay` reads: lines, after one that says what they are.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "redacted")]
    #[arg(value_name = "SECRETS", conflicts_with_all = ["follow", "format", "json"])]
    export: Option<Secrets>,
}

/// What becomes of the secrets in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Secrets {
    /// Marks stand for them.
    Redacted,
    /// They stay.
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Jsonl,
}

/// Entries of one answer.
const PAGE: usize = 10_000;

impl Journal {
    pub(super) async fn run(mut self) -> Result<ExitCode, Exit> {
        if self.json {
            self.format = Format::Jsonl;
        }
        let client = self.target.client()?;
        if let Some(secrets) = self.export {
            let mut url = client.at(&["journal"]);
            url.query_pairs_mut()
                .append_pair("format", "jsonl")
                .append_pair("after", &self.after.to_string())
                .append_pair("redact", if secrets == Secrets::Raw { "false" } else { "true" });
            if let Some(app) = &self.app {
                url.query_pairs_mut().append_pair("app", app);
            }
            print::bytes(&client.bytes(&url).await?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let last = Cell::new(self.after);
        if self.follow {
            // The stream is open before the past is read, so that nothing falls between them.
            let mut url = client.at(&["events"]);
            if let Some(app) = &self.app {
                url.query_pairs_mut().append_pair("app", app);
            }
            let past = async || self.print_past(&client, &last).await;
            let each = |entry: &str| match serde_json::from_str(entry) {
                Ok(entry) => self.print_new(&entry, &last),
                Err(error) => Err(Exit::failed(format!("an event is not JSON: {error}"))),
            };
            client.events(&url, past, each).await?;
        } else {
            self.print_past(&client, &last).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn print_past(&self, client: &Client, last: &Cell<u64>) -> Result<(), Exit> {
        loop {
            let mut url = client.at(&["journal"]);
            url.query_pairs_mut()
                .append_pair("after", &last.get().to_string())
                .append_pair("limit", &PAGE.to_string());
            if let Some(app) = &self.app {
                url.query_pairs_mut().append_pair("app", app);
            }
            let entries = client.get(url).await?;
            let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
            for entry in entries {
                self.print_new(entry, last)?;
            }
            if entries.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn print_new(&self, entry: &Value, last: &Cell<u64>) -> Result<(), Exit> {
        let seq = entry["seq"].as_u64().unwrap_or(0);
        if seq <= last.get() {
            return Ok(());
        }
        last.set(seq);
        if self.format == Format::Jsonl {
            return print::text(&format!("{entry}\n"));
        }
        let text = |name: &str| entry[name].as_str().unwrap_or("-");
        let problem = entry["diagnosis"]["problem"].as_str();
        let problem = problem.map(|problem| format!("  ! {problem}")).unwrap_or_default();
        let line = format!("{seq}  {}  {}  {}{problem}", text("app"), text("kind"), text("text"));
        print::text(&format!("{}\n", line.replace(char::is_control, " ")))
    }
}

/// Print what the bot did that would go wrong with DingTalk.
#[derive(Debug, Args)]
pub(super) struct Findings {
    #[command(flatten)]
    of: OfApp,
    /// What belongs to no app, whatever --app says.
    #[arg(long)]
    without_app: bool,
    #[command(flatten)]
    instead: Instead,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is done instead of printing them.
#[derive(Debug, Args)]
struct Instead {
    /// Forget them instead.
    #[arg(long)]
    clear: bool,
    /// Print what is looked for instead.
    #[arg(long, conflicts_with_all = ["without_app", "clear"])]
    rules: bool,
}

const RULES: &[Column] = &[("RULE", "/rule"), ("SEVERITY", "/severity"), ("WHAT", "/what")];

impl Findings {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        if self.instead.rules {
            let client = self.of.mock()?;
            let rules = client.get(client.at(&["findings", "rules"])).await?;
            print::rows(&rules, RULES, self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let (client, url) = if self.without_app {
            let client = self.of.mock()?;
            let url = client.at(&["findings"]);
            (client, url)
        } else {
            let (client, app) = self.of.find().await?;
            let url = client.at(&["apps", &app, "findings"]);
            (client, url)
        };
        if self.instead.clear {
            client.delete(url).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let columns = [
            ("RULE", "/rule"),
            ("SEVERITY", "/severity"),
            ("COUNT", "/count"),
            ("MESSAGE", "/message"),
            ("EXPECTED", "/expected"),
        ];
        print::rows(&client.get(url).await?, &columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
