//! OpenClaw's config file: JSON5, with `$include` and `${VARIABLE}`.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use json5::ErrorCode;
use serde_json::{Map, Value};

use super::nesting::{DEEPEST, too_deep};
use super::{ConfigError, Environment, openclaw_dir};

/// Names the file instead of `~/.openclaw/openclaw.json`.
pub const OPENCLAW_CONFIG_PATH: &str = "OPENCLAW_CONFIG_PATH";

/// Files that include each other at most so deep, as with OpenClaw.
const DEPTH: usize = 10;
/// Files that are read at most: ten levels of them can be very many.
const FILES: usize = 100;
/// Bytes of a file; a longer one is no config.
const LONGEST: u64 = 8 << 20;

/// Where the file is: `$OPENCLAW_CONFIG_PATH`, else `openclaw.json` in `$OPENCLAW_STATE_DIR` or
/// `~/.openclaw`. `None` without any of the three.
pub fn path(env: &dyn Environment) -> Option<PathBuf> {
    let named = env.var(OPENCLAW_CONFIG_PATH).filter(|value| !value.is_empty());
    named.map(PathBuf::from).or_else(|| Some(openclaw_dir(env)?.join("openclaw.json")))
}

/// A file with all that it includes. Variables are not looked at yet.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) value: Value,
    /// What is odd about the files, one sentence each.
    pub(super) warnings: Vec<String>,
    /// All files that were read, each once.
    pub(super) files: Vec<PathBuf>,
}

/// Reads a file and what it includes.
pub(super) fn read(path: &Path) -> Result<Whole, ConfigError> {
    let mut reader = Reader::default();
    let value = reader.file(path, 1)?;
    Ok(Whole { value, warnings: reader.warnings, files: reader.read })
}

#[derive(Debug, Default)]
struct Reader {
    files: usize,
    read: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<Value, ConfigError> {
        let problem = |problem: String| ConfigError::File { path: path.to_owned(), problem };
        let unreadable = |e: std::io::Error| problem(format!("cannot be read: {e}"));
        self.files += 1;
        if self.files > FILES {
            return Err(problem(format!("is one of more than {FILES} files that are included")));
        }
        if self.read.iter().all(|read| read != path) {
            self.read.push(path.to_owned());
        }
        let file = File::open(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound if depth == 1 => ConfigError::NoFile(path.to_owned()),
            _ => unreadable(e),
        })?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mut text = String::new();
        // A pipe or device does not know its length.
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST {
            return Err(problem(format!("has more than {LONGEST} bytes")));
        }
        // Some editors put a byte order mark before the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if let Some(line) = too_deep(text) {
            return Err(problem(format!("is nested more than {DEEPEST} deep in line {line}")));
        }
        let value: Value = json5::from_str(text).map_err(|e| problem(no_json5(&e)))?;
        if is_open_to_others(&metadata) && holds_secret(&value) {
            self.warnings.push(format!(
                "{0} holds a secret, and other users of this machine may read it; chmod 600 {0}, or \
                 put ${{VARIABLE}} in the secret's place",
                path.display()
            ));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let included = resolve(value, &mut |name| {
            if depth >= DEPTH {
                return Err(problem(format!("includes {name} more than {DEPTH} files deep")));
            }
            self.file(&folder.join(name), depth + 1)
        });
        included.map_err(|e| match e {
            Include::Failed(e) => e,
            Include::Wrong => {
                problem("has an $include that is neither a file name nor a list of them".to_owned())
            }
        })
    }
}

/// Where and why, without a word of the file, in which secrets stand.
fn no_json5(e: &json5::Error) -> String {
    let at = e
        .position()
        .map_or(String::new(), |at| format!(" in line {}, column {}", at.line + 1, at.column + 1));
    let why = match e.code() {
        Some(ErrorCode::LeadingZero) => {
            ": a number cannot begin with 0; put ids in quotes, or they lose it".to_owned()
        }
        Some(code) => format!(": {code}"),
        None => String::new(),
    };
    format!("is no JSON5{at}{why}")
}

/// Whether group or others may read a file.
fn is_open_to_others(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o044 != 0
}

pub(super) fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_secret),
        Value::Object(map) => map.iter().any(|(key, value)| match value {
            Value::String(text) => super::keys::is_secret(key) && !text.contains("${"),
            value => holds_secret(value),
        }),
        _ => false,
    }
}

/// A setting of `channels.ddingtalk` as it stands in the file, secrets masked; `None` if it is not set.
/// `setting` is its path, with `channels.ddingtalk.` before it or not; empty for all of them.
pub fn setting(path: &Path, setting: &str) -> Result<Option<Value>, ConfigError> {
    let mut whole = read(path)?.value;
    let Some(section) = whole.get_mut("channels").and_then(|all| all.get_mut("ddingtalk")) else {
        return Ok(None);
    };
    mask(section);
    let inner = setting.strip_prefix("channels.ddingtalk").unwrap_or(setting);
    Ok(find(section, inner.strip_prefix('.').unwrap_or(inner)).cloned())
}

fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    // Ids are keys, too, and may hold dots.
    let rest = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match value {
        Value::Object(map) => {
            map.iter().find_map(|(key, value)| rest(key).and_then(|rest| find(value, rest)))
        }
        Value::Array(items) => (items.iter().enumerate())
            .find_map(|(n, value)| rest(&n.to_string()).and_then(|rest| find(value, rest))),
        _ => None,
    }
}

/// Masks what is called a secret, unless all of it is a variable's name.
fn mask(value: &mut Value) {
    let is_variable = |value: &Value| {
        let text = value.as_str().and_then(|text| text.strip_prefix("${")?.strip_suffix('}'));
        text.is_some_and(is_name)
    };
    let is_secret = |key: &str| {
        let key = key.to_lowercase();
        key == "store"
            || ["secret", "token", "password", "key"].iter().any(|word| key.contains(word))
    };
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| {
            if is_secret(key) && !value.is_null() && !is_variable(value) {
                *value = "***".into();
            } else {
                mask(value);
            }
        }),
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

enum Include {
    Wrong,
    Failed(ConfigError),
}

/// Replaces every `$include` by the file; what stands beside it wins.
fn resolve(
    value: Value,
    read: &mut dyn FnMut(&str) -> Result<Value, ConfigError>,
) -> Result<Value, Include> {
    Ok(match value {
        Value::Array(items) => Value::Array(
            items.into_iter().map(|item| resolve(item, read)).collect::<Result<_, _>>()?,
        ),
        Value::Object(mut map) => {
            let names = match map.remove("$include") {
                None => Vec::new(),
                Some(Value::String(name)) => vec![name],
                Some(Value::Array(names)) => names
                    .into_iter()
                    .map(|name| name.as_str().map(str::to_owned).ok_or(Include::Wrong))
                    .collect::<Result<_, _>>()?,
                Some(_) => return Err(Include::Wrong),
            };
            let mut whole = Value::Object(Map::new());
            for name in names {
                merge(&mut whole, read(&name).map_err(Include::Failed)?);
            }
            let beside = map
                .into_iter()
                .map(|(key, value)| Ok((key, resolve(value, read)?)))
                .collect::<Result<Map<_, _>, _>>()?;
            // A file need not be an object where nothing stands beside it.
            if !beside.is_empty() {
                merge(&mut whole, Value::Object(beside));
            }
            whole
        }
        value => value,
    })
}

/// Puts `over` over `under`, object by object.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => drop(under.insert(key, value)),
                }
            }
        }
        (under, over) => *under = over,
    }
}

/// What became of variables.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Names of those that are not set.
    pub(super) missing: Vec<String>,
    /// Values of those that are.
    pub(super) values: Vec<String>,
}

/// Replaces `${NAME}` in every text by the variable; `$${NAME}` stands for itself without the first
/// dollar sign. Those that are not set stay as they are.
pub(super) fn substitute(value: &mut Value, env: &dyn Environment, variables: &mut Variables) {
    match value {
        Value::String(text) => *text = substituted(text, env, variables),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, env, variables)),
        Value::Object(map) => map.values_mut().for_each(|value| substitute(value, env, variables)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn substituted(text: &str, env: &dyn Environment, variables: &mut Variables) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let name = from[2..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name else {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        };
        let whole = &from[..name.len() + 3];
        rest = &from[whole.len()..];
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str(whole);
            continue;
        }
        out.push_str(before);
        if let Some(value) = env.var(name) {
            out.push_str(&value);
            variables.values.push(value);
        } else {
            out.push_str(whole);
            variables.missing.push(name.to_owned());
        }
    }
    out + rest
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|byte| letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::tests::env;
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let env = env(&[("A", "1"), ("B_2", "${A}")]);
        for (text, expected, unset) in [
            ("a${A}b${B_2}", "a1b${A}", ""),
            ("$${A} $$ ${", "${A} $$ ${", ""),
            ("${C}${A}", "${C}1", "C"),
            ("${a} ${} ${9}", "${a} ${} ${9}", ""),
            ("你${A}好", "你1好", ""),
        ] {
            let mut value = serde_json::json!({ "x": [text] });
            let mut variables = Variables::default();
            substitute(&mut value, &env, &mut variables);
            assert_eq!(value["x"][0], expected);
            assert_eq!(variables.missing.join(","), unset, "{text}");
        }
    }

    #[test]
    fn files_include_files_and_what_stands_beside_wins() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.json5", "{ x: { $include: ['b.json5', 'sub/c.json5'], own: 1, /* c */ }, }");
        write("b.json5", "{ own: 2, deep: { p: 1, q: 1 }, list: [1, 2] }");
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        write("sub/c.json5", "{ deep: { q: 2 }, list: [3], more: { $include: './d.json5' } }");
        write("sub/d.json5", "'text'");
        let value = read(&dir.path().join("a.json5")).unwrap().value;
        let expected = serde_json::json!({ "x": {
            "own": 1, "deep": { "p": 1, "q": 2 }, "list": [3], "more": "text"
        } });
        assert_eq!(value, expected);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        for (text, part) in [
            ("{ a: ", "is no JSON5"),
            ("{ $include: 'none.json' }", "none.json cannot be read"),
            ("{ $include: 7 }", "neither a file name nor a list"),
            ("{ $include: 'a.json' }", "more than 10 files deep"),
            ("{ a: { $include: 'a.json' } }", "more than 10 files deep"),
            ("{ $include: ['b.json', 'b.json', 'b.json', 'b.json'] }", "more than 100 files"),
            ("{ a: 's3cr3t' 's3cr3t' }", "is no JSON5 in line 1, column 15"),
            ("{ a: 's3cr3t\n' }", "is no JSON5 in line 1"),
            ("{\r\n allowFrom: [0123] }", "cannot begin with 0; put ids in quotes"),
            ("{ s3cr3t }", "is no JSON5"),
            (&"[".repeat(1 << 20), "is nested more than 64 deep in line 1"),
            (&" ".repeat(9 << 20), "has more than 8388608 bytes"),
        ] {
            // Three levels, and each includes the next one many times.
            let many =
                |name: &str| format!("{{ $include: [{}] }}", format!("'{name}',").repeat(20));
            std::fs::write(dir.path().join("b.json"), many("c.json")).unwrap();
            std::fs::write(dir.path().join("c.json"), many("d.json")).unwrap();
            std::fs::write(dir.path().join("d.json"), "{}").unwrap();
            std::fs::write(&path, text).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{part}: {message}");
            assert!(!message.contains("s3cr3t"), "{message}");
        }
    }

    #[test]
    fn marks_comments_line_ends_and_trailing_commas_are_no_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let text =
            "\u{feff}// 你好\r\n{ a: 1,\r\n 'b': [1, 2,], /* { */ \"c\": 'x\\\ny', a: 2, }\r\n";
        std::fs::write(&path, text).unwrap();
        let expected = serde_json::json!({ "a": 2, "b": [1, 2], "c": "xy" });
        assert_eq!(read(&path).unwrap().value, expected);
    }

    #[test]
    fn a_secret_that_others_may_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, "{ x: [{ clientSecret: 's3cr3t' }] }").unwrap();
        for (mode, warnings) in [(0o600, 0), (0o640, 1), (0o604, 1)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let warned = read(&path).unwrap().warnings;
            assert_eq!(warned.len(), warnings, "{mode:o}");
            assert!(warned.iter().all(|w| w.contains("chmod 600") && !w.contains("s3cr3t")));
        }
        std::fs::write(&path, "{ clientSecret: '${SECRET}' }").unwrap();
        assert!(read(&path).unwrap().warnings.is_empty());
    }

    #[test]
    fn a_setting_is_found_by_its_path_and_secrets_are_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let text = "{ channels: { ddingtalk: { clientSecret: 's3cr3t', apiKey: ['s3cr3t'], allowFrom: ['a'],
            groups: { 'a.b': { enabled: true } }, accounts: { x: { clientSecret: '${X}' } } } } }";
        std::fs::write(&path, text).unwrap();
        for (wanted, expected) in [
            ("clientSecret", "\"***\""),
            ("apiKey", "\"***\""),
            ("channels.ddingtalk.allowFrom.0", "\"a\""),
            ("groups.a.b.enabled", "true"),
            ("accounts", r#"{"x":{"clientSecret":"${X}"}}"#),
            ("none", ""),
            ("groups.a", ""),
        ] {
            let found = setting(&path, wanted).unwrap();
            assert_eq!(found.map_or(String::new(), |v| v.to_string()), expected, "{wanted}");
        }
        let all = setting(&path, "channels.ddingtalk").unwrap().unwrap().to_string();
        assert!(all.contains("groups") && !all.contains("s3cr3t"), "{all}");
    }
}
