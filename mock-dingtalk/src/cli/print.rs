//! What goes to stdout: tables for people, JSON for programs.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use serde_json::Value;

use super::exit_code::Exit;

/// A column: its head, and where the value stands in a row.
pub(super) type Column = (&'static str, &'static str);

/// Rows as a table, or the whole value as JSON.
pub(super) fn rows(value: &Value, columns: &[Column], json: bool) -> Result<(), Exit> {
    if json {
        return self::json(value);
    }
    let rows: Vec<&Value> = match value {
        Value::Array(rows) => rows.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    if rows.is_empty() {
        note("nothing");
        return Ok(());
    }
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let cells = rows.iter().map(|row| {
        columns.iter().map(|(_, pointer)| cell(row.pointer(pointer))).collect::<Vec<_>>()
    });
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|index| lines.iter().map(|line| line[index].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(row, "{cell:width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    self::text(&text)
}

/// What became of a push, which may be lost or wait when no bot is connected.
pub(super) fn said(said: &Value, what: &str, columns: &[Column], json: bool) -> Result<(), Exit> {
    match said["state"].as_str() {
        Some("lost") => note(&format!("no bot is connected: the {what} is lost")),
        Some("queued") => note(&format!("no bot is connected: the {what} waits for one")),
        _ => {}
    }
    rows(said, columns, json)
}

/// JSON for programs, readable for people.
pub(super) fn json(value: &Value) -> Result<(), Exit> {
    text(&format!("{value:#}\n"))
}

/// As it stands.
pub(super) fn text(text: &str) -> Result<(), Exit> {
    bytes(text.as_bytes())
}

/// As they stand. A reader who has gone away is no failure: `head` does that.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Exit::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// One line to stderr.
#[expect(clippy::print_stderr, reason = "what is no data is not for stdout")]
pub(super) fn note(text: &str) {
    eprintln!("mock-dingtalk: {text}");
}

/// One line, whatever the value holds.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => {
            text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
        }
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::cell;

    #[test]
    fn a_cell_is_one_line() {
        let cases = [
            (json!("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m"),
            (json!("it's \"好\""), "it's \"好\""),
            (json!(""), "-"),
            (json!(null), "-"),
            (json!([1, "x"]), "1, x"),
            (json!([]), "-"),
            (json!({"a": 1}), "{\"a\":1}"),
            (json!(7), "7"),
        ];
        for (value, expected) in cases {
            assert_eq!(cell(Some(&value)), expected, "{value}");
        }
        assert_eq!(cell(None), "-");
    }
}
