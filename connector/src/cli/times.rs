//! Times on the command line.

use std::time::Duration;

/// A time that is long enough for an outage: from 1 s.
pub(super) fn alert_after(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(1) {
        Err("must be at least 1s, such as 30s".to_owned())
    } else {
        Ok(time)
    }
}

/// A time, or never.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedAfter(pub(super) Option<Duration>);

/// A time that people wait before they are told so, or `off`.
pub(super) fn queued_after(text: &str) -> Result<QueuedAfter, String> {
    if text == "off" {
        return Ok(QueuedAfter(None));
    }
    let after = duration(text).map_err(|e| format!("{e}, or off"))?;
    Ok(QueuedAfter(Some(after)))
}

/// A time such as `4s` or `1m 30s`, from 100 ms to 10 years.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
    match humantime::parse_duration(text) {
        Ok(time) if (LEAST..=MOST).contains(&time) => Ok(time),
        Ok(_) => Err("must be from 100ms to 10 years, such as 4s".to_owned()),
        Err(e) => Err(format!("{e}; give a time such as 4s, 500ms or 30m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_time_or_off() {
        let after = |text| queued_after(text).map(|QueuedAfter(after)| after);
        assert_eq!(after("off"), Ok(None));
        assert_eq!(after("45s"), Ok(Some(Duration::from_secs(45))));
        let told = after("never").unwrap_err();
        assert!(told.ends_with("give a time such as 4s, 500ms or 30m, or off"), "{told}");
    }
}
