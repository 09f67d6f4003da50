//! The config file as it is edited: read, changed where a value stands, and replaced as a whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::edit::{self, EditError};
use super::{ConfigError, file};
use crate::remedy;

/// Where the section stands.
const SECTION: [&str; 2] = ["channels", "ddingtalk"];
/// Some editors put it before the text.
const MARK: char = '\u{feff}';

/// A config file under change.
#[derive(Debug)]
pub(crate) struct Document {
    /// As it is called.
    path: PathBuf,
    /// Where it is: links lead there.
    real: PathBuf,
    /// As it was read; `None` where there is none yet.
    before: Option<(String, Metadata)>,
    text: String,
}

impl Document {
    /// Reads the file. One that is not there yet is made; one that is broken is left.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |e: io::Error| file_error(path, format!("cannot be read: {e}"));
        let real = match fs::canonicalize(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let text = "{}\n".to_owned();
                let real = path.to_owned();
                // A link into nowhere would be replaced by a file.
                if path.symlink_metadata().is_ok() {
                    return Err(file_error(
                        path,
                        "is a link to a file that is not there".to_owned(),
                    ));
                }
                return Ok(Self { path: path.to_owned(), real, before: None, text });
            }
            real => real.map_err(unreadable)?,
        };
        // Whatever makes it unusable is said by whoever reads it.
        file::read(path)?;
        let metadata = real.metadata().map_err(unreadable)?;
        let text = fs::read_to_string(&real).map_err(unreadable)?;
        let before = Some((text.clone(), metadata));
        Ok(Self { path: path.to_owned(), real, before, text })
    }

    /// What the section has in this file, as it is written there; `null` if it is not there.
    pub(crate) fn section(&self) -> Value {
        let whole: Value = json5::from_str(self.text.trim_start_matches(MARK)).unwrap_or_default();
        whole.get(SECTION[0]).and_then(|all| all.get(SECTION[1])).cloned().unwrap_or_default()
    }

    /// Sets a key of the section.
    pub(crate) fn set(&mut self, keys: &[&str], value: &Value) -> Result<(), ConfigError> {
        let path = self.whole_path(keys)?;
        self.change(|text| edit::set(text, &path, value))
    }

    /// Removes a key of the section; tells whether it was there.
    pub(crate) fn remove(&mut self, keys: &[&str]) -> Result<bool, ConfigError> {
        let path = self.whole_path(keys)?;
        let mut was_there = false;
        self.change(|text| {
            let shorter = edit::remove(text, &path)?;
            was_there = shorter.is_some();
            Ok(shorter.unwrap_or_else(|| text.to_owned()))
        })?;
        Ok(was_there)
    }

    fn change(
        &mut self,
        change: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<(), ConfigError> {
        let mark = if self.text.starts_with(MARK) { "\u{feff}" } else { "" };
        let changed = change(&self.text[mark.len()..])
            .map_err(|e| file_error(&self.path, format!("cannot be edited: {e}")))?;
        self.text = format!("{mark}{changed}");
        Ok(())
    }

    /// The keys from the root on, where they may be changed: what another file brings is changed there.
    fn whole_path(&self, keys: &[&str]) -> Result<Vec<String>, ConfigError> {
        let path: Vec<&str> = SECTION.iter().chain(keys).copied().collect();
        let raw: Value = json5::from_str(self.text.trim_start_matches(MARK)).unwrap_or_default();
        let mut place = &raw;
        for key in &path {
            let Some(next) = place.get(*key) else {
                if let Some(included) = self.includer_of(place, key)? {
                    return Err(ConfigError::Elsewhere {
                        path: path.join("."),
                        file: self.path.clone(),
                        included,
                    });
                }
                break;
            };
            place = next;
        }
        Ok(path.into_iter().map(str::to_owned).collect())
    }

    /// The file that an object includes and that has a key, if one does.
    fn includer_of(&self, object: &Value, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let names = match object.get("$include") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        // The last one wins.
        for name in names.into_iter().rev() {
            let file = folder.join(name);
            if file::read(&file)?.value.get(key).is_some() {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Whether anything changed.
    pub(crate) fn is_changed(&self) -> bool {
        self.before.as_ref().is_none_or(|(before, _)| *before != self.text)
    }

    /// Replaces the file, by one that is complete on the disk before it takes its place. Owner and
    /// permissions stay; a file that holds a secret is its owner's alone.
    pub(crate) fn save(self) -> Result<(), ConfigError> {
        let value: Value = json5::from_str(self.text.trim_start_matches(MARK))
            .map_err(|e| file_error(&self.path, format!("would not be JSON5 any more: {e}")))?;
        let written = self.write(file::holds_secret(&value));
        written.map_err(|e| ConfigError::NotWritten {
            path: self.path,
            fix: remedy::of(&e, "make it and its folder writable for this user"),
            problem: e.to_string(),
        })
    }

    fn write(&self, secret: bool) -> io::Result<()> {
        let now = match fs::read_to_string(&self.real) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            now => Some(now?),
        };
        if now.as_ref() != self.before.as_ref().map(|(text, _)| text) {
            return Err(io::Error::other("somebody else changed it meanwhile; do it again"));
        }
        let folder = match self.real.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)?;
        let mode = self.before.as_ref().map_or(0o600, |(_, of)| of.permissions().mode() & 0o777);
        let mode = if secret { mode & 0o600 } else { mode };
        let fresh = folder.join(format!(".openclaw-{:016x}.tmp", rand::random::<u64>()));
        let attempt = || {
            let mut options = OpenOptions::new();
            let mut out = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
            out.write_all(self.text.as_bytes())?;
            if let Some((_, of)) = &self.before {
                let ours = out.metadata()?;
                if (ours.uid(), ours.gid()) != (of.uid(), of.gid()) {
                    fchown(&out, Some(of.uid()), Some(of.gid()))?;
                }
            }
            out.set_permissions(fs::Permissions::from_mode(mode))?;
            out.sync_all()?;
            fs::rename(&fresh, &self.real)?;
            // The file is in its place, and whole; not every file system syncs folders.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
            Ok(())
        };
        attempt().inspect_err(|_| {
            let _ = fs::remove_file(&fresh);
        })
    }
}

fn file_error(path: &Path, problem: String) -> ConfigError {
    ConfigError::File { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn edited(path: &Path, keys: &[&str], value: &Value) -> Result<(), ConfigError> {
        let mut document = Document::open(path)?;
        document.set(keys, value)?;
        document.save()
    }

    #[test]
    fn a_file_is_made_where_there_is_none_and_only_its_owner_reads_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/openclaw.json");
        edited(&path, &["clientId"], &json!("dingA")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\n  channels: {\n    ddingtalk: {\n      clientId: \"dingA\",\n    },\n  },\n}\n"
        );
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        edited(&path, &["enabled"], &json!(true)).unwrap();
        assert_eq!(mode(&path), 0o644, "it holds no secret");
        edited(&path, &["clientSecret"], &json!("s3cr3t")).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn a_link_stays_a_link_and_marks_and_comments_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json5"), dir.path().join("openclaw.json"));
        fs::write(&real, "\u{feff}// mine\r\n{ channels: { /* x */ } }\r\n").unwrap();
        std::os::unix::fs::symlink("real.json5", &link).unwrap();
        edited(&link, &["agent"], &json!("echo")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        let text = fs::read_to_string(&real).unwrap();
        assert!(text.starts_with("\u{feff}// mine\r\n{ channels: {\r\n"), "{text:?}");
        assert!(text.contains("/* x */"), "{text:?}");
        fs::remove_file(&real).unwrap();
        let message = Document::open(&link).unwrap_err().to_string();
        assert!(message.contains("is a link to a file that is not there"), "{message}");
    }

    #[test]
    fn what_another_file_brings_is_named_with_that_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        fs::write(
            dir.path().join("team.json5"),
            "{ allowFrom: ['anna'], rateLimit: { messages: 1 } }",
        )
        .unwrap();
        let text = "{ channels: { ddingtalk: { $include: './team.json5', dmPolicy: 'open' } } }";
        fs::write(&path, text).unwrap();
        let message = edited(&path, &["rateLimit", "seconds"], &json!(1)).unwrap_err().to_string();
        assert!(
            message.starts_with("channels.ddingtalk.rateLimit.seconds comes from "),
            "{message}"
        );
        assert!(message.contains("team.json5, which "), "{message}");
        edited(&path, &["dmPolicy"], &json!("disabled")).unwrap();
        edited(&path, &["agent"], &json!("none")).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text.replace("'open' }", "\"disabled\", agent: \"none\" }")
        );
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        fs::write(&path, "{}").unwrap();
        let mut document = Document::open(&path).unwrap();
        document.set(&["agent"], &json!("none")).unwrap();
        fs::write(&path, "{ a: 1 }").unwrap();
        let message = document.save().unwrap_err().to_string();
        assert!(message.contains("changed it meanwhile; do it again"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ a: 1 }");
    }

    #[test]
    fn what_is_removed_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        fs::write(&path, "{ channels: { ddingtalk: { accounts: { a: { x: 1 }, b: {} } } } }")
            .unwrap();
        let mut document = Document::open(&path).unwrap();
        assert!(document.remove(&["accounts", "a"]).unwrap());
        assert!(!document.remove(&["accounts", "c"]).unwrap());
        assert!(document.is_changed());
        assert_eq!(document.section(), json!({ "accounts": { "b": {} } }));
    }
}
