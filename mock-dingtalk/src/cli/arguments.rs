//! Values of the command line: durations, JSON, files.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::exit_code::Exit;

/// The mock waits no longer.
const LONGEST: Duration = Duration::from_mins(10);

/// How long to wait: a duration such as `10s` or `1m 30s`, or plain seconds; 1 ms to 10 min.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let read = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    let fit = |patience: &Duration| patience.as_millis() > 0 && *patience <= LONGEST;
    read.filter(fit).ok_or_else(|| "give a duration from 1ms to 10min, such as 30s".to_owned())
}

/// What an option gives as JSON.
pub(super) fn json(option: &str, text: &str) -> Result<Value, Exit> {
    serde_json::from_str(text).map_err(|error| {
        Exit::usage(format!(
            "{option} is not JSON: {error}; quote it for the shell: '{{\"name\":\"value\"}}'"
        ))
    })
}

/// The bytes of a file that has no more than `most`.
pub(super) fn file(path: &Path, most: u64) -> Result<Vec<u8>, Exit> {
    let cannot = |why: String| {
        Exit::usage(format!("cannot read {}: {why}; give another file", path.display()))
    };
    let length = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?.len();
    if length > most {
        return Err(cannot(format!("it has {length} bytes, and at most {most} can be sent")));
    }
    std::fs::read(path).map_err(|error| cannot(error.to_string()))
}

/// The last part of a path, or `file`.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::patience;

    #[test]
    fn patience_is_a_duration_or_plain_seconds() {
        let cases = [
            ("10", Some(Duration::from_secs(10))),
            ("10s", Some(Duration::from_secs(10))),
            ("250ms", Some(Duration::from_millis(250))),
            ("1m 30s", Some(Duration::from_secs(90))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("600", Some(Duration::from_mins(10))),
            ("601", None),
            ("0", None),
            ("1us", None),
            ("1h", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(patience(text).ok(), expected, "{text:?}");
        }
    }
}
