//! `mock-dingtalk fault`: makes things break.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use url::Url;

use super::{
    arguments,
    client::{Client, OfApp, Target},
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
        #[command(flatten)]
        layer: Layer,
        /// `{"when":…,"times":…,"action":…}` as the README describes it.
        #[arg(long, value_name = "JSON", conflicts_with = "preset")]
        rule: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// A name that `fault presets` lists.
        #[arg(required_unless_present = "rule", conflicts_with = "tcp")]
        preset: Option<String>,
    },
    /// List the rules, with how often each acted.
    List {
        #[command(flatten)]
        of: OfApp,
        #[command(flatten)]
        layer: Layer,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove all rules, or one.
    Clear {
        #[command(flatten)]
        of: OfApp,
        #[command(flatten)]
        layer: Layer,
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

/// Whose faults.
#[derive(Debug, Args)]
struct Layer {
    /// Faults of TCP and TLS, which meet everybody, whatever --app says.
    #[arg(long)]
    tcp: bool,
}

impl Layer {
    /// The mock, and where the rules are.
    async fn find(&self, of: &OfApp) -> Result<(Client, Url), Exit> {
        if self.tcp {
            let client = of.mock()?;
            let url = client.at(&["tcp-faults"]);
            return Ok((client, url));
        }
        let (client, app) = of.find().await?;
        let url = client.at(&["apps", &app, "faults"]);
        Ok((client, url))
    }
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
            Verb::Add { of, layer, rule, json, preset } => {
                let body = match rule {
                    Some(rule) => arguments::json("--rule", &rule)?,
                    None => json!({ "preset": preset }),
                };
                let (client, url) = layer.find(&of).await?;
                show_added(&client.post(url, &body).await?, json)?;
            }
            Verb::List { of, layer, json } => {
                let (client, url) = layer.find(&of).await?;
                print::rows(&client.get(url).await?, RULES, json)?;
            }
            Verb::Clear { of, layer, id } => {
                let (client, mut url) = layer.find(&of).await?;
                if let Some(id) = id {
                    url.set_path(&format!("{}/{id}", url.path()));
                }
                client.delete(url).await?;
            }
            Verb::Presets { target, json } => {
                let client = target.client()?;
                print::rows(&client.get(client.at(&["presets"])).await?, PRESETS, json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show_added(added: &Value, json: bool) -> Result<(), Exit> {
    if json {
        return print::json(added);
    }
    match added.get("faults").and_then(Value::as_array) {
        Some(rules) if rules.is_empty() => {
            print::note("done: it acted at once and left no rule");
            Ok(())
        }
        _ => print::rows(added.get("faults").unwrap_or(added), RULES, false),
    }
}
