//! A robot's account in the config file, as `channels add` and `onboard` write it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::access::AccessArgs;
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::config::accounts::{DEFAULT, unread_file};
use crate::config::document::Document;
use crate::config::{ProcessEnvironment, file, keys};
use crate::credential::{ClientId, Credential};
use crate::redact::Secret;

/// What a new account has.
#[derive(Debug)]
pub(super) struct NewAccount {
    /// Its name.
    pub(super) account: String,
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    /// Other settings, such as `dmPolicy`.
    pub(super) others: Vec<(&'static str, Value)>,
}

/// Where the config file is.
pub(super) fn path() -> Result<PathBuf, Failure> {
    file::path(&ProcessEnvironment).ok_or_else(|| {
        Failure::new(
            ExitCode::Configuration,
            "HOME is not set; name the config file in OPENCLAW_CONFIG_PATH",
        )
    })
}

/// Where an account stands in the section: the default one at its top, unless it has an entry of its own.
pub(super) fn place_of<'a>(account: &'a str, section: &Value) -> Vec<&'a str> {
    let own = section.get("accounts").and_then(|accounts| accounts.get(account)).is_some();
    if account == DEFAULT && !own { Vec::new() } else { vec!["accounts", account] }
}

impl NewAccount {
    pub(super) fn credential(&self) -> Credential {
        Credential {
            client_id: ClientId::new(self.client_id.as_str()),
            client_secret: self.client_secret.clone(),
            place: "以上两项 / the two lines above".to_owned(),
        }
    }

    /// Writes it into the file, which keeps all else that it has, and says what holds now.
    pub(super) fn put(&self, path: &Path) -> Result<(), Failure> {
        let done = if self.write(path)? { "changed" } else { "added" };
        let Self { account, client_id, .. } = self;
        output::data(&format!("{done}: account {account} ({client_id}) in {}", path.display()))?;
        review();
        Ok(())
    }

    /// Returns whether the account was there.
    fn write(&self, path: &Path) -> Result<bool, Failure> {
        if !keys::is_account_name(&self.account) {
            let e = keys::PlaceError::Name { name: self.account.clone() };
            return Err(Failure::new(ExitCode::Configuration, e.to_string()));
        }
        let mut document = Document::open(path)?;
        let section = document.section();
        let place = place_of(&self.account, &section);
        let old = place.iter().try_fold(&section, |value, key| value.get(*key));
        let was_there = old.is_some_and(|old| !old["clientId"].is_null());
        // What is switched off would stay so.
        for place in [&place[..0], &place[..]] {
            let value = place.iter().try_fold(&section, |value, key| value.get(*key));
            if value.is_none_or(|value| value.is_null() || value["enabled"] == false) {
                document.set(&[place, &["enabled"]].concat(), &true.into())?;
            }
        }
        let id = Value::from(self.client_id.as_str());
        let secret = Value::from(escaped(self.client_secret.expose()));
        let settings = [("clientId", id), ("clientSecret", secret)];
        for (key, value) in settings.iter().chain(&self.others) {
            document.set(&[&place[..], &[*key]].concat(), value)?;
        }
        document.save()?;
        Ok(was_there)
    }
}

/// A text that means itself where `${NAME}` means a variable.
fn escaped(text: &str) -> String {
    // A secret that names a variable is one that was meant.
    let is_variable = text.strip_prefix("${").is_some_and(|rest| rest.ends_with('}'));
    if is_variable { text.to_owned() } else { text.replace("${", "$${") }
}

/// Says so where the environment leaves the file unread.
pub(super) fn tell_unread() {
    if let Some(odd) = unread_file(&ProcessEnvironment) {
        output::note(&format!("warning: {odd}"));
    }
}

/// Says what is odd in the file now, and what does not hold yet.
pub(super) fn review() {
    match AccessArgs::default().read() {
        Ok(accounts) => {
            for odd in accounts.warnings {
                output::note(&format!("warning: {odd}"));
            }
        }
        Err(e) => output::note(&format!("warning: the settings do not hold yet: {e}")),
    }
}
