//! What a path such as `accounts.sales.dmPolicy` means.

use super::{Key, Kind, Names, SECTION, Table, find, is_account_name, nearest};

/// A place in the section that a person named.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its keys, from the section on.
    pub(crate) keys: Vec<String>,
    /// What stands there; `None` for one account or group as a whole.
    pub(crate) key: Option<&'static Key>,
}

/// A place that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Nobody knows this key.
    #[error("{path} is not known; {}", advice(.nearest.as_deref()))]
    Unknown {
        /// Its path.
        path: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// Something follows a key that holds no others.
    #[error("{path} holds no other settings; leave out what follows it")]
    Leaf {
        /// Its path.
        path: String,
    },
    /// An account cannot be called so.
    #[error("the account is named {name:?}; give it 1 to 32 letters, digits, - and _")]
    Name {
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("no setting is named; `ddingtalk config schema` lists them")]
    Empty,
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "`ddingtalk config schema` lists what is".to_owned(),
    }
}

/// Finds what a path such as `accounts.sales.dmPolicy` means, with or without `channels.ddingtalk.` before it.
/// Ids of groups may hold dots.
pub(crate) fn place(path: &str) -> Result<Place, PlaceError> {
    let path = path.trim().strip_prefix("channels.ddingtalk.").unwrap_or(path.trim());
    if path.is_empty() {
        return Err(PlaceError::Empty);
    }
    let mut keys: Vec<String> = Vec::new();
    let (mut table, mut rest) = (SECTION, path);
    loop {
        let (name, more) = split(rest);
        keys.push(name.to_owned());
        let here = || keys.join(".");
        let Some(key) = find(table, name) else {
            let nearest = nearest(table, name).map(str::to_owned);
            return Err(PlaceError::Unknown { path: here(), nearest });
        };
        let Some(more) = more else { return Ok(Place { keys, key: Some(key) }) };
        match &key.kind {
            Kind::Theirs => {
                keys.extend(more.split('.').map(str::to_owned));
                return Ok(Place { keys, key: Some(key) });
            }
            Kind::Object(inner, _) => (table, rest) = (*inner, more),
            Kind::Named(inner, names) => {
                let (name, more) = named(more, *names, inner);
                if *names == Names::Accounts && !is_account_name(name) {
                    return Err(PlaceError::Name { name: name.to_owned() });
                }
                keys.push(name.to_owned());
                match more {
                    None => return Ok(Place { keys, key: None }),
                    Some(more) => (table, rest) = (*inner, more),
                }
            }
            _ => return Err(PlaceError::Leaf { path: here() }),
        }
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)))
}

/// Splits a name from what follows it. One that may hold dots goes on until a key is known.
fn named(path: &str, names: Names, table: Table) -> (&str, Option<&str>) {
    if names == Names::Accounts {
        return split(path);
    }
    let ends = path.match_indices('.').map(|(at, _)| at);
    let mut ends = ends.filter(|&at| find(table, split(&path[at + 1..]).0).is_some());
    ends.next().map_or((path, None), |at| (&path[..at], Some(&path[at + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_a_setting_or_is_answered_with_the_nearest_one() {
        for (path, keys) in [
            ("dmPolicy", "dmPolicy"),
            ("channels.ddingtalk.accounts.sales.dmPolicy", "accounts|sales|dmPolicy"),
            ("groups.cid.A/==.allowFrom", "groups|cid.A/==|allowFrom"),
            ("groups.cid.A==", "groups|cid.A=="),
            ("accounts.a.groups.*.enabled", "accounts|a|groups|*|enabled"),
            ("rateLimit.seconds", "rateLimit|seconds"),
            ("streaming.block.enabled", "streaming|block|enabled"),
        ] {
            assert_eq!(place(path).unwrap().keys.join("|"), keys, "{path}");
        }
        for (path, message) in [
            ("dmPolcy", "dmPolcy is not known; did you mean dmPolicy?"),
            ("accounts.a.AllowFrom", "accounts.a.AllowFrom is not known; did you mean allowFrom?"),
            ("colour", "colour is not known; `ddingtalk config schema` lists what is"),
            ("dmPolicy.x", "dmPolicy holds no other settings; leave out what follows it"),
            (
                "accounts.a b.agent",
                "the account is named \"a b\"; give it 1 to 32 letters, digits, - and _",
            ),
            (
                "accounts.a.accounts",
                "accounts.a.accounts is not known; `ddingtalk config schema` lists what is",
            ),
            (" ", "no setting is named; `ddingtalk config schema` lists them"),
        ] {
            assert_eq!(place(path).unwrap_err().to_string(), message);
        }
    }
}
