//! The robots to run: from the environment alone, or from `channels.ddingtalk` of the config file with
//! environment and flags on top.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::section::Section;
use super::{CLIENT_ID, CLIENT_SECRET, ConfigError, Environment, file};
use crate::credential::{ClientId, Credential};
use crate::gateway::access::rate::Rate;
use crate::gateway::access::{AccessPolicy, AllowList, DmPolicy, GroupPolicy, GroupRules};
use crate::redact::Secret;

/// Name of the account that stands at the top of the section, or in the environment.
pub const DEFAULT: &str = "default";

/// Flags that win over the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// `--dm-policy`.
    pub dm_policy: Option<DmPolicy>,
    /// `--group-policy`.
    pub group_policy: Option<GroupPolicy>,
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
}

/// All robots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// At least one; no two of one app.
    pub accounts: Vec<Account>,
    /// The file they came from, if any.
    pub file: Option<PathBuf>,
    /// What is odd in the file, one sentence each.
    pub warnings: Vec<String>,
}

/// Keys of the section, of an account, and of a group; and those that OpenClaw itself has there.
const SETTINGS: [&str; 9] = [
    "enabled",
    "clientId",
    "clientSecret",
    "dmPolicy",
    "allowFrom",
    "groupPolicy",
    "groupAllowFrom",
    "groups",
    "requireMention",
];
const OPENCLAWS: [&str; 11] = [
    "name",
    "defaultAccount",
    "textChunkLimit",
    "streaming",
    "mediaMaxMb",
    "tools",
    "systemPrompt",
    "markdown",
    "configWrites",
    "historyLimit",
    "dmHistoryLimit",
];
const GROUP: [&str; 3] = ["enabled", "requireMention", "allowFrom"];
const OPENCLAWS_GROUP: [&str; 3] = ["tools", "systemPrompt", "skills"];

impl Accounts {
    /// Reads them. When the environment has a whole credential, a file is read only if
    /// `OPENCLAW_CONFIG_PATH` names it.
    pub fn load(env: &dyn Environment, overrides: Overrides) -> Result<Self, ConfigError> {
        let set = |name| env.var(name).is_some_and(|value| !value.trim().is_empty());
        let named = set(file::OPENCLAW_CONFIG_PATH);
        let path = file::path(env)
            .filter(|path| named || (!(set(CLIENT_ID) && set(CLIENT_SECRET)) && path.exists()));
        let mut accounts = match path {
            None => Self::from_environment(env)?,
            Some(path) => Self::from_file(env, path)?,
        };
        for account in &mut accounts.accounts {
            account.access.dm = overrides.dm_policy.unwrap_or(account.access.dm);
            account.access.group = overrides.group_policy.unwrap_or(account.access.group);
        }
        Ok(accounts)
    }

    fn from_environment(env: &dyn Environment) -> Result<Self, ConfigError> {
        let account = Account {
            name: DEFAULT.to_owned(),
            credential: super::credential(env)?,
            access: AccessPolicy::default(),
        };
        Ok(Self { accounts: vec![account], file: None, warnings: Vec::new() })
    }

    fn from_file(env: &dyn Environment, path: PathBuf) -> Result<Self, ConfigError> {
        let mut whole = file::read(&path)?;
        let section = whole.get_mut("channels").and_then(|channels| channels.get_mut("ddingtalk"));
        let Some(section) = section else {
            return Ok(Self { file: Some(path), ..Self::from_environment(env)? });
        };
        let mut missing = Vec::new();
        file::substitute(section, env, &mut missing);
        let warning =
            |name| format!("${{{name}}} in {} is not set, and stays as it is", path.display());
        let warnings = RefCell::new(missing.into_iter().map(warning).collect());
        let accounts = match section {
            Value::Object(map) => read(env, &path, map, &warnings)?,
            value => {
                return Err(ConfigError::Setting {
                    path: "channels.ddingtalk".to_owned(),
                    file: path,
                    value: if value.is_string() { "a text".to_owned() } else { value.to_string() },
                    allowed: "an object { … }".to_owned(),
                });
            }
        };
        Ok(Self { accounts, file: Some(path), warnings: warnings.into_inner() })
    }
}

fn read(
    env: &dyn Environment,
    file: &Path,
    map: &Map<String, Value>,
    warnings: &RefCell<Vec<String>>,
) -> Result<Vec<Account>, ConfigError> {
    let top = Section { file, path: "channels.ddingtalk".to_owned(), map, warnings };
    top.expect_keys(&[&SETTINGS[..], &["accounts", "rateLimit"]].concat(), &OPENCLAWS);
    let disabled = |path: String| ConfigError::Setting {
        path,
        file: file.to_owned(),
        value: "false".to_owned(),
        allowed: "true for a robot to run".to_owned(),
    };
    if top.flag("enabled")? == Some(false) {
        return Err(disabled(top.path_of("enabled")));
    }
    let named = top.sections("accounts")?;
    let has = |key: &str| map.get(key).is_some_and(|value| !value.is_null());
    let mut accounts = Vec::new();
    // The environment's app is the default account, and so is the one at the top.
    let at_top = has("clientId") || env.var(CLIENT_ID).is_some() || named.is_empty();
    if at_top && named.iter().all(|(name, _)| *name != DEFAULT) {
        accounts.push(account(DEFAULT, &top, credential(&top, Some(env))?)?);
    }
    for (name, own) in &named {
        own.expect_keys(&[&SETTINGS[..], &["rateLimit"]].concat(), &OPENCLAWS);
        if !is_name(name) {
            return Err(ConfigError::Setting {
                path: own.path.clone(),
                file: file.to_owned(),
                value: format!("named {name:?}"),
                allowed: "named with 1 to 32 letters, digits, - and _".to_owned(),
            });
        }
        if own.flag("enabled")? == Some(false) {
            continue;
        }
        let mut merged = map.clone();
        for key in ["accounts", "enabled"] {
            merged.remove(key);
        }
        if *name != DEFAULT {
            merged.remove("clientId");
            merged.remove("clientSecret");
        }
        merged.extend(own.map.clone());
        let section = own.at(own.path.clone(), &merged);
        let env = (*name == DEFAULT).then_some(env);
        accounts.push(account(name, &section, credential(&section, env)?)?);
    }
    if accounts.is_empty() {
        return Err(disabled(top.path_of("accounts.*.enabled")));
    }
    no_app_twice(file, &accounts)?;
    Ok(accounts)
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
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
    let one = |key: &'static str, variable: &str| {
        let from_env = env.and_then(|env| env.var(variable)).map(|value| value.trim().to_owned());
        if let Some(value) = from_env.filter(|value| !value.is_empty()) {
            return Ok(value);
        }
        let value = section.text(key)?.ok_or_else(|| ConfigError::MissingSetting {
            path: section.path_of(key),
            file: section.file.to_owned(),
        })?;
        if value.contains("${") {
            let shown = Value::String(value);
            return Err(section.wrong(key, &shown, "made of variables that are set"));
        }
        Ok(value)
    };
    Ok(Credential {
        client_id: ClientId::new(one("clientId", CLIENT_ID)?),
        client_secret: Secret::new(one("clientSecret", CLIENT_SECRET)?),
    })
}

fn account(
    name: &str,
    section: &Section<'_>,
    credential: Credential,
) -> Result<Account, ConfigError> {
    let list = |key: &str| Ok(AllowList::new(section.ids(key)?.unwrap_or_default()));
    let mut access = AccessPolicy {
        dm: section.choice("dmPolicy")?.unwrap_or_default(),
        allow_from: list("allowFrom")?,
        group: section.choice("groupPolicy")?.unwrap_or_default(),
        group_allow_from: list("groupAllowFrom")?,
        require_mention: section.flag("requireMention")?,
        ..AccessPolicy::default()
    };
    for (id, group) in section.sections("groups")? {
        group.expect_keys(&GROUP, &OPENCLAWS_GROUP);
        let rules = GroupRules {
            enabled: group.flag("enabled")?,
            require_mention: group.flag("requireMention")?,
            allow_from: group.ids("allowFrom")?.map(AllowList::new),
        };
        access.groups.insert(id.to_owned(), rules);
    }
    if let Some(rate) = section.section("rateLimit")? {
        rate.expect_keys(&["messages", "seconds"], &[]);
        let needed = |key: &str| {
            rate.count(key)?.ok_or_else(|| ConfigError::MissingSetting {
                path: rate.path_of(key),
                file: rate.file.to_owned(),
            })
        };
        let per = Duration::from_secs(needed("seconds")?.into());
        access.rate = Some(Rate { messages: needed("messages")?, per });
    }
    Ok(Account { name: name.to_owned(), credential, access })
}

#[cfg(test)]
mod tests {
    use super::super::OPENCLAW_STATE_DIR;
    use super::super::tests::env;
    use super::*;

    fn load(text: &str, vars: &[(&'static str, &'static str)]) -> Result<Accounts, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("openclaw.json"), text).unwrap();
        let mut env = env(vars);
        let state = dir.path().to_str().unwrap().to_owned();
        env.0.insert(OPENCLAW_STATE_DIR, Box::leak(state.into_boxed_str()));
        Accounts::load(&env, Overrides::default())
    }

    fn section(text: &str) -> Result<Accounts, ConfigError> {
        load(&format!("{{ channels: {{ ddingtalk: {{ {text} }} }} }}"), &[("SECRET", "s3cr3t")])
    }

    const APP: &str = "clientId: 'dingA', clientSecret: '${SECRET}',";

    #[test]
    fn one_robot_with_all_settings() {
        let read = section(&format!(
            "{APP} dmPolicy: 'allowlist', allowFrom: ['anna', 17], groupPolicy: 'open',
             groupAllowFrom: ['ben'], requireMention: false, rateLimit: {{ messages: 5, seconds: 60 }},
             groups: {{ 'cidA==': {{ enabled: false, requireMention: true, allowFrom: ['*'] }} }},
             name: 'Our robot', streaming: {{}},"
        ))
        .unwrap();
        assert_eq!(read.warnings, Vec::<String>::new());
        let [account] = &read.accounts[..] else { panic!("one") };
        assert_eq!(account.name, DEFAULT);
        assert_eq!(account.credential.client_secret.expose(), "s3cr3t");
        let list = |ids: &[&str]| AllowList::new(ids.iter().map(|&id| id.to_owned()));
        let group = GroupRules {
            enabled: Some(false),
            require_mention: Some(true),
            allow_from: Some(list(&["*"])),
        };
        let expected = AccessPolicy {
            dm: DmPolicy::Allowlist,
            allow_from: list(&["anna", "17"]),
            group: GroupPolicy::Open,
            group_allow_from: list(&["ben"]),
            groups: [("cidA==".to_owned(), group)].into(),
            require_mention: Some(false),
            rate: Some(Rate { messages: 5, per: Duration::from_secs(60) }),
        };
        assert_eq!(account.access, expected);
    }

    #[test]
    fn accounts_have_what_the_section_has_and_their_own() {
        let read = section(&format!(
            "{APP} dmPolicy: 'open', accounts: {{
               sales: {{ clientId: 'dingB', clientSecret: 'b', dmPolicy: 'disabled' }},
               off: {{ enabled: false }},
               help: {{ clientId: 'dingC', clientSecret: 'c' }} }}"
        ))
        .unwrap();
        let seen: Vec<_> = read
            .accounts
            .iter()
            .map(|a| (a.name.as_str(), a.credential.client_id.as_str(), a.access.dm))
            .collect();
        assert_eq!(
            seen,
            [
                ("default", "dingA", DmPolicy::Open),
                ("help", "dingC", DmPolicy::Open),
                ("sales", "dingB", DmPolicy::Disabled),
            ]
        );
    }

    #[test]
    fn wrong_settings_are_named_with_what_is_allowed_and_never_a_secret() {
        for (text, parts) in [
            (
                "dmPolicy: 'opn'",
                "channels.ddingtalk.dmPolicy|\"opn\"|pairing, allowlist, open, disabled",
            ),
            ("allowFrom: 'anna'", "channels.ddingtalk.allowFrom|\"anna\"|a list of ids"),
            ("groups: { cid: { enabled: 'no' } }", "groups.cid.enabled|\"no\"|true or false"),
            ("groups: []", "ddingtalk.groups|[]|an object"),
            ("rateLimit: { messages: 0, seconds: 1 }", "rateLimit.messages|0|at least 1"),
            ("rateLimit: { messages: 1 }", "rateLimit.seconds|is missing"),
            ("enabled: false", "channels.ddingtalk.enabled|false"),
            ("clientSecret: 77777", "channels.ddingtalk.clientSecret|***|a text"),
            (
                "clientSecret: 'x${NONE}'",
                "channels.ddingtalk.clientSecret|***|variables that are set",
            ),
            ("accounts: { a: { clientId: 'dingB' } }", "accounts.a.clientSecret|is missing"),
            ("accounts: { 'a/b': { } }", "accounts.a/b|letters, digits"),
            (
                "accounts: { a: { clientId: 'dingA', clientSecret: 'x' } }",
                "default|a|dingA|an app of its own",
            ),
        ] {
            let message = section(&format!("{APP} {text}")).unwrap_err().to_string();
            for part in parts.split('|') {
                assert!(message.contains(part), "{text}: {message} lacks {part}");
            }
            assert!(message.contains("openclaw.json"), "{message}");
            for secret in ["s3cr3t", "77777", "x$"] {
                assert!(!message.contains(secret), "{message}");
            }
        }
    }

    #[test]
    fn unknown_keys_are_warned_of_with_the_nearest_one() {
        let read = section(&format!("{APP} dmpolicy: 'open', colour: 1, name: ''")).unwrap();
        assert_eq!(read.warnings.len(), 2, "{:?}", read.warnings);
        let all = read.warnings.join("\n");
        assert!(
            all.contains("channels.ddingtalk.dmpolicy") && all.contains("did you mean dmPolicy?")
        );
        assert!(all.contains("channels.ddingtalk.colour") && all.contains("it is ignored"));
    }

    #[test]
    fn enough_environment_needs_no_file_and_wins_over_one() {
        let vars = [(CLIENT_ID, "dingE"), (CLIENT_SECRET, "e")];
        let read = load("this is no JSON5", &vars).unwrap();
        assert_eq!((read.accounts.len(), read.file), (1, None));
        let text = "{ channels: { ddingtalk: { clientId: 'dingA', clientSecret: 'a' } } }";
        let read = load(text, &[(CLIENT_ID, "dingE")]).unwrap();
        assert_eq!(read.accounts[0].credential.client_id.as_str(), "dingE");
        assert_eq!(read.accounts[0].credential.client_secret.expose(), "a");
        let message = load("{}", &[]).unwrap_err().to_string();
        assert!(message.starts_with("DINGTALK_CLIENT_ID is not set"), "{message}");
    }
}
