//! `ddingtalk config`: where the settings come from, whether they hold, and other ones.

use std::io::Read;

use clap::Subcommand;
use serde_json::Value;

use super::access::AccessArgs;
use super::exit_code::{ExitCode, Failure};
use super::{output, setup};
use crate::config::accounts::SECTION;
use crate::config::document::Document;
use crate::config::keys::{self, Kind, Place, schema};
use crate::config::{ProcessEnvironment, file};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print where the config file is looked for.
    Path,
    /// Print a setting as the config file has it, as JSON; secrets are masked.
    Get {
        /// Its path in channels.ddingtalk, such as accounts.sales.dmPolicy; all of it if not given.
        #[arg(value_name = "PATH", default_value = "")]
        path: String,
    },
    /// Change a setting in the config file, which keeps its comments.
    Set {
        /// Its path in channels.ddingtalk, such as accounts.sales.dmPolicy.
        #[arg(value_name = "PATH")]
        path: String,
        /// JSON5, or a text as it is; - reads it from standard input, which keeps a secret from others.
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Take a setting out of the config file.
    Unset {
        /// Its path in channels.ddingtalk.
        #[arg(value_name = "PATH")]
        path: String,
    },
    /// Print the JSON Schema of channels.ddingtalk.
    Schema,
    /// Read environment and file as `gateway` does; name what is wrong.
    Validate(AccessArgs),
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Path => output::data(&setup::path()?.display().to_string()),
        Verb::Get { path } => get(&path),
        Verb::Set { path, value } => set(&path, value),
        Verb::Unset { path } => unset(&path),
        Verb::Schema => output::data(&format!("{:#}", schema::section())),
        Verb::Validate(access) => validate(access),
    }
}

fn get(setting: &str) -> Result<(), Failure> {
    let file = setup::path()?;
    match file::setting(&file, setting)? {
        Some(value) => {
            output::data(&value.to_string())?;
            setup::tell_unread();
            Ok(())
        }
        None => Err(not_set(setting, &file.display().to_string())),
    }
}

fn not_set(setting: &str, file: &str) -> Failure {
    let message = format!(
        "{setting:?} is not set in {SECTION} of {file}; `ddingtalk config get` prints what is"
    );
    Failure::new(ExitCode::Failed, message)
}

/// A place that can be set, and what would do there.
fn place(path: &str) -> Result<Place, Failure> {
    keys::place(path).map_err(|e| Failure::new(ExitCode::Configuration, e.to_string()))
}

fn set(path: &str, mut value: String) -> Result<(), Failure> {
    let place = place(path)?;
    if value == "-" {
        value.clear();
        std::io::stdin().read_to_string(&mut value).map_err(|e| {
            let message =
                format!("standard input cannot be read: {e}; give the value as an argument");
            Failure::new(ExitCode::Configuration, message)
        })?;
    }
    let kind = place.key.map(|key| &key.kind);
    let value = read(kind, value.trim());
    let checked = match kind {
        Some(kind) => kind.check(&value),
        // An account or a group as a whole.
        None if place.keys.iter().rev().nth(1).is_some_and(|key| key == "groups") => {
            keys::check_object(keys::GROUP, &[], &value)
        }
        None => keys::check_object(keys::ACCOUNT, &[], &value),
    };
    checked.map_err(|allowed| {
        let shown = match (kind, &value) {
            (Some(Kind::Secret | Kind::MeantSecret(_)), _) => "***".to_owned(),
            (_, Value::Object(_)) => "an object".to_owned(),
            (_, value) => value.to_string().chars().take(60).collect(),
        };
        let message =
            format!("{SECTION}.{} is to be {shown}, and must be {allowed}", place.keys.join("."));
        Failure::new(ExitCode::Configuration, message)
    })?;
    let file = setup::path()?;
    let mut document = Document::open(&file)?;
    let keys: Vec<_> = place.keys.iter().map(String::as_str).collect();
    document.set(&keys, &value)?;
    if document.is_changed() {
        document.save()?;
    }
    output::data(&format!("set: {SECTION}.{} in {}", keys.join("."), file.display()))?;
    setup::review();
    Ok(())
}

/// What is meant by a value on the command line: texts need no quotes there.
fn read(kind: Option<&'static Kind>, value: &str) -> Value {
    let parsed = json5::from_str::<Value>(value).ok();
    match kind {
        Some(Kind::Text | Kind::Secret | Kind::Choice(_)) => {
            parsed.filter(Value::is_string).unwrap_or_else(|| value.into())
        }
        _ => parsed.unwrap_or_else(|| value.into()),
    }
}

fn unset(path: &str) -> Result<(), Failure> {
    // What nobody knows can be taken out, too.
    let keys = keys::place(path).map_or_else(
        |_| {
            let path = path.strip_prefix("channels.ddingtalk.").unwrap_or(path);
            path.split('.').map(str::to_owned).collect()
        },
        |place| place.keys,
    );
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let file = setup::path()?;
    let mut document = Document::open(&file)?;
    if !document.remove(&keys)? {
        return Err(not_set(path, &file.display().to_string()));
    }
    document.save()?;
    output::data(&format!("unset: {SECTION}.{} in {}", keys.join("."), file.display()))?;
    setup::review();
    Ok(())
}

fn validate(access: AccessArgs) -> Result<(), Failure> {
    let accounts = access.noted()?;
    crate::config::endpoints(&ProcessEnvironment)?;
    let from = accounts.file.map_or("the environment".to_owned(), |f| f.display().to_string());
    let names: Vec<_> = accounts.accounts.iter().map(|a| a.name.as_str()).collect();
    output::data(&format!("valid: {from} (accounts: {})", names.join(", ")))
}
