//! OpenClaw's config file: JSON5, with `$include` and `${VARIABLE}`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{ConfigError, Environment, OPENCLAW_STATE_DIR};

/// Names the file instead of `~/.openclaw/openclaw.json`.
pub const OPENCLAW_CONFIG_PATH: &str = "OPENCLAW_CONFIG_PATH";

/// Files that include each other at most so deep, as with OpenClaw.
const DEPTH: usize = 10;
/// Bytes of a file; a longer one is no config.
const LONGEST: u64 = 8 << 20;

/// Where the file is: `$OPENCLAW_CONFIG_PATH`, else `openclaw.json` in `$OPENCLAW_STATE_DIR` or
/// `~/.openclaw`. `None` without any of the three.
pub fn path(env: &dyn Environment) -> Option<PathBuf> {
    let set = |name| env.var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(OPENCLAW_CONFIG_PATH)
        .or_else(|| set(OPENCLAW_STATE_DIR).map(|dir| dir.join("openclaw.json")))
        .or_else(|| set("HOME").map(|home| home.join(".openclaw").join("openclaw.json")))
}

/// Reads a file and what it includes. Variables are not looked at yet.
pub(super) fn read(path: &Path) -> Result<Value, ConfigError> {
    included(path, 1)
}

fn included(path: &Path, depth: usize) -> Result<Value, ConfigError> {
    let problem = |problem: String| ConfigError::File { path: path.to_owned(), problem };
    let length =
        std::fs::metadata(path).map_err(|e| problem(format!("cannot be read: {e}")))?.len();
    if length > LONGEST {
        return Err(problem(format!("has {length} bytes, more than {LONGEST}")));
    }
    let text =
        std::fs::read_to_string(path).map_err(|e| problem(format!("cannot be read: {e}")))?;
    let value: Value = json5::from_str(&text).map_err(|e| problem(format!("is no JSON5: {e}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    resolve(value, &|name| {
        if depth >= DEPTH {
            return Err(problem(format!("includes {name} more than {DEPTH} files deep")));
        }
        included(&folder.join(name), depth + 1)
    })
    .map_err(|e| match e {
        Include::Failed(e) => e,
        Include::Wrong => {
            problem("has an $include that is neither a file name nor a list of them".to_owned())
        }
    })
}

enum Include {
    Wrong,
    Failed(ConfigError),
}

/// Replaces every `$include` by the file; what stands beside it wins.
fn resolve(
    value: Value,
    read: &dyn Fn(&str) -> Result<Value, ConfigError>,
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

/// Replaces `${NAME}` in every text by the variable; `$${NAME}` stands for itself without the first
/// dollar sign. The names of those that are not set, which stay as they are, are added to `missing`.
pub(super) fn substitute(value: &mut Value, env: &dyn Environment, missing: &mut Vec<String>) {
    match value {
        Value::String(text) => *text = substituted(text, env, missing),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, env, missing)),
        Value::Object(map) => map.values_mut().for_each(|value| substitute(value, env, missing)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn substituted(text: &str, env: &dyn Environment, missing: &mut Vec<String>) -> String {
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
        } else {
            out.push_str(whole);
            missing.push(name.to_owned());
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
            let mut missing = Vec::new();
            substitute(&mut value, &env, &mut missing);
            assert_eq!(value["x"][0], expected);
            assert_eq!(missing.join(","), unset, "{text}");
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
        let value = read(&dir.path().join("a.json5")).unwrap();
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
        ] {
            std::fs::write(&path, text).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
