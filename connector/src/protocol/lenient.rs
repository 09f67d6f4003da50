//! Readers that take what senders really send.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Text out of a string, a number or a bool; `null`, arrays and objects count as absent.
pub(super) fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(scalar(&Value::deserialize(d)?))
}

/// A whole number out of a number or a string of digits; anything else counts as absent.
pub(super) fn integer<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    Ok(text(d)?.and_then(|t| {
        let t = t.trim();
        // 1.78e12 occurs where a JavaScript sender wrote a float; the fraction carries nothing.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "`as` saturates, which is harmless here"
        )]
        t.parse::<i64>().ok().or_else(|| t.parse::<f64>().ok().map(|f| f as i64))
    }))
}

/// The text of a scalar; `None` for `null`, arrays and objects.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // 1.0 is how some senders write 1.
        Value::Number(number) => match number.as_f64() {
            Some(f) if number.is_f64() && f.fract() == 0.0 => Some(format!("{f:.0}")),
            _ => Some(number.to_string()),
        },
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Parses JSON text into `T`, forgiving what a strict reader stumbles over: repeated keys (the last
/// one counts, as with most parsers) and escapes of half a surrogate pair (replaced by U+FFFD), which
/// appear when a sender cuts a nickname in the middle of an emoji.
pub(super) fn document<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    let first = match serde_json::from_str(json) {
        Ok(value) => return Ok(value),
        Err(e) => e,
    };
    let repaired = replace_lone_surrogates(json);
    serde_json::from_str::<Value>(&repaired).and_then(serde_json::from_value).map_err(|_| first)
}

/// Replaces every `\uXXXX` escape that is half a surrogate pair by `\ufffd`.
fn replace_lone_surrogates(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            (Some(Half::High), Some(Half::Low)) => {
                out.push_str(&rest[..12]);
                12
            }
            (Some(_), _) => {
                out.push_str("\\ufffd");
                6
            }
            (None, _) => {
                // Any other escape: the backslash and the one character that it quotes.
                let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..len]);
                len
            }
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

enum Half {
    High,
    Low,
}

/// Which half of a pair the text's first six characters escape, if any.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Probe {
        #[serde(default, deserialize_with = "text")]
        text: Option<String>,
        #[serde(default, deserialize_with = "integer")]
        integer: Option<i64>,
    }

    fn probe(json: &str) -> Probe {
        document(json).unwrap()
    }

    #[test]
    fn text_takes_scalars_and_skips_structure() {
        for (json, expected) in [
            (r#"{"text":"a"}"#, Some("a")),
            (r#"{"text":7}"#, Some("7")),
            (r#"{"text":-7}"#, Some("-7")),
            (r#"{"text":1.0}"#, Some("1")),
            (r#"{"text":1.5}"#, Some("1.5")),
            (r#"{"text":true}"#, Some("true")),
            (r#"{"text":null}"#, None),
            (r#"{"text":[1,{"a":2}]}"#, None),
            (r#"{"text":{"a":[]}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(probe(json).text.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn integers_come_as_numbers_or_digits() {
        for (json, expected) in [
            (r#"{"integer":1780000000000}"#, Some(1_780_000_000_000)),
            (r#"{"integer":"1780000000000"}"#, Some(1_780_000_000_000)),
            (r#"{"integer":1.78e12}"#, Some(1_780_000_000_000)),
            (r#"{"integer":"soon"}"#, None),
            (r#"{"integer":{}}"#, None),
        ] {
            assert_eq!(probe(json).integer, expected, "{json}");
        }
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        assert_eq!(probe(r#"{"text":"a","text":"b"}"#).text.as_deref(), Some("b"));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        for (escaped, expected) in [
            (r"\ud83d\ude00", "😀"),
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ude00b", "\u{fffd}b"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\\ud83d", r"\ud83d"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            let json = format!(r#"{{"text":"{escaped}"}}"#);
            assert_eq!(probe(&json).text.as_deref(), Some(expected), "{json}");
        }
    }
}
