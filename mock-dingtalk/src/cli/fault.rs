//! `mock-dingtalk fault`: makes things break.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::{OfApp, Target},
    exit_code::Exit,
    print::{self, Column},
};

/// Make things break, and whole again.
#[derive(Debug, Args)]
pub(super) struct Fault {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a named fault, or a rule of your own.
    Add {
        #[command(flatten)]
        of: OfApp,
        /// `{"when":…,"times":…,"action":…}` as the README describes it.
        #[arg(long, value_name = "JSON", conflicts_with = "preset")]
        rule: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// A name that `fault presets` lists.
        #[arg(required_unless_present = "rule")]
        preset: Option<String>,
    },
    /// List the rules, with how often each acted.
    List {
        #[command(flatten)]
        of: OfApp,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove all rules, or one.
    Clear {
        #[command(flatten)]
        of: OfApp,
        /// Only this rule.
        #[arg(long, value_name = "ID")]
        id: Option<u64>,
    },
    /// List the named faults.
    Presets {
        #[command(flatten)]
        target: Target,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

const RULES: &[Column] = &[
    ("ID", "/id"),
    ("WHEN", "/when"),
    ("TIMES", "/times"),
    ("ACTION", "/action"),
    ("HITS", "/hits"),
    ("LEFT", "/left"),
];
const PRESETS: &[Column] = &[("NAME", "/name"), ("ENDS", "/ends")];

impl Fault {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        match self.verb {
            Verb::Add { of, rule, json, preset } => add(&of, rule, preset, json).await?,
            Verb::List { of, json } => {
                let (client, app) = of.find().await?;
                let rows = client.get(client.at(&["apps", &app, "faults"])).await?;
                print::rows(&rows, RULES, json)?;
            }
            Verb::Clear { of, id } => {
                let (client, app) = of.find().await?;
                let id = id.map(|id| id.to_string());
                let mut segments = vec!["apps", app.as_str(), "faults"];
                segments.extend(id.as_deref());
                client.delete(client.at(&segments)).await?;
            }
            Verb::Presets { target, json } => {
                let client = target.client()?;
                print::rows(&client.get(client.at(&["presets"])).await?, PRESETS, json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn add(
    of: &OfApp,
    rule: Option<String>,
    preset: Option<String>,
    json: bool,
) -> Result<(), Exit> {
    let body: Value = match rule {
        Some(rule) => serde_json::from_str(&rule)
            .map_err(|error| Exit::usage(format!("--rule is not JSON: {error}")))?,
        None => json!({ "preset": preset }),
    };
    let (client, app) = of.find().await?;
    let added = client.post(client.at(&["apps", &app, "faults"]), &body).await?;
    if json {
        return print::json(&added);
    }
    match added.get("faults").and_then(Value::as_array) {
        Some(rules) if rules.is_empty() => {
            print::note("done: it acted at once and left no rule");
            Ok(())
        }
        _ => print::rows(added.get("faults").unwrap_or(&added), RULES, false),
    }
}
