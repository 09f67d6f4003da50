//! The robots to run: from the environment alone, or from `channels.ddingtalk` of the config file with
//! environment and flags on top.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::section::{Section, Source, kind};
use super::{CLIENT_ID, CLIENT_SECRET, ConfigError, Environment, file, keys};
use crate::agent::AgentKind;
use crate::credential::{ClientId, Credential};
use crate::gateway::access::rate::Rate;
use crate::gateway::access::{AccessPolicy, AllowList, DmPolicy, GroupPolicy, GroupRules};
use crate::gateway::deafness::{ALERT_AFTER, AlertConfig};
use crate::redact::Secret;
use crate::store::postgres::PostgresAddress;

/// Name of the account that stands at the top of the section, or in the environment.
pub const DEFAULT: &str = "default";

/// Flags that win over the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// `--dm-policy`.
    pub dm_policy: Option<DmPolicy>,
    /// `--group-policy`.
    pub group_policy: Option<GroupPolicy>,
    /// Apps of a file that `OPENCLAW_CONFIG_PATH` names win over the environment's: they are OpenClaw's, too.
    pub file_first: bool,
}

/// One robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// [`DEFAULT`], or its key in `accounts`: letters, digits, `-` and `_`.
    pub name: String,
    /// Its app.
    pub credential: Credential,
    /// Who may talk to it.
    pub access: AccessPolicy,
    /// Who answers, where the file says so.
    pub agent: Option<AgentKind>,
    /// Who is told of outages.
    pub alert: AlertConfig,
    /// Hosts that URLs made by the server may name.
    pub allow_hosts: Vec<String>,
}

/// All robots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// At least one, unless a running gateway [follows](Self::followed) them; no two of one app.
    pub accounts: Vec<Account>,
    /// Where health checks are answered, if anywhere.
    pub health_listen: Option<SocketAddr>,
    /// The database that several processes share, if it is no file.
    pub store: Option<Box<PostgresAddress>>,
    /// Names of those that are switched off.
    pub disabled: Vec<String>,
    /// The file they came from, if any.
    pub file: Option<PathBuf>,
    /// That file and those it includes.
    pub files: Vec<PathBuf>,
    /// What is odd in the file, one sentence each.
    pub warnings: Vec<String>,
}

impl Accounts {
    /// Reads them. When the environment has a whole credential, a file is read only if
    /// `OPENCLAW_CONFIG_PATH` names it.
    pub fn load(env: &dyn Environment, overrides: Overrides) -> Result<Self, ConfigError> {
        let (accounts, why_none) = Self::read(env, overrides)?;
        why_none.map_or(Ok(accounts), Err)
    }

    /// Reads them anew for a gateway that runs. A file that switches all of them off, or has taken them out, is
    /// one that holds: there are none.
    pub fn followed(env: &dyn Environment, overrides: Overrides) -> Result<Self, ConfigError> {
        let (accounts, why_none) = Self::read(env, overrides)?;
        if let Some(why) = &why_none {
            let mut accounts = accounts;
            accounts.warnings.push(format!("no robot is to run: {why}"));
            return Ok(accounts);
        }
        Ok(accounts)
    }

    /// Where there are none, why.
    fn read(
        env: &dyn Environment,
        overrides: Overrides,
    ) -> Result<(Self, Option<ConfigError>), ConfigError> {
        let (mut accounts, why_none) = match settings_file(env) {
            None => {
                let warnings = unread_file(env).into_iter().collect();
                (Self { warnings, ..Self::from_environment(env)? }, None)
            }
            Some(path) => Self::from_file(env, path, overrides)?,
        };
        for account in &mut accounts.accounts {
            account.access.dm = overrides.dm_policy.unwrap_or(account.access.dm);
            account.access.group = overrides.group_policy.unwrap_or(account.access.group);
        }
        Ok((accounts, why_none))
    }

    fn from_environment(env: &dyn Environment) -> Result<Self, ConfigError> {
        let account = Account {
            name: DEFAULT.to_owned(),
            credential: super::credential(env)?,
            access: AccessPolicy::default(),
            agent: None,
            alert: AlertConfig::default(),
            allow_hosts: Vec::new(),
        };
        Ok(Self { accounts: vec![account], ..Self::default() })
    }

    fn from_file(
        env: &dyn Environment,
        path: PathBuf,
        overrides: Overrides,
    ) -> Result<(Self, Option<ConfigError>), ConfigError> {
        let file::Whole { mut value, mut warnings, files } = file::read(&path)?;
        let section = value.get_mut("channels").and_then(|channels| channels.get_mut("ddingtalk"));
        let Some(section) = section else {
            let why_none = ConfigError::File {
                path: path.clone(),
                problem: format!(
                    "has no {SECTION} for a robot, and {CLIENT_ID} and {CLIENT_SECRET} are not both set"
                ),
            };
            let (alone, why_none) = match Self::from_environment(env) {
                Ok(alone) => (alone, None),
                Err(_) => (Self::default(), Some(why_none)),
            };
            return Ok((Self { file: Some(path), files, warnings, ..alone }, why_none));
        };
        let mut variables = file::Variables::default();
        file::substitute(section, env, &mut variables);
        for name in &variables.missing {
            warnings
                .push(format!("${{{name}}} in {} is not set, and stays as it is", path.display()));
        }
        let mut hidden = variables.values;
        secrets(section, &mut hidden);
        hidden.retain(|text| !text.is_empty());
        let missing = variables.missing;
        let file_first = overrides.file_first && is_set(env, file::OPENCLAW_CONFIG_PATH);
        let warnings = RefCell::new(warnings);
        let source = Source { file: &path, warnings, hidden, missing, file_first };
        let Value::Object(map) = section else {
            return Err(ConfigError::Setting {
                path: SECTION.to_owned(),
                file: path.clone(),
                value: kind(section).to_owned(),
                allowed: "an object { … }".to_owned(),
            });
        };
        let (read, why_none) = read(env, &source, map)?;
        let warnings = source.warnings.into_inner();
        Ok((Self { file: Some(path), files, warnings, ..read }, why_none))
    }
}

fn is_set(env: &dyn Environment, name: &str) -> bool {
    env.var(name).is_some_and(|value| !value.trim().is_empty())
}

/// Whether the environment has a whole credential.
fn is_enough(env: &dyn Environment) -> bool {
    is_set(env, CLIENT_ID) && is_set(env, CLIENT_SECRET)
}

/// What there is to say of a config file that the environment leaves unread.
pub fn unread_file(env: &dyn Environment) -> Option<String> {
    let path = file::path(env)?;
    if is_set(env, file::OPENCLAW_CONFIG_PATH) || !is_enough(env) {
        return None;
    }
    // One without settings for a robot is somebody else's.
    file::setting(&path, "").ok().flatten()?;
    let path = path.display();
    Some(format!(
        "{SECTION} of {path} is not read, since {CLIENT_ID} and {CLIENT_SECRET} are set; unset them, or set \
         {}={path} for its other settings",
        file::OPENCLAW_CONFIG_PATH
    ))
}

/// The config file that is read, if any.
fn settings_file(env: &dyn Environment) -> Option<PathBuf> {
    let named = is_set(env, file::OPENCLAW_CONFIG_PATH);
    file::path(env).filter(|path| named || (!is_enough(env) && path.exists()))
}

/// The database that the config file names, for whoever needs no robot. A file that cannot be read, or an account
/// that is not whole, is for others to complain about; a setting that means nothing is not.
pub fn store(env: &dyn Environment) -> Result<Option<Box<PostgresAddress>>, ConfigError> {
    let Some(path) = settings_file(env) else { return Ok(None) };
    let Ok(mut whole) = file::read(&path) else { return Ok(None) };
    let section =
        whole.value.get_mut("channels").and_then(|channels| channels.get_mut("ddingtalk"));
    let Some(section) = section else { return Ok(None) };
    let mut variables = file::Variables::default();
    file::substitute(section, env, &mut variables);
    let Value::Object(map) = section else { return Ok(None) };
    let (warnings, missing) = (RefCell::default(), variables.missing);
    let hidden = variables.values;
    let source = Source { file: &path, warnings, hidden, missing, file_first: false };
    let top = Section { source: &source, path: SECTION.to_owned(), map, inherited: None };
    Ok(top.parsed("store", &keys::DATABASE)?.map(Box::new))
}

pub(crate) const SECTION: &str = "channels.ddingtalk";

/// Texts that are secrets by their name.
fn secrets(value: &Value, found: &mut Vec<String>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        match value {
            Value::String(text) if keys::is_secret(key) => found.push(text.trim().to_owned()),
            value => secrets(value, found),
        }
    }
}

fn read(
    env: &dyn Environment,
    source: &Source<'_>,
    map: &Map<String, Value>,
) -> Result<(Accounts, Option<ConfigError>), ConfigError> {
    let top = Section { source, path: SECTION.to_owned(), map, inherited: None };
    top.expect_keys(keys::SECTION);
    let disabled = |key: &str| top.refuse(key, "false".to_owned(), "true for a robot to run");
    let is_off = top.flag("enabled")? == Some(false);
    let named = top.sections("accounts")?;
    let health_listen = top.parsed("healthListen", &keys::ADDRESS)?;
    let store = top.parsed("store", &keys::DATABASE)?.map(Box::new);
    let none = Accounts { health_listen, store, ..Accounts::default() };
    if is_off {
        return Ok((none, Some(disabled("enabled"))));
    }
    let has = |key: &str| map.get(key).is_some_and(|value| !value.is_null());
    let (mut accounts, mut off) = (Vec::new(), Vec::new());
    // The environment's app is the default account, and so is the one at the top.
    let in_env = env.var(CLIENT_ID).is_some_and(|id| !id.trim().is_empty());
    let is_whole = source.file_first && !named.is_empty();
    let at_top = has("clientId") || has("clientSecret") || (in_env && !is_whole);
    if !at_top && named.is_empty() {
        let why_none = top.missing("clientId");
        let is_misspelled = |key: &String| {
            keys::find(keys::SECTION, key).is_none() && keys::nearest(keys::SECTION, key).is_some()
        };
        if map.keys().any(is_misspelled) {
            return Err(why_none);
        }
        let nobody = Credential {
            client_id: ClientId::new(String::new()),
            client_secret: Secret::new(String::new()),
            place: String::new(),
        };
        // What else stands there has to hold.
        account(DEFAULT, &top, nobody)?;
        return Ok((none, Some(why_none)));
    }
    if at_top && named.iter().all(|(name, _)| *name != DEFAULT) {
        accounts.push(account(DEFAULT, &top, credential(&top, Some(env))?)?);
    }
    for (name, own) in &named {
        own.expect_keys(keys::ACCOUNT);
        if !keys::is_account_name(name) {
            return Err(ConfigError::Setting {
                path: own.path.clone(),
                file: source.file.to_owned(),
                value: format!("named {name:?}"),
                allowed: "named with 1 to 32 letters, digits, - and _".to_owned(),
            });
        }
        if own.flag("enabled")? == Some(false) {
            off.push((*name).to_owned());
            continue;
        }
        let mut merged = map.clone();
        for key in ["accounts", "enabled", "healthListen", "store"] {
            merged.remove(key);
        }
        if *name != DEFAULT {
            merged.remove("clientId");
            merged.remove("clientSecret");
        }
        merged.extend(own.map.clone());
        let inherited = Some((SECTION, own.map));
        let section = Section { source, path: own.path.clone(), map: &merged, inherited };
        let env = (*name == DEFAULT).then_some(env);
        accounts.push(account(name, &section, credential(&section, env)?)?);
    }
    let why_none = accounts.is_empty().then(|| disabled("accounts.*.enabled"));
    no_app_twice(source.file, &accounts)?;
    Ok((Accounts { accounts, disabled: off, ..none }, why_none))
}

fn no_app_twice(file: &Path, accounts: &[Account]) -> Result<(), ConfigError> {
    for (n, account) in accounts.iter().enumerate() {
        let id = &account.credential.client_id;
        if let Some(other) = accounts[..n].iter().find(|other| other.credential.client_id == *id) {
            return Err(ConfigError::Duplicate {
                file: file.to_owned(),
                client_id: id.to_string(),
                accounts: [other.name.clone(), account.name.clone()],
            });
        }
    }
    Ok(())
}

fn credential(
    section: &Section<'_>,
    env: Option<&dyn Environment>,
) -> Result<Credential, ConfigError> {
    // Value and place.
    let one = |key: &'static str, variable: &str| {
        let env = env.filter(|_| !section.source.file_first || section.map.get(key).is_none());
        let from_env = env.and_then(|env| env.var(variable)).map(|value| value.trim().to_owned());
        if let Some(value) = from_env.filter(|value| !value.is_empty()) {
            return Ok((value, variable.to_owned()));
        }
        let path = section.path_of(key);
        let value = section.text(key)?.ok_or_else(|| section.missing(key))?;
        let is_in_it = |name: &&String| value.contains(&format!("${{{name}}}"));
        if let Some(name) = section.source.missing.iter().find(is_in_it) {
            let allowed = format!("made of variables that are set, which {name} is not; export it");
            return Err(section.wrong(key, &Value::String(value), &allowed));
        }
        Ok((value, format!("{path} in {}", section.source.file.display())))
    };
    let (client_id, id_place) = one("clientId", CLIENT_ID)?;
    let (client_secret, secret_place) = one("clientSecret", CLIENT_SECRET)?;
    Ok(Credential {
        client_id: ClientId::new(client_id),
        client_secret: Secret::new(client_secret),
        place: format!("{id_place} and {secret_place}"),
    })
}

fn account(
    name: &str,
    section: &Section<'_>,
    credential: Credential,
) -> Result<Account, ConfigError> {
    let list = |key: &str| Ok(section.ids(key)?.map(AllowList::new));
    let mut access = AccessPolicy {
        dm: section.choice("dmPolicy")?.unwrap_or_default(),
        allow_from: list("allowFrom")?.unwrap_or_default(),
        group: section.choice("groupPolicy")?.unwrap_or_default(),
        group_allow_from: list("groupAllowFrom")?,
        require_mention: section.flag("requireMention")?,
        ..AccessPolicy::default()
    };
    if access.dm == DmPolicy::Open && !access.allow_from.is_empty() && !access.allow_from.is_all() {
        let (open, list) = (section.path_of("dmPolicy"), section.path_of("allowFrom"));
        // An account that is open beside others that are not means it.
        if open.strip_suffix("dmPolicy") == list.strip_suffix("allowFrom") {
            let file = section.source.file.display();
            section.source.warn(format!(
                "{list} in {file} keeps nobody out, since {open} is open; for those on the list alone \
                 make it allowlist, else add \"*\""
            ));
        }
    }
    for (id, group) in section.sections("groups")? {
        group.expect_keys(keys::GROUP);
        let rules = GroupRules {
            enabled: group.flag("enabled")?,
            require_mention: group.flag("requireMention")?,
            allow_from: group.ids("allowFrom")?.map(AllowList::new),
        };
        access.groups.insert(id.trim().to_owned(), rules);
    }
    if let Some(rate) = section.section("rateLimit")? {
        rate.expect_keys(keys::RATE);
        let needed = |key: &str| rate.count(key)?.ok_or_else(|| rate.missing(key));
        let per = Duration::from_secs(needed("seconds")?.into());
        access.rate = Some(Rate { messages: needed("messages")?, per });
    }
    let agent = section.choice("agent")?;
    let to = section.parsed("alertTo", &keys::TARGET)?;
    let after = section.parsed("alertAfter", &keys::OUTAGE)?;
    let alert = AlertConfig { to, after: after.unwrap_or(ALERT_AFTER) };
    let allow_hosts = section.hosts("allowHosts")?;
    Ok(Account { name: name.to_owned(), credential, access, agent, alert, allow_hosts })
}

#[cfg(test)]
mod tests;
