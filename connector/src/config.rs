//! From environment, flags and file to a configuration that holds.

pub mod accounts;
pub(crate) mod document;
mod edit;
pub mod file;
pub mod keys;
mod nesting;
mod section;

use std::path::PathBuf;

use url::Url;

use crate::credential::{ClientId, Credential};
use crate::openapi::Endpoints;
use crate::redact::{RedactedUrl, Secret};

/// Where variables come from; tests bring their own.
pub trait Environment {
    /// The value, where the variable is set and is Unicode.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// `clientId` of the app.
pub const CLIENT_ID: &str = "DINGTALK_CLIENT_ID";
/// `clientSecret` of the app.
pub const CLIENT_SECRET: &str = "DINGTALK_CLIENT_SECRET";
/// Replaces `https://api.dingtalk.com`.
pub const OPENAPI_ENDPOINT: &str = "DINGTALK_OPENAPI_ENDPOINT";
/// Replaces `https://oapi.dingtalk.com`.
pub const OAPI_ENDPOINT: &str = "DINGTALK_OAPI_ENDPOINT";
/// OpenClaw's state directory; ours is `ddingtalk` in it.
pub const OPENCLAW_STATE_DIR: &str = "OPENCLAW_STATE_DIR";
/// OpenClaw's home directory, where it is not the user's.
const OPENCLAW_HOME: &str = "OPENCLAW_HOME";

/// A setting that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A variable that must be set is not.
    #[error("{name} is not set; {fix}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A variable's value cannot be used.
    #[error("{name} is {value:?}, {problem}; {fix}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value, masked where it may hold a secret.
        value: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// The config file cannot be used.
    #[error(
        "the config file {} {problem}; correct it, or name another one in OPENCLAW_CONFIG_PATH",
        .path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A config file is named, or meant, and is not there.
    #[error(
        "there is no config file {}; write one with `ddingtalk onboard`, or name another one in OPENCLAW_CONFIG_PATH",
        .0.display()
    )]
    NoFile(PathBuf),
    /// A setting in the config file cannot be used.
    #[error("{path} in {} is {value}, and must be {allowed}", .file.display())]
    Setting {
        /// Its place, such as `channels.ddingtalk.dmPolicy`.
        path: String,
        /// The file.
        file: PathBuf,
        /// Its value, masked where it is a secret.
        value: String,
        /// What would do.
        allowed: String,
    },
    /// A setting that must be in the config file is not.
    #[error("{path} is missing in {}; add it", .file.display())]
    MissingSetting {
        /// Its place.
        path: String,
        /// The file.
        file: PathBuf,
    },
    /// A setting that is to be changed stands in a file that is included, which is not edited.
    #[error(
        "{path} comes from {}, which {} includes; edit it there", .included.display(), .file.display()
    )]
    Elsewhere {
        /// Its place.
        path: String,
        /// The file.
        file: PathBuf,
        /// The file that has it.
        included: PathBuf,
    },
    /// The config file cannot be replaced; it is as it was.
    #[error(
        "the config file {} cannot be written: {problem}; {fix}, or name another one in OPENCLAW_CONFIG_PATH",
        .path.display()
    )]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: &'static str,
    },
    /// Two accounts have one app, whose messages would go to either of them.
    #[error(
        "the accounts {} and {} in {} have the same clientId {client_id}; give each an app of its own, \
         or disable one",
        .accounts[0], .accounts[1], .file.display()
    )]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The app.
        client_id: String,
        /// Both names.
        accounts: [String; 2],
    },
}

/// Reads the app's credential.
pub fn credential(env: &dyn Environment) -> Result<Credential, ConfigError> {
    let client_id = required(
        env,
        CLIENT_ID,
        "set it to the Client ID (AppKey) from the app's page 凭证与基础信息 (Credentials), or run `ddingtalk onboard`",
    )?;
    let client_secret = required(
        env,
        CLIENT_SECRET,
        "set it to the Client Secret (AppSecret) from the app's page 凭证与基础信息 (Credentials), or run `ddingtalk onboard`",
    )?;
    Ok(Credential {
        client_id: ClientId::new(client_id),
        client_secret: Secret::new(client_secret),
        place: format!("{CLIENT_ID} and {CLIENT_SECRET}"),
    })
}

/// Reads the two hosts.
pub fn endpoints(env: &dyn Environment) -> Result<Endpoints, ConfigError> {
    Ok(Endpoints {
        openapi: endpoint(env, OPENAPI_ENDPOINT, "https://api.dingtalk.com")?,
        oapi: endpoint(env, OAPI_ENDPOINT, "https://oapi.dingtalk.com")?,
    })
}

/// The state directory when no flag names one: `$OPENCLAW_STATE_DIR/ddingtalk`, else
/// `~/.openclaw/ddingtalk`.
pub fn default_state_dir(env: &dyn Environment) -> Result<PathBuf, ConfigError> {
    let dir = openclaw_dir(env).ok_or(ConfigError::Missing {
        name: "HOME",
        fix: "name a state directory with --state-dir or OPENCLAW_STATE_DIR",
    })?;
    Ok(dir.join("ddingtalk"))
}

/// OpenClaw's own state directory, found as OpenClaw finds it.
fn openclaw_dir(env: &dyn Environment) -> Option<PathBuf> {
    let set = |name| env.var(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let home = set("HOME").map(PathBuf::from);
    let within = |path: &str, home: Option<&PathBuf>| match path.strip_prefix('~') {
        Some("") => home.cloned(),
        Some(rest) if rest.starts_with('/') => home.map(|home| home.join(&rest[1..])),
        _ => Some(PathBuf::from(path)),
    };
    let home = set(OPENCLAW_HOME).and_then(|dir| within(&dir, home.as_ref())).or(home);
    if let Some(dir) = set(OPENCLAW_STATE_DIR) {
        return within(&dir, home.as_ref());
    }
    let (new, old) = (home.as_ref()?.join(".openclaw"), home?.join(".clawdbot"));
    Some(if !new.exists() && old.exists() { old } else { new })
}

/// A variable that must be set.
pub(crate) fn required(
    env: &dyn Environment,
    name: &'static str,
    fix: &'static str,
) -> Result<String, ConfigError> {
    // Blanks around a pasted credential are the most frequent reason for a 401.
    let value = env.var(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    value.ok_or(ConfigError::Missing { name, fix })
}

/// A base URL.
pub(crate) fn endpoint(
    env: &dyn Environment,
    name: &'static str,
    default: &str,
) -> Result<Url, ConfigError> {
    let given = env.var(name).filter(|v| !v.trim().is_empty());
    let value = given.as_deref().unwrap_or(default).trim();
    let invalid = |value: String, problem: String| ConfigError::Invalid {
        name,
        value,
        problem,
        fix: format!("give a base URL such as {default}, or leave it unset"),
    };
    let url = Url::parse(value)
        .map_err(|e| invalid(without_user(value), format!("which is no URL ({e})")))?;
    let problem = if !matches!(url.scheme(), "http" | "https") {
        "which is neither http:// nor https://"
    } else if url.query().is_some() || url.fragment().is_some() {
        "which has a query or fragment"
    } else if !url.username().is_empty() || url.password().is_some() {
        "which holds a user name or password"
    } else {
        return Ok(url);
    };
    Err(invalid(RedactedUrl(&url).to_string(), problem.to_owned()))
}

/// A text that is no URL, without what may be a user name and password in it.
fn without_user(value: &str) -> String {
    value.rsplit_once('@').map_or_else(|| value.to_owned(), |(_, rest)| format!("***@{rest}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;

    pub(crate) struct Fixed(pub(crate) HashMap<&'static str, &'static str>);

    impl Environment for Fixed {
        fn var(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&v| v.to_owned())
        }
    }

    pub(crate) fn env(vars: &[(&'static str, &'static str)]) -> Fixed {
        Fixed(vars.iter().copied().collect())
    }

    #[test]
    fn the_defaults_are_dingtalks_hosts() {
        let endpoints = endpoints(&env(&[])).unwrap();
        assert_eq!(endpoints.openapi.as_str(), "https://api.dingtalk.com/");
        assert_eq!(endpoints.oapi.as_str(), "https://oapi.dingtalk.com/");
    }

    #[test]
    fn a_bad_endpoint_names_variable_value_problem_and_fix() {
        for (value, part) in [
            ("api.dingtalk.com", "no URL"),
            ("ftp://x", "neither http:// nor https://"),
            ("https://x/?token=abc", "query"),
            ("https://u:pw@x", "user name or password"),
            ("http://", "no URL"),
            ("https://user:pw@[bad", "no URL"),
        ] {
            let message =
                endpoints(&Fixed([(OPENAPI_ENDPOINT, value)].into())).unwrap_err().to_string();
            assert!(message.starts_with("DINGTALK_OPENAPI_ENDPOINT is "), "{message}");
            assert!(
                message.contains(part) && message.contains("https://api.dingtalk.com"),
                "{message}"
            );
            assert!(!message.contains("abc") && !message.contains("pw@"), "{message}");
        }
    }

    #[test]
    fn credentials_lose_their_blanks_and_must_not_be_empty() {
        let credential =
            credential(&env(&[(CLIENT_ID, " ding1\n"), (CLIENT_SECRET, "s ")])).unwrap();
        assert_eq!(credential.client_id.as_str(), "ding1");
        assert_eq!(credential.client_secret.expose(), "s");
        for (vars, name) in [
            (env(&[(CLIENT_SECRET, "s")]), CLIENT_ID),
            (env(&[(CLIENT_ID, "ding1"), (CLIENT_SECRET, " ")]), CLIENT_SECRET),
        ] {
            let message = super::credential(&vars).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name} is not set; ")), "{message}");
        }
    }

    #[test]
    fn the_state_directory_follows_openclaw() {
        for (vars, expected) in [
            (env(&[("HOME", "/h")]), "/h/.openclaw/ddingtalk"),
            (env(&[("HOME", "/h"), (OPENCLAW_STATE_DIR, "/s")]), "/s/ddingtalk"),
            (env(&[("HOME", "/h"), (OPENCLAW_STATE_DIR, "~/s")]), "/h/s/ddingtalk"),
            (env(&[("HOME", "/h"), (OPENCLAW_HOME, "/o")]), "/o/.openclaw/ddingtalk"),
            (
                env(&[("HOME", "/h"), (OPENCLAW_HOME, "~/o"), (OPENCLAW_STATE_DIR, "~")]),
                "/h/o/ddingtalk",
            ),
            (env(&[(OPENCLAW_STATE_DIR, "~s")]), "~s/ddingtalk"),
        ] {
            assert_eq!(default_state_dir(&vars).unwrap(), PathBuf::from(expected));
        }
        assert!(default_state_dir(&env(&[])).is_err());
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".clawdbot")).unwrap();
        let vars: &'static str = Box::leak(home.path().to_str().unwrap().to_owned().into());
        let of_home = || default_state_dir(&env(&[("HOME", vars)])).unwrap();
        assert_eq!(of_home(), home.path().join(".clawdbot/ddingtalk"));
        std::fs::create_dir(home.path().join(".openclaw")).unwrap();
        assert_eq!(of_home(), home.path().join(".openclaw/ddingtalk"));
    }
}
