//! Changes JSON5 text where a value stands, and nowhere else: comments, order, quotes and line ends stay.
//!
//! The text must be JSON5, and nested no deeper than a config may be; whoever calls has parsed it before.

mod scan;

use serde_json::Value;

use self::scan::{Node, Object, scan};

/// A place that cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// Something in which nothing can be put stands on the way.
    #[error("{path} is no object, so that nothing can be set in it")]
    NoObject {
        /// Its path.
        path: String,
    },
    /// The text is none that can be read.
    #[error("it is no object that can be edited")]
    Unreadable,
}

/// Sets the value at `path`, and makes the objects that lead there.
pub(crate) fn set(text: &str, path: &[String], value: &Value) -> Result<String, EditError> {
    let (root, style) = (root(text)?, Style::of(text));
    let mut object = &root;
    for (n, key) in path.iter().enumerate() {
        let rest = &path[n + 1..];
        let Some(member) = object.last(key) else {
            return Ok(style.insert(text, object, key, &nested(rest, value)));
        };
        match &member.value {
            node if rest.is_empty() || node.is_null(text) => {
                let indent = line_indent(text, member.start);
                let rendered = style.render(&nested(rest, value), &indent);
                return Ok(spliced(text, node.span(), &rendered));
            }
            Node::Object(inner) => object = inner,
            Node::Other(_) => return Err(EditError::NoObject { path: path[..=n].join(".") }),
        }
    }
    Err(EditError::Unreadable)
}

/// Removes what is at `path`; `None` if nothing is.
pub(crate) fn remove(text: &str, path: &[String]) -> Result<Option<String>, EditError> {
    let mut text = text.to_owned();
    let mut removed = false;
    // A key may stand there twice.
    while let Some(shorter) = remove_one(&text, path)? {
        text = shorter;
        removed = true;
    }
    Ok(removed.then_some(text))
}

fn remove_one(text: &str, path: &[String]) -> Result<Option<String>, EditError> {
    let root = root(text)?;
    let Some((last, way)) = path.split_last() else { return Ok(None) };
    let mut object = &root;
    for key in way {
        match object.last(key).map(|member| &member.value) {
            Some(Node::Object(inner)) => object = inner,
            _ => return Ok(None),
        }
    }
    let Some(n) = object.members.iter().rposition(|member| member.key == *last) else {
        return Ok(None);
    };
    let member = &object.members[n];
    let (start, _) = line_start(text, member.start);
    let own_line = text[start..member.start].trim().is_empty();
    let mut end = member.comma.map_or(member.value.span().1, |comma| comma + 1);
    // Its line goes with it, unless something else stands there.
    let after = &text[end..];
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    let line_end = ["\r\n", "\n"].iter().find(|ending| after[blanks..].starts_with(**ending));
    let mut begin = member.start;
    if own_line && let Some(ending) = line_end {
        begin = start;
        end += blanks + ending.len();
    }
    let mut out = spliced(text, (begin, end), "");
    let before = n.checked_sub(1).and_then(|n| object.members[n].comma);
    if let (None, Some(comma)) = (member.comma, before) {
        out.remove(comma);
    }
    Ok(Some(out))
}

fn root(text: &str) -> Result<Object, EditError> {
    match scan(text) {
        Some(Node::Object(object)) => Ok(object),
        _ => Err(EditError::Unreadable),
    }
}

/// The value inside of the objects that lead to it.
fn nested(way: &[String], value: &Value) -> Value {
    way.iter().rev().fold(value.clone(), |inner, key| {
        Value::Object([(key.clone(), inner)].into_iter().collect())
    })
}

fn spliced(text: &str, (start, end): (usize, usize), new: &str) -> String {
    format!("{}{new}{}", &text[..start], &text[end..])
}

/// Where the line with `at` begins, and what it is indented by.
fn line_start(text: &str, at: usize) -> (usize, &str) {
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let line = &text[start..at];
    (start, &line[..line.len() - line.trim_start_matches([' ', '\t']).len()])
}

fn line_indent(text: &str, at: usize) -> String {
    line_start(text, at).1.to_owned()
}

/// How a file is written.
struct Style {
    newline: &'static str,
    unit: String,
    quoted_keys: bool,
}

impl Style {
    fn of(text: &str) -> Self {
        let indented = text.lines().find(|line| {
            let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
            blanks > 0 && !line.trim().is_empty() && !line.trim_start().starts_with('*')
        });
        let unit = match indented {
            Some(line) if line.starts_with('\t') => "\t".to_owned(),
            Some(line) => " ".repeat((line.len() - line.trim_start_matches(' ').len()).min(8)),
            None => "  ".to_owned(),
        };
        let quoted_keys = match scan(text) {
            Some(Node::Object(object)) => {
                object.members.first().is_some_and(|member| text[member.start..].starts_with('"'))
            }
            _ => false,
        };
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { newline, unit, quoted_keys }
    }

    /// A value whose first line stands in one that is indented by `indent`.
    fn render(&self, value: &Value, indent: &str) -> String {
        let inner = format!("{indent}{}", self.unit);
        let (newline, lines): (_, Vec<String>) = match value {
            Value::Object(map) if map.is_empty() => return "{}".to_owned(),
            Value::Object(map) => {
                let line = |(key, value): (&String, &Value)| {
                    format!("{inner}{}: {}", self.key(key), self.render(value, &inner))
                };
                (self.newline, map.iter().map(line).collect())
            }
            // Lists of ids are short, and are read better in one line.
            value => return compact(value),
        };
        let lines = lines.join(&format!(",{newline}"));
        let comma = if self.quoted_keys { "" } else { "," };
        format!("{{{newline}{lines}{comma}{newline}{indent}}}")
    }

    fn key(&self, key: &str) -> String {
        let letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$');
        let is_name =
            key.starts_with(letter) && key.chars().all(|c| letter(c) || c.is_ascii_digit());
        if is_name && !self.quoted_keys { key.to_owned() } else { Value::from(key).to_string() }
    }

    /// Adds a member behind the last one.
    fn insert(&self, text: &str, object: &Object, key: &str, value: &Value) -> String {
        let Some(last) = object.members.last() else {
            let indent = line_indent(text, object.open);
            let inner = format!("{indent}{}", self.unit);
            let member = format!("{}: {}", self.key(key), self.render(value, &inner));
            let (nl, comma) = (self.newline, if self.quoted_keys { "" } else { "," });
            let rest = &text[object.open + 1..object.close];
            // A comment that stands there keeps its line.
            let end = if rest.trim().is_empty() {
                format!("{nl}{indent}")
            } else {
                format!("{nl}{rest}")
            };
            let new = format!("{nl}{inner}{member}{comma}{end}");
            return spliced(text, (object.open + 1, object.close), &new);
        };
        let value_end = last.value.span().1;
        let (start, indent) = line_start(text, last.start);
        let own_line = text[start..last.start].trim().is_empty() && start > object.open;
        let member = format!("{}: {}", self.key(key), self.render(value, indent));
        if !own_line {
            let (at, new) = match last.comma {
                Some(comma) => (comma + 1, format!(" {member},")),
                None => (value_end, format!(", {member}")),
            };
            return spliced(text, (at, at), &new);
        }
        // Comments in the line belong to what stands there.
        let from = last.comma.map_or(value_end, |comma| comma + 1);
        let at = from + scan::rest_of_line(&text[from..object.close]);
        let comma = if last.comma.is_some() { "," } else { "" };
        let with = spliced(text, (at, at), &format!("{}{indent}{member}{comma}", self.newline));
        match last.comma {
            Some(_) => with,
            None => spliced(&with, (value_end, value_end), ","),
        }
    }
}

/// A value in one line.
fn compact(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(compact).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
